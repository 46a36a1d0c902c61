/* admin/http.c - requests as libmicrohttpd hands them in, suspended and resumed; start and stop.
 * It and the other http files are the only ones that see the library. */
#include <config.h>

#include "admin/http_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/http_tls.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define MEMORY_PER_CONNECTION ((size_t)32 * 1024) /* holds the whole header: more is 431 */
#define IDLE_SECONDS	      30U
#define BODY_BYTES_PER_MS     64 /* who is slower is not waited for when the deadline has come */

static int64_t request_deadline(const struct http_server *server)
{
	return clock_mono_ms() + server->options.request_deadline_ms;
}

/* --- connections ------------------------------------------------------------------------- */

static struct connection *open_connection(struct http_server *server, struct MHD_Connection *mhd)
{
	return connection_open(
		server->connections,
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
		request_deadline(server));
}

static void on_connection(void *ctx, struct MHD_Connection *mhd, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = open_connection(ctx, mhd);
	} else if (*socket_context != NULL) {
		connection_close(*socket_context);
		*socket_context = NULL;
	}
}

struct http_tls *http_tls_of(struct MHD_Connection *mhd)
{
	const struct http_server *server = connection_owner(
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);

	return server->options.tls;
}

/* --- requests ---------------------------------------------------------------------------- */

/* The request line is in: the life of a request begins. */
static void *on_target(void *ctx, const char *uri, struct MHD_Connection *mhd)
{
	struct http_request *request = mem_zalloc(sizeof(*request));

	request->server = ctx;
	request->began_at = clock_mono_ms();
	request->mhd = mhd;
	request->connection =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	request->target = mem_strdup(uri);
	return request;
}

static void on_completed(void *ctx, struct MHD_Connection *mhd, void **request_context,
			 enum MHD_RequestTerminationCode why)
{
	struct http_request *request = *request_context;

	if (request == NULL)
		return;
	*request_context = NULL;
	request->server->options.ops->end(request->server->options.ctx, request);
	connection_set_aside(request->connection, false); /* resumed, but the peer was gone */
	connection_set_deadline(request->connection, request_deadline(request->server));
	connection_set_busy(request->connection, false);
	if (request->response != NULL)
		MHD_destroy_response(request->response);
	for (size_t i = 0; i < request->header_count; i++) {
		mem_free(request->headers[i].name);
		mem_free(request->headers[i].value);
	}
	buf_release(&request->body);
	mem_free(request->target);
	mem_free(request);
}

static enum MHD_Result on_header(void *ctx, enum MHD_ValueKind kind, const char *name,
				 size_t name_len, const char *value, size_t value_len)
{
	hygiene_header(ctx, span_make(name, name_len), span_make(value, value_len));
	return MHD_YES;
}

/* No decoding: a path is looked up as it was sent, so %00 and %2f can't change what it names. */
static size_t on_unescape(void *ctx, struct MHD_Connection *mhd, char *text)
{
	return strlen(text);
}

static enum MHD_Result queue_reply(struct http_request *request)
{
	enum MHD_Result queued;

	assert(request->response != NULL);
	request->phase = PHASE_REPLIED;
	request->replied_us = clock_mono_us();
	connection_set_deadline(request->connection,
				clock_mono_ms() + request->server->options.reply_deadline_ms);
	queued = MHD_queue_response(request->mhd, (unsigned int)request->status, request->response);
	MHD_destroy_response(request->response);
	request->response = NULL;
	return queued;
}

/* A reply made before the body has come. It will not be read, so the connection can't be used
 * again; without a body, waiting for the next call of the library spares the connection. */
static enum MHD_Result queue_early_reply(struct http_request *request)
{
	if (!request->hygiene.has_body) {
		request->phase = PHASE_ANSWERED;
		return MHD_YES;
	}
	(void)MHD_add_response_header(request->response, "Connection", "close");
	return queue_reply(request);
}

static enum MHD_Result refuse(struct http_request *request, int status, const char *detail)
{
	request->server->options.ops->refuse(request->server->options.ctx, request, status, detail);
	(void)MHD_add_response_header(request->response, "Connection", "close");
	return queue_reply(request);
}

static enum MHD_Result header_complete(struct http_request *request, const char *method,
				       const char *version)
{
	const struct http_options *options = &request->server->options;
	struct hygiene *hygiene = &request->hygiene;
	const char *detail = "";
	size_t body_limit = 0;
	int status;

	connection_set_busy(request->connection, true);
	request->complete_us = clock_mono_us();
	hygiene->method = span_of(method);
	hygiene->version = span_of(version);
	hygiene->target = span_of(request->target);
	(void)MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, on_header, hygiene);
	status = hygiene_check(hygiene, &detail);
	if (status != 0)
		return refuse(request, status, detail);
	if (!http_peer(request)->local &&
	    !hygiene_host_allowed(hygiene->authority, options->hosts, options->host_count))
		return refuse(request, 421, "this Host is not served here (admin.hosts)");
	options->ops->begin(options->ctx, request, &body_limit);
	if (request->response != NULL)
		return queue_early_reply(request);
	if (hygiene->content_bytes > body_limit)
		return refuse(request, 413, "the body is larger than this request allows");
	request->body_limit = body_limit;
	buf_init(&request->body, body_limit);
	request->phase = PHASE_BODY;
	return MHD_YES;
}

/* So long for what has come of the body. */
static void extend_deadline(struct http_request *request)
{
	connection_set_deadline(request->connection,
				request->began_at + request->server->options.request_deadline_ms +
					(int64_t)(request->body_came / BODY_BYTES_PER_MS));
}

/* Past the limit the rest is read and forgotten: the library lets us answer only at its end. */
static enum MHD_Result body_piece(struct http_request *request, const char *bytes, size_t *len)
{
	struct span piece = span_make(bytes, *len);

	*len = 0;
	if (!request->body_over && piece.len > request->body_limit - request->body_came) {
		request->body_over = true;
		buf_release(&request->body);
	}
	if (request->body_over)
		return MHD_YES;
	request->body_came += piece.len;
	extend_deadline(request);
	if (request->piece != NULL)
		request->piece(request->server->options.ctx, request, piece);
	else if (buf_append_span(&request->body, piece) != ERR_OK)
		return MHD_NO; /* its ceiling is the limit */
	return MHD_YES;
}

/* After `handle` or `then`: either a reply is there, or somebody will resume. */
static enum MHD_Result after_work(struct http_request *request)
{
	if (request->response != NULL)
		return queue_reply(request);
	return MHD_YES;
}

static enum MHD_Result body_complete(struct http_request *request)
{
	const struct http_options *options = &request->server->options;

	if (request->body_over)
		return refuse(request, 413, "the body is larger than this request allows");
	connection_set_deadline(request->connection, INT64_MAX);
	request->phase = PHASE_REPLIED;
	request->complete_us = clock_mono_us();
	options->ops->handle(options->ctx, request);
	return after_work(request);
}

static enum MHD_Result resumed(struct http_request *request)
{
	void (*then)(void *, struct http_request *) = request->then;

	connection_set_aside(request->connection, false);
	request->phase = PHASE_REPLIED;
	then(request->server->options.ctx, request);
	return after_work(request);
}

/* The library offers what it has read already while the request is still aside. */
static bool is_aside(struct MHD_Connection *mhd)
{
	return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED)->suspended ==
	       MHD_YES;
}

/* Inside the body: what came meanwhile is next, as if nothing had been. */
static enum MHD_Result body_resumed(struct http_request *request, const char *bytes, size_t *len)
{
	if (is_aside(request->mhd))
		return MHD_YES; /* and *len says that nothing was taken */
	connection_set_aside(request->connection, false);
	request->began_at += clock_mono_ms() - request->aside_at;
	extend_deadline(request);
	request->body_open = false;
	request->phase = PHASE_BODY;
	request->then(request->server->options.ctx, request);
	if (request->phase == PHASE_SUSPENDED)
		return MHD_YES; /* again; the bytes are offered once more */
	return *len > 0 ? body_piece(request, bytes, len) : body_complete(request);
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *mhd, const char *url,
				 const char *method, const char *version, const char *upload,
				 size_t *upload_len, void **request_context)
{
	struct http_request *request = *request_context;

	switch (request->phase) {
	case PHASE_HEADER: return header_complete(request, method, version);
	case PHASE_ANSWERED: return queue_reply(request);
	case PHASE_BODY:
		return *upload_len > 0 ? body_piece(request, upload, upload_len)
				       : body_complete(request);
	case PHASE_SUSPENDED:
		return request->body_open ? body_resumed(request, upload, upload_len)
					  : resumed(request);
	case PHASE_REPLIED: break;
	}
	return MHD_NO;
}

/* --- what the routes see ------------------------------------------------------------------ */

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
	return MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_PROTOCOL) != NULL;
}

bool http_has_body(const struct http_request *request)
{
	return request->hygiene.has_body;
}

struct span http_body(const struct http_request *request)
{
	return buf_span(&request->body);
}

void http_drop_body(struct http_request *request)
{
	buf_release(&request->body);
}

uint64_t http_content_bytes(const struct http_request *request)
{
	return request->hygiene.content_bytes;
}

const struct http_peer *http_peer(const struct http_request *request)
{
	return connection_peer(request->connection);
}

struct header_search {
	struct span name;
	const char *value;
	size_t count;
};

static enum MHD_Result find_header(void *ctx, enum MHD_ValueKind kind, const char *name,
				   size_t name_len, const char *value, size_t value_len)
{
	struct header_search *search = ctx;

	if (span_equal_fold(search->name, span_make(name, name_len)) && search->count++ == 0)
		search->value = value != NULL ? value : "";
	return MHD_YES;
}

const char *http_header(const struct http_request *request, const char *name, size_t *count_out)
{
	struct header_search search = {span_of(name), NULL, 0};

	(void)MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, find_header, &search);
	if (count_out != NULL)
		*count_out = search.count;
	return search.value;
}

void http_take_pieces(struct http_request *request,
		      void (*piece)(void *ctx, struct http_request *request, struct span bytes))
{
	request->piece = piece;
}

void http_set_data(struct http_request *request, void *data)
{
	request->data = data;
}

void *http_data(const struct http_request *request)
{
	return request->data;
}

void http_suspend(struct http_request *request, void (*then)(void *ctx, struct http_request *))
{
	assert(request->response == NULL);
	request->then = then;
	request->body_open = request->phase == PHASE_BODY;
	request->aside_at = clock_mono_ms();
	request->phase = PHASE_SUSPENDED;
	connection_set_aside(request->connection, true);
	connection_set_deadline(request->connection, INT64_MAX);
	MHD_suspend_connection(request->mhd);
}

void http_resume(struct http_request *request)
{
	MHD_resume_connection(request->mhd);
}

int64_t http_took_us(const struct http_request *request)
{
	return request->replied_us - request->complete_us;
}

size_t http_connections(const struct http_request *request)
{
	return connections_count(request->server->connections);
}

int http_status(const struct http_request *request)
{
	return request->status;
}

/* --- start and stop ----------------------------------------------------------------------- */

static void on_library_log(void *ctx, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
static void on_library_log(void *ctx, const char *format, va_list args)
{
	char text[300];

	(void)vsnprintf(text, sizeof(text), format, args);
	log_debug("http_library", LOG_S("text", text));
}

static enum MHD_Result on_accept(void *ctx, const struct sockaddr *address, socklen_t len)
{
	struct http_server *server = ctx;

	(void)address;
	(void)len;
	return connections_are_closing(server->connections) ? MHD_NO : MHD_YES;
}

static int open_door(struct http_server *server, int fd, unsigned int threads, bool tls,
		     struct err *why)
{
	const struct http_options *options = &server->options;
	struct MHD_OptionItem tls_items[] = {
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (char[]){HTTP_TLS_PRIORITIES}},
		{MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, http_tls_callback()},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_OptionItem items[] = {
		{MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_library_log, NULL},
		{MHD_OPTION_LISTEN_SOCKET, fd, NULL},
		{MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
		{MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
		{MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)on_unescape, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)MEMORY_PER_CONNECTION, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, (intptr_t)options->connections, NULL},
		{MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)options->per_address, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)IDLE_SECONDS, NULL},
		/* what this adds in 0.9.75 is little; 1.0 then refuses bare LF and folded lines */
		{MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
		/* a pool of one is no pool: leave it out */
		{threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)threads,
		 NULL},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_Daemon *door = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
			MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0U),
		0, on_accept, server, on_access, server, MHD_OPTION_ARRAY, items,
		tls ? MHD_OPTION_ARRAY : MHD_OPTION_END, tls_items, MHD_OPTION_END);

	if (door == NULL) /* whether the library has closed fd by now can't be known */
		return err_set(why, ERR_IO, "the HTTP library can't serve the socket: %s",
			       strerror(errno));
	server->doors[server->door_count++] = door;
	return ERR_OK;
}

static struct http_server *server_new(const struct http_options *options)
{
	struct http_server *server = mem_zalloc(sizeof(*server));

	server->options = *options;
	if (server->options.request_deadline_ms == 0)
		server->options.request_deadline_ms = 30 * 1000;
	if (server->options.reply_deadline_ms == 0)
		server->options.reply_deadline_ms = 10 * 60 * 1000;
	if (server->options.piece_deadline_ms == 0)
		server->options.piece_deadline_ms = 60 * 1000;
	if (server->options.connections == 0)
		server->options.connections = 256;
	if (server->options.per_address == 0)
		server->options.per_address = 128;
	return server;
}

static int open_doors(struct http_server *server, struct err *why)
{
	const struct http_options *options = &server->options;
	/* The threads do not share the library's limit: room in all of them must be left. */
	size_t many = options->connections - options->connections / 8;
	int code = connections_start(options->request_deadline_ms / 4, many, server,
				     &server->connections, why);

	if (code == ERR_OK && options->tcp_fd >= 0)
		code = open_door(server, options->tcp_fd, HTTP_THREADS - 1, options->tls != NULL,
				 why);
	if (code == ERR_OK && options->local_fd >= 0)
		code = open_door(server, options->local_fd, 1, false, why);
	return code;
}

int http_start(const struct http_options *options, struct http_server **server_out, struct err *why)
{
	struct http_server *server = server_new(options);
	int code = open_doors(server, why);

	if (code != ERR_OK) {
		http_stop(&server, 0);
		return code;
	}
	*server_out = server;
	return ERR_OK;
}

/*
 * A suspended request belongs to the store until its job is done, which the
 * store promises; stopping the library before would leave a dangling pointer.
 * MHD_quiesce_daemon is not called: in 0.9.75 it and a thread that is just at
 * work both take the socket out of epoll, and the second to do so aborts.
 */
void http_stop(struct http_server **server, int64_t grace_ms)
{
	struct http_server *s = *server;

	if (s == NULL)
		return;
	if (s->connections != NULL)
		connections_drain(s->connections, grace_ms);
	for (size_t i = 0; i < s->door_count; i++)
		MHD_stop_daemon(s->doors[i]); /* and closes its socket */
	connections_free(&s->connections);
	mem_free(s);
	*server = NULL;
}
