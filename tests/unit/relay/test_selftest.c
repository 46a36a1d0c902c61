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

static int run_with(struct rig *r, struct rules *rules, struct err *why)
{
	struct selftest_env env = env_of(r);
	int64_t ms = -1;
	int code;

	env.rules = rules;
	code = selftest_run(&env, &ms, why);
	ck_assert_int_ge(ms, 0);
	return code;
}

static int run(struct rig *r, struct err *why)
{
	return run_with(r, NULL, why);
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

/* One that overrides the whitelist, behind one that keeps all; it asks for a header. */
static void publish_override(struct rules *in_force)
{
	static const struct rule_header headers[] = {{"X-Pass", RULE_EXACT, "yes"}};
	struct rule rules[2];

	rule_init(&rules[0]);
	rules[0].name = "keep";
	rules[0].action = RULE_DROP;
	rule_init(&rules[1]);
	rules[1].name = "let-out";
	rules[1].action = RULE_DELIVER;
	rules[1].overrides_whitelist = true;
	rules[1].sender = "shop.test";
	rules[1].scope = "s";
	rules[1].headers = headers;
	rules[1].header_count = 1;
	ck_assert_uint_eq(rules_publish(in_force, PUBLISHED_FROM_STORE, rules, 2), 0);
}

START_TEST(no_rule_lets_it_out)
{
	struct rules *rules = rules_new();
	struct err why = {""};
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	publish_override(rules);
	allow_everything(&r);
	ck_assert_msg(run_with(&r, rules, &why) == ERR_OK, "%s", why.text);
	/* Were there a way, it would be found whatever the rule asks, and told. */
	doctor("rules");
	ck_assert_int_eq(run_with(&r, rules, &why), ERR_UNSAFE);
	ck_assert_str_eq(why.text, "acceptance allows what nobody allowed"
				   " (rule let-out overrides the whitelist)");
	rig_stop(&r);
	rules_free(&rules);
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

UNIT_MAIN("relay/selftest", what_is_not_allowed_does_not_leave, no_rule_lets_it_out,
	  an_acceptance_that_says_yes_is_noticed, a_judgement_that_says_yes_is_noticed,
	  a_guard_that_says_yes_is_noticed, what_an_earlier_start_left_goes)
