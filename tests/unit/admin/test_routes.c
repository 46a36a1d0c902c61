/* tests admin/routes.c: the table, the document, and every route asked in the same wrong ways */
#include <config.h>

#include "admin/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/openapi.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

static const char sample_id[] = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/* The pattern with something in place of each {…}. */
static void fill(const char *pattern, const char *id, char *path_out, size_t size)
{
	struct span rest = span_of(pattern);
	struct buf path;

	buf_init(&path, size - 1);
	while (rest.len > 0) {
		size_t open = span_find(rest, '{');

		ck_assert_int_eq(buf_append_span(&path, span_first(rest, open)), ERR_OK);
		if (open < rest.len)
			ck_assert_int_eq(buf_append_text(&path, id), ERR_OK);
		rest = span_skip(rest, open);
		rest = span_skip(rest, span_find(rest, '}') + 1);
	}
	memcpy(path_out, path.data, path.len + 1);
	buf_release(&path);
}

/* A path that stands in the table by its name is no {id} of another one. */
START_TEST(names_come_before_ids)
{
	char allow[ROUTES_ALLOW_SIZE];
	struct span ids[ROUTES_IDS];

	ck_assert_ptr_null(
		routes_find(span_of("DELETE"), span_of("/api/v1/whitelist/history"), ids, allow));
	ck_assert_str_eq(allow, "GET, HEAD");
	ck_assert_ptr_null(
		routes_find(span_of("PATCH"), span_of("/api/v1/whitelist/import"), ids, allow));
	ck_assert_str_eq(allow, "POST");
	ck_assert_ptr_nonnull(
		routes_find(span_of("DELETE"), span_of("/api/v1/whitelist/1"), ids, allow));
}
END_TEST

START_TEST(every_route_is_found_and_nothing_else)
{
	static const char *const nothing[] = {"",
					      "//",
					      "/.",
					      "/web",
					      "/web/",
					      "/web/../openapi.json",
					      "/web/.htaccess",
					      "//healthz",
					      "/healthz/",
					      "/healthz/x",
					      "/api/v1/whitelist/",
					      "/api/v1/whitelist//",
					      "/api/v1/whitelist/1/x",
					      "/api/v1/messages/./raw",
					      "/api/v1/messages/../raw",
					      "/api/v1/messages/%2e%2e/raw",
					      "/api/v1/messages/a%2fb",
					      "/api/v1/messages/a%00",
					      "/static/../../etc/passwd",
					      "/%2e%2e/etc/passwd",
					      "\\..\\",
					      "/./healthz",
					      "/Healthz",
					      "/healthz%00"}; /* CASES S295 */
	char allow[ROUTES_ALLOW_SIZE];
	const struct route *all;
	struct span ids[ROUTES_IDS];
	size_t count;

	all = routes_all(&count);
	for (size_t i = 0; i < count; i++) {
		char path[100];

		fill(all[i].pattern, sample_id, path, sizeof(path));
		ck_assert_ptr_eq(routes_find(span_of(all[i].method), span_of(path), ids, allow),
				 &all[i]);
		if (strchr(all[i].pattern, '{') != NULL)
			ck_assert(span_is(ids[0], sample_id));
		ck_assert_ptr_null(routes_find(span_of("PROPFIND"), span_of(path), ids, allow));
		ck_assert_ptr_nonnull(strstr(allow, all[i].method));
	}
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		ck_assert_ptr_null(routes_find(span_of("GET"), span_of(nothing[i]), ids, allow));
		ck_assert_msg(allow[0] == '\0', "%s has methods", nothing[i]);
	}
}
END_TEST

/* --- the table and admin/openapi.json tell the same ---------------------------------------------
 */

static json_t *operation_of(json_t *document, const struct route *route)
{
	json_t *path = json_object_get(json_object_get(document, "paths"), route->pattern);
	char method[16] = "";

	for (size_t i = 0; route->method[i] != '\0'; i++)
		method[i] = ascii_lower(route->method[i]);
	return json_object_get(path, method);
}

static const char *role_name(enum role role)
{
	return role == ROLE_READER     ? "reader"
	       : role == ROLE_OPERATOR ? "operator"
	       : role == ROLE_ADMIN    ? "admin"
				       : "none";
}

/* The names of the query parameters, with blanks between. */
static void params_of(json_t *operation, char *names_out, size_t size)
{
	json_t *one;
	size_t i;

	names_out[0] = '\0';
	json_array_foreach(json_object_get(operation, "parameters"), i,
			   one) if (strcmp(text_of(one, "in"), "query") == 0)
		snprintf(names_out + strlen(names_out), size - strlen(names_out), "%s%s",
			 names_out[0] != '\0' ? " " : "", text_of(one, "name"));
}

START_TEST(the_document_describes_exactly_the_table)
{
	json_t *document = json_loadb(openapi_text, openapi_len, JSON_REJECT_DUPLICATES, NULL);
	const struct route *all;
	size_t described = 0;
	const char *path;
	json_t *item;
	size_t count;

	ck_assert_ptr_nonnull(document);
	all = routes_all(&count);
	for (size_t i = 0; i < count; i++) {
		json_t *operation = operation_of(document, &all[i]);
		json_t *body = json_object_get(operation, "requestBody");
		char names[200];

		ck_assert_msg(operation != NULL, "%s %s is not described", all[i].method,
			      all[i].pattern);
		ck_assert_str_eq(text_of(operation, "x-role"), role_name(all[i].role));
		ck_assert(json_is_true(json_object_get(operation, "x-whole-relay")) ==
			  all[i].whole_relay);
		ck_assert_int_eq(json_array_size(json_object_get(operation, "security")),
				 all[i].role == ROUTE_NO_TOKEN ? 0 : 1);
		ck_assert_int_eq(body != NULL, all[i].body_limit > 0);
		ck_assert_int_eq(json_integer_value(json_object_get(operation, "x-body-limit")),
				 all[i].body_limit);
		ck_assert(json_is_true(json_object_get(body, "required")) == all[i].body_required);
		params_of(operation, names, sizeof(names));
		ck_assert_str_eq(names, all[i].params);
	}
	json_object_foreach(json_object_get(document, "paths"), path, item)
		described += json_object_size(item);
	ck_assert_uint_eq(described, count);
	json_decref(document);
}
END_TEST

/* Every {"$ref": "#/…"} leads somewhere. */
static void follow_references(json_t *document, json_t *value)
{
	const char *reference = json_string_value(json_object_get(value, "$ref"));
	const char *key;
	json_t *child;
	size_t i;

	if (reference != NULL) {
		char path[200];
		json_t *target = document;
		char *rest = path;
		char *part;

		snprintf(path, sizeof(path), "%s", reference + 2);
		while ((part = strsep(&rest, "/")) != NULL)
			target = json_object_get(target, part);
		ck_assert_msg(target != NULL, "%s leads nowhere", reference);
	}
	json_object_foreach(value, key, child) follow_references(document, child);
	json_array_foreach(value, i, child) follow_references(document, child);
}

START_TEST(references_of_the_document_resolve)
{
	json_t *document = json_loadb(openapi_text, openapi_len, JSON_REJECT_DUPLICATES, NULL);

	follow_references(document, document);
	json_decref(document);
}
END_TEST

/* --- every route, asked in the same wrong way
 * ------------------------------------------------------ */

/* What a route that needs no token says to a request that has nothing in it. */
static int open_status(const struct route *route)
{
	if (route->body_required)
		return 400;
	return strchr(route->pattern, '{') != NULL ? 404 : 200;
}

/* CASES S280, S285 */
START_TEST(every_route_without_a_token)
{
	struct fixture fixture;
	const struct route *all;
	size_t count;

	fixture_start(&fixture);
	all = routes_all(&count);
	for (size_t i = 0; i < count; i++) {
		int want = all[i].role == ROUTE_NO_TOKEN ? open_status(&all[i]) : 401;
		struct answer answer;
		char path[100];

		fill(all[i].pattern, sample_id, path, sizeof(path));
		ask_with(&fixture, NULL, all[i].method, path, NULL, "", &answer);
		/* a test of its own looks at the limit for wrong tokens */
		ck_assert_msg(answer.status == want || (want == 401 && answer.status == 429),
			      "%s %s: %d", all[i].method, path, answer.status);
		answer_free(&answer);
	}
	fixture_stop(&fixture);
}
END_TEST

/* CASES S301: no route reads what it does not want; 1 GiB is refused by its length. */
START_TEST(every_route_with_an_oversized_body)
{
	static const char huge[] = "Content-Type: application/json\r\nContent-Length: 1073741824"
				   "\r\n";
	struct fixture fixture;
	const struct route *all;
	size_t count;

	fixture_start(&fixture);
	all = routes_all(&count);
	for (size_t i = 0; i < count; i++) {
		char just[100];
		struct answer answer;
		char path[100];

		fill(all[i].pattern, sample_id, path, sizeof(path));
		ask_with(&fixture, fixture.token, all[i].method, path, NULL, huge, &answer);
		ck_assert_msg(answer.status == 413, "%s %s: %d", all[i].method, path,
			      answer.status);
		answer_free(&answer);
		snprintf(just, sizeof(just),
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			 all[i].body_limit + 1);
		ask_with(&fixture, fixture.token, all[i].method, path, NULL, just, &answer);
		ck_assert_msg(answer.status == 413, "%s %s: %d", all[i].method, path,
			      answer.status);
		answer_free(&answer);
	}
	fixture_stop(&fixture);
}
END_TEST

/* CASES S285, S306: each path answers its methods and no other. */
START_TEST(every_path_with_every_method)
{
	static const char *const methods[] = {"GET",	 "POST",  "PUT",      "PATCH", "DELETE",
					      "OPTIONS", "TRACE", "PROPFIND", "get",   "BREW"};
	char allow[ROUTES_ALLOW_SIZE];
	struct fixture fixture;
	const struct route *all;
	struct span ids[ROUTES_IDS];
	size_t count;

	fixture_start(&fixture);
	all = routes_all(&count);
	for (size_t i = 0; i < count; i++)
		for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
			struct answer answer;
			char path[100];

			fill(all[i].pattern, sample_id, path, sizeof(path));
			if (routes_find(span_of(methods[m]), span_of(path), ids, allow) != NULL)
				continue;
			ask_with(&fixture, fixture.token, methods[m], path, NULL, "", &answer);
			ck_assert_msg(answer.status == 405 || answer.status == 501, "%s %s: %d",
				      methods[m], path, answer.status);
			answer_free(&answer);
		}
	fixture_stop(&fixture);
}
END_TEST

/* CASES S286, S288: what a browser can be made to send from another page. */
START_TEST(every_write_from_another_site)
{
	static const char *const headers[] = {"Origin: https://evil.example\r\n",
					      "Origin: null\r\n",
					      "Origin: http://localhost.evil.example\r\n",
					      "Origin: http://localhost\r\nOrigin: http://x\r\n",
					      "Sec-Fetch-Site: cross-site\r\n",
					      "Sec-Fetch-Site: same-site\r\n"};
	struct fixture fixture;
	const struct route *all;
	struct answer answer;
	size_t count;

	fixture_start(&fixture);
	all = routes_all(&count);
	for (size_t i = 0; i < count; i++)
		for (size_t h = 0; h < sizeof(headers) / sizeof(headers[0]); h++) {
			char path[100];

			if (strcmp(all[i].method, "GET") == 0)
				continue;
			fill(all[i].pattern, sample_id, path, sizeof(path));
			ask_with(&fixture, h % 2 != 0 ? fixture.token : "socket", all[i].method,
				 path, all[i].body_required ? "{}" : NULL, headers[h], &answer);
			ck_assert_msg(answer.status == 403, "%s %s: %d", all[i].method, path,
				      answer.status);
			answer_free(&answer);
		}
	ask_with(&fixture, fixture.token, "POST", "/api/v1/delivery/resume", NULL,
		 "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n", &answer);
	ck_assert_int_eq(answer.status, 200);
	answer_free(&answer);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(every_body_that_is_no_json)
{
	struct fixture fixture;
	const struct route *all;
	size_t count;

	fixture_start(&fixture);
	all = routes_all(&count);
	for (size_t i = 0; i < count; i++) {
		struct answer answer;
		char path[100];

		if (all[i].body_limit == 0)
			continue;
		fill(all[i].pattern, sample_id, path, sizeof(path));
		/* S286: a form can be made to send this */
		ask_with(&fixture, fixture.token, all[i].method, path, NULL,
			 "Content-Type: text/plain\r\nContent-Length: 2\r\n", &answer);
		ck_assert_int_eq(answer.status, 415);
		answer_free(&answer);
		ask_with(&fixture, fixture.token, all[i].method, path, "{", "", &answer);
		ck_assert_int_eq(answer.status, 400);
		answer_free(&answer);
	}
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/routes", every_route_is_found_and_nothing_else, names_come_before_ids,
	  the_document_describes_exactly_the_table, references_of_the_document_resolve,
	  every_route_without_a_token, every_route_with_an_oversized_body,
	  every_path_with_every_method, every_write_from_another_site, every_body_that_is_no_json)
