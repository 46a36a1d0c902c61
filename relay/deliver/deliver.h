/* relay/deliver/deliver.h - delivery as a whole: options in, mail out, numbers for status */
#ifndef STAGEPOST_RELAY_DELIVER_DELIVER_H
#define STAGEPOST_RELAY_DELIVER_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/histogram.h"
#include "queue/store.h"
#include "relay/deliver/dns.h"
#include "relay/deliver/trouble.h"
#include "relay/filter/policy.h"
#include "relay/filter/rule.h"
#include "relay/filter/outbound.h"
#include "relay/filter/whitelist.h"
#include "relay/loop/handshakes.h"
#include "relay/loop/loop.h"
#include "relay/deliver/breaker.h"

enum route_balance { ROUTE_FAILOVER, ROUTE_ROUND_ROBIN };
enum route_tls { ROUTE_TLS_NONE, ROUTE_TLS_OPPORTUNISTIC, ROUTE_TLS_REQUIRED, ROUTE_TLS_IMPLICIT };

enum route_protocol { ROUTE_SMTP, ROUTE_LMTP };
enum route_proxy { ROUTE_PROXY_OFF, ROUTE_PROXY_V1, ROUTE_PROXY_V2 };

/* In the order of `auth:`. */
enum route_auth {
	ROUTE_AUTH_AUTO, /* the best that is offered; with a token XOAUTH2 */
	ROUTE_AUTH_PLAIN,
	ROUTE_AUTH_LOGIN,
	ROUTE_AUTH_CRAM_MD5,
	ROUTE_AUTH_SCRAM_SHA_256,
	ROUTE_AUTH_XOAUTH2
};

/* One of `routes:`. Borrowed strings, owned by the configuration. */
struct route_options {
	const char *name;
	const char *const *domains; /* "example.com", ".example.com", "*" */
	size_t domain_count;
	const char *const *hosts; /* "host:port", "[::1]:25", "unix:/path" */
	size_t host_count;
	enum route_protocol protocol; /* RFC 2033: LMTP answers for each recipient */
	enum route_balance balance;
	enum route_tls tls;
	bool tls_verify;	     /* false: any certificate does, or one of tls_pins */
	const char *tls_ca;	     /* PEM file or folder; NULL or "": the system's */
	const char *tls_crl;	     /* PEM file of revocation lists; NULL or "": none are read */
	const char *const *tls_pins; /* SHA-256 of public keys in base64 */
	size_t tls_pin_count;
	const char *tls_certificate; /* what we show, with tls_key; NULL or "": nothing */
	const char *tls_key;
	/* To log in with; no name (NULL, ""): no login. Then there is one of the secret's forms. */
	const char *username;
	enum route_auth auth;
	bool auth_without_tls; /* also where others can read along */
	const char *password;
	const char *password_file;
	const char *token;
	const char *token_file;
	const char *token_command;
	const char *secret; /* the password or token itself where it is one that stays */
	enum route_proxy proxy_protocol; /* a header that names the original client */
	bool xclient;			 /* the same by XCLIENT, which must be offered */
	const char *source_address;
	size_t max_connections;
	int64_t rate_thousandths; /* of a transaction, per second; 0: no limit */
	int64_t connect_timeout_ms;
	int64_t command_timeout_ms;
	int64_t data_min_rate; /* bytes per second while sending; 0: any */
	int64_t data_grace_ms; /* so long it may stand still; 0: 3 min (RFC 5321 4.5.3.2.5) */
	int64_t final_reply_timeout_ms;
};

/* What becomes of 8-bit content when the next hop does not offer 8BITMIME (RFC 6152). */
enum eight_bit { EIGHT_BIT_PASS, EIGHT_BIT_FAIL };

struct delivery_options {
	const int64_t *schedule_ms; /* waits after the 1st, 2nd, … attempt; the last repeats */
	size_t schedule_count;
	int64_t expire_after_ms;
	size_t workers;
	bool capture_only;
	struct dns_servers dns; /* for "mx:", and the hosts that are found; none: the system's */
	enum eight_bit eight_bit;
	bool bounces;	      /* reports to senders; those that a fault rule demands come anyway */
	const char *hostname; /* EHLO name */
	const struct route_options *routes;
	size_t route_count;
	const struct policy_options *policy;
	struct breaker_limits breaker;
};

struct deliver;

struct deliver_env {
	struct store *store;
	struct whitelist *whitelist;
	struct rules *rules;	   /* NULL: there are none */
	struct loop *const *loops; /* uplinks live on these */
	size_t loop_count;
	int64_t lease_ms; /* of what is in hand, renewed while it is; 0: 10 minutes */
	/*
	 * Called before connecting: the next hop is one of our own listeners. May be
	 * NULL. `address` is "127.0.0.1:2525" as resolved.
	 */
	bool (*is_own_listener)(void *ctx, const char *address);
	void *ctx;
};

/* Starts the scheduler thread and the workers. `options` stay valid until replaced or stopped. */
int deliver_start(const struct deliver_env *env, const struct delivery_options *options,
		  struct deliver **deliver_out, struct err *why);
/* Any thread. A new version of the options: used from the next message on. The old one may be freed
 * after `done` was called. */
void deliver_reload(struct deliver *deliver, const struct delivery_options *options,
		    void (*done)(void *ctx), void *ctx);
/*
 * Any thread: something may be due (store_options.on_due). Not any more once
 * deliver_stop was called: the caller keeps the two apart.
 */
void deliver_wake(struct deliver *deliver);
/* Any thread, once. No new attempts; attempts under way get `grace_ms` from now on, then their
 * connections are closed; everything is settled or given back. Does not wait. */
void deliver_retire(struct deliver *deliver, int64_t grace_ms);
/* The same where it was not done yet; then joins. */
void deliver_stop(struct deliver **deliver, int64_t grace_ms);

struct route_status {
	char name[64];
	bool paused;
	size_t connections; /* open uplinks */
	size_t busy;	    /* of them with a message under way */
	size_t waiting;	    /* recipients in its line; parked ones are not in it */
	uint64_t delivered;
	uint64_t deferred;
	uint64_t failed;
	struct histogram_view attempts;	  /* a message at a next hop; histogram_prompt */
	struct histogram_view deliveries; /* a recipient, since acceptance; histogram_patient */
	uint64_t troubles[TROUBLE_COUNT]; /* outcomes other than delivered, by kind */
	bool login_refused;		  /* nothing leaves until its credentials are corrected */
	char last_error[200];
	int64_t last_error_at;
};
/* One host of a route; those that a look-up found are among them while they are used or rest. */
struct host_status {
	char route[64];
	char host[272];
	size_t connections;
	bool well;	       /* false: it had trouble, and nothing got through since */
	int64_t resting_until; /* wall clock; 0: it may be tried now */
	char last_error[200];
	int64_t last_error_at;
};
/* Any thread. Of one route, at most `max`; a second old at most. Returns how many. */
size_t deliver_hosts(struct deliver *deliver, const char *route, struct host_status *hosts_out,
		     size_t max);

/* policy.breaker: its limits (0: off), what is in its windows now, and whether it has tripped. */
struct breaker_status {
	size_t per_minute, per_day;
	int64_t minute, day;
	bool tripped;
	uint64_t trips; /* since the start */
};
/* Any thread. */
void deliver_breaker(struct deliver *deliver, struct breaker_status *status_out);
/* Any thread. The header fields of copies that next hops took, since the start. */
void deliver_rewritten(struct deliver *deliver, struct outbound_count *count_out);
/* Any thread: with next hops, since the start. */
void deliver_handshakes(struct deliver *deliver, struct handshakes_view *view_out);
/* Any thread. Fills at most `max`; returns the number of routes. */
size_t deliver_status(struct deliver *deliver, struct route_status *routes_out, size_t max);

#endif
