/* queue/walk.h - which messages may be those that are asked for, newest first; private to queue/ */
#ifndef STAGEPOST_QUEUE_WALK_H
#define STAGEPOST_QUEUE_WALK_H

#include "queue/db.h"
#include "queue/match.h"

#define WALK_BATCH 256

/* Recipients in one state, from the highest number down. */
struct walk_state {
	enum state state;
	int64_t below; /* recipients that are still to come have lower numbers */
	int64_t messages[WALK_BATCH];
	size_t count;
	size_t at;
	bool is_over;
};

/*
 * Numbers of messages, from the highest down: all that match, and as few others as
 * can be told without looking at them. Three ways: by the states of their
 * recipients; by the grams of their texts (queue/gram.h),
 * where a block has been looked at by queue/indexer.h; else one after the other.
 * All in one transaction of the reader.
 */
struct walk {
	struct db *db;
	const struct match *match;
	int64_t until_us; /* on the monotonic clock; 0: as long as it takes */
	int64_t below;	  /* what has not been looked at has lower numbers */
	bool is_late;	  /* it ended because time was up */
	int64_t only;	  /* this one and no other; 0: any. Set after walk_init */
	/* private */
	struct walk_state *states; /* NULL: not by states */
	size_t state_count;
	bool has_grams; /* of what is looked for */
	int64_t block;	/* that was looked at last, and begins with `first` */
	bool block_is_out;
	struct places places; /* candidates of the block */
	int64_t first;
	bool has_places;
	int64_t batch[WALK_BATCH]; /* one after the other */
	size_t batch_count;
	size_t batch_at;
	unsigned steps;
};

/* `below`: 0: from the newest. */
void walk_init(struct walk *walk, struct db *db, const struct match *match, int64_t below,
	       int64_t until_us);
void walk_release(struct walk *walk);
/* 0: there is none any more, or time is up (walk->is_late). */
int walk_next(struct walk *walk, int64_t *message_out, struct err *why);
/* Is time up? Looks at the clock now and then. */
bool walk_is_late(struct walk *walk);

#endif
