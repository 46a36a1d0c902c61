/* admin/history.c - what became of the whitelist: who, when, before and after */
#include "admin/handlers.h"

#include "admin/value.h"
#include "admin/view.h"
#include "queue/whitelist.h"
#include "relay/filter/pattern.h"

struct page {
	json_t *items;
	size_t limit;
	int64_t last_id;
	bool more;
};

static bool page_row(void *ctx, const struct whitelist_past *past)
{
	struct page *page = ctx;

	page->more = json_array_size(page->items) == page->limit;
	if (page->more)
		return false;
	(void)json_array_append_new(page->items, view_past(past));
	page->last_id = past->id;
	return true;
}

static int64_t param_entry(struct call *call)
{
	const char *text = call_param(call, "entry");
	uint64_t id = 0;

	if (text != NULL && (span_to_u64(span_of(text), INT64_MAX, &id) != ERR_OK || id == 0))
		call_mistake(call, "entry", "not the id of an entry");
	return (int64_t)id;
}

/* In canonical form, as it stands in the trail. */
static const char *param_pattern(struct call *call)
{
	const char *text = call_param(call, "pattern");
	struct pattern pattern;
	struct err why;

	if (text == NULL)
		return NULL;
	if (pattern_parse(span_of(text), &pattern, &why) != ERR_OK) {
		call_mistake(call, "pattern", "%s", why.text);
		return NULL;
	}
	return arena_strdup(call->arena, pattern.text);
}

void handle_whitelist_history(struct call *call)
{
	struct page page = {.limit = call_param_limit(call)};
	struct whitelist_past_query query = {
		.entry = param_entry(call),
		.pattern = param_pattern(call),
		.scope = call->caller.scope[0] != '\0' ? call->caller.scope : NULL,
		.since = call_param_time(call, "since"),
		.before_id = call_param_cursor(call, CURSOR_HISTORY),
		.limit = page.limit + 1,
	};
	char next[CURSOR_TEXT_SIZE];
	struct err why;
	int code;

	if (call_refused(call))
		return;
	page.items = json_array();
	code = queue_whitelist_history(call_reader(call), &query, page_row, &page, &why);
	if (code != ERR_OK) {
		json_decref(page.items);
		call_error(call, code, &why);
		return;
	}
	cursor_format_id(CURSOR_HISTORY, page.last_id, next);
	call_reply(call, 200,
		   json_pack("{s:o, s:s?}", "items", page.items, "next", page.more ? next : NULL));
}
