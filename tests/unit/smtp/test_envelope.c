/* tests relay/smtp/envelope.c: recipients into a real store, and their verdicts (CASES 2.E) */
#include <config.h> /* usleep */

#include <stdio.h>
#include <unistd.h>

#include "tests/unit/smtp/relay.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/*
 * CASES 2.E at the door: what RCPT is answered, what is stored, in which
 * state. Unsafe forms are taken and never due (DESIGN 4.6).
 */
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
	view = relay_data(relay, client, "");
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
	relay_greet(&relay, &client);
	for (size_t i = 0; i < COUNT(forms); i++)
		check_form(&relay, &client, i);
	relay_part(&relay, &client);
}
END_TEST

/* S147: an empty list lets nothing out. */
START_TEST(empty_list)
{
	static const struct list_row none[] = {{NULL, 0, false, NULL, 0}};
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init_with(&relay, none);
	relay_greet(&relay, &client);
	client_begin(&client, "user@allowed.test");
	client_say(&client, ".\r\n");
	view = relay_taken(&relay, &client);
	ck_assert_int_eq(view.recipients[0].state, STATE_DROPPED);
	relay_part(&relay, &client);
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
	relay_greet(&relay, &client);
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (int i = 0; i < 200; i++) {
		char other[64];

		(void)snprintf(other, sizeof(other), "RCPT TO:<other%d@wild.test>", i);
		client_ask(&client, other, "250 2.1.5");
		client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
		client_ask(&client, "RCPT TO:<user@Allowed.TEST>", "250 2.1.5");
	}
	client_ask(&client, "RCPT TO:<user@allowed.test>", "452 4.5.3");
	view = relay_data(&relay, &client, "");
	ck_assert_uint_eq(view.recipient_count, 201);
	relay_part(&relay, &client);
}
END_TEST

/* DESIGN 4.6: repeated is what has the same form. In both orders, and however the table grows. */
START_TEST(a_source_route_and_without_it)
{
	static const char *const lines[] = {"RCPT TO:<@hop.test:user@allowed.test>",
					    "RCPT TO:<user@Allowed.test>"};
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay_greet(&relay, &client);
	for (size_t first = 0; first < 2; first++) {
		client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
		client_ask(&client, lines[first], "250 2.1.5");
		for (int i = 0; i < 20; i++) {
			char other[64];

			(void)snprintf(other, sizeof(other), "RCPT TO:<other%d@wild.test>", i);
			client_ask(&client, other, "250 2.1.5");
			client_ask(&client, lines[1 - first], "250 2.1.5");
			client_ask(&client, "RCPT TO:<@a.test,@b.test:user@ALLOWED.test>",
				   "250 2.1.5");
		}
		view = relay_data(&relay, &client, "");
		ck_assert_uint_eq(view.recipient_count, 22);
		for (size_t i = 0; i < 3; i += 2) {
			bool routed = i == 0 ? first == 0 : first == 1;

			ck_assert_str_eq(view.recipients[i].address,
					 routed ? "user@allowed.test" : "user@Allowed.test");
			ck_assert_int_eq(view.recipients[i].state,
					 routed ? STATE_DROPPED : STATE_QUEUED);
		}
	}
	relay_part(&relay, &client);
}
END_TEST

START_TEST(policies)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay.policy.default_verdict = VERDICT_REJECT;
	relay_greet(&relay, &client);
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<real@evil.example>", "550 5.7.1");
	client_ask(&client, "DATA", "554 5.5.1");
	/* The policy is for what the list does not name; an unsafe form is taken all the same. */
	client_ask(&client, "RCPT TO:<\"user\"@allowed.test>", "250 2.1.5");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	view = relay_data(&relay, &client, "");
	ck_assert_uint_eq(view.recipient_count, 2);
	ck_assert_int_eq(view.recipients[0].state, STATE_DROPPED);
	ck_assert_int_eq(view.recipients[1].state, STATE_QUEUED);
	relay_part(&relay, &client);

	relay_init(&relay);
	relay.policy.default_verdict = VERDICT_HOLD;
	relay_greet(&relay, &client);
	client_begin(&client, "real@evil.example");
	client_say(&client, ".\r\n");
	view = relay_taken(&relay, &client);
	ck_assert_int_eq(view.recipients[0].state, STATE_HELD);
	ck_assert_str_eq(view.recipients[0].ruling.verdict, "hold");
	relay_part(&relay, &client);
}
END_TEST

/* Whom the list does not name is redirected to `to`. */
static void greet_redirecting(struct relay *relay, struct client *client, const char *to)
{
	relay_init(relay);
	relay->policy.default_verdict = VERDICT_REDIRECT;
	relay->policy.redirect_to = to;
	relay_greet(relay, client);
}

static struct message_view redirected(struct relay *relay, struct client *client,
				      const char *const *recipients)
{
	client_ask(client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	for (; *recipients != NULL; recipients++) {
		char line[100];

		(void)snprintf(line, sizeof(line), "RCPT TO:<%s>", *recipients);
		client_ask(client, line, "250 2.1.5");
	}
	return relay_data(relay, client, "Subject: x\r\n\r\n");
}

static void expect(const struct recipient_view *recipient, const char *address, enum state state,
		   const char *origin)
{
	ck_assert_str_eq(recipient->address, address);
	ck_assert_msg(recipient->state == state, "%s: %s", address, state_name(recipient->state));
	ck_assert_int_eq(recipient->origin != NULL, origin != NULL);
	if (origin != NULL)
		ck_assert_str_eq(recipient->origin, origin);
}

/* One copy for all that are refused (PEERS 4), judged itself, and nobody twice (T15). */
START_TEST(one_stands_for_all)
{
	static const char *const three[] = {"real@evil.example", "user@allowed.test",
					    "other@evil.example", "\"q\"@allowed.test", NULL};
	struct relay relay;
	struct client client;
	struct message_view view;

	greet_redirecting(&relay, &client, "qa@wild.test");
	view = redirected(&relay, &client, three);
	ck_assert_uint_eq(view.recipient_count, 5);
	expect(&view.recipients[0], "real@evil.example", STATE_REDIRECTED, NULL);
	ck_assert_str_eq(view.recipients[0].ruling.redirect_to, "qa@wild.test");
	ck_assert_str_eq(view.recipients[0].ruling.verdict, "redirect");
	expect(&view.recipients[1], "user@allowed.test", STATE_QUEUED, NULL);
	expect(&view.recipients[2], "other@evil.example", STATE_REDIRECTED, NULL);
	expect(&view.recipients[3], "\"q\"@allowed.test", STATE_DROPPED, NULL);
	expect(&view.recipients[4], "qa@wild.test", STATE_QUEUED, "redirect");
	ck_assert_str_eq(view.recipients[4].notify, "NEVER");
	/* S182: there are two now. */
	ck_assert_ptr_null(strstr(view.m.received_field, " for <"));
	relay_part(&relay, &client);
}
END_TEST

START_TEST(a_target_in_the_envelope)
{
	static const char *const before[] = {"qa@wild.test", "real@evil.example", NULL};
	static const char *const behind[] = {"real@evil.example", "qa@WILD.test", NULL};
	static const char *const *const orders[] = {before, behind};
	struct relay relay;
	struct client client;
	struct message_view view;

	greet_redirecting(&relay, &client, "qa@wild.test");
	for (size_t i = 0; i < COUNT(orders); i++) {
		view = redirected(&relay, &client, orders[i]);
		ck_assert_uint_eq(view.recipient_count, 2);
		ck_assert_int_eq(view.recipients[i].state, STATE_QUEUED);
		ck_assert_int_eq(view.recipients[1 - i].state, STATE_REDIRECTED);
	}
	relay_part(&relay, &client);
}
END_TEST

/* It gets nothing, and says why; and it is not redirected to itself. */
START_TEST(a_target_that_is_not_allowed)
{
	static const char *const one[] = {"real@evil.example", NULL};
	static const char *const itself[] = {"qa@evil.example", "real@evil.example", NULL};
	struct relay relay;
	struct client client;
	struct message_view view;

	greet_redirecting(&relay, &client, "qa@evil.example");
	view = redirected(&relay, &client, one);
	ck_assert_uint_eq(view.recipient_count, 2);
	expect(&view.recipients[0], "real@evil.example", STATE_REDIRECTED, NULL);
	expect(&view.recipients[1], "qa@evil.example", STATE_DROPPED, "redirect");
	ck_assert_str_eq(view.recipients[1].reason, "no entry allows it");
	view = redirected(&relay, &client, itself);
	ck_assert_uint_eq(view.recipient_count, 2);
	expect(&view.recipients[0], "qa@evil.example", STATE_DROPPED, NULL);
	expect(&view.recipients[1], "real@evil.example", STATE_REDIRECTED, NULL);
	relay_part(&relay, &client);
}
END_TEST

/* The one behind the source route can't stand for anybody: nothing is sent to it. */
START_TEST(a_target_behind_a_source_route)
{
	static const char *const given[] = {"@hop.test:qa@wild.test", "real@evil.example", NULL};
	struct relay relay;
	struct client client;
	struct message_view view;

	greet_redirecting(&relay, &client, "qa@wild.test");
	view = redirected(&relay, &client, given);
	ck_assert_uint_eq(view.recipient_count, 3);
	expect(&view.recipients[0], "qa@wild.test", STATE_DROPPED, NULL);
	expect(&view.recipients[1], "real@evil.example", STATE_REDIRECTED, NULL);
	expect(&view.recipients[2], "qa@wild.test", STATE_QUEUED, "redirect");
	relay_part(&relay, &client);
}
END_TEST

/* RFC 3461: stored as given; a repeated recipient keeps what was said first (S042). */
START_TEST(dsn)
{
	struct relay relay;
	struct client client;
	struct message_view view;

	relay_init(&relay);
	relay_greet(&relay, &client);
	client_ask(&client, "MAIL FROM:<app@client.test> ret=full ENVID=QQ+2B314", "250 2.1.0");
	client_ask(&client,
		   "RCPT TO:<user@allowed.test> NOTIFY=delay,success ORCPT=rfc822;Bob+2B@evil.test",
		   "250 2.1.5");
	client_ask(&client, "RCPT TO:<user@allowed.test> NOTIFY=NEVER", "250 2.1.5");
	client_ask(&client, "RCPT TO:<real@evil.example>", "250 2.1.5");
	view = relay_data(&relay, &client, "");
	ck_assert_str_eq(view.m.ret, "FULL");
	ck_assert_str_eq(view.m.envid, "QQ+2B314");
	ck_assert_uint_eq(view.recipient_count, 2);
	ck_assert_str_eq(view.recipients[0].notify, "SUCCESS,DELAY");
	ck_assert_str_eq(view.recipients[0].orcpt, "rfc822;Bob+2B@evil.test");
	ck_assert(view.recipients[1].notify == NULL && view.recipients[1].orcpt == NULL);
	client_ask(&client, "MAIL FROM:<app@client.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	view = relay_data(&relay, &client, "");
	ck_assert(view.m.ret == NULL && view.m.envid == NULL && view.recipients[0].notify == NULL);
	relay_part(&relay, &client);
}
END_TEST

/* They are claimed by the time they are due: two that come slowly must not end up as two copies. */
START_TEST(recipients_that_come_slowly_are_due_together)
{
	struct client client;
	struct relay relay;

	relay_init(&relay);
	relay_greet(&relay, &client);
	client_ask(&client, "MAIL FROM:<app@client.test>", "250 2.1.0");
	client_ask(&client, "RCPT TO:<user@allowed.test>", "250 2.1.5");
	usleep(20000);
	client_ask(&client, "RCPT TO:<one@wild.test>", "250 2.1.5");
	ck_assert_uint_eq(relay_data(&relay, &client, "").recipient_count, 2);
	ck_assert_int_eq(
		ask_sql(relay.queue.dir,
			"SELECT 10 * count(due_at) + count(DISTINCT due_at) FROM recipient"),
		21);
	relay_part(&relay, &client);
}
END_TEST

UNIT_MAIN("smtp/envelope", recipient_forms, empty_list, duplicates, a_source_route_and_without_it,
	  policies, one_stands_for_all, a_target_in_the_envelope, a_target_that_is_not_allowed,
	  a_target_behind_a_source_route, dsn, recipients_that_come_slowly_are_due_together)
