/* tests relay/deliver/bounce.c: the report, byte by byte where it matters */
#include <config.h> /* memmem */

#include "relay/deliver/bounce.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/unit.h"

#define ARRIVED	     1795256430000 /* 2026-11-21T10:20:30Z */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char original[] = "From: app@shop.test\r\nMessage-ID: <1@shop.test>\r\n"
			       "Subject: hello\r\n\r\nbody\r\n";

static const struct bounce_recipient bob = {.action = BOUNCE_FAILED,
					    .address = "bob@example.com",
					    .reply_code = 550,
					    .reply_enhanced = "5.1.1",
					    .reply_text = "No such user",
					    .remote = "mx.example.com[192.0.2.1]:25",
					    .reason = "RCPT TO: 550 5.1.1 No such user"};

static const char *const hidden[] = {"X-Hidden"};
static const struct policy_options policy = {.control_headers = hidden, .control_header_count = 1};

static struct bounce usual(void)
{
	struct bounce bounce = {.hostname = "relay.test",
				.now = ARRIVED + 1000,
				.arrived_at = ARRIVED,
				.sender = "app@shop.test",
				.size = (int64_t)sizeof(original) - 1,
				.head = span_make(original, sizeof(original) - 1),
				.policy = &policy,
				.recipients = &bob,
				.recipient_count = 1};

	bounce.header_size = bounce.size - (int64_t)strlen("body\r\n");
	memset(bounce.id.bytes, 1, sizeof(bounce.id.bytes));
	memset(bounce.original_id.bytes, 2, sizeof(bounce.original_id.bytes));
	return bounce;
}

/* The caller frees it. */
static char *text_of(const struct bounce *bounce, struct bounce_facts *facts)
{
	struct buf out;
	size_t len;
	char *text;

	buf_init(&out, BOUNCE_MAX);
	ck_assert_int_eq(bounce_write(bounce, &out, facts), ERR_OK);
	text = buf_take(&out, &len);
	ck_assert_uint_eq(strlen(text), len);
	return text;
}

static void expect(const struct bounce *bounce, const char *const *there, const char *const *absent)
{
	struct bounce_facts facts;
	char *text = text_of(bounce, &facts);

	for (size_t i = 0; there[i] != NULL; i++)
		ck_assert_msg(strstr(text, there[i]) != NULL, "%s is missing:\n%s", there[i], text);
	for (size_t i = 0; absent[i] != NULL; i++)
		ck_assert_msg(strstr(text, absent[i]) == NULL, "%s is there:\n%s", absent[i], text);
	/* What a header and its empty line end with. */
	ck_assert_int_eq(memcmp(text + facts.header_size - 4, "\r\n\r\n", 4), 0);
	mem_free(text);
}

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
	struct bounce bounce = usual();
	struct bounce_facts facts;
	char *text = text_of(&bounce, &facts);
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
	struct bounce bounce = usual();
	struct bounce_recipient r = bob;

	bounce.recipients = &r;
	bounce.envid = "QQ+2B314+2159";
	bounce.ret = "hdrs";
	r.orcpt = "rfc822;Bob+2Btag@example.com";
	expect(&bounce,
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
	expect(&bounce, (const char *const[]){"message/rfc822", NULL},
	       (const char *const[]){"Original-Envelope-Id", "Original-Recipient", "X: y", NULL});
	bounce.envid = "a+0D+0AX:+20y";
	r.orcpt = "rfc822;a+0D+0AX:+20y";
	expect(&bounce,
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
		struct bounce bounce = usual();
		struct bounce_recipient r[2] = {bob, bob};

		bounce.retry_until = ARRIVED + (int64_t)2 * 86400 * 1000;
		bounce.ret = "FULL";
		bounce.recipients = r;
		r[0].action = rows[i].action;
		r[0].reply_code = rows[i].code;
		expect(&bounce, rows[i].there,
		       (const char *const[]){"could not", "message/rfc822", "failed", "further",
					     "body\r\n", NULL});
		/* With a failure beside it both are said, and the failure has the last word. */
		bounce.recipient_count = 2;
		expect(&bounce, rows[i].there + 1, (const char *const[]){"rfc822-headers", NULL});
		expect(&bounce,
		       (const char *const[]){"Subject: Undelivered Mail Returned", "message/rfc822",
					     "could not be delivered to:", "Action: failed\r\n",
					     "No further attempt", NULL},
		       (const char *const[]){NULL});
	}
}
END_TEST

/* What was put off until it was too late keeps the class of what was last said. */
START_TEST(the_status_of_what_expired)
{
	struct bounce bounce = usual();
	struct bounce_recipient r = bob;

	bounce.recipients = &r;
	r.reply_code = 450;
	r.reply_enhanced = "4.2.1";
	expect(&bounce, (const char *const[]){"Action: failed\r\nStatus: 4.2.1\r\n", NULL},
	       (const char *const[]){NULL});
	r.reply_enhanced = "5.2.1";
	expect(&bounce, (const char *const[]){"Status: 4.0.0\r\n", NULL},
	       (const char *const[]){NULL});
	r.status = "5.4.7";
	expect(&bounce, (const char *const[]){"Status: 5.4.7\r\n", NULL},
	       (const char *const[]){NULL});
}
END_TEST

START_TEST(nothing_a_peer_says_makes_a_field)
{
	static const char evil[] = "x\r\nX-Evil: 1\r\n\r\n--=_";
	struct bounce bounce = usual();
	struct bounce_recipient r = {.action = BOUNCE_FAILED,
				     .address = "\"a\rb\"@x.test",
				     .reply_code = 550,
				     .reply_enhanced = "",
				     .reply_text = evil,
				     .remote = "mx\r\nX-Evil: 2[1]:25",
				     .reason = evil};

	bounce.recipients = &r;
	expect(&bounce,
	       (const char *const[]){"\r\nStatus: 5.0.0\r\n",
				     "Diagnostic-Code: smtp; 550 x??X-Evil: 1?"
				     "?"
				     "?"
				     "?--=_\r\n",
				     "Final-Recipient: rfc822; \"a?b\"@x.test\r\n", NULL},
	       (const char *const[]){"\r\nX-Evil", "\n--=_\r\n", NULL});
	/* Bytes that are no UTF-8 never get out, nor do the others where they must not. */
	r.reply_text = "gr\xc3\xbc\xc3\x9f\x65 \xff";
	expect(&bounce, (const char *const[]){"550 gr????e ?\r\n", NULL},
	       (const char *const[]){"\xff", "\xc3", NULL});
	/* Nothing was said. */
	r = (struct bounce_recipient){
		.action = BOUNCE_FAILED, .address = "a@x.test", .reason = "tried for 2 days"};
	expect(&bounce, (const char *const[]){"Status: 5.0.0\r\nLast-Attempt-Date", NULL},
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
		struct bounce bounce = usual();
		struct bounce_recipient r = bob;

		bounce.recipients = &r;
		r.remote = rows[i].remote;
		expect(&bounce,
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
		struct bounce bounce = usual();
		struct bounce_facts facts;
		char *text;

		bounce.head = span_of(rows[i].field);
		bounce.size = bounce.header_size = (int64_t)bounce.head.len;
		text = text_of(&bounce, &facts);
		ck_assert_msg((strstr(text, "\r\nReferences: <a@b.test>\r\n") != NULL) ==
				      rows[i].quoted,
			      "%s", rows[i].field);
		ck_assert_int_eq(strstr(text, "In-Reply-To") != NULL, rows[i].quoted);
		mem_free(text);
	}
}
END_TEST

/* RFC 6533 */
START_TEST(utf8_has_a_form_of_its_own)
{
	static const char text[] = "Subject: gr\xc3\xbc\xc3\x9f\x65\r\n\r\nbody\r\n";
	struct bounce bounce = usual();
	struct bounce_recipient r = bob;
	struct bounce_facts facts;

	bounce.recipients = &r;
	bounce.smtputf8 = true;
	bounce.head = span_make(text, sizeof(text) - 1);
	bounce.size = (int64_t)sizeof(text) - 1;
	bounce.header_size = bounce.size - (int64_t)strlen("body\r\n");
	r.address = "gr\xc3\xbc\xc3\x9f\x65@x.test";
	r.orcpt = "utf-8;gr\xc3\xbc@x.test";
	r.reply_text = "unbekannt: gr\xc3\xbc\xc3\x9f\x65";
	expect(&bounce,
	       (const char *const[]){
		       "Content-Type: message/global-delivery-status\r\n"
		       "Content-Transfer-Encoding: 8bit\r\n\r\n",
		       "\r\nFinal-Recipient: utf-8; gr\xc3\xbc\xc3\x9f\x65@x.test\r\n",
		       "\r\nOriginal-Recipient: utf-8;gr\xc3\xbc@x.test\r\n",
		       "550 5.1.1 unbekannt: gr\xc3\xbc\xc3\x9f\x65\r\n",
		       "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
		       "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n",
		       "boundary=", "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", NULL},
	       (const char *const[]){"message/delivery-status", "message/rfc822", NULL});
	mem_free(text_of(&bounce, &facts));
	ck_assert(facts.has_8bit && !facts.smtputf8);
	bounce.ret = "HDRS";
	expect(&bounce, (const char *const[]){"message/global-headers", NULL},
	       (const char *const[]){"rfc822-headers", NULL});
	bounce.sender = "\xc3\xa4pp@shop.test";
	expect(&bounce, (const char *const[]){"\r\nTo: <\xc3\xa4pp@shop.test>\r\n", NULL},
	       (const char *const[]){NULL});
	mem_free(text_of(&bounce, &facts));
	ck_assert(facts.has_8bit && facts.smtputf8);
	/* A sender in UTF-8 alone needs it, too. */
	bounce = usual();
	bounce.sender = "\xc3\xa4pp@shop.test";
	expect(&bounce, (const char *const[]){"message/global\r\n", NULL},
	       (const char *const[]){"message/rfc822", NULL});
}
END_TEST

/* RFC 6533 3: programs that know nothing of UTF-8 get ASCII, and it says the same. */
START_TEST(utf8_addresses_have_an_ascii_form)
{
	static const struct {
		const char *address;
		const char *there;
	} rows[] = {
		{"gr\xc3\xbc\xc3\x9f\x65@x.test", "utf-8; gr\\x{FC}\\x{DF}e@x.test\r\n"},
		{"\xe2\x82\xac@x.test", "utf-8; \\x{20AC}@x.test\r\n"},
		{"\xf0\x9f\x93\xac+a=b\\c@x.test",
		 "utf-8; \\x{1F4EC}\\x{2B}a\\x{3D}b\\x{5C}c@x.test\r\n"},
		{"\"\xc3\xbc\r\n x\"@x.test",
		 "utf-8; \"\\x{FC}\\x{0D}\\x{0A}\\x{20}x\"@x.test\r\n"},
		{"bob+tag@x.test", "rfc822; bob+tag@x.test\r\n"},
		{"\xff@x.test", "utf-8; ?@x.test\r\n"},
	};
	struct bounce bounce = usual();
	struct bounce_facts facts;

	bounce.smtputf8 = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bounce_recipient r = bob;

		bounce.recipients = &r;
		r.address = rows[i].address;
		r.orcpt = "utf-8;gr\xc3\xbc\\x{2B}@x.test";
		expect(&bounce,
		       (const char *const[]){
			       rows[i].there, "message/delivery-status", "message/rfc822\r\n\r\n",
			       "charset=us-ascii",
			       "Original-Recipient: utf-8;gr\\x{FC}\\x{2B}@x.test\r\n", NULL},
		       (const char *const[]){"8bit", "\xc3", "global", NULL});
		mem_free(text_of(&bounce, &facts));
		ck_assert(!facts.has_8bit && !facts.smtputf8);
	}
}
END_TEST

/* In a report as in any copy that leaves (DESIGN 5), whole or header only. */
START_TEST(hidden_recipients_stay_hidden)
{
	static const char text[] = "Bcc: real@evil.example,\r\n more@evil.example\r\n"
				   "To: bob@example.com\r\nX-Hidden: x@evil.example\r\n"
				   "resent-bcc : y@evil.example\r\n\r\nBcc: in the body\r\n";
	static const char *const shown[] = {"\r\n\r\nTo: bob@example.com\r\n", NULL};
	static const char *const whole[] = {"\r\n\r\nTo: bob@example.com\r\n\r\n"
					    "Bcc: in the body\r\n",
					    NULL};
	static const char *const absent[] = {"evil.example", "X-Hidden", NULL};
	struct bounce bounce = usual();

	bounce.head = span_make(text, sizeof(text) - 1);
	bounce.size = (int64_t)sizeof(text) - 1;
	bounce.header_size = bounce.size - (int64_t)strlen("Bcc: in the body\r\n");
	expect(&bounce, whole, absent);
	bounce.ret = "HDRS";
	expect(&bounce, shown, absent);
}
END_TEST

START_TEST(eight_bit_bytes_of_the_original)
{
	static const char text[] = "Subject: \xff\r\n\r\n\xe4\r\n";
	struct bounce bounce = usual();
	struct bounce_facts facts;

	bounce.head = span_make(text, sizeof(text) - 1);
	bounce.size = (int64_t)sizeof(text) - 1;
	bounce.header_size = 14;
	expect(&bounce,
	       (const char *const[]){"Content-Type: message/rfc822\r\n"
				     "Content-Transfer-Encoding: 8bit\r\n\r\nSubject: \xff\r\n",
				     "charset=us-ascii\r\n\r\n", NULL},
	       (const char *const[]){"global", NULL});
	mem_free(text_of(&bounce, &facts));
	ck_assert(facts.has_8bit && !facts.smtputf8);
}
END_TEST

static char *filled(size_t len, size_t line)
{
	char *text = mem_zalloc(len + 1);

	for (size_t i = 0; i < len; i++)
		text[i] = i % line == line - 2 ? '\r' : i % line == line - 1 ? '\n' : 'a';
	memcpy(text, "a: b\r\n\r\n", 8);
	return text;
}

/* Large, with long lines or with NUL: the header alone goes back, and never too much of it. */
START_TEST(only_what_can_stand_in_a_message_goes_back)
{
	static const struct {
		size_t len;
		size_t line;
		int64_t header_size;
		bool nul;
		const char *type;
	} rows[] = {
		{BOUNCE_ORIGINAL_MAX, 64, 8, false, "message/rfc822"},
		{BOUNCE_ORIGINAL_MAX + 64, 64, 8, false, "text/rfc822-headers"},
		{8000, 1000, 8, false, "message/rfc822"},
		{8000, 2000, 8, false, "text/rfc822-headers"},
		{640, 64, 8, true, "text/rfc822-headers"},
		{200000, 64, 199000, false, "text/rfc822-headers"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text = filled(rows[i].len, rows[i].line);
		struct bounce bounce = usual();
		struct bounce_facts facts;
		char type[64];
		char *report;

		if (rows[i].nul)
			text[100] = '\0';
		bounce.head = span_make(text, rows[i].len);
		bounce.size = (int64_t)rows[i].len;
		bounce.header_size = rows[i].header_size;
		report = text_of(&bounce, &facts);
		snprintf(type, sizeof(type), "Content-Type: %s\r\n\r\na: b\r\n", rows[i].type);
		ck_assert_msg(strstr(report, type) != NULL, "row %zu", i);
		ck_assert_uint_lt(strlen(report), BOUNCE_ORIGINAL_MAX + 2500);
		mem_free(report);
		mem_free(text);
	}
}
END_TEST

/* An original with nothing that could go back, and one that is empty. */
START_TEST(without_an_original)
{
	struct bounce bounce = usual();

	bounce.head = span_make("\0\r\n", 3);
	bounce.size = bounce.header_size = 3;
	expect(&bounce, (const char *const[]){"message/delivery-status", NULL},
	       (const char *const[]){"rfc822-headers", "message/rfc822", NULL});
	bounce.head = span_make(NULL, 0);
	bounce.size = bounce.header_size = 0;
	expect(&bounce, (const char *const[]){"message/delivery-status", NULL},
	       (const char *const[]){"rfc822-headers", "message/rfc822", NULL});
}
END_TEST

/* 100 of the longest. */
START_TEST(the_ceiling_is_high_enough)
{
	static struct bounce_recipient many[100];
	char local[65], address[330], text[260], reason[400], orcpt[500];
	struct bounce bounce = usual();
	struct bounce_facts facts;
	char *large = filled(BOUNCE_ORIGINAL_MAX, 64);

	memset(local, 'l', 64);
	local[64] = '\0';
	memset(text, 't', 255);
	text[255] = '\0';
	memset(reason, 'r', 399);
	reason[399] = '\0';
	memset(orcpt, 'o', 499);
	memcpy(orcpt, "rfc822;", 7);
	orcpt[499] = '\0';
	snprintf(address, sizeof(address), "%s@%.253s", local, reason);
	for (size_t i = 0; i < 100; i++)
		many[i] = (struct bounce_recipient){.action = BOUNCE_FAILED,
						    .address = address,
						    .orcpt = orcpt,
						    .reply_code = 550,
						    .reply_enhanced = "5.123.123",
						    .reply_text = text,
						    .remote = address,
						    .reason = reason};
	bounce.recipients = many;
	bounce.recipient_count = 100;
	bounce.head = span_make(large, BOUNCE_ORIGINAL_MAX);
	bounce.size = BOUNCE_ORIGINAL_MAX;
	bounce.header_size = 8;
	mem_free(text_of(&bounce, &facts));
	mem_free(large);
}
END_TEST

START_TEST(our_own_received_field)
{
	struct bounce bounce = usual();
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
	  utf8_has_a_form_of_its_own, utf8_addresses_have_an_ascii_form,
	  hidden_recipients_stay_hidden, eight_bit_bytes_of_the_original,
	  only_what_can_stand_in_a_message_goes_back, without_an_original,
	  the_ceiling_is_high_enough, our_own_received_field)
