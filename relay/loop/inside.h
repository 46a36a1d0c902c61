/* relay/loop/inside.h - what streams and acceptors need of a loop; for relay/loop/ only */
#ifndef STAGEPOST_RELAY_LOOP_INSIDE_H
#define STAGEPOST_RELAY_LOOP_INSIDE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "relay/loop/loop.h"

struct ev_loop *loop_ev(struct loop *loop);
/* The caller is the loop's thread, or the loop does not run. */
void loop_assert_owner(const struct loop *loop);

/* Every loop has one block to read sockets into; its bytes last until the next read. */
#define LOOP_SCRATCH_SIZE ((size_t)64 * 1024)
char *loop_scratch(struct loop *loop);

/*
 * Work to do once more in this turn of the loop, before it waits: outside of
 * any stream_* call, in the order added. Embedded; added at most once at a time.
 */
struct loop_turn {
	struct loop_turn *next;
	bool is_queued;
	void (*run)(struct loop_turn *turn);
};
void loop_turn_add(struct loop *loop, struct loop_turn *turn);

/*
 * May one more costly step (a handshake) be taken in this turn? No: leave it
 * to a later one, so that everybody else's socket is looked at in between.
 */
bool loop_may_toil(struct loop *loop);

/* A thing its owner has left to the loop, which ends it if it is still there in loop_free. */
struct loop_orphan {
	struct loop_orphan *prev;
	struct loop_orphan *next;
	void (*end)(struct loop_orphan *orphan);
};
/* So many at most: nobody else counts them, and a peer decides how long they stay (S076). */
#define LOOP_ORPHANS_MAX 256
void loop_adopt(struct loop *loop, struct loop_orphan *orphan);
/* End the oldest of those that are too many. */
void loop_trim_orphans(struct loop *loop);
/* Nothing happens to one that was never adopted (zeroed). */
void loop_disown(struct loop *loop, struct loop_orphan *orphan);

/* Streams and acceptors that still have an owner: there must be none in loop_free. */
void loop_count_owned(struct loop *loop, int by);

#endif
