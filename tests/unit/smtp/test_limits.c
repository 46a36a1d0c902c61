/* tests where a session's patience ends: lengths, numbers, mistakes, slowness (CASES 2.B, 2.D) */
#include <config.h>

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/smtp/fixture.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

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
	client_send_lines(&client, 500); /* half a second more */
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
	client_send_lines(&client, 100000);
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

UNIT_MAIN("smtp/limits", long_lines, endless_line, many_recipients, too_many_mistakes,
	  mistakes_that_are_none, refused_recipients_without_end, slow_command, slow_data,
	  idle_data, replies_not_read)
