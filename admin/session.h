/* admin/session.h - who has logged in at the page: secrets of cookies, kept as hashes in memory */
#ifndef STAGEPOST_ADMIN_SESSION_H
#define STAGEPOST_ADMIN_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/span.h"

/*
 * The prefix makes browsers take it only over TLS (or from this machine), for
 * this host and the whole of it (RFC 6265bis 4.1.3.2).
 */
#define SESSION_COOKIE "__Host-stagepost"

/* 256 random bits in hexadecimal, with a NUL. */
#define SESSION_SECRET_SIZE (2 * 32 + 1)

/*
 * A session stands for one token and never for more than it: each request
 * looks the token up again, so that its end is the session's end. Sessions end
 * with the process. Any thread.
 */
struct sessions;

struct session_limits {
	int64_t idle_ms;  /* without a request */
	int64_t total_ms; /* from the log-in */
};

/* A plain value. */
struct session {
	unsigned char token[SECRET_SHA256_BYTES]; /* digest of the token it stands for */
	int64_t ends_at;			  /* its total limit */
};

#define SESSIONS_MAX	   1024 /* past it the one that was idle longest ends */
#define SESSIONS_TOKEN_MAX 64	/* the same among those of one token */

struct sessions *sessions_new(const struct session_limits *limits);
void sessions_free(struct sessions **sessions);
/* Also for those that are open. */
void sessions_set_limits(struct sessions *sessions, const struct session_limits *limits);

/* `now`: clock_steady_wall_ms, here and below. */
void sessions_open(struct sessions *sessions, const unsigned char token[SECRET_SHA256_BYTES],
		   int64_t now, char secret_out[SESSION_SECRET_SIZE]);
/* False: there is none, or its time is over. Counts as a use. */
bool sessions_find(struct sessions *sessions, struct span secret, int64_t now,
		   struct session *session_out);
void sessions_close(struct sessions *sessions, struct span secret);

/*
 * What a write by this session must carry in X-CSRF-Token. Made from the
 * secret, which no script can read; of no use without the cookie.
 */
void session_csrf(struct span secret, char csrf_out[SESSION_SECRET_SIZE]);
/* The secret in the value of a Cookie header; empty when there is none, or two. */
struct span session_of_cookies(struct span cookies);

#endif
