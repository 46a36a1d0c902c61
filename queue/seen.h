/* queue/seen.h - whom mail was for lately, and whether it was refused: what a list would mean */
#ifndef STAGEPOST_QUEUE_SEEN_H
#define STAGEPOST_QUEUE_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/reader.h"
#include "queue/store.h"

#define SEEN_DAYS    30	   /* how long an address is remembered */
#define SEEN_MAX     20000 /* addresses, each once for a scope; the oldest go first */
#define SEEN_AT_ONCE 512   /* written or forgotten in one job */

/*
 * Accepting a message only notes its recipients in memory; this writes them
 * down, some at a time, and forgets what is too old or too much. A crash
 * costs the last few seconds of it: it is for advice and decides nothing.
 */
struct seen_save {
	struct store_job job; /* first */
	int64_t now;
	size_t written; /* out */
	bool more;	/* out: call again */
};
void queue_seen_save(struct store *store, struct store_job *job);
/* Something was noted and not written down yet. Any thread. */
bool store_has_seen(const struct store *store);

struct seen_row {
	const char *address; /* ASCII lower case */
	const char *scope;
	int64_t at;   /* accepted last */
	bool refused; /* then: dropped, held or redirected */
};
/* Since `since`; of `scope` and `address` only, where these are not NULL. */
struct seen_query {
	int64_t since;
	const char *scope;
	const char *address; /* ASCII lower case */
};
/* Different addresses. */
int queue_seen_count(struct store_reader *reader, const struct seen_query *query,
		     int64_t *count_out, struct err *why);
/* By address, then scope. Return false from `row` to stop. Strings live during the call. */
int queue_seen_each(struct store_reader *reader, const struct seen_query *query,
		    bool (*row)(void *ctx, const struct seen_row *seen), void *ctx,
		    struct err *why);

#endif
