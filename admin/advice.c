/* admin/advice.c - what a change of the whitelist means, beside its answer */
#include "admin/advice.h"

#include "admin/view.h"
#include "base/clock.h"
#include "queue/seen.h"
#include "relay/filter/lint.h"

#define DAY_MS	     ((int64_t)24 * 60 * 60 * 1000)
#define WARNINGS_MAX 100 /* shown for a change of many lines */

/* --- recipients seen ---------------------------------------------------------------------------
 */

struct counting {
	const struct lint_case *at;
	struct lint_tally tally;
};

static bool count_row(void *ctx, const struct seen_row *seen)
{
	struct counting *counting = ctx;

	lint_count(counting->at, seen->address, span_of(seen->scope), seen->refused,
		   &counting->tally);
	return true;
}

static json_t *view_examples(const struct lint_tally *tally)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tally->example_count; i++)
		(void)json_array_append_new(list, view_text(tally->examples[i]));
	return list;
}

static json_t *view_tally(const struct lint_tally *tally, int64_t seen)
{
	struct buf summary;
	json_t *json;

	buf_init(&summary, 1000);
	lint_summary(tally, seen, SEEN_DAYS, &summary);
	json = json_pack("{s:I, s:i, s:I, s:I, s:I, s:o, s:o}", "seen", (json_int_t)seen, "days",
			 SEEN_DAYS, "matches", (json_int_t)tally->matches, "allows",
			 (json_int_t)tally->allows, "stops", (json_int_t)tally->stops, "examples",
			 view_examples(tally), "summary", view_span(buf_span(&summary)));
	buf_release(&summary);
	return json;
}

/* Takes `warnings`. */
static json_t *view_advice(struct call *call, const struct lint_case *at, const char *address,
			   json_t *warnings)
{
	struct seen_query query = {
		.since = clock_wall_ms() - SEEN_DAYS * DAY_MS,
		.scope = at->scope.len > 0 ? arena_span_dup(call->arena, at->scope) : NULL};
	struct counting *counting = arena_zalloc(call->arena, sizeof(*counting));
	struct store_reader *reader = call_reader(call);
	json_t *json;
	int64_t seen = 0;
	int code;

	counting->at = at;
	counting->tally.whole = at->pattern == NULL;
	code = queue_seen_count(reader, &query, &seen, NULL);
	query.address = address;
	if (code == ERR_OK && seen > 0)
		code = queue_seen_each(reader, &query, count_row, counting, NULL);
	json = code == ERR_OK ? view_tally(&counting->tally, seen) : json_pack("{s:n}", "seen");
	(void)json_object_set_new(json, "warnings", warnings);
	return json;
}

/* --- warnings ----------------------------------------------------------------------------------
 */

static void add_warnings(const struct lint_case *at, json_t *list)
{
	struct lint_warning warnings[LINT_WARNINGS_MAX];
	size_t count = lint_warnings(at, warnings);

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(
			list,
			json_pack("{s:o, s:s, s:o, s:o}", "pattern", view_text(at->pattern->text),
				  "kind", lint_kind_name(warnings[i].kind), "text",
				  view_text(warnings[i].text), "entry",
				  warnings[i].entry != 0
					  ? json_integer((json_int_t)warnings[i].entry)
					  : json_null()));
}

/* False: it is no pattern, which only a row that was edited by hand can be. */
static bool make_case(const struct entry *entry, struct pattern *pattern, struct lint_case *at)
{
	if (pattern_parse(span_of(entry->pattern), pattern, NULL) != ERR_OK)
		return false;
	at->pattern = pattern;
	at->action = entry->action;
	at->scope = span_of(entry->scope);
	at->id = entry->id;
	at->expires_at = entry->expires_at;
	return true;
}

json_t *advice_of_entry(struct call *call, const struct entry *entry,
			const struct whitelist_snapshot *before)
{
	struct lint_case at = {.before = before, .now = clock_steady_wall_ms()};
	json_t *warnings = json_array();
	struct pattern pattern;
	json_t *json;

	if (!make_case(entry, &pattern, &at)) {
		json_decref(warnings);
		return json_null();
	}
	at.after = whitelist_acquire(call->api->env.whitelist);
	add_warnings(&at, warnings);
	json = view_advice(call, &at, pattern.kind == ENTRY_EXACT ? pattern.text : NULL, warnings);
	whitelist_release(&at.after);
	return json;
}

static json_t *advise(struct call *call, const struct whitelist_change *changes, size_t count,
		      const struct whitelist_snapshot *before,
		      const struct whitelist_snapshot *after)
{
	struct lint_case whole = {.before = before,
				  .after = after,
				  .scope = span_of(call->caller.scope),
				  .now = clock_steady_wall_ms()};
	json_t *warnings = json_array();
	struct pattern only;
	/* One line alone is told as if it were added alone: by whom it speaks of. */
	bool is_one = count == 1 && changes[0].operation != ENTRY_REMOVE &&
		      make_case(&changes[0].entry, &only, &whole);

	for (size_t i = 0; i < count && json_array_size(warnings) < WARNINGS_MAX; i++) {
		/* Lines of one change cover each other: it is the list afterwards that counts. */
		struct lint_case at = {.before = after, .after = after, .now = whole.now};
		struct pattern pattern;

		if (changes[i].operation != ENTRY_REMOVE &&
		    make_case(&changes[i].entry, &pattern, &at))
			add_warnings(&at, warnings);
	}
	return view_advice(call, &whole, is_one && only.kind == ENTRY_EXACT ? only.text : NULL,
			   warnings);
}

json_t *advice_of_change(struct call *call, const struct whitelist_change *changes, size_t count,
			 const struct whitelist_snapshot *before)
{
	const struct whitelist_snapshot *after = whitelist_acquire(call->api->env.whitelist);
	json_t *json = advise(call, changes, count, before, after);

	whitelist_release(&after);
	return json;
}

/* Ids of those to be added: none that the store would give. */
static void set_ids(struct whitelist_change *changes, size_t count, bool for_plan)
{
	for (size_t i = 0; i < count; i++)
		if (changes[i].operation == ENTRY_ADD)
			changes[i].entry.id = for_plan ? -(int64_t)i - 1 : 0;
}

json_t *advice_of_plan(struct call *call, struct whitelist_change *changes, size_t count)
{
	struct whitelist *list = call->api->env.whitelist;
	const struct whitelist_snapshot *before = whitelist_acquire(list);
	const struct whitelist_snapshot *after;
	json_t *json;

	set_ids(changes, count, true);
	after = whitelist_preview(list, changes, count);
	json = advise(call, changes, count, before, after);
	set_ids(changes, count, false);
	whitelist_release(&after);
	whitelist_release(&before);
	return json;
}
