/* tests/unit/loop/rig.h - a running loop, and calls into its thread that wait for their end */
#ifndef STAGEPOST_TESTS_UNIT_LOOP_RIG_H
#define STAGEPOST_TESTS_UNIT_LOOP_RIG_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/loop/loop.h"
#include "relay/loop/stream.h"

#define RIG_BIG ((size_t)4 << 20) /* far more than sockets keep on their way */

/* Run `call(arg)` in the loop's thread; returns when it has run. */
void rig_run(struct loop *loop, void (*call)(void *arg), void *arg);
struct loop *rig_start(void);
/* Returns when what the loop is doing now has ended. */
void rig_turn(struct loop *loop);
/* Long enough for the loop to have seen what was sent. */
void rig_settle(struct loop *loop);

/* What happened to a stream. Written in the loop's thread, read after rig_wait or rig_run. */
struct rig_stream {
	struct loop *loop;
	struct stream *stream;
	const struct stream_options *options;
	/* What the callbacks do besides taking notes; each may be NULL. */
	void (*on_input)(struct rig_stream *rig);
	void (*on_drained)(struct rig_stream *rig);
	void (*on_end)(struct rig_stream *rig);
	void (*on_secured)(struct rig_stream *rig);
	void (*on_connected)(struct rig_stream *rig);
	sem_t happened; /* posted by rig_note() */
	int depth;	/* callbacks running now: must never pass 1 */
	int inputs;
	int drains;
	int ends;
	int end_code;
	char end_why[240];
	bool secured;
	bool connected;
	size_t total_in;
	uint64_t number; /* for the test's own use */
	void *arg;
};

/* A stream on `fd`, made in the loop's thread. */
void rig_open(struct rig_stream *rig, struct loop *loop, int fd);
void rig_init(struct rig_stream *rig, struct loop *loop);
extern const struct stream_ops rig_ops;
void rig_connected(void *ctx);
/* Free its stream, if it has one, in the loop's thread. */
void rig_close(struct rig_stream *rig);
/* Wait for rig_note() at most 20 s. */
void rig_wait(struct rig_stream *rig);
void rig_note(struct rig_stream *rig);
void rig_write(struct rig_stream *rig, const char *text);

/* For rig_run(); the argument is a struct rig_stream. */
void rig_pause(void *arg);
void rig_resume(void *arg);
/* For callbacks. Take all input, or leave it there; either way total_in says how much it is. */
void rig_consume_all(struct rig_stream *rig);
void rig_keep(struct rig_stream *rig);
/* Frees the stream inside of its own callback. */
void rig_free(struct rig_stream *rig);

/* A connected pair; the second end has a 10 s time-out on reads. */
void rig_pair(int fds[2]);
/* A loopback TCP pair, for what unix sockets don't have. */
void rig_tcp_pair(int fds[2]);
void rig_send(int fd, const char *text);
/* Read exactly the text, or fail. */
void rig_expect(int fd, const char *text);
void rig_expect_end(int fd);

#endif
