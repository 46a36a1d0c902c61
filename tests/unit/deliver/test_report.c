/* tests relay/deliver/settle.c and bouncer.c: who is told of real attempts, and of what */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/act.h"
#include "relay/deliver/bouncer.h"
#include "relay/deliver/deliver.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

static const char bytes[] = "Subject: test\r\nMessage-ID: <1@x.test>\r\n\r\nhello\r\n";
static const char *const three[] = {"ann@ok.test", "bob@ok.test", "cid@ok.test", NULL};
static const char *const bob[] = {"bob@ok.test", NULL};

static struct ulid accept_from(struct rig *r, const char *sender, const char *const *recipients)
{
	return rig_accept(r, sender, recipients, bytes, sizeof(bytes) - 1);
}

/* How many messages there are. */
static size_t message_count(struct rig *r)
{
	struct message_view *views;

	return rig_messages(r, &views);
}

static const char *report_to(struct rig *r, size_t index, const char *recipient)
{
	const struct nexthop_mail *mail;
	char line[100];

	ck_assert(nexthop_wait_mails(r->hop, index + 1, RIG_WAIT_MS));
	mail = nexthop_mail(r->hop, index);
	snprintf(line, sizeof(line), "RCPT TO:<%s>", recipient);
	ck_assert_str_eq(mail->rcpt[0], line);
	ck_assert_uint_eq(mail->rcpt_count, 1);
	ck_assert_int_eq(strncmp(mail->mail, "MAIL FROM:<>", 12), 0);
	return mail->data;
}

static void expect(const char *report, const char *const *there, const char *const *absent)
{
	for (; *there != NULL; there++)
		ck_assert_msg(strstr(report, *there) != NULL, "%s is missing:\n%s", *there, report);
	for (; *absent != NULL; absent++)
		ck_assert_msg(strstr(report, *absent) == NULL, "%s is there:\n%s", *absent, report);
}

/* S213, S221: two of three are refused, and told of in one report; the third is not in it. */
START_TEST(what_the_next_hop_refused_is_told_once)
{
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "550 5.1.1 No such user\r\n", .match = "<bob@"},
		{AT_RCPT, DO_REPLY, "552 5.2.2 Mailbox full\r\n", .match = "<cid@"},
	};
	const char *report;
	struct ulid id;
	struct rig r;

	rig_open(&r, steps, 2, NULL);
	r.options.bounces = true;
	rig_deliver(&r);
	id = accept_from(&r, "app@ok.test", three);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "bob@ok.test", STATE_FAILED);
	rig_await(&r, &id, "cid@ok.test", STATE_FAILED);
	report = report_to(&r, 1, "app@ok.test");
	expect(report,
	       (const char *const[]){
		       "\r\nFinal-Recipient: rfc822; bob@ok.test\r\nAction: failed\r\n"
		       "Status: 5.1.1\r\n",
		       "\r\nFinal-Recipient: rfc822; cid@ok.test\r\nAction: failed\r\n"
		       "Status: 5.2.2\r\n",
		       "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n",
		       "Remote-MTA: dns; [127.0.0.1]\r\n", "In-Reply-To: <1@x.test>\r\n",
		       "Auto-Submitted: auto-replied\r\n", NULL},
	       (const char *const[]){"ann@ok.test", NULL});
	ck_assert_uint_eq(message_count(&r), 2);
	rig_stop(&r);
}
END_TEST

/* A refusal of the whole message is one of each recipient. */
START_TEST(a_refused_message_is_told_for_each)
{
	static const struct nexthop_step step = {AT_DOT, DO_REPLY, "554 5.7.1 Spam\r\n", .from = 1,
						 .to = 1};
	const char *report;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.options.bounces = true;
	rig_deliver(&r);
	accept_from(&r, "app@ok.test", three);
	report = report_to(&r, 0, "app@ok.test");
	expect(report,
	       (const char *const[]){"rfc822; ann@ok.test\r\n", "rfc822; bob@ok.test\r\n",
				     "rfc822; cid@ok.test\r\n",
				     "Diagnostic-Code: smtp; 554 5.7.1 Spam\r\n", NULL},
	       (const char *const[]){NULL});
	rig_stop(&r);
}
END_TEST

/* S224: 4xx for ever ends with expire_after, in a state that says so, and with a report. */
START_TEST(s224_what_waited_too_long_is_told)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 4.2.1 Try later\r\n",
						 .match = "<bob@"};
	const struct recipient_view *view;
	const char *report;
	struct ulid id;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 50;
	r.options.expire_after_ms = 400;
	r.options.bounces = true;
	rig_deliver(&r);
	id = accept_from(&r, "app@ok.test", bob);
	view = rig_await(&r, &id, "bob@ok.test", STATE_EXPIRED);
	ck_assert_str_eq(view->reason,
			 "waited longer than allowed; last: RCPT TO: 450 4.2.1 Try later");
	ck_assert_int_eq(view->reply_code, 450);
	ck_assert_int_ge(view->attempts, 2);
	ck_assert_str_eq(view->history[view->history_count - 1].event, "expired");
	report = report_to(&r, 0, "app@ok.test");
	expect(report,
	       (const char *const[]){"Action: failed\r\n", "waited longer than allowed",
				     "Diagnostic-Code: smtp; 450 4.2.1 Try later\r\n", NULL},
	       (const char *const[]){NULL});
	/* Nothing of it comes back. */
	usleep(200000);
	ck_assert_uint_eq(message_count(&r), 2);
	rig_stop(&r);
}
END_TEST

/* A message for bob of which nobody is told. */
struct silence {
	const char *name;
	const char *sender;
	const char *notify;
	bool bounces;
	int64_t age_ms;
};

static void expect_silence(const struct nexthop_step *step, const struct silence *row,
			   enum state state)
{
	struct ulid id;
	struct rig r;

	rig_open(&r, step, 1, NULL);
	r.options.bounces = row->bounces;
	r.age_ms = row->age_ms;
	r.notify = row->notify;
	rig_deliver(&r);
	id = accept_from(&r, row->sender, bob);
	rig_await(&r, &id, "bob@ok.test", state);
	ck_assert_msg(message_count(&r) == 1, "%s", row->name);
	rig_stop(&r);
}

/* RFC 3461 4.1, RFC 5321 6.1. */
START_TEST(who_is_not_told)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "550 5.1.1 No such user\r\n",
						 .match = "<bob@"};
	static const struct silence rows[] = {
		{"from nobody", "", NULL, true},
		{"NOTIFY=NEVER", "app@ok.test", "NEVER", true},
		{"NOTIFY without FAILURE", "app@ok.test", "SUCCESS,DELAY", true},
		{"bounces: false", "app@ok.test", "FAILURE", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_silence(&step, &rows[i], STATE_FAILED);
}
END_TEST

/* A report that fails in its turn is the end of it: no loop, whoever refuses. */
START_TEST(no_report_about_a_report)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "550 5.1.1 No such user\r\n"};
	struct message_view *views;
	size_t count;
	struct ulid id, report = {{0}};
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.options.bounces = true;
	rig_deliver(&r);
	id = accept_from(&r, "app@ok.test", bob);
	rig_await(&r, &id, "bob@ok.test", STATE_FAILED);
	count = rig_messages(&r, &views);
	ck_assert_uint_eq(count, 2);
	for (size_t i = 0; i < count; i++)
		if (!ulid_equal(&views[i].m.id, &id))
			report = views[i].m.id;
	rig_await(&r, &report, "app@ok.test", STATE_FAILED);
	ck_assert_uint_eq(message_count(&r), 2);
	rig_stop(&r);
}
END_TEST

/* What a person stopped, or the list, was nobody's failure. */
START_TEST(dropped_and_cancelled_mail_is_not_told)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 4.2.1 Later\r\n"};
	static const char *const two[] = {"bob@ok.test", "eve@other.test", NULL};
	struct act act = {.transition = TRANSITION_CANCEL, .now = clock_wall_ms()};
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.options.bounces = true;
	rig_deliver(&r);
	act.message = accept_from(&r, "app@ok.test", two);
	rig_await(&r, &act.message, "eve@other.test", STATE_DROPPED);
	rig_await(&r, &act.message, "bob@ok.test", STATE_DEFERRED);
	ck_assert_int_eq(store_wait(r.store, queue_act, &act.job, NULL), ERR_OK);
	rig_await(&r, &act.message, "bob@ok.test", STATE_CANCELLED);
	ck_assert_uint_eq(message_count(&r), 1);
	rig_stop(&r);
}
END_TEST

/* RFC 3461 5.2.2: a next hop without DSN can't tell, so we do; one with DSN gets the parameters. */
START_TEST(success_is_told_once_by_whoever_can)
{
	static const struct {
		const char *ehlo;
		const char *notify;
		const char *sender;
		bool told;
	} rows[] = {
		{"PIPELINING", "SUCCESS", "app@ok.test", true},
		{"PIPELINING", "SUCCESS,FAILURE", "app@ok.test", true},
		{"PIPELINING\nDSN", "SUCCESS", "app@ok.test", false},
		{"PIPELINING", "FAILURE", "app@ok.test", false},
		{"PIPELINING", NULL, "app@ok.test", false},
		{"PIPELINING", "SUCCESS", "", false},
		/* Good news is no reason to fill the store with reports that go nowhere. */
		{"PIPELINING", "SUCCESS", "customer@real.test", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ulid id;
		struct rig r;

		rig_open(&r, NULL, 0, rows[i].ehlo);
		r.options.bounces = true;
		r.notify = rows[i].notify;
		rig_deliver(&r);
		id = accept_from(&r, rows[i].sender, three);
		for (size_t k = 0; k < 3; k++)
			rig_await(&r, &id, three[k], STATE_DELIVERED);
		if (rows[i].told)
			expect(report_to(&r, 1, "app@ok.test"),
			       (const char *const[]){"Subject: Successful Mail Delivery Report\r\n",
						     "rfc822; ann@ok.test\r\nAction: "
						     "relayed\r\nStatus: 2.0.0\r\n",
						     "rfc822; bob@ok.test\r\n",
						     "rfc822; cid@ok.test\r\n",
						     "text/rfc822-headers", NULL},
			       (const char *const[]){"hello\r\n", "failed", NULL});
		ck_assert_msg(message_count(&r) == (rows[i].told ? 2 : 1), "row %zu", i);
		ck_assert_int_eq(nexthop_saw(r.hop, "NOTIFY="),
				 strstr(rows[i].ehlo, "DSN") != NULL);
		rig_stop(&r);
	}
}
END_TEST

/* Behind LMTP there is nobody who would pass it on: delivered (RFC 3464 2.3.3). */
START_TEST(success_by_lmtp_is_delivery)
{
	struct ulid id;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	nexthop_stop(&r.hop);
	r.hop = nexthop_start_unix(NULL, 0, "PIPELINING");
	r.host = nexthop_address(r.hop);
	r.route.protocol = ROUTE_LMTP;
	r.options.bounces = true;
	r.notify = "SUCCESS";
	rig_deliver(&r);
	id = accept_from(&r, "app@ok.test", bob);
	rig_await(&r, &id, "bob@ok.test", STATE_DELIVERED);
	expect(report_to(&r, 1, "app@ok.test"),
	       (const char *const[]){"rfc822; bob@ok.test\r\nAction: delivered\r\n",
				     "It was delivered to:", NULL},
	       (const char *const[]){"Remote-MTA", NULL});
	rig_stop(&r);
}
END_TEST

/* Nobody answers until it is too late: the status is that of the trouble (RFC 3463 3.5). */
START_TEST(the_status_is_that_of_the_trouble)
{
	static const struct nexthop_step step = {AT_MAIL, DO_DROP, .from = 1, .to = 1};
	struct ulid id;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.options.expire_after_ms = 1;
	r.options.bounces = true;
	rig_deliver(&r);
	id = accept_from(&r, "app@ok.test", bob);
	rig_await(&r, &id, "bob@ok.test", STATE_EXPIRED);
	expect(report_to(&r, 0, "app@ok.test"),
	       (const char *const[]){"Action: failed\r\nStatus: 4.4.2\r\n",
				     "waited longer than allowed; last: the next hop closed the "
				     "connection\r\n",
				     NULL},
	       (const char *const[]){"Diagnostic-Code", NULL});
	rig_stop(&r);
}
END_TEST

/* Some were taken and one refused, and the sender wants to know of both: one report. */
START_TEST(success_and_failure_in_one_report)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "550 5.1.1 No such user\r\n",
						 .match = "<bob@"};
	struct rig r;

	rig_open(&r, &step, 1, "PIPELINING");
	r.options.bounces = true;
	r.notify = "SUCCESS,FAILURE";
	rig_deliver(&r);
	accept_from(&r, "app@ok.test", three);
	expect(report_to(&r, 1, "app@ok.test"),
	       (const char *const[]){"rfc822; ann@ok.test\r\nAction: relayed\r\n",
				     "rfc822; bob@ok.test\r\nAction: failed\r\n",
				     "rfc822; cid@ok.test\r\nAction: relayed\r\n", "message/rfc822",
				     NULL},
	       (const char *const[]){NULL});
	ck_assert_uint_eq(message_count(&r), 2);
	rig_stop(&r);
}
END_TEST

/* RFC 3461 4.1: who asked for it hears once that it takes long, and then how it ended. */
START_TEST(a_delay_is_told_once)
{
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "450 4.2.1 Later\r\n", .match = "<bob@", .from = 1, .to = 5},
		{AT_RCPT, DO_REPLY, "550 5.2.1 Never\r\n", .match = "<bob@"},
	};
	const struct recipient_view *view;
	struct ulid id;
	struct rig r;

	rig_open(&r, steps, 2, NULL);
	r.schedule[0] = 100;
	r.options.bounces = true;
	r.options.expire_after_ms = 2 * 86400000;
	r.age_ms = BOUNCE_DELAY_MS;
	r.notify = "FAILURE,DELAY";
	rig_deliver(&r);
	id = accept_from(&r, "app@ok.test", bob);
	expect(report_to(&r, 0, "app@ok.test"),
	       (const char *const[]){"Subject: Delayed Mail (still being retried)\r\n",
				     "rfc822; bob@ok.test\r\nAction: delayed\r\nStatus: 4.2.1\r\n",
				     "Will-Retry-Until: ", "text/rfc822-headers", NULL},
	       (const char *const[]){"hello", "could not", NULL});
	view = rig_await(&r, &id, "bob@ok.test", STATE_FAILED);
	ck_assert_int_ge(view->attempts, 3);
	expect(report_to(&r, 1, "app@ok.test"), (const char *const[]){"Action: failed\r\n", NULL},
	       (const char *const[]){"delayed", NULL});
	ck_assert_uint_eq(message_count(&r), 3);
	rig_stop(&r);
}
END_TEST

START_TEST(a_delay_is_told_to_those_who_asked)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 4.2.1 Later\r\n",
						 .match = "<bob@"};
	static const struct silence rows[] = {
		{"nothing was asked", "app@ok.test", NULL, true, BOUNCE_DELAY_MS},
		{"something else was", "app@ok.test", "SUCCESS,FAILURE", true, BOUNCE_DELAY_MS},
		{"it is not late", "app@ok.test", "DELAY", true, BOUNCE_DELAY_MS - 60000},
		{"from nobody", "", "DELAY", true, BOUNCE_DELAY_MS},
		{"not allowed", "customer@real.test", "DELAY", true, BOUNCE_DELAY_MS},
		{"no bounces", "app@ok.test", "DELAY", false, BOUNCE_DELAY_MS},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_silence(&step, &rows[i], STATE_DEFERRED);
}
END_TEST

/* Mail that waits for a route that stands still is never tried: its sender hears of it all the
 * same. */
START_TEST(a_delay_of_what_was_put_away)
{
	struct pause pause = {.route = "default", .paused = true, .now = clock_wall_ms()};
	static const char *const all[] = {"ok.test"};
	struct ulid id;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.options.bounces = true;
	r.notify = "DELAY";
	r.age_ms = BOUNCE_DELAY_MS - 1000;
	r.route.domains = all;
	ck_assert_int_eq(store_wait(r.store, queue_pause, &pause.job, NULL), ERR_OK);
	rig_deliver(&r);
	id = accept_from(&r, "app@ok.test", bob);
	for (int64_t end = clock_mono_ms() + RIG_WAIT_MS; message_count(&r) < 2; usleep(50000))
		ck_assert_int_lt(clock_mono_ms(), end);
	/* Once. */
	usleep(1500000);
	ck_assert_uint_eq(message_count(&r), 2);
	ck_assert_int_eq(rig_recipient(&r, &id, "bob@ok.test")->attempts, 0);
	pause.paused = false;
	ck_assert_int_eq(store_wait(r.store, queue_pause, &pause.job, NULL), ERR_OK);
	rig_await(&r, &id, "bob@ok.test", STATE_DELIVERED);
	ck_assert(nexthop_wait_mails(r.hop, 2, RIG_WAIT_MS));
	ck_assert(nexthop_saw(r.hop, "\r\nAction: delayed\r\n"));
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/report", what_the_next_hop_refused_is_told_once,
	  a_refused_message_is_told_for_each, s224_what_waited_too_long_is_told, who_is_not_told,
	  no_report_about_a_report, success_is_told_once_by_whoever_can,
	  success_by_lmtp_is_delivery, the_status_is_that_of_the_trouble,
	  success_and_failure_in_one_report, dropped_and_cancelled_mail_is_not_told,
	  a_delay_is_told_once, a_delay_is_told_to_those_who_asked, a_delay_of_what_was_put_away)
