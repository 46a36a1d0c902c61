/* relay/deliver/hop_certificate.h - whom we trust, and what is wrong with a certificate in one
 * sentence
 */
#ifndef STAGEPOST_RELAY_DELIVER_HOP_CERTIFICATE_H
#define STAGEPOST_RELAY_DELIVER_HOP_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

struct x509_store_st;	  /* OpenSSL's X509_STORE */
struct x509_store_ctx_st; /* OpenSSL's X509_STORE_CTX */

/*
 * Trust every certificate of a PEM file, or of all the files in a folder (those
 * that hold none are passed over there). Any certificate will do as an end of the chain,
 * also a server's own. *expired_out: none of them is valid any more.
 * ERR_NOT_FOUND: there is no such file; ERR_SYNTAX: it can't be read, or
 * there is no certificate in it, or half of one.
 */
int hop_certificate_trust(struct x509_store_st *store, const char *path, bool *expired_out,
			  struct err *why);

/*
 * Whom not to trust any more: the revocation lists of a PEM file (RFC 5280 5).
 * From now on each certificate needs the list of its signer, in force.
 * *expired_out: one of them is not. Errors as above.
 */
int hop_certificate_distrust(struct x509_store_st *store, const char *file, bool *expired_out,
			     struct err *why);

/* SHA-256 of a subject public key info (RFC 7469 2.4). */
struct hop_pin {
	unsigned char digest[32];
};
/* From base64. */
int hop_pin_parse(struct span text, struct hop_pin *pin_out, struct err *why);

/* What a next hop's certificate must be to be taken. */
struct hop_demand {
	bool any;    /* anything does: it is looked at, and what is found is recorded */
	bool verify; /* for our host, from somebody we trust */
	/*
	 * One of these must be the key of a certificate of the verified chain;
	 * without `verify` of the certificate itself, since only its key is proved.
	 */
	const struct hop_pin *pins;
	size_t pin_count;
};

/* What was found. A plain value. */
struct hop_judgement {
	bool verified;
	bool pinned;
	char fault[200]; /* why it is not verified, or not pinned: a sentence; "": it is */
};

/*
 * For SSL_CTX_set_cert_verify_callback: verifies, and says whether the demand
 * is met. `host`: the name that was to be reached, as configured.
 */
bool hop_certificate_judge(struct x509_store_ctx_st *store, const struct hop_demand *demand,
			   const char *host, struct hop_judgement *judgement_out);

#endif
