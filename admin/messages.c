/* admin/messages.c - the queue as a resource: messages, and recipients across them */
#include "admin/delivery.h"
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/poll.h"
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
static int fill_page(struct call *call, struct message_query *query, struct arena *arena,
		     json_t *items, bool *more_out, struct err *why)
{
	size_t wanted = query->limit;
	struct message_view *views;
	size_t count;

	query->limit = wanted + 1;
	for (int round = 0; round < SCOPED_ROUNDS; round++) {
		int code = queue_message_list(call_reader(call), query, arena, &views, &count, why);

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

/* One request for a list. */
struct listing {
	struct poll poll; /* first */
	bool waits;
	union {
		struct message_query messages;
		struct recipient_query recipients;
	};
};

/*
 * What could make a list hold something that it does not hold now. Whether it
 * does, the database is asked; the less often for nothing the better.
 */
static struct feed_filter wake_for(const struct call *call, const struct message_query *query,
				   bool by_recipient)
{
	struct feed_filter filter = {.kinds = 1U << NEWS_ACCEPTED, .recipient = query->to};

	if (call->caller.scope[0] != '\0')
		filter.scope = call->caller.scope;
	if (by_recipient || query->to != NULL || query->state != 0)
		filter.kinds = 1U << NEWS_VERDICT | 1U << NEWS_ATTEMPT | 1U << NEWS_STATE;
	return filter;
}

/* False: refused. The first look is the caller's to take. */
static bool begin_listing(struct call *call, struct listing *listing,
			  const struct message_query *query, bool by_recipient,
			  void (*look)(struct call *call))
{
	int64_t wait_ms = poll_param(call);
	struct feed_filter filter = wake_for(call, query, by_recipient);

	if (wait_ms > 0 && call_param(call, "after") != NULL)
		call_mistake(call, "wait", "what is older than a page does not come later");
	if (wait_ms > 0 && query->state == STATE_DELIVERING)
		call_mistake(call, "wait",
			     "who is being delivered to is not told: wait for what "
			     "becomes of it");
	if (call_refused(call))
		return false;
	call->work = listing;
	listing->waits = wait_ms > 0;
	if (listing->waits)
		poll_init(&listing->poll, call, wait_ms, &filter, look);
	return true;
}

/* True: there is nothing yet, and it will be looked at again. Takes `items` then. */
static bool is_put_off(struct listing *listing, json_t *items)
{
	if (!listing->waits || json_array_size(items) > 0 || !poll_again(&listing->poll))
		return false;
	json_decref(items);
	return true;
}

static void list_messages(struct call *call)
{
	struct listing *listing = call->work;
	struct message_query query = listing->messages;
	struct arena *arena = arena_new(); /* there may be many looks */
	char next[CURSOR_TEXT_SIZE];
	json_t *items = json_array();
	bool more = false;
	struct err why;
	int code = fill_page(call, &query, arena, items, &more, &why);

	arena_free(&arena);
	if (code == ERR_OK && is_put_off(listing, items))
		return;
	if (code != ERR_OK) {
		json_decref(items);
		call_error(call, code, &why);
		return;
	}
	cursor_format_ulid(CURSOR_MESSAGES, &query.before, next);
	reply_page(call, items, more ? next : NULL);
}

void handle_message_list(struct call *call)
{
	struct listing *listing = arena_zalloc(call->arena, sizeof(*listing));

	read_message_query(call, &listing->messages);
	if (begin_listing(call, listing, &listing->messages, false, list_messages))
		list_messages(call);
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

static void list_recipients(struct call *call)
{
	struct listing *listing = call->work;
	const struct recipient_query *query = &listing->recipients;
	size_t limit = query->limit - 1;
	char next[CURSOR_TEXT_SIZE] = "";
	struct arena *arena = arena_new();
	json_t *items = json_array();
	struct recipient_row *rows;
	size_t count = 0;
	struct err why;
	int code = queue_recipient_list(call_reader(call), query, arena, &rows, &count, &why);

	for (size_t i = 0; code == ERR_OK && i < count && i < limit; i++)
		(void)json_array_append_new(items, view_recipient_row(&rows[i]));
	if (code == ERR_OK && count > limit)
		cursor_format_id(CURSOR_RECIPIENTS, rows[limit - 1].recipient.id, next);
	arena_free(&arena);
	if (code == ERR_OK && is_put_off(listing, items))
		return;
	if (code != ERR_OK) {
		json_decref(items);
		call_error(call, code, &why);
		return;
	}
	reply_page(call, items, count > limit ? next : NULL);
}

void handle_recipient_list(struct call *call)
{
	struct listing *listing = arena_zalloc(call->arena, sizeof(*listing));
	struct recipient_query *query = &listing->recipients;

	query->before_id = call_param_cursor(call, CURSOR_RECIPIENTS);
	read_filters(call, "address", &query->message);
	query->reason = param_text(call, "reason");
	query->limit = call_param_limit(call) + 1;
	if (begin_listing(call, listing, &query->message, true, list_recipients))
		list_recipients(call);
}
