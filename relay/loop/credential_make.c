/* relay/loop/credential_make.c - a self-signed certificate, for who has none yet */
#include <config.h>

#include "relay/loop/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/secret.h"

/* Whoever trusts it has put it into a configuration: an end soon would only break that one day. */
#define LIFETIME_DAYS	3650
#define SERIAL_OCTETS	16
#define COMMON_NAME_MAX 64 /* X.520 */

/* --- the certificate --------------------------------------------------------- */

static bool add_extension(X509 *x509, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool good = extension != NULL && X509_add_ext(x509, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return good;
}

static bool set_serial(X509 *x509)
{
	unsigned char bytes[SERIAL_OCTETS];
	BIGNUM *number;
	bool good;

	secret_random(bytes, sizeof(bytes));
	bytes[0] &= 0x7f; /* positive (RFC 5280 4.1.2.2) */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL;
	BN_free(number);
	return good;
}

/* A host in brackets is an address, which is not a name. */
static bool set_names(X509 *x509, const char *host)
{
	X509_NAME *subject = X509_get_subject_name(x509);
	const char *common = strlen(host) <= COMMON_NAME_MAX ? host : "stagepost";
	char names[512];

	(void)snprintf(names, sizeof(names), "%s%.253s%sDNS:localhost,IP:127.0.0.1,IP:::1",
		       host[0] == '[' ? "" : "DNS:", host[0] == '[' ? "" : host,
		       host[0] == '[' ? "" : ",");
	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
					  (const unsigned char *)common, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x509, subject) == 1 &&
	       add_extension(x509, NID_subject_alt_name, names);
}

static bool fill(X509 *x509, EVP_PKEY *key, const char *host)
{
	return X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
	       X509_time_adj_ex(X509_getm_notBefore(x509), -1, 0, NULL) != NULL &&
	       X509_time_adj_ex(X509_getm_notAfter(x509), LIFETIME_DAYS, 0, NULL) != NULL &&
	       X509_set_pubkey(x509, key) == 1 && set_names(x509, host) &&
	       /* Nobody who trusts it shall thereby trust us to sign for others. */
	       add_extension(x509, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(x509, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(x509, NID_ext_key_usage, "serverAuth") &&
	       X509_sign(x509, key, EVP_sha256()) > 0;
}

/* --- the files --------------------------------------------------------------- */

static int fail_file(const char *file, const char *what, struct err *why)
{
	return err_set(why, ERR_IO, "%.150s: %s: %s", file, what, strerror(errno));
}

static int write_all(int fd, struct span bytes)
{
	while (bytes.len > 0) {
		ssize_t put = write(fd, bytes.data, bytes.len);

		if (put < 0 && errno != EINTR)
			return -1;
		if (put > 0)
			bytes = span_skip(bytes, (size_t)put);
	}
	return fsync(fd);
}

/* Beside its place first: who looks sees all of it or nothing. */
static int put_file(const char *file, BIO *content, struct err *why)
{
	char *text;
	long len = BIO_get_mem_data(content, &text);
	char temporary[4096];
	int fd;
	int failed;

	if (snprintf(temporary, sizeof(temporary), "%s.new", file) >= (int)sizeof(temporary))
		return err_set(why, ERR_LIMIT, "%.150s: the path is too long", file);
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_file(temporary, "can't be made", why);
	failed = write_all(fd, span_make(text, (size_t)len));
	failed = close(fd) != 0 || failed != 0;
	if (failed != 0 || rename(temporary, file) != 0) {
		int code = fail_file(file, "can't be written", why);

		(void)unlink(temporary);
		return code;
	}
	return ERR_OK;
}

static int put_pair(const char *certificate_file, const char *key_file, X509 *x509, EVP_PKEY *key,
		    struct err *why)
{
	BIO *certificate = BIO_new(BIO_s_mem());
	BIO *secret = BIO_new(BIO_s_secmem());
	int code = ERR_OK;

	if (certificate == NULL || secret == NULL || PEM_write_bio_X509(certificate, x509) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) != 1)
		code = err_set(why, ERR_IO, "a self-signed certificate can't be encoded");
	if (code == ERR_OK)
		code = put_file(key_file, secret, why);
	if (code == ERR_OK)
		code = put_file(certificate_file, certificate, why);
	BIO_free(certificate);
	BIO_free(secret);
	return code;
}

int credential_generate(const char *certificate_file, const char *key_file, const char *host,
			struct err *why)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x509 = X509_new();
	int code;

	if (key != NULL && x509 != NULL && fill(x509, key, host))
		code = put_pair(certificate_file, key_file, x509, key, why);
	else
		code = err_set(why, ERR_IO, "a self-signed certificate for %.100s can't be made",
			       host);
	ERR_clear_error();
	X509_free(x509);
	EVP_PKEY_free(key);
	return code;
}
