/*
 * tests/fuzz/fuzz_api.c - admin/: any request with any body, by somebody or nobody, over a real
 * store. The first octet says who asks, the rest is the request (http_fake.h).
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "admin/openapi.h"
#include "admin/routes.h"
#include "tests/fuzz/api_house.h"
#include "tests/fuzz/fuzz.h"

/* Behind so many changes all begins anew, so that what fails can be found again. */
#define CHANGES_MAX 50

struct place {
	struct house house;
	json_t *document;
	size_t changes;
};

/* --- what the document promises -----------------------------------------------------------------
 */

static bool promises(json_t *document, const struct route *route, int status)
{
	json_t *path = json_object_get(json_object_get(document, "paths"), route->pattern);
	char method[16] = "";
	char code[12];

	for (size_t i = 0; route->method[i] != '\0'; i++)
		method[i] = ascii_lower(route->method[i]);
	(void)snprintf(code, sizeof(code), "%d", status);
	return json_object_get(json_object_get(json_object_get(path, method), "responses"), code) !=
	       NULL;
}

/* In front of any route, or because of the request's form. */
static bool is_of_form(int status)
{
	return status == 400 || status == 404 || status == 405 || status == 413 || status == 421 ||
	       status == 501 || status == 505;
}

static void check_status(struct place *place, const struct http_request *request)
{
	const struct call *call = http_data(request);
	const struct route *route = call->route;

	if (route == NULL)
		assert(is_of_form(request->status));
	else
		assert(promises(place->document, route, request->status) || request->status == 413);
}

/* --- what is in an answer ------------------------------------------------------------------------
 */

static bool is_type(const struct http_request *request, const char *type)
{
	return request->type != NULL && span_starts_fold(span_of(request->type), type);
}

static void check_problem(const struct http_request *request, const json_t *json)
{
	assert(is_type(request, "application/problem+json"));
	assert(json_integer_value(json_object_get(json, "status")) == request->status);
	assert(json_is_string(json_object_get(json, "type")));
	assert(json_is_string(json_object_get(json, "title")));
	assert(json_is_string(json_object_get(json, "detail")));
}

/* Readable by any reader of JSON, and nothing that came from outside ends a script (S322). */
static void check_json(const struct http_request *request)
{
	bool is_ours = span_is(request->hygiene.path, "/api/v1/openapi.json");
	json_t *json =
		json_loadb(request->reply.data, request->reply.len, JSON_REJECT_DUPLICATES, NULL);

	assert(json != NULL);
	assert(is_ours || span_find(buf_span(&request->reply), '<') == request->reply.len);
	if (request->status >= 400 && !is_type(request, "application/json"))
		check_problem(request, json);
	json_decref(json);
}

static void check_headers(const struct http_request *request)
{
	for (size_t i = 0; i < request->reply_header_count; i++)
		for (const char *c = request->reply_headers[i].value; *c != '\0'; c++)
			assert((unsigned char)*c >= ' ' && (unsigned char)*c < 127);
}

static void check_answer(const struct http_request *request)
{
	check_headers(request);
	if (request->status == 204 || request->status == 304)
		assert(request->reply.len == 0);
	else if (is_type(request, "application/json") ||
		 is_type(request, "application/problem+json"))
		check_json(request);
	else
		assert(request->status < 400);
}

/* --- who may what -------------------------------------------------------------------------------
 */

static bool holds(struct span text, const char *word)
{
	return text.len > 0 && memmem(text.data, text.len, word, strlen(word)) != NULL;
}

static void check_rights(const struct http_request *request, enum house_who who, struct span text)
{
	const struct call *call = http_data(request);
	const struct route *route = call->route;

	if (route == NULL || request->status >= 400)
		return;
	if (who == WHO_NOBODY)
		assert(route->role == ROUTE_NO_TOKEN);
	if (who == WHO_READER)
		assert(route->role <= ROLE_READER);
	if (who == WHO_SCOPED) {
		assert(!route->whole_relay);
		assert(holds(text, HOUSE_MARK) || !holds(buf_span(&request->reply), HOUSE_MARK));
		assert(!span_is_fold(call->id, HOUSE_FOREIGN));
	}
}

/* --- one request
 * ---------------------------------------------------------------------------------- */

static struct place *place_open(void)
{
	struct place *place = mem_zalloc(sizeof(*place));

	json_set_alloc_funcs(mem_alloc, mem_free);
	house_open(&place->house);
	place->document = json_loadb(openapi_text, openapi_len, 0, NULL);
	assert(place->document != NULL);
	return place;
}

static void renew(struct place *place)
{
	if (place->changes < CHANGES_MAX)
		return;
	house_close(&place->house);
	house_open(&place->house);
	place->changes = 0;
}

static struct place **the_place(void)
{
	static struct place *place;

	return &place;
}

static void close_place(void)
{
	struct place **place = the_place();

	house_close(&(*place)->house);
	json_decref((*place)->document);
	mem_free(*place);
	*place = NULL;
}

static void note_change(struct place *place, const struct http_request *request)
{
	const struct call *call = http_data(request);

	if (call->route == NULL || strcmp(call->route->method, "GET") == 0 ||
	    request->status >= 400)
		return;
	place->changes++;
	/* A message or a token that others ask for may be gone. */
	if (strcmp(call->route->method, "DELETE") == 0)
		place->changes = CHANGES_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct place **place = the_place();
	struct span text = span_make((const char *)data, size);
	struct http_request request;
	enum house_who who;

	if (size == 0)
		return 0;
	if (*place == NULL) {
		*place = place_open();
		(void)atexit(close_place);
	}
	who = (enum house_who)(data[0] % HOUSE_WHO_COUNT);
	fake_init(&request, &routes_http_ops, &(*place)->house.api);
	house_enter(&(*place)->house, &request, who);
	fake_read(&request, span_skip(text, 1));
	fake_ask(&request, house_wake);
	check_status(*place, &request);
	check_answer(&request);
	check_rights(&request, who, text);
	note_change(*place, &request);
	fake_release(&request);
	house_settle(&(*place)->house);
	renew(*place);
	return 0;
}
