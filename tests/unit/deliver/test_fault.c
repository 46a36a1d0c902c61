/* tests relay/deliver/fault.c and bouncer.c: what fault rules decided, through store and delivery
 */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "queue/act.h"
#include "relay/deliver/deliver.h"
#include "relay/filter/fate.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

static const char bounce_text[] = "bounce 1 550 5.1.1 gone No such user";

static struct ulid accept_struck(struct rig *r, const char *sender, const char *const *recipients,
				 const char *fault)
{
	static const char bytes[] = "Subject: test\r\nMessage-ID: <1@x.test>\r\n\r\nhello\r\n";
	struct ulid id;

	r->fault = fault;
	id = rig_accept(r, sender, recipients, bytes, sizeof(bytes) - 1);
	r->fault = NULL;
	return id;
}

/* The newest message but `id`, or false when there is none. */
static bool find_other(struct rig *r, const struct ulid *id, struct message_view *view_out)
{
	struct message_view *views;
	size_t count = rig_messages(r, &views);

	for (size_t i = 0; i < count; i++)
		if (!ulid_equal(&views[i].m.id, id)) {
			*view_out = views[i];
			return true;
		}
	return false;
}

START_TEST(put_off_twice_then_delivered)
{
	static const char *const ann[] = {"ann@ok.test", NULL};
	const struct recipient_view *view;
	struct ulid id;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.schedule[0] = 20;
	rig_deliver(&r);
	id = accept_struck(&r, "", ann, "defer 2 452 4.2.2 full Mailbox full");
	view = rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(view->attempts, 3);
	ck_assert_uint_eq(view->history_count, 4);
	for (size_t i = 1; i <= 2; i++) {
		ck_assert_str_eq(view->history[i].event, "deferred");
		ck_assert_str_eq(view->history[i].reason,
				 "fault rule full: 452 4.2.2 Mailbox full");
		ck_assert_int_eq(view->history[i].reply_code, 452);
		ck_assert_str_eq(view->history[i].reply_text, "Mailbox full");
		ck_assert_ptr_null(view->history[i].remote);
	}
	/* The next hop heard of it once. */
	ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 1);
	rig_stop(&r);
}
END_TEST

START_TEST(a_bounce_fails_and_is_reported_to_an_allowed_sender)
{
	static const char *const two[] = {"gone@other.test", "gone2@other.test", NULL};
	const struct recipient_view *view;
	const struct nexthop_mail *mail;
	struct message_view report;
	struct ulid id;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	id = accept_struck(&r, "app@ok.test", two, bounce_text);
	view = rig_await(&r, &id, "gone@other.test", STATE_FAILED);
	ck_assert_str_eq(view->reason, "fault rule gone: 550 5.1.1 No such user");
	ck_assert_int_eq(view->reply_code, 550);
	ck_assert_int_eq(view->attempts, 1);
	rig_await(&r, &id, "gone2@other.test", STATE_FAILED);
	ck_assert(nexthop_wait_mails(r.hop, 1, RIG_WAIT_MS));
	mail = nexthop_mail(r.hop, 0);
	ck_assert_ptr_nonnull(strstr(mail->mail, "MAIL FROM:<>"));
	ck_assert_str_eq(mail->rcpt[0], "RCPT TO:<app@ok.test>");
	ck_assert_int_eq(strncmp(mail->data, "Received: by ", 13), 0);
	ck_assert_ptr_nonnull(strstr(mail->data, "Final-Recipient: rfc822; gone@other.test\r\n"));
	ck_assert_ptr_nonnull(strstr(mail->data, "Final-Recipient: rfc822; gone2@other.test\r\n"));
	ck_assert_ptr_nonnull(strstr(mail->data, "In-Reply-To: <1@x.test>\r\n"));
	ck_assert_ptr_nonnull(strstr(mail->data, "message/rfc822\r\n\r\nSubject: test\r\n"));
	/* Nothing was said to anybody else. */
	ck_assert(!nexthop_saw(r.hop, "RCPT TO:<gone"));
	ck_assert(find_other(&r, &id, &report));
	ck_assert_str_eq(report.m.origin, "bounce");
	ck_assert_str_eq(report.m.sender, "");
	ck_assert_uint_eq(report.recipient_count, 1);
	rig_stop(&r);
}
END_TEST

/* S173: the report passes the filter like any mail. */
START_TEST(a_report_to_somebody_else_is_recorded_and_dropped)
{
	static const char *const gone[] = {"gone@other.test", NULL};
	struct message_view report;
	struct ulid id;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	id = accept_struck(&r, "customer@real.test", gone, bounce_text);
	rig_await(&r, &id, "gone@other.test", STATE_FAILED);
	ck_assert(find_other(&r, &id, &report));
	ck_assert_str_eq(report.recipients[0].address, "customer@real.test");
	ck_assert_int_eq(report.recipients[0].state, STATE_DROPPED);
	ck_assert_str_eq(report.recipients[0].ruling.verdict, "drop");
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_stop(&r);
}
END_TEST

START_TEST(nobody_is_told_of_a_message_from_nobody)
{
	static const char *const gone[] = {"gone@other.test", NULL};
	struct message_view report;
	struct ulid id;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	id = accept_struck(&r, "", gone, bounce_text);
	rig_await(&r, &id, "gone@other.test", STATE_FAILED);
	ck_assert(!find_other(&r, &id, &report));
	rig_stop(&r);
}
END_TEST

/* The rest of the message goes its way; RFC 3461: NOTIFY=NEVER wants no report. */
START_TEST(the_others_are_delivered)
{
	static const char *const ann[] = {"ann@ok.test", "bob@ok.test", NULL};
	struct message_view report;
	struct ulid id;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	r.fault_for = "bob@ok.test";
	r.notify = "NEVER";
	id = accept_struck(&r, "app@ok.test", ann, bounce_text);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "bob@ok.test", STATE_FAILED);
	ck_assert(!find_other(&r, &id, &report));
	rig_stop(&r);
}
END_TEST

static bool allow(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	return false;
}

/* A person may want it tried after all: then the list is asked, and nothing of the rule is left. */
START_TEST(a_retry_is_judged_like_any_other)
{
	static const char *const two[] = {"ann@ok.test", "gone@other.test", NULL};
	const struct act_judge judge = {allow, NULL};
	struct act act = {.transition = TRANSITION_RETRY, .now = clock_wall_ms(), .judge = &judge};
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	act.message = accept_struck(&r, "", two, bounce_text);
	rig_await(&r, &act.message, "ann@ok.test", STATE_FAILED);
	rig_await(&r, &act.message, "gone@other.test", STATE_FAILED);
	ck_assert_int_eq(store_wait(r.store, queue_act, &act.job, NULL), ERR_OK);
	rig_await(&r, &act.message, "ann@ok.test", STATE_DELIVERED);
	rig_await(&r, &act.message, "gone@other.test", STATE_DROPPED);
	rig_stop(&r);
}
END_TEST

/* What stands in the store and says nothing decides nothing. */
START_TEST(nonsense_changes_nothing)
{
	static const char *const two[] = {"ann@ok.test", "gone@other.test", NULL};
	struct ulid id;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	id = accept_struck(&r, "", two, "let it all out");
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "gone@other.test", STATE_DROPPED);
	rig_stop(&r);
}
END_TEST

/* 250 of them: each is told once, in reports of at most 100, and a stop in between loses none. */
START_TEST(many_at_once_and_a_stop)
{
	char addresses[99][40];
	const char *recipients[100] = {NULL};
	struct ulid ids[4];
	size_t told = 0;
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	for (size_t i = 0; i < 99; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "gone%zu@other.test", i);
		recipients[i] = addresses[i];
	}
	for (size_t i = 0; i < 4; i++)
		ids[i] = accept_struck(&r, "app@ok.test", recipients, bounce_text);
	rig_stop_delivery(&r, 5000);
	rig_deliver(&r);
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 99; k++)
			rig_await(&r, &ids[i], addresses[k], STATE_FAILED);
	ck_assert(nexthop_wait_mails(r.hop, 4, RIG_WAIT_MS));
	for (size_t i = 0; i < nexthop_mail_count(r.hop); i++)
		for (const char *at = nexthop_mail(r.hop, i)->data;
		     (at = strstr(at, "\r\nFinal-Recipient: ")) != NULL; at++)
			told++;
	ck_assert_uint_eq(told, 4 * 99);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/fault", put_off_twice_then_delivered,
	  a_bounce_fails_and_is_reported_to_an_allowed_sender,
	  a_report_to_somebody_else_is_recorded_and_dropped,
	  nobody_is_told_of_a_message_from_nobody, the_others_are_delivered,
	  a_retry_is_judged_like_any_other, nonsense_changes_nothing, many_at_once_and_a_stop)
