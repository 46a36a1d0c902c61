/* tests relay/deliver/uplink.c: nothing reaches the wire that was not judged, and judged again */
#include <string.h>

#include "relay/deliver/outcome.h"
#include "tests/unit/deliver/talker.h"
#include "tests/unit/unit.h"

/* The wire guard: what was not judged, or not in its turn, ends the connection without a word. */
START_TEST(a_wrong_line_of_the_worker_never_reaches_the_wire)
{
	static const char *const wrong[] = {
		"RCPT TO:<evil@bad.test>\r\n",
		"RCPT TO:<bob@ok.test>\r\n", /* judged, but not the next one */
		"RCPT TO:<ann@ok.test> NOTIFY=NEVER\r\n",
		"RCPT TO:<ANN@ok.test>\r\n",
		"rcpt to:<ann@ok.test>\r\n",
		"RCPT TO:<ann@ok.test\n>\r\n", /* S093 */
		"RCPT TO:<ann@ok.test>\nRCPT TO:<evil@bad.test>\r\n",
		"DATA\r\n",
		"VRFY evil@bad.test\r\n",
		"MAIL FROM:<>\r\n",
		"RSET\r\n",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct talker t;

		talker_ready(&t, NULL, 0, NULL);
		talker_assign(&t, talker_ann_bob, "\r\n", 0);
		ck_assert(talker_hear(&t, "250 PIPELINING\r\n"));
		talker_tell(&t, "EHLO x\r\nMAIL FROM:<>\r\n");
		ck_assert(talker_hear(&t, "250 "));
		talker_tell(&t, wrong[i]);
		bell_await(&t.bell, &t.done);
		ck_assert_msg(!t.alive, "%s", wrong[i]);
		ck_assert_int_eq(t.job->record.broken, ERR_DENIED);
		ck_assert(!nexthop_saw(t.hop, "RCPT"));
		ck_assert(!nexthop_saw(t.hop, "evil"));
		ck_assert(!nexthop_saw(t.hop, "DATA"));
		talker_close(&t);
	}
}
END_TEST

START_TEST(more_recipients_than_the_job_has_end_it)
{
	struct talker t;

	talker_ready(&t, NULL, 0, NULL);
	talker_assign(&t, talker_ann, "\r\n", 0);
	talker_to_mail(&t);
	talker_tell(&t, "RCPT TO:<ann@ok.test>\r\nRCPT TO:<ann@ok.test>\r\nDATA\r\n");
	bell_await(&t.bell, &t.done);
	ck_assert(!t.alive);
	ck_assert_int_eq(nexthop_reached(t.hop, AT_DATA), 0);
	talker_close(&t);
}
END_TEST

/* S156: removed between MAIL and RCPT: answered here, never offered, recorded as dropped. */
START_TEST(the_list_is_asked_once_more_at_the_wire)
{
	static const char *const ann_carl[] = {"ann@ok.test", "carl@ok.test", NULL};
	struct talker t;

	talker_ready(&t, NULL, 0, NULL);
	talker_assign(&t, ann_carl, "a: b\r\n\r\n", 0);
	talker_to_mail(&t);
	talker_list(&t, "carl@ok.test", ENTRY_EXACT);
	talker_tell(&t, "RCPT TO:<ann@ok.test>\r\nRCPT TO:<carl@ok.test>\r\nDATA\r\n");
	ck_assert(talker_hear(&t, "550 "));
	ck_assert(talker_hear(&t, "250 "));
	ck_assert(talker_hear(&t, "354 "));
	talker_tell(&t, talker_stand_in);
	talker_tell(&t, ".\r\n");
	bell_await(&t.bell, &t.done);
	ck_assert(t.alive);
	ck_assert(t.job->recipients[0].dropped && !t.job->recipients[1].dropped);
	ck_assert_int_eq(t.job->recipients[0].reply.code, 0);
	ck_assert_str_eq(t.job->recipients[0].ruling.verdict, "drop");
	ck_assert_int_eq(strncmp(t.job->recipients[0].ruled, "whitelist changed", 17), 0);
	ck_assert(!nexthop_saw(t.hop, "ann@"));
	talker_close(&t);
}
END_TEST

static const struct {
	enum verdict_kind policy;
	const char *verdict;
	enum transition refusal;
} defaults[] = {
	{VERDICT_DROP, "drop", TRANSITION_DROP},
	{VERDICT_REJECT, "drop", TRANSITION_DROP},
	{VERDICT_HOLD, "hold", TRANSITION_HOLD},
	{VERDICT_REDIRECT, "redirect", TRANSITION_REDIRECT},
};

/* S156: not offered, whatever policy.default makes of it. */
START_TEST(policy_default_holds_at_the_wire)
{
	static const char *const ann_carl[] = {"ann@ok.test", "carl@ok.test", NULL};

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		struct outcome outcome;
		struct talker t;

		talker_ready(&t, NULL, 0, NULL);
		t.policy.default_verdict = defaults[i].policy;
		t.policy.redirect_to = "qa@ok.test";
		talker_assign(&t, ann_carl, "a: b\r\n\r\n", 0);
		talker_to_mail(&t);
		talker_list(&t, "carl@ok.test", ENTRY_EXACT);
		talker_tell(&t, "RCPT TO:<ann@ok.test>\r\nRCPT TO:<carl@ok.test>\r\nDATA\r\n");
		ck_assert(talker_hear(&t, "550 "));
		ck_assert(talker_hear(&t, "250 "));
		ck_assert(talker_hear(&t, "354 "));
		talker_tell(&t, talker_stand_in);
		talker_tell(&t, ".\r\n");
		bell_await(&t.bell, &t.done);
		ck_assert_str_eq(t.job->recipients[0].ruling.verdict, defaults[i].verdict);
		outcome_decide(t.job, &t.job->recipients[0], &outcome);
		ck_assert_int_eq(outcome.transition, defaults[i].refusal);
		ck_assert_int_eq(outcome.trouble, TROUBLE_POLICY);
		ck_assert(!nexthop_saw(t.hop, "ann@"));
		ck_assert(!nexthop_saw(t.hop, "qa@"));
		talker_close(&t);
	}
}
END_TEST

/* The sender, too: what the list allowed while the job stood in line may be allowed no more. */
START_TEST(the_sender_is_judged_once_more_at_the_wire)
{
	static const char *const carl[] = {"carl@ok.test", NULL};
	struct talker t;

	talker_ready(&t, NULL, 0, "PIPELINING\nDSN");
	t.sender = "boss@ok.test";
	talker_assign(&t, carl, "a: b\r\n\r\n", 0);
	ck_assert(!t.job->sender_replaced);
	talker_list(&t, "carl@ok.test", ENTRY_EXACT);
	ck_assert(talker_hear(&t, "250 PIPELINING\r\n"));
	talker_tell(&t, "MAIL FROM:<boss@ok.test>\r\n");
	ck_assert(talker_hear(&t, "250 "));
	talker_tell(&t, "RCPT TO:<carl@ok.test>\r\nDATA\r\n");
	ck_assert(talker_hear(&t, "354 "));
	talker_tell(&t, talker_stand_in);
	talker_tell(&t, ".\r\n");
	bell_await(&t.bell, &t.done);
	ck_assert(t.job->sender_replaced);
	ck_assert(!nexthop_saw(t.hop, "boss@"));
	ck_assert_str_eq(nexthop_mail(t.hop, 0)->mail, "MAIL FROM:<>");
	ck_assert_str_eq(nexthop_mail(t.hop, 0)->rcpt[0], "RCPT TO:<carl@ok.test> NOTIFY=NEVER");
	talker_close(&t);
}
END_TEST

/* S222: nobody accepted: DATA is answered here, and the next hop gets RSET. */
START_TEST(without_a_recipient_there_is_no_data)
{
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "550 no\r\n", .match = "ann"},
		{AT_RCPT, DO_REPLY, "450 later\r\n", .match = "bob"},
		{AT_DATA, DO_REPLY, "354 go on\r\n"},
	};
	struct talker t;

	talker_ready(&t, steps, 3, NULL);
	talker_assign(&t, talker_ann_bob, "\r\n", 0);
	talker_to_mail(&t);
	talker_tell(&t, "RCPT TO:<ann@ok.test>\r\nRCPT TO:<bob@ok.test>\r\nDATA\r\n");
	ck_assert(talker_hear(&t, "550 "));
	ck_assert(talker_hear(&t, "450 "));
	ck_assert(talker_hear(&t, "554 "));
	bell_await(&t.bell, &t.done);
	ck_assert(t.alive);
	ck_assert_int_eq(nexthop_reached(t.hop, AT_DATA), 0);
	ck_assert_int_eq(nexthop_reached(t.hop, AT_RSET), 1);
	ck_assert_int_eq(t.job->recipients[0].reply.code, 550);
	ck_assert_int_eq(t.job->recipients[1].reply.code, 450);
	talker_close(&t);
}
END_TEST

UNIT_MAIN("deliver/uplink_guard", a_wrong_line_of_the_worker_never_reaches_the_wire,
	  more_recipients_than_the_job_has_end_it, the_list_is_asked_once_more_at_the_wire,
	  policy_default_holds_at_the_wire, the_sender_is_judged_once_more_at_the_wire,
	  without_a_recipient_there_is_no_data)
