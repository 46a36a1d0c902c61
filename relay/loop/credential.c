/* relay/loop/credential.c - a certificate chain with its private key, from PEM files */
#include <config.h>

#include "relay/loop/credential.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "base/secret.h"

struct credential {
	X509 *x509;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

/* --- loading ----------------------------------------------------------------- */

/* The sentence begins with the file, and says what OpenSSL says where it says anything. */
static int fail(const char *file, const char *what, struct err *why)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

	ERR_clear_error();
	if (reason != NULL)
		return err_set(why, ERR_SYNTAX, "%.150s: %s (%.40s)", file, what, reason);
	return err_set(why, ERR_SYNTAX, "%.150s: %s", file, what);
}

static BIO *open_file(const char *file, int *code_out, struct err *why)
{
	BIO *bio;

	errno = 0;
	bio = BIO_new_file(file, "r");
	if (bio == NULL) {
		*code_out = errno == ENOENT ? ERR_NOT_FOUND : ERR_SYNTAX;
		err_set(why, *code_out, "%.150s: can't be read: %s", file,
			errno != 0 ? strerror(errno) : "unknown reason");
		ERR_clear_error();
	}
	return bio;
}

/* No passphrase, and never a question on the terminal. */
static int no_passphrase(char *text, int size, int for_writing, void *ctx)
{
	return -1;
}

static int load_chain(struct credential *credential, const char *file, struct err *why)
{
	int code = ERR_OK;
	BIO *bio = open_file(file, &code, why);
	X509 *next;

	if (bio == NULL)
		return code;
	credential->x509 = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
	credential->chain = sk_X509_new_null();
	while (credential->x509 != NULL &&
	       (next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
		if (sk_X509_push(credential->chain, next) == 0)
			X509_free(next);
	BIO_free(bio);
	if (credential->x509 == NULL)
		return fail(file, "no certificate in it", why);
	/* What ended the list must be the end of the file, not half a certificate. */
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return fail(file, "a certificate of the chain is broken", why);
	ERR_clear_error();
	if (X509_cmp_current_time(X509_get0_notAfter(credential->x509)) <= 0)
		return fail(file, "the certificate has expired", why);
	return ERR_OK;
}

/* The file that was opened, whatever its name means by now. */
static bool is_exposed(BIO *bio)
{
	FILE *file = NULL;
	struct stat about;

	return BIO_get_fp(bio, &file) == 1 && fstat(fileno(file), &about) == 0 &&
	       (about.st_mode & S_IROTH) != 0;
}

static int load_key(struct credential *credential, const char *file, struct err *why)
{
	int code = ERR_OK;
	BIO *bio = open_file(file, &code, why);
	bool exposed;

	if (bio == NULL)
		return code;
	credential->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	exposed = is_exposed(bio);
	BIO_free(bio);
	if (credential->key == NULL)
		return fail(file, "no private key without a passphrase in it", why);
	if (exposed)
		return fail(file, "everybody on this machine can read the private key (chmod o-r)",
			    why);
	if (X509_check_private_key(credential->x509, credential->key) != 1)
		return fail(file, "the key belongs to another certificate", why);
	return ERR_OK;
}

int credential_load(const char *certificate_file, const char *key_file,
		    struct credential **credential_out, struct err *why)
{
	struct credential *credential = mem_zalloc(sizeof(*credential));
	int code;

	ERR_clear_error();
	if (key_file == NULL || key_file[0] == '\0')
		key_file = certificate_file;
	code = load_chain(credential, certificate_file, why);
	if (code == ERR_OK)
		code = load_key(credential, key_file, why);
	if (code != ERR_OK) {
		credential_free(&credential);
		return code;
	}
	*credential_out = credential;
	return ERR_OK;
}

void credential_free(struct credential **credential)
{
	if (*credential == NULL)
		return;
	X509_free((*credential)->x509);
	sk_X509_pop_free((*credential)->chain, X509_free);
	EVP_PKEY_free((*credential)->key);
	mem_free(*credential);
	*credential = NULL;
}

/* --- using ------------------------------------------------------------------- */

int credential_use(const struct credential *credential, struct ssl_ctx_st *context, struct err *why)
{
	ERR_clear_error();
	if (SSL_CTX_use_cert_and_key(context, credential->x509, credential->key, credential->chain,
				     1) != 1)
		return fail("certificate", "can't be used", why);
	return ERR_OK;
}

bool credential_covers(const struct credential *credential, struct span host)
{
	return host.len > 0 && X509_check_host(credential->x509, host.data, host.len,
					       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* A wildcard is covered by the same wildcard only. */
static bool covers_name(const struct credential *credential, const ASN1_IA5STRING *name)
{
	return credential_covers(credential, span_make((const char *)ASN1_STRING_get0_data(name),
						       (size_t)ASN1_STRING_length(name)));
}

static bool covers_all(const struct credential *a, const struct credential *b)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(b->x509, NID_subject_alt_name, NULL, NULL);
	bool all = names != NULL;

	for (int i = 0; all && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		all = name->type != GEN_DNS || covers_name(a, name->d.dNSName);
	}
	GENERAL_NAMES_free(names);
	return all;
}

bool credential_is_twin(const struct credential *a, const struct credential *b)
{
	return EVP_PKEY_get_base_id(a->key) != EVP_PKEY_get_base_id(b->key) && covers_all(a, b) &&
	       covers_all(b, a);
}

int64_t credential_expires_at(const struct credential *credential)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(credential->x509), &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}

void credential_fingerprint(const struct x509_st *x509, char text_out[CREDENTIAL_FINGERPRINT_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	text_out[0] = '\0';
	if (X509_digest(x509, EVP_sha256(), digest, &len) == 1)
		secret_hex(digest, len, text_out);
	ERR_clear_error();
}

void credential_own_fingerprint(const struct credential *credential,
				char text_out[CREDENTIAL_FINGERPRINT_SIZE])
{
	credential_fingerprint(credential->x509, text_out);
}

int credential_trust(struct ssl_ctx_st *context, const char *file, struct err *why)
{
	int code = ERR_OK;
	BIO *bio = open_file(file, &code, why);
	STACK_OF(X509_NAME) * names;

	if (bio == NULL)
		return code;
	BIO_free(bio);
	ERR_clear_error();
	names = SSL_load_client_CA_file(file);
	if (names == NULL || sk_X509_NAME_num(names) == 0 ||
	    SSL_CTX_load_verify_file(context, file) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return fail(file, "no certificates to trust in it", why);
	}
	SSL_CTX_set_client_CA_list(context, names);
	ERR_clear_error();
	return ERR_OK;
}
