/* tests/unit/deliver/bell.h - a test waits for what a loop's thread says has happened */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_BELL_H
#define STAGEPOST_TESTS_UNIT_DELIVER_BELL_H

#include <pthread.h>
#include <stdbool.h>

struct bell {
	pthread_mutex_t lock;
	pthread_cond_t change;
};

void bell_init(struct bell *bell);
/* Raises the flag; what was written before can be read by the one who waits for it. */
void bell_ring(struct bell *bell, bool *flag);
/* Until the flag is up, and takes it down; fails the test after ten seconds. */
void bell_await(struct bell *bell, bool *flag);

#endif
