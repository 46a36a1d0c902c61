/* base/channel.h - the one way to hand a thing to another thread */
#ifndef STAGEPOST_BASE_CHANNEL_H
#define STAGEPOST_BASE_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Embed as the first member of what travels. While an item is in a channel it
 * belongs to the channel; giving means forgetting.
 */
struct channel_item {
	struct channel_item *next;
};

/*
 * A first-in first-out queue of items: any number of senders, one receiving
 * thread. The descriptor is an eventfd, readable while items may be waiting,
 * so a libev loop watches it and a plain thread blocks in channel_wait().
 */
struct channel;

struct channel *channel_new(void);
/* The channel must be empty. */
void channel_free(struct channel **channel);

/*
 * Any thread. Returns false, and keeps nothing, when the channel was closed.
 */
bool channel_send(struct channel *channel, struct channel_item *item);
/* Any thread: later sends fail; items already there can still be taken. */
void channel_close(struct channel *channel);
bool channel_is_closed(struct channel *channel);

/* Receiver only: everything that is waiting, oldest first, as a chain; NULL when nothing is. */
struct channel_item *channel_take_all(struct channel *channel);
/* Receiver only: the oldest item or NULL. */
struct channel_item *channel_take(struct channel *channel);
/*
 * Receiver only: block until an item waits, the channel is closed, or
 * `timeout_ms` has passed (-1: no limit). Returns true when an item waits.
 */
bool channel_wait(struct channel *channel, int timeout_ms);
int channel_fd(const struct channel *channel);

#endif
