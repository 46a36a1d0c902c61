/* relay/loop/stream_state.h - inside of a stream; for stream.c and stream_run.c only */
#ifndef STAGEPOST_RELAY_LOOP_STREAM_STATE_H
#define STAGEPOST_RELAY_LOOP_STREAM_STATE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "relay/loop/inside.h"
#include "relay/loop/stream.h"
#include "relay/loop/transport.h"

enum stream_phase {
	PHASE_CONNECTING,
	PHASE_HANDSHAKE, /* clear_len bytes of output still go in clear before it */
	PHASE_OPEN,
	PHASE_SENDING,	 /* closed by the owner: output is left */
	PHASE_LINGERING, /* our side is shut; until the peer closes too */
	PHASE_DEAD	 /* freed by its next turn */
};

/* What a stream wants its next turn for. */
enum {
	DUE_INPUT = 1, /* offer the input once more */
	DUE_READ = 2,  /* read without waiting for the socket */
	DUE_FLUSH = 4
};

struct stream {
	struct loop_turn turn;
	struct loop_orphan orphan;
	struct loop *loop;
	const struct stream_ops *ops;
	void (*on_connected)(void *ctx);
	void *ctx;
	struct transport transport;
	ev_io io;
	struct loop_timer timer;
	int64_t timer_at; /* what the timer is set to; deadlines that move away leave it */
	int64_t owner_deadline;
	int64_t phase_deadline; /* connecting, handshake, sending the rest, lingering */
	int64_t write_deadline;
	int64_t write_deadline_ms;
	int64_t linger_ms;
	size_t low_water;
	struct buf in;
	struct span view; /* input not copied from the loop's scratch: only inside on_input */
	struct buf out;
	size_t clear_len;
	enum stream_phase phase;
	unsigned due;
	int read_events;  /* what reading waits for: EV_READ, or what TLS wants */
	int write_events; /* likewise */
	bool is_paused;
	bool is_ended;	/* on_end was called */
	bool is_broken; /* nothing can be written any more */
	bool was_above_low_water;
};

static inline bool stream_is_alive(const struct stream *stream)
{
	return stream->phase != PHASE_DEAD;
}

static inline size_t stream_input_len(const struct stream *stream)
{
	return stream->view.len > 0 ? stream->view.len : stream->in.len;
}

/* Ties a zeroed stream to its loop; it waits for nothing yet. */
void stream_attach(struct stream *stream, struct loop *loop, int fd);
/* Waits for what the stream wants now: to be called after every change of that. */
void stream_watch(struct stream *stream);
/* Sets the timer: to be called after a deadline was set. */
void stream_arm(struct stream *stream);
/* The stream's next turn does `what` (DUE_*), outside of the caller. */
void stream_make_due(struct stream *stream, unsigned what);
/* Closes now. The memory goes with the next turn: callers further up may look at the phase. */
void stream_destroy(struct stream *stream);

#endif
