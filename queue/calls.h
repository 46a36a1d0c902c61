/* queue/calls.h - calls of webhooks in the writer; private to queue/ (public: queue/webhook.h) */
#ifndef STAGEPOST_QUEUE_CALLS_H
#define STAGEPOST_QUEUE_CALLS_H

#include "queue/webhook.h"
#include "queue/writer.h"

struct calls *calls_new(const struct webhook_targets *targets);
void calls_free(struct calls **calls);
/* At the start: what waits, and for whom. */
int calls_restore(struct store *store, struct err *why);

/* What is done from now on is taken back again (a savepoint): no calls, until it is false again. */
void calls_trial(struct store *store, bool is_trial);
/* Does anybody want to know? */
bool calls_wants(const struct store *store, const struct news *news);
/*
 * In a transaction: write the calls of an event. A failure is kept for
 * calls_check, before the commit.
 */
void calls_add(struct store *store, const struct news *news);
int calls_check(const struct store *store, struct err *why);
/* The transaction is committed; or it was rolled back, or has not begun. */
void calls_committed(struct store *store);
void calls_forget(struct store *store);

/* The name behind `after` of whom there are calls, in store->scratch; NULL: none. */
int calls_next_target(struct store *store, const char *after, const char **target_out,
		      struct err *why);
/* After the commit (a job's `finish`) of what changed many at once. */
void calls_count_again(struct store *store, int code);

#endif
