/* relay/wire/sasl.c - one login, step by step (RFC 4422), over GNU SASL */
#include "relay/wire/sasl.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/secret.h"
#include "relay/wire/base64.h"
#include "relay/wire/sasl_inside.h"

#define PASSWORD_MAX 1024 /* octets; longer ones are nobody's */

struct sasl_library {
	Gsasl *gsasl;
};

struct sasl {
	Gsasl_session *session;
	enum sasl_mechanism mechanism;
	const struct sasl_server_ops *ops;
	void *ctx;
	unsigned steps; /* done */
	struct sasl_scram scram;
	char user[SASL_NAME_MAX + 1];
};

/* --- mechanisms ------------------------------------------------------------ */

static const struct mechanism {
	const char *name;
	bool client_first;
	bool initial_response;
	unsigned slow_step; /* the one that hashes; 0: none */
} mechanisms[SASL_MECHANISMS] = {
	[SASL_EXTERNAL] = {"EXTERNAL", true, true, 0},
	[SASL_SCRAM_SHA_256] = {"SCRAM-SHA-256", true, true, 2},
	[SASL_CRAM_MD5] = {"CRAM-MD5", false, false, 0},
	[SASL_PLAIN] = {"PLAIN", true, true, 1},
	[SASL_LOGIN] = {"LOGIN", false, true, 3},
};

const char *sasl_mechanism_name(enum sasl_mechanism mechanism)
{
	return mechanisms[mechanism].name;
}

bool sasl_mechanism_find(struct span name, enum sasl_mechanism *mechanism_out)
{
	for (unsigned i = 0; i < SASL_MECHANISMS; i++) {
		if (!span_is_fold(name, mechanisms[i].name))
			continue;
		*mechanism_out = (enum sasl_mechanism)i;
		return true;
	}
	return false;
}

bool sasl_takes_initial_response(enum sasl_mechanism mechanism)
{
	return mechanisms[mechanism].initial_response;
}

bool sasl_is_client_first(enum sasl_mechanism mechanism)
{
	return mechanisms[mechanism].client_first;
}

/* --- names and passwords ---------------------------------------------------- */

bool sasl_is_name(struct span name)
{
	if (name.len == 0 || name.len > SASL_NAME_MAX || !span_is_utf8(name))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		/* U+0080..U+009F steer terminals too. */
		if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)name.data[i + 1] < 0xa0))
			return false;
	}
	return true;
}

static void wipe_text(char *text)
{
	if (text != NULL)
		secret_wipe(text, strlen(text));
}

int sasl_prepare(struct span password, struct buf *out, struct err *why)
{
	char text[PASSWORD_MAX + 1];
	char *prepared = NULL;
	int code = ERR_OK;

	if (password.len == 0)
		return err_set(why, ERR_SYNTAX, "a password must not be empty");
	if (password.len > PASSWORD_MAX)
		return err_set(why, ERR_LIMIT, "a password has at most %d octets", PASSWORD_MAX);
	if (memchr(password.data, '\0', password.len) != NULL || !span_is_utf8(password))
		return err_set(why, ERR_SYNTAX, "a password is text in UTF-8");
	memcpy(text, password.data, password.len);
	text[password.len] = '\0';
	if (gsasl_saslprep(text, GSASL_ALLOW_UNASSIGNED, &prepared, NULL) != GSASL_OK)
		code = err_set(why, ERR_SYNTAX,
			       "a password holds no control characters (RFC 4013)");
	else if (prepared[0] == '\0')
		code = err_set(why, ERR_SYNTAX, "nothing is left of this password (RFC 4013)");
	else
		code = buf_append_text(out, prepared);
	secret_wipe(text, sizeof(text));
	wipe_text(prepared);
	gsasl_free(prepared);
	return code;
}

static void hmac(const unsigned char *key, const char *text, unsigned char out[SASL_KEY_SIZE])
{
	unsigned len = SASL_KEY_SIZE;

	if (HMAC(EVP_sha256(), key, SASL_KEY_SIZE, (const unsigned char *)text, strlen(text), out,
		 &len) == NULL) {
		fputs("stagepost: HMAC-SHA-256 is not available\n", stderr);
		abort();
	}
}

/* RFC 5802 3 */
void sasl_scram_derive(struct sasl_scram *scram, struct span password)
{
	unsigned char salted[SASL_KEY_SIZE];
	unsigned char client[SASL_KEY_SIZE];

	assert(password.len <= PASSWORD_MAX && scram->iterations > 0);
	if (PKCS5_PBKDF2_HMAC(password.data, (int)password.len, scram->salt, (int)scram->salt_len,
			      (int)scram->iterations, EVP_sha256(), sizeof(salted), salted) != 1) {
		fputs("stagepost: PBKDF2 is not available\n", stderr);
		abort();
	}
	hmac(salted, "Client Key", client);
	secret_sha256(span_make((const char *)client, sizeof(client)), scram->stored_key);
	hmac(salted, "Server Key", scram->server_key);
	secret_wipe(salted, sizeof(salted));
	secret_wipe(client, sizeof(client));
}

/* --- what the library asks --------------------------------------------------- */

static struct span property(Gsasl_session *session, Gsasl_property name)
{
	return span_of(gsasl_property_fast(session, name));
}

/* What sasl_is_slow() said before this step. */
static bool is_slow_step(const struct sasl *sasl)
{
	return mechanisms[sasl->mechanism].slow_step == sasl->steps;
}

static int check_password(struct sasl *sasl)
{
	struct span name = property(sasl->session, GSASL_AUTHID);
	struct buf prepared;
	bool right;

	if (!is_slow_step(sasl) || !sasl_is_name(name))
		return GSASL_AUTHENTICATION_ERROR;
	buf_init(&prepared, (size_t)PASSWORD_MAX * 4);
	/* What is no password is checked as an empty one: it takes as long. */
	(void)sasl_prepare(property(sasl->session, GSASL_PASSWORD), &prepared, NULL);
	right = sasl->ops->check(sasl->ctx, name, buf_span(&prepared));
	if (prepared.data != NULL)
		secret_wipe(prepared.data, prepared.len);
	buf_release(&prepared);
	return right ? GSASL_OK : GSASL_AUTHENTICATION_ERROR;
}

static int give_password(struct sasl *sasl)
{
	struct span name = property(sasl->session, GSASL_AUTHID);
	struct buf password;
	int code = GSASL_AUTHENTICATION_ERROR;

	if (sasl->mechanism != SASL_CRAM_MD5)
		return GSASL_NO_CALLBACK;
	buf_init(&password, (size_t)PASSWORD_MAX * 4);
	if (sasl_is_name(name) && sasl->ops->password(sasl->ctx, name, &password))
		code = gsasl_property_set_raw(sasl->session, GSASL_PASSWORD, password.data,
					      password.len);
	if (password.data != NULL)
		secret_wipe(password.data, password.len);
	buf_release(&password);
	return code;
}

static int give_coded(struct sasl *sasl, Gsasl_property name, const unsigned char *bytes,
		      size_t len)
{
	struct buf coded;
	int code;

	buf_init(&coded, 256);
	code = base64_encode(span_make((const char *)bytes, len), &coded) == ERR_OK
		       ? gsasl_property_set(sasl->session, name, coded.data)
		       : GSASL_AUTHENTICATION_ERROR;
	if (coded.data != NULL)
		secret_wipe(coded.data, coded.len);
	buf_release(&coded);
	return code;
}

/* Iterations and salt go out in the first step, the keys check the proof in the second. */
static int give_scram(struct sasl *sasl, Gsasl_property name)
{
	struct span user = property(sasl->session, GSASL_AUTHID);
	char number[16];

	if (sasl->mechanism != SASL_SCRAM_SHA_256 || !sasl_is_name(user))
		return GSASL_AUTHENTICATION_ERROR;
	if (sasl->scram.iterations == 0)
		sasl->ops->scram_salt(sasl->ctx, user, &sasl->scram);
	assert(sasl->scram.iterations > 0);
	if (name == GSASL_SCRAM_ITER) {
		(void)snprintf(number, sizeof(number), "%u", sasl->scram.iterations);
		return gsasl_property_set(sasl->session, name, number);
	}
	if (name == GSASL_SCRAM_SALT)
		return give_coded(sasl, name, sasl->scram.salt, sasl->scram.salt_len);
	if (!is_slow_step(sasl))
		return GSASL_AUTHENTICATION_ERROR;
	if (name == GSASL_SCRAM_SERVERKEY) {
		sasl->ops->scram_keys(sasl->ctx, user, &sasl->scram);
		return give_coded(sasl, name, sasl->scram.server_key, SASL_KEY_SIZE);
	}
	return give_coded(sasl, name, sasl->scram.stored_key, SASL_KEY_SIZE);
}

static int check_external(struct sasl *sasl)
{
	struct span wanted = property(sasl->session, GSASL_AUTHZID);
	struct buf name;
	int code = GSASL_AUTHENTICATION_ERROR;

	buf_init(&name, SASL_NAME_MAX);
	if ((wanted.len == 0 || sasl_is_name(wanted)) &&
	    sasl->ops->external(sasl->ctx, wanted, &name) && sasl_is_name(buf_span(&name)))
		code = gsasl_property_set(sasl->session, GSASL_AUTHID, name.data);
	buf_release(&name);
	return code;
}

static int on_property(Gsasl *gsasl, Gsasl_session *session, Gsasl_property name)
{
	struct sasl *sasl = gsasl_session_hook_get(session);

	if (sasl == NULL) /* a client: what it has was set */
		return GSASL_NO_CALLBACK;
	switch ((int)name) {
	case GSASL_VALIDATE_SIMPLE: return check_password(sasl);
	case GSASL_VALIDATE_EXTERNAL: return check_external(sasl);
	case GSASL_PASSWORD: return give_password(sasl);
	case GSASL_SCRAM_ITER:
	case GSASL_SCRAM_SALT:
	case GSASL_SCRAM_SERVERKEY:
	case GSASL_SCRAM_STOREDKEY: return give_scram(sasl, name);
	default: return GSASL_NO_CALLBACK;
	}
}

/* --- life --------------------------------------------------------------------- */

struct sasl_library *sasl_library_new(void)
{
	struct sasl_library *library = mem_zalloc(sizeof(*library));
	int code = gsasl_init(&library->gsasl);

	assert(code == GSASL_OK); /* it fails for want of memory only */
	(void)code;
	gsasl_callback_set(library->gsasl, on_property);
	return library;
}

void sasl_library_free(struct sasl_library **library)
{
	if (*library == NULL)
		return;
	gsasl_done((*library)->gsasl);
	mem_free(*library);
	*library = NULL;
}

Gsasl *sasl_library_gsasl(const struct sasl_library *library)
{
	return library->gsasl;
}

struct sasl *sasl_server_new(const struct sasl_library *library, enum sasl_mechanism mechanism,
			     const struct sasl_server_ops *ops, void *ctx)
{
	struct sasl *sasl = mem_zalloc(sizeof(*sasl));
	int code = gsasl_server_start(library->gsasl, mechanisms[mechanism].name, &sasl->session);

	assert(code == GSASL_OK); /* all five are built in */
	(void)code;
	gsasl_session_hook_set(sasl->session, sasl);
	sasl->mechanism = mechanism;
	sasl->ops = ops;
	sasl->ctx = ctx;
	return sasl;
}

void sasl_wipe_properties(Gsasl_session *session)
{
	static const Gsasl_property secrets[] = {GSASL_PASSWORD, GSASL_SCRAM_SALTED_PASSWORD,
						 GSASL_SCRAM_STOREDKEY, GSASL_SCRAM_SERVERKEY};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		wipe_text((char *)(uintptr_t)gsasl_property_fast(session, secrets[i]));
}

void sasl_free(struct sasl **sasl)
{
	if (*sasl == NULL)
		return;
	sasl_wipe_properties((*sasl)->session);
	gsasl_finish((*sasl)->session);
	secret_wipe(*sasl, sizeof(**sasl));
	mem_free(*sasl);
	*sasl = NULL;
}

/* --- steps ---------------------------------------------------------------------- */

bool sasl_is_slow(const struct sasl *sasl)
{
	return mechanisms[sasl->mechanism].slow_step == sasl->steps + 1;
}

const char *sasl_user(const struct sasl *sasl)
{
	return sasl->user;
}

const char *sasl_claim(const struct sasl *sasl)
{
	struct span name = property(sasl->session, GSASL_AUTHID);

	return sasl_is_name(name) ? name.data : "";
}

/* Nobody acts for somebody else here: an authorisation identity is one's own or none. */
static enum sasl_result conclude(struct sasl *sasl)
{
	struct span user = property(sasl->session, GSASL_AUTHID);
	struct span wanted = property(sasl->session, GSASL_AUTHZID);

	if (!sasl_is_name(user) || (wanted.len > 0 && !span_equal(wanted, user)))
		return SASL_REFUSED;
	memcpy(sasl->user, user.data, user.len);
	sasl->user[user.len] = '\0';
	return SASL_DONE;
}

static enum sasl_result result_of(struct sasl *sasl, int code)
{
	switch (code) {
	case GSASL_OK: return conclude(sasl);
	case GSASL_NEEDS_MORE: return SASL_MORE;
	case GSASL_MECHANISM_PARSE_ERROR:
	case GSASL_MECHANISM_CALLED_TOO_MANY_TIMES: return SASL_MALFORMED;
	default: return SASL_REFUSED;
	}
}

/* Clients look for exactly these words. */
static int add_prompt(const struct sasl *sasl, struct buf *output)
{
	return buf_append_text(output, sasl->steps == 1 ? "Username:" : "Password:");
}

/* What the library would let pass. */
static bool is_acceptable(const struct sasl *sasl, struct span input)
{
	switch (sasl->mechanism) {
	/* It would see the name up to the NUL only. */
	case SASL_EXTERNAL: return span_find(input, '\0') == input.len;
	/* It would wait for more, and the count of steps be lost. */
	case SASL_PLAIN: return input.len > 0;
	/* Nor is there a channel to bind to: RFC 5802 6. */
	case SASL_SCRAM_SHA_256: return input.len > 0 && (sasl->steps > 0 || input.data[0] != 'p');
	case SASL_CRAM_MD5:
	case SASL_LOGIN:
	case SASL_MECHANISMS: break;
	}
	return true;
}

enum sasl_result sasl_step(struct sasl *sasl, struct span input, struct buf *output)
{
	char *answer = NULL;
	size_t len = 0;
	enum sasl_result result;

	/* LOGIN's name may come before we asked for it. */
	if (sasl->mechanism == SASL_LOGIN && sasl->steps == 0 && input.len > 0)
		(void)sasl_step(sasl, span_of(""), output);
	buf_clear(output);
	if (!is_acceptable(sasl, input))
		return SASL_MALFORMED;
	sasl->steps++;
	result = result_of(sasl, gsasl_step(sasl->session, input.data != NULL ? input.data : "",
					    input.len, &answer, &len));
	if (result == SASL_MORE && sasl->mechanism == SASL_LOGIN)
		result = add_prompt(sasl, output) == ERR_OK ? result : SASL_MALFORMED;
	else if ((result == SASL_MORE || result == SASL_DONE) &&
		 buf_append(output, answer != NULL ? answer : "", len) != ERR_OK)
		result = SASL_MALFORMED;
	gsasl_free(answer);
	return result;
}
