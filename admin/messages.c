/* admin/messages.c - the queue as a resource: messages, and recipients across them */
#include "admin/delivery.h"
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/value.h"
#include "admin/view.h"
#include "base/clock.h"
#include "queue/reader.h"

#define FILTER_MAX	   512 /* octets of a text filter */
#define RECIPIENT_PAGE_MAX 20  /* messages in a page that shows recipients, up to 1,000 each */
#define SCOPED_ROUNDS	   20  /* pages looked through for a caller limited to a scope */

/* --- the filters -------------------------------------------------------------------------------
 */

static const char *param_text(struct call *call, const char *name)
{
	const char *text = call_param(call, name);

	if (text != NULL && strlen(text) > FILTER_MAX)
		call_mistake(call, name, "longer than %d octets", FILTER_MAX);
	return text;
}

static void read_filters(struct call *call, const char *to, struct message_query *query_out)
{
	const char *state = call_param(call, "state");

	if (state != NULL && state_parse(span_of(state), &query_out->state) != ERR_OK)
		call_mistake(call, "state", "no such state");
	query_out->to = param_text(call, to);
	query_out->from = param_text(call, "from");
	query_out->subject = param_text(call, "subject");
	query_out->since = call_param_time(call, "since");
	query_out->until = call_param_time(call, "until");
}

static void read_message_query(struct call *call, struct message_query *query_out)
{
	const char *after = call_param(call, "after");
	const char *include = call_param(call, "include");
	struct err why;

	read_filters(call, "to", query_out);
	query_out->limit = call_param_limit(call);
	query_out->has_before = after != NULL;
	if (after != NULL &&
	    cursor_parse_ulid(CURSOR_MESSAGES, span_of(after), &query_out->before, &why) != ERR_OK)
		call_mistake(call, "after", "%s", why.text);
	query_out->with_recipients = include != NULL;
	if (include != NULL && strcmp(include, "recipients") != 0)
		call_mistake(call, "include", "only recipients can be included");
	if (include != NULL && query_out->limit > RECIPIENT_PAGE_MAX)
		query_out->limit = RECIPIENT_PAGE_MAX;
}

/* --- messages
 * ------------------------------------------------------------------------------------- */

static bool may_see(const struct call *call, const struct message_view *view)
{
	return call->caller.scope[0] == '\0' || strcmp(call->caller.scope, view->m.scope) == 0;
}

/*
 * Fill `items` with up to `wanted` messages; query->before moves on. The store
 * does not filter by scope, so for a caller limited to one a bounded number of
 * pages is looked through: such a page may hold fewer than asked for, and go on.
 */
static int fill_page(struct call *call, struct message_query *query, size_t wanted, json_t *items,
		     bool *more_out, struct err *why)
{
	struct message_view *views;
	size_t count;

	query->limit = wanted + 1;
	for (int round = 0; round < SCOPED_ROUNDS; round++) {
		int code = queue_message_list(call_reader(call), query, call->arena, &views, &count,
					      why);

		if (code != ERR_OK)
			return code;
		for (size_t i = 0; i < count; i++) {
			*more_out = json_array_size(items) == wanted;
			if (*more_out)
				return ERR_OK;
			if (may_see(call, &views[i]))
				(void)json_array_append_new(items, view_message(&views[i], false));
			query->before = views[i].m.id;
			query->has_before = true;
		}
		*more_out = count == query->limit;
		if (!*more_out)
			return ERR_OK;
	}
	return ERR_OK;
}

/* With what keeps mail from leaving, if anything does. */
static void reply_page(struct call *call, json_t *items, const char *next)
{
	call_reply(call, 200,
		   json_pack("{s:o, s:s?, s:o}", "items", items, "next", next, "delivery",
			     delivery_view(call->api)));
}

void handle_message_list(struct call *call)
{
	struct message_query query = {0};
	char next[CURSOR_TEXT_SIZE];
	bool more = false;
	json_t *items;
	struct err why;
	int code;

	read_message_query(call, &query);
	if (call_refused(call))
		return;
	items = json_array();
	code = fill_page(call, &query, query.limit, items, &more, &why);
	if (code != ERR_OK) {
		json_decref(items);
		call_error(call, code, &why);
		return;
	}
	cursor_format_ulid(CURSOR_MESSAGES, &query.before, next);
	reply_page(call, items, more ? next : NULL);
}

bool message_find(struct call *call, struct message_view *view_out)
{
	struct ulid id;
	struct err why;
	int code = ulid_parse(call->id, &id);

	if (code == ERR_OK)
		code = queue_message_show(call_reader(call), &id, call->arena, view_out, &why);
	if (code == ERR_NOT_FOUND || code == ERR_SYNTAX ||
	    (code == ERR_OK && !may_see(call, view_out)))
		call_problem(call, 404, "there is no such message");
	else if (code != ERR_OK)
		call_error(call, code, &why);
	else
		return true;
	return false;
}

bool message_find_content(struct call *call, struct message_view *view_out)
{
	char at[CLOCK_RFC3339_SIZE];

	if (!message_find(call, view_out))
		return false;
	if (view_out->m.removed_at == 0)
		return true;
	clock_format_rfc3339(view_out->m.removed_at, at);
	call_problem(call, 410, "retention removed the content of the message at %s", at);
	return false;
}

/* --- recipients
 * -------------------------------------------------------------------------------------- */

void handle_recipient_list(struct call *call)
{
	struct recipient_query query = {.before_id = call_param_cursor(call, CURSOR_RECIPIENTS)};
	size_t limit = call_param_limit(call);
	char next[CURSOR_TEXT_SIZE] = "";
	struct recipient_row *rows;
	json_t *items;
	size_t count;
	struct err why;
	int code;

	read_filters(call, "address", &query.message);
	query.reason = param_text(call, "reason");
	if (call_refused(call))
		return;
	query.limit = limit + 1;
	code = queue_recipient_list(call_reader(call), &query, call->arena, &rows, &count, &why);
	if (code != ERR_OK) {
		call_error(call, code, &why);
		return;
	}
	items = json_array();
	for (size_t i = 0; i < count && i < limit; i++)
		(void)json_array_append_new(items, view_recipient_row(&rows[i]));
	if (count > limit)
		cursor_format_id(CURSOR_RECIPIENTS, rows[limit - 1].recipient.id, next);
	reply_page(call, items, count > limit ? next : NULL);
}
