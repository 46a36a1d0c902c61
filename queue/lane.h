/* queue/lane.h - whose turn it is when more is due than can be taken; private to queue/ */
#ifndef STAGEPOST_QUEUE_LANE_H
#define STAGEPOST_QUEUE_LANE_H

#include <stddef.h>
#include <stdint.h>

#include "queue/db.h"
#include "queue/message.h"

/*
 * A lane is a number of 31 bits: who hands the mail in (12), its first
 * recipient's domain (9), its sender (10), each folded to that many bits. All
 * that are due take turns: the applications one after the other, and in
 * an application its lanes. Two that fold to the same number share their turns.
 */
#define LANE_APPS	  4096
#define LANE_BITS_DOMAIN  9
#define LANE_BITS_SENDER  10
#define LANE_BITS_INSIDE  (LANE_BITS_DOMAIN + LANE_BITS_SENDER)
#define LANE_INSIDE_COUNT ((int64_t)1 << LANE_BITS_INSIDE)

int64_t lane_of(const struct new_message *message);
static inline int64_t lane_app(int64_t lane)
{
	return lane >> LANE_BITS_INSIDE;
}

/* Where the turns have come to. Zeroed at the beginning. */
struct lanes {
	int64_t next_app;
	uint32_t next[LANE_APPS]; /* in each application */
};

/*
 * The recipients of the next turn, at most `room`, in the order in which they
 * became due; with `room` used up, those of one message may be cut. What is
 * parked has no turn. The cost is bounded: *probes is counted down, and at 0
 * it is as if there were no more. *lane_out names the lane for lane_passed.
 */
int lane_turn(struct db *db, struct lanes *lanes, int64_t now, size_t room, int *probes,
	      int64_t *ids, size_t *count_out, int64_t *lane_out, struct err *why);
/* That lane has had its turn. */
void lane_passed(struct lanes *lanes, int64_t lane);

#endif
