/* relay/wire/sasl_client.c - the side that logs in, over GNU SASL */
#include "relay/wire/sasl_client.h"

#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/secret.h"
#include "relay/wire/sasl_inside.h"

struct sasl_client {
	enum sasl_client_mechanism mechanism;
	Gsasl_session *session; /* NULL: XOAUTH2, which is one line */
	struct buf bearer;	/* XOAUTH2's */
	unsigned steps;		/* done */
	bool complete;
	bool over;
};

static const struct mechanism {
	const char *name;
	bool first;
	unsigned slow_step; /* the one that hashes; 0: none */
} mechanisms[SASL_CLIENT_MECHANISMS] = {
	[SASL_CLIENT_SCRAM_SHA_256] = {"SCRAM-SHA-256", true, 2},
	[SASL_CLIENT_PLAIN] = {"PLAIN", true, 0},
	[SASL_CLIENT_LOGIN] = {"LOGIN", false, 0},
	[SASL_CLIENT_CRAM_MD5] = {"CRAM-MD5", false, 0},
	[SASL_CLIENT_XOAUTH2] = {"XOAUTH2", true, 0},
};

const char *sasl_client_name(enum sasl_client_mechanism mechanism)
{
	return mechanisms[mechanism].name;
}

bool sasl_client_find(struct span name, enum sasl_client_mechanism *mechanism_out)
{
	for (unsigned i = 0; i < SASL_CLIENT_MECHANISMS; i++) {
		if (!span_is_fold(name, mechanisms[i].name))
			continue;
		*mechanism_out = (enum sasl_client_mechanism)i;
		return true;
	}
	return false;
}

bool sasl_client_choose(unsigned offered, bool secured, enum sasl_client_mechanism *mechanism_out)
{
	static const enum sasl_client_mechanism orders[2][4] = {
		{SASL_CLIENT_SCRAM_SHA_256, SASL_CLIENT_CRAM_MD5, SASL_CLIENT_PLAIN,
		 SASL_CLIENT_LOGIN},
		{SASL_CLIENT_SCRAM_SHA_256, SASL_CLIENT_PLAIN, SASL_CLIENT_LOGIN,
		 SASL_CLIENT_CRAM_MD5},
	};

	for (size_t i = 0; i < 4; i++) {
		if ((offered & SASL_CLIENT_BIT(orders[secured ? 1 : 0][i])) == 0)
			continue;
		*mechanism_out = orders[secured ? 1 : 0][i];
		return true;
	}
	return false;
}

/* --- life ----------------------------------------------------------------------- */

static void start_session(struct sasl_client *client, const struct sasl_library *library,
			  const char *user, struct span secret)
{
	int code = gsasl_client_start(sasl_library_gsasl(library),
				      mechanisms[client->mechanism].name, &client->session);

	assert(code == GSASL_OK); /* all four are built in */
	code = gsasl_property_set(client->session, GSASL_AUTHID, user);
	assert(code == GSASL_OK); /* it fails for want of memory only */
	code = gsasl_property_set_raw(client->session, GSASL_PASSWORD, secret.data, secret.len);
	assert(code == GSASL_OK);
	(void)code;
}

struct sasl_client *sasl_client_new(const struct sasl_library *library,
				    enum sasl_client_mechanism mechanism, const char *user,
				    struct span secret)
{
	struct sasl_client *client = mem_zalloc(sizeof(*client));

	assert(sasl_is_name(span_of(user)) && secret.len > 0 && secret.len <= SASL_SECRET_MAX);
	client->mechanism = mechanism;
	buf_init(&client->bearer, SASL_SECRET_MAX + SASL_NAME_MAX + 64);
	if (mechanism == SASL_CLIENT_XOAUTH2) {
		/* In one piece, so that no copy is left behind by growing. */
		char *text = buf_reserve(&client->bearer, client->bearer.max);

		assert(text != NULL);
		(void)text;
		(void)buf_printf(&client->bearer, "user=%s\001auth=Bearer %.*s\001\001", user,
				 SPAN_ARG(secret));
	} else {
		start_session(client, library, user, secret);
	}
	return client;
}

void sasl_client_free(struct sasl_client **client)
{
	if (*client == NULL)
		return;
	if ((*client)->session != NULL) {
		sasl_wipe_properties((*client)->session);
		gsasl_finish((*client)->session);
	}
	buf_wipe(&(*client)->bearer);
	mem_free(*client);
	*client = NULL;
}

/* --- steps ------------------------------------------------------------------------ */

bool sasl_client_is_first(const struct sasl_client *client)
{
	return mechanisms[client->mechanism].first;
}

bool sasl_client_is_slow(const struct sasl_client *client)
{
	return mechanisms[client->mechanism].slow_step == client->steps + 1;
}

bool sasl_client_is_complete(const struct sasl_client *client)
{
	return client->complete;
}

static enum sasl_result end(struct sasl_client *client, enum sasl_result result, struct err *why,
			    const char *sentence)
{
	client->over = true;
	client->complete = false;
	err_set(why, result == SASL_REFUSED ? ERR_DENIED : ERR_SYNTAX, "%s", sentence);
	return result;
}

/*
 * What follows the line is a refusal in JSON; the server wants an empty answer
 * before it says so in a reply (Google, "SASL XOAUTH2", error response).
 */
static enum sasl_result step_bearer(struct sasl_client *client, struct buf *output, struct err *why)
{
	client->complete = client->steps == 1;
	if (client->steps > 2)
		return end(client, SASL_MALFORMED, why, "the server asks on and on");
	if (client->steps == 1 && buf_append_span(output, buf_span(&client->bearer)) != ERR_OK)
		return end(client, SASL_MALFORMED, why, "the token is too long");
	return SASL_MORE;
}

/* "r=nonce,s=salt,i=4096" (RFC 5802 7) */
static bool is_count_sane(struct span challenge)
{
	while (challenge.len > 0) {
		struct span attribute = span_cut(&challenge, ',');
		uint64_t count;

		if (span_starts_fold(attribute, "i="))
			return span_to_u64(span_skip(attribute, 2), SASL_ITERATIONS_MAX, &count) ==
				       ERR_OK &&
			       count >= SASL_ITERATIONS_MIN;
	}
	return true; /* it is not there: the library says so */
}

static enum sasl_result result_of(struct sasl_client *client, int code, struct err *why)
{
	switch (code) {
	case GSASL_OK: client->complete = true; return SASL_DONE;
	case GSASL_NEEDS_MORE: return SASL_MORE;
	case GSASL_SASLPREP_ERROR:
		return end(client, SASL_MALFORMED, why,
			   "user name or password hold what this mechanism can't send (RFC 4013)");
	case GSASL_AUTHENTICATION_ERROR:
		return end(client, SASL_REFUSED, why,
			   "the server does not prove that it knows the password");
	default:
		return end(client, SASL_MALFORMED, why,
			   "what the server asks does not follow the mechanism");
	}
}

/* Steps of ours after which the library waits for nothing, each a line of the exchange. */
static bool is_surplus(const struct sasl_client *client)
{
	return client->over || client->complete;
}

enum sasl_result sasl_client_step(struct sasl_client *client, struct span challenge,
				  struct buf *output, struct err *why)
{
	char *answer = NULL;
	size_t len = 0;
	enum sasl_result result;

	buf_clear(output);
	client->steps++;
	if (client->mechanism == SASL_CLIENT_XOAUTH2)
		return step_bearer(client, output, why);
	if (is_surplus(client))
		return end(client, SASL_MALFORMED, why, "the server asks on and on");
	if (client->mechanism == SASL_CLIENT_CRAM_MD5 && challenge.len == 0)
		return end(client, SASL_MALFORMED, why, "the server sends no challenge");
	if (client->mechanism == SASL_CLIENT_SCRAM_SHA_256 && client->steps == 2 &&
	    !is_count_sane(challenge))
		return end(client, SASL_MALFORMED, why,
			   "the server wants too few or too many iterations of SCRAM");
	result = result_of(client,
			   gsasl_step(client->session, challenge.data != NULL ? challenge.data : "",
				      challenge.len, &answer, &len),
			   why);
	if ((result == SASL_MORE || result == SASL_DONE) &&
	    buf_append(output, answer != NULL ? answer : "", len) != ERR_OK)
		result = end(client, SASL_MALFORMED, why, "the answer is too long");
	if (answer != NULL)
		secret_wipe(answer, len);
	gsasl_free(answer);
	return result;
}
