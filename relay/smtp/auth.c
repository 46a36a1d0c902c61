/* relay/smtp/auth.c - who the client is by its own word and proof (RFC 4954) */
#include "relay/smtp/auth.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "relay/smtp/auth_ask.h"
#include "relay/smtp/auth_pool.h"
#include "relay/smtp/command.h"
#include "relay/smtp/users.h"
#include "relay/wire/base64.h"
#include "relay/wire/sasl.h"

#define TRIES_MAX	  3	      /* wrong ones in a connection */
#define ASKED_WAIT_MAX_MS (60 * 1000) /* Auth-Wait of a refusal */

/*
 * An exchange under way. While a thread of the pool works on it, it and what
 * it points to (the version's users) belong to that thread.
 */
struct session_auth {
	struct auth_job job; /* first */
	struct smtp_session *session;
	const struct users *users; /* may be NULL */
	bool any;		   /* every password is right */
	bool asks;		   /* somebody else decides: `asked` is what he is told */
	struct auth_ask asked;
	enum sasl_mechanism mechanism;
	struct sasl *sasl;
	atomic_bool abandoned; /* nobody waits for the answer any more */
	struct buf input;
	struct buf output;
	enum sasl_result result;
};

static_assert(SASL_NAME_MAX < sizeof(((struct smtp_client *)NULL)->user), "a name fits");
static_assert(USERS_SCOPE_SIZE == sizeof(((struct smtp_session *)NULL)->user_scope), "it fits");

/* --- what is offered ------------------------------------------------------------ */

/* Passwords need TLS, unless somebody decided otherwise. */
static bool is_safe(const struct smtp_session *session)
{
	return session->client.tls[0] != '\0' || listener_of(session)->auth_without_tls;
}

/* Who the client's certificate says it is: its subject. "" for nobody. */
static const char *certified_name(const struct smtp_session *session)
{
	return session->client.subject;
}

/* Only what can work. */
static bool can(const struct smtp_session *session, enum sasl_mechanism mechanism)
{
	const struct users *users = session->version->settings.users;
	enum listener_auth auth = listener_of(session)->auth;

	if (auth == LISTENER_AUTH_OFF)
		return false;
	if (mechanism == SASL_EXTERNAL && certified_name(session)[0] == '\0')
		return false;
	if (auth_ask_is_on(session))
		return auth_ask_can(session, mechanism);
	if (mechanism == SASL_EXTERNAL)
		return true;
	/* The others need to know the password. */
	if (auth == LISTENER_AUTH_ANY)
		return mechanism == SASL_PLAIN || mechanism == SASL_LOGIN;
	return users != NULL && users_can(users, mechanism);
}

bool auth_is_offered(const struct smtp_session *session)
{
	for (unsigned i = 0; i < SASL_MECHANISMS; i++)
		if (can(session, (enum sasl_mechanism)i))
			return is_safe(session);
	return false;
}

void auth_add_mechanisms(const struct smtp_session *session, struct buf *out)
{
	for (unsigned i = 0; i < SASL_MECHANISMS; i++)
		if (can(session, (enum sasl_mechanism)i))
			(void)buf_printf(out, " %s", sasl_mechanism_name((enum sasl_mechanism)i));
}

/* --- what the exchange asks ------------------------------------------------------- */

static bool check(void *ctx, struct span name, struct span password)
{
	struct session_auth *auth = ctx;

	if (auth->asks) /* later; here it is only read */
		return password.len > 0 && auth_ask_take(&auth->asked, name, password);
	return auth->any || users_check(auth->users, name, password);
}

static void scram_salt(void *ctx, struct span name, struct sasl_scram *scram_out)
{
	users_scram_salt(((const struct session_auth *)ctx)->users, name, scram_out);
}

static void scram_keys(void *ctx, struct span name, struct sasl_scram *scram)
{
	users_scram_keys(((const struct session_auth *)ctx)->users, name, scram);
}

static bool password(void *ctx, struct span name, struct buf *password_out)
{
	return users_password(((const struct session_auth *)ctx)->users, name, password_out);
}

/* In the loop thread: no step of EXTERNAL is slow. */
static bool external(void *ctx, struct span name, struct buf *name_out)
{
	struct session_auth *auth = ctx;
	struct span own = span_of(certified_name(auth->session));

	if (auth->asks)
		return auth_ask_take(&auth->asked, name.len > 0 ? name : own, span_of("")) &&
		       buf_append_span(name_out, buf_span(&auth->asked.user)) == ERR_OK;

	return (name.len == 0 || span_equal(name, own)) && buf_append_span(name_out, own) == ERR_OK;
}

static const struct sasl_server_ops server_ops = {.check = check,
						  .scram_salt = scram_salt,
						  .scram_keys = scram_keys,
						  .password = password,
						  .external = external};

/* --- life of an exchange ------------------------------------------------------------ */

static void wipe(struct buf *bytes)
{
	if (bytes->data != NULL)
		secret_wipe(bytes->data, bytes->len);
	buf_clear(bytes);
}

static void run_step(struct auth_job *job)
{
	struct session_auth *auth = (struct session_auth *)job;

	auth->result = atomic_load(&auth->abandoned)
			       ? SASL_REFUSED
			       : sasl_step(auth->sasl, buf_span(&auth->input), &auth->output);
	wipe(&auth->input);
}

/* Of CRAM-MD5 the library would want the password: what it said is kept, and who is asked compares.
 */
static void run_here(struct session_auth *auth)
{
	bool is_cram = auth->asks && auth->mechanism == SASL_CRAM_MD5;

	if (is_cram && auth->asked.salt.len > 0) {
		buf_clear(&auth->output);
		auth->result = auth_ask_take_cram(&auth->asked, buf_span(&auth->input))
				       ? SASL_DONE
				       : SASL_MALFORMED;
		wipe(&auth->input);
		return;
	}
	run_step(&auth->job);
	if (is_cram && buf_append_span(&auth->asked.salt, buf_span(&auth->output)) != ERR_OK)
		auth->result = SASL_MALFORMED;
}

static void on_checked(struct loop_task *task);

static void begin(struct smtp_session *session, enum sasl_mechanism mechanism)
{
	struct session_auth *auth = mem_zalloc(sizeof(*auth));

	auth->job = (struct auth_job){.run = run_step,
				      .loop = session->house->loop,
				      .done = {.run = on_checked},
				      .peer = session->peer};
	auth->session = session;
	auth->users = session->version->settings.users;
	auth->any = listener_of(session)->auth == LISTENER_AUTH_ANY;
	auth->asks = auth_ask_is_on(session);
	auth_ask_init(&auth->asked);
	auth->mechanism = mechanism;
	auth->sasl = sasl_server_new(session->house->sasl, mechanism, &server_ops, auth);
	buf_init(&auth->input, AUTH_BASE64_MAX);
	buf_init(&auth->output, AUTH_BASE64_MAX);
	session->auth = auth;
	session->phase = PHASE_AUTH;
}

void auth_drop(struct smtp_session *session)
{
	struct session_auth *auth = session->auth;

	if (auth == NULL)
		return;
	if (session->awaits_check) {
		atomic_store(&auth->abandoned, true);
		return;
	}
	session->auth = NULL;
	sasl_free(&auth->sasl);
	wipe(&auth->input);
	wipe(&auth->output);
	buf_release(&auth->input);
	buf_release(&auth->output);
	auth_ask_release(&auth->asked);
	mem_free(auth);
}

/* The next line is a command again. */
static void leave(struct smtp_session *session)
{
	auth_drop(session);
	if (session->phase != PHASE_GONE)
		session->phase = PHASE_COMMAND;
}

static void refuse(struct smtp_session *session, int code, const char *enhanced, const char *text)
{
	leave(session);
	session_refuse(session, code, enhanced, text);
}

/* --- how it ends ---------------------------------------------------------------------- */

static void log_refused(const struct smtp_session *session, const char *reason)
{
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address), LOG_S("reason", reason),
		 LOG_S("mechanism", session->auth != NULL
					    ? sasl_mechanism_name(session->auth->mechanism)
					    : NULL));
}

/* By the version in force. */
static void take_user(struct smtp_session *session, const char *user, enum session_login login)
{
	const struct users *users = session->version->settings.users;
	bool any = listener_of(session)->auth == LISTENER_AUTH_ANY;

	(void)snprintf(session->client.user, sizeof(session->client.user), "%s", user);
	(void)snprintf(session->user_scope, sizeof(session->user_scope), "%s",
		       users != NULL && !any ? users_scope(users, span_of(user)) : "");
	session->login = login;
	session_name_listener(session);
}

static enum session_login login_by(const struct session_auth *auth)
{
	if (auth->asks)
		return LOGIN_ASKED;
	if (auth->mechanism == SASL_EXTERNAL)
		return LOGIN_TOLD;
	return auth->any ? LOGIN_ANY : LOGIN_LISTED;
}

static void succeed(struct smtp_session *session)
{
	const struct session_auth *auth = session->auth;
	const char *user = auth->asks ? auth->asked.user.data : sasl_user(auth->sasl);

	take_user(session, user, login_by(auth));
	log_info("login", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address), LOG_S("user", user),
		 LOG_S("mechanism", sasl_mechanism_name(auth->mechanism)),
		 LOG_B("checked", !auth->any || auth->mechanism == SASL_EXTERNAL));
	leave(session);
	session_reply(session, 235, "2.7.0", "Authentication successful");
}

/* The answer waits, longer each time: trying costs more than knowing. */
static int64_t refusal_wait_ms(const struct smtp_session *session)
{
	int64_t wait = options_of(session)->auth_delay_ms * (int64_t)session->auth_failures;
	int64_t wanted = session->auth->asked.ask.answer.wait_ms;

	if (wanted > ASKED_WAIT_MAX_MS)
		wanted = ASKED_WAIT_MAX_MS;
	return wanted > wait ? wanted : wait;
}

static const char *claim_of(const struct session_auth *auth)
{
	const char *asked = auth->asked.user.data;

	return auth->asks && asked != NULL ? asked : sasl_claim(auth->sasl);
}

static void fail(struct smtp_session *session)
{
	session->auth_failures++;
	log_info("refused", LOG_S("session", session->client.session),
		 LOG_S("client", session->client.address),
		 LOG_S("reason", "wrong user or password"),
		 LOG_S("mechanism", sasl_mechanism_name(session->auth->mechanism)),
		 LOG_S("user", claim_of(session->auth)));
	session->phase = PHASE_CHECK;
	loop_timer_set(&session->clock, refusal_wait_ms(session));
}

void auth_on_clock(struct smtp_session *session)
{
	struct login_answer told;

	if (session->awaits_check || session->auth == NULL)
		return;
	told = session->auth->asked.ask.answer;
	if (told.verdict == LOGIN_WRONG)
		refuse(session, told.code, told.enhanced, told.text);
	else
		refuse(session, 535, "5.7.8", "Authentication failed");
}

/* --- somebody else is asked ----------------------------------------------------------- */

static void take_told(struct smtp_session *session)
{
	const struct login_answer *told = &session->auth->asked.ask.answer;

	switch (told->verdict) {
	case LOGIN_RIGHT: succeed(session); break;
	case LOGIN_WRONG: fail(session); break;
	case LOGIN_UNKNOWN:
		log_refused(session, told->text);
		refuse(session, 454, "4.7.0", "Temporary authentication failure");
		break;
	}
}

/* Whoever worked on it has given it back. */
static void come_back(struct smtp_session *session, void (*then)(struct smtp_session *session))
{
	session->awaits_check = false;
	if (session->phase == PHASE_GONE)
		auth_drop(session);
	else
		then(session);
	session_pump(session);
}

static void on_told(struct loop_task *task)
{
	struct auth_ask *asked =
		(struct auth_ask *)((char *)task - offsetof(struct auth_ask, told));
	struct session_auth *auth =
		(struct session_auth *)((char *)asked - offsetof(struct session_auth, asked));

	come_back(auth->session, take_told);
}

static void ask(struct smtp_session *session)
{
	session->awaits_check = true;
	session->phase = PHASE_CHECK;
	stream_deadline(session->stream, 0);
	auth_ask_send(&session->auth->asked, session, session->auth->mechanism, on_told);
}

/* 334 with the server's words; they are never cut. */
static void challenge(struct smtp_session *session)
{
	struct session_auth *auth = session->auth;
	struct buf line;

	session->phase = PHASE_AUTH;
	session->deadline_set = false;
	buf_init(&line, AUTH_BASE64_MAX * 2);
	(void)buf_append_text(&line, "334 ");
	if (base64_encode(buf_span(&auth->output), &line) != ERR_OK ||
	    buf_append_text(&line, "\r\n") != ERR_OK)
		refuse(session, 501, "5.5.2", "Malformed authentication input");
	else
		session_write(session, buf_span(&line));
	wipe(&line);
	buf_release(&line);
}

static void go_on(struct smtp_session *session)
{
	const struct session_auth *auth = session->auth;

	switch (auth->result) {
	case SASL_MORE: challenge(session); break;
	case SASL_DONE:
		/* RFC 4954 4: the last word of the server goes out in a 334, too. */
		if (auth->output.len > 0)
			challenge(session);
		else if (auth->asks)
			ask(session);
		else
			succeed(session);
		break;
	case SASL_REFUSED: fail(session); break;
	case SASL_MALFORMED:
		log_refused(session, "malformed authentication input");
		refuse(session, 501, "5.5.2", "Malformed authentication input");
		break;
	}
}

/* --- steps ------------------------------------------------------------------------------- */

static void on_checked(struct loop_task *task)
{
	struct session_auth *auth =
		(struct session_auth *)((char *)task - offsetof(struct auth_job, done));

	come_back(auth->session, go_on);
}

/* auth->input is what the client says. */
static void step(struct smtp_session *session)
{
	struct session_auth *auth = session->auth;

	/* Where somebody else is asked nothing is hashed here. */
	if (auth->asks || !sasl_is_slow(auth->sasl)) {
		run_here(auth);
		go_on(session);
		return;
	}
	session->awaits_check = true;
	if (auth_pool_submit(session->house->auth_pool, &auth->job)) {
		session->phase = PHASE_CHECK;
		stream_deadline(session->stream, 0);
		return;
	}
	session->awaits_check = false;
	log_refused(session, "too many logins at a time");
	refuse(session, 454, "4.7.0", "Too many logins at the moment, please try again later");
}

static void take_response(struct smtp_session *session, struct span text)
{
	struct session_auth *auth = session->auth;

	if (text.len > AUTH_BASE64_MAX)
		refuse(session, 500, "5.5.6", "Authentication line too long");
	else if (base64_decode(text, &auth->input) != ERR_OK)
		refuse(session, 501, "5.5.2", "That is no base64");
	else
		step(session);
}

void auth_take_line(struct smtp_session *session, struct span line)
{
	if (span_is(line, "*"))
		refuse(session, 501, "5.7.0", "Authentication cancelled");
	else if (session->auth->result != SASL_DONE)
		take_response(session, line);
	else if (line.len > 0)
		refuse(session, 501, "5.5.2", "Nothing was to be said any more");
	else
		succeed(session);
}

/* --- the verb ------------------------------------------------------------------------------ */

bool auth_is_command(struct span line)
{
	return span_starts_fold(line, "AUTH") && (line.len == 4 || !ascii_is_alnum(line.data[4]));
}

/* Why there is no exchange now; false: there is one. */
static bool is_out_of_place(struct smtp_session *session)
{
	if (listener_of(session)->auth == LISTENER_AUTH_OFF) {
		session_refuse(session, 502, "5.5.1", "Command not offered here");
	} else if (session->stage != STAGE_READY) {
		session_refuse(session, 503, "5.5.1", "A mail transaction is under way");
	} else if (!session->client.esmtp) {
		session_refuse(session, 503, "5.5.1", "Say EHLO first");
	} else if (session->client.user[0] != '\0') {
		session_refuse(session, 503, "5.5.1", "Already authenticated");
	} else if (!is_safe(session)) {
		log_refused(session, "AUTH without TLS");
		session_refuse(session, 538, "5.7.11", "Encryption is required to log in");
	} else if (session->auth_failures >= TRIES_MAX) {
		log_refused(session, "too many wrong logins");
		session_reply(session, 421, "4.7.0", "Too many wrong logins");
	} else {
		return false;
	}
	return true;
}

/* RFC 4954 4: "=" is an initial response without any octets. */
static void take_initial_response(struct smtp_session *session, struct span text)
{
	if (!sasl_takes_initial_response(session->auth->mechanism))
		refuse(session, 501, "5.5.4", "This mechanism takes no initial response");
	else
		take_response(session, span_is(text, "=") ? span_of("") : text);
}

void verb_auth(struct smtp_session *session, struct span argument)
{
	struct span rest = argument;
	struct span name = span_cut(&rest, ' ');
	enum sasl_mechanism mechanism;

	if (is_out_of_place(session))
		return;
	if (!sasl_mechanism_find(name, &mechanism) || !can(session, mechanism)) {
		session_refuse(session, 504, "5.5.4", "This mechanism is not offered");
		return;
	}
	begin(session, mechanism);
	if (name.len < argument.len)
		take_initial_response(session, rest);
	else if (sasl_is_client_first(mechanism))
		challenge(session);
	else
		step(session);
}

/* --- what follows from it ------------------------------------------------------------------ */

bool auth_refuses_mail(struct smtp_session *session)
{
	if (listener_of(session)->auth != LISTENER_AUTH_REQUIRED || session->client.user[0] != '\0')
		return false;
	log_refused(session, "MAIL without a login");
	session_refuse(session, 530, "5.7.0", "Authentication required");
	return true;
}

void auth_forget(struct smtp_session *session)
{
	session->client.user[0] = '\0';
	session->user_scope[0] = '\0';
	session->login = LOGIN_TOLD;
	session_name_listener(session);
}

static bool is_still_right(const struct smtp_session *session)
{
	const struct users *users = session->version->settings.users;

	if (session->login == LOGIN_ASKED)
		return auth_ask_is_on(session);
	if (session->login == LOGIN_LISTED)
		return users != NULL && users_has(users, span_of(session->client.user));
	return session->login == LOGIN_TOLD || listener_of(session)->auth == LISTENER_AUTH_ANY;
}

void auth_renew(struct smtp_session *session)
{
	char user[sizeof(session->client.user)];

	if (session->client.user[0] == '\0')
		return;
	if (!is_still_right(session)) {
		log_info("logout", LOG_S("session", session->client.session),
			 LOG_S("client", session->client.address),
			 LOG_S("user", session->client.user),
			 LOG_S("reason", "not a login by the new configuration"));
		auth_forget(session);
		return;
	}
	memcpy(user, session->client.user, sizeof(user));
	take_user(session, user, session->login);
}

void auth_take_word(struct smtp_session *session, const char *user)
{
	take_user(session, user, LOGIN_TOLD);
}
