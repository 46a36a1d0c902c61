/* admin/http.h - HTTP/1.1 for the API: clean requests in, replies out; the library stays in http.c
 */
#ifndef STAGEPOST_ADMIN_HTTP_H
#define STAGEPOST_ADMIN_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Threads that may call http_ops at the same time. */
#define HTTP_THREADS 3

struct http_server;
/* One request; lives from its request line to `end`. */
struct http_request;

struct http_peer {
	bool local;	  /* came in by the unix socket */
	bool uid_known;	  /* local: SO_PEERCRED answered */
	unsigned int uid; /* local: the peer's user id */
	char address[64]; /* "127.0.0.1", "::1", "unix" */
};

/*
 * Called in the server's threads, several requests at once; one request is
 * with one thread at a time. None may wait for the store's writer: suspend.
 */
struct http_ops {
	/*
	 * The header is complete and clean (admin/hygiene.h). Either reply now (the
	 * body is not read then), or set the most body bytes to take and, when
	 * they are in, get `handle`.
	 */
	void (*begin)(void *ctx, struct http_request *request, size_t *body_limit_out);
	/* Reply, or http_suspend() and reply later. */
	void (*handle)(void *ctx, struct http_request *request);
	/*
	 * A refusal of the server's own (400, 413, 421, 501, 505): reply with it.
	 */
	void (*refuse)(void *ctx, struct http_request *request, int status, const char *detail);
	/* Over, answered or not. Drop what hangs on http_data(). */
	void (*end)(void *ctx, struct http_request *request);
};

struct http_tls; /* admin/http_tls.h */

struct http_options {
	int tcp_fd;		  /* listening, or -1; taken */
	int local_fd;		  /* the same for a unix socket */
	struct http_tls *tls;	  /* for TCP; NULL: none. Borrowed until stop */
	const char *const *hosts; /* for TCP; borrowed until stop */
	size_t host_count;
	/* Header and body together, and a second for each 64 KiB that came; 0: 30 s */
	int64_t request_deadline_ms;
	int64_t reply_deadline_ms; /* from the reply until its last byte; 0: 10 min */
	int64_t piece_deadline_ms; /* past that, for each 64 KiB from a source; 0: 60 s */
	unsigned int connections;  /* 0: 256 */
	unsigned int per_address;  /* 0: 128 */
	const struct http_ops *ops;
	void *ctx;
};

int http_start(const struct http_options *options, struct http_server **server_out,
	       struct err *why);
/* Requests under way get `grace_ms`; those that are suspended are waited for. Joins. */
void http_stop(struct http_server **server, int64_t grace_ms);

/* What came in. Spans live as long as the request. */
struct span http_method(const struct http_request *request);
struct span http_path(const struct http_request *request);
/* Without the '?'; data NULL when there is none. Not decoded. */
struct span http_query(const struct http_request *request);
/* The authority that was asked for ("127.0.0.1:8025"). */
struct span http_host(const struct http_request *request);
/* Its connection is secured by us. */
bool http_is_tls(const struct http_request *request);
bool http_has_body(const struct http_request *request);
struct span http_body(const struct http_request *request);
/* The memory is wanted back: http_body() is empty from now on. */
void http_drop_body(struct http_request *request);
/* Content-Length; 0 when it is not known before the end. */
uint64_t http_content_bytes(const struct http_request *request);
const struct http_peer *http_peer(const struct http_request *request);
/* The value of the header, and how many there are; the first when several. NULL: none. */
const char *http_header(const struct http_request *request, const char *name, size_t *count_out);

/*
 * Only inside `begin`, which must have set a body limit: the body is not kept,
 * http_body() stays empty. `piece` gets it as it comes, and takes all that it
 * is given; it may suspend (then `then` only goes on), but not reply. When more
 * came than the limit allows, the rest is not given and `refuse` is called, not `handle`.
 */
void http_take_pieces(struct http_request *request,
		      void (*piece)(void *ctx, struct http_request *request, struct span bytes));

void http_set_data(struct http_request *request, void *data);
void *http_data(const struct http_request *request);

/*
 * Put the request aside; only inside `handle`, `piece` or `then`, and nothing may be
 * replied before `then` runs. http_resume: any thread, once for each suspend,
 * also before the suspending call has returned; the request is not touched
 * by the resuming thread afterwards.
 */
void http_suspend(struct http_request *request, void (*then)(void *ctx, struct http_request *));
void http_resume(struct http_request *request);

/*
 * A header of the reply; before the reply. Copied. It takes the place of the
 * one of that name which every reply has (Content-Security-Policy, …).
 */
void http_reply_header(struct http_request *request, const char *name, const char *value);
/* Exactly one of these two answers a request. The bytes are taken out of `body` (NULL: none). */
void http_reply(struct http_request *request, int status, const char *type, struct buf *body);

/* Bytes that come piece by piece, read in the server's threads. */
struct http_source {
	/*
	 * Up to `max` bytes; 0: the end has come too early, or a failure: the
	 * connection is cut. HTTP_SOURCE_END: all was given, where the size was unknown.
	 */
	size_t (*read)(void *source, char *bytes_out, size_t max);
	/* After `end` of its request. */
	void (*release)(void *source);
	void *source;
};
#define HTTP_SOURCE_END SIZE_MAX
/*
 * Nothing at this moment: `read` has called http_stream_suspend before it
 * returns this. Only with http_reply_live.
 */
#define HTTP_SOURCE_LATER (SIZE_MAX - 1)
#define HTTP_SIZE_UNKNOWN UINT64_MAX /* sent in chunks */
void http_reply_stream(struct http_request *request, int status, const char *type, uint64_t size,
		       const struct http_source *source);
/*
 * A reply that lasts as long as it has something to say. It is cut when the peer
 * takes nothing of that for `stall_ms`.
 */
void http_reply_live(struct http_request *request, const char *type, int64_t stall_ms,
		     const struct http_source *source);
/*
 * Inside its `read`: it is called again after http_resume, for which the same holds
 * as after http_suspend. A peer that goes meanwhile is not noticed.
 */
void http_stream_suspend(struct http_request *request);
/*
 * From when all of it was there until its reply was ready, for `end`. What the peer takes to read
 * that is not in it.
 */
int64_t http_took_us(const struct http_request *request);
/* Connections that are open to the server of this request, its own among them. */
size_t http_connections(const struct http_request *request);
/* 0 before a reply. */
int http_status(const struct http_request *request);

#endif
