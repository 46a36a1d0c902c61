/* relay/hook/request.h - one HTTP request by libcurl, from its bytes to those of the answer */
#ifndef STAGEPOST_RELAY_HOOK_REQUEST_H
#define STAGEPOST_RELAY_HOOK_REQUEST_H

#include <curl/curl.h>

#include "base/buf.h"
#include "relay/hook/hook.h"

#define REQUEST_HEAD_MAX (16 * 1024)

/* Embedded; it stays where it is while it runs. One thread. */
struct request {
	CURL *easy; /* NULL: not begun */
	struct curl_slist *fields;
	struct buf content; /* what is sent: JSON, or nginx's header lines; filled by the caller */
	struct buf head;    /* the answer's: status line and fields */
	struct buf body;    /* JSON's answer; nginx's is not looked at */
	bool too_long;	    /* the answer: its rest was not read */
	bool head_only;	    /* its body is not looked at; `body_bytes` of it came */
	size_t body_bytes;
	char error[CURL_ERROR_SIZE];
};

void request_init(struct request *request);
void request_release(struct request *request);

/*
 * Begin it in `multi`; `ctx` comes back as CURLINFO_PRIVATE. With HOOK_NGINX
 * the bytes are nginx's own: HTTP/1.0, Host without a port, nothing that libcurl
 * would add. ERR_SYNTAX: no such URL.
 */
int request_begin(struct request *request, CURLM *multi, const struct hook_options *options,
		  void *ctx, struct err *why);
/* It is done, or nobody waits for it. */
void request_end(struct request *request, CURLM *multi);
/*
 * The transfer is over: is there an answer? With HOOK_NGINX a header section that is
 * whole is one, whatever became of the body, at which nobody looks.
 */
bool request_is_answered(const struct request *request, CURLcode code);
/* Once done: the status of the answer; 0: there was none. */
long request_status(const struct request *request);

#endif
