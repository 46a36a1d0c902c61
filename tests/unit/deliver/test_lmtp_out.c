/* tests delivery by LMTP (RFC 2033): what each recipient of one transaction is told */
#include <stdio.h>
#include <string.h>

#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

static const char bytes[] = "Subject: test\r\n\r\nhello\r\n";

/* A next hop that speaks LMTP on a unix socket, as mailbox servers do. */
static void start(struct rig *r, const struct nexthop_step *steps, size_t count, const char *lhlo)
{
	rig_open(r, NULL, 0, NULL);
	nexthop_stop(&r->hop);
	r->hop = nexthop_start_unix(steps, count, lhlo);
	r->host = nexthop_address(r->hop);
	r->route.protocol = ROUTE_LMTP;
	rig_deliver(r);
}

static const char *const four[] = {"a@ok.test", "b@ok.test", "c@ok.test", "d@ok.test", NULL};

static struct ulid accept_four(struct rig *r)
{
	return rig_accept(r, "", four, bytes, sizeof(bytes) - 1);
}

START_TEST(each_recipient_has_its_own_answer)
{
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "550 5.1.1 no mailbox\r\n", .match = "<b@"},
		{AT_DOT, DO_REPLY, "452 4.2.2 over quota\r\n", .match = "<c@"},
		{AT_DOT, DO_REPLY, "550-5.7.1 not\r\n550 5.7.1 wanted\r\n", .match = "<d@"},
	};
	const struct recipient_view *view;
	struct ulid id;
	struct rig r;

	start(&r, steps, 3, NULL);
	id = accept_four(&r);
	view = rig_await(&r, &id, "a@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(view->reply_code, 250);
	view = rig_await(&r, &id, "b@ok.test", STATE_FAILED);
	ck_assert_str_eq(view->reason, "RCPT TO: 550 5.1.1 no mailbox");
	view = rig_await(&r, &id, "c@ok.test", STATE_DEFERRED);
	ck_assert_str_eq(view->reason, "after the message: 452 4.2.2 over quota");
	ck_assert_int_eq(view->reply_code, 452);
	view = rig_await(&r, &id, "d@ok.test", STATE_FAILED);
	ck_assert_str_eq(view->reason, "after the message: 550 5.7.1 not wanted");
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
	ck_assert(nexthop_saw(r.hop, "LHLO relay.test\r\n"));
	ck_assert(!nexthop_saw(r.hop, "EHLO"));
	rig_stop(&r);
}
END_TEST

/* What was answered is true; only those who were not are in doubt (P3, P4). */
START_TEST(missing_answers_are_in_doubt_for_their_own_recipients)
{
	static const struct nexthop_step scripts[] = {
		{AT_DOT, DO_DROP, .match = "<c@"},
		{AT_DOT, DO_RESET, .match = "<c@"},
		{AT_DOT, DO_STALL, .match = "<c@"},
		{AT_DOT, DO_REPLY, "354 what\r\n", .match = "<c@"},
		{AT_DOT, DO_REPLY, "nonsense\r\n", .match = "<c@"},
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		const struct recipient_view *view;
		struct ulid id;
		struct rig r;

		start(&r, &scripts[i], 1, NULL);
		id = accept_four(&r);
		rig_await(&r, &id, "a@ok.test", STATE_DELIVERED);
		rig_await(&r, &id, "b@ok.test", STATE_DELIVERED);
		for (size_t k = 2; k < 4; k++) {
			view = rig_await(&r, &id, four[k], STATE_DEFERRED);
			ck_assert_msg(strstr(view->reason, "it may have arrived") != NULL, "%s",
				      view->reason);
			ck_assert_int_eq(view->reply_code, 0);
		}
		rig_stop(&r);
	}
}
END_TEST

/* A no to the first and a yes to the last, and the other way round, are the same to libesmtp. */
START_TEST(a_connection_goes_on_after_mixed_answers)
{
	static const struct nexthop_step steps[] = {
		{AT_DOT, DO_REPLY, "450 4.2.1 busy\r\n", .from = 1, .to = 1},
		{AT_DOT, DO_REPLY, "550 5.2.1 gone\r\n", .from = 8, .to = 8},
		{AT_DOT, DO_REPLY, "550 5.2.1 gone\r\n", .from = 9, .to = 12},
	};
	struct ulid id;
	struct rig r;

	start(&r, steps, 3, NULL);
	id = accept_four(&r);
	rig_await(&r, &id, "a@ok.test", STATE_DEFERRED);
	rig_await(&r, &id, "d@ok.test", STATE_DELIVERED);
	id = accept_four(&r);
	rig_await(&r, &id, "a@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "d@ok.test", STATE_FAILED);
	id = accept_four(&r);
	for (size_t i = 0; i < 4; i++)
		rig_await(&r, &id, four[i], STATE_FAILED);
	ck_assert_int_eq(nexthop_connections(r.hop), 1);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_RSET), 0);
	rig_stop(&r);
}
END_TEST

/* A hundred recipients, every kind of answer among them, and the end in the middle of them. */
START_TEST(a_hundred_recipients_and_a_drop_in_their_answers)
{
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "450 4.2.1 later\r\n", .match = "7@"},
		{AT_DOT, DO_DROP, .match = "<r80@"},
		{AT_DOT, DO_REPLY, "450 4.2.2 full\r\n", .match = "4@"},
		{AT_DOT, DO_REPLY, "550 5.2.1 gone\r\n", .match = "5@"},
	};
	char names[100][24];
	const char *recipients[101] = {NULL};
	struct ulid id;
	struct rig r;

	start(&r, steps, 4, NULL);
	for (int i = 0; i < 100; i++) {
		snprintf(names[i], sizeof(names[i]), "r%02d@ok.test", i);
		recipients[i] = names[i];
	}
	id = rig_accept(&r, "", recipients, bytes, sizeof(bytes) - 1);
	for (int i = 0; i < 100; i++) {
		enum state want = STATE_DELIVERED;
		const struct recipient_view *view;

		if (i % 10 == 7 || i % 10 == 4 || i >= 80)
			want = STATE_DEFERRED;
		else if (i % 10 == 5)
			want = STATE_FAILED;
		view = rig_await(&r, &id, names[i], want);
		ck_assert_msg((strstr(view->reason, "may have arrived") != NULL) ==
				      (i >= 80 && i % 10 != 7),
			      "%s: %s", names[i], view->reason);
	}
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 56);
	rig_stop(&r);
}
END_TEST

/* Replies in small pieces and replies without text. */
START_TEST(without_pipelining_it_is_the_same)
{
	static const struct nexthop_step steps[] = {
		{AT_DOT, DO_DRIP, "250 2.0.0 kept\r\n", .match = "<b@", .ms = 2},
		{AT_DOT, DO_REPLY, "250\r\n", .match = "<d@"},
	};
	struct ulid id;
	struct rig r;

	start(&r, steps, 2, "8BITMIME");
	id = accept_four(&r);
	for (size_t i = 0; i < 4; i++)
		rig_await(&r, &id, four[i], STATE_DELIVERED);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 4);
	rig_stop(&r);
}
END_TEST

START_TEST(a_server_of_smtp_is_told_apart)
{
	static const struct nexthop_step step = {AT_EHLO, DO_REPLY,
						 "500 5.5.1 unknown command\r\n"};
	struct rig r;

	start(&r, &step, 1, NULL);
	rig_expect(&r, "a@ok.test", STATE_DEFERRED, "LHLO: 500 ");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_HELO), 0);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/lmtp", each_recipient_has_its_own_answer,
	  missing_answers_are_in_doubt_for_their_own_recipients,
	  a_connection_goes_on_after_mixed_answers,
	  a_hundred_recipients_and_a_drop_in_their_answers, without_pipelining_it_is_the_same,
	  a_server_of_smtp_is_told_apart)
