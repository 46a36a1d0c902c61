/* admin/messages.c - the queue as a resource: messages, and recipients across them */
#include "admin/delivery.h"
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/poll.h"
#include "admin/value.h"
#include "admin/view.h"
#include "base/clock.h"
#include "queue/reader.h"

#define FILTER_MAX	   512	/* octets of a text filter */
#define RECIPIENT_PAGE_MAX 20	/* messages in a page that shows recipients, up to 1,000 each */
#define PAGE_TIME_MS	   1000 /* then a page ends where it is: looking goes on behind its cursor */

/* --- the filters -------------------------------------------------------------------------------
 */

static const char *param_text(struct call *call, const char *name)
{
	const char *text = call_param(call, name);

	if (text != NULL && strlen(text) > FILTER_MAX)
		call_mistake(call, name, "longer than %d octets", FILTER_MAX);
	return text;
}

static const char *param_words(struct call *call, const char *name)
{
	const char *text = param_text(call, name);

	if (text != NULL && query_words(text) > QUERY_WORDS_MAX)
		call_mistake(call, name, "more than %d words", QUERY_WORDS_MAX);
	return text;
}

static void read_filters(struct call *call, const char *to, struct message_query *query_out)
{
	const char *state = call_param(call, "state");

	if (state != NULL && state_parse(span_of(state), &query_out->state) != ERR_OK)
		call_mistake(call, "state", "no such state");
	query_out->to = param_text(call, to);
	query_out->from = param_text(call, "from");
	query_out->subject = param_words(call, "subject");
	query_out->q = param_words(call, "q");
	query_out->scope = call->caller.scope[0] != '\0' ? call->caller.scope : NULL;
	query_out->time_ms = PAGE_TIME_MS;
	query_out->since = call_param_time(call, "since");
	query_out->until = call_param_time(call, "until");
}

static void read_message_query(struct call *call, struct message_query *query_out)
{
	const char *include = call_param(call, "include");

	read_filters(call, "to", query_out);
	query_out->limit = call_param_limit(call);
	query_out->before = call_param_cursor(call, CURSOR_MESSAGES);
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

/* What a page says beside its items. */
struct page_end {
	char next[CURSOR_TEXT_SIZE]; /* "": this is the last one */
	bool is_partial;
};

/* With what keeps mail from leaving, if anything does. */
static void reply_page(struct call *call, json_t *items, const struct page_end *end)
{
	call_reply(call, 200,
		   json_pack("{s:o, s:s?, s:b, s:o}", "items", items, "next",
			     end->next[0] != '\0' ? end->next : NULL, "partial", end->is_partial,
			     "delivery", delivery_view(call->api)));
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

static int read_messages(struct call *call, const struct message_query *query, json_t *items,
			 struct page_end *end, struct err *why)
{
	struct arena *arena = arena_new(); /* there may be many looks */
	struct message_page page;
	int code = queue_message_list(call_reader(call), query, arena, &page, why);

	for (size_t i = 0; code == ERR_OK && i < page.count; i++)
		(void)json_array_append_new(items, view_message(&page.views[i], false));
	if (code == ERR_OK && page.more)
		cursor_format_id(CURSOR_MESSAGES, page.next, end->next);
	end->is_partial = code == ERR_OK && page.is_late;
	arena_free(&arena);
	return code;
}

static void list_messages(struct call *call)
{
	struct listing *listing = call->work;
	json_t *items = json_array();
	struct page_end end = {.is_partial = false};
	struct err why;
	int code = read_messages(call, &listing->messages, items, &end, &why);

	if (code == ERR_OK && is_put_off(listing, items))
		return;
	if (code != ERR_OK) {
		json_decref(items);
		call_error(call, code, &why);
		return;
	}
	reply_page(call, items, &end);
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

static int read_recipients(struct call *call, const struct recipient_query *query, json_t *items,
			   struct page_end *end, struct err *why)
{
	struct arena *arena = arena_new();
	struct recipient_page page;
	int code = queue_recipient_list(call_reader(call), query, arena, &page, why);

	for (size_t i = 0; code == ERR_OK && i < page.count; i++)
		(void)json_array_append_new(items, view_recipient_row(&page.rows[i]));
	if (code == ERR_OK && page.more)
		cursor_format_id(CURSOR_RECIPIENTS, page.next, end->next);
	end->is_partial = code == ERR_OK && page.is_late;
	arena_free(&arena);
	return code;
}

static void list_recipients(struct call *call)
{
	struct listing *listing = call->work;
	json_t *items = json_array();
	struct page_end end = {.is_partial = false};
	struct err why;
	int code = read_recipients(call, &listing->recipients, items, &end, &why);

	if (code == ERR_OK && is_put_off(listing, items))
		return;
	if (code != ERR_OK) {
		json_decref(items);
		call_error(call, code, &why);
		return;
	}
	reply_page(call, items, &end);
}

void handle_recipient_list(struct call *call)
{
	struct listing *listing = arena_zalloc(call->arena, sizeof(*listing));
	struct recipient_query *query = &listing->recipients;

	query->before_id = call_param_cursor(call, CURSOR_RECIPIENTS);
	read_filters(call, "address", &query->message);
	query->reason = param_text(call, "reason");
	query->limit = call_param_limit(call);
	if (begin_listing(call, listing, &query->message, true, list_recipients))
		list_recipients(call);
}
