/* tests LMTP over real sockets: transfer.c's answers, verb.c, help.c (RFC 2033) */
#include <config.h>

#include "tests/unit/smtp/fixture.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void open_with(struct house *house, enum listener_protocol protocol, size_t max_recipients)
{
	house_init(house);
	house->rig.listener.protocol = protocol;
	house->rig.smtp.max_recipients = max_recipients;
	house->rig.smtp.max_message_size = 1000;
	rig_open(&house->rig);
	client_open(&house->client, &house->rig);
	client_expect(&house->client, "220");
}

static void mail(struct house *house, const char *const *recipients, size_t count)
{
	char line[200];

	client_ask(&house->client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (size_t i = 0; i < count; i++) {
		(void)snprintf(line, sizeof(line), "RCPT TO:<%s>", recipients[i]);
		client_ask(&house->client, line,
			   strncmp(recipients[i], "reject", 6) == 0 ? "550 5.7.1" : "250 2.1.5");
	}
}

static void expect_answers(struct house *house, size_t count, const char *want)
{
	while (count-- > 0)
		client_expect(&house->client, want);
	client_ask(&house->client, "NOOP", "250 2.0.0");
}

static bool says(const struct house *house, const char *text)
{
	return strstr(house->client.parser.reply.text.data, text) != NULL;
}

/* RFC 2033 4.1 */
START_TEST(hello)
{
	struct house house;
	struct client *client = &house.client;

	open_with(&house, LISTENER_LMTP, 100);
	ck_assert(says(&house, "relay.test LMTP"));
	client_ask(client, "EHLO x.test", "500 5.5.2");
	client_ask(client, "HELO x.test", "500 5.5.2");
	client_ask(client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	ck_assert(says(&house, "LHLO"));
	client_ask(client, "LHLO", "501");
	client_ask(client, "LHLO x.test", "250");
	ck_assert(says(&house, "PIPELINING") && says(&house, "ENHANCEDSTATUSCODES"));
	client_ask(client, "HELP", "214 2.0.0");
	ck_assert(says(&house, " LHLO") || says(&house, "\nLHLO"));
	ck_assert(!says(&house, "EHLO"));
	client_ask(client, "HELP EHLO", "504 5.5.4");
	client_ask(client, "QUIT", "221 2.0.0");
	house_close(&house);

	open_with(&house, LISTENER_SMTP, 100);
	ck_assert(says(&house, "relay.test ESMTP"));
	client_ask(client, "LHLO x.test", "500 5.5.2");
	client_ask(client, "EHLO x.test", "250");
	house_close(&house);
}
END_TEST

/* What is offered has a topic, what is not has none; XCLIENT changes the client, not the protocol.
 */
START_TEST(help_and_xclient)
{
	static const char *const trusted[] = {"127.0.0.0/8"};
	static const char *const recipients[] = {"b@y.test", "c@y.test"};
	struct house house;
	struct client *client = &house.client;

	open_with(&house, LISTENER_LMTP, 100);
	client_ask(client, "HELP XCLIENT", "504 5.5.4");
	client_ask(client, "HELP STARTTLS", "504 5.5.4");
	client_ask(client, "HELP AUTH", "504 5.5.4");
	house_close(&house);

	house_init(&house);
	house.rig.listener.protocol = LISTENER_LMTP;
	house.rig.listener.xclient = true;
	house.rig.listener.trusted = trusted;
	house.rig.listener.trusted_count = 1;
	rig_open(&house.rig);
	client_open(client, &house.rig);
	client_expect(client, "220");
	client_ask(client, "LHLO x.test", "250");
	client_ask(client, "HELP XCLIENT", "214 2.0.0");
	client_ask(client, "XCLIENT ADDR=127.0.0.9 NAME=app.test", "220");
	ck_assert(says(&house, "relay.test LMTP"));
	client_ask(client, "EHLO x.test", "500 5.5.2");
	client_ask(client, "LHLO x.test", "250");
	mail(&house, recipients, 2);
	client_ask(client, "DATA", "354");
	client_say(client, ".\r\n");
	expect_answers(&house, 2, "250 2.0.0");
	house_close(&house);
}
END_TEST

/* RFC 2033 4.2: one answer for each RCPT that was taken, in their order; also for the same twice.
 */
START_TEST(answers)
{
	static const char *const recipients[] = {"b@y.test", "reject@y.test", "c@y.test",
						 "b@y.test"};
	struct house house;
	struct client *client = &house.client;

	open_with(&house, LISTENER_LMTP, 100);
	client_ask(client, "LHLO x.test", "250");
	mail(&house, recipients, COUNT(recipients));
	client_ask(client, "DATA", "354");
	client_say(client, "Subject: x\r\n\r\nx\r\n.\r\n");
	expect_answers(&house, 3, "250 2.0.0");
	/* What was pipelined behind the dot comes after all of them. */
	mail(&house, recipients, 1);
	client_ask(client, "DATA", "354");
	client_say(client, ".\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\nDATA\r\n");
	client_expect(client, "250 2.0.0");
	client_expect(client, "250 2.1.0");
	client_expect(client, "250 2.1.5");
	client_expect(client, "354");
	client_say(client, ".\r\n");
	expect_answers(&house, 1, "250 2.0.0");
	ck_assert_uint_eq(recorder_count(&house.recorder), 3);
	ck_assert(house.recorder.mails[0].client.lmtp && house.recorder.mails[0].client.esmtp);
	house_close(&house);
}
END_TEST

START_TEST(nobody)
{
	static const char *const recipients[] = {"reject@y.test"};
	struct house house;
	struct client *client = &house.client;

	open_with(&house, LISTENER_LMTP, 100);
	client_ask(client, "LHLO x.test", "250");
	mail(&house, recipients, 1);
	client_ask(client, "DATA", "503 5.5.1");
	client_ask(client, "BDAT 6 LAST\r\nNOOP", "503 5.5.1");
	client_ask(client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(client, "DATA", "354");
	client_ask(client, ".", "250 2.0.0");
	house_close(&house);
}
END_TEST

/* A no is one for each of them too: too large, and what the backend says. */
START_TEST(refusals)
{
	static const char *const recipients[] = {"b@y.test", "c@y.test", "d@y.test"};
	char much[1200];
	struct house house;
	struct client *client = &house.client;

	memset(much, 'x', sizeof(much));
	open_with(&house, LISTENER_LMTP, 100);
	client_ask(client, "LHLO x.test", "250");
	mail(&house, recipients, 3);
	client_ask(client, "DATA", "354");
	client_send(client, span_make(much, sizeof(much)));
	client_say(client, "\r\n.\r\n");
	expect_answers(&house, 3, "552 5.3.4");
	house.recorder.final = (struct smtp_answer){452, "4.3.1", "full"};
	mail(&house, recipients, 3);
	client_ask(client, "DATA", "354");
	client_say(client, ".\r\n");
	expect_answers(&house, 3, "452 4.3.1");
	/* 421 ends the connection: there is nothing to say behind it. */
	house.recorder.final = (struct smtp_answer){421, "4.3.0", "gone"};
	mail(&house, recipients, 3);
	client_ask(client, "DATA", "354");
	client_ask(client, ".", "421 4.3.0");
	client_expect_end(client);
	house_close(&house);
}
END_TEST

/* RFC 2033 4.3: a chunk gets one answer, the last one an answer for each recipient. */
START_TEST(chunks)
{
	static const char *const recipients[] = {"b@y.test", "c@y.test"};
	char much[1200];
	struct house house;
	struct client *client = &house.client;

	memset(much, 'x', sizeof(much));
	open_with(&house, LISTENER_LMTP, 100);
	client_ask(client, "LHLO x.test", "250");
	mail(&house, recipients, 2);
	client_ask(client, "BDAT 3\r\nx", "250 2.0.0");
	client_say(client, "BDAT 3 LAST\r\ny\r\n");
	expect_answers(&house, 2, "250 2.0.0");
	mail(&house, recipients, 2);
	client_say(client, "BDAT 1200\r\n");
	client_send(client, span_make(much, sizeof(much)));
	expect_answers(&house, 1, "552 5.3.4");
	mail(&house, recipients, 2);
	client_say(client, "BDAT 1200 LAST\r\n");
	client_send(client, span_make(much, sizeof(much)));
	expect_answers(&house, 2, "552 5.3.4");
	/* Refused before its first octet: the client counts in the same way. */
	client_ask(client, "MAIL FROM:<nodata@x.test>", "250 2.1.0");
	client_ask(client, "RCPT TO:<b@y.test>", "250 2.1.5");
	client_ask(client, "RCPT TO:<c@y.test>", "250 2.1.5");
	client_say(client, "BDAT 1\r\nx");
	expect_answers(&house, 1, "451 4.3.0");
	client_say(client, "BDAT 1 LAST\r\nx");
	expect_answers(&house, 2, "451 4.3.0");
	house_close(&house);
}
END_TEST

/* More answers than the connection holds, for a client that reads late: all come, none is lost. */
START_TEST(many)
{
	enum { BATCHES = 40, BATCH = 100 };
	struct house house;
	struct client *client = &house.client;
	struct buf batch;
	int size = 4096;

	buf_init(&batch, 100000);
	for (int i = 0; i < BATCH; i++)
		buf_append_text(&batch, "RCPT TO:<b@y.test>\r\n");
	open_with(&house, LISTENER_LMTP, 100000);
	house.recorder.final = (struct smtp_answer){.code = 250, .enhanced = "2.0.0"};
	memset(house.recorder.final.text, 'x', 300);
	setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	client_ask(client, "LHLO x.test", "250");
	client_ask(client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (int i = 0; i < BATCHES; i++) {
		client_send(client, buf_span(&batch));
		for (int k = 0; k < BATCH; k++)
			client_expect(client, "250 2.1.5");
	}
	client_ask(client, "DATA", "354");
	client_say(client, ".\r\nRSET\r\nQUIT\r\n");
	usleep(200000);
	for (int i = 0; i < BATCHES * BATCH; i++) {
		client_expect(client, "250 2.0.0");
		ck_assert_uint_eq(client->parser.reply.text.len, 306);
	}
	client_expect(client, "250 2.0.0");
	client_expect(client, "221 2.0.0");
	client_expect_end(client);
	house_close(&house);
	buf_release(&batch);
}
END_TEST

/* Held back on demand they come late and together; a stop does not swallow them. */
START_TEST(late)
{
	static const char *const recipients[] = {"b@y.test", "c@y.test"};
	struct house house;
	struct client *client = &house.client;
	int64_t before;

	open_with(&house, LISTENER_LMTP, 100);
	house.recorder.final = (struct smtp_answer){
		.code = 250, .enhanced = "2.0.0", .text = "late", .delay_ms = 200};
	client_ask(client, "LHLO x.test", "250");
	mail(&house, recipients, 2);
	client_ask(client, "DATA", "354");
	before = clock_mono_ms();
	client_say(client, ".\r\n");
	client_expect(client, "250 2.0.0");
	ck_assert_int_ge(clock_mono_ms() - before, 199);
	expect_answers(&house, 1, "250 2.0.0");
	house.recorder.final.delay_ms = 100000;
	mail(&house, recipients, 2);
	client_ask(client, "DATA", "354");
	client_say(client, ".\r\n");
	WAIT_FOR(recorder_count(&house.recorder) == 2);
	rig_close(&house.rig, 1000);
	client_expect(client, "250 2.0.0");
	client_expect(client, "250 2.0.0");
	client_expect(client, "421 4.3.2");
	client_expect_end(client);
	client_close(client);
	recorder_release(&house.recorder);
}
END_TEST

UNIT_MAIN("smtp/lmtp", hello, help_and_xclient, answers, nobody, refusals, chunks, many, late)
