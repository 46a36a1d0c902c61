/* relay/smtp/session.h - one client's connection: from the banner to the last reply (RFC 5321 3) */
#ifndef STAGEPOST_RELAY_SMTP_SESSION_H
#define STAGEPOST_RELAY_SMTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "relay/loop/budget.h"
#include "relay/loop/handshakes.h"
#include "relay/loop/loop.h"
#include "relay/smtp/census.h"
#include "relay/smtp/listener.h"
#include "relay/smtp/reverse.h"
#include "relay/smtp/smtp.h"
#include "relay/smtp/version.h"

/* Numbers for status, shared by all loops. */
struct session_counters {
	_Atomic uint64_t messages;
	_Atomic uint64_t messages_refused;
	_Atomic uint64_t connections_refused[SMTP_TURNED_AWAY];
	struct handshakes handshakes;
	_Atomic uint64_t injections; /* plaintext behind STARTTLS, thrown away */
};

/*
 * What the sessions of one loop share. Owned by the listener, touched in its
 * loop thread only (but for the counters).
 */
struct session_house {
	struct loop *loop;
	const struct smtp_backend_ops *backend;
	void *backend_ctx;
	struct budget *budget; /* may be NULL */
	const struct sasl_library *sasl;
	struct auth_pool *auth_pool;
	void (*ask_login)(void *ctx, struct login_ask *ask); /* smtp_front_env */
	void *ask_ctx;
	struct version *version; /* in force; sessions adopt it between transactions */
	struct session_counters *counters;
	struct census *census;
	struct reverse *reverse;    /* NULL: no listener wants names */
	struct smtp_session *first; /* all that live here */
	size_t count;
	struct buf scratch; /* replies in the making */
	/* A session that is counted as this peer is gone and freed. */
	void (*on_gone)(struct session_house *house, const struct peer_address *counted);
};

struct session_start {
	int fd;			     /* taken */
	struct peer_address peer;    /* the socket's */
	struct peer_address counted; /* what it entered the census as */
	bool proxied; /* a PROXY header comes first; the census knows no client yet */
	int port;
	size_t listener; /* index in the settings */
};
/* In the loop thread. The session lives in house->first until it says on_gone. */
void session_open(struct session_house *house, const struct session_start *start);

/* Leave the old version if no transaction needs it. */
void session_adopt_version(struct smtp_session *session);
/*
 * 421 as soon as no message is under way; with `now` also when one is, unless
 * its final dot was taken. May free the session.
 */
void session_stop(struct smtp_session *session, bool now);
struct smtp_session *session_next(const struct smtp_session *session);

#endif
