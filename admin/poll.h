/* admin/poll.h - an answer that is put off until there is something to say (long poll) */
#ifndef STAGEPOST_ADMIN_POLL_H
#define STAGEPOST_ADMIN_POLL_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/call.h"
#include "admin/feed.h"

#define POLL_MS_MAX 60000

/* The parameter `wait` ("30s"), at most a minute; 0 when it is not given. */
int64_t poll_param(struct call *call);

/*
 * An answer that may be "nothing yet". Look, and when nothing is there, poll_again;
 * it is false when it is time to answer all the same.
 */
struct poll {
	struct feed_waiter waiter; /* first */
	struct call *call;
	int64_t until;
	bool has_entered;
	void (*look)(struct call *call);
};

/*
 * Begin, in front of the first look: what happens from here on is not missed.
 * `look` is called for each later one. `poll` lives in the call's arena.
 */
void poll_init(struct poll *poll, struct call *call, int64_t wait_ms,
	       const struct feed_filter *filter, void (*look)(struct call *call));
/*
 * True: the call is put aside and `look` will be called, or it was answered
 * (503: too many wait; 401: its token was revoked meanwhile).
 */
bool poll_again(struct poll *poll);

#endif
