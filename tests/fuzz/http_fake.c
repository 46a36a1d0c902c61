/* tests/fuzz/http_fake.c - admin/http.h without a socket: one request after the other, by hand */
#include <config.h>

#include "tests/fuzz/http_fake.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"

#define WAKE_AFTER_MS  20
#define PIECE_BYTES    100
#define NO_ANSWER_SECS 30

static const char *const hosts[] = {"localhost", "127.0.0.1"};

void fake_init(struct http_request *request, const struct http_ops *ops, void *ctx)
{
	*request = (struct http_request){.ops = ops, .ctx = ctx};
	(void)pthread_mutex_init(&request->lock, NULL);
	(void)pthread_cond_init(&request->moved, NULL);
	buf_init(&request->reply, (size_t)64 * 1024 * 1024);
}

void fake_release(struct http_request *request)
{
	request->ops->end(request->ctx, request);
	if (request->source.release != NULL)
		request->source.release(request->source.source);
	for (size_t i = 0; i < request->header_count; i++) {
		mem_free(request->headers[i].name);
		mem_free(request->headers[i].value);
	}
	for (size_t i = 0; i < request->reply_header_count; i++) {
		mem_free(request->reply_headers[i].name);
		mem_free(request->reply_headers[i].value);
	}
	mem_free(request->type);
	buf_release(&request->reply);
	(void)pthread_mutex_destroy(&request->lock);
	(void)pthread_cond_destroy(&request->moved);
}

/* --- what came in -------------------------------------------------------------------------- */

void fake_header(struct http_request *request, struct span name, struct span value)
{
	struct fake_field *copy;

	if (request->header_count == FAKE_HEADERS_MAX)
		return;
	copy = &request->headers[request->header_count++];
	copy->name = mem_span_dup(name);
	copy->value = mem_span_dup(value);
	hygiene_header(&request->hygiene, span_make(copy->name, name.len),
		       span_make(copy->value, value.len));
}

static void read_head(struct http_request *request, struct span *text)
{
	struct span line = span_cut(text, '\n');

	request->hygiene.method = span_cut(&line, ' ');
	request->hygiene.target = span_cut(&line, ' ');
	request->hygiene.version = line.len > 0 ? line : span_of("HTTP/1.1");
	while (text->len > 0) {
		line = span_cut(text, '\n');
		if (line.len == 0)
			return;
		fake_header(request, span_first(line, span_find(line, ':')),
			    span_trim(span_skip(line, span_find(line, ':') + 1)));
	}
}

void fake_read(struct http_request *request, struct span text)
{
	char length[24];

	read_head(request, &text);
	request->body = text;
	if (request->hygiene.hosts == 0)
		fake_header(request, span_of("Host"), span_of("localhost"));
	if (request->hygiene.lengths + request->hygiene.encodings > 0 || text.len == 0)
		return;
	(void)snprintf(length, sizeof(length), "%zu", text.len);
	fake_header(request, span_of("Content-Length"), span_of(length));
}

/* --- its way -----------------------------------------------------------------------------------
 */

static void refuse(struct http_request *request, int status, const char *detail)
{
	request->ops->refuse(request->ctx, request, status, detail);
	assert(request->status == status);
}

bool fake_begin(struct http_request *request)
{
	const char *detail = "";
	int status = hygiene_check(&request->hygiene, &detail);

	if (status != 0) {
		refuse(request, status, detail);
	} else if (!request->peer.local &&
		   !hygiene_host_allowed(request->hygiene.authority, hosts,
					 sizeof(hosts) / sizeof(hosts[0]))) {
		refuse(request, 421, "this Host is not served here (admin.hosts)");
	} else {
		request->ops->begin(request->ctx, request, &request->limit);
		if (request->status == 0 && (request->hygiene.content_bytes > request->limit ||
					     request->body.len > request->limit))
			refuse(request, 413, "the body is larger than this request allows");
	}
	return request->status == 0;
}

static struct timespec in_ms(int64_t ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += (long)(ms % 1000) * 1000000L;
	at.tv_sec += (time_t)(ms / 1000) + at.tv_nsec / 1000000000L;
	at.tv_nsec %= 1000000000L;
	return at;
}

static bool wait_until(struct http_request *request, struct timespec at)
{
	bool resumed;

	pthread_mutex_lock(&request->lock);
	while (!request->resumed &&
	       pthread_cond_timedwait(&request->moved, &request->lock, &at) != ETIMEDOUT)
		;
	resumed = request->resumed;
	pthread_mutex_unlock(&request->lock);
	return resumed;
}

static void wait_for_resume(struct http_request *request, void (*wake)(void *ctx))
{
	bool resumed = wait_until(request, in_ms(WAKE_AFTER_MS));

	if (!resumed) {
		wake(request->ctx);
		resumed = wait_until(request, in_ms(NO_ANSWER_SECS * 1000));
	}
	assert(resumed); /* else it is lost: nobody would ever answer it */
	request->suspended = false;
	request->resumed = false;
}

static void read_source(struct http_request *request, void (*wake)(void *ctx))
{
	while (request->reply.len < FAKE_STREAM_BYTES) {
		char bytes[4096];
		size_t len = request->source.read(request->source.source, bytes, sizeof(bytes));

		if (len == HTTP_SOURCE_END)
			return;
		if (len == HTTP_SOURCE_LATER) {
			wait_for_resume(request, wake);
			continue;
		}
		assert(len <= sizeof(bytes));
		request->is_cut = len == 0;
		if (len == 0)
			return;
		assert(buf_append(&request->reply, bytes, len) == ERR_OK);
	}
	request->is_cut = true;
}

static void go_on(struct http_request *request, void (*wake)(void *ctx))
{
	while (request->suspended) {
		assert(request->status == 0);
		wait_for_resume(request, wake);
		request->then(request->ctx, request);
	}
}

/* To whom wants no body, but what it is made of. */
static void give_pieces(struct http_request *request, void (*wake)(void *ctx))
{
	struct span rest = request->body;

	while (request->piece != NULL && rest.len > 0) {
		request->piece(request->ctx, request, span_first(rest, PIECE_BYTES));
		rest = span_skip(rest, PIECE_BYTES);
		go_on(request, wake);
		assert(request->status == 0);
	}
}

void fake_ask(struct http_request *request, void (*wake)(void *ctx))
{
	if (fake_begin(request)) {
		give_pieces(request, wake);
		request->ops->handle(request->ctx, request);
	}
	go_on(request, wake);
	assert(request->status != 0);
	if (request->source.read != NULL)
		read_source(request, wake);
}

/* --- admin/http.h ---------------------------------------------------------------------------- */

struct span http_method(const struct http_request *request)
{
	return request->hygiene.method;
}

struct span http_path(const struct http_request *request)
{
	return request->hygiene.path;
}

struct span http_query(const struct http_request *request)
{
	return request->hygiene.query;
}

struct span http_host(const struct http_request *request)
{
	return request->hygiene.authority;
}

bool http_is_tls(const struct http_request *request)
{
	(void)request;
	return false;
}

bool http_has_body(const struct http_request *request)
{
	return request->hygiene.has_body;
}

struct span http_body(const struct http_request *request)
{
	/* As there, whoever gets pieces has nothing left. */
	return request->piece != NULL || request->is_dropped ? span_make(NULL, 0) : request->body;
}

void http_drop_body(struct http_request *request)
{
	request->is_dropped = true;
}

uint64_t http_content_bytes(const struct http_request *request)
{
	return request->hygiene.content_bytes;
}

void http_take_pieces(struct http_request *request,
		      void (*piece)(void *ctx, struct http_request *request, struct span bytes))
{
	request->piece = piece;
}

int64_t http_took_us(const struct http_request *request)
{
	(void)request;
	return 0;
}

size_t http_connections(const struct http_request *request)
{
	(void)request;
	return 1;
}

const struct http_peer *http_peer(const struct http_request *request)
{
	return &request->peer;
}

const char *http_header(const struct http_request *request, const char *name, size_t *count_out)
{
	const char *value = NULL;
	size_t count = 0;

	for (size_t i = 0; i < request->header_count; i++)
		if (span_is_fold(span_of(request->headers[i].name), name) && count++ == 0)
			value = request->headers[i].value;
	if (count_out != NULL)
		*count_out = count;
	return value;
}

void http_set_data(struct http_request *request, void *data)
{
	request->data = data;
}

void *http_data(const struct http_request *request)
{
	return request->data;
}

static void set_aside(struct http_request *request)
{
	pthread_mutex_lock(&request->lock);
	assert(!request->suspended);
	request->suspended = true;
	pthread_mutex_unlock(&request->lock);
}

void http_suspend(struct http_request *request, void (*then)(void *ctx, struct http_request *))
{
	assert(request->status == 0);
	request->then = then;
	set_aside(request);
}

void http_stream_suspend(struct http_request *request)
{
	assert(request->status != 0);
	set_aside(request);
}

void http_resume(struct http_request *request)
{
	pthread_mutex_lock(&request->lock);
	assert(request->suspended && !request->resumed);
	request->resumed = true;
	(void)pthread_cond_signal(&request->moved);
	pthread_mutex_unlock(&request->lock);
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
	assert(request->reply_header_count < FAKE_REPLY_MAX && request->status == 0);
	request->reply_headers[request->reply_header_count].name = mem_strdup(name);
	request->reply_headers[request->reply_header_count++].value = mem_strdup(value);
}

static void begin_reply(struct http_request *request, int status, const char *type)
{
	assert(request->status == 0 && !request->suspended && status >= 200 && status < 600);
	request->status = status;
	request->type = type != NULL ? mem_strdup(type) : NULL;
}

void http_reply(struct http_request *request, int status, const char *type, struct buf *body)
{
	begin_reply(request, status, type);
	if (body != NULL && body->len > 0)
		assert(buf_append_span(&request->reply, buf_span(body)) == ERR_OK);
}

void http_reply_stream(struct http_request *request, int status, const char *type, uint64_t size,
		       const struct http_source *source)
{
	(void)size;
	begin_reply(request, status, type);
	request->source = *source;
}

void http_reply_live(struct http_request *request, const char *type, int64_t stall_ms,
		     const struct http_source *source)
{
	assert(stall_ms > 0);
	http_reply_stream(request, 200, type, HTTP_SIZE_UNKNOWN, source);
}

int http_status(const struct http_request *request)
{
	return request->status;
}
