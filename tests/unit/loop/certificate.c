/* tests/unit/loop/certificate.c - a self-signed certificate and contexts that use or trust it */
#include "tests/unit/loop/certificate.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/unit/unit.h"

static void add_names(X509 *x509, const char *name)
{
	char names[300];
	X509_EXTENSION *extension;

	snprintf(names, sizeof(names), "DNS:%s,IP:127.0.0.1", name);
	if (strchr(name, ',') != NULL)
		snprintf(names, sizeof(names), "%s", name);
	extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	ck_assert_ptr_nonnull(extension);
	X509_add_ext(x509, extension, -1);
	X509_EXTENSION_free(extension);
}

void certificate_make(struct certificate *certificate, const char *name)
{
	certificate_make_with(certificate, name, "EC", 3600);
}

void certificate_make_with(struct certificate *certificate, const char *name, const char *key_type,
			   long seconds)
{
	X509 *x509 = X509_new();
	X509_NAME *subject = X509_get_subject_name(x509);

	certificate->key = key_type[0] == 'R' ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	ck_assert_ptr_nonnull(certificate->key);
	X509_set_version(x509, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
	X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x509), seconds);
	X509_set_pubkey(x509, certificate->key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name,
				   (int)strcspn(name, ","), -1, 0);
	X509_set_issuer_name(x509, subject);
	add_names(x509, name);
	ck_assert_int_gt(X509_sign(x509, certificate->key, EVP_sha256()), 0);
	certificate->x509 = x509;
}

static void write_pem(const char *file, const char *mode, X509 *x509, EVP_PKEY *key)
{
	BIO *bio = BIO_new_file(file, mode);

	ck_assert_ptr_nonnull(bio);
	if (x509 != NULL)
		ck_assert_int_eq(PEM_write_bio_X509(bio, x509), 1);
	if (key != NULL)
		ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	BIO_free(bio);
	chmod(file, 0600);
}

void certificate_write(const struct certificate *certificate, const char *certificate_file,
		       const char *key_file)
{
	bool together = certificate_file != NULL && key_file != NULL &&
			strcmp(certificate_file, key_file) == 0;

	if (certificate_file != NULL)
		write_pem(certificate_file, "w", certificate->x509,
			  together ? certificate->key : NULL);
	if (key_file != NULL && !together)
		write_pem(key_file, "w", NULL, certificate->key);
}

void certificate_release(struct certificate *certificate)
{
	EVP_PKEY_free(certificate->key);
	X509_free(certificate->x509);
}

SSL_CTX *certificate_server(const struct certificate *certificate)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	ck_assert_int_eq(SSL_CTX_use_certificate(context, certificate->x509), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(context, certificate->key), 1);
	return context;
}

SSL_CTX *certificate_client(const struct certificate *trusted)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (trusted != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(context), trusted->x509);
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	}
	return context;
}
