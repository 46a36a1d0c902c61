/* base/backoff.h - when to try again (delivery.schedule) */
#ifndef STAGEPOST_BASE_BACKOFF_H
#define STAGEPOST_BASE_BACKOFF_H

#include <stddef.h>
#include <stdint.h>

/* How much longer the wait is after a final dot that nobody answered (DESIGN P3). */
#define BACKOFF_DOUBT_FACTOR 4
/* So many unanswered final dots, and a person must look. */
#define BACKOFF_DOUBT_MAX 3

/*
 * The wait after the attempt number `attempts` (1 is the first): the schedule's
 * entry, the last one for all that follow, and up to a fifth on top so that
 * what failed together does not come back together. `random` is any number.
 * Pure.
 */
int64_t backoff_wait_ms(const int64_t *schedule_ms, size_t count, int attempts, uint32_t random);

#endif
