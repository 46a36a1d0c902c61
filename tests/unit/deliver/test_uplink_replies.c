/* tests relay/deliver/uplink.c: what next hops say, and what the worker hears of it */
#include <config.h> /* usleep */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/deliver/talker.h"
#include "tests/unit/unit.h"

/* Replies that come too early, too late or twice: the connection has lost its step. */
START_TEST(replies_out_of_turn_close_the_connection)
{
	static const struct nexthop_step scripts[] = {
		{AT_RCPT, DO_REPLY, "250 ok\r\n250 and again\r\n250 x\r\n"},
		{AT_DATA, DO_REPLY, "250 ok\r\n"},
		{AT_DATA, DO_REPLY, "354 go\r\n250 kept\r\n"},
		{AT_BODY, DO_REPLY, "250 kept already\r\n"},
		{AT_MAIL, DO_REPLY, "354 ok\r\n"},
		{AT_RCPT, DO_REPLY, "354 ok\r\n"},
		{AT_DOT, DO_REPLY, "354 more\r\n"},
	};

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		struct talker t;

		talker_ready(&t, &scripts[i], 1, NULL);
		talker_assign(&t, talker_ann, "a: b\r\n\r\n", 3);
		ck_assert(talker_hear(&t, "250 PIPELINING\r\n"));
		talker_tell(&t, "MAIL FROM:<>\r\n");
		if (talker_hear(&t, "250 ")) {
			talker_tell_if_open(&t, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
			if (talker_hear(&t, "354 ")) {
				talker_tell_if_open(&t, talker_stand_in);
				usleep(50000);
				talker_tell_if_open(&t, "x\r\n.\r\n");
			}
		}
		bell_await(&t.bell, &t.done);
		ck_assert_msg(!t.alive, "%zu", i);
		ck_assert_msg(t.job->record.broken == ERR_SYNTAX, "%zu", i);
		ck_assert_msg(t.job->record.final.code == 0, "%zu", i);
		talker_close(&t);
	}
}
END_TEST

/* S231: replies that are no replies. */
START_TEST(garbage_for_a_reply_closes_the_connection)
{
	static const char *const replies[] = {
		"25\r\n",    "2500 ok\r\n", "+250 ok\r\n", " 250 ok\r\n", "250-a\r\n251 b\r\n",
		"hello\r\n", "999 ok\r\n",  "\r\n"};

	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		const struct nexthop_step step = {AT_RCPT, DO_REPLY, replies[i]};
		struct talker t;

		talker_ready(&t, &step, 1, NULL);
		talker_assign(&t, talker_ann, "\r\n", 0);
		talker_to_mail(&t);
		talker_tell(&t, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
		bell_await(&t.bell, &t.done);
		ck_assert_msg(!t.alive && t.job->record.broken == ERR_SYNTAX, "%s", replies[i]);
		ck_assert_int_eq(t.job->recipients[0].reply.code, 0);
		talker_close(&t);
	}
}
END_TEST

/* libesmtp does not survive an end of its connection while it waits for three replies. */
START_TEST(the_worker_hears_every_answer_before_the_end)
{
	static const char *const four[] = {"a@ok.test", "b@ok.test", "c@ok.test", "d@ok.test",
					   NULL};
	static const struct nexthop_step steps[] = {
		{AT_MAIL, DO_REPLY, "550 no\r\n"},
		{AT_MAIL, DO_DROP},
		{AT_RCPT, DO_DROP},
		{AT_RCPT, DO_DROP, .from = 3, .to = 3},
		{AT_RCPT, DO_REPLY, "nonsense\r\n", .from = 2, .to = 2},
		{AT_DATA, DO_DROP},
		{AT_DATA, DO_REPLY, "451 no\r\n"},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct talker t;

		talker_ready(&t, &steps[i], 1, NULL);
		talker_assign(&t, four, "\r\n", 0);
		talker_to_mail(&t);
		talker_tell_if_open(&t, "RCPT TO:<a@ok.test>\r\nRCPT TO:<b@ok.test>\r\n"
					"RCPT TO:<c@ok.test>\r\nRCPT TO:<d@ok.test>\r\nDATA\r\n");
		/* To four RCPT and DATA, then to QUIT. */
		for (int n = 0; n < 5; n++)
			ck_assert_msg(talker_hear(&t, " stagepost\r\n"), "step %zu, reply %d", i,
				      n);
		ck_assert(talker_hear(&t, "221 stagepost\r\n"));
		ck_assert(!talker_hear(&t, "\r\n"));
		bell_await(&t.bell, &t.done);
		talker_close(&t);
	}
}
END_TEST

/* The same for a job that came to a connection that was gone. */
START_TEST(a_refused_worker_hears_every_answer)
{
	struct talker t;

	talker_open(&t, &(struct nexthop_step){AT_GREETING, DO_REPLY, "554 no\r\n"}, 1, NULL);
	talker_connect(&t);
	talker_assign(&t, talker_ann_bob, "\r\n", 0);
	bell_await(&t.bell, &t.done);
	ck_assert(t.job->record.stale);
	for (int n = 0; n < 3; n++)
		ck_assert(talker_hear(&t, "451 stagepost\r\n"));
	ck_assert(talker_hear(&t, "221 stagepost\r\n"));
	ck_assert(!talker_hear(&t, "\r\n"));
	talker_close(&t);
}
END_TEST

/* S231: long, many and strange but well formed; stored cut and harmless. */
START_TEST(strange_replies_are_kept_harmless)
{
	static char many[16000];
	struct nexthop_step steps[] = {
		{AT_MAIL, DO_REPLY, many},
		{AT_RCPT, DO_REPLY, "550 \x1b]0;x\x07 no\xff\r\n"},
	};
	struct talker t;

	for (int i = 0; i < 400; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "250-line %d\r\n", i);
	strcat(many, "250\r\n");
	talker_ready(&t, steps, 2, NULL);
	talker_assign(&t, talker_ann, "\r\n", 0);
	talker_to_mail(&t);
	talker_tell(&t, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
	bell_await(&t.bell, &t.done);
	ck_assert_int_eq(t.job->record.mail.code, 250);
	ck_assert_uint_lt(strlen(t.job->record.mail.text), HOP_TEXT_SIZE);
	ck_assert_ptr_null(strpbrk(t.job->recipients[0].reply.text, "\x1b\x07"));
	talker_close(&t);
}
END_TEST

/* Issue 2: code-only replies are replies. */
START_TEST(replies_without_text_are_understood)
{
	static const struct nexthop_step steps[] = {
		{AT_GREETING, DO_REPLY, "220\r\n"}, {AT_EHLO, DO_REPLY, "250\r\n"},
		{AT_MAIL, DO_REPLY, "250\r\n"},	    {AT_RCPT, DO_REPLY, "250\r\n"},
		{AT_DATA, DO_REPLY, "354\r\n"},	    {AT_DOT, DO_REPLY, "250\r\n"},
	};
	struct talker t;

	talker_ready(&t, steps, 6, NULL);
	talker_send_empty(&t, talker_ann);
	ck_assert(t.alive);
	ck_assert_int_eq(t.job->record.final.code, 250);
	talker_close(&t);
}
END_TEST

/* S227: a deadline is for the whole reply, however it drips. */
START_TEST(a_dripping_reply_meets_its_deadline)
{
	static const struct nexthop_step step = {
		AT_RCPT, DO_DRIP, "250 this takes far too long to say\r\n", .ms = 300};
	int64_t began;
	struct talker t;

	talker_ready(&t, &step, 1, NULL);
	talker_assign(&t, talker_ann, "\r\n", 0);
	talker_to_mail(&t);
	began = clock_mono_ms();
	talker_tell(&t, "RCPT TO:<ann@ok.test>\r\nDATA\r\n");
	bell_await(&t.bell, &t.done);
	ck_assert_int_lt(clock_mono_ms() - began, 3000);
	ck_assert_int_eq(t.job->record.broken, ERR_TIMEOUT);
	talker_close(&t);
}
END_TEST

UNIT_MAIN("deliver/uplink_replies", replies_out_of_turn_close_the_connection,
	  garbage_for_a_reply_closes_the_connection, the_worker_hears_every_answer_before_the_end,
	  a_refused_worker_hears_every_answer, strange_replies_are_kept_harmless,
	  replies_without_text_are_understood, a_dripping_reply_meets_its_deadline)
