/* relay/loop/loop.h - one event loop thread: tasks, timers, and nothing that blocks */
#ifndef STAGEPOST_RELAY_LOOP_LOOP_H
#define STAGEPOST_RELAY_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/err.h"

/* libev underneath (only relay/loop/ includes ev.h). */
struct loop;

struct loop *loop_new(const char *name);
/* Start the thread; all signals are blocked in it. */
int loop_start(struct loop *loop, struct err *why);
/* Any thread: leave the loop after the tasks posted so far; then join it. */
void loop_stop(struct loop *loop);
/*
 * After loop_stop (or does it itself). Streams and acceptors must have been
 * freed or closed by their owners; what still lingers is ended.
 */
void loop_free(struct loop **loop);
/* True when called in the loop's own thread. */
bool loop_is_current(const struct loop *loop);

/* Something to run in the loop thread. Embed as first member; it belongs to the loop until run. */
struct loop_task {
	struct channel_item item;
	void (*run)(struct loop_task *task);
};
/* Any thread. False (task not taken) when the loop has been stopped. Runs in the order posted. */
bool loop_post(struct loop *loop, struct loop_task *task);

/* A one-shot timer, embedded; only in the loop thread. Monotonic time. */
struct loop_timer {
	void (*on_time)(struct loop_timer *timer);
	void *private_[8]; /* libev's watcher */
	struct loop *loop;
};
void loop_timer_init(struct loop_timer *timer, struct loop *loop,
		     void (*on_time)(struct loop_timer *timer));
/* Start or move. */
void loop_timer_set(struct loop_timer *timer, int64_t after_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);

#endif
