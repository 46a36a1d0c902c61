/* relay/smtp/credential.c - what the users file knows instead of a password */
#include "relay/smtp/credential.h"

#include <assert.h>
#include <crypt.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/secret.h"
#include "relay/wire/base64.h"

#define PASSWORD_MAX   4096
#define SCRAM_PREFIX   "{SCRAM-SHA-256}"
#define PLAIN_PREFIX   "{PLAIN}"
#define B64_PREFIX     "{PLAIN.B64}"
#define NEW_ITERATIONS 4096 /* RFC 7677 4 */
#define NEW_SALT_LEN   16
#define MAX_ITERATIONS 1000000

static const char *const scheme_names[CREDENTIAL_SCHEMES] = {"yescrypt", "scram-sha-256", "plain"};

const char *credential_scheme_name(enum credential_scheme scheme)
{
	return scheme_names[scheme];
}

bool credential_scheme_find(struct span name, enum credential_scheme *scheme_out)
{
	for (unsigned i = 0; i < CREDENTIAL_SCHEMES; i++) {
		if (!span_is_fold(name, scheme_names[i]))
			continue;
		*scheme_out = (enum credential_scheme)i;
		return true;
	}
	return false;
}

static void wipe(struct buf *secret)
{
	if (secret->data != NULL)
		secret_wipe(secret->data, secret->len);
	buf_release(secret);
}

/* --- yescrypt -------------------------------------------------------------------- */

/* crypt(5): 43 characters of hash behind the last dollar. */
#define YESCRYPT_HASH_LEN 43

/* A hash of `password` under `setting`; in *data, for mem_free's sister free(). NULL: no setting.
 */
static const char *hash(const char *password, const char *setting, void **data, int *size)
{
	*data = NULL;
	*size = 0;
	return crypt_ra(password, setting, data, size);
}

static void forget_hash(void *data, int size)
{
	if (data != NULL)
		secret_wipe(data, (size_t)size);
	free(data);
}

static int parse_yescrypt(struct span text, struct credential *credential, struct err *why)
{
	static const char digits[] =
		"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t dollar = span_find_last(text, '$');
	struct span tail = span_skip(text, dollar + 1);

	if (crypt_checksalt(text.data) != CRYPT_SALT_OK || tail.len != YESCRYPT_HASH_LEN ||
	    strspn(tail.data, digits) != tail.len)
		return err_set(why, ERR_SYNTAX, "the yescrypt hash is not complete");
	credential->text = text;
	return ERR_OK;
}

static bool check_yescrypt(const struct credential *credential, struct span password)
{
	char *text = mem_span_dup(password);
	void *data;
	int size;
	const char *again = hash(text, credential->text.data, &data, &size);
	bool right = again != NULL && secret_equal(span_of(again), credential->text);

	forget_hash(data, size);
	secret_wipe(text, password.len);
	mem_free(text);
	return right;
}

static int make_yescrypt(struct span password, struct buf *out, struct err *why)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char salt[32];
	char *text = mem_span_dup(password);
	const char *made = NULL;
	void *data = NULL;
	int size = 0;

	secret_random(salt, sizeof(salt));
	if (crypt_gensalt_rn("$y$", 0, salt, sizeof(salt), setting, sizeof(setting)) != NULL)
		made = hash(text, setting, &data, &size);
	if (made != NULL)
		(void)buf_append_text(out, made);
	forget_hash(data, size);
	secret_wipe(text, password.len);
	mem_free(text);
	return made != NULL
		       ? ERR_OK
		       : err_set(why, ERR_UNSUPPORTED, "this system's libcrypt has no yescrypt");
}

/* --- SCRAM-SHA-256 ------------------------------------------------------------------ */

/* Base64 of `least` to `most` octets. */
static bool take_octets(struct span text, unsigned char *to, size_t least, size_t most,
			size_t *len_out)
{
	struct buf octets;
	bool good;

	buf_init(&octets, most);
	good = base64_decode(text, &octets) == ERR_OK && octets.len >= least;
	if (good) {
		memcpy(to, octets.data, octets.len);
		*len_out = octets.len;
	}
	wipe(&octets);
	return good;
}

static int parse_scram(struct span text, struct credential *credential, struct err *why)
{
	struct sasl_scram *scram = &credential->scram;
	uint64_t iterations;
	size_t len;

	if (span_to_u64(span_cut(&text, ','), MAX_ITERATIONS, &iterations) != ERR_OK ||
	    iterations == 0)
		return err_set(why, ERR_SYNTAX, "SCRAM: 1 to %d iterations were expected",
			       MAX_ITERATIONS);
	scram->iterations = (unsigned)iterations;
	if (!take_octets(span_cut(&text, ','), scram->salt, 1, sizeof(scram->salt),
			 &scram->salt_len))
		return err_set(why, ERR_SYNTAX, "SCRAM: the salt is no base64 of 1 to %d octets",
			       SASL_SALT_MAX);
	if (!take_octets(span_cut(&text, ','), scram->stored_key, SASL_KEY_SIZE, SASL_KEY_SIZE,
			 &len) ||
	    !take_octets(text, scram->server_key, SASL_KEY_SIZE, SASL_KEY_SIZE, &len))
		return err_set(why, ERR_SYNTAX,
			       "SCRAM: stored key and server key are %d octets in base64",
			       SASL_KEY_SIZE);
	return ERR_OK;
}

static bool check_scram(const struct sasl_scram *scram, struct span password)
{
	struct sasl_scram again = *scram;
	bool right;

	sasl_scram_derive(&again, password);
	right = secret_equal(span_make((const char *)again.stored_key, SASL_KEY_SIZE),
			     span_make((const char *)scram->stored_key, SASL_KEY_SIZE));
	secret_wipe(&again, sizeof(again));
	return right;
}

static void add_octets(const unsigned char *octets, size_t len, struct buf *out)
{
	(void)buf_append_char(out, ',');
	(void)base64_encode(span_make((const char *)octets, len), out);
}

static void make_scram(struct span password, struct buf *out)
{
	struct sasl_scram scram = {.iterations = NEW_ITERATIONS, .salt_len = NEW_SALT_LEN};

	secret_random(scram.salt, scram.salt_len);
	sasl_scram_derive(&scram, password);
	(void)buf_printf(out, SCRAM_PREFIX "%u", scram.iterations);
	add_octets(scram.salt, scram.salt_len, out);
	add_octets(scram.stored_key, SASL_KEY_SIZE, out);
	add_octets(scram.server_key, SASL_KEY_SIZE, out);
	secret_wipe(&scram, sizeof(scram));
}

/* --- in the clear ---------------------------------------------------------------------- */

static int take_plain(struct span password, struct credential *credential, struct err *why)
{
	struct buf prepared;
	int code;

	/* Only what a client can send. */
	buf_init(&prepared, PASSWORD_MAX);
	code = sasl_prepare(password, &prepared, why);
	if (code == ERR_OK && !span_equal(buf_span(&prepared), password))
		code = err_set(why, ERR_SYNTAX,
			       "the password is not in the form that clients send (RFC 4013)");
	wipe(&prepared);
	credential->text = password;
	return code;
}

static int parse_base64(char *text, struct credential *credential, struct err *why)
{
	struct buf password;
	int code;

	buf_init(&password, PASSWORD_MAX);
	code = base64_decode(span_of(text), &password);
	if (code != ERR_OK) {
		(void)err_set(why, code, "the password is no base64");
	} else {
		memcpy(text, password.data != NULL ? password.data : "", password.len);
		code = take_plain(span_make(text, password.len), credential, why);
	}
	wipe(&password);
	return code;
}

/* A colon would end the field, a blank at its end would not be seen. */
static bool needs_base64(struct span password)
{
	return span_find(password, ':') < password.len || span_trim(password).len < password.len;
}

static void make_plain(struct span password, struct buf *out)
{
	if (needs_base64(password)) {
		(void)buf_append_text(out, B64_PREFIX);
		(void)base64_encode(password, out);
	} else {
		(void)buf_append_text(out, PLAIN_PREFIX);
		(void)buf_append_span(out, password);
	}
}

/* --- any of them ------------------------------------------------------------------------ */

int credential_parse(char *text, struct credential *credential_out, struct err *why)
{
	struct credential credential = {.scheme = CREDENTIAL_PLAIN};
	struct span all = span_of(text);
	int code;

	if (span_starts_fold(all, "$y$")) {
		credential.scheme = CREDENTIAL_YESCRYPT;
		code = parse_yescrypt(all, &credential, why);
	} else if (span_starts_fold(all, SCRAM_PREFIX)) {
		credential.scheme = CREDENTIAL_SCRAM;
		code = parse_scram(span_skip(all, strlen(SCRAM_PREFIX)), &credential, why);
	} else if (span_starts_fold(all, PLAIN_PREFIX)) {
		code = take_plain(span_skip(all, strlen(PLAIN_PREFIX)), &credential, why);
	} else if (span_starts_fold(all, B64_PREFIX)) {
		code = parse_base64(text + strlen(B64_PREFIX), &credential, why);
	} else {
		code = err_set(why, ERR_SYNTAX,
			       "a secret begins with $y$, " SCRAM_PREFIX ", " PLAIN_PREFIX
			       " or " B64_PREFIX);
	}
	if (code == ERR_OK)
		*credential_out = credential;
	return code;
}

bool credential_check(const struct credential *credential, struct span password)
{
	switch (credential->scheme) {
	case CREDENTIAL_YESCRYPT: return check_yescrypt(credential, password);
	case CREDENTIAL_SCRAM: return check_scram(&credential->scram, password);
	case CREDENTIAL_PLAIN: return secret_equal(credential->text, password);
	case CREDENTIAL_SCHEMES: break;
	}
	assert(!"a scheme");
	return false;
}

int credential_make(enum credential_scheme scheme, struct span password, struct buf *out,
		    struct err *why)
{
	struct buf prepared;
	int code;

	buf_init(&prepared, PASSWORD_MAX);
	code = sasl_prepare(password, &prepared, why);
	if (code == ERR_OK && scheme == CREDENTIAL_YESCRYPT)
		code = make_yescrypt(buf_span(&prepared), out, why);
	else if (code == ERR_OK && scheme == CREDENTIAL_SCRAM)
		make_scram(buf_span(&prepared), out);
	else if (code == ERR_OK)
		make_plain(buf_span(&prepared), out);
	wipe(&prepared);
	return code;
}
