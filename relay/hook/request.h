/* relay/hook/request.h - the hook's requests: of either dialect, with what the options add */
#ifndef STAGEPOST_RELAY_HOOK_REQUEST_H
#define STAGEPOST_RELAY_HOOK_REQUEST_H

#include "relay/hook/hook.h"
#include "relay/request/request.h"

void hook_request_init(struct request *request);
/*
 * Begin it in `multi`; its content is JSON, or nginx's header lines. With
 * HOOK_NGINX the bytes are nginx's own: HTTP/1.0, Host without a port, nothing
 * that libcurl would add. ERR_SYNTAX: no such URL.
 */
int hook_request_begin(struct request *request, CURLM *multi, const struct hook_options *options,
		       void *ctx, struct err *why);

#endif
