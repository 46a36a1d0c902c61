/* admin/rules.c - rules on what a message says of itself as a resource */
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/rows.h"
#include "admin/view.h"
#include "relay/filter/rule.h"

#define OCTETS_MAX ((int64_t)1 << 40)

static const struct edition *acquire(const struct api *api)
{
	return rules_acquire(api->env.rules);
}

static json_t *view(const struct edition *edition, size_t index, const void *row)
{
	struct rule_view view = {.source = PUBLISHED_FROM_STORE};

	if (index < edition->count)
		rule_view(edition, index, &view);
	view.rule = row;
	return view_rule(&view);
}

static void init(void *row)
{
	rule_init(row);
}

static void keep(void *row, struct arena *arena)
{
	rule_keep(row, arena);
}

/* --- conditions on the header ----------------------------------------------------------------- */

/* NULL: not there, or a mistake. */
static const char *header_text(struct call *call, const json_t *header, size_t i, const char *name)
{
	const json_t *value = json_object_get(header, name);
	char pointer[64];

	if (value == NULL || json_is_string(value))
		return json_string_value(value);
	(void)snprintf(pointer, sizeof(pointer), "/headers/%zu/%s", i, name);
	call_mistake(call, pointer, "must be a string");
	return NULL;
}

/* With a value and without a word for it, it is a glob; without a value it must be present. */
static struct rule_header read_header(struct call *call, const json_t *header, size_t i)
{
	const char *name = header_text(call, header, i, "name");
	const char *match = header_text(call, header, i, "match");
	const char *value = header_text(call, header, i, "value");
	struct rule_header read = {.name = name != NULL ? name : "",
				   .match = value != NULL ? RULE_GLOB : RULE_PRESENT,
				   .value = value != NULL ? value : ""};
	char pointer[64];

	(void)snprintf(pointer, sizeof(pointer), "/headers/%zu/match", i);
	if (match != NULL && rule_match_parse(span_of(match), &read.match) != ERR_OK)
		call_mistake(call, pointer, "present, absent, exact or glob");
	return read;
}

static bool has_other_member(const json_t *header)
{
	size_t known = 0;

	known += json_object_get(header, "name") != NULL ? 1 : 0;
	known += json_object_get(header, "match") != NULL ? 1 : 0;
	known += json_object_get(header, "value") != NULL ? 1 : 0;
	return json_object_size(header) != known;
}

static void read_headers(struct call *call, struct rule *rule)
{
	const json_t *list = json_object_get(call->body, "headers");
	struct rule_header *headers;
	size_t count = json_array_size(list);
	char pointer[64];

	if (list == NULL)
		return;
	rule->header_count = 0;
	if (json_is_null(list))
		return;
	if (!json_is_array(list) || count > RULE_HEADERS_MAX) {
		call_mistake(call, "/headers", "must be an array of at most %d conditions",
			     RULE_HEADERS_MAX);
		return;
	}
	headers = arena_array(call->arena, count + 1, sizeof(*headers));
	for (size_t i = 0; i < count; i++) {
		const json_t *one = json_array_get(list, i);

		(void)snprintf(pointer, sizeof(pointer), "/headers/%zu", i);
		if (!json_is_object(one) || has_other_member(one))
			call_mistake(call, pointer, "must be an object of name, match and value");
		else
			headers[i] = read_header(call, one, i);
	}
	rule->headers = headers;
	rule->header_count = count;
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static void read_action(struct call *call, struct rule *rule)
{
	const char *action = rows_read_action(call);

	if (action != NULL && rule_action_parse(span_of(action), &rule->action) != ERR_OK)
		call_mistake(call, "/action", "deliver, drop, hold, redirect or tag");
}

static void read_rule(struct call *call, struct row_change *change)
{
	struct rule *rule = change->row;

	read_action(call, rule);
	rows_read_text(call, "name", &rule->name);
	rows_read_text(call, "redirect_to", &rule->redirect_to);
	rows_read_text(call, "tag", &rule->tag);
	rows_read_text(call, "sender", &rule->sender);
	rows_read_text(call, "recipient", &rule->recipient);
	rows_read_text(call, "client", &rule->client);
	rows_read_text(call, "user", &rule->user);
	rows_read_text(call, "listener", &rule->listener);
	rows_read_text(call, "scope", &rule->scope);
	rows_read_text(call, "note", &rule->note);
	rows_read_number(call, "min_size", 0, OCTETS_MAX, &rule->min_size);
	rows_read_number(call, "max_size", 0, OCTETS_MAX, &rule->max_size);
	read_headers(call, rule);
	rows_read_bool(call, "enabled", &rule->enabled);
	rows_read_bool(call, "overrides_whitelist", &rule->overrides_whitelist);
	if (call->mistakes == NULL)
		(void)rule_check(rule, rows_tell, call);
}

static const struct row_kind rules = {
	.noun = "rule",
	.path = "/api/v1/rules",
	.members =
		"name enabled action redirect_to tag overrides_whitelist sender recipient client "
		"user listener scope min_size max_size headers note before",
	.acquire = acquire,
	.view = view,
	.init = init,
	.keep = keep,
	.read = read_rule,
	ROWS_OF(rule),
};

void handle_rules(struct call *call)
{
	rows_handle(call, &rules);
}
