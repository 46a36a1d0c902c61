/* queue/webhook.h - events that an endpoint of somebody's is to be told of, kept until it was */
#ifndef STAGEPOST_QUEUE_WEBHOOK_H
#define STAGEPOST_QUEUE_WEBHOOK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/span.h"
#include "base/ulid.h"
#include "queue/news.h"
#include "queue/reader.h"
#include "queue/store.h"

/*
 * A call is one event for one target. It is written in the transaction that
 * makes the event true, and only where a target wants it: whoever sees the
 * event in the queue can rely on the call (DESIGN P4). It is removed once
 * it was sent; one that was tried too often is a dead letter, and waits for a person.
 */

/* What can be wanted. What happens to a recipient is named by the state it comes to. */
enum webhook_event {
	WEBHOOK_ACCEPTED,
	WEBHOOK_DELIVERED,
	WEBHOOK_DEFERRED,
	WEBHOOK_HELD,
	WEBHOOK_DROPPED,
	WEBHOOK_REDIRECTED,
	WEBHOOK_FAILED,
	WEBHOOK_EXPIRED,
	WEBHOOK_CANCELLED,
	WEBHOOK_RELEASED,
	WEBHOOK_DELETED,
	WEBHOOK_WHITELIST,
	WEBHOOK_RULE,
	WEBHOOK_FAULT,
	WEBHOOK_DELIVERY,
	WEBHOOK_TOKEN
};
#define WEBHOOK_EVENTS (WEBHOOK_TOKEN + 1)

/* "accepted" …; a constant. */
const char *webhook_event_name(enum webhook_event event);
int webhook_event_parse(struct span name, enum webhook_event *event_out);
/* False: it is of no kind that anybody could want. Pure. */
bool webhook_event_of(const struct news *news, enum webhook_event *event_out);

#define WEBHOOK_TARGETS_MAX 32
#define WEBHOOK_BODY_MAX    ((size_t)256 * 1024)

struct webhook_target {
	const char *name;   /* no two are equal */
	unsigned events;    /* 1U << enum webhook_event, several */
	const char *scope;  /* of this one only; NULL or "": any */
	size_t max_waiting; /* an event that comes when there are as many is lost, and counted */
	size_t max_dead;    /* the oldest gives way */
};

struct webhook_targets {
	const struct webhook_target *targets;
	size_t count; /* at most WEBHOOK_TARGETS_MAX */
	/*
	 * The body of the request that tells of `news`, whose texts are cut as in
	 * a record of the bus; at most WEBHOOK_BODY_MAX. In the writer thread: must not block.
	 */
	void (*write)(const struct ulid *id, enum webhook_event event, const struct news *news,
		      struct buf *body_out);
};

/*
 * From now on these; the first ones are store_options.webhooks, copied. What
 * waits for a target that there is no more becomes a dead letter.
 */
struct webhook_set {
	struct store_job job; /* first */
	struct webhook_targets targets;
};
void queue_webhook_set(struct store *store, struct store_job *job);

struct webhook_call {
	int64_t id;
	struct ulid event; /* the same for every target and every try */
	const char *target;
	const char *type; /* webhook_event_name() */
	int64_t made_at;
	int64_t due_at;	   /* 0: a dead letter */
	int attempts;	   /* that failed, since it waits */
	int64_t tried_at;  /* 0: not yet */
	int status;	   /* of the last answer; 0: there was none */
	const char *error; /* of the last try, NULL: none */
	struct span body;
};

/* What is due for `target`, longest first. All in `arena`. */
int queue_webhook_due(struct store_reader *reader, const char *target, int64_t now, size_t limit,
		      struct arena *arena, struct webhook_call **calls_out, size_t *count_out,
		      struct err *why);
/* When the first that is not due yet will be; INT64_MAX: there is none. */
int queue_webhook_next(struct store_reader *reader, const char *target, int64_t now,
		       int64_t *at_out, struct err *why);

/* Dead letters with a greater number than `after_id`, of `target` or of any (NULL). Borrowed. */
int queue_webhook_dead(struct store_reader *reader, const char *target, int64_t after_id,
		       size_t limit, bool (*row)(void *ctx, const struct webhook_call *call),
		       void *ctx, struct err *why);
/* One of them, in `arena`. ERR_NOT_FOUND. */
int queue_webhook_get(struct store_reader *reader, int64_t id, struct arena *arena,
		      struct webhook_call *call_out, struct err *why);

/* What came of calls. Nobody but the one sender settles. */
struct webhook_outcome {
	int64_t id;
	bool sent;	/* the rest is not looked at */
	int64_t due_at; /* 0: it is a dead letter now */
	int status;
	const char *error;
};
struct webhook_settle {
	struct store_job job; /* first */
	const char *target;
	const struct webhook_outcome *outcomes;
	size_t count;
	int64_t now;
};
/* A power cut may undo it: then it is told once more, with the same id. */
void queue_webhook_settle(struct store *store, struct store_job *job);

/* A person sends a dead letter, or all of a target's, once more, or drops them. */
struct webhook_act {
	struct store_job job; /* first */
	bool drop;
	int64_t id;	    /* 0: all */
	const char *target; /* all: of this one; NULL: of any */
	const char *actor;
	int64_t now;
	size_t count; /* filled in: how many it met */
};
/* ERR_NOT_FOUND: no such dead letter; ERR_CONFLICT: retry, and there is no such target. */
void queue_webhook_act(struct store *store, struct store_job *job);

/* Dead letters made before that time go. */
struct webhook_prune {
	struct store_job job; /* first */
	int64_t before;
};
void queue_webhook_prune(struct store *store, struct store_job *job);

/* Any thread. */
struct webhook_numbers {
	int64_t waiting, dead;
	uint64_t lost; /* since the start: there were max_waiting already */
};
/* False: there is no such target, and nothing was written. */
bool store_webhook_numbers(struct store *store, const char *target,
			   struct webhook_numbers *numbers_out);

#endif
