/* admin/routes.c - the table of what the API answers, and the way of a request through it */
#include "admin/routes.h"

#include <assert.h>
#include <stdio.h>

#include "admin/gate.h"
#include "admin/handin.h"
#include "admin/handlers.h"
#include "admin/problem.h"
#include "base/log.h"
#include "relay/filter/listing.h"

#define API "/api/v1"
#define KIB ((size_t)1024)

static const struct route routes[] = {
	{"GET", "/", ROUTE_NO_TOKEN, false, 0, false, "", handle_web_index},
	{"GET", "/web/{file}", ROUTE_NO_TOKEN, false, 0, false, "", handle_web_file},
	{"GET", "/healthz", ROUTE_NO_TOKEN, false, 0, false, "", handle_healthz},
	{"GET", "/readyz", ROUTE_NO_TOKEN, false, 0, false, "", handle_readyz},
	{"GET", "/metrics", ROLE_READER, true, 0, false, "", handle_metrics},
	{"GET", API "/openapi.json", ROLE_READER, false, 0, false, "", handle_openapi},
	{"GET", API "/status", ROLE_READER, false, 0, false, "", handle_status},
	{"GET", API "/settings", ROLE_ADMIN, true, 0, false, "", handle_settings},
	{"GET", API "/routes", ROLE_READER, true, 0, false, "", handle_routes},
	{"POST", API "/routes/{name}/pause", ROLE_OPERATOR, true, KIB, false, "",
	 handle_route_pause},
	{"POST", API "/routes/{name}/resume", ROLE_OPERATOR, true, KIB, false, "",
	 handle_route_resume},
	{"POST", API "/delivery/pause", ROLE_OPERATOR, true, KIB, false, "", handle_delivery_pause},
	{"POST", API "/delivery/resume", ROLE_OPERATOR, true, KIB, false, "",
	 handle_delivery_resume},
	{"GET", API "/whitelist", ROLE_READER, false, 0, false, "q scope action limit after",
	 handle_whitelist_list},
	{"POST", API "/whitelist", ROLE_OPERATOR, false, 16 * KIB, true, "lint",
	 handle_whitelist_add},
	{"PUT", API "/whitelist", ROLE_OPERATOR, false, LISTING_BYTES_MAX, true, "dry_run",
	 handle_whitelist_replace},
	/* In front of {id}: the first that fits counts. */
	{"GET", API "/whitelist/history", ROLE_READER, false, 0, false,
	 "entry pattern since limit after", handle_whitelist_history},
	{"POST", API "/whitelist/import", ROLE_OPERATOR, false, LISTING_BYTES_MAX, true,
	 "format dry_run mode scope allow_all", handle_whitelist_import},
	{"GET", API "/whitelist/export", ROLE_READER, false, 0, false, "format scope",
	 handle_whitelist_export},
	{"GET", API "/whitelist/{id}", ROLE_READER, false, 0, false, "", handle_whitelist_get},
	{"PATCH", API "/whitelist/{id}", ROLE_OPERATOR, false, 16 * KIB, true, "lint",
	 handle_whitelist_patch},
	{"DELETE", API "/whitelist/{id}", ROLE_OPERATOR, false, 0, false, "",
	 handle_whitelist_delete},
	{"GET", API "/faults", ROLE_READER, true, 0, false, "", handle_faults},
	{"POST", API "/faults", ROLE_OPERATOR, true, 16 * KIB, true, "", handle_faults},
	{"GET", API "/faults/{id}", ROLE_READER, true, 0, false, "", handle_faults},
	{"PATCH", API "/faults/{id}", ROLE_OPERATOR, true, 16 * KIB, true, "", handle_faults},
	{"DELETE", API "/faults/{id}", ROLE_OPERATOR, true, 0, false, "", handle_faults},
	{"GET", API "/rules", ROLE_READER, true, 0, false, "", handle_rules},
	{"POST", API "/rules", ROLE_OPERATOR, true, 64 * KIB, true, "", handle_rules},
	{"GET", API "/rules/{id}", ROLE_READER, true, 0, false, "", handle_rules},
	{"PATCH", API "/rules/{id}", ROLE_OPERATOR, true, 64 * KIB, true, "", handle_rules},
	{"DELETE", API "/rules/{id}", ROLE_OPERATOR, true, 0, false, "", handle_rules},
	{"POST", API "/check", ROLE_READER, false, 512 * KIB, true, "", handle_check},
	{"GET", API "/events", ROLE_READER, false, 0, false, "types scope follow", handle_events},
	{"GET", API "/messages", ROLE_READER, false, 0, false,
	 "state to from subject q since until include limit after wait", handle_message_list},
	{"POST", API "/messages", ROLE_OPERATOR, false, HANDIN_BODY_MAX, true, HANDIN_PARAMS,
	 handle_message_create},
	{"GET", API "/messages/{id}", ROLE_READER, false, 0, false, "", handle_message_get},
	{"GET", API "/messages/{id}/raw", ROLE_READER, false, 0, false, "", handle_message_raw},
	{"GET", API "/messages/{id}/sent", ROLE_READER, false, 0, false, "recipient",
	 handle_message_sent},
	{"GET", API "/messages/{id}/parts", ROLE_READER, false, 0, false, "", handle_message_parts},
	{"GET", API "/messages/{id}/parts/{part}", ROLE_READER, false, 0, false, "",
	 handle_message_part},
	{"GET", API "/messages/{id}/text", ROLE_READER, false, 0, false, "", handle_message_text},
	{"GET", API "/messages/{id}/html", ROLE_READER, false, 0, false, "", handle_message_html},
	{"POST", API "/messages/{id}/retry", ROLE_OPERATOR, false, 512 * KIB, false, "",
	 handle_message_retry},
	{"POST", API "/messages/{id}/hold", ROLE_OPERATOR, false, 512 * KIB, false, "",
	 handle_message_hold},
	{"POST", API "/messages/{id}/release", ROLE_OPERATOR, false, 512 * KIB, false, "",
	 handle_message_release},
	{"POST", API "/messages/{id}/cancel", ROLE_OPERATOR, false, 512 * KIB, false, "",
	 handle_message_cancel},
	{"DELETE", API "/messages/{id}", ROLE_OPERATOR, false, 0, false, "when_settled",
	 handle_message_delete},
	{"GET", API "/recipients", ROLE_READER, true, 0, false,
	 "address state reason from subject q since until limit after wait", handle_recipient_list},
	{"POST", API "/recipients/retry", ROLE_OPERATOR, true, 16 * KIB, true, "",
	 handle_recipients_retry},
	{"POST", API "/recipients/hold", ROLE_OPERATOR, true, 16 * KIB, true, "",
	 handle_recipients_hold},
	{"POST", API "/recipients/release", ROLE_OPERATOR, true, 16 * KIB, true, "",
	 handle_recipients_release},
	{"POST", API "/recipients/cancel", ROLE_OPERATOR, true, 16 * KIB, true, "",
	 handle_recipients_cancel},
	{"GET", API "/session", ROLE_READER, false, 0, false, "", handle_session_get},
	{"POST", API "/session", ROUTE_NO_TOKEN, false, KIB, true, "", handle_session_open},
	{"DELETE", API "/session", ROLE_READER, false, 0, false, "", handle_session_close},
	{"GET", API "/tokens", ROLE_ADMIN, true, 0, false, "limit after", handle_token_list},
	{"POST", API "/tokens", ROLE_ADMIN, true, 4 * KIB, true, "", handle_token_create},
	{"GET", API "/tokens/{id}", ROLE_ADMIN, true, 0, false, "", handle_token_get},
	{"DELETE", API "/tokens/{id}", ROLE_ADMIN, true, 0, false, "", handle_token_revoke},
	{"GET", API "/webhooks", ROLE_READER, true, 0, false, "", handle_webhooks},
	{"GET", API "/webhooks/dead-letters", ROLE_READER, true, 0, false, "webhook limit after",
	 handle_dead_letters},
	{"POST", API "/webhooks/dead-letters/retry", ROLE_OPERATOR, true, KIB, false, "",
	 handle_dead_letters_retry},
	{"POST", API "/webhooks/dead-letters/drop", ROLE_OPERATOR, true, KIB, false, "",
	 handle_dead_letters_drop},
	{"GET", API "/webhooks/dead-letters/{id}", ROLE_READER, true, 0, false, "",
	 handle_dead_letter_get},
	{"DELETE", API "/webhooks/dead-letters/{id}", ROLE_OPERATOR, true, 0, false, "",
	 handle_dead_letter_drop},
	{"POST", API "/webhooks/dead-letters/{id}/retry", ROLE_OPERATOR, true, KIB, false, "",
	 handle_dead_letter_retry},
	{"POST", API "/backup", ROLE_ADMIN, true, 0, false, "", handle_backup_begin},
	{"GET", API "/backup", ROLE_ADMIN, true, 0, false, "", handle_backup_get},
	{"DELETE", API "/backup", ROLE_ADMIN, true, 0, false, "", handle_backup_end},
	{"GET", API "/backup/content", ROLE_ADMIN, true, 0, false, "", handle_backup_content},
	{"GET", API "/audit", ROLE_ADMIN, true, 0, false, "limit after", handle_audit_list},
};

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

const struct route *routes_all(size_t *count_out)
{
	*count_out = ROUTE_COUNT;
	return routes;
}

/* --- finding a route
 * ------------------------------------------------------------------------------ */

/* Ids and names as they stand in a path: nothing that could need decoding. */
static bool is_segment(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.data[i]) && text.data[i] != '-' && text.data[i] != '_' &&
		    (text.data[i] != '.' || i == 0))
			return false;
	return text.len > 0;
}

static bool path_matches(const char *pattern, struct span path, struct span ids_out[ROUTES_IDS])
{
	struct span left = span_of(pattern);
	size_t ids = 0;

	if (span_is(path, "/"))
		return strcmp(pattern, "/") == 0;
	/* An empty last segment leaves no trace in span_cut: no other path of ours has one. */
	if (path.len == 0 || path.data[path.len - 1] == '/')
		return false;
	while (left.len > 0 && path.len > 0) {
		struct span want = span_cut(&left, '/');
		struct span have = span_cut(&path, '/');

		if (want.len > 0 && want.data[0] == '{') {
			if (!is_segment(have))
				return false;
			assert(ids < ROUTES_IDS);
			ids_out[ids++] = have;
		} else if (!span_equal(want, have)) {
			return false;
		}
	}
	return left.len == 0 && path.len == 0;
}

const struct route *routes_find(struct span method, struct span path,
				struct span ids_out[ROUTES_IDS], char *allow_out)
{
	bool is_named = false;
	size_t len = 0;

	if (span_is(method, "HEAD"))
		method = span_of("GET");
	allow_out[0] = '\0';
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		struct span ids[ROUTES_IDS] = {{NULL, 0}};

		if (!path_matches(routes[i].pattern, path, ids))
			continue;
		/* "history" is a path of its own, and no {id}. */
		if (ids[0].data != NULL && is_named)
			break;
		is_named = is_named || ids[0].data == NULL;
		if (span_is(method, routes[i].method)) {
			memcpy(ids_out, ids, sizeof(ids));
			return &routes[i];
		}
		len += (size_t)snprintf(allow_out + len, ROUTES_ALLOW_SIZE - len, "%s%s%s",
					len > 0 ? ", " : "", routes[i].method,
					strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
	}
	return NULL;
}

/* --- what is asked: route, body, parameters; admin/gate.h says by whom
 * -------------------------------- */

static bool is_write(const struct call *call)
{
	return strcmp(call->route->method, "GET") != 0;
}

static bool find_route(struct call *call)
{
	static const char *const known[] = {"GET",    "HEAD",	 "POST",  "PUT",    "PATCH",
					    "DELETE", "OPTIONS", "TRACE", "CONNECT"};
	struct span method = http_method(call->http);
	char allow[ROUTES_ALLOW_SIZE];
	struct span ids[ROUTES_IDS];

	call->route = routes_find(method, http_path(call->http), ids, allow);
	if (call->route != NULL) {
		call->id = ids[0];
		call->part = ids[1];
		return true;
	}
	if (allow[0] == '\0') {
		call_problem(call, 404, "there is nothing at this path");
		return false;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_is(method, known[i])) {
			http_reply_header(call->http, "Allow", allow);
			call_problem(call, 405, "this path answers %s", allow);
			return false;
		}
	call_problem(call, 501, "no such method");
	return false;
}

/*
 * A list comes as people have it, not only as JSON; what it is says a
 * parameter. Still nothing that a form could be made to send (S286).
 */
static bool takes_text(const struct call *call)
{
	return call->route->handle == handle_whitelist_import;
}

static bool takes_message(const struct call *call)
{
	return call->route->handle == handle_message_create;
}

/* What may be long is read by who wants it, without a tree of all that is in it. */
static bool reads_body(const struct call *call)
{
	return takes_text(call) || takes_message(call) ||
	       call->route->handle == handle_whitelist_replace;
}

static bool type_is_right(const struct call *call)
{
	size_t count;
	const char *type = http_header(call->http, "Content-Type", &count);
	struct span text = span_of(type);

	text = span_trim(span_first(text, span_find(text, ';')));
	if (takes_text(call) &&
	    (span_is_fold(text, "text/csv") || span_is_fold(text, "application/octet-stream")))
		return count == 1;
	if (takes_message(call) && span_is_fold(text, "message/rfc822"))
		return count == 1;
	return count == 1 && (span_is_fold(text, "application/json") ||
			      (span_is_fold(text, "application/merge-patch+json") &&
			       strcmp(call->route->method, "PATCH") == 0));
}

/* NULL when an escape is broken, or what comes out is not text. */
static const char *decode(struct call *call, struct span raw)
{
	char *text = arena_alloc(call->arena, raw.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.data[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = i + 2 < raw.len ? ascii_hex_value(raw.data[i + 1]) : -1;
			int low = i + 2 < raw.len ? ascii_hex_value(raw.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return NULL;
		text[len++] = c;
	}
	text[len] = '\0';
	return span_is_utf8(span_make(text, len)) ? text : NULL;
}

static bool is_param(const struct route *route, const char *name)
{
	struct span rest = span_of(route->params);

	while (rest.len > 0)
		if (span_is(span_cut(&rest, ' '), name))
			return true;
	return false;
}

/* The one parameter that may be given several times. */
static bool is_repeated(const struct call *call, const char *name)
{
	return takes_message(call) && strcmp(name, "recipient") == 0;
}

static void add_repeated(struct call *call, const char *value)
{
	if (call->repeated_count == call->repeated_room) {
		const char **grown;

		call->repeated_room = call->repeated_room > 0 ? call->repeated_room * 2 : 8;
		grown = arena_array(call->arena, call->repeated_room, sizeof(*grown));
		if (call->repeated_count > 0)
			memcpy(grown, call->repeated, call->repeated_count * sizeof(*grown));
		call->repeated = grown;
	}
	call->repeated[call->repeated_count++] = value;
}

static void read_param(struct call *call, struct span pair)
{
	const char *name = decode(call, span_first(pair, span_find(pair, '=')));
	const char *value = decode(call, span_skip(pair, span_find(pair, '=') + 1));

	if (name == NULL || value == NULL)
		call_mistake(call, "", "a query parameter is not UTF-8 text");
	else if (!is_param(call->route, name))
		call_mistake(call, name, "unknown query parameter");
	else if (is_repeated(call, name))
		add_repeated(call, value);
	else if (call_param(call, name) != NULL)
		call_mistake(call, name, "given more than once");
	else if (value[0] != '\0') { /* "scope=" is as good as nothing */
		call->params[call->param_count].name = name;
		call->params[call->param_count++].value = value;
	}
}

static bool read_params(struct call *call)
{
	struct span rest = http_query(call->http);

	while (rest.len > 0 && call->mistakes == NULL) {
		struct span pair = span_cut(&rest, '&');

		if (pair.len > 0)
			read_param(call, pair);
	}
	return !call_refused(call);
}

static struct call *call_new(const struct api *api, struct http_request *http)
{
	struct call *call = mem_zalloc(sizeof(*call));

	call->api = api;
	call->http = http;
	call->arena = arena_new();
	http_set_data(http, call);
	return call;
}

static void on_begin(void *ctx, struct http_request *http, size_t *body_limit_out)
{
	struct call *call = call_new(ctx, http);

	if (find_route(call) && gate_may_call(call) && gate_is_ours(call)) {
		*body_limit_out = call->route->body_limit;
		if (read_params(call) && http_has_body(http) && call->route->body_limit > 0 &&
		    !type_is_right(call))
			call_problem(call, 415, "the body must be application/json%s",
				     takes_text(call) ? ", text/csv or application/octet-stream"
				     : takes_message(call) ? " or message/rfc822"
							   : "");
		if (takes_message(call) && http_status(http) == 0)
			handin_begin(call, body_limit_out);
	}
	call_give_reader(call);
}

static void on_handle(void *ctx, struct http_request *http)
{
	struct call *call = http_data(http);
	struct span body = http_body(http);
	struct err why;
	int code = ERR_OK;

	if ((body.len > 0 || call->route->body_required) && !reads_body(call))
		code = call_parse_body(body, &call->body, &why);
	if (code != ERR_OK) {
		call_problem(call, 400, "%s", why.text);
		return;
	}
	call->route->handle(call);
	call_give_reader(call);
}

static void on_refuse(void *ctx, struct http_request *http, int status, const char *detail)
{
	struct call *call = http_data(http);

	if (call == NULL)
		call = call_new(ctx, http);
	call_problem(call, status, "%s", detail);
}

/* Administrative changes are worth a line; what was only asked is not. */
static void log_call(const struct call *call)
{
	int status = http_status(call->http);

	if (call->route == NULL || !is_write(call) || call->route->handle == handle_check ||
	    status == 0 || status >= 400)
		return;
	log_info("admin", LOG_S("actor", call->caller.actor), LOG_S("method", call->route->method),
		 LOG_SPAN("path", http_path(call->http)), LOG_I("status", status));
}

static void on_end(void *ctx, struct http_request *http)
{
	struct call *call = http_data(http);

	if (call == NULL)
		return;
	log_call(call);
	traffic_add(call->api->traffic, http_status(http), call->waited ? -1 : http_took_us(http));
	if (call->forget != NULL)
		call->forget(call);
	json_decref(call->body);
	json_decref(call->mistakes);
	arena_free(&call->arena);
	mem_free(call);
}

const struct http_ops routes_http_ops = {on_begin, on_handle, on_refuse, on_end};
