/* tests relay/smtp/xclient.c over real sockets (S047) */
#include <config.h>

#include "tests/unit/smtp/login.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* Trusts 127.0.0.0/8; clients come from there or from 192.0.2.0/24. */
static void init_trusting(struct house *house)
{
	static const char *const trusted[] = {"127.0.0.0/8"};
	static const char *const networks[] = {"127.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"};

	house_init(house);
	house->rig.listener.xclient = true;
	house->rig.listener.trusted = trusted;
	house->rig.listener.trusted_count = 1;
	house->rig.listener.networks = networks;
	house->rig.listener.network_count = 3;
}

static void open_trusting(struct house *house)
{
	init_trusting(house);
	rig_open(&house->rig);
}

static const struct recorded *send_one(struct client *client, struct house *house)
{
	client_begin(client, "a@b.test");
	client_ask(client, "x\r\n.", "250");
	return &house->recorder.mails[recorder_count(&house->recorder) - 1];
}

#define XCLIENT_LINE  "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"
#define XFORWARD_LINE "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"

START_TEST(another_client)
{
	const struct smtp_client *from;
	struct house house;
	struct client client;

	open_trusting(&house);
	client_greet(&client, &house.rig);
	ck_assert(client_was_told(&client, XCLIENT_LINE) &&
		  client_was_told(&client, XFORWARD_LINE));
	client_ask(&client,
		   "XCLIENT NAME=spike.test ADDR=192.0.2.7 PORT=50001 PROTO=ESMTP LOGIN=bo+20b "
		   "DESTADDR=192.0.2.1 DESTPORT=25",
		   "220");
	ck_assert(span_starts_fold(reply_line(&client.parser.reply, 0), "relay.test ESMTP"));
	/* back at the greeting */
	client_ask(&client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	client_ask(&client, "EHLO spike", "250");
	/* the client it is now is not trusted any more */
	ck_assert(!client_was_told(&client, XCLIENT_LINE) &&
		  !client_was_told(&client, XFORWARD_LINE));
	client_ask(&client, "XCLIENT ADDR=127.0.0.1", "550 5.7.0");
	client_ask(&client, "XFORWARD ADDR=127.0.0.1", "550 5.7.0");
	from = &send_one(&client, &house)->client;
	ck_assert_str_eq(from->name, "spike.test");
	ck_assert_str_eq(from->address, "192.0.2.7");
	ck_assert_int_eq(from->port, 50001);
	ck_assert_str_eq(from->user, "bo b");
	ck_assert_str_eq(from->helo, "spike");
	ck_assert_str_eq(from->via, "127.0.0.1");
	ck_assert(from->esmtp);
	client_close(&client);
	house_close(&house);
}
END_TEST

/* As XCLIENT_README has it: HELO= is what the client has said, so MAIL may follow. */
START_TEST(hello_by_attribute)
{
	const struct smtp_client *from;
	struct house house;
	struct client client;

	open_trusting(&house);
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	/* before any EHLO, as Postfix takes it too */
	client_ask(&client, "XCLIENT HELO=spike.test PROTO=ESMTP NAME=a.test ADDR=192.0.2.7",
		   "220");
	client_ask(&client, "MAIL FROM:<a@x.test> SIZE=5", "250 2.1.0");
	client_ask(&client, "RSET", "250 2.0.0");
	from = &send_one(&client, &house)->client;
	ck_assert_str_eq(from->helo, "spike.test");
	ck_assert(from->esmtp);
	client_ask(&client, "EHLO other", "250");
	ck_assert_str_eq(send_one(&client, &house)->client.helo, "other");
	client_close(&client);
	/* without PROTO it is HELO, which knows no parameters */
	client_greet(&client, &house.rig);
	client_ask(&client, "XCLIENT HELO=spike.test ADDR=192.0.2.7", "220");
	client_ask(&client, "MAIL FROM:<a@x.test> SIZE=5", "555 5.5.4");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* Where LMTP is spoken HELO= stands for LHLO, and the session stays one of LMTP. */
START_TEST(hello_by_attribute_in_lmtp)
{
	struct house house;
	struct client client;

	init_trusting(&house);
	house.rig.listener.protocol = LISTENER_LMTP;
	rig_open(&house.rig);
	client_open(&client, &house.rig);
	client_expect(&client, "220");
	client_ask(&client, "XCLIENT HELO=spike.test ADDR=192.0.2.7", "220");
	ck_assert(span_starts_fold(reply_line(&client.parser.reply, 0), "relay.test LMTP"));
	client_ask(&client, "MAIL FROM:<a@x.test> SIZE=5", "250 2.1.0");
	client_ask(&client, "LHLO again", "250");
	client_ask(&client, "EHLO again", "500");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* Several commands: what stays, and what is only of the last one. */
START_TEST(several)
{
	const struct smtp_client *from;
	struct house house;
	struct client client;

	open_trusting(&house);
	client_greet(&client, &house.rig);
	client_ask(&client, "XCLIENT NAME=a.test PORT=7 LOGIN=bob HELO=first PROTO=ESMTP", "220");
	client_ask(&client, "XCLIENT ADDR=IPV6:2001:db8::7", "220");
	client_ask(&client, "MAIL FROM:<a@x.test>", "503 5.5.1");
	client_ask(&client, "EHLO last", "250");
	from = &send_one(&client, &house)->client;
	ck_assert_str_eq(from->name, "a.test");
	ck_assert_str_eq(from->address, "2001:db8::7");
	ck_assert_int_eq(from->port, 7);
	ck_assert_str_eq(from->user, "");
	client_close(&client);
	/* the port of the connection is not the port of another client */
	client_greet(&client, &house.rig);
	client_ask(&client, "XCLIENT ADDR=192.0.2.7", "220");
	client_ask(&client, "HELO x", "250");
	from = &send_one(&client, &house)->client;
	ck_assert_int_eq(from->port, 0);
	ck_assert_str_eq(from->name, "");
	client_close(&client);
	/* while the address stays it is trusted, and everything can be taken back */
	client_greet(&client, &house.rig);
	client_ask(&client, "XCLIENT NAME=a.test", "220");
	client_ask(&client, "XCLIENT NAME=[UNAVAILABLE] PORT=[UNAVAILABLE]", "220");
	client_ask(&client, "HELO x", "250");
	from = &send_one(&client, &house)->client;
	ck_assert_str_eq(from->name, "");
	ck_assert_str_eq(from->address, "127.0.0.1");
	ck_assert_str_eq(from->via, "");
	ck_assert_int_eq(from->port, 0);
	client_close(&client);
	house_close(&house);
}
END_TEST

/* LOGIN= satisfies `auth: required`; a user of the file has its scope, any other has none. */
START_TEST(login)
{
	static const struct {
		const char *command;
		const char *mail; /* the answer to MAIL */
		const char *scope;
	} logins[] = {
		{"XCLIENT LOGIN=bob", "250 2.1.0", "shop"},
		{"XCLIENT LOGIN=eve", "250 2.1.0", ""},
		{"XCLIENT LOGIN=[UNAVAILABLE]", "530 5.7.0", ""},
		{"XCLIENT NAME=a.test", "530 5.7.0", ""},
	};
	struct users *users;
	struct house house;
	struct client client;

	init_trusting(&house);
	users = login_users("bob:{PLAIN}secret:shop");
	house.rig.settings.users = users;
	house.rig.listener.auth = LISTENER_AUTH_REQUIRED;
	rig_open(&house.rig);
	for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
		client_greet(&client, &house.rig);
		client_ask(&client, "XCLIENT LOGIN=bob", "220");
		client_ask(&client, logins[i].command, "220");
		client_ask(&client, "EHLO x", "250");
		client_ask(&client, "MAIL FROM:<a@x.test>", logins[i].mail);
		if (logins[i].mail[0] == '2') {
			client_ask(&client, "RSET", "250");
			ck_assert_str_eq(send_one(&client, &house)->client.scope, logins[i].scope);
		}
		client_close(&client);
	}
	house_close(&house);
	users_free(&users);
}
END_TEST

static const char *const mistakes[] = {
	"XCLIENT",
	"XCLIENT NAME",
	"XCLIENT FOO=bar",
	"XCLIENT ADDR=1.2.3",
	"XCLIENT NAME=fine.test ADDR=[192.0.2.7]",
	"XCLIENT IDENT=x",
	"XCLIENT LOGIN=a+0D+0Ab",
	"XCLIENT PROTO=LMTP",
	"XFORWARD",
	"XFORWARD LOGIN=bob",
	"XFORWARD SOURCE=HERE",
};

/* All or nothing: after each of them the session is what it was. */
START_TEST(refused_ones_change_nothing)
{
	const struct recorded *mail;
	struct house house;
	struct client client;

	open_trusting(&house);
	client_greet(&client, &house.rig);
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		client_ask(&client, mistakes[i], "501 5.5.4");
	mail = send_one(&client, &house);
	ck_assert_str_eq(mail->client.address, "127.0.0.1");
	ck_assert_str_eq(mail->client.helo, "client.test");
	ck_assert_str_eq(mail->client.name, "");
	ck_assert_str_eq(mail->forwarded, "");
	client_ask(&client, "MAIL FROM:<a@x.test>", "250");
	client_ask(&client, "XCLIENT NAME=a.test", "503 5.5.1");
	client_ask(&client, "XFORWARD NAME=a.test", "503 5.5.1");
	client_ask(&client, "RCPT TO:<a@b.test>", "250");
	client_ask(&client, "XCLIENT NAME=a.test", "503 5.5.1");
	client_ask(&client, "QUIT", "221");
	client_close(&client);
	house_close(&house);
}
END_TEST

START_TEST(networks_again)
{
	static const char *const refused[] = {"XCLIENT ADDR=203.0.113.7",
					      "XCLIENT ADDR=[UNAVAILABLE]"};
	struct house house;
	struct client client;

	open_trusting(&house);
	for (size_t i = 0; i < 2; i++) {
		client_greet(&client, &house.rig);
		client_ask(&client, refused[i], "554 5.7.1");
		client_expect_end(&client);
		client_close(&client);
	}
	house_close(&house);
}
END_TEST

/* Where everybody may connect an address that nobody knows may too; it is never trusted. */
START_TEST(unknown_address)
{
	static const char *const everybody[] = {"::/0"};
	struct house house;
	struct client client;

	init_trusting(&house);
	house.rig.listener.networks = everybody;
	house.rig.listener.network_count = 1;
	rig_open(&house.rig);
	client_greet(&client, &house.rig);
	client_ask(&client, "XCLIENT ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]", "220");
	client_ask(&client, "EHLO x", "250");
	ck_assert(!client_was_told(&client, XCLIENT_LINE));
	ck_assert_str_eq(send_one(&client, &house)->client.address, "unknown");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* The census counts connections: another name for the client changes no limit. */
START_TEST(limits_stay)
{
	struct house house;
	struct client first, second, third;

	init_trusting(&house);
	house.rig.smtp.max_connections_per_client = 2;
	rig_open(&house.rig);
	client_greet(&first, &house.rig);
	client_ask(&first, "XCLIENT ADDR=192.0.2.7", "220");
	client_greet(&second, &house.rig);
	client_ask(&second, "XCLIENT ADDR=192.0.2.7", "220");
	client_open(&third, &house.rig);
	client_expect(&third, "421 4.7.0");
	client_close(&third);
	client_close(&second);
	client_close(&first);
	house_close(&house);
}
END_TEST

START_TEST(behind_a_proxy)
{
	const struct smtp_client *from;
	struct house house;
	struct client client;

	init_trusting(&house);
	house.rig.listener.proxy_protocol = true;
	rig_open(&house.rig);
	/* the address that the header gives is the one that must be trusted */
	client_open(&client, &house.rig);
	client_say(&client, "PROXY TCP4 192.0.2.8 10.0.0.1 1 25\r\n");
	client_expect(&client, "220");
	client_ask(&client, "XCLIENT ADDR=192.0.2.7", "550 5.7.0");
	client_close(&client);
	client_open(&client, &house.rig);
	client_say(&client, "PROXY TCP4 127.0.0.9 10.0.0.1 1 25\r\n");
	client_expect(&client, "220");
	client_ask(&client, "XCLIENT ADDR=192.0.2.7", "220");
	client_ask(&client, "HELO x", "250");
	from = &send_one(&client, &house)->client;
	ck_assert_str_eq(from->address, "192.0.2.7");
	ck_assert_str_eq(from->via, "127.0.0.1, 127.0.0.9");
	client_close(&client);
	house_close(&house);
}
END_TEST

START_TEST(pipelined)
{
	struct house house;
	struct client client;

	open_trusting(&house);
	client_greet(&client, &house.rig);
	client_say(&client, "XCLIENT ADDR=192.0.2.7\r\nEHLO x\r\nMAIL FROM:<a@x.test>\r\n");
	client_expect(&client, "220");
	client_expect(&client, "250");
	client_expect(&client, "250 2.1.0");
	client_close(&client);
	house_close(&house);
}
END_TEST

START_TEST(forwarded)
{
	const struct recorded *mail;
	struct house house;
	struct client client;

	open_trusting(&house);
	client_greet(&client, &house.rig);
	client_ask(&client, "XFORWARD NAME=spike.test ADDR=IPV6:2001:db8::7 PORT=50001",
		   "250 2.0.0");
	client_ask(&client, "XFORWARD HELO=a+28b PROTO=ESMTP IDENT=4Xyz SOURCE=REMOTE",
		   "250 2.0.0");
	mail = send_one(&client, &house);
	ck_assert_str_eq(mail->forwarded,
			 "spike.test [IPv6:2001:db8::7]:50001 helo=a?b proto=ESMTP "
			 "ident=4Xyz source=REMOTE");
	/* who the client is does not change */
	ck_assert_str_eq(mail->client.address, "127.0.0.1");
	ck_assert_str_eq(mail->client.name, "");
	ck_assert_str_eq(mail->client.helo, "client.test");
	/* it was about one message */
	ck_assert_str_eq(send_one(&client, &house)->forwarded, "");
	client_ask(&client, "XFORWARD ADDR=192.0.2.7", "250 2.0.0");
	ck_assert_str_eq(send_one(&client, &house)->forwarded, "unknown [192.0.2.7]");
	client_ask(&client, "XFORWARD ADDR=192.0.2.7", "250 2.0.0");
	client_ask(&client, "RSET", "250 2.0.0");
	ck_assert_str_eq(send_one(&client, &house)->forwarded, "");
	client_ask(&client, "XFORWARD ADDR=192.0.2.7", "250 2.0.0");
	client_close(&client);
	house_close(&house);
}
END_TEST

/* Each as long as it may be: something is left out, nothing is cut in the middle of a line. */
START_TEST(forwarded_at_its_longest)
{
	char words[256];
	char line[1200];
	const struct recorded *mail;
	struct house house;
	struct client client;

	memset(words, 'a', 255);
	words[255] = '\0';
	open_trusting(&house);
	client_greet(&client, &house.rig);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"NAME", "HELO", "IDENT"};

		(void)snprintf(line, sizeof(line), "XFORWARD %s=%s", names[i], words);
		client_ask(&client, line, "250 2.0.0");
	}
	(void)snprintf(line, sizeof(line), "XFORWARD PROTO=%.64s ADDR=192.0.2.7 SOURCE=REMOTE",
		       words);
	client_ask(&client, line, "250 2.0.0");
	mail = send_one(&client, &house);
	ck_assert_uint_le(strlen(mail->forwarded), 900);
	ck_assert_ptr_nonnull(strstr(mail->forwarded, "a [192.0.2.7] helo=aaa"));
	client_close(&client);
	house_close(&house);
}
END_TEST

static const char *const not_offered[] = {"XCLIENT ADDR=127.0.0.1 LOGIN=admin",
					  "XFORWARD ADDR=127.0.0.1", "XCLIENT"};

/* S047: without `xclient`, and on a listener that has it for others only. */
START_TEST(not_for_everybody)
{
	static const char *const others[] = {"10.0.0.0/8"};
	const struct smtp_client *from;
	struct house house;
	struct client client;

	for (int pass = 0; pass < 2; pass++) {
		init_trusting(&house);
		house.rig.listener.xclient = pass == 1;
		house.rig.listener.trusted = others;
		rig_open(&house.rig);
		client_greet(&client, &house.rig);
		ck_assert(!client_was_told(&client, XCLIENT_LINE) &&
			  !client_was_told(&client, XFORWARD_LINE));
		for (size_t i = 0; i < sizeof(not_offered) / sizeof(not_offered[0]); i++)
			client_ask(&client, not_offered[i], pass == 0 ? "502 5.5.1" : "550 5.7.0");
		client_ask(&client, "XEXCH50 1 2", "500 5.5.2");
		client_ask(&client, "XREMOTEIP 127.0.0.1", "500 5.5.2");
		from = &send_one(&client, &house)->client;
		ck_assert_str_eq(from->address, "127.0.0.1");
		ck_assert_str_eq(from->user, "");
		client_close(&client);
		house_close(&house);
	}
}
END_TEST

UNIT_MAIN("smtp/xclient", another_client, login, hello_by_attribute, hello_by_attribute_in_lmtp,
	  several, refused_ones_change_nothing, networks_again, unknown_address, limits_stay,
	  behind_a_proxy, pipelined, forwarded, forwarded_at_its_longest, not_for_everybody)
