/* tests relay/selftest.c: the self-test passes, leaves nothing behind, and bites */
#include <config.h> /* setenv */

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "relay/selftest.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

/* tests/flow/doctored.c puts liars in the place of what decides. */
static void doctor(const char *part)
{
	ck_assert_int_eq(setenv("STAGEPOST_DOCTORED", part, 1), 0);
}

static const char *const scopes[] = {"shop", "s"};

static struct selftest_env env_of(struct rig *r)
{
	return (struct selftest_env){.store = r->store,
				     .whitelist = r->list,
				     .loop = r->loops[0],
				     .policy = &r->policy,
				     .delivery = &r->options,
				     .scopes = scopes,
				     .scope_count = 2};
}

static int run(struct rig *r, struct err *why)
{
	struct selftest_env env = env_of(r);
	int64_t ms = -1;
	int code = selftest_run(&env, &ms, why);

	ck_assert_int_ge(ms, 0);
	return code;
}

static void allow_everything(struct rig *r)
{
	static const struct entry entries[] = {
		{.id = 1, .pattern = "*", .kind = ENTRY_ALL, .action = ENTRY_ALLOW, .scope = ""},
		{.id = 2,
		 .pattern = ".invalid",
		 .kind = ENTRY_SUBDOMAIN,
		 .action = ENTRY_ALLOW,
		 .scope = ""},
		{.id = 3,
		 .pattern = "*",
		 .kind = ENTRY_ALL,
		 .action = ENTRY_ALLOW,
		 .scope = "shop"},
	};
	size_t bad;

	whitelist_load_begin(r->list);
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		whitelist_load_add(r->list, &entries[i]);
	whitelist_load_end(r->list, 2, &bad);
	ck_assert_uint_eq(bad, 0);
}

/* Also with a list that allows everything, and again and again. */
START_TEST(what_is_not_allowed_does_not_leave)
{
	struct message_view *views;
	struct rig r;
	struct err why = {""};

	rig_open(&r, NULL, 0, NULL);
	for (int i = 0; i < 3; i++) {
		ck_assert_msg(run(&r, &why) == ERR_OK, "%s", why.text);
		ck_assert_uint_eq(rig_messages(&r, &views), 0);
		allow_everything(&r);
	}
	ck_assert(!nexthop_saw(r.hop, "MAIL"));
	rig_stop(&r);
}
END_TEST

static void expect_bite(const char *part, const char *words)
{
	struct message_view *views;
	struct err why = {""};
	struct rig r;

	doctor(part);
	rig_open(&r, NULL, 0, NULL);
	ck_assert_int_eq(run(&r, &why), ERR_UNSAFE);
	ck_assert_msg(strstr(why.text, words) != NULL, "%s", why.text);
	ck_assert_uint_eq(rig_messages(&r, &views), 0);
	rig_stop(&r);
}

START_TEST(an_acceptance_that_says_yes_is_noticed)
{
	expect_bite("acceptance", "acceptance allows");
}
END_TEST

START_TEST(a_judgement_that_says_yes_is_noticed)
{
	expect_bite("attempt", "the judgement before an attempt allows");
}
END_TEST

START_TEST(a_guard_that_says_yes_is_noticed)
{
	expect_bite("guard", "the wire guard lets mail out");
}
END_TEST

/* A start that was cut short left its probe queued: the next one is none the worse. */
START_TEST(what_an_earlier_start_left_goes)
{
	struct new_recipient recipient = {.address = "probe@selftest.stagepost.invalid",
					  .state = STATE_QUEUED,
					  .ruling = {.verdict = "drop", .reason = "x"}};
	struct new_message message = {.sender = "",
				      .header_parsed = true,
				      .scope = "",
				      .received_field = "",
				      .origin = "selftest",
				      .recipients = &recipient,
				      .recipient_count = 1};
	struct accept accept = {.message = &message};
	struct message_view *views;
	struct err why = {""};
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	ck_assert_int_eq(ulid_parse(span_of("00000000000000000000PR0BE1"), &message.id), ERR_OK);
	accept.body = body_new(r.store, NULL, NULL);
	ck_assert_int_eq(store_wait(r.store, queue_accept, &accept.job, &why), ERR_OK);
	ck_assert_uint_eq(rig_messages(&r, &views), 1);
	ck_assert_msg(run(&r, &why) == ERR_OK, "%s", why.text);
	ck_assert_uint_eq(rig_messages(&r, &views), 0);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("relay/selftest", what_is_not_allowed_does_not_leave,
	  an_acceptance_that_says_yes_is_noticed, a_judgement_that_says_yes_is_noticed,
	  a_guard_that_says_yes_is_noticed, what_an_earlier_start_left_goes)
