/* tests relay/smtp/session.c, verb.c and transfer.c over real sockets (CASES 2.A, 2.B, 2.D) */
#include <config.h>

#include "tests/unit/smtp/fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define TAIL	    "MAIL FROM:<a@x.test>\r\nRCPT TO:<real@evil.example>\r\nDATA\r\nx"

START_TEST(one_message)
{
	struct house house;
	struct client client;
	const struct recorded *mail = &house.recorder.mails[0];

	house_open(&house);
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	ck_assert(span_starts_fold(reply_line(&client.parser.reply, 0), "relay.test ESMTP"));
	client_ask(&client, "EHLO client.test", "250");
	ck_assert(span_is(buf_span(&client.parser.reply.text),
			  "relay.test\nPIPELINING\nSIZE 1000000\n8BITMIME\nENHANCEDSTATUSCODES\n"
			  "SMTPUTF8\nDSN\nLIMITS RCPTMAX=1000\nCHUNKING\nHELP"));
	client_ask(&client, "MAIL FROM:<a@x.test> SIZE=100 BODY=8BITMIME", "250 2.1.0");
	client_ask(&client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<reject@y.test>", "550 5.7.1");
	client_ask(&client, "RCPT TO:<c@y.test>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	client_ask(&client, "Subject: x\r\n\r\n..dot\r\n.", "250 2.0.0");
	client_ask(&client, "QUIT", "221 2.0.0");
	client_expect_end(&client);
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 1);
	house_check_body(&house, 0, span_of("Subject: x\r\n\r\n.dot\r\n"));
	ck_assert_str_eq(mail->recipients, "b@y.test c@y.test ");
	ck_assert_int_eq(mail->mail.declared_size, 100);
	ck_assert(mail->mail.body_8bit && mail->client.esmtp);
	ck_assert_str_eq(mail->client.helo, "client.test");
	ck_assert_str_eq(mail->client.address, "127.0.0.1");
	ck_assert_uint_eq(strlen(mail->client.session), 16);
	house_close(&house);
}
END_TEST

/* S001-S009: whatever stands there, one message comes of one 354, and nothing runs out of it. */
START_TEST(no_smuggling)
{
	static const struct span variants[] = {
#define B(text) {text, sizeof(text) - 1}
		B("\n.\n"),	  B("\n.\r\n"),	      B("\r\n.\n"),	B("\r.\r"),
		B("\r.\n"),	  B("\n.\r"),	      B("\r\n.\r"),	B("\r.\r\n"),
		B("\r\n.\r\r\n"), B("\r\r\n.\r\r\n"), B("\r\n\0.\r\n"), B("\r\n.\0\r\n"),
	};
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	for (size_t i = 0; i < COUNT(variants); i++) {
		client_begin(&client, "b@y.test");
		client_say(&client, "line");
		client_send(&client, variants[i]);
		client_ask(&client, TAIL "\r\n.", "250 2.0.0");
		ck_assert_uint_eq(recorder_count(&house.recorder), i + 1);
	}
	client_ask(&client, "NOOP", "250 2.0.0");
	for (size_t i = 0; i < COUNT(variants); i++)
		ck_assert_str_eq(house.recorder.mails[i].recipients, "b@y.test ");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S012 */
START_TEST(empty_message)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "250 2.0.0");
	client_begin(&client, "b@y.test");
	client_ask(&client, "x\r\n.", "250 2.0.0");
	client_close(&client);
	house_check_body(&house, 0, span_of(""));
	house_check_body(&house, 1, span_of("x\r\n"));
	house_close(&house);
}
END_TEST

/* S013, S014 */
START_TEST(dot_in_pieces)
{
	static const char end[] = "x\r\n.\r\n";
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	for (size_t i = 0; i + 1 < sizeof(end); i++) {
		client_send(&client, span_make(end + i, 1));
		usleep(20000);
	}
	client_expect(&client, "250 2.0.0");
	client_begin(&client, "b@y.test");
	client_say(&client, "x\r\n.\r");
	client_expect_silence(&client, 300);
	client_say(&client, "\n");
	client_expect(&client, "250 2.0.0");
	client_expect_silence(&client, 50);
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 2);
	house_close(&house);
}
END_TEST

/* S017 and RFC 2920: a whole session in one write; the replies come in order. */
START_TEST(pipelining)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_say(&client, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nRCPT TO:<bad>\r\n"
			    "DATA\r\none\r\n.\r\nMAIL FROM:<c@x.test>\r\nRCPT TO:<d@y.test>\r\n"
			    "DATA\r\ntwo\r\n.\r\nQUIT\r\n");
	client_expect(&client, "250 2.1.0");
	client_expect(&client, "250 2.1.5");
	client_expect(&client, "501 5.1.3");
	client_expect(&client, "354");
	client_expect(&client, "250 2.0.0");
	client_expect(&client, "250 2.1.0");
	client_expect(&client, "250 2.1.5");
	client_expect(&client, "354");
	client_expect(&client, "250 2.0.0");
	client_expect(&client, "221 2.0.0");
	client_expect_end(&client);
	client_close(&client);
	house_check_body(&house, 0, span_of("one\r\n"));
	house_check_body(&house, 1, span_of("two\r\n"));
	house_close(&house);
}
END_TEST

/* What was sent behind a DATA that was refused is content: it never runs. */
START_TEST(content_behind_refused_data)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_say(&client, "MAIL FROM:<a@x.test>\r\nRCPT TO:<reject@y.test>\r\nDATA\r\n"
			    "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\nx\r\n.\r\n");
	client_expect(&client, "250 2.1.0");
	client_expect(&client, "550 5.7.1");
	client_expect(&client, "554 5.5.1");
	client_expect_end(&client);
	client_close(&client);
	/* The same for a DATA that is malformed. */
	client_greet(&client, &house.rig);
	client_say(&client, "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA x\r\n"
			    "RSET\r\nMAIL FROM:<c@x.test>\r\n");
	client_expect(&client, "250 2.1.0");
	client_expect(&client, "250 2.1.5");
	client_expect(&client, "501 5.5.4");
	client_expect_end(&client);
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 0);
	house_close(&house);
}
END_TEST

/* S022 without a delay: the banner first, then answers in order. */
START_TEST(early_talker)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_open(&client, &house.rig);
	client_say(&client, "EHLO early.test\r\nNOOP\r\n");
	client_expect(&client, "220");
	client_expect(&client, "250");
	client_expect(&client, "250 2.0.0");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S022 with a delay: who does not wait is sent away. */
START_TEST(early_talker_with_delay)
{
	struct house house;
	struct client client;
	int64_t start;

	house_init(&house);
	house.rig.listener.greeting_delay_ms = 600;
	rig_open(&house.rig);
	client_open(&client, &house.rig);
	client_say(&client, "EHLO early.test\r\n");
	client_expect(&client, "554 5.5.0");
	client_expect_end(&client);
	client_close(&client);
	start = clock_mono_ms();
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	ck_assert_int_ge(clock_mono_ms() - start, 590);
	client_ask(&client, "EHLO patient.test", "250");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S023 */
START_TEST(order)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	client_ask(&client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	client_ask(&client, "RCPT TO:<a@x.test>", "503 5.5.1");
	client_ask(&client, "DATA", "503 5.5.1");
	client_ask(&client, "RSET", "250 2.0.0");
	client_ask(&client, "EHLO x.test", "250");
	client_ask(&client, "RCPT TO:<a@x.test>", "503 5.5.1");
	client_ask(&client, "DATA", "503 5.5.1");
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "MAIL FROM:<b@x.test>", "503 5.5.1");
	client_ask(&client, "DATA", "503 5.5.1");
	client_ask(&client, "RCPT TO:<reject@x.test>", "550 5.7.1");
	client_ask(&client, "DATA", "554 5.5.1");
	client_ask(&client, "RCPT TO:<c@x.test>", "250 2.1.5");
	client_ask(&client, "MAIL FROM:<b@x.test>", "503 5.5.1");
	client_ask(&client, "DATA", "354");
	client_ask(&client, ".", "250 2.0.0");
	client_ask(&client, "RCPT TO:<c@x.test>", "503 5.5.1");
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 1);
	ck_assert_str_eq(house.recorder.mails[0].mail.sender.local, "a");
	house_close(&house);
}
END_TEST

/* S024 */
START_TEST(forgotten_transactions)
{
	static const char *const forgetters[] = {"RSET", "EHLO again.test", "HELO again.test"};
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	for (size_t i = 0; i < COUNT(forgetters); i++) {
		client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
		client_ask(&client, "RCPT TO:<a@x.test>", "250 2.1.5");
		client_ask(&client, "RCPT TO:<b@x.test>", "250 2.1.5");
		client_ask(&client, "RCPT TO:<c@x.test>", "250 2.1.5");
		client_ask(&client, forgetters[i], "250");
		client_ask(&client, "DATA", "503 5.5.1");
		ck_assert_uint_eq(recorder_aborted(&house.recorder), i + 1);
	}
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S025-S028, S031, S035, S036, S039, S047, S048 and the rest of the verbs: {line, reply}. */
static const struct {
	struct span line;
	const char *want;
} lines[] = {
	{B("eHlO x.test"), "250"},
	{B("nOoP"), "250 2.0.0"},
	{B("NOOP   "), "250 2.0.0"},
	{B("mAiL fRoM:<a@x.test>   "), "250 2.1.0"},
	{B("RSET"), "250 2.0.0"},
	{B("RSET now"), "501 5.5.4"},
	{B("QUIT now"), "501 5.5.4"},
	{B("DATA now"), "503 5.5.1"},
	{B("EHLO"), "501"},
	{B("HELO"), "501"},
	{B("EHLO a b"), "501"},
	{B("EHLO <script>"), "501"},
	{B("EHLO %n%s"), "501"},
	{B("EHLO \x1b[2J"), "501 5.5.2"},
	{B("EHLO [127.0.0.1]"), "250"},
	{B("HELO [IPv6:::1]"), "250"},
	{B("NOOP\0"), "501 5.5.2"},
	{B("MAIL FROM:<a\0@x.test>"), "501 5.5.2"},
	{B("NOOP\rMAIL FROM:<a@x.test>"), "501 5.5.2"},
	{B("RCPT TO:<a@x.test>"), "503 5.5.1"}, /* that MAIL never ran */
	{B("\xff\xfe"), "500 5.5.2"},
	{B("EHLO \xc3\xa9"), "501"},
	{B(""), "500 5.5.2"},
};
static const struct {
	struct span line;
	const char *want;
} more_lines[] = {
	{B("FOO"), "500 5.5.2"},
	{B("MAIL"), "501 5.5.4"},
	{B("MAIL FROM: <a@x.test>"), "501 5.1.7"},
	{B("MAIL FROM:<a@x.test> SIZE=99999999"), "552 5.3.4"},
	{B("MAIL FROM:<a@x.test> SIZE=18446744073709551616"), "552 5.3.4"},
	{B("MAIL FROM:<a@x.test> FOO=bar"), "555 5.5.4"},
	{B("MAIL FROM:<refused@x.test>"), "550 5.7.1"},
	{B("VRFY user"), "252 2.1.5"},
	{B("VRFY us\xc3\xa9r"), "553 5.6.7"},
	{B("VRFY us\xc3\xa9r SMTPUTF8"), "252 2.1.5"},
	{B("VRFY"), "501 5.5.4"},
	{B("HELP"), "214 2.0.0"},
	{B("HELP MAIL"), "214 2.0.0"},
	{B("HELP rcpt"), "214 2.0.0"},
	{B("HELP LHLO"), "504 5.5.4"},
	{B("HELP me"), "504 5.5.4"},
	{B("EXPN list"), "502 5.5.1"},
	{B("ETRN x"), "502 5.5.1"},
	{B("TURN"), "502 5.5.1"},
	{B("SEND FROM:<a@x.test>"), "502 5.5.1"},
	{B("STARTTLS"), "502 5.5.1"},
	{B("AUTH PLAIN AGEAYg=="), "502 5.5.1"},
	{B("XCLIENT ADDR=127.0.0.1 LOGIN=admin"), "502 5.5.1"},
	{B("XFORWARD NAME=x"), "502 5.5.1"},
	{B("XEXCH50 1 2"), "500 5.5.2"},
	{B("PROXY TCP4 127.0.0.1 127.0.0.1 1 25"), "500 5.5.2"},
	{B("NOOP x y"), "250 2.0.0"},
};

START_TEST(verbs)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	for (size_t i = 0; i < COUNT(lines); i++) {
		client_send(&client, lines[i].line);
		client_ask(&client, "", lines[i].want);
	}
	client_close(&client);
	client_greet(&client, &house.rig);
	for (size_t i = 0; i < COUNT(more_lines); i++) {
		client_send(&client, more_lines[i].line);
		client_ask(&client, "", more_lines[i].want);
	}
	client_ask(&client, "QUIT", "221 2.0.0");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S026: a bare LF ends a command, always. */
START_TEST(bare_lf_commands)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	client_say(&client, "EHLO x.test\nMAIL FROM:<a@x.test>\nRCPT TO:<b@x.test>\nDATA\n");
	client_expect(&client, "250");
	client_expect(&client, "250 2.1.0");
	client_expect(&client, "250 2.1.5");
	client_expect(&client, "354");
	client_ask(&client, ".", "250 2.0.0");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S093: the address is malformed, and what stands behind the LF is no recipient. */
START_TEST(lf_inside_an_address)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_say(&client, "RCPT TO:<user@allowed.test\n>\r\n");
	client_expect(&client, "501 5.1.3");
	client_expect(&client, "500 5.5.2");
	client_ask(&client, "DATA", "554 5.5.1");
	client_close(&client);
	house_close(&house);
}
END_TEST

static void send_long_line(struct client *client, size_t len, const char *want)
{
	char block[4096];

	memset(block, 'a', sizeof(block));
	client_say(client, "NOOP ");
	for (size_t left = len - 7; left > 0;) {
		size_t part = left < sizeof(block) ? left : sizeof(block);

		client_send(client, span_make(block, part));
		left -= part;
	}
	client_ask(client, "", want);
	client_ask(client, "NOOP", "250 2.0.0");
}

/* S029: up to 4096 octets with the line end; above that one 500, and the line is gone. */
START_TEST(long_lines)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	send_long_line(&client, 512, "250 2.0.0");
	send_long_line(&client, 4096, "250 2.0.0");
	send_long_line(&client, 4097, "500 5.5.6");
	send_long_line(&client, 1 << 20, "500 5.5.6");
	client_expect_silence(&client, 50);
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S029: a line that never ends is not read for ever (what still comes is dropped for two seconds,
 * so that the client sees the 421). */
START_TEST(endless_line)
{
	struct house house;
	struct client client;
	char *block = mem_zalloc(1 << 20);
	int64_t start = clock_mono_ms();
	ssize_t sent = 1;

	memset(block, 'a', 1 << 20);
	house_open(&house);
	client_greet(&client, &house.rig);
	while (sent > 0 && clock_mono_ms() - start < 8000)
		sent = send(client.fd, block, 1 << 20, MSG_NOSIGNAL);
	ck_assert_int_lt(sent, 0);
	client_close(&client);
	mem_free(block);
	house_close(&house);
}
END_TEST

/* S032: each beyond the limit gets 452, those before it stay. */
START_TEST(many_recipients)
{
	struct house house;
	struct client client;
	struct buf burst;

	house_init(&house);
	house.rig.smtp.max_recipients = 100;
	rig_open(&house.rig);
	buf_init(&burst, 1 << 20);
	client_greet(&client, &house.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (int i = 0; i < 1000; i++)
		buf_printf(&burst, "RCPT TO:<r%d@y.test>\r\n", i);
	client_send(&client, buf_span(&burst));
	for (int i = 0; i < 1000; i++)
		client_expect(&client, i < 100 ? "250 2.1.5" : "452 4.5.3");
	client_ask(&client, "DATA", "354");
	client_ask(&client, ".", "250 2.0.0");
	ck_assert_uint_eq(house.recorder.mails[0].recipient_count, 100);
	/* Without end it becomes a mistake. */
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_send(&client, buf_span(&burst));
	client_send(&client, buf_span(&burst));
	for (int i = 0; i < 1100 + 20; i++)
		client_expect(&client, i < 100 ? "250 2.1.5" : "452 4.5.3");
	client_expect(&client, "421 4.7.0");
	client_close(&client);
	buf_release(&burst);
	house_close(&house);
}
END_TEST

static int count_until_421(struct client *client, const char *command)
{
	int answered = 0;

	for (;; answered++) {
		int code;

		client_say(client, command);
		code = client_code(client);
		if (code == 421)
			break;
		ck_assert_int_gt(code, 0);
		ck_assert_int_lt(answered, 1000);
	}
	client_expect_end(client);
	return answered;
}

/* S034 */
START_TEST(too_many_mistakes)
{
	static const char *const junk[] = {"NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "HELP\r\n"};
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	ck_assert_int_eq(count_until_421(&client, "FOO\r\n"), 20);
	client_close(&client);
	for (size_t i = 0; i < COUNT(junk); i++) {
		client_greet(&client, &house.rig);
		ck_assert_int_eq(count_until_421(&client, junk[i]), 100);
		client_close(&client);
		/* A MAIL in front is no licence: it brings no message either. */
		client_greet(&client, &house.rig);
		client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
		ck_assert_int_eq(count_until_421(&client, junk[i]), 100);
		client_close(&client);
	}
	house_close(&house);
}
END_TEST

/* A message that was taken forgives; refusals of the list are no mistakes. */
START_TEST(mistakes_that_are_none)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 15; i++)
			client_ask(&client, "FOO", "500 5.5.2");
		client_begin(&client, "b@y.test");
		client_ask(&client, ".", "250 2.0.0");
	}
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (int i = 0; i < 200; i++)
		client_ask(&client, "RCPT TO:<reject@y.test>", "550 5.7.1");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S034: asking the list for ever, an address at a time. */
START_TEST(refused_recipients_without_end)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (int i = 0; i < 1000 + 20; i++)
		client_ask(&client, "RCPT TO:<reject@y.test>", "550 5.7.1");
	client_ask(&client, "RCPT TO:<reject@y.test>", "421 4.7.0");
	client_close(&client);
	house_close(&house);
}
END_TEST

static void send_body(struct client *client, size_t size)
{
	static char block[65536];
	size_t left = size;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'a';
	while (left > 0) {
		size_t part = left < sizeof(block) ? left : sizeof(block);

		client_send(client, span_make(block, part));
		left -= part;
	}
}

/* S037, S038 */
START_TEST(size_limit)
{
	struct house house;
	struct client client;

	house_init(&house);
	house.rig.smtp.max_message_size = 65536;
	rig_open(&house.rig);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	send_body(&client, 65536);
	client_ask(&client, ".", "250 2.0.0");
	client_begin(&client, "b@y.test");
	send_body(&client, 65536 - 64);
	client_ask(&client, "..123456789012345678901234567890123456789012345678901234567890a\r\n.",
		   "250 2.0.0"); /* exactly the limit again: stuffed dots do not count */
	client_begin(&client, "b@y.test");
	send_body(&client, 65536);
	client_ask(&client, "\r\n.", "552 5.3.4");
	client_ask(&client, "MAIL FROM:<a@x.test> SIZE=10", "250 2.1.0");
	client_ask(&client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	send_body(&client, 20 << 20);
	client_ask(&client, ".", "552 5.3.4");
	client_ask(&client, "NOOP", "250 2.0.0");
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 2);
	ck_assert_int_eq(house.recorder.mails[1].facts.size, 65536);
	ck_assert_uint_eq(recorder_aborted(&house.recorder), 2);
	house_close(&house);
}
END_TEST

/* S048, and what browsers and load balancers do to an open port. */
START_TEST(other_protocols)
{
	static const struct span first[] = {
		B("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		B("POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nMAIL FROM:<a@x.test>\r\n"),
		B("Subject: x\r\n"),
		B("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
	};
	struct house house;
	struct client client;

	house_open(&house);
	for (size_t i = 0; i < COUNT(first); i++) {
		client_open(&client, &house.rig);
		client_expect(&client, "220");
		client_send(&client, first[i]);
		client_expect(&client, "554 5.5.1");
		client_expect_end(&client);
		client_close(&client);
	}
	house_close(&house);
	ck_assert_uint_eq(house.recorder.begun, 0);
}
END_TEST

/* S050: the dot, QUIT and the end of our side in one go: the message is taken, once. */
START_TEST(quit_behind_the_dot)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	house.recorder.hold_finish = true;
	client_say(&client, "x\r\n.\r\nQUIT\r\n");
	ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
	WAIT_FOR(recorder_is_waiting(&house.recorder));
	client_expect_silence(&client, 100);
	recorder_let_go(&house.recorder);
	client_expect(&client, "250 2.0.0");
	client_expect(&client, "221 2.0.0");
	client_expect_end(&client);
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 1);
	house_close(&house);
}
END_TEST

static void vanish(struct client *client)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	client_close(client);
}

/* S050: the client is gone while the answer to its dot is being made. */
START_TEST(gone_before_the_answer)
{
	struct house house;
	struct client client;

	house_open(&house);
	for (int reset = 0; reset < 2; reset++) {
		client_greet(&client, &house.rig);
		client_begin(&client, "b@y.test");
		house.recorder.hold_finish = true;
		client_say(&client, "x\r\n.\r\n");
		WAIT_FOR(recorder_is_waiting(&house.recorder));
		if (reset)
			vanish(&client);
		else
			client_close(&client);
		usleep(50000);
		recorder_let_go(&house.recorder);
		WAIT_FOR(recorder_count(&house.recorder) == (size_t)reset + 1);
		house.recorder.hold_finish = false;
	}
	house_close(&house);
	ck_assert_uint_eq(house.recorder.aborted, 0);
}
END_TEST

/* S051 */
START_TEST(gone_inside_the_message)
{
	struct house house;
	struct client client;
	struct smtp_front_status status;

	house_open(&house);
	for (int reset = 0; reset < 2; reset++) {
		client_greet(&client, &house.rig);
		client_begin(&client, "b@y.test");
		client_say(&client, "half a li");
		if (reset)
			vanish(&client);
		else
			client_close(&client);
		WAIT_FOR(recorder_aborted(&house.recorder) == (size_t)reset + 1);
	}
	WAIT_FOR((smtp_front_status(house.rig.front, &status), status.sessions == 0));
	ck_assert_uint_eq(status.connections, 2);
	house_close(&house);
	ck_assert_uint_eq(house.recorder.count, 0);
}
END_TEST

/* S073: the deadline is for the whole command, however it trickles. */
START_TEST(slow_command)
{
	struct house house;
	struct client client;
	int64_t start;

	house_init(&house);
	house.rig.smtp.command_timeout_ms = 400;
	rig_open(&house.rig);
	client_greet(&client, &house.rig);
	start = clock_mono_ms();
	for (int i = 0; i < 5; i++) {
		client_say(&client, "N");
		usleep(100000);
	}
	client_expect(&client, "421 4.4.2");
	client_expect_end(&client);
	ck_assert_int_lt(clock_mono_ms() - start, 9000);
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S074: after the grace the octets must keep up with the rate. */
START_TEST(slow_data)
{
	struct house house;
	struct client client;
	int64_t start;

	house_init(&house);
	house.rig.smtp.data_grace_ms = 300;
	house.rig.smtp.data_min_rate = 1000;
	rig_open(&house.rig);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	start = clock_mono_ms();
	send_body(&client, 500); /* half a second more */
	for (int i = 0; i < 4; i++) {
		usleep(100000);
		client_say(&client, "a");
	}
	client_expect(&client, "421 4.4.2");
	ck_assert_int_ge(clock_mono_ms() - start, 790);
	ck_assert_int_lt(clock_mono_ms() - start, 9000);
	client_expect_end(&client);
	client_close(&client);
	ck_assert_uint_eq(recorder_aborted(&house.recorder), 1);
	house_close(&house);
}
END_TEST

/* A stalled client in DATA is idle too. */
START_TEST(idle_data)
{
	struct house house;
	struct client client;

	house_init(&house);
	house.rig.smtp.command_timeout_ms = 400;
	house.rig.smtp.data_grace_ms = 100;
	house.rig.smtp.data_min_rate = 1;
	rig_open(&house.rig);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	send_body(&client, 100000);
	client_expect(&client, "421 4.4.2");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* S078: a client that never reads is not answered for ever, and costs a bounded buffer. */
START_TEST(replies_not_read)
{
	struct house house;
	struct client client;
	char *burst = mem_zalloc(1 << 20);
	size_t taken = 0;
	int size = 4096;

	for (size_t i = 0; i < 1 << 20; i += 8)
		memcpy(burst + i, "HELP  \r\n", 8);
	house_init(&house);
	house.rig.smtp.max_junk = 100000000;
	rig_open(&house.rig);
	client_open(&client, &house.rig);
	setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (int i = 0; i < 200; i++) {
		ssize_t sent = send(client.fd, burst, 1 << 20, MSG_NOSIGNAL | MSG_DONTWAIT);

		taken += sent > 0 ? (size_t)sent : 0;
		usleep(1000);
	}
	/* Socket buffers and 64 KiB of ours, not the 200 MiB. */
	ck_assert_uint_lt(taken, (size_t)32 << 20);
	/* It reads after all: every answer is there and in order. */
	client_expect(&client, "220");
	for (int i = 0; i < 2000; i++)
		client_expect(&client, "214 2.0.0");
	client_close(&client);
	mem_free(burst);
	house_close(&house);
}
END_TEST

/* The backend is behind: reading stops, nothing is lost, the rest comes when it is ready. */
START_TEST(back_pressure)
{
	struct house house;
	struct client client;
	struct span body;

	house_init(&house);
	house.rig.smtp.max_message_size = 64 << 20;
	rig_open(&house.rig);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	house.recorder.blocks = 20;
	send_body(&client, 4 << 20);
	client_ask(&client, ".", "250 2.0.0");
	body = buf_span(&house.recorder.mails[0].body);
	ck_assert_uint_eq(body.len, 4 << 20);
	ck_assert_int_eq(house.recorder.blocks, 0);
	for (size_t i = 0; i < body.len; i += 64)
		ck_assert_int_eq(memcmp(body.data + i, body.data, 64), 0);
	client_close(&client);
	house_close(&house);
}
END_TEST

/*
 * S082: smtp.memory is used up. One message at a time goes on, the others wait; the next one's
 * turn comes with its end.
 */
START_TEST(over_budget)
{
	struct house house;
	struct client first, second;

	house_init(&house);
	house.rig.budget.favour_ms = 60000;
	rig_open(&house.rig);
	client_greet(&first, &house.rig);
	client_greet(&second, &house.rig);
	client_begin(&first, "b@y.test");
	client_begin(&second, "b@y.test");
	budget_count(&house.rig.budget, 65 << 20);
	client_say(&first, "x\r\n");
	WAIT_FOR(atomic_load(&house.rig.budget.favoured) != 0);
	client_say(&second, "x\r\n");
	client_say(&second, ".\r\n");
	client_expect_silence(&second, 200);
	client_ask(&first, ".", "250 2.0.0");
	client_expect(&second, "250 2.0.0");
	budget_count(&house.rig.budget, -(65 << 20));
	client_close(&first);
	client_close(&second);
	house_close(&house);
}
END_TEST

/* S082: the one who goes on stands still; the others do not wait for it. */
START_TEST(over_budget_behind_a_sleeper)
{
	struct house house;
	struct client first, second;

	house_init(&house);
	house.rig.budget.favour_ms = 100;
	rig_open(&house.rig);
	client_greet(&first, &house.rig);
	client_greet(&second, &house.rig);
	client_begin(&first, "b@y.test");
	client_begin(&second, "b@y.test");
	budget_count(&house.rig.budget, 65 << 20);
	client_say(&first, "x\r\n");
	WAIT_FOR(atomic_load(&house.rig.budget.favoured) != 0);
	client_say(&second, "x\r\n");
	client_ask(&second, ".", "250 2.0.0");
	client_ask(&first, ".", "250 2.0.0");
	budget_count(&house.rig.budget, -(65 << 20));
	client_close(&first);
	client_close(&second);
	house_close(&house);
}
END_TEST

/* S082: who waited too long gives back what it holds; its session goes on. */
START_TEST(over_budget_for_too_long)
{
	struct house house;
	struct client first, second;

	house_init(&house);
	house.rig.budget.favour_ms = 60000;
	house.rig.smtp.memory_wait_ms = 100;
	rig_open(&house.rig);
	client_greet(&first, &house.rig);
	client_greet(&second, &house.rig);
	client_begin(&first, "b@y.test");
	client_begin(&second, "b@y.test");
	budget_count(&house.rig.budget, 65 << 20);
	client_say(&first, "x\r\n");
	WAIT_FOR(atomic_load(&house.rig.budget.favoured) != 0);
	client_say(&second, "x\r\n");
	WAIT_FOR(recorder_aborted(&house.recorder) == 1);
	client_ask(&second, ".", "452 4.3.1");
	client_ask(&first, ".", "250 2.0.0");
	budget_count(&house.rig.budget, -(65 << 20));
	client_begin(&second, "b@y.test");
	client_ask(&second, ".", "250 2.0.0");
	client_close(&first);
	client_close(&second);
	house_close(&house);
}
END_TEST

/* The client's end is noticed although we did not read. */
START_TEST(gone_under_back_pressure)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_begin(&client, "b@y.test");
	house.recorder.blocks = 1;
	house.recorder.never_ready = true;
	client_say(&client, "x\r\n");
	usleep(50000);
	client_close(&client);
	usleep(50000);
	house.recorder.never_ready = false;
	WAIT_FOR(recorder_aborted(&house.recorder) == 1);
	house_close(&house);
}
END_TEST

START_TEST(backend_refusals)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_greet(&client, &house.rig);
	client_ask(&client, "MAIL FROM:<nodata@x.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(&client, "DATA", "451 4.3.0");
	client_ask(&client, "RSET", "250 2.0.0");
	smtp_answer_error(&house.recorder.final, -7); /* ERR_FULL */
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "452 4.3.1");
	smtp_answer_error(&house.recorder.final, -9); /* ERR_FATAL */
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "421 4.3.0");
	client_expect_end(&client);
	client_close(&client);
	house_close(&house);
}
END_TEST

/* HELO clients (s-nail, mutt, smtp-source) get no list of extensions and may use none. */
START_TEST(helo)
{
	struct house house;
	struct client client;

	house_open(&house);
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	client_ask(&client, "helo vm", "250");
	ck_assert_uint_eq(client.parser.reply.lines, 1);
	client_ask(&client, "MAIL FROM:<a@x.test> SIZE=5", "555 5.5.4");
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "250 2.0.0");
	client_close(&client);
	ck_assert(!house.recorder.mails[0].client.esmtp);
	house_close(&house);
}
END_TEST

UNIT_MAIN("smtp/session", one_message, no_smuggling, empty_message, dot_in_pieces, pipelining,
	  content_behind_refused_data, early_talker, early_talker_with_delay, order,
	  forgotten_transactions, verbs, bare_lf_commands, lf_inside_an_address, long_lines,
	  endless_line, many_recipients, too_many_mistakes, mistakes_that_are_none,
	  refused_recipients_without_end, size_limit, other_protocols, quit_behind_the_dot,
	  gone_before_the_answer, gone_inside_the_message, slow_command, slow_data, idle_data,
	  replies_not_read, back_pressure, over_budget, over_budget_behind_a_sleeper,
	  over_budget_for_too_long, gone_under_back_pressure, backend_refusals, helo)
