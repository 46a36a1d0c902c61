/* tests relay/smtp/chunk.c and transfer.c's chunks over real sockets (RFC 3030, CASES S043-S045) */
#include <config.h>

#include "tests/unit/smtp/fixture.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void envelope(struct house *house)
{
	client_ask(&house->client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&house->client, "RCPT TO:<b@y.test>", "250 2.1.5");
}

static void chunk(struct house *house, struct span content, bool last)
{
	char line[64];

	(void)snprintf(line, sizeof(line), "BDAT %zu%s\r\n", content.len, last ? " LAST" : "");
	client_say(&house->client, line);
	client_send(&house->client, content);
}

START_TEST(one_message)
{
	struct house house;

	house_init(&house);
	house_greet(&house);
	ck_assert_ptr_nonnull(strstr(house.client.parser.reply.text.data, "\nCHUNKING"));
	envelope(&house);
	chunk(&house, span_of("Subject: x\r\n\r\n.\r\n..\r\n"), false);
	client_expect(&house.client, "250 2.0.0");
	ck_assert(span_is(buf_span(&house.client.parser.reply.text), "2.0.0 21 octets received"));
	client_say(&house.client, "bdat 7 last\r\nQUIT\r\n.");
	client_expect(&house.client, "250 2.0.0");
	envelope(&house);
	chunk(&house, span_of("alone"), true);
	client_expect(&house.client, "250 2.0.0");
	envelope(&house);
	client_ask(&house.client, "BDAT 0 LAST", "250 2.0.0");
	house_stop(&house);
	/* No dot means anything, and a last line without line end stays so. */
	house_check_body(&house, 0, span_of("Subject: x\r\n\r\n.\r\n..\r\nQUIT\r\n."));
	house_check_body(&house, 1, span_of("alone"));
	house_check_body(&house, 2, span_of(""));
	recorder_release(&house.recorder);
}
END_TEST

/* As Exim sends: all in one go. The commands behind the octets run, the octets do not. */
START_TEST(pipelined)
{
	struct house house;

	house_init(&house);
	house_greet(&house);
	client_say(&house.client,
		   "MAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\n"
		   "RSET\r\nMAIL FROM:<c@x.test>\r\nRCPT TO:<d@y.test>\r\nBDAT 3 LAST\r\n.\r\n"
		   "NOOP\r\n");
	client_expect(&house.client, "250 2.1.0");
	client_expect(&house.client, "250 2.1.5");
	client_expect(&house.client, "250 2.0.0");
	client_expect(&house.client, "250 2.0.0");
	client_expect(&house.client, "250 2.1.0");
	client_expect(&house.client, "250 2.1.5");
	client_expect(&house.client, "250 2.0.0");
	client_expect(&house.client, "250 2.0.0");
	house_stop(&house);
	house_check_body(&house, 0, span_of("QUIT\r\nRSET\r\n"));
	house_check_body(&house, 1, span_of(".\r\n"));
	ck_assert_uint_eq(house.recorder.count, 2);
	recorder_release(&house.recorder);
}
END_TEST

/* Bare CR and LF become line ends, a CRLF may be cut in two (S003 ff. for BDAT). */
START_TEST(line_ends_across_chunks)
{
	struct house house;

	house_init(&house);
	house_greet(&house);
	envelope(&house);
	chunk(&house, span_of("a\r"), false);
	client_expect(&house.client, "250 2.0.0");
	chunk(&house, span_of("\nb\r"), false);
	client_expect(&house.client, "250 2.0.0");
	client_ask(&house.client, "BDAT 0", "250 2.0.0");
	chunk(&house, span_of("c\nd\r"), true);
	client_expect(&house.client, "250 2.0.0");
	house_stop(&house);
	house_check_body(&house, 0, span_of("a\r\nb\r\nc\r\nd\r\n"));
	ck_assert_int_eq(house.recorder.mails[0].facts.bare_cr, 2);
	ck_assert_int_eq(house.recorder.mails[0].facts.bare_lf, 1);
	recorder_release(&house.recorder);
}
END_TEST

/* S044: nothing says where the content ends, so nothing behind it runs. */
START_TEST(malformed)
{
	static const struct {
		const char *line;
		const char *want;
	} rows[] = {
		{"BDAT", "501 5.5.4"},
		{"BDAT ", "501 5.5.4"},
		{"BDAT LAST", "501 5.5.4"},
		{"BDAT -1", "501 5.5.4"},
		{"BDAT +5", "501 5.5.4"},
		{"BDAT 0x10", "501 5.5.4"},
		{"BDAT 5.0", "501 5.5.4"},
		{"BDAT 10LAST", "501 5.5.4"},
		{"BDAT 10 LAST LAST", "501 5.5.4"},
		{"BDAT 10  LAST", "501 5.5.4"},
		{"BDAT\t10", "501 5.5.4"},
		{"BDAT 1\x01", "501 5.5.4"},
		{"BDAT 2147483649", "552 5.3.4"},
		{"BDAT 4294967297", "552 5.3.4"},
		{"BDAT 9223372036854775807", "552 5.3.4"},
		{"BDAT 9223372036854775808 LAST", "552 5.3.4"},
		{"BDAT 18446744073709551615", "552 5.3.4"},
		{"BDAT 18446744073709551616", "552 5.3.4"},
		{"BDAT 18446744073709551617", "552 5.3.4"},
		{"BDAT 99999999999999999999999999999999", "552 5.3.4"},
	};
	struct house house;
	bool early = true;

	house_init(&house);
	house_greet(&house);
	for (size_t i = 0; i < COUNT(rows); i++, early = !early) {
		struct client client;

		client_greet(&client, &house.rig);
		if (early)
			client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
		client_say(&client, rows[i].line);
		client_say(&client, "\r\nRCPT TO:<user@allowed.test>\r\n");
		client_expect(&client, rows[i].want);
		client_expect_end(&client);
		client_close(&client);
	}
	/* A line too long to be looked at. */
	client_say(&house.client, "BDAT ");
	for (int i = 0; i < 500; i++)
		client_say(&house.client, "0000000000");
	client_expect(&house.client, "501 5.5.4");
	client_expect_end(&house.client);
	house_stop(&house);
	ck_assert_uint_eq(house.recorder.count, 0);
	recorder_release(&house.recorder);
}
END_TEST

/* S044: decimal, whatever stands in front; the sum of the chunks counts. */
START_TEST(sizes)
{
	struct house house;
	char *much = mem_alloc(1000001);

	memset(much, 'x', 1000001);
	house_init(&house);
	house_greet(&house);
	envelope(&house);
	client_ask(&house.client, "BDAT 010 LAST\r\n12345678", "250 2.0.0");
	/* Exactly the limit in two, and one more; the octets are taken before the answer. */
	envelope(&house);
	chunk(&house, span_make(much, 500000), false);
	client_expect(&house.client, "250 2.0.0");
	chunk(&house, span_make(much, 500000), true);
	client_expect(&house.client, "250 2.0.0");
	envelope(&house);
	chunk(&house, span_make(much, 1000000), false);
	client_expect(&house.client, "250 2.0.0");
	client_say(&house.client, "BDAT 5 LAST\r\nRSE");
	client_expect_silence(&house.client, 100);
	client_say(&house.client, "T\r");
	client_expect(&house.client, "552 5.3.4");
	client_ask(&house.client, "\r\nNOOP", "500 5.5.2");
	client_expect(&house.client, "250 2.0.0");
	envelope(&house);
	chunk(&house, span_make(much, 1000001), false);
	client_expect(&house.client, "552 5.3.4");
	/* What was pipelined behind the failed chunk is taken and refused too. */
	client_ask(&house.client, "BDAT 11 LAST\r\nMAIL FROM", "503 5.5.1");
	envelope(&house);
	client_ask(&house.client, "BDAT 3 LAST\r\nx", "250 2.0.0");
	house_stop(&house);
	house_check_body(&house, 0, span_of("12345678\r\n"));
	ck_assert_int_eq(house.recorder.mails[1].facts.size, 1000000);
	house_check_body(&house, 2, span_of("x\r\n"));
	ck_assert_uint_eq(house.recorder.count, 3);
	mem_free(much);
	recorder_release(&house.recorder);
}
END_TEST

/* S043, S045: out of order the octets are passed over, then comes a no; nothing else changes. */
START_TEST(out_of_order)
{
	static const char payload[] = "BDAT 29\r\nRCPT TO:<user@allowed.test>\r\n.";
	struct house house;
	struct client client;

	house_init(&house);
	house_greet(&house);
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	client_ask(&client, payload, "503 5.5.1");
	client_expect(&client, "500 5.5.2"); /* the dot and its line end: not content */
	client_ask(&client, "HELO x.test", "250");
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(&client, "BDAT 3 LAST\r\nx", "503 5.5.1"); /* not an ESMTP session */
	client_ask(&client, "DATA", "354");
	client_ask(&client, ".", "250 2.0.0");
	client_close(&client);

	client_ask(&house.client, "BDAT 7\r\nMAIL ", "503 5.5.1");
	client_ask(&house.client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&house.client, "BDAT 7\r\nRCPT ", "503 5.5.1");
	client_ask(&house.client, "RCPT TO:<reject@y.test>", "550 5.7.1");
	client_ask(&house.client, "BDAT 7 LAST\r\nRCPT ", "554 5.5.1");
	client_ask(&house.client, "BDAT 0 LAST", "554 5.5.1");
	client_ask(&house.client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(&house.client, "BDAT 3\r\nx", "250 2.0.0");
	client_ask(&house.client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	client_ask(&house.client, "RCPT TO:<b@y.test>", "503 5.5.1");
	client_ask(&house.client, "DATA", "503 5.5.1");
	client_ask(&house.client, "NOOP", "250 2.0.0");
	client_ask(&house.client, "BDAT 3 LAST\r\ny", "250 2.0.0");
	client_ask(&house.client, "BDAT 3 LAST\r\nz", "503 5.5.1");
	envelope(&house);
	client_ask(&house.client, "BDAT 3\r\nx", "250 2.0.0");
	client_ask(&house.client, "RSET", "250 2.0.0");
	client_ask(&house.client, "BDAT 3 LAST\r\nx", "503 5.5.1");
	envelope(&house);
	client_ask(&house.client, "BDAT 3\r\nx", "250 2.0.0");
	client_ask(&house.client, "EHLO again.test", "250");
	client_ask(&house.client, "DATA", "503 5.5.1");
	house_stop(&house);
	ck_assert_uint_eq(house.recorder.count, 2);
	house_check_body(&house, 1, span_of("x\r\ny\r\n"));
	ck_assert_uint_eq(house.recorder.aborted, 2);
	recorder_release(&house.recorder);
}
END_TEST

/* S045: the backend says no before the first octet. */
START_TEST(backend_refuses)
{
	struct house house;

	house_init(&house);
	house_greet(&house);
	client_ask(&house.client, "MAIL FROM:<nodata@x.test>", "250 2.1.0");
	client_ask(&house.client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(&house.client, "BDAT 6\r\nRSET", "451 4.3.0");
	client_ask(&house.client, "BDAT 6 LAST\r\nRSET", "451 4.3.0");
	client_ask(&house.client, "RSET", "250 2.0.0");
	house.recorder.final = (struct smtp_answer){452, "4.3.1", "full"};
	envelope(&house);
	client_ask(&house.client, "BDAT 6 LAST\r\nRSET", "452 4.3.1");
	client_ask(&house.client, "BDAT 6 LAST\r\nRSET", "503 5.5.1");
	house_close(&house);
}
END_TEST

/* S045, S051: in the middle of a chunk and between two. */
START_TEST(disconnected)
{
	static const char *const ends[] = {"BDAT 100\r\nx", "BDAT 3\r\nx\r\n",
					   "BDAT 3\r\nx\r\nBDAT", "BDAT 3\r\nx\r\nQUIT\r\n"};
	struct house house;

	house_init(&house);
	house_greet(&house);
	for (size_t i = 0; i < COUNT(ends); i++) {
		struct client client;

		client_greet(&client, &house.rig);
		client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
		client_ask(&client, "RCPT TO:<b@y.test>", "250 2.1.5");
		client_say(&client, ends[i]);
		if (i > 0)
			client_expect(&client, "250 2.0.0");
		client_close(&client);
		WAIT_FOR(recorder_aborted(&house.recorder) == i + 1);
	}
	house_stop(&house);
	ck_assert_uint_eq(house.recorder.count, 0);
	recorder_release(&house.recorder);
}
END_TEST

/* S074: the rate holds for the message, so that small chunks are no way to stay for ever. */
START_TEST(slow)
{
	struct house house;
	int64_t start;
	int code = 250;

	house_init(&house);
	house.rig.smtp.data_grace_ms = 300;
	house.rig.smtp.data_min_rate = 1000;
	house_greet(&house);
	envelope(&house);
	start = clock_mono_ms();
	while (code == 250 && clock_mono_ms() - start < 8000) {
		client_say(&house.client, "BDAT 1\r\nx");
		code = client_code(&house.client);
		usleep(20000);
	}
	ck_assert_int_eq(code, 421);
	ck_assert_int_ge(clock_mono_ms() - start, 300);
	client_expect_end(&house.client);
	house_stop(&house);
	ck_assert_uint_eq(house.recorder.aborted, 1);
	recorder_release(&house.recorder);
}
END_TEST

/* Between chunks the command deadline holds, and it is gone with the transaction. */
START_TEST(pauses)
{
	struct house house;

	house_init(&house);
	house.rig.smtp.command_timeout_ms = 500;
	house.rig.smtp.data_grace_ms = 50;
	house.rig.smtp.data_min_rate = 1;
	house_greet(&house);
	envelope(&house);
	client_ask(&house.client, "BDAT 3\r\nx", "250 2.0.0");
	client_ask(&house.client, "RSET", "250 2.0.0");
	usleep(300000); /* the clock of the message does not ring any more */
	envelope(&house);
	client_ask(&house.client, "BDAT 3\r\nx", "250 2.0.0");
	client_expect(&house.client, "421 4.4.2");
	client_expect_end(&house.client);
	house_close(&house);
}
END_TEST

/* S082: back-pressure in a chunk, also at its very end, and no answer before it is over. */
START_TEST(back_pressure)
{
	struct house house;

	house_init(&house);
	house.recorder.never_ready = true;
	house.recorder.blocks = 1;
	house_greet(&house);
	envelope(&house);
	client_say(&house.client, "BDAT 3\r\nx\r\nBDAT 6 LAST\r\nRSET\r\n");
	client_expect_silence(&house.client, 100);
	house.recorder.never_ready = false;
	client_expect(&house.client, "250 2.0.0");
	client_expect(&house.client, "250 2.0.0");
	house_stop(&house);
	house_check_body(&house, 0, span_of("x\r\nRSET\r\n"));
	recorder_release(&house.recorder);
}
END_TEST

/* A stop waits for a message that is under way, also between its chunks. */
START_TEST(stopped)
{
	struct house house;
	int64_t start;

	house_init(&house);
	house_greet(&house);
	envelope(&house);
	client_ask(&house.client, "BDAT 3\r\nx", "250 2.0.0");
	start = clock_mono_ms();
	rig_close(&house.rig, 300);
	ck_assert_int_ge(clock_mono_ms() - start, 290);
	client_expect(&house.client, "421 4.3.2");
	client_expect_end(&house.client);
	client_close(&house.client);
	ck_assert_uint_eq(house.recorder.count, 0);
	ck_assert_uint_eq(house.recorder.aborted, 1);
	recorder_release(&house.recorder);
}
END_TEST

/* A megabyte in chunks of every size. */
START_TEST(many_sizes)
{
	struct house house;
	struct buf want;
	char bytes[2000];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = "ab\r\n"[i % 4];
	buf_init(&want, 2000000);
	house_init(&house);
	house.rig.smtp.max_message_size = 2000000;
	house_greet(&house);
	envelope(&house);
	for (size_t size = 4; size <= 1200; size += 4) {
		chunk(&house, span_make(bytes, size), false);
		buf_append(&want, bytes, size);
		client_expect(&house.client, "250 2.0.0");
	}
	client_ask(&house.client, "BDAT 0 LAST", "250 2.0.0");
	house_stop(&house);
	house_check_body(&house, 0, buf_span(&want));
	buf_release(&want);
	recorder_release(&house.recorder);
}
END_TEST

UNIT_MAIN("smtp/chunk", one_message, pipelined, line_ends_across_chunks, malformed, sizes,
	  out_of_order, backend_refuses, disconnected, slow, pauses, back_pressure, stopped,
	  many_sizes)
