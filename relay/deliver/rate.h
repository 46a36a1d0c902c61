/* relay/deliver/rate.h - so many messages a second and no more (pure) */
#ifndef STAGEPOST_RELAY_DELIVER_RATE_H
#define STAGEPOST_RELAY_DELIVER_RATE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A bucket that fills evenly and holds what a second brings, at least one
 * message. Begins with one. A plain value.
 */
struct rate {
	int64_t thousandths; /* of a message, per second; 0: no limit */
	int64_t credit;	     /* millionths of a message */
	int64_t at_ms;	     /* monotonic: when it was counted */
};

void rate_init(struct rate *rate, int64_t thousandths, int64_t now_ms);
/* Another limit from now on; what was saved up stays, as far as it may. */
void rate_change(struct rate *rate, int64_t thousandths, int64_t now_ms);
/* Until the next message may go; 0: now. At most an hour. */
int64_t rate_wait_ms(const struct rate *rate, int64_t now_ms);
/* One goes. Only when rate_wait_ms is 0. */
void rate_take(struct rate *rate, int64_t now_ms);

#endif
