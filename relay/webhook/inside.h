/* relay/webhook/inside.h - what the parts of the webhooks' thread share; everything here is its own
 */
#ifndef STAGEPOST_RELAY_WEBHOOK_INSIDE_H
#define STAGEPOST_RELAY_WEBHOOK_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/channel.h"
#include "base/mem.h"
#include "queue/reader.h"
#include "relay/request/request.h"
#include "relay/webhook/webhook.h"

/* What reaches the thread from others; in the channel at most once at a time. */
struct webhook_message {
	struct channel_item item; /* first */
	void (*arrive)(struct webhooks *webhooks, struct webhook_message *message);
};

/* One call on its way: read, sent, answered, settled. */
struct posting {
	struct posting *next; /* in a list of its endpoint's */
	struct endpoint *endpoint;
	struct request request;
	int64_t id;
	struct ulid event;
	int attempts; /* before this one */
	struct webhook_outcome outcome;
	char type[24];
	char error[160];
};

/* One target, for as long as it is configured or something of it is under way. */
struct endpoint {
	struct endpoint *next;
	struct webhooks *webhooks;
	char name[WEBHOOK_NAME_SIZE];
	const struct webhook_options *options; /* NULL: it is configured no more */
	struct posting *waiting;	       /* read already, longest due first */
	struct posting *running;
	size_t running_count;
	struct posting *answered; /* not given to the writer yet */
	size_t answered_count;
	bool maybe_due;
	int64_t next_at; /* wall clock */
	/* It does not answer: a rest, and then one request to find out. */
	int failures;
	int64_t rest_until_ms; /* monotonic */
	int64_t settle_again_ms;
	uint64_t lost_told;
	struct webhook_status status; /* ours; shown under the lock */
	/* With the writer: */
	bool settling;
	struct webhook_settle settle;
	struct webhook_message settled;
	struct posting *given;
	struct webhook_outcome *outcomes;
};

struct webhooks {
	struct store *store;
	pthread_t thread;
	struct channel *inbox;
	struct store_reader *reader;
	CURLM *multi;
	const struct webhooks_options *options; /* in force */
	struct endpoint *endpoints;
	int64_t prune_at_ms; /* monotonic */
	bool stopping;

	struct webhook_message wake, stop, pruned;
	atomic_bool wake_sent;
	bool pruning;
	struct webhook_prune prune;

	pthread_mutex_t lock;
	struct webhook_status statuses[WEBHOOK_TARGETS_MAX]; /* under the lock */
	size_t status_count;
};

/* webhook.c */
void webhooks_send(struct webhooks *webhooks, struct webhook_message *message);

/* sender.c: the thread */
void *webhooks_run(void *arg);
/* Endpoints as webhooks->options want them. */
void webhooks_take_options(struct webhooks *webhooks);
void webhooks_drop_endpoints(struct webhooks *webhooks);

/* endpoint.c: one of them */
struct endpoint *endpoint_new(struct webhooks *webhooks, const char *name);
/* Nothing of it is with the writer. */
void endpoint_free(struct endpoint **endpoint);
/* Read what is due, and begin as many requests as there is room for. */
void endpoint_start(struct endpoint *endpoint);
/* Its options are others now, or none: what was read is read again. */
void endpoint_forget_waiting(struct endpoint *endpoint);
/* Once: there was no room for all of its events. */
void endpoint_tell_lost(struct endpoint *endpoint);
/* A transfer is over. */
void endpoint_answered(struct posting *posting, CURLcode code);
/* Hand what was answered to the writer. */
void endpoint_settle(struct endpoint *endpoint);
/* Until it may do something; 0: now. */
int64_t endpoint_wait_ms(const struct endpoint *endpoint);
bool endpoint_is_quiet(const struct endpoint *endpoint);

#endif
