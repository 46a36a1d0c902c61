/* admin/input.c - one API request: what was asked (query parameters and JSON bodies) */
#include "admin/call.h"

#include <stdio.h>

#include "admin/value.h"
#include "base/clock.h"
#include "base/when.h"
#include "relay/filter/listing.h"

/* --- query parameters --------------------------------------------------------------------------
 */

const char *call_param(const struct call *call, const char *name)
{
	for (size_t i = 0; i < call->param_count; i++)
		if (strcmp(call->params[i].name, name) == 0)
			return call->params[i].value;
	return NULL;
}

bool call_param_flag(struct call *call, const char *name, bool otherwise)
{
	const char *text = call_param(call, name);

	if (text == NULL)
		return otherwise;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		call_mistake(call, name, "neither true nor false");
	return strcmp(text, "true") == 0;
}

size_t call_param_limit(struct call *call)
{
	const char *text = call_param(call, "limit");
	uint64_t limit = CALL_LIST_USUAL;

	if (text != NULL &&
	    (span_to_u64(span_of(text), CALL_LIST_LIMIT, &limit) != ERR_OK || limit == 0)) {
		call_mistake(call, "limit", "not a number from 1 to %d", CALL_LIST_LIMIT);
		limit = 1;
	}
	return (size_t)limit;
}

int64_t call_param_time(struct call *call, const char *name)
{
	const char *text = call_param(call, name);
	int64_t wall_ms = 0;
	struct err why;

	if (text != NULL &&
	    when_parse_past(span_of(text), clock_wall_ms(), &wall_ms, &why) != ERR_OK)
		call_mistake(call, name, "%s", why.text);
	return wall_ms;
}

int64_t call_param_cursor(struct call *call, int kind)
{
	const char *text = call_param(call, "after");
	int64_t id = 0;
	struct err why;

	if (text != NULL &&
	    cursor_parse_id((enum cursor_kind)kind, span_of(text), &id, &why) != ERR_OK)
		call_mistake(call, "after", "%s", why.text);
	return id;
}

const char *call_param_scope(struct call *call)
{
	const char *scope = call_param(call, "scope");
	const char *own = call->caller.scope;

	if (own[0] == '\0')
		return scope;
	if (scope != NULL && strcmp(scope, own) != 0)
		call_mistake(call, "scope", "this token is limited to the scope %s", own);
	return own;
}

bool call_row_id(struct call *call, int64_t *id_out)
{
	uint64_t id = 0;

	/* "007" would be a second name for 7. */
	if (call->id.len == 0 || call->id.data[0] == '0' ||
	    span_to_u64(call->id, INT64_MAX, &id) != ERR_OK) {
		call_problem(call, 404, "there is no such id");
		return false;
	}
	*id_out = (int64_t)id;
	return true;
}

/* --- JSON bodies ---------------------------------------------------------------------------------
 */

/* jansson goes 2,048 deep; brackets are counted before it sees them (CASES S302). */
static bool is_too_deep(struct span text)
{
	bool in_string = false;
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > CALL_BODY_DEPTH)
				return true;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return false;
}

int call_parse_body(struct span text, json_t **body_out, struct err *why)
{
	json_error_t error;
	json_t *body;

	if (is_too_deep(text))
		return err_set(why, ERR_LIMIT, "the JSON is nested more than %d deep",
			       CALL_BODY_DEPTH);
	body = json_loadb(text.data != NULL ? text.data : "", text.len, JSON_REJECT_DUPLICATES,
			  &error);
	if (body == NULL)
		return err_set(why, ERR_SYNTAX, "not JSON: line %d, column %d: %s", error.line,
			       error.column, error.text);
	if (!json_is_object(body)) {
		json_decref(body);
		return err_set(why, ERR_SYNTAX, "the body must be a JSON object");
	}
	*body_out = body;
	return ERR_OK;
}

/* Is `name` one of those in `names` ("a b c")? */
static bool is_listed(const char *name, const char *names)
{
	struct span rest = span_of(names);

	while (rest.len > 0)
		if (span_is(span_cut(&rest, ' '), name))
			return true;
	return false;
}

/* RFC 6901: '~' and '/' inside a name are written ~0 and ~1. */
static const char *pointer_to(struct call *call, const char *name)
{
	struct buf pointer;
	const char *copy;

	buf_init(&pointer, 300);
	(void)buf_append_char(&pointer, '/');
	for (; *name != '\0'; name++)
		if ((*name == '~'   ? buf_append_text(&pointer, "~0")
		     : *name == '/' ? buf_append_text(&pointer, "~1")
				    : buf_append_char(&pointer, *name)) != ERR_OK)
			break;
	copy = arena_span_dup(call->arena, buf_span(&pointer));
	buf_release(&pointer);
	return copy;
}

void call_only_members(struct call *call, const char *names)
{
	const char *name;
	json_t *value;
	size_t told = 0;

	json_object_foreach(call->body, name, value)
	{
		if (is_listed(name, names))
			continue;
		call_mistake(call, pointer_to(call, name), "unknown member");
		if (++told == 20)
			return;
	}
}

bool call_has_member(const struct call *call, const char *name)
{
	return json_object_get(call->body, name) != NULL;
}

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if (((unsigned char)*text < ' ' && *text != '\n' && *text != '\t') || *text == 127)
			return true;
	return false;
}

const char *call_text(struct call *call, const char *name, size_t max)
{
	json_t *value = json_object_get(call->body, name);

	if (value == NULL || json_is_null(value))
		return NULL;
	if (!json_is_string(value))
		call_mistake(call, pointer_to(call, name), "must be a string");
	else if (json_string_length(value) > max)
		call_mistake(call, pointer_to(call, name), "longer than %zu octets", max);
	else if (has_control(json_string_value(value)))
		call_mistake(call, pointer_to(call, name), "holds a control character");
	else
		return json_string_value(value);
	return NULL;
}

bool call_bool(struct call *call, const char *name)
{
	json_t *value = json_object_get(call->body, name);

	if (value != NULL && !json_is_boolean(value))
		call_mistake(call, pointer_to(call, name), "must be true or false");
	return json_is_true(value);
}

bool call_number(struct call *call, const char *name, int64_t min, int64_t max, int64_t *number_out)
{
	json_t *value = json_object_get(call->body, name);

	if (value == NULL || json_is_null(value))
		return false;
	if (!json_is_integer(value))
		call_mistake(call, pointer_to(call, name), "must be a whole number");
	else if (json_integer_value(value) < min || json_integer_value(value) > max)
		call_mistake(call, pointer_to(call, name), "from %lld to %lld", (long long)min,
			     (long long)max);
	else {
		*number_out = json_integer_value(value);
		return true;
	}
	return false;
}

int64_t call_expiry(struct call *call, int64_t now)
{
	const char *at = call_text(call, "expires_at", 64);
	const char *in = call_text(call, "expires_in", 32);
	int64_t ms = 0;
	struct err why;

	if (at != NULL && in != NULL) {
		call_mistake(call, "/expires_in", "expires_at is given already");
	} else if (in != NULL) {
		if (when_parse_duration(span_of(in), &ms, &why) != ERR_OK)
			call_mistake(call, "/expires_in", "%s", why.text);
		else
			return now + ms;
	} else if (at != NULL) {
		if (when_parse(span_of(at), &ms, &why) != ERR_OK)
			call_mistake(call, "/expires_at", "%s", why.text);
		else if (ms <= now)
			call_mistake(call, "/expires_at", "lies in the past");
		else
			return ms;
	}
	return 0;
}

bool call_is_scope(const char *text)
{
	return listing_is_scope(span_of(text));
}

const char *call_scope(struct call *call)
{
	const char *scope = call_text(call, "scope", AUTH_SCOPE_MAX);
	const char *own = call->caller.scope;

	if (scope == NULL)
		return own;
	if (!call_is_scope(scope))
		call_mistake(call, "/scope", "only letters, digits, '.', '_' and '-'");
	else if (own[0] != '\0' && strcmp(scope, own) != 0)
		call_mistake(call, "/scope", "this token is limited to the scope %s", own);
	return scope;
}
