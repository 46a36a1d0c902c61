/* tests relay/smtp/session.c over real sockets: who speaks when, and the end (CASES 2.A, 2.B) */
#include <config.h>

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/smtp/fixture.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

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
			client_reset(&client);
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
			client_reset(&client);
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

UNIT_MAIN("smtp/session", one_message, pipelining, early_talker, early_talker_with_delay, order,
	  forgotten_transactions, helo, backend_refusals, quit_behind_the_dot,
	  gone_before_the_answer, gone_inside_the_message)
