/* queue/finished.h - messages that are done with: kept account of for retention; private to queue/
 */
#ifndef STAGEPOST_QUEUE_FINISHED_H
#define STAGEPOST_QUEUE_FINISHED_H

#include <stdint.h>

#include "queue/state.h"
#include "queue/writer.h"

/*
 * How the recipients of a finished message ended, as bits (table finished).
 * EMPTY stands alone: its content is gone already.
 */
#define FINISHED_DELIVERED 1U /* or redirected: somebody else stands for it */
#define FINISHED_DROPPED   2U /* or cancelled by a person */
#define FINISHED_FAILED	   4U /* or expired */
#define FINISHED_EMPTY	   8U
#define FINISHED_KINDS	   9U /* one more than the last number */

struct finished;
struct finished *finished_new(void);
void finished_free(struct finished **finished);

/* The bit of a state; 0: something may still happen to the recipient. */
unsigned finished_kind(enum state state);

/*
 * In the writer, in a transaction. A recipient moved: counted (queue/counters.h),
 * and its message is looked at before the commit.
 */
void finished_moved(struct store *store, int64_t recipient, enum state from, enum state to);
/* The message has another recipient now: the same. */
void finished_touch(struct store *store, int64_t message);
/* The message ended as it was accepted. */
int finished_note(struct store *store, int64_t message, unsigned kinds, int64_t at,
		  struct err *why);
/*
 * Before something of it is removed: is it, by the recipients themselves? A row that was
 * wrong (the database was edited by hand) is put right. *is_out false: leave it alone.
 */
int finished_verify(struct store *store, int64_t message, bool *is_out, struct err *why);
/* Before the commit: all that were touched. */
int finished_look(struct store *store, struct err *why);
/* The transaction begins, or was rolled back. */
void finished_forget(struct store *store);

#endif
