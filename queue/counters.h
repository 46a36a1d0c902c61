/* queue/counters.h - how much of what is in the store, kept in memory; private to queue/ */
#ifndef STAGEPOST_QUEUE_COUNTERS_H
#define STAGEPOST_QUEUE_COUNTERS_H

#include <pthread.h>
#include <stdint.h>

#include "queue/db.h"
#include "queue/reader.h"
#include "queue/state.h"

/*
 * The writer notes what a transaction changes and makes it count only when
 * it is committed; anybody reads the sums.
 */
struct counters {
	pthread_mutex_t lock;
	struct queue_stats sums;	/* under the lock */
	struct queue_stats change;	/* the writer's: of the transaction under way */
	uint64_t entered[STATE_COUNT];	/* since the start, under the lock: who came into a state */
	uint64_t entering[STATE_COUNT]; /* the writer's: in the transaction under way */
	int64_t passed;			/* the writer's: no recipient below waits */
};

void counters_init(struct counters *counters);
void counters_release(struct counters *counters);

/* One recipient appears (from 0), moves, or disappears (to 0). */
void counters_move(struct counters *counters, enum state from, enum state to);
void counters_message(struct counters *counters, int64_t messages, int64_t bytes);
/* A recipient waits that was accepted long ago, or is accepted now. */
void counters_waits(struct counters *counters, int64_t recipient);
/*
 * Who waits longest, before the transaction is committed. Looks at a few
 * recipients from where the last look ended, so it may be some commits behind.
 */
struct oldest {
	int64_t waiting_since; /* 0: nobody waits */
	int64_t passed;
};
int counters_oldest(struct counters *counters, struct db *db, struct oldest *oldest_out,
		    struct err *why);
/* The transaction was committed; `oldest` is what is true now. */
void counters_commit(struct counters *counters, const struct oldest *oldest);
void counters_rollback(struct counters *counters);
/* The transaction so far, for one that takes a part of itself back. */
struct counters_mark {
	struct queue_stats change;
	uint64_t entering[STATE_COUNT];
	int64_t passed;
};
void counters_mark(const struct counters *counters, struct counters_mark *mark_out);
void counters_back(struct counters *counters, const struct counters_mark *mark);
void counters_read(struct counters *counters, struct queue_stats *stats_out);
/* Who came into a state since the start, or since that was last forgotten. */
void counters_entered(struct counters *counters, uint64_t entered_out[STATE_COUNT]);
void counters_forget_entered(struct counters *counters);

/* Counted from the tables, one row after the other. */
int counters_count(struct db *db, struct queue_stats *stats_out, struct err *why);
/* As they were last written down. */
int counters_stored(struct db *db, struct queue_stats *stats_out, struct err *why);

/*
 * At start: what was written down, or where there is little, which costs
 * nothing, counted. Then in the first transaction what is true is written down.
 */
int counters_load(struct counters *counters, struct db *db, struct err *why);
int counters_rewrite(const struct counters *counters, struct db *db, struct err *why);
/* Before a transaction is committed: what it changes is written down with it. */
int counters_save(const struct counters *counters, struct db *db, struct err *why);

#endif
