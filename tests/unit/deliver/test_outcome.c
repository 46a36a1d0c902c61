/* tests relay/deliver/outcome.c: what each dialogue means for each recipient */
#include "relay/deliver/outcome.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static const int64_t schedule[] = {60000, 600000};

/* One row: a dialogue, and what becomes of a recipient. Codes 0: no reply. */
struct row {
	const char *name;
	int mail, rcpt, data, final;
	bool dot_sent;
	enum err_code broken;
	int esmtp_transfer, esmtp_rcpt;
	bool esmtp_complete;
	int in_doubt_before;
	enum transition want;
	bool want_doubt;
	int want_reply;
};

static void decide(const struct row *row, struct outcome *outcome)
{
	static const struct route_options route = {.name = "default"};
	static struct delivery_options options = {.schedule_ms = schedule, .schedule_count = 2};
	static struct claimed_message message;
	struct claimed_recipient claimed = {.id = 7, .lease = 9, .in_doubt = row->in_doubt_before};
	struct job_recipient recipient = {.claimed = &claimed};
	struct job job = {.message = &message, .options = &options, .route = &route, .count = 1};

	recipient.reply.code = row->rcpt;
	recipient.esmtp_code = row->esmtp_rcpt;
	recipient.esmtp_complete = row->esmtp_complete;
	job.recipients = &recipient;
	job.record.mail.code = row->mail;
	job.record.data.code = row->data;
	job.record.final.code = row->final;
	job.record.dot_sent = row->dot_sent;
	job.record.broken = row->broken;
	snprintf(job.record.broken_why.text, sizeof(job.record.broken_why.text), "broke");
	job.esmtp.ran = true;
	job.esmtp.transfer_code = row->esmtp_transfer;
	outcome_decide(&job, &recipient, outcome);
	/* `reply` points into this frame */
	ck_assert_int_eq(outcome->reply != NULL ? outcome->reply->code : 0, row->want_reply);
	outcome->reply = NULL;
}

START_TEST(the_truth_table)
{
	static const struct row rows[] = {
		/* S212 */
		{"accepted", 250, 250, 354, 250, true, ERR_OK, 250, 250, true, 0,
		 TRANSITION_DELIVER, false, 250},
		{"251 for RCPT", 250, 251, 354, 250, true, ERR_OK, 250, 251, true, 0,
		 TRANSITION_DELIVER, false, 250},
		/* S213 */
		{"5xx after the dot", 250, 250, 354, 550, true, ERR_OK, 550, 250, true, 0,
		 TRANSITION_FAIL, false, 550},
		/* S214 */
		{"4xx after the dot", 250, 250, 354, 451, true, ERR_OK, 451, 250, false, 0,
		 TRANSITION_DEFER, false, 451},
		/* S215 */
		{"drop after 354", 250, 250, 354, 0, false, ERR_CLOSED, 0, 250, false, 0,
		 TRANSITION_DEFER, false, 0},
		/* S216: libesmtp's status stays 354 */
		{"silence after 354", 250, 250, 354, 0, false, ERR_TIMEOUT, 354, 250, false, 0,
		 TRANSITION_DEFER, false, 0},
		/* S217 */
		{"drop after the dot", 250, 250, 354, 0, true, ERR_CLOSED, 354, 250, false, 0,
		 TRANSITION_DEFER, true, 0},
		{"the third unanswered dot", 250, 250, 354, 0, true, ERR_CLOSED, 354, 250, false, 2,
		 TRANSITION_HOLD, true, 0},
		/* S221 */
		{"RCPT 550", 250, 550, 354, 250, true, ERR_OK, 250, 550, true, 0, TRANSITION_FAIL,
		 false, 550},
		{"RCPT 450", 250, 450, 354, 250, true, ERR_OK, 250, 450, false, 0, TRANSITION_DEFER,
		 false, 450},
		{"RCPT 552", 250, 552, 354, 250, true, ERR_OK, 250, 552, true, 0, TRANSITION_FAIL,
		 false, 552},
		{"RCPT 421", 250, 421, 0, 0, false, ERR_CLOSED, 0, 421, false, 0, TRANSITION_DEFER,
		 false, 421},
		{"RCPT never answered", 250, 0, 0, 0, false, ERR_CLOSED, 0, 0, false, 0,
		 TRANSITION_DEFER, false, 0},
		/* one reply too many in front of it, perhaps: not to be believed */
		{"RCPT 550, then nonsense", 250, 550, 250, 0, false, ERR_SYNTAX, 451, 451, false, 0,
		 TRANSITION_DEFER, false, 0},
		{"RCPT 550, nonsense after the dot", 250, 550, 354, 0, true, ERR_SYNTAX, 0, 550,
		 true, 0, TRANSITION_FAIL, false, 550},
		/* S222: DATA was never sent; the recipient's own status counts */
		{"all refused", 250, 450, 0, 0, false, ERR_OK, 554, 450, false, 0, TRANSITION_DEFER,
		 false, 450},
		/* S223 */
		{"MAIL 421", 421, 0, 0, 0, false, ERR_OK, 0, 0, false, 0, TRANSITION_DEFER, false,
		 421},
		{"DATA 421", 250, 250, 421, 0, false, ERR_OK, 421, 250, false, 0, TRANSITION_DEFER,
		 false, 421},
		{"421 after the dot", 250, 250, 354, 421, true, ERR_OK, 421, 250, false, 0,
		 TRANSITION_DEFER, false, 421},
		/* S225 */
		{"MAIL 550", 550, 0, 0, 0, false, ERR_OK, 0, 0, false, 0, TRANSITION_FAIL, false,
		 550},
		{"MAIL 451", 451, 0, 0, 0, false, ERR_OK, 0, 0, false, 0, TRANSITION_DEFER, false,
		 451},
		{"MAIL 530", 530, 0, 0, 0, false, ERR_OK, 0, 0, false, 0, TRANSITION_DEFER, false,
		 530},
		{"DATA 554", 250, 250, 554, 0, false, ERR_OK, 554, 250, false, 0, TRANSITION_FAIL,
		 false, 554},
		{"DATA 451", 250, 250, 451, 0, false, ERR_OK, 451, 250, false, 0, TRANSITION_DEFER,
		 false, 451},
		{"250 in place of 354", 250, 250, 250, 0, false, ERR_SYNTAX, 250, 250, false, 0,
		 TRANSITION_DEFER, false, 0},
		/* the record is the truth; where libesmtp disagrees: later */
		{"libesmtp saw 451", 250, 250, 354, 250, true, ERR_OK, 451, 250, false, 0,
		 TRANSITION_DEFER, true, 250},
		{"libesmtp saw nothing", 250, 250, 354, 250, true, ERR_OK, 0, 0, false, 0,
		 TRANSITION_DEFER, true, 250},
		{"libesmtp: not complete", 250, 250, 354, 250, true, ERR_OK, 250, 250, false, 0,
		 TRANSITION_DEFER, true, 250},
		{"nothing happened", 0, 0, 0, 0, false, ERR_OK, 0, 0, false, 0, TRANSITION_DEFER,
		 false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome outcome;

		decide(&rows[i], &outcome);
		ck_assert_msg(outcome.transition == rows[i].want, "%s: %d", rows[i].name,
			      (int)outcome.transition);
		ck_assert_msg(outcome.in_doubt == rows[i].want_doubt, "%s", rows[i].name);
		ck_assert_msg(outcome.reason[0] != '\0', "%s", rows[i].name);
	}
}
END_TEST

/* RFC 3463: ours only where no reply speaks; that it took too long only where nothing is known. */
START_TEST(the_status_of_what_nobody_said)
{
	static const struct hop_reply said = {.code = 450};
	struct job job = {.count = 1};
	struct outcome outcome = {.transition = TRANSITION_EXPIRE};

	ck_assert_str_eq(outcome_status(&job, &outcome), "5.4.7");
	outcome.transition = TRANSITION_FAIL;
	ck_assert_ptr_null(outcome_status(&job, &outcome));
	outcome.trouble = TROUBLE_NETWORK;
	ck_assert_str_eq(outcome_status(&job, &outcome), "4.4.1");
	snprintf(job.record.remote, sizeof(job.record.remote), "[::1]:25");
	ck_assert_str_eq(outcome_status(&job, &outcome), "4.4.2");
	outcome.reply = &said;
	ck_assert_ptr_null(outcome_status(&job, &outcome));
}
END_TEST

START_TEST(settlements_wait_longer_in_doubt_and_expire)
{
	struct delivery_options options = {
		.schedule_ms = schedule, .schedule_count = 2, .expire_after_ms = 3600000};
	struct claimed_message message = {.received_at = 1000000};
	struct claimed_recipient claimed = {
		.id = 7, .lease = 9, .attempts = 1, .waiting_since = 1000000};
	struct job_recipient recipient = {.claimed = &claimed};
	struct job job = {.message = &message, .options = &options, .count = 1};
	struct outcome outcome = {.transition = TRANSITION_DEFER};
	struct settlement s;

	outcome_settle(&job, &recipient, &outcome, 2000000, 0, &s);
	ck_assert_int_eq(s.outcome, TRANSITION_DEFER);
	ck_assert_int_eq(s.next_attempt_at, 2000000 + 600000);
	ck_assert_int_eq(s.recipient, 7);
	ck_assert_int_eq(s.lease, 9);
	outcome.in_doubt = true;
	outcome_settle(&job, &recipient, &outcome, 2000000, 0, &s);
	ck_assert_int_eq(s.next_attempt_at, 2000000 + 4 * 600000);
	ck_assert(s.in_doubt);
	/* Put back by a person: the waiting began anew, however old the message is. */
	claimed.waiting_since = 1000000 + 3600000;
	outcome_expire(&job, &recipient, 1000000 + 3600000, &outcome);
	ck_assert_int_eq(outcome.transition, TRANSITION_DEFER);
	claimed.waiting_since = 1000000;
	outcome_expire(&job, &recipient, 1000000 + 3599999, &outcome);
	ck_assert_int_eq(outcome.transition, TRANSITION_DEFER);
	snprintf(outcome.reason, sizeof(outcome.reason), "no answer");
	outcome_expire(&job, &recipient, 1000000 + 3600000, &outcome);
	ck_assert_str_eq(outcome.reason, "waited longer than allowed; last: no answer");
	outcome_settle(&job, &recipient, &outcome, 1000000 + 3600000, 0, &s);
	ck_assert_int_eq(s.outcome, TRANSITION_EXPIRE);
	/* Only what would wait once more does. */
	outcome.transition = TRANSITION_HOLD;
	outcome_expire(&job, &recipient, 1000000 + 3600000, &outcome);
	ck_assert_int_eq(outcome.transition, TRANSITION_HOLD);
	outcome = (struct outcome){.transition = TRANSITION_UNCLAIM, .again_at = 77};
	outcome_settle(&job, &recipient, &outcome, 2000000, 0, &s);
	ck_assert_int_eq(s.next_attempt_at, 77);
	ck_assert_ptr_null(s.reason);
}
END_TEST

/* The guard judges again on the new connection; what it said on the old one is over. */
START_TEST(a_redial_forgets_what_was_dropped)
{
	static struct delivery_options options;
	static struct claimed_message message;
	struct claimed_recipient claimed = {.id = 7};
	struct job *job = job_new(&message, &options, NULL, 1);
	struct outcome outcome;

	job->count = 1;
	job->recipients[0].claimed = &claimed;
	job->recipients[0].dropped = true;
	job_forget(job);
	job->record.mail.code = job->recipients[0].reply.code = 250;
	job->record.data.code = 354;
	job->record.final.code = 250;
	job->record.dot_sent = true;
	job->esmtp.transfer_code = job->recipients[0].esmtp_code = 250;
	job->recipients[0].esmtp_complete = true;
	outcome_decide(job, &job->recipients[0], &outcome);
	ck_assert_int_eq(outcome.transition, TRANSITION_DELIVER);
	job_free(&job);
}
END_TEST

/* RFC 2033 4.2: a reply of one's own is the truth, whatever happened to the others. */
START_TEST(with_lmtp_each_has_its_own)
{
	static const struct {
		int final;
		enum err_code broken;
		int transfer; /* libesmtp's view */
		enum transition want;
		bool want_doubt;
	} rows[] = {
		{250, ERR_OK, 250, TRANSITION_DELIVER, false},
		{250, ERR_CLOSED, 354, TRANSITION_DELIVER, false},
		{250, ERR_OK, 354, TRANSITION_DEFER, true}, /* it may not have said all of it */
		{452, ERR_OK, 250, TRANSITION_DEFER, false},
		{452, ERR_TIMEOUT, 354, TRANSITION_DEFER, false},
		{550, ERR_OK, 250, TRANSITION_FAIL, false},
		{550, ERR_CLOSED, 354, TRANSITION_FAIL, false},
		{0, ERR_CLOSED, 354, TRANSITION_DEFER, true},
		{0, ERR_TIMEOUT, 354, TRANSITION_DEFER, true},
	};
	static const struct route_options route = {.name = "mailboxes", .protocol = ROUTE_LMTP};
	static struct delivery_options options;
	static struct claimed_message message;
	struct claimed_recipient claimed = {.id = 7};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct job *job = job_new(&message, &options, &route, 1);
		struct outcome outcome;

		job->count = 1;
		job->recipients[0].claimed = &claimed;
		job->record.mail.code = job->recipients[0].reply.code = 250;
		job->record.data.code = 354;
		job->recipients[0].final.code = rows[i].final;
		job->record.final.code = 250; /* nobody's */
		job->record.dot_sent = true;
		job->record.broken = rows[i].broken;
		job->esmtp.transfer_code = rows[i].transfer;
		job->recipients[0].esmtp_code = 250;
		job->recipients[0].esmtp_complete = true;
		outcome_decide(job, &job->recipients[0], &outcome);
		ck_assert_msg(outcome.transition == rows[i].want, "row %zu", i);
		ck_assert_msg(outcome.in_doubt == rows[i].want_doubt, "row %zu", i);
		job_free(&job);
	}
}
END_TEST

UNIT_MAIN("deliver/outcome", the_truth_table, the_status_of_what_nobody_said,
	  settlements_wait_longer_in_doubt_and_expire, a_redial_forgets_what_was_dropped,
	  with_lmtp_each_has_its_own)
