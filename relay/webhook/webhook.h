/* relay/webhook/webhook.h - webhooks as a whole: endpoints of somebody's are told what happened */
#ifndef STAGEPOST_RELAY_WEBHOOK_WEBHOOK_H
#define STAGEPOST_RELAY_WEBHOOK_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "queue/store.h"
#include "queue/webhook.h"

#define WEBHOOK_NAME_SIZE  64
#define WEBHOOK_PLACE_SIZE 300

/* One of `webhooks`. Owned by the configuration. */
struct webhook_options {
	const char *name;
	const char *url; /* as the policy hook's; often a secret: shown by webhook_place() only */
	const char *secret, *secret_file; /* as configured; "" = requests are not signed */
	struct span key;		  /* of the signature (relay/webhook/signature.h) */
	const char *const *event_names;
	size_t event_count;
	unsigned events;   /* 1U << enum webhook_event */
	const char *scope; /* "" = any */
	const char *tls_ca;
	int64_t timeout_ms;
	size_t concurrency;
	const int64_t *schedule_ms; /* between tries: one more, and it is a dead letter */
	size_t schedule_count;
	size_t max_waiting, max_dead;
};

struct webhooks_options {
	const struct webhook_options *items;
	size_t count;	 /* at most WEBHOOK_TARGETS_MAX */
	int64_t keep_ms; /* so old a dead letter goes (retention.metadata); 0: never */
};

/* Where it goes, without what may be secret: "https://example.com:8443", "unix:/path". */
void webhook_place(struct span url, char place_out[WEBHOOK_PLACE_SIZE]);

/*
 * What the store needs to know of them (store_options.webhooks): `targets` has
 * room for WEBHOOK_TARGETS_MAX; strings stay the options'.
 */
size_t webhook_targets(const struct webhooks_options *options, struct webhook_target *targets);

struct webhooks;

/*
 * Starts the thread that tells. What waits in the store is sent as a POST,
 * at least once, in no promised order; with 2xx it is done, with another
 * answer or none it is tried again, or is a dead letter (stagepost.yaml(5)).
 * The answer has no other effect. `options` stay valid until replaced or stopped.
 */
int webhooks_start(struct store *store, const struct webhooks_options *options,
		   struct webhooks **webhooks_out, struct err *why);
/* Any thread. The old options may be freed after `done` was called. */
void webhooks_reload(struct webhooks *webhooks, const struct webhooks_options *options,
		     void (*done)(void *ctx), void *ctx);
/* Any thread: something may be due (store_options.on_webhook). */
void webhooks_wake(struct webhooks *webhooks);
/* What is under way is sent again after the next start. Joins. NULL is fine. */
void webhooks_stop(struct webhooks **webhooks);

/* Numbers are since the start, but for `waiting` and `dead`. A plain value. */
struct webhook_status {
	char name[WEBHOOK_NAME_SIZE];
	char place[WEBHOOK_PLACE_SIZE];
	char scope[WEBHOOK_NAME_SIZE]; /* "" = any */
	unsigned events;
	bool is_signed;
	size_t running;	       /* requests under way */
	int64_t waiting, dead; /* events */
	uint64_t sent, failed; /* tries; `failed` is those that were in vain */
	uint64_t lost;	       /* events, because too many waited */
	int64_t last_sent_at;  /* 0: never */
	int64_t resting_until; /* 0: it does not rest */
	char last_error[200];  /* "" = none since it was reached last */
	int64_t last_error_at;
};
/* Any thread. In the order of the configuration; how many there are, at most `max`. */
size_t webhooks_status(struct webhooks *webhooks, struct webhook_status *statuses_out, size_t max);

#endif
