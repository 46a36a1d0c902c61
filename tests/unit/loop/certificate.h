/* tests/unit/loop/certificate.h - a self-signed certificate and contexts that use or trust it */
#ifndef STAGEPOST_TESTS_UNIT_LOOP_CERTIFICATE_H
#define STAGEPOST_TESTS_UNIT_LOOP_CERTIFICATE_H

#include <openssl/ssl.h>

/* For `name` (a DNS name) and 127.0.0.1. */
struct certificate {
	EVP_PKEY *key;
	X509 *x509;
};

void certificate_make(struct certificate *certificate, const char *name);
/* The same with a key of ours ("RSA" or "EC") and an end `seconds` from now. */
void certificate_make_with(struct certificate *certificate, const char *name, const char *key_type,
			   long seconds);
/* As PEM, both into one file when the paths are the same; NULL: not written. */
void certificate_write(const struct certificate *certificate, const char *certificate_file,
		       const char *key_file);
void certificate_release(struct certificate *certificate);
SSL_CTX *certificate_server(const struct certificate *certificate);
/* A client context that verifies, and trusts only this one; NULL: verifies nothing. */
SSL_CTX *certificate_client(const struct certificate *trusted);

#endif
