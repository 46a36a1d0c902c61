/* tests relay/deliver/uplink.c: one connection for several messages, and when it is stale */
#include "tests/unit/deliver/talker.h"
#include "tests/unit/unit.h"

START_TEST(a_connection_serves_several_messages)
{
	struct talker t;

	talker_ready(&t, NULL, 0, NULL);
	for (int i = 0; i < 5; i++) {
		talker_assign(&t, talker_ann, "a: b\r\n\r\n", 3);
		talker_to_end(&t, talker_ann, "x\r\n");
		ck_assert(t.alive);
	}
	ck_assert_int_eq(nexthop_connections(t.hop), 1);
	ck_assert_uint_eq(nexthop_mail_count(t.hop), 5);
	talker_close(&t);
}
END_TEST

/* The next hop says good-bye between two messages: the second job is marked stale. */
START_TEST(a_stale_connection_is_told_from_a_refusal)
{
	static const struct nexthop_step step = {AT_MAIL, DO_REPLY, "421 too many\r\n", .from = 2,
						 .to = 2};
	struct talker t;

	talker_ready(&t, &step, 1, NULL);
	talker_send_empty(&t, talker_ann);
	talker_assign(&t, talker_ann, "a: b\r\n\r\n", 0);
	ck_assert(talker_hear(&t, "250 PIPELINING\r\n"));
	talker_tell(&t, "MAIL FROM:<>\r\n");
	ck_assert(talker_hear(&t, "421 "));
	bell_await(&t.bell, &t.done);
	ck_assert(!t.alive && t.job->record.stale);
	talker_close(&t);
}
END_TEST

/* The next hop says good-bye to an idle connection while a job is on its way to it. */
START_TEST(a_421_that_crosses_the_job_is_stale)
{
	/* One byte after the other: it is there after the job, and before the job says MAIL. */
	static const struct nexthop_step step = {
		AT_DOT, DO_DRIP, "250 ok\r\n421 idle too long\r\n", .from = 1, .to = 1, .ms = 20};
	struct talker t;

	talker_ready(&t, &step, 1, NULL);
	talker_send_empty(&t, talker_ann);
	ck_assert(t.alive);
	talker_assign(&t, talker_ann, "a: b\r\n\r\n", 0);
	bell_await(&t.bell, &t.done);
	ck_assert(!t.alive && t.job->record.stale);
	ck_assert_int_eq(nexthop_reached(t.hop, AT_MAIL), 1);
	talker_close(&t);
}
END_TEST

/* RCPT travels right behind MAIL: what counts is whether MAIL was answered. */
START_TEST(a_connection_is_stale_until_mail_is_answered)
{
	static const struct {
		struct nexthop_step step;
		bool stale;
	} cases[] = {
		{{AT_MAIL, DO_DROP, .from = 2, .to = 2}, true},
		{{AT_RCPT, DO_DROP, .from = 2, .to = 2}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct talker t;

		talker_ready(&t, &cases[i].step, 1, NULL);
		talker_send_empty(&t, talker_ann);
		talker_assign(&t, talker_ann, "a: b\r\n\r\n", 0);
		talker_tell(&t, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@ok.test>\r\nDATA\r\n");
		bell_await(&t.bell, &t.done);
		ck_assert(!t.alive);
		ck_assert_msg(t.job->record.stale == cases[i].stale, "%zu", i);
		talker_close(&t);
	}
}
END_TEST

/* What was pipelined behind a refused MAIL is answered before the next message begins. */
START_TEST(late_replies_behind_a_refused_mail_belong_to_nobody_else)
{
	static const struct nexthop_step steps[] = {
		{AT_MAIL, DO_REPLY, "550 not you\r\n", .from = 1, .to = 1},
		{AT_RCPT, DO_DRIP, "503 MAIL first\r\n", .from = 1, .to = 2, .ms = 10},
	};
	struct talker t;

	talker_ready(&t, steps, 2, NULL);
	talker_assign(&t, talker_ann_bob, "a: b\r\n\r\n", 0);
	ck_assert(talker_hear(&t, "250 PIPELINING\r\n"));
	talker_tell(&t,
		    "MAIL FROM:<>\r\nRCPT TO:<ann@ok.test>\r\nRCPT TO:<bob@ok.test>\r\nDATA\r\n");
	ck_assert(talker_hear(&t, "550 "));
	bell_await(&t.bell, &t.done);
	ck_assert(t.alive);
	ck_assert_int_eq(t.job->record.mail.code, 550);
	talker_send_empty(&t, talker_ann);
	ck_assert(t.alive);
	ck_assert_int_eq(t.job->record.mail.code, 250);
	ck_assert_int_eq(t.job->record.final.code, 250);
	ck_assert_int_eq(nexthop_connections(t.hop), 1);
	talker_close(&t);
}
END_TEST

UNIT_MAIN("deliver/uplink_reuse", a_connection_serves_several_messages,
	  a_stale_connection_is_told_from_a_refusal, a_421_that_crosses_the_job_is_stale,
	  a_connection_is_stale_until_mail_is_answered,
	  late_replies_behind_a_refused_mail_belong_to_nobody_else)
