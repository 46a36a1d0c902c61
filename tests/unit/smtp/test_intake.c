/* tests relay/smtp/intake.c: from the wire into a real store */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/smtp/relay.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

START_TEST(main_job)
{
	static const char body[] = "Received: from x\r\nSUBJECT: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
				   "Message-ID:  <1@x.test>\r\n\r\nhello\r\n";
	struct relay relay;
	struct client client;
	struct message_view view;
	int64_t before = clock_wall_ms();

	relay_init(&relay);
	relay.rig.listener.scope = "shop";
	relay_greet(&relay, &client);
	client_ask(&client, "MAIL FROM:<app@client.test> BODY=8BITMIME", "250 2.1.0");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<Real@evil.example>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<real@evil.example>", "250 2.1.5");
	view = relay_data(&relay, &client, body);
	ck_assert_str_eq(view.m.sender, "app@client.test");
	ck_assert_str_eq(view.m.subject, "Gr\xc3\xbc\xc3\x9f"
					 "e");
	ck_assert_str_eq(view.m.message_id, "<1@x.test>");
	ck_assert_int_eq(view.m.header_size, (int64_t)sizeof(body) - 1 - 7);
	ck_assert(view.m.header_parsed && view.m.body_8bit);
	ck_assert_int_ge(view.m.received_at, before);
	ck_assert_str_eq(view.m.helo, "client.test");
	ck_assert_str_eq(view.m.client_address, "127.0.0.1");
	ck_assert_str_eq(view.m.protocol, "ESMTP");
	ck_assert_str_eq(view.m.scope, "shop");
	ck_assert_str_eq(view.m.listener, "127.0.0.1:0");
	ck_assert_uint_eq(view.recipient_count, 3);
	ck_assert_int_eq(view.recipients[0].state, STATE_QUEUED);
	ck_assert_str_eq(view.recipients[0].ruling.verdict, "deliver");
	ck_assert_int_eq(view.recipients[0].ruling.entry, 1);
	ck_assert_str_eq(view.recipients[1].address, "Real@evil.example");
	ck_assert_int_eq(view.recipients[1].state, STATE_DROPPED);
	ck_assert_str_eq(view.recipients[1].ruling.verdict, "drop");
	ck_assert_uint_gt(strlen(view.recipients[1].ruling.reason), 0);
	relay_check_stored(&relay, &view, span_of(body));
	relay_part(&relay, &client);
}
END_TEST

/* S185 as DESIGN 4.8 settles it. */
START_TEST(hops)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay_greet(&relay, &client);
	for (int count = 50; count <= 51; count++) {
		client_begin(&client, "user@allowed.test");
		for (int i = 0; i < count; i++)
			client_say(&client, "received: from a\r\n\tby b\r\n");
		client_say(&client, "\r\nReceived: not in the header\r\n.\r\n");
		if (count == 50)
			view = relay_taken(&relay, &client);
		else
			client_expect(&client, "554 5.4.6");
	}
	ck_assert_int_gt(view.m.header_size, 50 * 20);
	client_begin(&client, "user@allowed.test");
	client_say(&client, ".\r\n");
	(void)relay_taken(&relay, &client);
	relay_part(&relay, &client);
}
END_TEST

static void add_fill(struct buf *message, size_t len)
{
	for (size_t i = 0; i < len; i += 64)
		buf_append_text(message, "0123456789012345678901234567890123456789"
					 "01234567890123456789ab\r\n");
}

/* Shapes of headers: {what stands before the body, is it parsed}; the size is found in all. */
START_TEST(headers)
{
	struct relay relay;
	struct client client;
	struct message_view view;
	struct buf message;

	relay_init(&relay);
	relay.rig.smtp.max_message_size = 64 << 20;
	rig_open(&relay.rig);
	buf_init(&message, 64 << 20);
	client_greet(&client, &relay.rig);
	for (int shape = 0; shape < 6; shape++) {
		int64_t header;

		buf_clear(&message);
		switch (shape) {
		case 0: break;					      /* nothing at all */
		case 1: buf_append_text(&message, "\r\n"); break;     /* no field */
		case 2: buf_append_text(&message, "A: b\r\n"); break; /* no end */
		case 3: buf_append_text(&message, "A: b\r\n\r\n"); break;
		case 4: /* one field over the limit */
			buf_append_text(&message, "A: b\r\n ");
			add_fill(&message, 300000);
			/* folded lines only: the fill has no blank in front, but no empty line */
			buf_append_text(&message, "\r\n");
			break;
		default: /* two thousand fields */
			for (int i = 0; i < 2000; i++)
				buf_append_text(&message, "A: b\r\n");
			buf_append_text(&message, "\r\n");
			break;
		}
		header = (int64_t)message.len;
		if (shape > 2)
			add_fill(&message, 1000000);
		client_begin(&client, "user@allowed.test");
		client_send(&client, buf_span(&message));
		client_say(&client, ".\r\n");
		view = relay_taken(&relay, &client);
		ck_assert_msg(view.m.header_size == header, "shape %d: %lld", shape,
			      (long long)view.m.header_size);
		ck_assert_msg(view.m.header_parsed == (shape < 4), "shape %d", shape);
		relay_check_stored(&relay, &view, buf_span(&message));
	}
	client_close(&client);
	buf_release(&message);
	relay_close(&relay);
}
END_TEST

/* smtp.fixups: beside the message, whose bytes stay as they came. */
START_TEST(fixups)
{
	static const struct {
		const char *body;
		bool date;
		bool message_id;
	} cases[] = {
		{"Subject: x\r\n\r\nx\r\n", true, true},
		{"Date: x\r\nMessage-ID: <a@b>\r\n\r\nx\r\n", false, false},
		{"Date: x\r\n\r\nMessage-ID: <a@b>\r\n", false, true},
		{"", true, true},
	};
	struct relay relay;
	struct client client;

	relay_init(&relay);
	relay.rig.smtp.fixups = SMTP_FIXUPS_MSA;
	relay_greet(&relay, &client);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char want[ULID_TEXT_SIZE + 20];
		char id[ULID_TEXT_SIZE];
		struct message_view view;
		const char *added;

		client_begin(&client, "user@allowed.test");
		client_say(&client, cases[i].body);
		client_say(&client, ".\r\n");
		view = relay_taken(&relay, &client);
		relay_check_stored(&relay, &view, span_of(cases[i].body));
		added = view.m.added_fields != NULL ? view.m.added_fields : "";
		ulid_format(&view.m.id, id);
		(void)snprintf(want, sizeof(want), "<%s@relay.test>", id);
		ck_assert((strstr(added, "Date: ") != NULL) == cases[i].date);
		ck_assert((strstr(added, want) != NULL) == cases[i].message_id);
		ck_assert_str_eq(view.m.message_id, cases[i].message_id ? want : "<a@b>");
	}
	relay_part(&relay, &client);
}
END_TEST

/* A header beyond what is read may have both further down. */
START_TEST(fixups_of_a_long_header)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay.rig.smtp.fixups = SMTP_FIXUPS_MSA;
	relay_greet(&relay, &client);
	client_begin(&client, "user@allowed.test");
	for (int i = 0; i < 1001; i++)
		client_say(&client, "A: b\r\n");
	client_say(&client, "Date: x\r\n\r\n.\r\n");
	view = relay_taken(&relay, &client);
	ck_assert(!view.m.header_parsed && view.m.added_fields == NULL);
	relay_part(&relay, &client);
}
END_TEST

/* RFC 6531: the parameter alone needs nothing of a next hop; Received tells that it was there. */
START_TEST(smtputf8)
{
	static const struct {
		const char *mail;
		const char *header;
		bool needed;
		const char *protocol;
	} cases[] = {
		{"<a@x.test> SMTPUTF8", "Subject: x\r\n\r\n\xc3\xa9\r\n", false, "UTF8SMTP"},
		{"<a@x.test> SMTPUTF8", "Subject: \xc3\xa9\r\n\r\nx\r\n", true, "UTF8SMTP"},
		{"<\xc3\xa9@x.test> SMTPUTF8", "Subject: x\r\n\r\nx\r\n", false, "UTF8SMTP"},
		{"<a@x.test>", "Subject: \xc3\xa9\r\n\r\nx\r\n", false, "ESMTP"},
	};
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay_greet(&relay, &client);
	for (size_t i = 0; i < COUNT(cases); i++) {
		client_say(&client, "MAIL FROM:");
		client_ask(&client, cases[i].mail, "250 2.1.0");
		client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
		client_ask(&client, "DATA", "354");
		client_say(&client, cases[i].header);
		client_say(&client, ".\r\n");
		view = relay_taken(&relay, &client);
		ck_assert_msg(view.m.smtputf8 == cases[i].needed, "case %zu", i);
		ck_assert_str_eq(view.m.protocol, cases[i].protocol);
	}
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<us\xc3\xa9r@allowed.test>", "553 5.6.7");
	client_ask(&client, "RSET", "250 2.0.0");
	client_ask(&client, "MAIL FROM:<\xc3\xa9@x.test>", "553 5.6.7");
	relay_part(&relay, &client);
}
END_TEST

/* P5: 8 bits, NULs, long lines, dots, no final line end, and a large one in many chunks. */
START_TEST(bytes_as_they_came)
{
	static const struct span odd = B("a\0b\xff\xfe\r\n..\r\n...a\nlf\rcr");
	static const struct span kept = B("a\0b\xff\xfe\r\n.\r\n..a\r\nlf\r\ncr\r\n");
	struct relay relay;
	struct client client;
	struct message_view view;
	struct buf message;

	relay_init(&relay);
	relay.rig.smtp.max_message_size = 64 << 20;
	relay_greet(&relay, &client);
	client_begin(&client, "user@allowed.test");
	client_send(&client, odd);
	client_say(&client, "\r\n.\r\n");
	view = relay_taken(&relay, &client);
	relay_check_stored(&relay, &view, kept);
	ck_assert_int_eq(view.m.bare_lf, 1);
	ck_assert_int_eq(view.m.bare_cr, 1);
	ck_assert(view.m.body_8bit); /* though it was not declared */

	buf_init(&message, 64 << 20);
	buf_append_text(&message, "Subject: large\r\n\r\n");
	for (int i = 0; message.len < 5 << 20; i++)
		buf_printf(&message, "line %d of it, and then some more of the same\r\n", i);
	for (int i = 0; i < 40000; i++)
		buf_append_char(&message, 'x');
	buf_append_text(&message, "\r\n");
	client_begin(&client, "user@allowed.test");
	client_send(&client, buf_span(&message));
	client_say(&client, ".\r\n");
	view = relay_taken(&relay, &client);
	relay_check_stored(&relay, &view, buf_span(&message));
	buf_release(&message);
	relay_part(&relay, &client);
}
END_TEST

/* S051 with a store behind: nothing is queued, and the memory is given back. */
START_TEST(disconnected)
{
	struct relay relay;
	struct client client;
	struct queue_stats stats;
	struct smtp_front_status status;

	relay_init(&relay);
	relay_greet(&relay, &client);
	client_begin(&client, "user@allowed.test");
	for (int i = 0; i < 10000; i++)
		client_say(&client, "and then the power went, in the middle of it all\r\n");
	client_close(&client);
	WAIT_FOR((smtp_front_status(relay.rig.front, &status), status.sessions == 0));
	store_stats(relay.queue.store, &stats);
	ck_assert_int_eq(stats.messages, 0);
	relay_close(&relay);
}
END_TEST

struct sender {
	struct relay *relay;
	int number;
};

#define EACH 50

static void *send_many(void *arg)
{
	struct sender *sender = arg;
	struct client client;

	client_greet(&client, &sender->relay->rig);
	for (int i = 0; i < EACH; i++) {
		char rcpt[100];

		(void)snprintf(rcpt, sizeof(rcpt), "t%d.%d@wild.test", sender->number, i);
		client_begin(&client, rcpt);
		client_ask(&client, "Subject: x\r\n\r\nhello\r\n.", "250 2.0.0");
	}
	client_close(&client);
	return NULL;
}

/* Several clients at once: every 250 is a row. */
START_TEST(together)
{
	struct relay relay;
	struct queue_stats stats;
	struct sender senders[8];
	pthread_t threads[8];

	relay_init(&relay);
	rig_open(&relay.rig);
	for (int i = 0; i < 8; i++) {
		senders[i] = (struct sender){&relay, i};
		pthread_create(&threads[i], NULL, send_many, &senders[i]);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	store_stats(relay.queue.store, &stats);
	ck_assert_int_eq(stats.messages, 8 * EACH);
	ck_assert_int_eq(stats.by_state[STATE_QUEUED], 8 * EACH);
	relay_close(&relay);
}
END_TEST

UNIT_MAIN("smtp/intake", main_job, hops, headers, fixups, fixups_of_a_long_header, smtputf8,
	  bytes_as_they_came, disconnected, together)
