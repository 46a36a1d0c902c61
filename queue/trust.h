/* queue/trust.h - can the clock be believed when it says that something is old? private to queue/
 */
#ifndef STAGEPOST_QUEUE_TRUST_H
#define STAGEPOST_QUEUE_TRUST_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/writer.h"

#define TRUST_LOOK_EVERY_MS 1000 /* at the clock */

/*
 * Of a clock that was set on, nothing is old for a while, so that a wrong one can
 * be put right before it costs anything. The writer's, but for trust_waits_ms.
 */
struct trust {
	int64_t look_ms; /* monotonic: when it is looked at again */
	int64_t offset_ms;
	_Atomic int64_t from_ms; /* monotonic; read by everybody */
	bool mend_times;	 /* there may be some that lie ahead */
};

/* At start. */
int trust_restore(struct trust *trust, struct store *store, struct err *why);
/* Looks at the clock, now and then. True: somebody set it. */
bool trust_follow(struct trust *trust);
/* How long nothing goes for its age; 0: it may. Any thread. */
int64_t trust_waits_ms(const struct trust *trust);

/* Inside a transaction: what the clock says, for the next start. */
int trust_note(struct store *store, struct err *why);
/*
 * The same: ends that were written down while the clock was ahead, at most `max`. False in
 * *done_out: there are more.
 */
int trust_mend(struct trust *trust, struct store *store, int64_t max, bool *done_out,
	       struct err *why);

#endif
