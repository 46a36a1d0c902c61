/* relay/smtp/listener.h - the SMTP front door: listening, admitting, and what the daemon calls */
#ifndef STAGEPOST_RELAY_SMTP_LISTENER_H
#define STAGEPOST_RELAY_SMTP_LISTENER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "relay/loop/budget.h"
#include "relay/loop/handshakes.h"
#include "relay/loop/loop.h"
#include "relay/loop/stream.h"
#include "relay/smtp/smtp.h"
#include "relay/wire/login.h"

/*
 * One version of the configuration. The struct is copied; what it points to
 * stays valid until this version is done with (smtp_front_reload, _stop).
 */
struct smtp_settings {
	const struct smtp_options *smtp;
	const struct listener_options *listeners; /* the same number in every version */
	size_t listener_count;
	const struct users *users; /* relay/smtp/users.h; NULL: none */
	/*
	 * Not the users file but env.ask_login knows who may log in, by these mechanisms (1 << enum
	 * sasl_mechanism, of LOGIN_MECHANISMS); the file, if there is one, has the scopes. 0: the
	 * file.
	 */
	unsigned asked_mechanisms;
	const void *backend; /* for the backend: smtp_session_backend_options() */
};

struct reverse_source;
/* A socket that listens already. Borrowed: the front makes copies. */
struct smtp_given {
	int fd;
	size_t listener;
};

struct smtp_front_env {
	struct loop *const *loops; /* started, or to be started soon */
	size_t loop_count;	   /* at least 1 */
	const struct smtp_backend_ops *backend;
	void *backend_ctx;
	const struct reverse_source *names; /* for resolve_client; NULL: the system's */
	/* From a loop thread, and must not block; may be NULL where no settings ask. */
	void (*ask_login)(void *ctx, struct login_ask *ask);
	void *ask_ctx;
	struct budget *budget; /* smtp.memory; shared with the backend. NULL: no ceiling */
	/* For these listeners nothing is bound: all loops share the one socket (DESIGN 4.1). */
	const struct smtp_given *given;
	size_t given_count;
};

struct smtp_front;

/*
 * Binds every listener (a socket for each loop with SO_REUSEPORT; a unix
 * socket on the first loop) and starts accepting. ERR_SYNTAX: a network that
 * is none; otherwise as acceptor_bind. The loops outlive the front.
 */
int smtp_front_start(const struct smtp_front_env *env, const struct smtp_settings *settings,
		     struct smtp_front **front_out, struct err *why);

/*
 * A new version, for new sessions at once, for the others from their next
 * transaction on. `done` is called once, in any thread, when nothing uses the
 * version before this one any more (mail under way keeps it). Listeners'
 * addresses do not change. One reload at a time calls this; the first
 * version's end is reported by nobody but the reload after it.
 * ERR_SYNTAX: nothing changed, `done` is not called.
 */
int smtp_front_reload(struct smtp_front *front, const struct smtp_settings *settings,
		      void (*done)(void *ctx), void *ctx, struct err *why);

/*
 * Begin the end, without waiting for it: stop accepting; sessions between
 * commands get 421 and are closed; a message under way gets `grace_ms` to come
 * to its end, then 421; a message whose final dot was taken always gets its
 * true answer. The store must still be running. A second call does nothing;
 * there is no smtp_front_reload after it.
 */
void smtp_front_close(struct smtp_front *front, int64_t grace_ms);
/*
 * smtp_front_close if that was not called yet, then wait until no session is
 * left, and free. Not from a loop thread.
 */
void smtp_front_stop(struct smtp_front **front, int64_t grace_ms);

/*
 * Any thread, any time: a client whose descriptor would be `ceiling` or above
 * gets 421, so that the rest is there for others. 0, as at the start: no such limit.
 */
void smtp_front_keep_descriptors(struct smtp_front *front, int ceiling);

/* Why a connection was turned away. */
enum smtp_turned_away {
	SMTP_NOT_IN_NETWORKS,
	SMTP_TOO_MANY,		  /* smtp.max_connections */
	SMTP_TOO_MANY_OF_CLIENT,  /* smtp.max_connections_per_client */
	SMTP_TOO_FEW_DESCRIPTORS, /* smtp_front_keep_descriptors */
	SMTP_PROXY		  /* not a trusted one, or its header is none */
};
#define SMTP_TURNED_AWAY (SMTP_PROXY + 1)

struct smtp_front_status {
	size_t sessions;	      /* now */
	uint64_t connections;	      /* admitted since the start */
	uint64_t connections_refused; /* in all */
	uint64_t turned_away[SMTP_TURNED_AWAY];
	uint64_t messages;	   /* answered with 250 after the final dot */
	uint64_t messages_refused; /* any other answer there */
	struct handshakes_view handshakes;
	uint64_t injections; /* plaintext behind STARTTLS, thrown away */
};
/* Any thread. */
void smtp_front_status(struct smtp_front *front, struct smtp_front_status *status_out);

/* Where listener `index` is bound, e.g. "127.0.0.1:2525"; false past the last. Any thread. */
bool smtp_front_address(struct smtp_front *front, size_t index, char text_out[STREAM_NAME_SIZE]);

#endif
