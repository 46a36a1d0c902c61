/* queue/indexer.h - the grams of messages, written down when the writer has time; private to queue/
 */
#ifndef STAGEPOST_QUEUE_INDEXER_H
#define STAGEPOST_QUEUE_INDEXER_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/writer.h"

/*
 * Block after block of messages is looked at (queue/gram.h), in steps of a
 * millisecond or two. Nothing depends on it: a block that has not been
 * looked at, or to which something came since, is searched one message after
 * the other (queue/walk.h). So it may be thrown away at any time, a step is not
 * synced, and what is missing is made at the next start.
 */
struct indexer;

struct indexer *indexer_new(void);
void indexer_free(struct indexer **indexer);
/* At start. */
int indexer_load(struct store *store, struct err *why);

/* A recipient comes to this message, or the message itself. Inside a transaction. */
int indexer_touch(struct store *store, int64_t message, struct err *why);
/* This message goes: with the last one of its block goes what is known of it. Likewise. */
int indexer_forget(struct store *store, int64_t message, struct err *why);

/* There is a block to be looked at. Asked after each batch, so it costs next to nothing. */
bool indexer_is_due(struct store *store);
/* One step. False: it can't be done now. */
bool indexer_step(struct store *store);

#endif
