/* relay/deliver/hop_certificate.c - whom we trust, and what is wrong with a certificate in one
 * sentence
 */
#include <config.h> /* opendir */

#include "relay/deliver/hop_certificate.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "relay/wire/base64.h"

#define NAME_MAX_BYTES	80  /* of a subject or issuer in a sentence */
#define NAMES_MAX_BYTES 100 /* of all names a certificate is for */

/* --- whom we trust -------------------------------------------------------------------- */

/* What is in one file. */
struct found {
	size_t certificates;
	size_t valid; /* of them not expired */
};

static int add(X509_STORE *store, X509 *x509, struct found *found)
{
	bool added = X509_STORE_add_cert(store, x509) == 1;

	found->certificates++;
	if (X509_cmp_current_time(X509_get0_notAfter(x509)) > 0)
		found->valid++;
	X509_free(x509);
	return added ? ERR_OK : ERR_SYNTAX;
}

/* No passphrase, and never a question on the terminal. */
static int no_passphrase(char *text, int size, int for_writing, void *ctx)
{
	return -1;
}

static int read_certificates(X509_STORE *store, BIO *bio, struct found *found)
{
	X509 *x509;

	while ((x509 = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL)) != NULL)
		if (add(store, x509, found) != ERR_OK)
			return ERR_SYNTAX;
	/* What ended the list must be the end of the file, not half a certificate. */
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? ERR_OK : ERR_SYNTAX;
}

static int open_file(const char *file, BIO **bio_out, struct err *why)
{
	int code;

	ERR_clear_error();
	errno = 0;
	*bio_out = BIO_new_file(file, "r");
	if (*bio_out != NULL)
		return ERR_OK;
	code = errno == ENOENT ? ERR_NOT_FOUND : ERR_SYNTAX;
	ERR_clear_error();
	return err_set(why, code, "%.150s: can't be read: %s", file,
		       errno != 0 ? strerror(errno) : "unknown reason");
}

static int trust_file(X509_STORE *store, const char *file, struct found *found, struct err *why)
{
	BIO *bio;
	int code = open_file(file, &bio, why);

	if (code != ERR_OK)
		return code;
	code = read_certificates(store, bio, found);
	BIO_free(bio);
	ERR_clear_error();
	if (code != ERR_OK)
		return err_set(why, ERR_SYNTAX, "%.150s: a certificate in it is broken", file);
	return ERR_OK;
}

static int trust_folder(X509_STORE *store, const char *path, struct found *found, struct err *why)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	int code = ERR_OK;

	if (folder == NULL)
		return err_set(why, ERR_SYNTAX, "%.150s: can't be read: %s", path, strerror(errno));
	while (code == ERR_OK && (entry = readdir(folder)) != NULL) {
		char file[4096];
		struct stat about;

		if (entry->d_name[0] == '.' ||
		    snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >=
			    (int)sizeof(file) ||
		    stat(file, &about) != 0 || !S_ISREG(about.st_mode))
			continue;
		code = trust_file(store, file, found, why);
	}
	closedir(folder);
	return code;
}

int hop_certificate_trust(X509_STORE *store, const char *path, bool *expired_out, struct err *why)
{
	struct found found = {0, 0};
	struct stat about;
	bool is_folder = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
	int code = is_folder ? trust_folder(store, path, &found, why)
			     : trust_file(store, path, &found, why);

	if (code != ERR_OK)
		return code;
	if (found.certificates == 0)
		return err_set(why, ERR_SYNTAX, "%.150s: no certificates to trust in it", path);
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	*expired_out = found.valid == 0;
	return ERR_OK;
}

static int read_lists(X509_STORE *store, BIO *bio, size_t *count_out, bool *expired_out)
{
	X509_CRL *list;
	bool added = true;

	while (added && (list = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL)) != NULL) {
		const ASN1_TIME *until = X509_CRL_get0_nextUpdate(list);

		added = X509_STORE_add_crl(store, list) == 1;
		*expired_out = *expired_out || (until != NULL && X509_cmp_current_time(until) <= 0);
		(*count_out)++;
		X509_CRL_free(list);
	}
	return added && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? ERR_OK
										     : ERR_SYNTAX;
}

int hop_certificate_distrust(X509_STORE *store, const char *file, bool *expired_out,
			     struct err *why)
{
	size_t count = 0;
	bool expired = false;
	BIO *bio;
	int code = open_file(file, &bio, why);

	if (code != ERR_OK)
		return code;
	code = read_lists(store, bio, &count, &expired);
	BIO_free(bio);
	ERR_clear_error();
	if (code != ERR_OK)
		return err_set(why, code, "%.150s: a revocation list in it is broken", file);
	if (count == 0)
		return err_set(why, ERR_SYNTAX, "%.150s: no revocation list in it", file);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	*expired_out = expired;
	return ERR_OK;
}

/* --- pins ------------------------------------------------------------------------------ */

int hop_pin_parse(struct span text, struct hop_pin *pin_out, struct err *why)
{
	struct buf bytes;
	int code;

	buf_init(&bytes, 256);
	code = base64_decode(text, &bytes);
	if (code == ERR_OK && bytes.len != sizeof(pin_out->digest))
		code = ERR_SYNTAX;
	if (code == ERR_OK)
		memcpy(pin_out->digest, bytes.data, sizeof(pin_out->digest));
	buf_release(&bytes);
	if (code != ERR_OK)
		return err_set(
			why, ERR_SYNTAX,
			"the SHA-256 of a public key in base64 (44 characters) was expected");
	return ERR_OK;
}

static bool digest_key(X509 *x509, struct hop_pin *pin_out)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
	bool good = len > 0 &&
		    EVP_Digest(der, (size_t)len, pin_out->digest, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	return good;
}

static bool has_pin(X509 *x509, const struct hop_demand *demand)
{
	struct hop_pin pin;

	if (!digest_key(x509, &pin))
		return false;
	for (size_t i = 0; i < demand->pin_count; i++)
		if (memcmp(pin.digest, demand->pins[i].digest, sizeof(pin.digest)) == 0)
			return true;
	return false;
}

static bool is_pinned(X509_STORE_CTX *store, const struct hop_demand *demand, bool verified)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);

	if (!verified)
		return has_pin(X509_STORE_CTX_get0_cert(store), demand);
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (has_pin(sk_X509_value(chain, i), demand))
			return true;
	return false;
}

/* With the pin it would have had: that is what people put into the configuration next. */
static void say_not_pinned(X509_STORE_CTX *store, char *text_out, size_t size)
{
	struct hop_pin pin;
	struct buf text;

	buf_init(&text, 64);
	if (digest_key(X509_STORE_CTX_get0_cert(store), &pin))
		(void)base64_encode(span_make((const char *)pin.digest, sizeof(pin.digest)), &text);
	snprintf(text_out, size, "the certificate's key is not pinned (tls_pin); its pin is %s",
		 text.len > 0 ? text.data : "not known");
	buf_release(&text);
}

/* --- what is wrong, in words ------------------------------------------------------------- */

/* Names come from whoever made the certificate: printable ASCII, and an end. */
static void add_harmless(struct buf *out, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < len; i++)
		(void)buf_append_char(out, (char)(at[i] > ' ' && at[i] < 0x7f ? at[i] : '?'));
}

static void add_name(struct buf *out, const GENERAL_NAME *name)
{
	char text[INET6_ADDRSTRLEN] = "?";
	const unsigned char *bytes;
	int len;

	if (name->type == GEN_DNS) {
		add_harmless(out, ASN1_STRING_get0_data(name->d.dNSName),
			     (size_t)ASN1_STRING_length(name->d.dNSName));
		return;
	}
	bytes = ASN1_STRING_get0_data(name->d.iPAddress);
	len = ASN1_STRING_length(name->d.iPAddress);
	if (len == 4 || len == 16)
		inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text));
	(void)buf_append_text(out, text);
}

/* "a.example, b.example and 3 more"; "" when there are none. */
static void list_names(const X509 *x509, struct buf *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	int more = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		struct buf one;

		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		buf_init(&one, NAMES_MAX_BYTES);
		if (out->len > 0)
			(void)buf_append_text(&one, ", ");
		add_name(&one, name);
		if (more > 0 || out->len + one.len > NAMES_MAX_BYTES)
			more++;
		else
			(void)buf_append_span(out, buf_span(&one));
		buf_release(&one);
	}
	GENERAL_NAMES_free(names);
	if (more > 0)
		(void)buf_printf(out, "%s%d more", out->len > 0 ? " and " : "", more);
}

static void say_wrong_name(const X509 *x509, const char *host, char *text_out, size_t size)
{
	struct buf names;

	buf_init(&names, NAMES_MAX_BYTES + 32);
	list_names(x509, &names);
	if (names.len > 0)
		snprintf(text_out, size, "the certificate is for %s, not for %.60s", names.data,
			 host);
	else
		snprintf(text_out, size,
			 "the certificate names no host (subjectAltName is missing), so not %.60s",
			 host);
	buf_release(&names);
}

/* "CN=mail.example.com,O=Example" */
static void name_text(const X509_NAME *name, char text_out[NAME_MAX_BYTES])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = 0;

	if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_read(bio, text_out, NAME_MAX_BYTES - 1);
	text_out[len > 0 ? len : 0] = '\0';
	if (len <= 0)
		snprintf(text_out, NAME_MAX_BYTES, "nobody");
	BIO_free(bio);
}

static void say_date(const ASN1_TIME *time, char text_out[32])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) == 1)
		snprintf(text_out, 32, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1,
			 tm.tm_mday);
	else
		snprintf(text_out, 32, "a date that makes no sense");
}

/* At the foot of the chain stands the certificate itself, above it who signed. */
static void say_whose(const X509_STORE_CTX *store, char *text_out, size_t size)
{
	const X509 *x509 = X509_STORE_CTX_get_current_cert(store);
	char name[NAME_MAX_BYTES];

	snprintf(text_out, size, "the certificate");
	if (X509_STORE_CTX_get_error_depth(store) <= 0 || x509 == NULL)
		return;
	name_text(X509_get_subject_name(x509), name);
	snprintf(text_out, size, "the certificate of its signer %s", name);
}

static void say_issuer(const X509 *x509, const char *what, char *text_out, size_t size)
{
	char name[NAME_MAX_BYTES];

	name_text(X509_get_issuer_name(x509), name);
	snprintf(text_out, size, "%s (issuer %s)", what, name);
}

/* NULL: it is not about who signed. */
static const char *about_signer(int error)
{
	switch (error) {
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED: return "the certificate is signed by nobody we trust";
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		return "tls_crl has no revocation list of the certificate's signer";
	case X509_V_ERR_CRL_HAS_EXPIRED:
		return "the revocation list of the certificate's signer has expired";
	default: return NULL;
	}
}

static void explain(X509_STORE_CTX *store, const char *host, char *text_out, size_t size)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	const X509 *x509 = X509_STORE_CTX_get_current_cert(store);
	int error = X509_STORE_CTX_get_error(store);
	char whose[140], date[32];

	x509 = x509 != NULL ? x509 : leaf;
	if (about_signer(error) != NULL) {
		say_issuer(x509, about_signer(error), text_out, size);
		return;
	}
	say_whose(store, whose, sizeof(whose));
	switch (error) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH: say_wrong_name(leaf, host, text_out, size); break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		say_date(X509_get0_notAfter(x509), date);
		snprintf(text_out, size, "%s expired on %s", whose, date);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		say_date(X509_get0_notBefore(x509), date);
		snprintf(text_out, size, "%s is not valid before %s", whose, date);
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		snprintf(text_out, size, "the certificate is self-signed and not trusted here");
		break;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		snprintf(text_out, size, "%s has a key of %d bits, which is too small", whose,
			 EVP_PKEY_get_bits(X509_get0_pubkey(x509)));
		break;
	case X509_V_ERR_CA_MD_TOO_WEAK:
		snprintf(text_out, size, "%s is signed with %s, which is too weak", whose,
			 OBJ_nid2ln(X509_get_signature_nid(x509)));
		break;
	case X509_V_ERR_CERT_REVOKED: snprintf(text_out, size, "%s was revoked", whose); break;
	case X509_V_ERR_INVALID_PURPOSE:
		snprintf(text_out, size, "%s is not meant for servers", whose);
		break;
	default:
		snprintf(text_out, size, "%s: %s", whose,
			 X509_verify_cert_error_string(
				 error != X509_V_OK ? error : X509_V_ERR_UNSPECIFIED));
	}
}

bool hop_certificate_judge(X509_STORE_CTX *store, const struct hop_demand *demand, const char *host,
			   struct hop_judgement *judgement_out)
{
	struct hop_judgement *j = judgement_out;
	bool taken;

	*j = (struct hop_judgement){.verified = X509_verify_cert(store) == 1};
	if (!j->verified)
		explain(store, host, j->fault, sizeof(j->fault));
	if (demand->pin_count > 0)
		j->pinned = is_pinned(store, demand, j->verified && demand->verify);
	if (demand->any || (!demand->verify && demand->pin_count == 0))
		return true;
	taken = (j->verified || !demand->verify) && (j->pinned || demand->pin_count == 0);
	if (!taken && (j->verified || !demand->verify))
		say_not_pinned(store, j->fault, sizeof(j->fault));
	return taken;
}
