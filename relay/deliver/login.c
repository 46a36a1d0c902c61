/* relay/deliver/login.c - the AUTH phase of a connection to a next hop (RFC 4954) */
#include <config.h> /* memmem */

#include "relay/deliver/login.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/deliver/keyring.h"
#include "relay/deliver/uplink_inside.h"
#include "relay/wire/base64.h"
#include "relay/wire/sasl_client.h"

#define COMMAND_LINE_MAX 512   /* RFC 5321 4.5.3.1.4, which RFC 4954 4 leaves in force */
#define LINE_MAX_BYTES	 12290 /* RFC 4954 4 for all others, with CRLF */

struct login {
	struct keyring_job job;
	struct uplink *u;
	bool away;	   /* with the keyring */
	atomic_bool hurry; /* nobody waits for what it fetches */
	enum login_state {
		LOGIN_ASKED,	/* the next hop's turn */
		LOGIN_CANCELLED /* "*" went out, its refusal is to come */
	} state;
	enum sasl_client_mechanism mechanism;
	unsigned unwanted; /* mechanisms the next hop would not have after all */
	struct sasl_client *client;
	struct buf secret;
	struct buf refused; /* the secret it said no to */
	bool again;	    /* with another one */
	struct buf challenge;
	struct buf answer;
	bool held;	      /* the answer did not fit into the command and waits for a 334 */
	char told[120];	      /* what came in XOAUTH2's refusal */
	char no[120];	      /* the refusal of the credentials */
	struct err cancelled; /* why */
	/* of what the keyring did */
	int code;
	enum sasl_result result;
	struct err why;
	/* of the connection, meanwhile */
	int lost;
	struct err lost_why;
};

bool login_is_wanted(const struct uplink *u)
{
	return u->env.key != NULL && !u->logged_in;
}

bool login_is_away(const struct uplink *u)
{
	return u->login != NULL && u->login->away;
}

void login_hurry(struct uplink *u)
{
	atomic_store(&u->login->hurry, true);
}

void login_note_failure(struct uplink *u, int code, const char *why)
{
	if (u->login->lost != ERR_OK)
		return;
	u->login->lost = code;
	err_set(&u->login->lost_why, code, "%s", why);
}

void login_free(struct login **login)
{
	struct login *gone = *login;

	if (gone == NULL)
		return;
	assert(!gone->away);
	sasl_client_free(&gone->client);
	buf_wipe(&gone->secret);
	buf_wipe(&gone->refused);
	buf_wipe(&gone->answer);
	buf_wipe(&gone->challenge);
	mem_free(gone);
	*login = NULL;
}

/* --- ends -------------------------------------------------------------------------- */

static bool holds(const char *text, struct span part)
{
	return part.len >= 4 && memmem(text, strlen(text), part.data, part.len) != NULL;
}

/* What a next hop says, unless it gives away what it was told. */
static void scrub(const struct login *login, char *text, size_t size)
{
	struct buf coded;
	bool given;

	buf_init(&coded, LINE_MAX_BYTES);
	given = holds(text, buf_span(&login->secret));
	if (base64_encode(buf_span(&login->secret), &coded) == ERR_OK)
		given = given || holds(text, buf_span(&coded));
	buf_clear(&coded);
	/* As it was sent: PLAIN has name and password in one. */
	if (base64_encode(buf_span(&login->answer), &coded) == ERR_OK)
		given = given || holds(text, buf_span(&coded));
	buf_wipe(&coded);
	if (given)
		snprintf(text, size, "(it repeats the credentials)");
}

static void failed_as(struct uplink *u, enum trouble trouble, int code, const char *sentence)
{
	char text[200];

	snprintf(text, sizeof(text), "login: %.180s", sentence); /* it may be the login's */
	prologue_failed_as(u, trouble, code, text);
}

static void failed(struct uplink *u, int code, const char *sentence)
{
	failed_as(u, trouble_of_code(code), code, sentence);
}

/* "535 5.7.8 text" */
static void keep_words(const struct login *login, const struct reply *reply, char *text_out,
		       size_t size)
{
	char text[100];

	reply_summary(reply, text, sizeof(text));
	scrub(login, text, sizeof(text));
	snprintf(text_out, size, "%d%s%s %s", reply->code, reply->enhanced[0] != '\0' ? " " : "",
		 reply->enhanced, text);
}

static void failed_by(struct uplink *u, int code, const char *what, const struct reply *reply)
{
	char text[120], whole[200];

	keep_words(u->login, reply, text, sizeof(text));
	snprintf(whole, sizeof(whole), "%s: %s", what, text);
	failed_as(u, code == ERR_IO ? trouble_of_reply(reply->code) : trouble_of_code(code), code,
		  whole);
}

/* No other host is tried: it is not this one's fault. */
static void give_up(struct uplink *u, int code, const char *sentence)
{
	char text[240];

	snprintf(text, sizeof(text), "%.100s: login%.130s", u->remote, sentence);
	uplink_drop_far(u);
	err_set(&u->why, code, "%s", text);
	u->trouble = TROUBLE_CONFIGURATION;
	uplink_opened(u, code);
}

/* The credentials are wrong, everywhere: a person must act (S239). */
static void refused(struct uplink *u)
{
	const struct login *login = u->login;
	char text[240];

	snprintf(text, sizeof(text), " of \"%.40s\" refused (%s): %.100s%s%.50s",
		 u->env.route->username, sasl_client_name(login->mechanism), login->no,
		 login->told[0] != '\0' ? "; it told " : "", login->told);
	key_judged(u->env.key, false);
	give_up(u, ERR_DENIED, text);
}

static void cancel(struct uplink *u, const char *sentence)
{
	err_set(&u->login->cancelled, ERR_SYNTAX, "%s", sentence);
	u->login->state = LOGIN_CANCELLED;
	uplink_say(u, "*\r\n", u->env.route->command_timeout_ms);
}

/* --- saying AUTH ------------------------------------------------------------------------ */

static void say(struct uplink *u, struct buf *line)
{
	if (buf_append_text(line, "\r\n") != ERR_OK)
		cancel(u, "the answer is longer than a line may be");
	else
		uplink_say(u, line->data, u->env.route->command_timeout_ms);
	buf_wipe(line);
}

static void say_answer(struct uplink *u)
{
	struct buf line;

	buf_init(&line, LINE_MAX_BYTES);
	u->login->held = false;
	u->login->state = LOGIN_ASKED;
	if (base64_encode(buf_span(&u->login->answer), &line) != ERR_OK) {
		cancel(u, "the answer is longer than a line may be");
		return;
	}
	say(u, &line);
}

static void take_step(struct uplink *u, enum sasl_result result, const struct err *why)
{
	if (result > SASL_DONE)
		cancel(u, why->text);
	else
		say_answer(u);
}

/* With the answer in it where there is one already and the line stays short enough (RFC 4954 4). */
static void say_auth(struct uplink *u)
{
	struct login *login = u->login;
	struct buf line;
	size_t bare;

	buf_init(&line, COMMAND_LINE_MAX);
	(void)buf_printf(&line, "AUTH %s", sasl_client_name(login->mechanism));
	bare = line.len;
	if (login->answer.len > 0 && (buf_append_char(&line, ' ') != ERR_OK ||
				      base64_encode(buf_span(&login->answer), &line) != ERR_OK ||
				      line.len + 2 > COMMAND_LINE_MAX)) {
		buf_truncate(&line, bare);
		login->held = true;
	}
	login->state = LOGIN_ASKED;
	say(u, &line);
}

static enum sasl_client_mechanism named(enum route_auth auth)
{
	switch (auth) {
	case ROUTE_AUTH_LOGIN: return SASL_CLIENT_LOGIN;
	case ROUTE_AUTH_CRAM_MD5: return SASL_CLIENT_CRAM_MD5;
	case ROUTE_AUTH_SCRAM_SHA_256: return SASL_CLIENT_SCRAM_SHA_256;
	case ROUTE_AUTH_XOAUTH2: return SASL_CLIENT_XOAUTH2;
	case ROUTE_AUTH_AUTO:
	case ROUTE_AUTH_PLAIN: break;
	}
	return SASL_CLIENT_PLAIN;
}

static bool choose(struct uplink *u)
{
	unsigned offered = u->caps.auth & ~u->login->unwanted;
	enum route_auth auth = u->env.route->auth;

	if (auth == ROUTE_AUTH_AUTO && key_is_token(u->env.route))
		auth = ROUTE_AUTH_XOAUTH2;
	if (auth == ROUTE_AUTH_AUTO)
		return sasl_client_choose(offered, u->secured, &u->login->mechanism);
	u->login->mechanism = named(auth);
	return (offered & SASL_CLIENT_BIT(u->login->mechanism)) != 0;
}

static void start(struct uplink *u)
{
	struct login *login = u->login;
	struct err why;
	char text[160];

	if (!choose(u)) {
		snprintf(text, sizeof(text), "no mechanism that the route may use is offered: %s",
			 u->caps.auth_names);
		failed(u, ERR_UNSUPPORTED, text);
		return;
	}
	sasl_client_free(&login->client);
	login->client = sasl_client_new(keyring_sasl(key_ring(u->env.key)), login->mechanism,
					u->env.route->username, buf_span(&login->secret));
	buf_wipe(&login->answer);
	if (sasl_client_is_first(login->client) &&
	    sasl_client_step(login->client, span_of(""), &login->answer, &why) > SASL_DONE)
		failed(u, ERR_SYNTAX, why.text);
	else
		say_auth(u);
}

/* --- beside the loop ----------------------------------------------------------------------- */

static struct login *login_of(struct loop_task *task)
{
	return (struct login *)(void *)((char *)task - offsetof(struct login, job.done));
}

/* False: there is nobody to go on for. */
static bool is_wanted(struct login *login)
{
	login->away = false;
	if (!login->u->closing)
		return true;
	uplink_closed(login->u);
	return false;
}

/* False: the connection that it was for is gone. */
static bool has_connection(struct login *login)
{
	struct err why = login->lost_why;

	if (login->lost == ERR_OK)
		return true;
	prologue_failed(login->u, login->lost, why.text);
	return false;
}

static void send_away(struct uplink *u, void (*run)(struct keyring_job *job),
		      void (*done)(struct loop_task *task))
{
	struct login *login = u->login;

	stream_deadline(u->far, 0);
	login->away = true;
	login->job.run = run;
	login->job.loop = u->env.loop;
	login->job.done.run = done;
	key_submit(u->env.key, &login->job);
}

static void fetch_run(struct keyring_job *job)
{
	struct login *login = (struct login *)job;

	if (atomic_load(&login->hurry)) {
		login->code = err_set(&login->why, ERR_CLOSED, "delivery was stopped");
		return;
	}
	login->code = key_fetch(login->u->env.key, buf_span(&login->refused), &login->secret,
				&login->why);
}

static void on_fetched(struct loop_task *task)
{
	struct login *login = login_of(task);
	struct uplink *u = login->u;
	char text[200];

	if (!is_wanted(login) || !has_connection(login))
		return;
	snprintf(text, sizeof(text), ": %.190s", login->why.text);
	if (login->code != ERR_OK)
		give_up(u, ERR_IO, text);
	else
		start(u);
}

/* The connection may be gone: many close it behind their no. */
static void on_fetched_again(struct loop_task *task)
{
	struct login *login = login_of(task);

	if (!is_wanted(login))
		return;
	if (login->code != ERR_OK ||
	    span_equal(buf_span(&login->secret), buf_span(&login->refused)))
		refused(login->u);
	else if (has_connection(login))
		start(login->u);
}

static void step_run(struct keyring_job *job)
{
	struct login *login = (struct login *)job;

	login->result = sasl_client_step(login->client, buf_span(&login->challenge), &login->answer,
					 &login->why);
}

static void on_stepped(struct loop_task *task)
{
	struct login *login = login_of(task);

	if (is_wanted(login) && has_connection(login))
		take_step(login->u, login->result, &login->why);
}

static void fetch(struct uplink *u)
{
	buf_wipe(&u->login->secret);
	send_away(u, fetch_run, u->login->again ? on_fetched_again : on_fetched);
}

void login_begin(struct uplink *u)
{
	const struct route_options *route = u->env.route;

	u->state = UPLINK_LOGIN;
	/* The credential itself is never sent in the clear (S239). */
	if (!u->secured && !route->auth_without_tls) {
		prologue_failed(u, ERR_UNSUPPORTED,
				"login: credentials are sent inside TLS only, and there is none "
				"(auth_without_tls: true would allow it)");
		return;
	}
	if (u->caps.auth_names[0] == '\0') {
		prologue_failed(u, ERR_UNSUPPORTED,
				"login: the route logs in and the next hop does not offer AUTH");
		return;
	}
	u->login = mem_zalloc(sizeof(*u->login));
	u->login->u = u;
	buf_init(&u->login->secret, SASL_SECRET_MAX);
	buf_init(&u->login->refused, SASL_SECRET_MAX);
	buf_init(&u->login->challenge, LINE_MAX_BYTES);
	buf_init(&u->login->answer, LINE_MAX_BYTES);
	fetch(u);
}

/* --- what the next hop says ------------------------------------------------------------------ */

/* For people: the refusal is JSON, but that is up to the server. */
static void keep_told(struct login *login)
{
	size_t len = login->challenge.len < sizeof(login->told) - 1 ? login->challenge.len
								    : sizeof(login->told) - 1;

	for (size_t i = 0; i < len; i++) {
		char c = login->challenge.data[i];

		login->told[i] = (char)(c >= ' ' && c < 0x7f ? c : '?');
	}
	login->told[len] = '\0';
	scrub(login, login->told, sizeof(login->told));
}

static void on_challenge(struct uplink *u, const struct reply *reply)
{
	struct login *login = u->login;
	enum sasl_result result;
	struct err why;

	if (login->held) {
		say_answer(u); /* 334 without anything, or what some put there */
		return;
	}
	buf_clear(&login->challenge);
	if (reply->lines != 1 ||
	    base64_decode(span_trim(buf_span(&reply->text)), &login->challenge) != ERR_OK) {
		cancel(u, "what the next hop asks is not in base64");
		return;
	}
	if (login->mechanism == SASL_CLIENT_XOAUTH2)
		keep_told(login);
	if (sasl_client_is_slow(login->client)) {
		send_away(u, step_run, on_stepped);
		return;
	}
	result = sasl_client_step(login->client, buf_span(&login->challenge), &login->answer, &why);
	take_step(u, result, &why);
}

static void succeed(struct uplink *u, const struct reply *reply)
{
	/* A yes before both sides have shown what they know proves nothing. */
	if (u->login->held || !sasl_client_is_complete(u->login->client)) {
		failed_by(u, ERR_SYNTAX, "the next hop says yes before it can know", reply);
		return;
	}
	key_judged(u->env.key, true);
	u->logged_in = true;
	login_free(&u->login);
	prologue_next(u);
}

/* RFC 4954 4, 6: 504, 534 and 538 speak of the mechanism, all else of who we are. */
static void on_no(struct uplink *u, const struct reply *reply)
{
	struct login *login = u->login;
	bool other_way = reply->code == 504 || reply->code == 534 || reply->code == 538;
	const char *token_file = u->env.route->token_file, *command = u->env.route->token_command;
	bool renewable = (token_file != NULL && token_file[0] != '\0') ||
			 (command != NULL && command[0] != '\0');

	if (other_way && u->env.route->auth == ROUTE_AUTH_AUTO) {
		login->unwanted |= SASL_CLIENT_BIT(login->mechanism);
		if (choose(u)) {
			start(u);
			return;
		}
	}
	keep_words(login, reply, login->no, sizeof(login->no));
	if (other_way || !renewable || login->again) {
		refused(u);
		return;
	}
	key_judged(u->env.key, false);
	login->again = true;
	buf_wipe(&login->refused);
	(void)buf_append_span(&login->refused, buf_span(&login->secret));
	fetch(u);
}

void login_on_reply(struct uplink *u, const struct reply *reply)
{
	struct login *login = u->login;

	if (login->state == LOGIN_CANCELLED)
		failed(u, ERR_SYNTAX, login->cancelled.text);
	else if (reply->code == 334)
		on_challenge(u, reply);
	else if (reply->code == 235)
		succeed(u, reply);
	else if (reply->code / 100 == 5)
		on_no(u, reply);
	else if (reply->code / 100 == 4)
		failed_by(u, ERR_IO, "not now", reply);
	else
		failed_by(u, ERR_SYNTAX, "the next hop's answer makes no sense", reply);
}
