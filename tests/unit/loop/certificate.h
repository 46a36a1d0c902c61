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
void certificate_release(struct certificate *certificate);
SSL_CTX *certificate_server(const struct certificate *certificate);
/* A client context that verifies, and trusts only this one; NULL: verifies nothing. */
SSL_CTX *certificate_client(const struct certificate *trusted);

#endif
