/* tests relay/smtp/hold.c: answers held back, and what is not held back with them */
#include <config.h>

#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/smtp/fixture.h"
#include "tests/unit/unit.h"

#define DELAY_MS   300
#define FOREVER_MS 600000

static void open_late(struct house *house, int64_t delay_ms, int64_t command_timeout_ms)
{
	house_init(house);
	house->recorder.delay_ms = delay_ms;
	if (command_timeout_ms > 0)
		house->rig.smtp.command_timeout_ms = command_timeout_ms;
	house_greet(house);
}

/* The answer comes when its time has come, and no earlier. */
static void expect_late(struct house *house, const char *say, const char *want)
{
	int64_t before = clock_mono_ms();

	client_say(&house->client, say);
	client_expect(&house->client, want);
	ck_assert_int_ge(clock_mono_ms() - before, DELAY_MS - 1);
}

START_TEST(each_answer_can_come_late)
{
	struct house house;

	open_late(&house, DELAY_MS, 0);
	expect_late(&house, "MAIL FROM:<slow@x.test>\r\n", "250 2.1.0");
	expect_late(&house, "RCPT TO:<slow@y.test>\r\n", "250 2.1.5");
	expect_late(&house, "DATA\r\n", "354");
	smtp_answer_set(&house.recorder.final, 250, "2.0.0", "late");
	house.recorder.final.delay_ms = DELAY_MS;
	expect_late(&house, "hello\r\n.\r\n", "250 2.0.0");
	client_ask(&house.client, "NOOP", "250 2.0.0");
	ck_assert_uint_eq(recorder_count(&house.recorder), 1);
	house_close(&house);
}
END_TEST

START_TEST(what_is_pipelined_waits_and_is_answered_in_order)
{
	struct house house;

	open_late(&house, DELAY_MS, 0);
	expect_late(&house,
		    "MAIL FROM:<slow@x.test>\r\nRCPT TO:<reject@y.test>\r\n"
		    "RCPT TO:<b@y.test>\r\nRSET\r\n",
		    "250 2.1.0");
	client_expect(&house.client, "550 5.7.1");
	client_expect(&house.client, "250 2.1.5");
	client_expect(&house.client, "250 2.0.0");
	house_close(&house);
}
END_TEST

START_TEST(nobody_else_waits)
{
	struct house house;
	struct client others[4];

	open_late(&house, FOREVER_MS, 0);
	client_say(&house.client, "MAIL FROM:<slow@x.test>\r\n");
	/* Whatever loop they get: one of them shares it. */
	for (size_t i = 0; i < 4; i++) {
		client_greet(&others[i], &house.rig);
		client_ask(&others[i], "MAIL FROM:<a@x.test>", "250 2.1.0");
	}
	client_expect_silence(&house.client, 50);
	for (size_t i = 0; i < 4; i++)
		client_close(&others[i]);
	house_close(&house);
}
END_TEST

START_TEST(the_clients_deadlines_do_not_run_meanwhile)
{
	struct house house;

	open_late(&house, 2 * DELAY_MS, DELAY_MS);
	client_ask(&house.client, "MAIL FROM:<slow@x.test>", "250 2.1.0");
	client_ask(&house.client, "RCPT TO:<slow@y.test>", "250 2.1.5");
	client_ask(&house.client, "DATA", "354");
	client_ask(&house.client, "hello\r\n.", "250 2.0.0");
	/* Behind it they do again. */
	client_expect(&house.client, "421 4.4.2");
	house_close(&house);
}
END_TEST

START_TEST(a_client_that_goes_ends_it)
{
	struct house house;

	open_late(&house, FOREVER_MS, 0);
	client_say(&house.client, "MAIL FROM:<slow@x.test>\r\n");
	WAIT_FOR(house_status(&house).sessions == 1);
	usleep(20000);
	client_close(&house.client);
	WAIT_FOR(house_status(&house).sessions == 0);
	ck_assert_uint_eq(recorder_aborted(&house.recorder), 1);
	client_open(&house.client, &house.rig);
	house_close(&house);
}
END_TEST

/* The stop takes no longer for it, and what was true is said. */
START_TEST(a_stop_ends_it)
{
	struct house house;
	int64_t before;

	open_late(&house, FOREVER_MS, 0);
	client_ask(&house.client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_say(&house.client, "RCPT TO:<slow@y.test>\r\nNOOP\r\n");
	client_expect_silence(&house.client, 50);
	before = clock_mono_ms();
	rig_close(&house.rig, 5000);
	ck_assert_int_lt(clock_mono_ms() - before, 4000);
	client_expect(&house.client, "250 2.1.5");
	client_expect(&house.client, "421 4.3.2");
	client_expect_end(&house.client);
	client_close(&house.client);
	recorder_release(&house.recorder);
}
END_TEST

START_TEST(a_stop_cuts_a_354_short)
{
	struct house house;

	open_late(&house, FOREVER_MS, 0);
	client_ask(&house.client, "MAIL FROM:<slowdata@x.test>", "250 2.1.0");
	client_ask(&house.client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_say(&house.client, "DATA\r\n");
	client_expect_silence(&house.client, 50);
	rig_close(&house.rig, 5000);
	client_expect(&house.client, "421 4.3.2");
	client_close(&house.client);
	recorder_release(&house.recorder);
}
END_TEST

/* The message under way may come to its end, but its answer waits no longer. */
START_TEST(no_answer_is_held_back_while_stopping)
{
	struct house house;

	open_late(&house, FOREVER_MS, 0);
	smtp_answer_set(&house.recorder.final, 250, "2.0.0", "late");
	house.recorder.final.delay_ms = FOREVER_MS;
	client_begin(&house.client, "b@y.test");
	smtp_front_close(house.rig.front, 5000);
	usleep(50000);
	client_ask(&house.client, "hello\r\n.", "250 2.0.0");
	client_expect(&house.client, "421 4.3.2");
	house_close(&house);
}
END_TEST

START_TEST(disconnected_without_a_word)
{
	struct house house;

	open_late(&house, DELAY_MS, 0);
	client_say(&house.client, "MAIL FROM:<gone@x.test>\r\nNOOP\r\n");
	client_expect_end(&house.client);
	WAIT_FOR(house_status(&house).sessions == 0);
	client_close(&house.client);
	client_greet(&house.client, &house.rig);
	client_begin(&house.client, "b@y.test");
	smtp_answer_set(&house.recorder.final, 421, "4.3.2", "gone");
	house.recorder.final.disconnect = true;
	house.recorder.final.delay_ms = DELAY_MS;
	client_say(&house.client, "hello\r\n.\r\n");
	client_expect_end(&house.client);
	house_close(&house);
}
END_TEST

/* S043 in spirit: what was sent without a 354 never runs, also when the refusal comes late. */
START_TEST(content_behind_a_late_refusal_never_runs)
{
	struct house house;

	open_late(&house, DELAY_MS, 0);
	client_ask(&house.client, "MAIL FROM:<nodataslow@x.test>", "250 2.1.0");
	client_ask(&house.client, "RCPT TO:<b@y.test>", "250 2.1.5");
	expect_late(&house, "DATA\r\nRSET\r\nMAIL FROM:<a@x.test>\r\n", "451 4.3.0");
	client_expect_end(&house.client);
	house_close(&house);
}
END_TEST

START_TEST(a_chunk_can_wait_too)
{
	struct house house;

	open_late(&house, DELAY_MS, 0);
	client_ask(&house.client, "MAIL FROM:<slowdata@x.test>", "250 2.1.0");
	client_ask(&house.client, "RCPT TO:<b@y.test>", "250 2.1.5");
	expect_late(&house, "BDAT 7\r\nhello\r\n", "250 2.0.0");
	client_ask(&house.client, "BDAT 0 LAST", "250 2.0.0");
	ck_assert_uint_eq(recorder_count(&house.recorder), 1);
	ck_assert(span_is(buf_span(&house.recorder.mails[0].body), "hello\r\n"));
	client_ask(&house.client, "MAIL FROM:<nodataslow@x.test>", "250 2.1.0");
	client_ask(&house.client, "RCPT TO:<b@y.test>", "250 2.1.5");
	expect_late(&house, "BDAT 6 LAST\r\nRSET\r\nNOOP\r\n", "451 4.3.0");
	client_expect(&house.client, "250 2.0.0");
	house_close(&house);
}
END_TEST

/* RFC 2033: an answer for each recipient, late, and also when a stop cuts the delay short. */
START_TEST(lmtp_answers_come_late_together)
{
	for (int stopped = 0; stopped < 2; stopped++) {
		struct house house;

		house_init(&house);
		house.rig.listener.protocol = LISTENER_LMTP;
		rig_open(&house.rig);
		client_open(&house.client, &house.rig);
		client_expect(&house.client, "220");
		client_ask(&house.client, "LHLO client.test", "250");
		client_ask(&house.client, "MAIL FROM:<a@x.test>", "250 2.1.0");
		client_ask(&house.client, "RCPT TO:<b@y.test>", "250 2.1.5");
		client_ask(&house.client, "RCPT TO:<c@y.test>", "250 2.1.5");
		client_ask(&house.client, "DATA", "354");
		smtp_answer_set(&house.recorder.final, 250, "2.0.0", "late");
		house.recorder.final.delay_ms = stopped ? FOREVER_MS : DELAY_MS;
		if (!stopped) {
			expect_late(&house, "hello\r\n.\r\n", "250 2.0.0");
			client_expect(&house.client, "250 2.0.0");
			client_ask(&house.client, "NOOP", "250 2.0.0");
			house_close(&house);
			continue;
		}
		client_say(&house.client, "hello\r\n.\r\n");
		client_expect_silence(&house.client, 50);
		rig_close(&house.rig, 5000);
		client_expect(&house.client, "250 2.0.0");
		client_expect(&house.client, "250 2.0.0");
		client_expect(&house.client, "421 4.3.2");
		client_close(&house.client);
		recorder_release(&house.recorder);
	}
}
END_TEST

UNIT_MAIN("smtp/hold", each_answer_can_come_late, what_is_pipelined_waits_and_is_answered_in_order,
	  nobody_else_waits, the_clients_deadlines_do_not_run_meanwhile, a_client_that_goes_ends_it,
	  a_stop_ends_it, a_stop_cuts_a_354_short, no_answer_is_held_back_while_stopping,
	  disconnected_without_a_word, content_behind_a_late_refusal_never_runs,
	  a_chunk_can_wait_too, lmtp_answers_come_late_together)
