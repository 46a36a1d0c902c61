/* admin/admin.h - the REST API as a whole: what the daemon gives it, start and stop */
#ifndef STAGEPOST_ADMIN_ADMIN_H
#define STAGEPOST_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/session.h"
#include "admin/handin.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/histogram.h"
#include "queue/store.h"
#include "relay/filter/fault.h"
#include "relay/filter/outbound.h"
#include "relay/filter/policy.h"
#include "relay/filter/rule.h"
#include "relay/filter/whitelist.h"
#include "relay/loop/handshakes.h"

/* `admin:`. Owned by the configuration; copied by admin_start. */
struct admin_options {
	const char *listen; /* "127.0.0.1:8025", "[::1]:8025"; "" = only data_dir/admin.sock */
	const char *const *hosts; /* accepted names in Host, without a port (DNS rebinding) */
	size_t host_count;
	size_t max_streams;	   /* of events, at a time */
	int64_t stream_comment_ms; /* a stream says something after so long a silence; 0: 15 s */
	size_t max_waits;	   /* requests that wait for something to happen */
	struct session_limits session;
	const char *tls_certificate; /* PEM; "" or NULL: plain HTTP */
	const char *tls_key;	     /* "" or NULL: stands with the certificate */
};

/* What delivery tells of one route. A plain value. */
#define ADMIN_TROUBLES_MAX 16

/* Failed and put off recipients of one kind; maybe none. */
struct admin_trouble {
	const char *kind; /* a constant */
	uint64_t count;
};

struct admin_route_status {
	char name[64];
	bool paused;
	size_t connections; /* open to the next hop */
	size_t busy;	    /* of them with a message under way */
	size_t waiting;	    /* recipients about to be sent, or waiting for a connection */
	uint64_t delivered;
	uint64_t deferred;
	uint64_t failed;
	struct histogram_view attempts;	  /* a message at a next hop; histogram_prompt */
	struct histogram_view deliveries; /* a recipient, since acceptance; histogram_patient */
	struct admin_trouble troubles[ADMIN_TROUBLES_MAX];
	size_t trouble_count;
	bool login_refused;   /* its credentials are wrong */
	char last_error[200]; /* "" = none */
	int64_t last_error_at;
};

/* One host of a route. A plain value. */
struct admin_host_status {
	char host[272];
	size_t connections;
	bool well;
	int64_t resting_until; /* 0: it does not rest */
	char last_error[200];  /* "" = none */
	int64_t last_error_at;
};

/* policy.breaker. Limits: 0 = none. */
struct admin_breaker {
	int64_t per_minute, per_day;
	int64_t minute, day; /* recipients offered to next hops in the last minute and day */
	bool tripped;	     /* it paused delivery, and nobody has resumed it */
	uint64_t trips;	     /* since the start */
};

/* policy.hook. Numbers since the start. */
struct admin_hook {
	bool asks;	     /* there is a url; else the rest says nothing */
	const char *dialect; /* a constant */
	bool reachable;	     /* the last request got some answer */
	uint64_t requests, cached;
	uint64_t allowed, dropped, held, redirected, undecided;
	int64_t last_answer_at; /* 0: never */
	int64_t resting_until;	/* 0: it does not rest */
	char last_error[200];	/* "" = none */
	int64_t last_error_at;
};

/* One of `webhooks`. A plain value; numbers are since the start, but for `waiting` and `dead`. */
#define ADMIN_WEBHOOKS_MAX	32
#define ADMIN_WEBHOOK_NAME_SIZE 64

struct admin_webhook {
	char name[ADMIN_WEBHOOK_NAME_SIZE];
	char place[300]; /* its URL without what may be secret */
	char scope[ADMIN_WEBHOOK_NAME_SIZE];
	unsigned events; /* 1U << enum webhook_event */
	bool is_signed;
	size_t running;
	int64_t waiting, dead;
	uint64_t sent, failed, lost;
	int64_t last_sent_at, resting_until; /* 0: never, it does not */
	char last_error[200];		     /* "" = none */
	int64_t last_error_at;
};

/* What the front door tells. */
struct admin_numbers {
	uint64_t sessions;  /* open now */
	uint64_t accepted;  /* messages answered 250, or 201 here, since the start */
	bool accepting;	    /* the listeners take connections */
	char hostname[256]; /* of the configuration in force; "" = that of admin_env */
};

/* More of the front door, for charts: since the start. */
#define ADMIN_TURNED_AWAY_MAX 8

struct admin_turned_away {
	const char *reason; /* a constant: one word */
	uint64_t count;
};

struct admin_front {
	uint64_t connections; /* SMTP clients that were let in */
	struct admin_turned_away turned_away[ADMIN_TURNED_AWAY_MAX];
	size_t turned_away_count;
	uint64_t messages_refused;  /* after DATA */
	uint64_t injections;	    /* plaintext behind STARTTLS */
	struct handshakes_view in;  /* with clients */
	struct handshakes_view out; /* with next hops */
	int64_t memory_bytes;	    /* what sessions hold now, of */
	int64_t memory_max_bytes;   /* smtp.memory */
};

/*
 * What the API asks the daemon. Called from the API's own threads, several at
 * once; must not block on disk, DNS or a peer. Each may be NULL: then the
 * answer leaves that part out. Strings handed to `row` are borrowed.
 */
struct admin_ops {
	void (*numbers)(void *ctx, struct admin_numbers *numbers_out);
	void (*front)(void *ctx, struct admin_front *front_out);
	/* Fills at most `max`; returns how many there are. */
	size_t (*routes)(void *ctx, struct admin_route_status *routes_out, size_t max);
	/* The hosts of one route: fills at most `max`; returns how many were filled. */
	size_t (*hosts)(void *ctx, const char *route, struct admin_host_status *hosts_out,
			size_t max);
	void (*breaker)(void *ctx, struct admin_breaker *breaker_out);
	/* The header fields of the copies that next hops took. */
	void (*rewritten)(void *ctx, struct outbound_count *count_out);
	void (*hook)(void *ctx, struct admin_hook *hook_out);
	/* Fills at most `max`; returns how many were filled. */
	size_t (*webhooks)(void *ctx, struct admin_webhook *webhooks_out, size_t max);
	/* Addresses of the SMTP listeners as bound, one row each. */
	void (*listeners)(void *ctx, void (*row)(void *row_ctx, const char *address),
			  void *row_ctx);
	/* Sentences a person should read (nothing can leave, bounce_to is empty, …). */
	void (*warnings)(void *ctx, void (*row)(void *row_ctx, const char *sentence),
			 void *row_ctx);
	/* One sentence: what can leave, and by which route. */
	void (*leaving)(void *ctx, struct buf *out);
	/* The configuration in force as YAML, all keys, secrets hidden. */
	void (*settings)(void *ctx, struct buf *out);
	/*
	 * The policy in force, valid until handed back. Without it /check shows
	 * what the list alone says.
	 */
	const struct policy_options *(*policy_acquire)(void *ctx);
	void (*policy_release)(void *ctx, const struct policy_options *policy);
};

/* Everything here outlives the API, but for the strings, which admin_start copies. */
struct admin_env {
	struct store *store;
	/*
	 * The live list. The store's on_whitelist must publish to it, so that a
	 * change is in force when its request is answered.
	 */
	struct whitelist *whitelist;
	struct faults *faults; /* likewise, by the store's on_faults */
	struct rules *rules;   /* likewise, by on_rules */
	const char *data_dir;
	const char *hostname;
	const char *version;
	int64_t started_at;
	const struct admin_ops *ops;
	const struct handin_ops *handin; /* with ctx; NULL: no message can be handed in */
	void *ctx;
};

struct admin;

/*
 * Opens data_dir/admin.sock (0600) and options->listen, and serves both from
 * threads of its own. While there is no token at all, makes one named "admin"
 * and writes its secret to data_dir/admin.token (0600).
 * ERR_CONFLICT: the address is in use; ERR_DENIED; ERR_SYNTAX: no such
 * address; ERR_IO. Nothing runs after a failure.
 */
int admin_start(const struct admin_env *env, const struct admin_options *options,
		struct admin **admin_out, struct err *why);

/*
 * Before a reload: read what it needs. ERR_CONFLICT: TLS begins or ends only
 * with a restart; ERR_IO, ERR_SYNTAX: the files are no good.
 */
int admin_prepare(struct admin *admin, const struct admin_options *options, struct err *why);
/* Take over the certificate that admin_prepare has read, and the limits of sessions. */
void admin_reload(struct admin *admin, const struct admin_options *options);

/*
 * No new connections, requests under way get up to `grace_ms`, then joins.
 * Before store_close: requests that wait for the writer are waited for.
 */
void admin_stop(struct admin **admin, int64_t grace_ms);

/* The TCP address as bound ("127.0.0.1:8025", useful with port 0); "" without one. */
const char *admin_address(const struct admin *admin);
/* It is served over TLS. */
bool admin_is_tls(const struct admin *admin);

#endif
