/* relay/request/request.h - one HTTP request by libcurl, from its bytes to those of the answer */
#ifndef STAGEPOST_RELAY_REQUEST_REQUEST_H
#define STAGEPOST_RELAY_REQUEST_REQUEST_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define REQUEST_HEAD_MAX (16 * 1024)
#define REQUEST_URL_MAX	 2000

/* An URL (http://, https://), or nginx's "unix:/path:/uri". */
struct request_target {
	char url[REQUEST_URL_MAX + 32];
	char socket[108]; /* "": none */
	char host[256];	  /* for Host: as nginx shows it, without a port */
};
/* ERR_OK, or what is wrong with the text. */
int request_parse(struct span text, struct request_target *target_out, struct err *why);

/* Embedded; it stays where it is while it runs. One thread. */
struct request {
	CURL *easy; /* NULL: not open */
	struct curl_slist *fields;
	struct buf content; /* what is sent; filled by the caller */
	struct buf head;    /* the answer's: status line and fields */
	struct buf body;    /* the answer's, unless head_only */
	bool too_long;	    /* the answer: its rest was not read */
	bool head_only;	    /* its body is not looked at; `body_bytes` of it came */
	size_t body_max;
	size_t body_bytes;
	char error[CURL_ERROR_SIZE];
};

/* How much is sent and how much of an answer is read, at most. */
void request_init(struct request *request, size_t content_max, size_t body_max);
void request_release(struct request *request);

/*
 * Prepared: HTTP only, no redirect is followed, no proxy of the environment asked, certificates
 * are verified; all of it together may take `timeout_ms`. ERR_IO: libcurl has no handle.
 */
int request_open(struct request *request, const struct request_target *target, int64_t timeout_ms,
		 struct err *why);
/* Certificates of these authorities are good, not those of the system's. */
void request_set_ca(struct request *request, const char *file);
/* One more header field, as libcurl wants it ("Name: value", "Name:" to leave one out). */
void request_add(struct request *request, const char *line);
/* A POST of `content`; the answer's body is kept, or with head_only read and forgotten. */
void request_set_post(struct request *request, bool head_only);
/* A GET of HTTP/1.0, with head_only. */
void request_set_get_1_0(struct request *request);
/* Begin it in `multi`; `ctx` comes back as CURLINFO_PRIVATE. After a failure it is not open. */
int request_start(struct request *request, CURLM *multi, void *ctx, struct err *why);
/* It is done, or nobody waits for it. NULL multi: it was not begun. */
void request_end(struct request *request, CURLM *multi);
/*
 * The transfer is over: is there an answer? With head_only a header section
 * that is whole is one, whatever became of the body, at which nobody looks.
 */
bool request_is_answered(const struct request *request, CURLcode code);
/* Once done: the status of the answer; 0: there was none. */
long request_status(const struct request *request);

#endif
