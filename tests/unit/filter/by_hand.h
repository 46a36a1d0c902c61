/*
 * tests/unit/filter/by_hand.h - a whitelist whose thread is played by the test, so that what comes
 * first and what comes meanwhile is the test's choice and not the machine's
 *
 * The linker puts by_hand.c in the place of what the list calls (BY_HAND_LDFLAGS: --wrap). That
 * also sees that every lock is undone once, and that all memory is given back.
 */
#ifndef STAGEPOST_TESTS_UNIT_FILTER_BY_HAND_H
#define STAGEPOST_TESTS_UNIT_FILTER_BY_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/filter/whitelist.h"

/* From here to by_hand_end() nothing is done by another thread. The list is empty. */
struct whitelist *by_hand_begin(void);
/* Frees the list: nothing may be left of it. */
void by_hand_end(struct whitelist **list);

/* Has the thread been given something to do? */
bool by_hand_is_given(void);
/* What was given is done now. `meanwhile`, or NULL, runs in the middle of its merge. */
void by_hand_work(void (*meanwhile)(void *ctx), void *ctx);
/* How many merges the thread has begun. */
unsigned by_hand_merges(void);
/* `meanwhile` runs once, in the middle of the next count of what a list lets out. */
void by_hand_while_counting(void (*meanwhile)(void *ctx), void *ctx);
/* What the clock says from now on. */
void by_hand_set_clock(int64_t now);
/* Blocks of memory not given back yet. */
size_t by_hand_blocks(void);

/* Without a list: from here to by_hand_unwatch() this thread's locks and all memory are watched. */
void by_hand_watch(void);
void by_hand_unwatch(void);
/* Locks that this thread holds now. */
size_t by_hand_held(void);
/* How many elements the last mem_regrow() of this thread was for. */
size_t by_hand_regrown(void);

#endif
