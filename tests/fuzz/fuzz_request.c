/*
 * tests/fuzz/fuzz_request.c - admin/hygiene.c, the route table and the query of admin/routes.c: any
 * head of a request, as somebody on the unix socket sends it. The first line may be anything.
 */
#include <config.h>

#include "admin/routes.h"
#include "admin/traffic.h"

#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/http_fake.h"

static void ask(struct http_request *request, struct api *api, struct span text)
{
	fake_init(request, &routes_http_ops, api);
	request->peer = (struct http_peer){.local = true, .uid_known = true, .address = "unix"};
	fake_read(request, text);
}

/* Whatever is in the way of a request is told by one of these, and never by a 500. */
static void check_refusal(const struct http_request *request)
{
	static const int known[] = {400, 403, 404, 405, 413, 415, 421, 501, 505};
	bool found = false;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		found = found || request->status == known[i];
	assert(found && request->type != NULL);
	assert(strcmp(request->type, "application/problem+json") == 0);
	if (request->status == 405)
		assert(request->reply_header_count == 1 &&
		       strcmp(request->reply_headers[0].name, "Allow") == 0 &&
		       request->reply_headers[0].value[0] != '\0');
}

/* What stands for {…} is what it was in the target, and needs no decoding. */
static void check_id(const struct http_request *request, struct span id)
{
	assert(id.len > 0 && fuzz_is_inside(id, request->hygiene.path));
	assert(id.data[0] != '.');
	for (size_t i = 0; i < id.len; i++)
		assert(id.data[i] != '/' && id.data[i] != '%' && id.data[i] != '\\' &&
		       (unsigned char)id.data[i] < 128);
}

static void append_encoded(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		assert(buf_printf(out, "%%%02X", (unsigned char)*text) == ERR_OK);
}

/* The same parameters, written in another way. */
static void append_params(struct buf *out, const struct call *call)
{
	for (size_t i = 0; i < call->param_count; i++) {
		assert(buf_append_text(out, i > 0 ? "&&" : "?") == ERR_OK);
		append_encoded(out, call->params[i].name);
		assert(buf_append_char(out, '=') == ERR_OK);
		append_encoded(out, call->params[i].value);
	}
}

static void check_same(const struct call *one, const struct call *other)
{
	assert(one->route == other->route && one->param_count == other->param_count);
	assert(span_equal(one->id, other->id) && span_equal(one->part, other->part));
	for (size_t i = 0; i < one->param_count; i++) {
		assert(strcmp(one->params[i].name, other->params[i].name) == 0);
		assert(strcmp(one->params[i].value, other->params[i].value) == 0);
	}
}

static void check_again(struct api *api, const struct http_request *request)
{
	const struct call *call = http_data(request);
	struct http_request again;
	struct buf text;

	buf_init(&text, (size_t)1 << 20);
	assert(buf_printf(&text, "%.*s %.*s", (int)request->hygiene.method.len,
			  request->hygiene.method.data, (int)request->hygiene.path.len,
			  request->hygiene.path.data) == ERR_OK);
	append_params(&text, call);
	assert(buf_append_text(&text, "\n\n") == ERR_OK);
	ask(&again, api, buf_span(&text));
	assert(fake_begin(&again));
	check_same(call, http_data(&again));
	fake_release(&again);
	buf_release(&text);
}

static void check_params(const struct call *call)
{
	char names[400];

	(void)snprintf(names, sizeof(names), " %s ", call->route->params);
	for (size_t i = 0; i < call->param_count; i++) {
		char name[100];

		(void)snprintf(name, sizeof(name), " %s ", call->params[i].name);
		assert(strstr(names, name) != NULL && call->params[i].value[0] != '\0');
		assert(span_is_utf8(span_of(call->params[i].value)));
		assert(call_param(call, call->params[i].name) == call->params[i].value);
	}
}

static void check_taken(struct api *api, const struct http_request *request)
{
	const struct call *call = http_data(request);
	const struct hygiene *hygiene = &request->hygiene;
	bool has_id = strchr(call->route->pattern, '{') != NULL;

	assert(request->limit <= call->route->body_limit && request->body.len <= request->limit);
	assert(hygiene->hosts == 1 && hygiene->lengths + hygiene->encodings <= 1);
	assert(fuzz_is_inside(hygiene->path, hygiene->target));
	assert(fuzz_is_inside(hygiene->query, hygiene->target));
	assert(has_id == (call->id.len > 0));
	if (has_id)
		check_id(request, call->id);
	if (call->part.len > 0)
		check_id(request, call->part);
	check_params(call);
	check_again(api, request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request request;
	struct traffic traffic;
	struct api api;

	memset(&api, 0, sizeof(api));
	memset(&traffic, 0, sizeof(traffic));
	api.traffic = &traffic;
	ask(&request, &api, span_make((const char *)data, size));
	if (fake_begin(&request))
		check_taken(&api, &request);
	else
		check_refusal(&request);
	fake_release(&request);
	return 0;
}
