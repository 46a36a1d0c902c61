/* relay/wire/sasl_client.h - the side that logs in (RFC 4422, RFC 4954): bytes in and out, no I/O,
 * no base64 */
#ifndef STAGEPOST_RELAY_WIRE_SASL_CLIENT_H
#define STAGEPOST_RELAY_WIRE_SASL_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "relay/wire/sasl.h"

/* The best first, for a connection that others can't read. */
enum sasl_client_mechanism {
	SASL_CLIENT_SCRAM_SHA_256, /* RFC 7677: both sides prove that they know the password */
	SASL_CLIENT_PLAIN,	   /* RFC 4616 */
	SASL_CLIENT_LOGIN,	   /* no RFC */
	SASL_CLIENT_CRAM_MD5,	   /* RFC 2195 */
	SASL_CLIENT_XOAUTH2,	   /* Google's and Microsoft's; a token in place of a password */
	SASL_CLIENT_MECHANISMS	   /* how many */
};
const char *sasl_client_name(enum sasl_client_mechanism mechanism);
/* ASCII case-insensitive. */
bool sasl_client_find(struct span name, enum sasl_client_mechanism *mechanism_out);

/* A set of mechanisms, as a server offers them. */
#define SASL_CLIENT_BIT(mechanism) (1U << (unsigned)(mechanism))
/*
 * The one to use of `offered` with a password (never XOAUTH2). Where others can
 * read along, what does not show the password goes first. False: none.
 */
bool sasl_client_choose(unsigned offered, bool secured, enum sasl_client_mechanism *mechanism_out);

#define SASL_SECRET_MAX 9000 /* octets of a password or a token; in base64 a line has 12288 */

/*
 * What a server may ask of us: less is easily guessed (RFC 7677 4), more keeps a
 * processor busy for seconds.
 */
#define SASL_ITERATIONS_MIN 4096
#define SASL_ITERATIONS_MAX 1000000

/* One exchange. One thread at a time. */
struct sasl_client;
/*
 * `user`: sasl_is_name(); `secret`: password or token, 1 to SASL_SECRET_MAX octets without a NUL.
 * Both are copied. `library` outlives it.
 */
struct sasl_client *sasl_client_new(const struct sasl_library *library,
				    enum sasl_client_mechanism mechanism, const char *user,
				    struct span secret);
/* Secrets are wiped as far as the library shows them. */
void sasl_client_free(struct sasl_client **client);

/* We speak first: the first step needs no challenge, and its output may go with the command. */
bool sasl_client_is_first(const struct sasl_client *client);
/* Would the next step be slow (SCRAM hashes the password, as often as the server says)? */
bool sasl_client_is_slow(const struct sasl_client *client);
/*
 * Feed the decoded challenge (empty before the first one). *output is cleared
 * and filled with what is to be sent: SASL_MORE, SASL_DONE. SASL_REFUSED: the server
 * did not prove that it knows the password (a wrong signature), and nothing it
 * says is to be believed; SASL_MALFORMED: it does not follow the mechanism, or
 * asks too much. Then `why` tells, without any secret, and the exchange is over.
 */
enum sasl_result sasl_client_step(struct sasl_client *client, struct span challenge,
				  struct buf *output, struct err *why);
/* Everything the mechanism demands was exchanged: that the server says yes now means something. */
bool sasl_client_is_complete(const struct sasl_client *client);

#endif
