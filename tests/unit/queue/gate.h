/* tests/unit/queue/gate.h - the writer, held: what is submitted meanwhile becomes one batch */
#ifndef STAGEPOST_TESTS_UNIT_QUEUE_GATE_H
#define STAGEPOST_TESTS_UNIT_QUEUE_GATE_H

#include <semaphore.h>

#include "tests/unit/queue/fixture.h"

struct gate {
	struct pause pause; /* some job; its `done` waits */
	sem_t entered;
	sem_t open;
};

/* Returns when the writer stands still / goes on. */
void gate_close(struct gate *gate, struct store *store);
void gate_open(struct gate *gate);

/* An accept that does not wait. */
struct letter {
	struct accept accept;
	struct new_message message;
	struct new_recipient recipient;
	_Atomic int *left;
	int calls;
};

/* A `done` for any job whose `ctx` is a letter. */
void letter_count(struct store_job *job);

/* Submit one for a held recipient; takes `body`. `*left` goes up, and down when it is done. */
void letter_post(struct letter *letter, struct store *store, struct body *body, struct ulid id,
		 _Atomic int *left);
/* At most 5 s, until `*left` is 0. */
void letter_wait(_Atomic int *left);

#endif
