/* relay/deliver/event.h - what reaches the scheduler from other threads */
#ifndef STAGEPOST_RELAY_DELIVER_EVENT_H
#define STAGEPOST_RELAY_DELIVER_EVENT_H

#include "base/channel.h"

struct deliver;

/*
 * Embedded in what it tells of; in the channel at most once at a time.
 * `arrive` runs in the scheduler thread.
 */
struct event {
	struct channel_item item; /* first */
	void (*arrive)(struct deliver *deliver, struct event *event);
	void *owner;
};

#endif
