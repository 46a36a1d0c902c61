/* tests relay/smtp/intake.c, envelope.c and received.c: from the wire into a real store */
#include <config.h>

#include "relay/smtp/intake.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/filter/policy.h"
#include "relay/smtp/received.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/smtp/client.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* The fixture whitelist of CASES 2, and a U-label domain given by its A-label (S138). */
static const struct list_row rows[] = {
	{"user@allowed.test", 1, false, NULL, 0},
	{"first_last@allowed.test", 2, false, NULL, 0},
	{"wild.test", 3, false, NULL, 0},
	{"nexthop.test", 4, false, NULL, 0},
	{"user@xn--bcher-kva.example", 5, false, NULL, 0},
	{NULL, 0, false, NULL, 0},
};

struct relay {
	struct fixture queue;
	struct whitelist *list;
	struct policy_options policy;
	struct intake *intake;
	struct door_rig rig;
	struct arena *arena;
};

static void relay_init(struct relay *relay)
{
	fixture_open(&relay->queue);
	relay->list = list_of(rows);
	relay->policy = (struct policy_options){.default_verdict = VERDICT_DROP, .bounce_to = ""};
	relay->intake = intake_new(relay->queue.store, relay->list, &relay->rig.budget);
	relay->arena = arena_new();
	rig_init(&relay->rig, &intake_ops, relay->intake, &relay->policy);
}

static void relay_close(struct relay *relay)
{
	rig_close(&relay->rig, 1000);
	intake_free(&relay->intake);
	whitelist_free(&relay->list);
	arena_free(&relay->arena);
	fixture_close(&relay->queue);
	fixture_remove(&relay->queue);
}

/* "250 2.0.0 Ok: queued as <ULID>": the message as the store has it. */
static struct message_view taken(struct relay *relay, struct client *client)
{
	struct span text;
	struct ulid id;
	size_t at;

	client_expect(client, "250 2.0.0");
	text = buf_span(&client->parser.reply.text);
	at = span_find_last(text, ' ');
	ck_assert(span_is(span_first(text, at), "2.0.0 Ok: queued as"));
	ck_assert_int_eq(ulid_parse(span_skip(text, at + 1), &id), ERR_OK);
	return show(&relay->queue, &id, relay->arena);
}

static void check_stored(struct relay *relay, const struct message_view *view, struct span want)
{
	struct buf bytes;
	struct err why;
	size_t before;
	int64_t sequence = 0;

	buf_init(&bytes, 64 << 20);
	do {
		before = bytes.len;
		ck_assert_int_eq(
			queue_body_read(relay->queue.reader, &view->m.id, sequence++, &bytes, &why),
			ERR_OK);
	} while (bytes.len > before);
	ck_assert_int_eq(view->m.size, (int64_t)want.len);
	ck_assert(span_equal(buf_span(&bytes), want));
	buf_release(&bytes);
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
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_ask(&client, "MAIL FROM:<app@client.test> BODY=8BITMIME", "250 2.1.0");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<Real@evil.example>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<real@evil.example>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	client_say(&client, body);
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
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
	check_stored(&relay, &view, span_of(body));
	client_close(&client);
	relay_close(&relay);
}
END_TEST

/*
 * CASES 2.E at the door: what RCPT is answered, what is stored, in which
 * state. Unsafe forms are taken and never due (DESIGN 4.6).
 */
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
static const struct {
	const char *id;
	struct span rcpt;   /* behind "RCPT TO:" */
	const char *stored; /* NULL: refused with 501 */
	enum state state;
} forms[] = {
	{"S085", B("<user@allowed.test>"), "user@allowed.test", STATE_QUEUED},
	{"S086", B("<user@ALLOWED.Test>"), "user@ALLOWED.Test", STATE_QUEUED},
	{"S087", B("<USER@allowed.test>"), "USER@allowed.test", STATE_QUEUED},
	{"S088", B("user@allowed.test"), NULL, 0},
	{"S089", B(" <user@allowed.test>"), NULL, 0},
	{"S090", B(" : <user@allowed.test>"), NULL, 0},
	{"S091", B("< user@allowed.test >"), NULL, 0},
	{"S091", B("<user @ allowed.test>"), NULL, 0},
	{"S091", B("<user@allowed.test\t>"), NULL, 0},
	{"S092", B("<user@allowed.test\r>"), NULL, 0},
	{"S095", B("<user@allowed.test NOTIFY=NEVER ORCPT=x>"), NULL, 0},
	{"S096", B("<user@allowed.test.>"), NULL, 0},
	{"S097", B("<user@allowed.test..>"), NULL, 0},
	{"S098", B("<user@.allowed.test>"), NULL, 0},
	{"S098", B("<user@allowed..test>"), NULL, 0},
	{"S098", B("<user@-allowed.test>"), NULL, 0},
	{"S098", B("<user@allowed-.test>"), NULL, 0},
	{"S099", B("<\"user\"@allowed.test>"), "\"user\"@allowed.test", STATE_DROPPED},
	{"S100", B("<\"us\\\\er\"@allowed.test>"), "\"us\\\\er\"@allowed.test", STATE_DROPPED},
	{"S100", B("<us\\\\er@allowed.test>"), NULL, 0},
	{"S101", B("<us\"er\"@allowed.test>"), NULL, 0},
	{"S101", B("<\"us\".\"er\"@allowed.test>"), NULL, 0},
	{"S102", B("<@allowed.test>"), NULL, 0},
	{"S103", B("<\"a b\"@allowed.test>"), "\"a b\"@allowed.test", STATE_DROPPED},
	{"S104", B("<\"real@evil.example\"@wild.test>"), "\"real@evil.example\"@wild.test",
	 STATE_DROPPED},
	{"S105", B("<\"real@evil.example\"@nexthop.test>"), "\"real@evil.example\"@nexthop.test",
	 STATE_DROPPED},
	{"S106", B("<\"real@evil.example x\"@wild.test>"), "\"real@evil.example x\"@wild.test",
	 STATE_DROPPED},
	{"S107", B("<\"real@evil.example> x\"@wild.test>"), "\"real@evil.example> x\"@wild.test",
	 STATE_DROPPED},
	{"S107", B("<\"<real@evil.example>\"@wild.test>"), "\"<real@evil.example>\"@wild.test",
	 STATE_DROPPED},
	{"S108", B("<real%evil.example@wild.test>"), "real%evil.example@wild.test", STATE_DROPPED},
	{"S109", B("<real%evil.example@nexthop.test>"), "real%evil.example@nexthop.test",
	 STATE_DROPPED},
	{"S110", B("<real%evil.example>"), NULL, 0},
	{"S111", B("<evil.example!real@nexthop.test>"), "evil.example!real@nexthop.test",
	 STATE_DROPPED},
	{"S112", B("<evil.example!real>"), NULL, 0},
	{"S113", B("<@allowed.test:real@evil.example>"), "real@evil.example", STATE_DROPPED},
	{"S113", B("<@allowed.test,@b.test:real@evil.example>"), "real@evil.example",
	 STATE_DROPPED},
	{"S114", B("<real@evil.example:user@allowed.test>"), NULL, 0},
	{"S115", B("<user@allowed.test@evil.example>"), NULL, 0},
	{"S116", B("<real@evil.example@allowed.test>"), NULL, 0},
	{"S116", B("<real\\@evil.example@allowed.test>"), NULL, 0},
	{"S116", B("<real@evil.example\\@allowed.test>"), NULL, 0},
	{"S117", B("<user(real@evil.example)@allowed.test>"), NULL, 0},
	{"S117", B("<user@allowed.test(.evil.example)>"), NULL, 0},
	{"S121", B("Real <user@allowed.test>"), NULL, 0},
	{"S121", B("<real@evil.example <user@allowed.test>>"), NULL, 0},
	{"S121", B("<<user@allowed.test>>"), NULL, 0},
	{"S123", B("<user@allowed.test,real@evil.example>"), NULL, 0},
	{"S123", B("<user@allowed.test;real@evil.example>"), NULL, 0},
	{"S123", B("<g:user@allowed.test,real@evil.example;>"), NULL, 0},
	{"S124", B("<user@[127.0.0.1]>"), "user@[127.0.0.1]", STATE_DROPPED},
	{"S124", B("<user@[IPv6:::1]>"), "user@[IPv6:::1]", STATE_DROPPED},
	{"S124", B("<user@[IPv6:::ffff:7f00:1]>"), "user@[IPv6:::ffff:7f00:1]", STATE_DROPPED},
	{"S126", B("<user@allowed.test\0.evil.example>"), NULL, 0},
	{"S128", B("<user>"), NULL, 0},
	{"S128", B("<user@>"), NULL, 0},
	{"S128", B("<postmaster>"), "postmaster", STATE_DROPPED},
	{"S129", B("<>"), NULL, 0},
	{"S129", B("<\" \"@allowed.test>"), "\" \"@allowed.test", STATE_DROPPED},
	{"S130", B("<a23456789012345678901234567890123456789012345678901234567890123@wild.test>"),
	 "a23456789012345678901234567890123456789012345678901234567890123@wild.test", STATE_QUEUED},
	{"S130", B("<a2345678901234567890123456789012345678901234567890123456789012345@wild.test>"),
	 NULL, 0},
	{"S132", B("<user+tag@allowed.test>"), "user+tag@allowed.test", STATE_DROPPED},
	{"S133", B("<user+real=evil.example@wild.test>"), "user+real=evil.example@wild.test",
	 STATE_DROPPED},
	{"S133", B("<SRS0=x=y=evil.example=real@wild.test>"),
	 "SRS0=x=y=evil.example=real@wild.test", STATE_DROPPED},
	{"S134", B("<|/bin/sh@wild.test>"), "|/bin/sh@wild.test", STATE_DROPPED},
	{"S134", B("<\"|/bin/sh\"@wild.test>"), "\"|/bin/sh\"@wild.test", STATE_DROPPED},
	{"S134", B("</etc/passwd@wild.test>"), "/etc/passwd@wild.test", STATE_DROPPED},
	{"S134", B("<-oQ/tmp@wild.test>"), "-oQ/tmp@wild.test", STATE_DROPPED},
	{"S134", B("<*@wild.test>"), "*@wild.test", STATE_DROPPED},
	{"S134", B("<$(id)@wild.test>"), NULL, 0},
	{"S135", B("<.user@allowed.test>"), NULL, 0},
	{"S135", B("<user.@allowed.test>"), NULL, 0},
	{"S135", B("<us..er@allowed.test>"), NULL, 0},
	{"S137", B("<us\xc3\xa9r@allowed.test>"), "us\xc3\xa9r@allowed.test", STATE_DROPPED},
	{"S137", B("<us\xe9r@allowed.test>"), NULL, 0},
	{"S137", B("<us\xc0\xaer@allowed.test>"), NULL, 0},
	{"S138",
	 B("<user@b\xc3\xbc"
	   "cher.example>"),
	 "user@xn--bcher-kva.example", STATE_QUEUED},
	{"S138", B("<user@xn--bcher-kva.example>"), "user@xn--bcher-kva.example", STATE_QUEUED},
	{"S143", B("<user@al_lowed.test>"), NULL, 0},
	{"S148", B("<first_last@allowed.test>"), "first_last@allowed.test", STATE_QUEUED},
	{"S148", B("<firstXlast@allowed.test>"), "firstXlast@allowed.test", STATE_DROPPED},
};

static void check_form(struct relay *relay, struct client *client, size_t i)
{
	struct message_view view;

	client_ask(client, "MAIL FROM:<> SMTPUTF8", "250 2.1.0");
	client_say(client, "RCPT TO:");
	client_send(client, forms[i].rcpt);
	client_say(client, "\r\n");
	if (forms[i].stored == NULL) {
		ck_assert_msg(client_code(client) == 501, "%s: %.*s", forms[i].id,
			      (int)client->parser.reply.text.len, client->parser.reply.text.data);
		client_ask(client, "RSET", "250 2.0.0");
		return;
	}
	ck_assert_msg(client_code(client) == 250, "%s: %.*s", forms[i].id,
		      (int)client->parser.reply.text.len, client->parser.reply.text.data);
	client_ask(client, "DATA", "354");
	client_say(client, ".\r\n");
	view = taken(relay, client);
	ck_assert_uint_eq(view.recipient_count, 1);
	ck_assert_msg(strcmp(view.recipients[0].address, forms[i].stored) == 0, "%s: %s",
		      forms[i].id, view.recipients[0].address);
	ck_assert_msg(view.recipients[0].state == forms[i].state, "%s: %s", forms[i].id,
		      state_name(view.recipients[0].state));
}

START_TEST(recipient_forms)
{
	struct relay relay;
	struct client client;

	relay_init(&relay);
	relay.rig.smtp.max_errors = 1000;
	relay.rig.smtp.max_junk = 1000;
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	for (size_t i = 0; i < COUNT(forms); i++)
		check_form(&relay, &client, i);
	client_close(&client);
	relay_close(&relay);
}
END_TEST

/* S147: an empty list lets nothing out. */
START_TEST(empty_list)
{
	static const struct list_row none[] = {{NULL, 0, false, NULL, 0}};
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	whitelist_free(&relay.list);
	intake_free(&relay.intake);
	relay.list = list_of(none);
	relay.intake = intake_new(relay.queue.store, relay.list, NULL);
	relay.rig.env.backend_ctx = relay.intake;
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_begin(&client, "user@allowed.test");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	ck_assert_int_eq(view.recipients[0].state, STATE_DROPPED);
	client_close(&client);
	relay_close(&relay);
}
END_TEST

/* S033: however often and however its domain is written, a mailbox is one row; the limit counts. */
START_TEST(duplicates)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay.rig.smtp.max_recipients = 600;
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (int i = 0; i < 200; i++) {
		char other[64];

		(void)snprintf(other, sizeof(other), "RCPT TO:<other%d@wild.test>", i);
		client_ask(&client, other, "250 2.1.5");
		client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
		client_ask(&client, "RCPT TO:<user@Allowed.TEST>", "250 2.1.5");
	}
	client_ask(&client, "RCPT TO:<user@allowed.test>", "452 4.5.3");
	client_ask(&client, "DATA", "354");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	ck_assert_uint_eq(view.recipient_count, 201);
	client_close(&client);
	relay_close(&relay);
}
END_TEST

START_TEST(policies)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay.policy.default_verdict = VERDICT_REJECT;
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<real@evil.example>", "550 5.7.1");
	client_ask(&client, "DATA", "554 5.5.1");
	/* The policy is for what the list does not name; an unsafe form is taken all the same. */
	client_ask(&client, "RCPT TO:<\"user\"@allowed.test>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	ck_assert_uint_eq(view.recipient_count, 2);
	ck_assert_int_eq(view.recipients[0].state, STATE_DROPPED);
	ck_assert_int_eq(view.recipients[1].state, STATE_QUEUED);
	client_close(&client);
	relay_close(&relay);

	relay_init(&relay);
	relay.policy.default_verdict = VERDICT_HOLD;
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_begin(&client, "real@evil.example");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	ck_assert_int_eq(view.recipients[0].state, STATE_HELD);
	ck_assert_str_eq(view.recipients[0].ruling.verdict, "hold");
	client_close(&client);
	relay_close(&relay);
}
END_TEST

/* S185 as DESIGN 4.8 settles it. */
START_TEST(hops)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	for (int count = 50; count <= 51; count++) {
		client_begin(&client, "user@allowed.test");
		for (int i = 0; i < count; i++)
			client_say(&client, "received: from a\r\n\tby b\r\n");
		client_say(&client, "\r\nReceived: not in the header\r\n.\r\n");
		if (count == 50)
			view = taken(&relay, &client);
		else
			client_expect(&client, "554 5.4.6");
	}
	ck_assert_int_gt(view.m.header_size, 50 * 20);
	client_begin(&client, "user@allowed.test");
	client_say(&client, ".\r\n");
	(void)taken(&relay, &client);
	client_close(&client);
	relay_close(&relay);
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
		view = taken(&relay, &client);
		ck_assert_msg(view.m.header_size == header, "shape %d: %lld", shape,
			      (long long)view.m.header_size);
		ck_assert_msg(view.m.header_parsed == (shape < 4), "shape %d", shape);
		check_stored(&relay, &view, buf_span(&message));
	}
	client_close(&client);
	buf_release(&message);
	relay_close(&relay);
}
END_TEST

/* RFC 3461: stored as given; a repeated recipient keeps what was said first (S042). */
START_TEST(dsn)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_ask(&client, "MAIL FROM:<app@client.test> ret=full ENVID=QQ+2B314", "250 2.1.0");
	client_ask(&client,
		   "RCPT TO:<user@allowed.test> NOTIFY=delay,success ORCPT=rfc822;Bob+2B@evil.test",
		   "250 2.1.5");
	client_ask(&client, "RCPT TO:<user@allowed.test> NOTIFY=NEVER", "250 2.1.5");
	client_ask(&client, "RCPT TO:<real@evil.example>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	ck_assert_str_eq(view.m.ret, "FULL");
	ck_assert_str_eq(view.m.envid, "QQ+2B314");
	ck_assert_uint_eq(view.recipient_count, 2);
	ck_assert_str_eq(view.recipients[0].notify, "SUCCESS,DELAY");
	ck_assert_str_eq(view.recipients[0].orcpt, "rfc822;Bob+2B@evil.test");
	ck_assert(view.recipients[1].notify == NULL && view.recipients[1].orcpt == NULL);
	client_ask(&client, "MAIL FROM:<app@client.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	ck_assert(view.m.ret == NULL && view.m.envid == NULL && view.recipients[0].notify == NULL);
	client_close(&client);
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
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char want[ULID_TEXT_SIZE + 20];
		char id[ULID_TEXT_SIZE];
		struct message_view view;
		const char *added;

		client_begin(&client, "user@allowed.test");
		client_say(&client, cases[i].body);
		client_say(&client, ".\r\n");
		view = taken(&relay, &client);
		check_stored(&relay, &view, span_of(cases[i].body));
		added = view.m.added_fields != NULL ? view.m.added_fields : "";
		ulid_format(&view.m.id, id);
		(void)snprintf(want, sizeof(want), "<%s@relay.test>", id);
		ck_assert((strstr(added, "Date: ") != NULL) == cases[i].date);
		ck_assert((strstr(added, want) != NULL) == cases[i].message_id);
		ck_assert_str_eq(view.m.message_id, cases[i].message_id ? want : "<a@b>");
	}
	client_close(&client);
	relay_close(&relay);
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
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_begin(&client, "user@allowed.test");
	for (int i = 0; i < 1001; i++)
		client_say(&client, "A: b\r\n");
	client_say(&client, "Date: x\r\n\r\n.\r\n");
	view = taken(&relay, &client);
	ck_assert(!view.m.header_parsed && view.m.added_fields == NULL);
	client_close(&client);
	relay_close(&relay);
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
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	for (size_t i = 0; i < COUNT(cases); i++) {
		client_say(&client, "MAIL FROM:");
		client_ask(&client, cases[i].mail, "250 2.1.0");
		client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
		client_ask(&client, "DATA", "354");
		client_say(&client, cases[i].header);
		client_say(&client, ".\r\n");
		view = taken(&relay, &client);
		ck_assert_msg(view.m.smtputf8 == cases[i].needed, "case %zu", i);
		ck_assert_str_eq(view.m.protocol, cases[i].protocol);
	}
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<us\xc3\xa9r@allowed.test>", "553 5.6.7");
	client_ask(&client, "RSET", "250 2.0.0");
	client_ask(&client, "MAIL FROM:<\xc3\xa9@x.test>", "553 5.6.7");
	client_close(&client);
	relay_close(&relay);
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
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_begin(&client, "user@allowed.test");
	client_send(&client, odd);
	client_say(&client, "\r\n.\r\n");
	view = taken(&relay, &client);
	check_stored(&relay, &view, kept);
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
	view = taken(&relay, &client);
	check_stored(&relay, &view, buf_span(&message));
	buf_release(&message);
	client_close(&client);
	relay_close(&relay);
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
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
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

static void check_received(const struct message_view *view, const char *pattern)
{
	const char *at = strstr(pattern, "ULID");
	char id[ULID_TEXT_SIZE];
	char date[CLOCK_RFC5322_SIZE];
	char want[600];

	ulid_format(&view->m.id, id);
	clock_format_rfc5322(view->m.received_at, date);
	(void)snprintf(want, sizeof(want), "%.*s%s%s%s\r\n", (int)(at - pattern), pattern, id,
		       at + 4, date);
	ck_assert_str_eq(view->m.received_field, want);
}

/* RFC 5321 4.4; `for` only where it tells nobody about anybody else. */
START_TEST(received_field)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	rig_open(&relay.rig);
	client_greet(&client, &relay.rig);
	client_begin(&client, "user@allowed.test");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	check_received(&view, "Received: from client.test ([127.0.0.1])\r\n\tby relay.test with "
			      "ESMTP id ULID\r\n\tfor <user@allowed.test>; ");
	client_ask(&client, "HELO [127.0.0.1]", "250");
	client_ask(&client, "MAIL FROM:<>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<secret@evil.example>", "250 2.1.5");
	client_ask(&client, "DATA", "354");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	ck_assert_str_eq(view.m.sender, "");
	check_received(&view, "Received: from [127.0.0.1] ([127.0.0.1])\r\n\tby relay.test with "
			      "SMTP id ULID;\r\n\t");
	client_begin(&client, "\"a b\"@allowed.test");
	client_say(&client, ".\r\n");
	view = taken(&relay, &client);
	check_received(&view, "Received: from [127.0.0.1] ([127.0.0.1])\r\n\tby relay.test with "
			      "SMTP id ULID;\r\n\t");
	client_close(&client);
	relay_close(&relay);
}
END_TEST

START_TEST(received_from_others)
{
	struct smtp_client client = {.address = "2001:db8::1", .helo = "x.test", .esmtp = true};
	const struct received received = {.client = &client,
					  .hostname = "relay.test",
					  .id = "ID",
					  .received_at = 1795256430456};
	struct buf out;

	buf_init(&out, 1000);
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert_str_eq(out.data, "Received: from x.test ([IPv6:2001:db8::1])\r\n\tby relay.test "
				   "with ESMTP id ID;\r\n\tSat, 21 Nov 2026 10:20:30 +0000\r\n");
	buf_clear(&out);
	memcpy(client.address, "unix", 5);
	client.esmtp = false;
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert(span_starts_fold(buf_span(&out), "Received: from x.test (unix socket)\r\n\tby "
						   "relay.test with SMTP id ID;"));
	/* what a PROXY header or XCLIENT told */
	buf_clear(&out);
	memcpy(client.address, "unknown", 8);
	memcpy(client.via, "10.0.0.1 TLSv1.3 for a.test", 28);
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert(span_starts_fold(buf_span(&out), "Received: from x.test (unknown)\r\n"
						   "\t(via 10.0.0.1 TLSv1.3 for a.test)\r\n\tby "
						   "relay.test with SMTP id ID;"));
	buf_release(&out);
}
END_TEST

/* RFC 3848, RFC 6531 4.3: who logged in, over TLS, with a name that was looked up. */
START_TEST(received_says_how)
{
	struct smtp_client client = {.address = "192.0.2.1",
				     .name = "app.test",
				     .helo = "x.test",
				     .esmtp = true,
				     .user = "bob",
				     .tls = "TLSv1.3 TLS_AES_256_GCM_SHA384"};
	const struct received received = {.client = &client,
					  .hostname = "relay.test",
					  .id = "ID",
					  .forwarded = "a.test [192.0.2.7] ident=4Xyz",
					  .smtputf8 = true,
					  .received_at = 1795256430456};
	struct buf out;

	buf_init(&out, 1000);
	ck_assert_int_eq(received_format(&received, &out), ERR_OK);
	ck_assert_str_eq(out.data,
			 "Received: from x.test (app.test [192.0.2.1])\r\n"
			 "\t(forwarded for a.test [192.0.2.7] ident=4Xyz)\r\n\tby relay.test with "
			 "UTF8SMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384) id ID;\r\n"
			 "\tSat, 21 Nov 2026 10:20:30 +0000\r\n");
	buf_release(&out);
	ck_assert_str_eq(received_protocol(&client, false), "ESMTPSA");
	client.user[0] = '\0';
	ck_assert_str_eq(received_protocol(&client, false), "ESMTPS");
	client.lmtp = true;
	ck_assert_str_eq(received_protocol(&client, true), "UTF8LMTPS");
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

UNIT_MAIN("smtp/intake", main_job, recipient_forms, empty_list, duplicates, policies, hops, headers,
	  dsn, fixups, fixups_of_a_long_header, smtputf8, bytes_as_they_came, disconnected,
	  received_field, received_from_others, received_says_how, together)
