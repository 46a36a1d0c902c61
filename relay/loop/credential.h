/* relay/loop/credential.h - a certificate chain with its private key, from PEM files */
#ifndef STAGEPOST_RELAY_LOOP_CREDENTIAL_H
#define STAGEPOST_RELAY_LOOP_CREDENTIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct x509_st;	   /* OpenSSL's X509 */
struct credential; /* const once loaded: any thread */

/*
 * `key_file` NULL or "": the key stands in the certificate's file. Every
 * failure names the file: it can't be read, holds nothing of the kind, the key
 * is another certificate's or has a passphrase, the certificate has expired.
 * ERR_NOT_FOUND: one of the files is not there; any other: ERR_SYNTAX.
 */
int credential_load(const char *certificate_file, const char *key_file,
		    struct credential **credential_out, struct err *why);
void credential_free(struct credential **credential);

/* For handshakes of this context; it keeps what it needs. One credential a key type. */
int credential_use(const struct credential *credential, struct ssl_ctx_st *context,
		   struct err *why);

/* Is it for this host (RFC 6125)? */
bool credential_covers(const struct credential *credential, struct span host);
/* Each covers all names of the other, with keys of different types: RSA and EC, say. */
bool credential_is_twin(const struct credential *a, const struct credential *b);
int64_t credential_expires_at(const struct credential *credential);

/* "ab12…": SHA-256 of the certificate in lower-case hexadecimal, with its NUL. */
#define CREDENTIAL_FINGERPRINT_SIZE 65
void credential_fingerprint(const struct x509_st *x509, char text_out[CREDENTIAL_FINGERPRINT_SIZE]);
/* The same of a credential's own certificate. */
void credential_own_fingerprint(const struct credential *credential,
				char text_out[CREDENTIAL_FINGERPRINT_SIZE]);

/* The certificates of `file` as trusted signers; also the names that are told to clients. */
int credential_trust(struct ssl_ctx_st *context, const char *file, struct err *why);

/*
 * A self-signed pair for `host` and loopback: EC P-256, ten years. Files are
 * 0600, complete or not there; the certificate comes last, so that a crash
 * leaves no certificate without its key.
 */
int credential_generate(const char *certificate_file, const char *key_file, const char *host,
			struct err *why);

#endif
