/* tests relay/deliver/bounce.c: the report, byte by byte where it matters */
#include "relay/deliver/bounce.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/deliver/bounce_sample.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(the_usual_report)
{
	static const char want[] =
		"From: Mail Delivery System <MAILER-DAEMON@relay.test>\r\n"
		"To: <app@shop.test>\r\n"
		"Subject: Undelivered Mail Returned to Sender\r\n"
		"Date: Sat, 21 Nov 2026 10:20:31 +0000\r\n"
		"Message-ID: <01041061050R3GG28A1C60T3GF@relay.test>\r\n"
		"In-Reply-To: <1@shop.test>\r\n"
		"References: <1@shop.test>\r\n"
		"Auto-Submitted: auto-replied\r\n"
		"MIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; report-type=delivery-status;\r\n"
		"\tboundary=\"=_01041061050R3GG28A1C60T3GF\"\r\n"
		"\r\n"
		"\r\n--=_01041061050R3GG28A1C60T3GF\r\n"
		"Content-Type: text/plain; charset=us-ascii\r\n"
		"\r\n"
		"This is the mail system at relay.test.\r\n"
		"\r\n"
		"This is about your message of Sat, 21 Nov 2026 10:20:30 +0000.\r\n"
		"\r\n"
		"It could not be delivered to:\r\n"
		"\r\n"
		"<bob@example.com>:\r\n"
		"    RCPT TO: 550 5.1.1 No such user\r\n"
		"    (next hop: mx.example.com[192.0.2.1]:25)\r\n"
		"\r\n"
		"No further attempt is made for what could not be delivered.\r\n"
		"Your message is attached.\r\n"
		"\r\n--=_01041061050R3GG28A1C60T3GF\r\n"
		"Content-Type: message/delivery-status\r\n"
		"\r\n"
		"Reporting-MTA: dns; relay.test\r\n"
		"X-Stagepost-Message: 020820C20A1G60R41050R30G20\r\n"
		"Arrival-Date: Sat, 21 Nov 2026 10:20:30 +0000\r\n"
		"\r\n"
		"Final-Recipient: rfc822; bob@example.com\r\n"
		"Action: failed\r\n"
		"Status: 5.1.1\r\n"
		"Remote-MTA: dns; mx.example.com\r\n"
		"Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
		"Last-Attempt-Date: Sat, 21 Nov 2026 10:20:31 +0000\r\n"
		"\r\n--=_01041061050R3GG28A1C60T3GF\r\n"
		"Content-Type: message/rfc822\r\n"
		"\r\n"
		"From: app@shop.test\r\nMessage-ID: <1@shop.test>\r\nSubject: hello\r\n\r\nbody\r\n"
		"\r\n--=_01041061050R3GG28A1C60T3GF--\r\n";
	struct bounce bounce = bounce_sample();
	struct bounce_facts facts;
	char *text = bounce_sample_text(&bounce, &facts);
	char ids[2][ULID_TEXT_SIZE];
	char *wanted = mem_strdup(want);

	/* The ids are what ulid_format makes of them. */
	ulid_format(&bounce.id, ids[0]);
	ulid_format(&bounce.original_id, ids[1]);
	for (char *at = wanted; (at = strstr(at, "01041061050R3GG28A1C60T3GF")) != NULL;)
		memcpy(at, ids[0], ULID_TEXT_SIZE - 1);
	memcpy(strstr(wanted, "020820C20A1G60R41050R30G20"), ids[1], ULID_TEXT_SIZE - 1);
	ck_assert_str_eq(text, wanted);
	ck_assert(!facts.has_8bit && !facts.smtputf8);
	mem_free(wanted);
	mem_free(text);
}
END_TEST

/* RFC 3461 5.2.3 (ENVID), 6.3 (ORCPT), 4.3 (RET), 4.1 (NOTIFY). */
START_TEST(what_the_sender_asked_for)
{
	struct bounce bounce = bounce_sample();
	struct bounce_recipient r = bounce_sample_bob;

	bounce.recipients = &r;
	bounce.envid = "QQ+2B314+2159";
	bounce.ret = "hdrs";
	r.orcpt = "rfc822;Bob+2Btag@example.com";
	bounce_sample_expect(
		&bounce,
		(const char *const[]){
			"\r\nOriginal-Envelope-Id: QQ+314!59\r\n",
			"\r\nOriginal-Recipient: rfc822; Bob+tag@example.com\r\nFinal",
			"Content-Type: text/rfc822-headers\r\n\r\nFrom: app@shop.test\r\n",
			"The header of your message is", NULL},
		(const char *const[]){"message/rfc822", "body\r\n", NULL});
	/* What is no parameter of theirs is left out, not copied. */
	bounce.envid = "a+0D+0AX: y";
	r.orcpt = "nonsense";
	bounce.ret = NULL;
	bounce_sample_expect(
		&bounce, (const char *const[]){"message/rfc822", NULL},
		(const char *const[]){"Original-Envelope-Id", "Original-Recipient", "X: y", NULL});
	bounce.envid = "a+0D+0AX:+20y";
	r.orcpt = "rfc822;a+0D+0AX:+20y";
	bounce_sample_expect(&bounce,
			     (const char *const[]){"Original-Envelope-Id: a??X: y\r\n",
						   "Original-Recipient: rfc822; a??X: y\r\n", NULL},
			     (const char *const[]){"\r\nX: y", NULL});
	ck_assert(bounce_has_addressee("a@b.test", NULL));
	ck_assert(bounce_has_addressee("a@b.test", "redirect"));
	ck_assert(!bounce_has_addressee("", NULL));
	ck_assert(!bounce_has_addressee("a@b.test", "bounce"));
}
END_TEST

/* RFC 3461 4.1 */
START_TEST(what_notify_asks_for)
{
	static const struct {
		const char *notify;
		bool failure, delay, success;
	} rows[] = {
		{NULL, true, false, false},
		{"FAILURE", true, false, false},
		{"DELAY,failure", true, true, false},
		{"NEVER", false, false, false},
		{"SUCCESS,DELAY", false, true, true},
		{"SUCCESS,FAILURE,DELAY", true, true, true},
		{"", false, false, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *notify = rows[i].notify;

		ck_assert_int_eq(bounce_is_wanted(notify, BOUNCE_FAILED), rows[i].failure);
		ck_assert_int_eq(bounce_is_wanted(notify, BOUNCE_DELAYED), rows[i].delay);
		ck_assert_int_eq(bounce_is_wanted(notify, BOUNCE_RELAYED), rows[i].success);
		ck_assert_int_eq(bounce_is_wanted(notify, BOUNCE_DELIVERED), rows[i].success);
	}
}
END_TEST

/* RFC 3464 2.3.3, and RFC 3461 4.3: only a failure brings the whole message back. */
START_TEST(each_thing_that_can_become_of_mail)
{
	static const struct {
		enum bounce_action action;
		int code;
		const char *there[5];
	} rows[] = {
		{BOUNCE_DELAYED,
		 450,
		 {"Subject: Delayed Mail (still being retried)\r\n",
		  "It has not been delivered yet, and is still tried, to:\r\n\r\n<bob@",
		  "Action: delayed\r\nStatus: 4.0.0\r\n",
		  "Will-Retry-Until: Mon, 23 Nov 2026 10:20:30 +0000\r\n"}},
		{BOUNCE_RELAYED,
		 250,
		 {"Subject: Successful Mail Delivery Report\r\n",
		  "a system that sends no such reports, for:\r\n\r\n<bob@",
		  "Action: relayed\r\nStatus: 2.0.0\r\n"}},
		{BOUNCE_DELIVERED,
		 250,
		 {"Subject: Successful Mail Delivery Report\r\n",
		  "It was delivered to:\r\n\r\n<bob@", "Action: delivered\r\nStatus: 2.0.0\r\n"}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bounce bounce = bounce_sample();
		struct bounce_recipient r[2] = {bounce_sample_bob, bounce_sample_bob};

		bounce.retry_until = BOUNCE_SAMPLE_ARRIVED + (int64_t)2 * 86400 * 1000;
		bounce.ret = "FULL";
		bounce.recipients = r;
		r[0].action = rows[i].action;
		r[0].reply_code = rows[i].code;
		bounce_sample_expect(&bounce, rows[i].there,
				     (const char *const[]){"could not", "message/rfc822", "failed",
							   "further", "body\r\n", NULL});
		/* With a failure beside it both are said, and the failure has the last word. */
		bounce.recipient_count = 2;
		bounce_sample_expect(&bounce, rows[i].there + 1,
				     (const char *const[]){"rfc822-headers", NULL});
		bounce_sample_expect(&bounce,
				     (const char *const[]){
					     "Subject: Undelivered Mail Returned", "message/rfc822",
					     "could not be delivered to:", "Action: failed\r\n",
					     "No further attempt", NULL},
				     (const char *const[]){NULL});
	}
}
END_TEST

/* What was put off until it was too late keeps the class of what was last said. */
START_TEST(the_status_of_what_expired)
{
	struct bounce bounce = bounce_sample();
	struct bounce_recipient r = bounce_sample_bob;

	bounce.recipients = &r;
	r.reply_code = 450;
	r.reply_enhanced = "4.2.1";
	bounce_sample_expect(&bounce,
			     (const char *const[]){"Action: failed\r\nStatus: 4.2.1\r\n", NULL},
			     (const char *const[]){NULL});
	r.reply_enhanced = "5.2.1";
	bounce_sample_expect(&bounce, (const char *const[]){"Status: 4.0.0\r\n", NULL},
			     (const char *const[]){NULL});
	r.status = "5.4.7";
	bounce_sample_expect(&bounce, (const char *const[]){"Status: 5.4.7\r\n", NULL},
			     (const char *const[]){NULL});
}
END_TEST

START_TEST(nothing_a_peer_says_makes_a_field)
{
	static const char evil[] = "x\r\nX-Evil: 1\r\n\r\n--=_";
	struct bounce bounce = bounce_sample();
	struct bounce_recipient r = {.action = BOUNCE_FAILED,
				     .address = "\"a\rb\"@x.test",
				     .reply_code = 550,
				     .reply_enhanced = "",
				     .reply_text = evil,
				     .remote = "mx\r\nX-Evil: 2[1]:25",
				     .reason = evil};

	bounce.recipients = &r;
	bounce_sample_expect(&bounce,
			     (const char *const[]){"\r\nStatus: 5.0.0\r\n",
						   "Diagnostic-Code: smtp; 550 x??X-Evil: 1?"
						   "?"
						   "?"
						   "?--=_\r\n",
						   "Final-Recipient: rfc822; \"a?b\"@x.test\r\n",
						   NULL},
			     (const char *const[]){"\r\nX-Evil", "\n--=_\r\n", NULL});
	/* Bytes that are no UTF-8 never get out, nor do the others where they must not. */
	r.reply_text = "gr\xc3\xbc\xc3\x9f\x65 \xff";
	bounce_sample_expect(&bounce, (const char *const[]){"550 gr????e ?\r\n", NULL},
			     (const char *const[]){"\xff", "\xc3", NULL});
	/* Nothing was said. */
	r = (struct bounce_recipient){
		.action = BOUNCE_FAILED, .address = "a@x.test", .reason = "tried for 2 days"};
	bounce_sample_expect(&bounce,
			     (const char *const[]){"Status: 5.0.0\r\nLast-Attempt-Date", NULL},
			     (const char *const[]){"Diagnostic-Code", "Remote-MTA", NULL});
}
END_TEST

/* RFC 3464 2.3.5 */
START_TEST(who_said_it)
{
	static const struct {
		const char *remote;
		const char *field;
	} rows[] = {
		{"mx.test[192.0.2.1]:25", "Remote-MTA: dns; mx.test\r\n"},
		{"mx.test[2001:db8::1]:25", "Remote-MTA: dns; mx.test\r\n"},
		{"192.0.2.1:25", "Remote-MTA: dns; [192.0.2.1]\r\n"},
		{"[2001:db8::1]:25", "Remote-MTA: dns; [IPv6:2001:db8::1]\r\n"},
		{"unix:/run/lmtp", NULL},
		{"[", "Remote-MTA: dns; [IPv6:]\r\n"},
		{"", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bounce bounce = bounce_sample();
		struct bounce_recipient r = bounce_sample_bob;

		bounce.recipients = &r;
		r.remote = rows[i].remote;
		bounce_sample_expect(
			&bounce,
			(const char *const[]){rows[i].field != NULL ? rows[i].field : "Status",
					      NULL},
			(const char *const[]){
				rows[i].field == NULL ? "Remote-MTA" : "\r\n\r\n\r\n\r\n", NULL});
	}
}
END_TEST

START_TEST(message_ids_that_can_be_quoted)
{
	static const struct {
		const char *field;
		bool quoted;
	} rows[] = {
		{"Message-ID: <a@b.test>\r\n", true},
		{"message-id:<a@b.test>\r\n", true},
		{"Message-ID: a@b.test\r\n", false},
		{"Message-ID: <a b@c>\r\n", false},
		{"Message-ID: <a@b>\r\n <c@d>\r\n", false},
		{"Message-ID: <>\r\n", false},
		{"X-Message-ID: <a@b.test>\r\n", false},
		{"Message-ID: <a\xc3\xbc@b.test>\r\n", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bounce bounce = bounce_sample();
		struct bounce_facts facts;
		char *text;

		bounce.head = span_of(rows[i].field);
		bounce.size = bounce.header_size = (int64_t)bounce.head.len;
		text = bounce_sample_text(&bounce, &facts);
		ck_assert_msg((strstr(text, "\r\nReferences: <a@b.test>\r\n") != NULL) ==
				      rows[i].quoted,
			      "%s", rows[i].field);
		ck_assert_int_eq(strstr(text, "In-Reply-To") != NULL, rows[i].quoted);
		mem_free(text);
	}
}
END_TEST

START_TEST(our_own_received_field)
{
	struct bounce bounce = bounce_sample();
	char id[ULID_TEXT_SIZE];
	char want[200];
	struct buf out;

	ulid_format(&bounce.id, id);
	snprintf(want, sizeof(want),
		 "Received: by relay.test id %s;\r\n\tSat, 21 Nov 2026 10:20:31 +0000\r\n", id);
	buf_init(&out, 1000);
	ck_assert_int_eq(bounce_received(&bounce, &out), ERR_OK);
	ck_assert_str_eq(out.data, want);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("deliver/bounce", the_usual_report, what_the_sender_asked_for, what_notify_asks_for,
	  each_thing_that_can_become_of_mail, the_status_of_what_expired,
	  nothing_a_peer_says_makes_a_field, who_said_it, message_ids_that_can_be_quoted,
	  our_own_received_field)
