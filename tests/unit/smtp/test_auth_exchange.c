/* tests relay/smtp/auth.c: what is said between AUTH and its answer (CASES 2.C, RFC 4954) */
#include <config.h>

#include <gsasl.h>
#include <stdio.h>

#include "base/mem.h"
#include "relay/wire/base64.h"
#include "tests/unit/smtp/login.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

START_TEST(plain_and_login)
{
	static const char *const dialogues[][5] = {
		{"AUTH PLAIN " LOGIN_GOOD, "235 2.7.0"},
		{"auth plain", "334", LOGIN_GOOD, "235 2.7.0"},
		{"AUTH LOGIN", "334", "dXNlcg==", "334"},
		{"AUTH LOGIN dXNlcg==", "334", "c2VjcmV0", "235 2.7.0"},
	};
	struct login login;
	struct client client;
	char *users = login_hashed_users();

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

	login_init(&login, LOGIN_USERS);
	rig_open(&login.house.rig);
	for (size_t i = 0; i < COUNT(rows); i++) {
		client_greet(&client, &login.house.rig);
		client_ask(&client, "AUTH PLAIN", "334");
		ck_assert_uint_eq(client.parser.reply.text.len, 0);
		client_send(&client, rows[i].response);
		client_say(&client, "\r\n");
		client_expect(&client, rows[i].want);
		/* Over, and another can begin. */
		client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "235 2.7.0");
		client_close(&client);
	}
	client_greet(&client, &login.house.rig);
	client_ask(&client, "AUTH PLAIN =", "501 5.5.2");
	client_ask(&client, "AUTH PLAIN  " LOGIN_GOOD, "501 5.5.2");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD " x", "501 5.5.2");
	client_ask(&client, "AUTH PLAIN *", "501 5.5.2");
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "235 2.7.0");
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

	login_init(&login, LOGIN_USERS);
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

	login_init(&login, LOGIN_USERS);
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

	login_init(&login, LOGIN_USERS);
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
	client_ask(&client, "AUTH PLAIN " LOGIN_GOOD, "235 2.7.0");
	client_close(&client);
	login_close(&login);
}
END_TEST

UNIT_MAIN("smtp/auth_exchange", plain_and_login, malformed, long_responses, challenges,
	  words_behind_the_last)
