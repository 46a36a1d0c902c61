/* queue/tell.h - events of a transaction: kept until it is committed; private to queue/ */
#ifndef STAGEPOST_QUEUE_TELL_H
#define STAGEPOST_QUEUE_TELL_H

#include "queue/news.h"
#include "queue/reader.h"
#include "queue/whitelist.h"
#include "queue/writer.h"

/* All in the writer. */

struct telling *telling_new(void);
void telling_free(struct telling **telling);

/*
 * Something happened in this transaction. What goes beyond TELLING_MAX bytes in
 * one is counted only: readers hear that they missed it.
 */
#define TELLING_MAX ((size_t)1024 * 1024)
void tell(struct store *store, const struct news *news);

/* The same of a message, or a recipient of it: nothing of the self-test's (its origin). */
void tell_message(struct store *store, const struct news *news);
/* A message was accepted: of it, and of each of its recipients. */
void tell_accepted(struct store *store, const struct new_message *message);
/* A line was added to a recipient's history. */
int tell_history(struct store *store, int64_t recipient, const struct history_item *item,
		 enum state state, struct err *why);

/*
 * Where more lines of the whitelist change at once than anybody reads one by
 * one, one event tells of them all.
 */
#define TELL_LINES_MAX 100
void tell_line(struct store *store, const struct whitelist_apply *apply,
	       const struct whitelist_change *change, int64_t revision, const char *scope);
void tell_list(struct store *store, int64_t now, const char *actor, size_t count, int64_t revision);

/* The transaction is committed: readers may know. Or it was rolled back: it never happened. */
void tell_committed(struct store *store);
void tell_forget(struct store *store);
/* Or only what was done behind a mark is taken back. */
struct tell_mark {
	size_t len;
	uint64_t left_out;
};
struct tell_mark tell_mark(const struct store *store);
void tell_back(struct store *store, struct tell_mark mark);

#endif
