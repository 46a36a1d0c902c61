/* tests relay/smtp/auth.c and auth_pool.c over real sockets (CASES 2.C, RFC 4954) */
#include <config.h>

#include "relay/smtp/auth.h"

#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/smtp/auth_pool.h"
#include "relay/smtp/users.h"
#include "relay/wire/base64.h"
#include "tests/unit/smtp/fixture.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define GOOD_PLAIN  "AHVzZXIAc2VjcmV0" /* \0user\0secret */
#define BAD_PLAIN   "AHVzZXIAd3Jvbmc=" /* \0user\0wrong */

/* A house with users; change listener and users between init and open. */
struct login {
	struct house house;
	struct users *users;
};

static void no_mistake(void *ctx, size_t line, const char *sentence)
{
	ck_abort_msg("%zu: %s", line, sentence);
}

static void login_init(struct login *login, const char *users)
{
	struct door_rig *rig = &login->house.rig;

	house_init(&login->house);
	ck_assert_int_eq(users_parse(span_of(users), no_mistake, NULL, &login->users), ERR_OK);
	rig->settings.users = login->users;
	rig->listener.auth = LISTENER_AUTH_OPTIONAL;
	rig->listener.auth_without_tls = true;
}

static void login_close(struct login *login)
{
	house_close(&login->house);
	users_free(&login->users);
}

static const char users_plain[] = "user:{PLAIN}secret:shop\nother:{PLAIN}x\n";

/* The user whose password is "secret", hashed. */
static char *users_hashed(void)
{
	struct buf text;
	struct err why;

	buf_init(&text, 1000);
	buf_append_text(&text, "user:");
	ck_assert_int_eq(credential_make(CREDENTIAL_YESCRYPT, span_of("secret"), &text, &why),
			 ERR_OK);
	return buf_take(&text, NULL);
}

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

START_TEST(plain_and_login)
{
	static const char *const dialogues[][5] = {
		{"AUTH PLAIN " GOOD_PLAIN, "235 2.7.0"},
		{"auth plain", "334", GOOD_PLAIN, "235 2.7.0"},
		{"AUTH LOGIN", "334", "dXNlcg==", "334"},
		{"AUTH LOGIN dXNlcg==", "334", "c2VjcmV0", "235 2.7.0"},
	};
	struct login login;
	struct client client;
	char *users = users_hashed();

	login_init(&login, users);
	rig_open(&login.house.rig);
	for (size_t i = 0; i < COUNT(dialogues); i++) {
		client_greet(&client, &login.house.rig);
		client_ask(&client, dialogues[i][0], dialogues[i][1]);
		if (dialogues[i][2] != NULL)
			client_ask(&client, dialogues[i][2], dialogues[i][3]);
		/* The words that clients look for, in base64. */
		if (i == 2) {
			ck_assert(span_is(buf_span(&client.parser.reply.text), "UGFzc3dvcmQ6"));
			client_ask(&client, "c2VjcmV0", "235 2.7.0");
		}
		client_begin(&client, "b@y.test");
		client_ask(&client, ".", "250 2.0.0");
		client_close(&client);
		ck_assert_str_eq(login.house.recorder.mails[i].client.user, "user");
	}
	login_close(&login);
	mem_free(users);
}
END_TEST

/* S063 */
START_TEST(order)
{
	struct login login;
	struct client client;

	login_init(&login, users_plain);
	rig_open(&login.house.rig);
	client_open(&client, &login.house.rig);
	client_expect(&client, "220");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "503 5.5.1");
	client_ask(&client, "HELO x", "250");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "503 5.5.1");
	client_ask(&client, "EHLO x", "250");
	client_ask(&client, "AUTH", "501 5.5.4");
	client_ask(&client, "AUTH GSSAPI", "504 5.5.4");
	client_ask(&client, "AUTH EXTERNAL =", "504 5.5.4");
	client_ask(&client, "AUTH SCRAM-SHA-256-PLUS", "504 5.5.4");
	client_ask(&client, "AUTH CRAM-MD5 dXNlcg==", "501 5.5.4");
	client_ask(&client, "MAIL FROM:<a@x.test>", "250 2.1.0");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "503 5.5.1");
	client_ask(&client, "RSET", "250 2.0.0");
	/* In order, although the answer to AUTH takes a while. */
	client_say(&client, "AUTH PLAIN " GOOD_PLAIN "\r\nMAIL FROM:<a@x.test>\r\nRSET\r\n");
	client_expect(&client, "235 2.7.0");
	client_expect(&client, "250 2.1.0");
	client_expect(&client, "250 2.0.0");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "503 5.5.1");
	client_ask(&client, "EHLO again", "250");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "503 5.5.1");
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "250 2.0.0");
	client_close(&client);
	ck_assert_str_eq(login.house.recorder.mails[0].client.user, "user");
	login_close(&login);
}
END_TEST

/* S060 */
START_TEST(malformed)
{
	static const struct {
		struct span response;
		const char *want;
	} rows[] = {
#define B(text) {text, sizeof(text) - 1}
		{B("===="), "501 5.5.2"},     {B("A"), "501 5.5.2"},
		{B("AA=A"), "501 5.5.2"},     {B("AHVz ZXI="), "501 5.5.2"},
		{B("AHVz_-=="), "501 5.5.2"}, {B("AHV\0zZXI"), "501 5.5.2"},
		{B("*"), "501 5.7.0"},	      {B("* "), "501 5.5.2"},
		{B(""), "501 5.5.2"},	      {B("="), "501 5.5.2"},
		{B("dXNlcg=="), "501 5.5.2"}, {B("QUIT"), "501 5.5.2"},
	};
	struct login login;
	struct client client;

	login_init(&login, users_plain);
	rig_open(&login.house.rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		client_greet(&client, &login.house.rig);
		client_ask(&client, "AUTH PLAIN", "334");
		ck_assert_uint_eq(client.parser.reply.text.len, 0);
		client_send(&client, rows[i].response);
		client_say(&client, "\r\n");
		client_expect(&client, rows[i].want);
		/* Over, and another can begin. */
		client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "235 2.7.0");
		client_close(&client);
	}
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH PLAIN =", "501 5.5.2");
	client_ask(&client, "AUTH PLAIN  " GOOD_PLAIN, "501 5.5.2");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN " x", "501 5.5.2");
	client_ask(&client, "AUTH PLAIN *", "501 5.5.2");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "235 2.7.0");
	client_close(&client);
	login_close(&login);
}
END_TEST

/* A response of `len` octets of base64, correct where that is possible. */
static void say_long(struct client *client, size_t len, bool ended)
{
	char *text = mem_alloc(len);

	memset(text, 'A', len);
	client_send(client, span_make(text, len));
	if (ended)
		client_say(client, "\r\n");
	mem_free(text);
}

/* S059 */
START_TEST(long_responses)
{
	static const struct {
		size_t len;
		const char *want;
	} rows[] = {{4092, "501 5.5.2"},  {4100, "501 5.5.2"},	 {12284, "501 5.5.2"},
		    {12288, "501 5.5.2"}, {12289, "500 5.5.6"},	 {12292, "500 5.5.6"},
		    {12400, "500 5.5.6"}, {1 << 20, "500 5.5.6"}};
	struct login login;
	struct client client;

	login_init(&login, users_plain);
	rig_open(&login.house.rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		/* NULs only: PLAIN with too many of them; behind AUTH, and alone. */
		client_greet(&client, &login.house.rig);
		client_say(&client, "AUTH PLAIN ");
		say_long(&client, rows[i].len, true);
		client_expect(&client, rows[i].want);
		client_ask(&client, "AUTH PLAIN", "334");
		say_long(&client, rows[i].len, true);
		client_expect(&client, rows[i].want);
		client_ask(&client, "AUTH LOGIN", "334");
		say_long(&client, rows[i].len, true);
		if (rows[i].len > 12288)
			client_expect(&client, rows[i].want);
		else
			ck_assert_int_ne(client_code(&client), 235);
		client_close(&client);
	}
	/* Without a line end: nothing is answered, and little kept. */
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH PLAIN", "334");
	say_long(&client, 1 << 20, false);
	client_expect_silence(&client, 100);
	client_say(&client, "\r\n");
	client_expect(&client, "500 5.5.6");
	client_ask(&client, "NOOP", "250 2.0.0");
	client_close(&client);
	login_close(&login);
}
END_TEST

/* S057, S058 */
START_TEST(without_tls)
{
	struct login login;
	struct client client;

	login_init(&login, users_plain);
	login.house.rig.listener.auth = LISTENER_AUTH_REQUIRED;
	login.house.rig.listener.auth_without_tls = false;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "538 5.7.11");
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

	login_init(&login, users_plain);
	login.house.rig.listener.auth = LISTENER_AUTH_REQUIRED;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "MAIL FROM:<a@x.test>", "530 5.7.0");
	client_ask(&client, "AUTH PLAIN " BAD_PLAIN, "535 5.7.8");
	client_ask(&client, "MAIL FROM:<a@x.test>", "530 5.7.0");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "235 2.7.0");
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

	login_init(&login, users_plain);
	login.house.rig.smtp.auth_delay_ms = 100;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	for (int i = 1; i <= 3; i++) {
		start = clock_mono_ms();
		client_ask(&client, i == 2 ? "AUTH PLAIN AG5vYm9keQB4" : "AUTH PLAIN " BAD_PLAIN,
			   "535 5.7.8");
		ck_assert_int_ge(clock_mono_ms() - start, 100 * i - 5);
	}
	client_ask(&client, "NOOP", "250 2.0.0");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "421 4.7.0");
	client_expect_end(&client);
	client_close(&client);
	login_close(&login);
}
END_TEST

START_TEST(any)
{
	struct login login;
	struct client client;

	login_init(&login, users_plain);
	login.house.rig.listener.auth = LISTENER_AUTH_ANY;
	login.house.rig.listener.scope = "door";
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH CRAM-MD5", "504 5.5.4");
	client_ask(&client, "AUTH PLAIN " BAD_PLAIN, "235 2.7.0");
	client_begin(&client, "b@y.test");
	client_ask(&client, ".", "250 2.0.0");
	client_close(&client);
	ck_assert_str_eq(login.house.recorder.mails[0].client.user, "user");
	/* Nobody proved to be that user: its scope is not given away. */
	ck_assert_str_eq(login.house.recorder.mails[0].client.scope, "door");
	login_close(&login);
}
END_TEST

static void say_coded(struct client *client, const char *before, const char *bytes, size_t len)
{
	struct buf line;

	buf_init(&line, 65536);
	buf_append_text(&line, before);
	ck_assert_int_eq(base64_encode(span_make(bytes, len), &line), ERR_OK);
	buf_append_text(&line, "\r\n");
	client_send(client, buf_span(&line));
	buf_release(&line);
}

/* What the last 334 carried. */
static struct buf challenge_of(struct client *client)
{
	struct buf bytes;

	buf_init(&bytes, 65536);
	ck_assert_int_eq(base64_decode(buf_span(&client->parser.reply.text), &bytes), ERR_OK);
	return bytes;
}

/* Until the server says something other than 334: that code. */
static int login_with_library(struct client *client, const char *mechanism, const char *secret,
			      bool initial)
{
	Gsasl_session *session;
	Gsasl *library;
	char *answer = NULL;
	char command[64];
	size_t len = 0;
	int step;

	ck_assert_int_eq(gsasl_init(&library), GSASL_OK);
	ck_assert_int_eq(gsasl_client_start(library, mechanism, &session), GSASL_OK);
	gsasl_property_set(session, GSASL_AUTHID, "user");
	gsasl_property_set(session, GSASL_PASSWORD, secret);
	if (initial) {
		snprintf(command, sizeof(command), "AUTH %s ", mechanism);
		ck_assert_int_eq(gsasl_step(session, "", 0, &answer, &len), GSASL_NEEDS_MORE);
		say_coded(client, command, answer, len);
		gsasl_free(answer);
	} else {
		snprintf(command, sizeof(command), "AUTH %s\r\n", mechanism);
		client_say(client, command);
	}
	while (client_code(client) == 334) {
		struct buf bytes = challenge_of(client);

		step = gsasl_step(session, bytes.data != NULL ? bytes.data : "", bytes.len, &answer,
				  &len);
		ck_assert_msg(step == GSASL_OK || step == GSASL_NEEDS_MORE, "%s",
			      gsasl_strerror(step));
		say_coded(client, "", answer, len);
		gsasl_free(answer);
		buf_release(&bytes);
	}
	gsasl_finish(session);
	gsasl_done(library);
	return client->parser.reply.code;
}

START_TEST(challenges)
{
	static const struct {
		const char *mechanism;
		bool initial;
		const char *secret;
		int want;
	} rows[] = {
		{"SCRAM-SHA-256", true, "secret", 235}, {"SCRAM-SHA-256", false, "secret", 235},
		{"SCRAM-SHA-256", true, "wrong", 535},	{"CRAM-MD5", false, "secret", 235},
		{"CRAM-MD5", false, "wrong", 535},
	};
	struct login login;
	struct client client;

	login_init(&login, users_plain);
	rig_open(&login.house.rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		client_greet(&client, &login.house.rig);
		ck_assert_msg(login_with_library(&client, rows[i].mechanism, rows[i].secret,
						 rows[i].initial) == rows[i].want,
			      "row %zu: %d", i, client.parser.reply.code);
		client_ask(&client, "NOOP", "250 2.0.0");
		client_close(&client);
	}
	login_close(&login);
}
END_TEST

/* Behind the server's last word only an empty line may come. */
START_TEST(words_behind_the_last)
{
	struct login login;
	struct client client;
	Gsasl_session *session;
	Gsasl *library;
	char *answer = NULL;
	size_t len = 0;

	login_init(&login, users_plain);
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	gsasl_init(&library);
	gsasl_client_start(library, "SCRAM-SHA-256", &session);
	gsasl_property_set(session, GSASL_AUTHID, "user");
	gsasl_property_set(session, GSASL_PASSWORD, "secret");
	client_ask(&client, "AUTH SCRAM-SHA-256", "334");
	for (int i = 0; i < 2; i++) {
		struct buf bytes = challenge_of(&client);

		gsasl_step(session, bytes.data != NULL ? bytes.data : "", bytes.len, &answer, &len);
		say_coded(&client, "", answer, len);
		client_expect(&client, "334");
		gsasl_free(answer);
		buf_release(&bytes);
	}
	gsasl_finish(session);
	gsasl_done(library);
	client_ask(&client, "AAAA", "501 5.5.2");
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "235 2.7.0");
	client_close(&client);
	login_close(&login);
}
END_TEST

START_TEST(scope_of_the_user)
{
	static const struct {
		const char *login;
		const char *want;
	} rows[] = {
		{"AUTH PLAIN " GOOD_PLAIN, "shop"},
		{"AUTH PLAIN AG90aGVyAHg=", "door"}, /* other, x */
		{"NOOP", "door"},
	};
	struct login login;
	struct client client;

	login_init(&login, users_plain);
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
	struct users *next = NULL;

	struct err why;

	login_init(&login, users_plain);
	rig_open(&login.house.rig);
	client_greet(&old, &login.house.rig);
	client_ask(&old, "AUTH PLAIN " GOOD_PLAIN, "235 2.7.0");
	client_greet(&new, &login.house.rig);
	client_ask(&new, "AUTH PLAIN", "334");
	ck_assert_int_eq(users_parse(span_of("user:{PLAIN}wrong"), no_mistake, NULL, &next),
			 ERR_OK);
	login.house.rig.settings.users = next;
	ck_assert_int_eq(smtp_front_reload(login.house.rig.front, &login.house.rig.settings, NULL,
					   NULL, &why),
			 ERR_OK);
	usleep(50000);
	/* The exchange goes on as it began. */
	client_ask(&new, BAD_PLAIN, "535 5.7.8");
	client_ask(&new, "AUTH PLAIN " BAD_PLAIN, "235 2.7.0");
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

	login_init(&login, users_plain);
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		client_ask(&client, rows[i].command, rows[i].want);
		client_ask(&client, "RSET", "250 2.0.0");
	}
	client_close(&client);
	login_close(&login);
	login_init(&login, users_plain);
	login.house.rig.listener.auth = LISTENER_AUTH_OFF;
	rig_open(&login.house.rig);
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH PLAIN " GOOD_PLAIN, "502 5.5.1");
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
	char *users = users_hashed();

	login_init(&login, users);
	login.house.rig.smtp.auth_delay_ms = 50;
	rig_open(&login.house.rig);
	for (int i = 0; i < 24; i++) {
		client_greet(&client, &login.house.rig);
		client_say(&client, i % 2 ? "AUTH PLAIN " BAD_PLAIN "\r\n"
					  : "AUTH PLAIN " GOOD_PLAIN "\r\n");
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
		client_say(&clients[i], "AUTH PLAIN " BAD_PLAIN "\r\n");
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
	char *users = users_hashed();

	login_init(&login, users);
	login.house.rig.smtp.auth_delay_ms = 100;
	rig_open(&login.house.rig);
	for (int good = 0; good < 2; good++) {
		client_greet(&client, &login.house.rig);
		client_say(&client, good ? "AUTH PLAIN " GOOD_PLAIN "\r\nNOOP\r\n"
					 : "AUTH PLAIN " BAD_PLAIN "\r\nNOOP\r\n");
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
	char *users = users_hashed();

	login_init(&login, users);
	login.house.rig.smtp.max_connections = CLIENTS;
	login.house.rig.smtp.max_connections_per_client = CLIENTS;
	rig_open(&login.house.rig);
	for (int i = 0; i < CLIENTS; i++)
		client_greet(&clients[i], &login.house.rig);
	for (int i = 0; i < CLIENTS; i++)
		client_say(&clients[i], "AUTH PLAIN " GOOD_PLAIN "\r\n");
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

UNIT_MAIN("smtp/auth", announced, plain_and_login, order, malformed, long_responses, without_tls,
	  required, wrong_passwords, any, challenges, words_behind_the_last, scope_of_the_user,
	  reload, mail_parameter, gone_meanwhile, half_closed, pool_is_full)
