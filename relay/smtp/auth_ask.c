/* relay/smtp/auth_ask.c - a login: somebody else is asked whether it is right */
#include "relay/smtp/auth_ask.h"

#include <assert.h>

#define PASSWORD_MAX 4096
#define SALT_MAX     512
#define DIGEST_LEN   32 /* hexadecimal */

bool auth_ask_is_on(const struct smtp_session *session)
{
	enum listener_auth auth = listener_of(session)->auth;

	return session->version->settings.asked_mechanisms != 0 &&
	       (auth == LISTENER_AUTH_OPTIONAL || auth == LISTENER_AUTH_REQUIRED);
}

bool auth_ask_can(const struct smtp_session *session, enum sasl_mechanism mechanism)
{
	return auth_ask_is_on(session) &&
	       (session->version->settings.asked_mechanisms & 1U << mechanism) != 0;
}

void auth_ask_init(struct auth_ask *ask)
{
	buf_init(&ask->user, SASL_NAME_MAX);
	buf_init(&ask->password, PASSWORD_MAX);
	buf_init(&ask->salt, SALT_MAX);
}

void auth_ask_release(struct auth_ask *ask)
{
	buf_wipe(&ask->user);
	buf_wipe(&ask->password);
	buf_wipe(&ask->salt);
}

bool auth_ask_take(struct auth_ask *ask, struct span user, struct span password)
{
	buf_clear(&ask->user);
	buf_clear(&ask->password);
	return buf_append_span(&ask->user, user) == ERR_OK &&
	       buf_append_span(&ask->password, password) == ERR_OK;
}

bool auth_ask_take_cram(struct auth_ask *ask, struct span response)
{
	size_t blank = span_find_last(response, ' ');
	struct span user = span_first(response, blank);
	struct span digest = span_skip(response, blank + 1);

	if (digest.len != DIGEST_LEN || !sasl_is_name(user))
		return false;
	for (size_t i = 0; i < digest.len; i++)
		if (!ascii_is_digit(digest.data[i]) &&
		    (digest.data[i] < 'a' || digest.data[i] > 'f'))
			return false;
	return auth_ask_take(ask, user, digest);
}

/* In whatever thread has the answer. */
static void on_done(struct login_ask *asked)
{
	struct auth_ask *ask = (struct auth_ask *)asked;

	if (!loop_post(ask->loop, &ask->told))
		assert(!"the loop outlives the session");
}

static const char *text_of(const struct buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

void auth_ask_send(struct auth_ask *ask, struct smtp_session *session,
		   enum sasl_mechanism mechanism, void (*told)(struct loop_task *task))
{
	const struct smtp_client *client = &session->client;
	const struct session_house *house = session->house;

	ask->loop = house->loop;
	ask->told = (struct loop_task){.run = told};
	ask->ask = (struct login_ask){
		.question = {.mechanism = mechanism,
			     .user = text_of(&ask->user),
			     .password = text_of(&ask->password),
			     .salt = mechanism == SASL_CRAM_MD5 ? text_of(&ask->salt) : NULL,
			     .attempt = ++session->auth_asked,
			     .client_address = client->address,
			     .client_name = client->name,
			     .tls = client->tls[0] != '\0' ? client->tls : NULL,
			     .certificate = client->certificate,
			     .certificate_verdict = client->verdict,
			     .proxied = client->proxied},
		.done = on_done};
	house->ask_login(house->ask_ctx, &ask->ask);
}
