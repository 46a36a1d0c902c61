/* relay/deliver/host.h - the hosts of a route: how they do, and whose turn it is (no I/O) */
#ifndef STAGEPOST_RELAY_DELIVER_HOST_H
#define STAGEPOST_RELAY_DELIVER_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/deliver/route.h"
#include "relay/deliver/trouble.h"

#define HOST_TEXT_SIZE	   272
#define HOST_REST_FIRST_MS 1000 /* after trouble, doubling */
#define HOST_REST_MAX_MS   (60 * 1000)

/*
 * One host of one route. It rests after an outage and is then tried with one
 * connection (a probe); it is well again once a message got through to it.
 */
struct host {
	struct host *next;	   /* of the route's */
	char text[HOST_TEXT_SIZE]; /* as configured, or "mx.example.com:25" */
	struct route_host at;
	bool is_found; /* by look-up: forgotten when nobody uses it */
	size_t users;  /* targets and connections that point here */
	size_t opening, idle, busy;
	uint64_t given;	       /* messages */
	bool unreachable;      /* the last dial failed */
	int failures;	       /* outages in a row; 0: well, as far as we know */
	int64_t trouble_ms;    /* monotonic: when the last of them was noticed */
	int64_t rest_until_ms; /* monotonic: no dial before */
	enum trouble trouble;  /* the kind of it */
	char last_error[200];
	int64_t last_error_at; /* wall clock */
};

/*
 * An outage. What was under way already (`since_ms`) when the last one was
 * noticed has met the same one: however many connections notice, the rest
 * grows once. Up to a fifth is added by `random`, so that what rests together
 * does not come back together.
 */
void host_fail(struct host *host, int64_t since_ms, int64_t now_ms, uint32_t random,
	       const char *why);
static inline bool host_is_well(const struct host *host)
{
	return host->failures == 0;
}
static inline bool host_is_resting(const struct host *host, int64_t now_ms)
{
	return now_ms < host->rest_until_ms;
}
/* It makes sense to wait for it: what broke a connection may have been the message. */
static inline bool host_may_be_tried(const struct host *host, int64_t now_ms)
{
	return !host->unreachable || !host_is_resting(host, now_ms);
}

/* Where mail may go, and its place in the order: a lower rank first, equals by turns. */
struct target {
	struct host *host;
	size_t rank;
};

/*
 * Among those that are well the lowest rank, then the fewest connections, then
 * the fewest messages so far. NULL: none is well.
 */
struct host *target_choose(const struct target *targets, size_t count);
/*
 * One that had trouble, has rested and is wanted back: it ranks no worse than
 * the best that is well, and nobody is dialling it. Whose trouble is the
 * longest ago comes first. NULL: there is none.
 */
struct host *target_probe(const struct target *targets, size_t count, int64_t now_ms);
/* A dial makes sense now: one is well, or has rested and failed before `since_ms` only. */
bool target_is_any_usable(const struct target *targets, size_t count, int64_t now_ms,
			  int64_t since_ms);
/* The lowest rank of those that are well; SIZE_MAX: none is. */
size_t target_best_rank(const struct target *targets, size_t count);
/* A message got through to this one. It has its turn with the others, no more. */
void target_recovered(const struct target *targets, size_t count, struct host *host);
#endif
