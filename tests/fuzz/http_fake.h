/* tests/fuzz/http_fake.h - admin/http.h without a socket: one request after the other, by hand */
#ifndef STAGEPOST_TESTS_FUZZ_HTTP_FAKE_H
#define STAGEPOST_TESTS_FUZZ_HTTP_FAKE_H

#include <pthread.h>

#include "admin/http.h"
#include "admin/hygiene.h"

#define FAKE_HEADERS_MAX  32
#define FAKE_REPLY_MAX	  8
#define FAKE_STREAM_BYTES ((size_t)1 << 20) /* of an answer that does not end */

struct fake_field {
	char *name;
	char *value;
};

/*
 * What admin/http.c makes of a request once the library has read it, in the same order: hygiene,
 * the Host, `begin`, the limit of the body, `handle`, and `then` as often as somebody resumes. This
 * takes the place of http.c in a program.
 */
struct http_request {
	const struct http_ops *ops;
	void *ctx;
	struct http_peer peer;
	struct hygiene hygiene;
	struct fake_field headers[FAKE_HEADERS_MAX]; /* in */
	size_t header_count;
	struct span body;
	size_t limit; /* of the body, after fake_begin */
	void (*piece)(void *ctx, struct http_request *request, struct span bytes);
	bool is_dropped; /* the body */
	void *data;

	pthread_mutex_t lock; /* of what follows: http_resume is anybody's */
	pthread_cond_t moved;
	bool suspended;
	bool resumed;
	void (*then)(void *ctx, struct http_request *request);

	int status; /* out; 0: no reply */
	char *type; /* NULL: none */
	struct buf reply;
	struct fake_field reply_headers[FAKE_REPLY_MAX];
	size_t reply_header_count;
	bool is_cut; /* the answer broke off, or was left */
	struct http_source source;
};

void fake_init(struct http_request *request, const struct http_ops *ops, void *ctx);
void fake_release(struct http_request *request);
void fake_header(struct http_request *request, struct span name, struct span value);

/*
 * "METHOD TARGET VERSION?", lines of "Name: value", an empty line, the body; each line ends with
 * LF. The length of the body is added where the text says nothing about it.
 */
void fake_read(struct http_request *request, struct span text);
/* Up to where a body would be wanted. True: it is, at most request->limit of it. */
bool fake_begin(struct http_request *request);
/*
 * The whole of it. `wake` is called when nobody has resumed the request for a while: what it
 * waits for may be an event that never comes.
 */
void fake_ask(struct http_request *request, void (*wake)(void *ctx));

#endif
