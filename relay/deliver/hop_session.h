/* relay/deliver/hop_session.h - TLS sessions of one route, kept for the next dial */
#ifndef STAGEPOST_RELAY_DELIVER_HOP_SESSION_H
#define STAGEPOST_RELAY_DELIVER_HOP_SESSION_H

#include <stdint.h>

#include "relay/deliver/hop_certificate.h"

struct ssl_session_st; /* OpenSSL's SSL_SESSION */

/* Most routes have few hosts; a route with mx: forgets the oldest first. */
#define HOP_SESSIONS_MAX      64
#define HOP_SESSIONS_HOST_MAX 8
#define HOP_SESSION_LIFE_MS   (60 * 60 * 1000)

/* Any thread: the uplinks of a route live on several loops. */
struct hop_sessions;
struct hop_sessions *hop_sessions_new(void);
void hop_sessions_free(struct hop_sessions **sessions);

/*
 * Keep what was made with `host` ("mail.example.com:25"), where the
 * certificate was judged so: a resumed session shows none. Both are copied.
 */
void hop_sessions_put(struct hop_sessions *sessions, const char *host,
		      const struct ssl_session_st *session, const struct hop_judgement *judgement,
		      int64_t now_ms);
/*
 * One for this host, the caller's from now on, or NULL. A ticket of TLS 1.3 is
 * given out once (RFC 8446 C.4), a session of TLS 1.2 as often as wanted; nothing
 * older than an hour, and nothing whose certificate has expired since.
 */
struct ssl_session_st *hop_sessions_take(struct hop_sessions *sessions, const char *host,
					 int64_t now_ms, struct hop_judgement *judgement_out);
/* Those of this host do harm. */
void hop_sessions_forget(struct hop_sessions *sessions, const char *host);

#endif
