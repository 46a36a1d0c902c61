/* relay/wire/sasl.h - one login, step by step (RFC 4422): bytes in and out, no I/O, no base64 */
#ifndef STAGEPOST_RELAY_WIRE_SASL_H
#define STAGEPOST_RELAY_WIRE_SASL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* GNU SASL underneath (only relay/wire/ includes gsasl.h). */

#define SASL_NAME_MAX 255 /* octets of a user's name */

/* In the order they are offered: the better ones first. */
enum sasl_mechanism {
	SASL_EXTERNAL,	    /* RFC 4422 A: who the client is was proven below us */
	SASL_SCRAM_SHA_256, /* RFC 7677 */
	SASL_CRAM_MD5,	    /* RFC 2195; needs the password in the clear on our side */
	SASL_PLAIN,	    /* RFC 4616 */
	SASL_LOGIN,	    /* no RFC, all clients */
	SASL_MECHANISMS	    /* how many */
};
const char *sasl_mechanism_name(enum sasl_mechanism mechanism);
bool sasl_mechanism_find(struct span name, enum sasl_mechanism *mechanism_out);
/* The client may send something with the name already; LOGIN's need not, but do. */
bool sasl_takes_initial_response(enum sasl_mechanism mechanism);
/* The client speaks first: without an initial response the first challenge is empty. */
bool sasl_is_client_first(enum sasl_mechanism mechanism);

/* May it be a user's name: 1 to SASL_NAME_MAX octets of UTF-8 without control characters. */
bool sasl_is_name(struct span name);
/*
 * SASLprep (RFC 4013), which all mechanisms that know it do to a password
 * before it is hashed. Appends; ERR_SYNTAX: empty, no UTF-8, or not allowed in
 * a password.
 */
int sasl_prepare(struct span password, struct buf *out, struct err *why);

/* What SCRAM needs to know of a user instead of a password (RFC 5802 3). */
#define SASL_SALT_MAX 64
#define SASL_KEY_SIZE 32
struct sasl_scram {
	unsigned iterations;
	unsigned char salt[SASL_SALT_MAX];
	size_t salt_len;
	unsigned char stored_key[SASL_KEY_SIZE];
	unsigned char server_key[SASL_KEY_SIZE];
};
/* From a prepared password; iterations and salt are set. Slow: a few milliseconds. */
void sasl_scram_derive(struct sasl_scram *scram, struct span password);

/*
 * What a server asks about users, from inside sasl_step and in its thread. A
 * user that does not exist must look like one with another password, also to
 * a clock: that is the duty of who answers.
 */
struct sasl_server_ops {
	/* PLAIN, LOGIN: is this prepared password (empty: it is none) the user's? Slow. */
	bool (*check)(void *ctx, struct span name, struct span password);
	/* SCRAM: set iterations and salt; then, slow, the keys. */
	void (*scram_salt)(void *ctx, struct span name, struct sasl_scram *scram_out);
	void (*scram_keys)(void *ctx, struct span name, struct sasl_scram *scram);
	/* CRAM-MD5: append the password in the clear. False: there is none. */
	bool (*password)(void *ctx, struct span name, struct buf *password_out);
	/*
	 * EXTERNAL: may the client be `name`? With an empty name: append who it is.
	 */
	bool (*external)(void *ctx, struct span name, struct buf *name_out);
};

/* Shared by all exchanges; constant after it was made, any thread. */
struct sasl_library;
struct sasl_library *sasl_library_new(void);
void sasl_library_free(struct sasl_library **library);

/* One exchange. One thread at a time. The ops outlive it. */
struct sasl;
struct sasl *sasl_server_new(const struct sasl_library *library, enum sasl_mechanism mechanism,
			     const struct sasl_server_ops *ops, void *ctx);
/* Secrets are wiped as far as the library shows them. */
void sasl_free(struct sasl **sasl);

enum sasl_result {
	SASL_MORE,     /* send the output; the next step is fed with the answer */
	SASL_DONE,     /* sasl_user() is who it says; an output is still to be sent */
	SASL_REFUSED,  /* no such user, wrong password, or it may not be who it wants to be */
	SASL_MALFORMED /* the bytes do not follow the mechanism */
};
/*
 * Feed what the other side sent (empty at the start when the server begins).
 * *output is cleared and filled. After anything but SASL_MORE the exchange is
 * over. Only an exchange whose steps are not slow may run in a loop thread.
 */
enum sasl_result sasl_step(struct sasl *sasl, struct span input, struct buf *output);
/* Would the next step be slow (hash a password)? */
bool sasl_is_slow(const struct sasl *sasl);
/* After SASL_DONE. */
const char *sasl_user(const struct sasl *sasl);
/* Who the other side says it is, true or not; "" while it has not said, or no name. */
const char *sasl_claim(const struct sasl *sasl);

#endif
