/* relay/loop/stream.c - a buffered two-way byte stream on a loop: what its owner calls */
#include <config.h>

#include "relay/loop/stream.h"

#include <assert.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "relay/loop/socket.h"
#include "relay/loop/stream_state.h"

#define INPUT_MAX	  ((size_t)64 * 1024)
#define OUTPUT_MAX	  ((size_t)256 * 1024)
#define WRITE_DEADLINE_MS (5 * 60 * 1000)

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
	stream->ops = ops;
	stream->ctx = ctx;
	stream_attach(stream, loop, fd);
	transport_init(&stream->transport, fd);
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
	stream_watch(stream);
	return stream;
}

int stream_connect(struct loop *loop, const void *address, size_t address_len, const void *source,
		   size_t source_len, int64_t deadline_ms, const struct stream_options *options,
		   const struct stream_ops *ops, void *ctx, void (*on_connected)(void *ctx),
		   struct stream **stream_out, struct err *why)
{
	struct stream *stream;
	int fd;
	int code = socket_connect(address, address_len, source, source_len, &fd, why);

	if (code != ERR_OK)
		return code;
	stream = make(loop, fd, options, ops, ctx);
	stream->phase = PHASE_CONNECTING;
	stream->on_connected = on_connected;
	stream->phase_deadline = clock_mono_ms() + deadline_ms;
	stream_arm(stream);
	stream_watch(stream);
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
	stream_destroy(stream);
}

static void end_orphan(struct loop_orphan *orphan)
{
	stream_destroy((struct stream *)((char *)orphan - offsetof(struct stream, orphan)));
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
	stream_arm(stream);
	stream_make_due(stream, DUE_FLUSH);
}

struct span stream_input(const struct stream *stream)
{
	return stream->view.len > 0 ? stream->view : buf_span(&stream->in);
}

void stream_consume(struct stream *stream, size_t len)
{
	loop_assert_owner(stream->loop);
	assert(len <= stream_input_len(stream));
	if (stream->view.len > 0)
		stream->view = span_skip(stream->view, len);
	else
		buf_consume(&stream->in, len);
	stream_watch(stream);
}

void stream_consume_secret(struct stream *stream, size_t len)
{
	struct span input = stream_input(stream);

	assert(len <= input.len);
	if (len > 0)
		secret_wipe((char *)(uintptr_t)input.data, len);
	stream_consume(stream, len);
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
	stream_make_due(stream, DUE_FLUSH);
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

size_t stream_unsent(const struct stream *stream)
{
	return stream->out.len + socket_unsent(stream->transport.fd);
}

void stream_reset_on_close(struct stream *stream)
{
	socket_reset_on_close(stream->transport.fd);
}

void stream_acknowledge(struct stream *stream)
{
	loop_assert_owner(stream->loop);
	socket_acknowledge(stream->transport.fd);
}

void stream_pause(struct stream *stream)
{
	loop_assert_owner(stream->loop);
	stream->is_paused = true;
	stream_watch(stream);
}

void stream_resume(struct stream *stream)
{
	loop_assert_owner(stream->loop);
	stream->is_paused = false;
	if (stream_input_len(stream) > 0)
		stream_make_due(stream, DUE_INPUT);
	stream_watch(stream);
}

void stream_deadline(struct stream *stream, int64_t after_ms)
{
	loop_assert_owner(stream->loop);
	stream->owner_deadline = after_ms != 0 ? clock_mono_ms() + after_ms : 0;
	stream_arm(stream);
}

static int may_start_tls(const struct stream *stream, struct err *why)
{
	loop_assert_owner(stream->loop);
	if (stream->phase != PHASE_OPEN || stream->is_broken || stream->is_ended)
		return err_set(why, ERR_CLOSED, "the connection has ended");
	assert(stream->transport.tls == NULL);
	return ERR_OK;
}

static void start_handshake(struct stream *stream, int64_t handshake_ms)
{
	buf_release(&stream->in);
	stream->view = (struct span){NULL, 0};
	stream->phase = PHASE_HANDSHAKE;
	stream->clear_len = stream->out.len;
	stream->phase_deadline = clock_mono_ms() + handshake_ms;
	stream_arm(stream);
	stream_make_due(stream, DUE_FLUSH);
}

int stream_start_tls(struct stream *stream, struct ssl_ctx_st *context, int64_t handshake_ms,
		     size_t *discarded_out, struct err *why)
{
	size_t discarded = stream_input_len(stream);
	int code = may_start_tls(stream, why);

	if (code == ERR_OK)
		code = transport_start_tls(&stream->transport, context, why);
	if (code != ERR_OK)
		return code;
	start_handshake(stream, handshake_ms);
	if (discarded_out != NULL)
		*discarded_out = discarded;
	return ERR_OK;
}

int stream_start_tls_as_client(struct stream *stream, const struct stream_tls_client *client,
			       size_t *discarded_out, struct err *why)
{
	size_t discarded = stream_input_len(stream);
	int code = may_start_tls(stream, why);

	if (code == ERR_OK)
		code = transport_start_tls_as_client(&stream->transport, client, why);
	if (code != ERR_OK)
		return code;
	start_handshake(stream, client->handshake_ms);
	if (discarded_out != NULL)
		*discarded_out = discarded;
	return ERR_OK;
}

int stream_take_tls(struct stream *stream, struct ssl_ctx_st *context, int64_t handshake_ms,
		    struct err *why)
{
	struct span input = stream_input(stream);
	int code = may_start_tls(stream, why);

	assert(stream->out.len == 0);
	if (code == ERR_OK)
		code = transport_start_tls(&stream->transport, context, why);
	if (code == ERR_OK && input.len > 0)
		code = transport_put_back(&stream->transport, input.data, input.len, why);
	if (code == ERR_OK)
		start_handshake(stream, handshake_ms);
	return code;
}

int stream_write_clear(struct stream *stream, struct span bytes)
{
	int code;

	assert(stream->phase == PHASE_HANDSHAKE && stream->clear_len == stream->out.len);
	code = stream_write(stream, bytes);
	stream->clear_len = stream->out.len;
	return code;
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

static void name_end(const struct stream *stream,
		     int (*ask)(int fd, struct sockaddr *address, socklen_t *len),
		     char text_out[STREAM_NAME_SIZE])
{
	struct sockaddr_storage end;
	socklen_t len = sizeof(end);

	if (ask(stream->transport.fd, (struct sockaddr *)&end, &len) < 0) {
		end.ss_family = AF_UNSPEC;
		len = sizeof(end.ss_family);
	}
	socket_format(&end, len, text_out, STREAM_NAME_SIZE);
}

void stream_peer_name(const struct stream *stream, char text_out[STREAM_NAME_SIZE])
{
	name_end(stream, getpeername, text_out);
}

void stream_own_name(const struct stream *stream, char text_out[STREAM_NAME_SIZE])
{
	name_end(stream, getsockname, text_out);
}
