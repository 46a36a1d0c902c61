/* tests relay/smtp/transfer.c over real sockets: content, its end, size, memory (CASES 2.A, 2.D) */
#include <config.h>

#include <stdatomic.h>
#include <unistd.h>

#include "tests/unit/smtp/fixture.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define TAIL	    "MAIL FROM:<a@x.test>\r\nRCPT TO:<real@evil.example>\r\nDATA\r\nx"
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* S001-S009: whatever stands there, one message comes of one 354, and nothing runs out of it. */
START_TEST(no_smuggling)
{
	static const struct span variants[] = {
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
	client_send_lines(&client, 65536);
	client_ask(&client, ".", "250 2.0.0");
	client_begin(&client, "b@y.test");
	client_send_lines(&client, 65536 - 64);
	client_ask(&client, "..123456789012345678901234567890123456789012345678901234567890a\r\n.",
		   "250 2.0.0"); /* exactly the limit again: stuffed dots do not count */
	client_begin(&client, "b@y.test");
	client_send_lines(&client, 65536);
	client_ask(&client, "\r\n.", "552 5.3.4");
	client_ask(&client, "MAIL FROM:<a@x.test> SIZE=10", "250 2.1.0");
	client_ask(&client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	client_send_lines(&client, 20 << 20);
	client_ask(&client, ".", "552 5.3.4");
	client_ask(&client, "NOOP", "250 2.0.0");
	client_close(&client);
	ck_assert_uint_eq(recorder_count(&house.recorder), 2);
	ck_assert_int_eq(house.recorder.mails[1].facts.size, 65536);
	ck_assert_uint_eq(recorder_aborted(&house.recorder), 2);
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
	client_send_lines(&client, 4 << 20);
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

UNIT_MAIN("smtp/transfer", no_smuggling, empty_message, dot_in_pieces, content_behind_refused_data,
	  size_limit, back_pressure, gone_under_back_pressure, over_budget,
	  over_budget_behind_a_sleeper, over_budget_for_too_long)
