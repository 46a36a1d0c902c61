/* tests/unit/deliver/authority.h - signers, and certificates with whatever is wrong with them */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_AUTHORITY_H
#define STAGEPOST_TESTS_UNIT_DELIVER_AUTHORITY_H

#include <openssl/ssl.h>
#include <stdbool.h>

struct issued {
	X509 *x509;
	EVP_PKEY *key;
};

struct request {
	const struct issued *signer; /* NULL: itself */
	const char *name;	     /* CN */
	const char *names;	     /* subjectAltName as openssl.cnf has it; NULL: none */
	const char *usage;	     /* extendedKeyUsage; NULL: any */
	int from_days, to_days;	     /* from now; 0, 0: valid */
	int rsa_bits;		     /* 0: EC P-256 */
	const EVP_MD *digest;	     /* NULL: SHA-256 */
	bool signs;
};

void authority_issue(const struct request *request, struct issued *issued_out);
void authority_release(struct issued *issued);
/* As PEM, readable by the owner only; a NULL is not written. */
void authority_write(const struct issued *issued, const char *certificate_file,
		     const char *key_file);
/* A server that shows it, and would show anything. */
SSL_CTX *authority_server(const struct issued *issued);
/*
 * A revocation list of `signer`: that `revoked` (NULL: nothing) is not to be
 * trusted, until `days` from now.
 */
void authority_revoke(const struct issued *signer, const struct issued *revoked, int days,
		      const char *file);
/* Its pin as the configuration has it. */
void authority_pin(const struct issued *issued, char pin_out[64]);

#endif
