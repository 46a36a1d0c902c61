/* relay/deliver/uplink.h - one connection to a next hop, on a loop thread */
#ifndef STAGEPOST_RELAY_DELIVER_UPLINK_H
#define STAGEPOST_RELAY_DELIVER_UPLINK_H

#include <stdbool.h>

#include "relay/deliver/client.h"
#include "relay/deliver/deliver.h"
#include "relay/deliver/hop.h"
#include "relay/deliver/job.h"
#include "relay/deliver/resolve.h"

struct key;
struct uplink;
struct hop_tls;

/* Called in the loop thread; the owner may use uplink_free from then on. */
struct uplink_ops {
	/* Answer to uplink_open, unless uplink_close came first. code ERR_OK: ready for a job; else
	 * it is dead and why tells. ERR_DENIED: the next hop refused the credentials; to try them
	 * again soon would lock the account. */
	void (*on_open)(void *ctx, int code, const char *why);
	/* Answer to uplink_assign: the job is over; `alive`: ready for another one. */
	void (*on_done)(void *ctx, struct job *job, bool alive);
	/* It died by itself while it had no job (may cross an uplink_assign, which is answered
	 * too). */
	void (*on_lost)(void *ctx, const char *why);
	/* Answer to uplink_close. on_done came before when there was a job. */
	void (*on_closed)(void *ctx);
};

struct uplink_env {
	struct loop *loop;
	struct resolver *resolver;
	struct whitelist *whitelist;
	struct rules *rules;  /* NULL: there are none */
	struct hop_tls *tls;  /* of the route; NULL: it has none, or */
	const char *tls_why;  /* this keeps it from having it */
	const char *hostname; /* for EHLO */
	const struct route_options *route;
	struct key *key;	       /* to log in with; NULL: it does not */
	struct client client;	       /* of all jobs, when the route tells the next hop of it */
	struct route_host host;	       /* one of the route's: its name is what TLS verifies */
	struct handshakes *handshakes; /* where they are counted; NULL: nowhere */
	struct dns_servers dns;	       /* to find its addresses; none: the system's resolver */
	bool (*is_own_listener)(void *ctx, const char *address);
	void *own_ctx;
};

/*
 * The environment is copied, what it points to outlives the uplink. The calls
 * below come from one thread (the scheduler), one open, then one assign at a time.
 */
struct uplink *uplink_new(const struct uplink_env *env, const struct uplink_ops *ops, void *ctx);
/* Resolve, connect (each address in turn), greeting, TLS, EHLO. */
void uplink_open(struct uplink *uplink);
/* What kind of trouble it was, in on_open only. */
enum trouble uplink_trouble(const struct uplink *uplink);
/* fd: the uplink's end of the worker's socketpair, taken. */
void uplink_assign(struct uplink *uplink, struct job *job, int fd);
/* Idle: QUIT. Busy or opening: at once, without a dot. */
void uplink_close(struct uplink *uplink);
/* Dead or closed, with every call answered. */
void uplink_free(struct uplink **uplink);

#endif
