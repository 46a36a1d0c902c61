/* tests relay/smtp/verb.c over real sockets: verbs, and lines that are none (CASES 2.A, 2.B) */
#include <config.h>

#include "tests/unit/smtp/fixture.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

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

UNIT_MAIN("smtp/verb", verbs, bare_lf_commands, lf_inside_an_address, other_protocols)
