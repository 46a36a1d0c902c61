/* queue/measuring.h - counting what the store does; private to queue/ (public: queue/measure.h) */
#ifndef STAGEPOST_QUEUE_MEASURING_H
#define STAGEPOST_QUEUE_MEASURING_H

#include "queue/measure.h"
#include "queue/message.h"

/* What counts only when it is committed. The writer's. */
struct measured {
	uint64_t messages, bytes;
	uint64_t verdicts[MEASURE_VERDICTS];
};

/* In the store; zeroed at the beginning. */
struct measuring {
	struct histogram accept, commit, checkpoint;
	_Atomic uint64_t checkpoints_cut, checkpoints_failed;
	_Atomic uint64_t jobs, messages, bytes;
	_Atomic uint64_t verdicts[MEASURE_VERDICTS];
	struct measured pending; /* of the transaction under way */
};

void measuring_accepted(struct measuring *measuring, const struct new_message *message);
void measuring_commit(struct measuring *measuring);
void measuring_rollback(struct measuring *measuring);
/* Any thread: a verdict of which nothing is stored. */
void measuring_refused(struct measuring *measuring, const char *verdict);
/* One has ended. `cut`: not all of the log was copied. */
void measuring_checkpoint(struct measuring *measuring, int64_t began_us, bool failed, bool cut);

#endif
