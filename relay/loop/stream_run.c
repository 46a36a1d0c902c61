/* relay/loop/stream_run.c - what the loop does with a stream: wait, read, write, end */
#include <config.h>

#include "relay/loop/stream_state.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/loop/socket.h"

/* --- what to wait for -------------------------------------------------------- */

static bool wants_input(const struct stream *stream)
{
	return stream->phase == PHASE_OPEN && !stream->is_paused && !stream->is_ended &&
	       stream->in.len < stream->in.max;
}

void stream_make_due(struct stream *stream, unsigned what)
{
	stream->due |= what;
	loop_turn_add(stream->loop, &stream->turn);
}

static int wanted_events(const struct stream *stream)
{
	int events = 0;

	switch (stream->phase) {
	case PHASE_CONNECTING: return EV_WRITE;
	case PHASE_HANDSHAKE: return stream->clear_len > 0 ? EV_WRITE : stream->read_events;
	case PHASE_LINGERING: return EV_READ;
	case PHASE_SENDING: return stream->write_events;
	case PHASE_OPEN:
		if (wants_input(stream))
			events |= stream->read_events;
		if (stream->out.len > 0 && (stream->due & DUE_FLUSH) == 0)
			events |= stream->write_events;
		return events;
	case PHASE_DEAD: break;
	}
	return 0;
}

/* libev tells the kernel once a turn, however often this changes its mind. */
void stream_watch(struct stream *stream)
{
	struct ev_loop *ev = loop_ev(stream->loop);
	int events = wanted_events(stream);

	if (wants_input(stream) && transport_has_pending(&stream->transport))
		stream_make_due(stream, DUE_READ);
	if ((ev_is_active(&stream->io) ? stream->io.events : 0) == events)
		return;
	ev_io_stop(ev, &stream->io);
	if (events == 0)
		return;
	ev_io_set(&stream->io, stream->transport.fd, events);
	ev_io_start(ev, &stream->io);
}

static int64_t earlier(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/* One timer for all deadlines. It is moved only to come earlier: most deadlines never pass. */
void stream_arm(struct stream *stream)
{
	int64_t first = earlier(earlier(stream->owner_deadline, stream->phase_deadline),
				stream->write_deadline);

	if (first == 0 || (stream->timer_at != 0 && stream->timer_at <= first))
		return;
	stream->timer_at = first;
	loop_timer_set(&stream->timer, first - clock_mono_ms());
}
/* --- ends -------------------------------------------------------------------- */

void stream_destroy(struct stream *stream)
{
	ev_io_stop(loop_ev(stream->loop), &stream->io);
	loop_timer_stop(&stream->timer);
	loop_disown(stream->loop, &stream->orphan);
	transport_release(&stream->transport);
	buf_release(&stream->in);
	buf_release(&stream->out);
	stream->view = (struct span){NULL, 0};
	stream->phase = PHASE_DEAD;
	/* Callers further up may still look at the phase: the memory goes later. */
	loop_turn_add(stream->loop, &stream->turn);
}

static void break_output(struct stream *stream)
{
	stream->is_broken = true;
	stream->write_deadline = 0;
	buf_release(&stream->out);
}

/* Tells the owner, once; streams without one any more just go. */
static void end(struct stream *stream, int code, const char *why)
{
	if (stream->phase == PHASE_SENDING || stream->phase == PHASE_LINGERING) {
		stream_destroy(stream);
		return;
	}
	/* Before PHASE_OPEN there is no conversation that a last word could belong to. */
	if (code == ERR_IO || stream->phase != PHASE_OPEN)
		break_output(stream);
	stream->phase = PHASE_OPEN;
	stream->phase_deadline = 0;
	stream->owner_deadline = 0;
	if (!stream->is_ended) {
		stream->is_ended = true;
		stream->ops->on_end(stream->ctx, code, why);
	}
}

static void end_in_time(struct stream *stream)
{
	switch (stream->phase) {
	case PHASE_CONNECTING: end(stream, ERR_TIMEOUT, "no connection in time"); break;
	case PHASE_HANDSHAKE: end(stream, ERR_TIMEOUT, "no TLS handshake in time"); break;
	default: end(stream, ERR_TIMEOUT, "no answer in time"); break;
	}
}

static void on_timer(struct loop_timer *timer)
{
	struct stream *stream = (struct stream *)((char *)timer - offsetof(struct stream, timer));
	int64_t now = clock_mono_ms();

	stream->timer_at = 0;
	if (stream->write_deadline != 0 && now >= stream->write_deadline) {
		break_output(stream);
		end(stream, ERR_TIMEOUT, "the peer takes no data");
	} else if ((stream->phase_deadline != 0 && now >= stream->phase_deadline) ||
		   (stream->owner_deadline != 0 && now >= stream->owner_deadline)) {
		end_in_time(stream);
	}
	if (stream_is_alive(stream))
		stream_arm(stream);
}
/* --- output ------------------------------------------------------------------ */

/* Our last byte is on its way: now the end of our side, then wait for the peer's. */
static void start_linger(struct stream *stream)
{
	if (stream->linger_ms <= 0 && stream->transport.tls == NULL) {
		stream_destroy(stream); /* close() says it as well */
		return;
	}
	if (transport_shutdown(&stream->transport) == TRANSPORT_WANT_WRITE) {
		stream->write_events = EV_WRITE;
		return;
	}
	if (stream->linger_ms <= 0) {
		stream_destroy(stream);
		return;
	}
	stream->phase = PHASE_LINGERING;
	stream->phase_deadline = clock_mono_ms() + stream->linger_ms;
	stream_arm(stream);
}

static void after_writing(struct stream *stream, size_t sent)
{
	if (stream->out.len == 0) {
		buf_release(&stream->out);
		stream->write_deadline = 0;
	} else if (sent > 0 || stream->write_deadline == 0) {
		stream->write_deadline = clock_mono_ms() + stream->write_deadline_ms;
		stream_arm(stream);
	}
	if (stream->phase == PHASE_SENDING) {
		if (stream->out.len == 0)
			start_linger(stream);
		return;
	}
	if (stream->was_above_low_water && stream->out.len <= stream->low_water) {
		stream->was_above_low_water = false;
		if (stream->ops->on_drained != NULL)
			stream->ops->on_drained(stream->ctx);
	}
}

/*
 * The peer may have said why before it closed (a 421, a 554): when reading
 * goes on, it meets the end itself, behind those bytes.
 */
static void fail_writing(struct stream *stream, const struct err *why)
{
	break_output(stream);
	if (stream->transport.tls != NULL || !wants_input(stream))
		end(stream, ERR_IO, why->text);
	else
		after_writing(stream, 0);
}

static void flush(struct stream *stream)
{
	enum transport_result result;
	struct err why;
	size_t sent = 0;

	stream->due &= ~(unsigned)DUE_FLUSH;
	if (stream->phase == PHASE_OPEN || stream->phase == PHASE_SENDING) {
		result = transport_write(&stream->transport, stream->out.data, stream->out.len,
					 &sent, &why);
	} else if (stream->phase == PHASE_HANDSHAKE && stream->clear_len > 0) {
		result = transport_write_clear(&stream->transport, stream->out.data,
					       stream->clear_len, &sent, &why);
		stream->clear_len -= sent;
	} else {
		return;
	}
	buf_consume(&stream->out, sent);
	stream->write_events = result == TRANSPORT_WANT_READ ? EV_READ : EV_WRITE;
	if (result == TRANSPORT_FAILED || result == TRANSPORT_END)
		fail_writing(stream, &why);
	else
		after_writing(stream, sent);
	/* Here, not in stream_close: what the older ones had to say has been written by now. */
	loop_trim_orphans(stream->loop);
}
/* --- input ------------------------------------------------------------------- */

static void offer_input(struct stream *stream)
{
	stream->ops->on_input(stream->ctx);
	if (!stream_is_alive(stream))
		return;
	if (stream->view.len > 0) {
		/* Never more than in.max: no more than that was read. */
		int code = buf_append_span(&stream->in, stream->view);

		assert(code == ERR_OK);
		stream->view = (struct span){NULL, 0};
	}
	if (stream->in.len == 0)
		buf_release(&stream->in);
}

/* Most input is consumed at once, and then never leaves the loop's scratch block. */
static void take_input(struct stream *stream, const char *data, size_t len)
{
	if (stream->in.len == 0)
		stream->view = span_make(data, len);
	else
		(void)buf_append(&stream->in, data, len);
	offer_input(stream);
}

static void read_input(struct stream *stream)
{
	char *scratch = loop_scratch(stream->loop);
	size_t room = stream->in.max - stream->in.len;
	enum transport_result result;
	struct err why;
	size_t len;

	stream->due &= ~(unsigned)DUE_READ;
	if (!wants_input(stream))
		return;
	result = transport_read(&stream->transport, scratch,
				room < LOOP_SCRATCH_SIZE ? room : LOOP_SCRATCH_SIZE, &len, &why);
	stream->read_events = result == TRANSPORT_WANT_WRITE ? EV_WRITE : EV_READ;
	if (len > 0)
		take_input(stream, scratch, len);
	else if (result == TRANSPORT_FAILED)
		end(stream, ERR_IO, why.text);
	else if (result == TRANSPORT_END && stream->is_broken)
		end(stream, ERR_IO, "closed by the peer before everything was sent");
	else if (result == TRANSPORT_END)
		end(stream, ERR_CLOSED, "closed by the peer");
}

/* What still comes is of no interest; that the peer closes is. */
static void drop_input(struct stream *stream)
{
	ssize_t got = recv(stream->transport.fd, loop_scratch(stream->loop), LOOP_SCRATCH_SIZE, 0);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		stream_destroy(stream);
}
/* --- beginnings -------------------------------------------------------------- */

static void finish_connect(struct stream *stream)
{
	char text[SOCKET_ERROR_SIZE];
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(stream->transport.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0) {
		end(stream, ERR_IO, socket_error_text(error, text, sizeof(text)));
		return;
	}
	stream->phase = PHASE_OPEN;
	stream->phase_deadline = 0;
	if (stream->out.len > 0)
		stream_make_due(stream, DUE_FLUSH);
	stream->on_connected(stream->ctx);
}

static void go_on_with_handshake(struct stream *stream)
{
	enum transport_result result;
	struct err why;

	if (stream->clear_len > 0)
		return;
	result = transport_handshake(&stream->transport, &why);
	stream->read_events = result == TRANSPORT_WANT_WRITE ? EV_WRITE : EV_READ;
	if (result == TRANSPORT_FAILED)
		end(stream, ERR_IO, why.text);
	if (result != TRANSPORT_DONE)
		return;
	stream->phase = PHASE_OPEN;
	stream->phase_deadline = 0;
	if (stream->out.len > 0)
		stream_make_due(stream, DUE_FLUSH);
	if (stream->ops->on_secured != NULL)
		stream->ops->on_secured(stream->ctx);
}
/* --- what the loop calls ----------------------------------------------------- */

static void on_turn(struct loop_turn *turn)
{
	struct stream *stream = (struct stream *)turn;
	unsigned due = stream->due;

	if (!stream_is_alive(stream)) {
		mem_free(stream);
		return;
	}
	stream->due = 0;
	if ((due & DUE_INPUT) != 0 && stream->phase == PHASE_OPEN && !stream->is_paused &&
	    stream_input_len(stream) > 0)
		offer_input(stream);
	if (stream_is_alive(stream) && (due & DUE_READ) != 0)
		read_input(stream);
	if (stream_is_alive(stream) && ((due | stream->due) & DUE_FLUSH) != 0)
		flush(stream);
	if (stream_is_alive(stream) && stream->phase == PHASE_HANDSHAKE)
		go_on_with_handshake(stream);
	if (stream_is_alive(stream))
		stream_watch(stream);
}

static void on_open_io(struct stream *stream, int events)
{
	/* TLS may want to write in order to read, and the other way round. */
	if (stream->out.len > 0 && (events & stream->write_events) != 0)
		flush(stream);
	if (stream_is_alive(stream) && (events & stream->read_events) != 0)
		read_input(stream);
}

static void on_io(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct stream *stream = watcher->data;

	switch (stream->phase) {
	case PHASE_CONNECTING: finish_connect(stream); break;
	case PHASE_HANDSHAKE:
		flush(stream);
		/* Else the socket, still readable, calls again in the next turn. */
		if (stream->phase == PHASE_HANDSHAKE && loop_may_toil(stream->loop))
			go_on_with_handshake(stream);
		break;
	case PHASE_OPEN: on_open_io(stream, events); break;
	case PHASE_SENDING: flush(stream); break;
	case PHASE_LINGERING: drop_input(stream); break;
	case PHASE_DEAD: break;
	}
	if (stream_is_alive(stream))
		stream_watch(stream);
}

void stream_attach(struct stream *stream, struct loop *loop, int fd)
{
	stream->loop = loop;
	stream->turn.run = on_turn;
	ev_io_init(&stream->io, on_io, fd, 0);
	stream->io.data = stream;
	loop_timer_init(&stream->timer, loop, on_timer);
}
