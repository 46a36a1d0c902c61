/* tests relay/smtp/auth.c and auth_pool.c over real sockets (CASES 2.C, RFC 4954) */
#include <config.h>

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/smtp/auth_pool.h"
#include "tests/unit/smtp/login.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

START_TEST(announced)
{
	static const struct {
		const char *users;
		enum listener_auth auth;
		bool without_tls;
		const char *want; /* NULL: no AUTH at all */
	} rows[] = {
		{"a:{PLAIN}x", LISTENER_AUTH_OFF, true, NULL},
		{"a:{PLAIN}x", LISTENER_AUTH_OPTIONAL, false, NULL},
		{"a:{PLAIN}x", LISTENER_AUTH_REQUIRED, true,
		 "AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN"},
		{"a:{PLAIN}x", LISTENER_AUTH_ANY, true, "AUTH PLAIN LOGIN"},
		{"", LISTENER_AUTH_ANY, true, "AUTH PLAIN LOGIN"},
		{"", LISTENER_AUTH_OPTIONAL, true, NULL},
	};
	struct login login;
	struct client client;

	for (size_t i = 0; i < COUNT(rows); i++) {
		login_init(&login, rows[i].users);
		login.house.rig.listener.auth = rows[i].auth;
		login.house.rig.listener.auth_without_tls = rows[i].without_tls;
		rig_open(&login.house.rig);
		client_greet(&client, &login.house.rig);
		if (rows[i].want != NULL)
			ck_assert_msg(client_was_told(&client, rows[i].want), "row %zu", i);
		else
			ck_assert_ptr_null(strstr(client.parser.reply.text.data, "AUTH"));
		client_close(&client);
		login_close(&login);
	}
}
END_TEST

/* S063 */
START_TEST(order)
{
	struct login login;
	struct client client;

	login_init(&login, LOGIN_USERS);
	rig_open(&login.house.rig);
	client_open(&client, &login.house.rig);
	client_expect(&client, "220");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "503 5.5.1");
	client_ask(&client, "HELO x", "250");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "503 5.5.1");
	client_ask(&client, "EHLO x", "250");
	client_ask(&client, "AUTH", "501 5.5.4");
	client_ask(&client, "AUTH GSSAPI", "504 5.5.4");
	client_ask(&client, "AUTH EXTERNAL =", "504 5.5.4");
	client_ask(&client, "AUTH SCRAM-SHA-256-PLUS", "504 5.5.4");
	client_ask(&client, "AUTH CRAM-MD5 dXNlcg==", "501 5.5.4");
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "503 5.5.1");
	client_ask(&client, "RSET", "250 2.0.0");
	/* In order, although the answer to AUTH takes a while. */
	client_say(&client, "AUTH PLAIN " LOGIN_GOOD "\r\nMAIL FROM:<a@x.test>\r\nRSET\r\n");
	client_expect(&client, "235 2.7.0");
	client_expect(&client, "250 2.1.0");
	client_expect(&client, "250 2.0.0");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "503 5.5.1");
	client_ask(&client, "EHLO again", "250");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "503 5.5.1");
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "250 2.0.0");
	client_close(&client);
	ck_assert_str_eq(login.house.recorder.mails[0].client.user, "user");
	login_close(&login);
}
END_TEST

/* S057, S058 */
START_TEST(without_tls)
{
	struct login login;
	struct client client;

	login_init(&login, LOGIN_USERS);
	login.house.rig.listener.auth = LISTENER_AUTH_REQUIRED;
	login.house.rig.listener.auth_without_tls = false;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "538 5.7.11");
	client_ask(&client, "AUTH LOGIN", "538 5.7.11");
	client_ask(&client, "MAIL FROM:<a@x.test>", "530 5.7.0");
	client_ask(&client, "RCPT TO:<a@x.test>", "503 5.5.1");
	client_ask(&client, "NOOP", "250 2.0.0");
	client_close(&client);
	login_close(&login);
}
END_TEST

START_TEST(required)
{
	struct login login;
	struct client client;

	login_init(&login, LOGIN_USERS);
	login.house.rig.listener.auth = LISTENER_AUTH_REQUIRED;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "530 5.7.0");
	client_ask(&client, "AUTH PLAIN " LOGIN_BAD, "535 5.7.8");
	client_ask(&client, "MAIL FROM:<a@x.test>", "530 5.7.0");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "235 2.7.0");
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_close(&client);
	login_close(&login);
}
END_TEST

/* S064: three wrong ones, each answered later than the one before, then the end. */
START_TEST(wrong_passwords)
{
	struct login login;
	struct client client;
	int64_t start;

	login_init(&login, LOGIN_USERS);
	login.house.rig.smtp.auth_delay_ms = 100;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	for (int i = 1; i <= 3; i++) {
		start = clock_mono_ms();
		client_ask(&client, i == 2 ? "AUTH PLAIN AG5vYm9keQB4" : "AUTH PLAIN " LOGIN_BAD,
			   "535 5.7.8");
		ck_assert_int_ge(clock_mono_ms() - start, 100 * i - 5);
	}
	client_ask(&client, "NOOP", "250 2.0.0");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "421 4.7.0");
	client_expect_end(&client);
	client_close(&client);
	login_close(&login);
}
END_TEST

START_TEST(any)
{
	struct login login;
	struct client client;

	login_init(&login, LOGIN_USERS);
	login.house.rig.listener.auth = LISTENER_AUTH_ANY;
	login.house.rig.listener.scope = "door";
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH CRAM-MD5", "504 5.5.4");
	client_ask(&client, "AUTH PLAIN " LOGIN_BAD, "235 2.7.0");
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "250 2.0.0");
	client_close(&client);
	ck_assert_str_eq(login.house.recorder.mails[0].client.user, "user");
	/* Nobody proved to be that user: its scope is not given away. */
	ck_assert_str_eq(login.house.recorder.mails[0].client.scope, "door");
	login_close(&login);
}
END_TEST

START_TEST(scope_of_the_user)
{
	static const struct {
		const char *login;
		const char *want;
	} rows[] = {
		{"AUTH PLAIN " LOGIN_GOOD, "shop"},
		{"AUTH PLAIN AG90aGVyAHg=", "door"}, /* other, x */
		{"NOOP", "door"},
	};
	struct login login;
	struct client client;

	login_init(&login, LOGIN_USERS);
	login.house.rig.listener.scope = "door";
	rig_open(&login.house.rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		client_greet(&client, &login.house.rig);
		client_ask(&client, rows[i].login, i < 2 ? "235 2.7.0" : "250 2.0.0");
		client_begin(&client, "b@y.test");
		client_ask(&client, ".", "250 2.0.0");
		client_close(&client);
	}
	login_close(&login);
}
END_TEST

/* The users file was read anew: who is inside stays, who comes is checked with the new one. */
START_TEST(reload)
{
	struct login login;
	struct client old;
	struct client new;
	struct users *next;
	struct err why;

	login_init(&login, LOGIN_USERS);
	rig_open(&login.house.rig);
	client_greet(&old, &login.house.rig);
	client_ask(&old, "AUTH PLAIN " LOGIN_GOOD, "235 2.7.0");
	client_greet(&new, &login.house.rig);
	client_ask(&new, "AUTH PLAIN", "334");
	next = login_users("user:{PLAIN}wrong");
	login.house.rig.settings.users = next;
	ck_assert_int_eq(smtp_front_reload(login.house.rig.front, &login.house.rig.settings, NULL,
					   NULL, &why),
			 ERR_OK);
	usleep(50000);
	/* The exchange goes on as it began. */
	client_ask(&new, LOGIN_BAD, "535 5.7.8");
	client_ask(&new, "AUTH PLAIN " LOGIN_BAD, "235 2.7.0");
	client_begin(&old, "b@y.test");
	client_ask(&old, ".", "250 2.0.0");
	ck_assert_str_eq(login.house.recorder.mails[0].client.user, "user");
	/* The user is still there; the scope is what the file says now. */
	ck_assert_str_eq(login.house.recorder.mails[0].client.scope, "");
	client_close(&old);
	client_close(&new);
	login_close(&login);
	users_free(&next);
}
END_TEST

/* RFC 4954 5 */
START_TEST(mail_parameter)
{
	static const struct {
		const char *command;
		const char *want;
	} rows[] = {
		{"MAIL FROM:<a@x.test> AUTH=<>", "250 2.1.0"},
		{"MAIL FROM:<a@x.test> AUTH=e+3Dmc2@example.com SIZE=5", "250 2.1.0"},
		{"MAIL FROM:<a@x.test> auth=a@b.test", "250 2.1.0"},
		{"MAIL FROM:<a@x.test> AUTH=", "501 5.5.4"},
		{"MAIL FROM:<a@x.test> AUTH", "501 5.5.4"},
		{"MAIL FROM:<a@x.test> AUTH=a", "501 5.5.4"},
		{"MAIL FROM:<a@x.test> AUTH=a+0D+0A@b.test", "501 5.5.4"},
		{"MAIL FROM:<a@x.test> AUTH=<> AUTH=<>", "501 5.5.4"},
	};
	struct login login;
	struct client client;

	login_init(&login, LOGIN_USERS);
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		client_ask(&client, rows[i].command, rows[i].want);
		client_ask(&client, "RSET", "250 2.0.0");
	}
	client_close(&client);
	login_close(&login);
	login_init(&login, LOGIN_USERS);
	login.house.rig.listener.auth = LISTENER_AUTH_OFF;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "502 5.5.1");
	client_ask(&client, "MAIL FROM:<a@x.test> AUTH=<>", "555 5.5.4");
	client_close(&client);
	login_close(&login);
}
END_TEST

/* The client goes while a thread hashes for it, and while its refusal waits. */
START_TEST(gone_meanwhile)
{
	struct login login;
	struct client client;
	struct client clients[8];
	struct smtp_front_status status;
	char *users = login_hashed_users();

	login_init(&login, users);
	login.house.rig.smtp.auth_delay_ms = 50;
	rig_open(&login.house.rig);
	for (int i = 0; i < 24; i++) {
		client_greet(&client, &login.house.rig);
		client_say(&client, i % 2 ? "AUTH PLAIN " LOGIN_BAD "\r\n"
					  : "AUTH PLAIN " LOGIN_GOOD "\r\n");
		usleep((unsigned)i * 2500);
		if (i % 3 == 0)
			client_reset(&client);
		else
			client_close(&client);
	}
	WAIT_FOR((smtp_front_status(login.house.rig.front, &status), status.sessions == 0));
	/* And the stop in the middle of it. */
	for (int i = 0; i < 8; i++) {
		client_greet(&clients[i], &login.house.rig);
		client_say(&clients[i], "AUTH PLAIN " LOGIN_BAD "\r\n");
	}
	login_close(&login);
	for (int i = 0; i < 8; i++)
		client_close(&clients[i]);
	mem_free(users);
}
END_TEST

/* printf … | nc: the end of the client's side comes before the answer. */
START_TEST(half_closed)
{
	struct login login;
	struct client client;
	char *users = login_hashed_users();

	login_init(&login, users);
	login.house.rig.smtp.auth_delay_ms = 100;
	rig_open(&login.house.rig);
	for (int good = 0; good < 2; good++) {
		client_greet(&client, &login.house.rig);
		client_say(&client, good ? "AUTH PLAIN " LOGIN_GOOD "\r\nNOOP\r\n"
					 : "AUTH PLAIN " LOGIN_BAD "\r\nNOOP\r\n");
		ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
		client_expect(&client, good ? "235 2.7.0" : "535 5.7.8");
		client_expect(&client, "250 2.0.0");
		client_expect_end(&client);
		client_close(&client);
	}
	login_close(&login);
	mem_free(users);
}
END_TEST

/* More at a time than one client may: some are put off, none waits for ever. */
START_TEST(pool_is_full)
{
	enum { CLIENTS = 400 };
	static struct client clients[CLIENTS];
	struct login login;
	int put_off = 0;
	int in = 0;
	char *users = login_hashed_users();

	login_init(&login, users);
	login.house.rig.smtp.max_connections = CLIENTS;
	login.house.rig.smtp.max_connections_per_client = CLIENTS;
	rig_open(&login.house.rig);
	for (int i = 0; i < CLIENTS; i++)
		client_greet(&clients[i], &login.house.rig);
	for (int i = 0; i < CLIENTS; i++)
		client_say(&clients[i], "AUTH PLAIN " LOGIN_GOOD "\r\n");
	for (int i = 0; i < CLIENTS; i++) {
		int code = client_code(&clients[i]);

		ck_assert_msg(code == 235 || code == 454, "%d", code);

		put_off += code == 454;
		in += code == 235;
		if (code == 454)
			client_ask(&clients[i], "NOOP", "250 2.0.0");
	}
	ck_assert_int_ge(in, AUTH_POOL_WAITING / 2);
	ck_assert_int_gt(put_off, 0);
	for (int i = 0; i < CLIENTS; i++)
		client_close(&clients[i]);
	login_close(&login);
	mem_free(users);
}
END_TEST

UNIT_MAIN("smtp/auth", announced, order, without_tls, required, wrong_passwords, any,
	  scope_of_the_user, reload, mail_parameter, gone_meanwhile, half_closed, pool_is_full)
