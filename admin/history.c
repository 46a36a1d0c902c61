/* admin/history.c - what became of the whitelist: who, when, before and after */
#include "admin/handlers.h"

#include "admin/page.h"
#include "admin/view.h"
#include "queue/whitelist.h"
#include "relay/filter/pattern.h"

static bool page_row(void *ctx, const struct whitelist_past *past)
{
	if (page_is_full(ctx))
		return false;
	page_add(ctx, past->id, view_past(past));
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
	struct page page = page_of(call, CURSOR_HISTORY);
	struct whitelist_past_query query = {
		.entry = param_entry(call),
		.pattern = param_pattern(call),
		.scope = call->caller.scope[0] != '\0' ? call->caller.scope : NULL,
		.since = call_param_time(call, "since"),
		.before_id = page.after,
		.limit = page.limit + 1,
	};
	struct err why;
	int code;

	if (call_refused(call))
		return;
	code = queue_whitelist_history(call_reader(call), &query, page_row, &page, &why);
	page_reply(call, &page, -1, code, &why);
}
