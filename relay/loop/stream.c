/* relay/loop/stream.c - a buffered two-way byte stream on a loop */
#include <config.h>

#include "relay/loop/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "relay/loop/inside.h"
#include "relay/loop/socket.h"
#include "relay/loop/transport.h"

#define INPUT_MAX	  ((size_t)64 * 1024)
#define OUTPUT_MAX	  ((size_t)256 * 1024)
#define WRITE_DEADLINE_MS (5 * 60 * 1000)

enum phase {
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
	enum phase phase;
	unsigned due;
	int read_events;  /* what reading waits for: EV_READ, or what TLS wants */
	int write_events; /* likewise */
	bool is_paused;
	bool is_ended;	/* on_end was called */
	bool is_broken; /* nothing can be written any more */
	bool was_above_low_water;
};

/* --- what to wait for -------------------------------------------------------- */

static bool is_alive(const struct stream *stream)
{
	return stream->phase != PHASE_DEAD;
}

static size_t input_len(const struct stream *stream)
{
	return stream->view.len > 0 ? stream->view.len : stream->in.len;
}

static bool wants_input(const struct stream *stream)
{
	return stream->phase == PHASE_OPEN && !stream->is_paused && !stream->is_ended &&
	       stream->in.len < stream->in.max;
}

static void make_due(struct stream *stream, unsigned what)
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
static void watch(struct stream *stream)
{
	struct ev_loop *ev = loop_ev(stream->loop);
	int events = wanted_events(stream);

	if (wants_input(stream) && transport_has_pending(&stream->transport))
		make_due(stream, DUE_READ);
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
static void arm(struct stream *stream)
{
	int64_t first = earlier(earlier(stream->owner_deadline, stream->phase_deadline),
				stream->write_deadline);

	if (first == 0 || (stream->timer_at != 0 && stream->timer_at <= first))
		return;
	stream->timer_at = first;
	loop_timer_set(&stream->timer, first - clock_mono_ms());
}

/* --- ends -------------------------------------------------------------------- */

static void destroy(struct stream *stream)
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
		destroy(stream);
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
	if (is_alive(stream))
		arm(stream);
}

/* --- output ------------------------------------------------------------------ */

/* Our last byte is on its way: now the end of our side, then wait for the peer's. */
static void start_linger(struct stream *stream)
{
	if (stream->linger_ms <= 0 && stream->transport.tls == NULL) {
		destroy(stream); /* close() says it as well */
		return;
	}
	if (transport_shutdown(&stream->transport) == TRANSPORT_WANT_WRITE) {
		stream->write_events = EV_WRITE;
		return;
	}
	if (stream->linger_ms <= 0) {
		destroy(stream);
		return;
	}
	stream->phase = PHASE_LINGERING;
	stream->phase_deadline = clock_mono_ms() + stream->linger_ms;
	arm(stream);
}

static void after_writing(struct stream *stream, size_t sent)
{
	if (stream->out.len == 0) {
		buf_release(&stream->out);
		stream->write_deadline = 0;
	} else if (sent > 0 || stream->write_deadline == 0) {
		stream->write_deadline = clock_mono_ms() + stream->write_deadline_ms;
		arm(stream);
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
}

/* --- input ------------------------------------------------------------------- */

static void offer_input(struct stream *stream)
{
	stream->ops->on_input(stream->ctx);
	if (!is_alive(stream))
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
		destroy(stream);
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
		make_due(stream, DUE_FLUSH);
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
		make_due(stream, DUE_FLUSH);
	if (stream->ops->on_secured != NULL)
		stream->ops->on_secured(stream->ctx);
}

/* --- what the loop calls ----------------------------------------------------- */

static void on_turn(struct loop_turn *turn)
{
	struct stream *stream = (struct stream *)turn;
	unsigned due = stream->due;

	if (!is_alive(stream)) {
		mem_free(stream);
		return;
	}
	stream->due = 0;
	if ((due & DUE_INPUT) != 0 && stream->phase == PHASE_OPEN && !stream->is_paused &&
	    input_len(stream) > 0)
		offer_input(stream);
	if (is_alive(stream) && (due & DUE_READ) != 0)
		read_input(stream);
	if (is_alive(stream) && ((due | stream->due) & DUE_FLUSH) != 0)
		flush(stream);
	if (is_alive(stream) && stream->phase == PHASE_HANDSHAKE)
		go_on_with_handshake(stream);
	if (is_alive(stream))
		watch(stream);
}

static void on_open_io(struct stream *stream, int events)
{
	/* TLS may want to write in order to read, and the other way round. */
	if (stream->out.len > 0 && (events & stream->write_events) != 0)
		flush(stream);
	if (is_alive(stream) && (events & stream->read_events) != 0)
		read_input(stream);
}

static void on_io(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct stream *stream = watcher->data;

	switch (stream->phase) {
	case PHASE_CONNECTING: finish_connect(stream); break;
	case PHASE_HANDSHAKE:
		flush(stream);
		if (stream->phase == PHASE_HANDSHAKE)
			go_on_with_handshake(stream);
		break;
	case PHASE_OPEN: on_open_io(stream, events); break;
	case PHASE_SENDING: flush(stream); break;
	case PHASE_LINGERING: drop_input(stream); break;
	case PHASE_DEAD: break;
	}
	if (is_alive(stream))
		watch(stream);
}

/* --- the public face --------------------------------------------------------- */

static size_t or_default(size_t value, size_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static struct stream *make(struct loop *loop, int fd, const struct stream_options *options,
			   const struct stream_ops *ops, void *ctx)
{
	static const struct stream_options none;
	struct stream *stream = mem_zalloc(sizeof(*stream));

	loop_assert_owner(loop);
	options = options != NULL ? options : &none;
	socket_prepare(fd);
	stream->turn.run = on_turn;
	stream->loop = loop;
	stream->ops = ops;
	stream->ctx = ctx;
	transport_init(&stream->transport, fd);
	ev_io_init(&stream->io, on_io, fd, 0);
	stream->io.data = stream;
	loop_timer_init(&stream->timer, loop, on_timer);
	buf_init(&stream->in, or_default(options->input_max, INPUT_MAX));
	buf_init(&stream->out, or_default(options->output_max, OUTPUT_MAX));
	stream->low_water = or_default(options->low_water, stream->out.max / 4);
	stream->write_deadline_ms = options->write_deadline_ms != 0 ? options->write_deadline_ms
								    : WRITE_DEADLINE_MS;
	stream->read_events = EV_READ;
	stream->write_events = EV_WRITE;
	loop_count_owned(loop, 1);
	return stream;
}

struct stream *stream_new(struct loop *loop, int fd, const struct stream_options *options,
			  const struct stream_ops *ops, void *ctx)
{
	struct stream *stream = make(loop, fd, options, ops, ctx);

	stream->phase = PHASE_OPEN;
	watch(stream);
	return stream;
}

static int dial(const void *address, size_t address_len, const void *source, size_t source_len,
		int *fd_out, struct err *why)
{
	const struct sockaddr *target = address;
	char text[SOCKET_ERROR_SIZE];
	const char *what = "no socket";
	int one = 1;
	int fd = socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		goto failed;
	if (source != NULL) {
		what = "source address";
		/* The port is chosen in connect(), where four numbers tell connections apart. */
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, source, (socklen_t)source_len) < 0)
			goto failed;
	}
	what = "connect";
	/* Interrupted it goes on by itself, like one in progress. */
	if (connect(fd, target, (socklen_t)address_len) < 0 && errno != EINPROGRESS &&
	    errno != EINTR)
		goto failed;
	*fd_out = fd;
	return ERR_OK;

failed:
	err_set(why, ERR_IO, "%s: %s", what, socket_error_text(errno, text, sizeof(text)));
	if (fd >= 0)
		close(fd);
	return ERR_IO;
}

int stream_connect(struct loop *loop, const void *address, size_t address_len, const void *source,
		   size_t source_len, int64_t deadline_ms, const struct stream_options *options,
		   const struct stream_ops *ops, void *ctx, void (*on_connected)(void *ctx),
		   struct stream **stream_out, struct err *why)
{
	struct stream *stream;
	int fd;
	int code = dial(address, address_len, source, source_len, &fd, why);

	if (code != ERR_OK)
		return code;
	stream = make(loop, fd, options, ops, ctx);
	stream->phase = PHASE_CONNECTING;
	stream->on_connected = on_connected;
	stream->phase_deadline = clock_mono_ms() + deadline_ms;
	arm(stream);
	watch(stream);
	*stream_out = stream;
	return ERR_OK;
}

void stream_free(struct stream **stream_ptr)
{
	struct stream *stream = *stream_ptr;

	if (stream == NULL)
		return;
	loop_assert_owner(stream->loop);
	*stream_ptr = NULL;
	loop_count_owned(stream->loop, -1);
	destroy(stream);
}

static void end_orphan(struct loop_orphan *orphan)
{
	destroy((struct stream *)((char *)orphan - offsetof(struct stream, orphan)));
}

void stream_close(struct stream **stream_ptr, int64_t linger_ms)
{
	struct stream *stream = *stream_ptr;

	if (stream == NULL)
		return;
	if (stream->phase != PHASE_OPEN || stream->is_broken) {
		stream_free(stream_ptr);
		return;
	}
	loop_assert_owner(stream->loop);
	*stream_ptr = NULL;
	loop_count_owned(stream->loop, -1);
	stream->orphan.end = end_orphan;
	loop_adopt(stream->loop, &stream->orphan);
	buf_release(&stream->in);
	stream->view = (struct span){NULL, 0};
	stream->phase = PHASE_SENDING;
	stream->linger_ms = linger_ms;
	stream->owner_deadline = 0;
	/* All of it in this time, not only some: nobody is interested in this peer any more. */
	stream->phase_deadline = clock_mono_ms() + stream->write_deadline_ms;
	arm(stream);
	make_due(stream, DUE_FLUSH);
}

struct span stream_input(const struct stream *stream)
{
	return stream->view.len > 0 ? stream->view : buf_span(&stream->in);
}

void stream_consume(struct stream *stream, size_t len)
{
	loop_assert_owner(stream->loop);
	assert(len <= input_len(stream));
	if (stream->view.len > 0)
		stream->view = span_skip(stream->view, len);
	else
		buf_consume(&stream->in, len);
	watch(stream);
}

int stream_write(struct stream *stream, struct span bytes)
{
	loop_assert_owner(stream->loop);
	if (stream->is_broken || bytes.len == 0)
		return ERR_OK;
	if (buf_append_span(&stream->out, bytes) != ERR_OK)
		return ERR_LIMIT;
	if (stream->out.len > stream->low_water)
		stream->was_above_low_water = true;
	make_due(stream, DUE_FLUSH);
	return ERR_OK;
}

size_t stream_output_pending(const struct stream *stream)
{
	return stream->out.len;
}

size_t stream_output_room(const struct stream *stream)
{
	return stream->out.max - stream->out.len;
}

void stream_pause(struct stream *stream)
{
	loop_assert_owner(stream->loop);
	stream->is_paused = true;
	watch(stream);
}

void stream_resume(struct stream *stream)
{
	loop_assert_owner(stream->loop);
	stream->is_paused = false;
	if (input_len(stream) > 0)
		make_due(stream, DUE_INPUT);
	watch(stream);
}

void stream_deadline(struct stream *stream, int64_t after_ms)
{
	loop_assert_owner(stream->loop);
	stream->owner_deadline = after_ms != 0 ? clock_mono_ms() + after_ms : 0;
	arm(stream);
}

int stream_start_tls(struct stream *stream, struct ssl_ctx_st *context, bool is_server,
		     const char *server_name, int64_t handshake_ms, size_t *discarded_out,
		     struct err *why)
{
	size_t discarded = input_len(stream);
	int code;

	loop_assert_owner(stream->loop);
	if (stream->phase != PHASE_OPEN || stream->is_broken || stream->is_ended)
		return err_set(why, ERR_CLOSED, "the connection has ended");
	assert(stream->transport.tls == NULL);
	code = transport_start_tls(&stream->transport, context, is_server, server_name, why);
	if (code != ERR_OK)
		return code;
	buf_release(&stream->in);
	stream->view = (struct span){NULL, 0};
	stream->phase = PHASE_HANDSHAKE;
	stream->clear_len = stream->out.len;
	stream->phase_deadline = clock_mono_ms() + handshake_ms;
	arm(stream);
	make_due(stream, DUE_FLUSH);
	if (discarded_out != NULL)
		*discarded_out = discarded;
	return ERR_OK;
}

const char *stream_tls_description(const struct stream *stream)
{
	return stream->transport.description;
}

struct ssl_st *stream_tls(const struct stream *stream)
{
	return stream->transport.description != NULL ? stream->transport.tls : NULL;
}

uint64_t stream_bytes_in(const struct stream *stream)
{
	return transport_bytes_in(&stream->transport);
}

uint64_t stream_bytes_out(const struct stream *stream)
{
	return transport_bytes_out(&stream->transport);
}

void stream_peer_name(const struct stream *stream, char text_out[STREAM_NAME_SIZE])
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	if (getpeername(stream->transport.fd, (struct sockaddr *)&peer, &len) < 0) {
		peer.ss_family = AF_UNSPEC;
		len = sizeof(peer.ss_family);
	}
	socket_format(&peer, len, text_out, STREAM_NAME_SIZE);
}
