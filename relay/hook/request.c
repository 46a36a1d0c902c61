/* relay/hook/request.c - the hook's requests: of either dialect, with what the options add */
#include "relay/hook/request.h"

#include <stdio.h>

#include "relay/hook/json.h"
#include "relay/hook/nginx.h"

int hook_check_url(struct span url, struct err *why)
{
	struct request_target target;

	return request_parse(url, &target, why);
}

void hook_request_init(struct request *request)
{
	request_init(request, HOOK_QUESTION_MAX, HOOK_ANSWER_MAX);
}

static void add_nginx(struct request *request, const struct request_target *target)
{
	char host[sizeof(target->host) + 8];

	snprintf(host, sizeof(host), "Host: %s", target->host);
	request_add(request, host);
	request_add(request, "Accept:");
	/*
	 * All lines as one: libcurl leaves out a field without a value, and cuts the blank that
	 * nginx sends behind the colon. It sends what it is given, and puts the last line end.
	 */
	request_add(request, request->content.data);
}

static void add_json(struct request *request, const struct hook_options *options)
{
	request_add(request, "Content-Type: application/json");
	request_add(request, "Accept: application/json");
	request_add(request, "Expect:");
	for (size_t i = 0; i < options->header_count; i++) {
		char line[1200];

		snprintf(line, sizeof(line), "%.100s: %.1000s", options->headers[i].name,
			 options->headers[i].value);
		request_add(request, line);
	}
}

int hook_request_begin(struct request *request, CURLM *multi, const struct hook_options *options,
		       void *ctx, struct err *why)
{
	struct request_target target;
	int code = request_parse(span_of(options->url), &target, why);

	if (code == ERR_OK)
		code = request_open(request, &target, options->timeout_ms, why);
	if (code != ERR_OK)
		return code;
	if (options->dialect == HOOK_NGINX) {
		add_nginx(request, &target);
		request_set_get_1_0(request);
	} else {
		add_json(request, options);
		request_set_post(request, false);
	}
	return request_start(request, multi, ctx, why);
}
