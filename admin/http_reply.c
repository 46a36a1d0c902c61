/* admin/http_reply.c - what a request is answered: at once, piece by piece, or as long as it lasts
 */
#include <config.h>

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "admin/http_inside.h"
#include "base/clock.h"
#include "base/mem.h"

#define SOURCE_BLOCK_BYTES ((size_t)64 * 1024)
#define LIVE_BLOCK_BYTES   ((size_t)1024) /* not used where the size is unknown */

/* On every reply, whatever its status, that has not one of its own. */
static const char *const security_headers[][2] = {
	{"Cache-Control", "no-store"},
	{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Referrer-Policy", "no-referrer"},
	{"X-Content-Type-Options", "nosniff"},
};

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
	assert(request->header_count < REPLY_HEADERS_MAX && request->response == NULL);
	request->headers[request->header_count].name = mem_strdup(name);
	request->headers[request->header_count++].value = mem_strdup(value);
}

static bool has_own_header(const struct http_request *request, const char *name)
{
	for (size_t i = 0; i < request->header_count; i++)
		if (span_is_fold(span_of(request->headers[i].name), name))
			return true;
	return false;
}

static void add_headers(struct http_request *request, const char *type)
{
	struct MHD_Response *response = request->response;

	for (size_t i = 0; i < sizeof(security_headers) / sizeof(security_headers[0]); i++)
		if (!has_own_header(request, security_headers[i][0]))
			(void)MHD_add_response_header(response, security_headers[i][0],
						      security_headers[i][1]);
	if (type != NULL)
		(void)MHD_add_response_header(response, "Content-Type", type);
	for (size_t i = 0; i < request->header_count; i++)
		(void)MHD_add_response_header(response, request->headers[i].name,
					      request->headers[i].value);
}

static void free_bytes(void *bytes)
{
	mem_free(bytes);
}

void http_reply(struct http_request *request, int status, const char *type, struct buf *body)
{
	size_t len = 0;
	char *bytes = body != NULL && body->len > 0 ? buf_take(body, &len) : NULL;

	assert(request->response == NULL);
	request->status = status;
	request->response =
		bytes != NULL
			? MHD_create_response_from_buffer_with_free_callback(len, bytes, free_bytes)
			: MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	assert(request->response != NULL);
	add_headers(request, type);
}

/* What the library has of a source. The request may be gone when it is released. */
struct stream {
	struct http_source source;
	struct http_request *request;
	int64_t stall_ms; /* 0: it does not wait */
};

static ssize_t read_source(void *ctx, uint64_t position, char *bytes_out, size_t max)
{
	const struct stream *stream = ctx;
	struct connection *connection = stream->request->connection;
	const struct http_options *options = &stream->request->server->options;
	size_t len;

	if (stream->stall_ms > 0) {
		connection_set_aside(connection, false);
		connection_set_deadline(connection, clock_mono_ms() + stream->stall_ms);
	} else {
		connection_prolong(connection, clock_mono_ms() + options->piece_deadline_ms);
	}
	len = stream->source.read(stream->source.source, bytes_out, max);
	if (len == HTTP_SOURCE_LATER)
		return 0;
	if (len == HTTP_SOURCE_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return len > 0 ? (ssize_t)len : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void release_source(void *ctx)
{
	struct stream *stream = ctx;

	stream->source.release(stream->source.source);
	mem_free(stream);
}

/* A peer that is gone without a word is noticed by what it does not acknowledge. */
static void watch_peer(const struct http_request *request, int64_t stall_ms)
{
	unsigned int ms = (unsigned int)stall_ms;
	int fd = MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
			 ->connect_fd;

	if (!http_peer(request)->local)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

static void reply_from(struct http_request *request, int status, const char *type, uint64_t size,
		       size_t block_bytes, const struct stream *stream)
{
	struct stream *copy = mem_alloc(sizeof(*copy));

	assert(request->response == NULL);
	*copy = *stream;
	request->status = status;
	request->response = MHD_create_response_from_callback(
		size == HTTP_SIZE_UNKNOWN ? MHD_SIZE_UNKNOWN : size, block_bytes, read_source, copy,
		release_source);
	assert(request->response != NULL);
	add_headers(request, type);
}

void http_reply_stream(struct http_request *request, int status, const char *type, uint64_t size,
		       const struct http_source *source)
{
	reply_from(request, status, type, size, SOURCE_BLOCK_BYTES,
		   &(struct stream){.source = *source, .request = request});
}

void http_reply_live(struct http_request *request, const char *type, int64_t stall_ms,
		     const struct http_source *source)
{
	watch_peer(request, stall_ms);
	reply_from(request, 200, type, HTTP_SIZE_UNKNOWN, LIVE_BLOCK_BYTES,
		   &(struct stream){.source = *source, .request = request, .stall_ms = stall_ms});
}

void http_stream_suspend(struct http_request *request)
{
	connection_set_aside(request->connection, true);
	connection_set_deadline(request->connection, INT64_MAX);
	MHD_suspend_connection(request->mhd);
}
