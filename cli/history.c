/* cli/history.c - stagepost whitelist history */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/option.h"
#include "cli/pages.h"
#include "cli/text.h"

#define USUAL_LIMIT 100

static const struct table_column columns[] = {
	{"REVISION", true, 0, 0, NULL}, {"AGE", true, 0, 0, NULL},
	{"ACTOR", false, 8, 2, NULL},	{"CHANGE", false, 0, 0, NULL},
	{"ENTRY", true, 0, 3, NULL},	{"PATTERN", false, 16, 0, NULL},
	{"WHAT", false, 12, 1, NULL},
};

/* --- printing ------------------------------------------------------------------ */

static const char *or_none(const char *text)
{
	return text[0] != '\0' ? text : "none";
}

/* What is different, or of a new or removed one what it says. */
static void describe(const json_t *past, struct buf *out)
{
	static const char *const members[] = {"action",	    "pattern", "scope",
					      "expires_at", "owner",   "note"};
	const json_t *before = json_object_get(past, "before");
	const json_t *after = json_object_get(past, "after");
	bool is_change = json_is_object(before) && json_is_object(after);
	const json_t *only = json_is_object(after) ? after : before;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *old = tool_text(before, members[i]);
		const char *now = tool_text(only, members[i]);

		if (is_change ? strcmp(old, now) == 0
			      : now[0] == '\0' || strcmp(members[i], "pattern") == 0)
			continue;
		(void)buf_append_text(out, out->len > 0 ? ", " : "");
		(void)buf_append_text(out, members[i]);
		(void)buf_append_text(out, " ");
		if (is_change) {
			(void)buf_append_text(out, or_none(old));
			(void)buf_append_text(out, " -> ");
		}
		(void)buf_append_text(out, or_none(now));
	}
}

static void add_past(struct table *table, const json_t *past)
{
	char revision[24] = "";
	char entry[24];
	char age[TEXT_SHORT_SIZE];
	struct buf what;

	if (tool_number(past, "revision") > 0)
		snprintf(revision, sizeof(revision), "%lld", tool_number(past, "revision"));
	snprintf(entry, sizeof(entry), "%lld", tool_number(past, "entry"));
	tool_age(past, "at", age);
	buf_init(&what, 8192);
	describe(past, &what);
	table_add(table,
		  (const char *[]){revision, age, tool_text(past, "actor"),
				   tool_text(past, "action"), entry, tool_text(past, "pattern"),
				   what.data != NULL ? what.data : ""});
	buf_release(&what);
}

static void print_past(const struct tool *tool, const json_t *items)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_t *past;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)items, i, past) add_past(table, past);
	tool_print_table(tool, table);
	table_free(&table);
}

/* --- asking --------------------------------------------------------------------- */

static int fetch(struct tool *tool, const char *what, const struct source_filter *filter,
		 json_t **items_out)
{
	char since[CLOCK_RFC3339_SIZE];
	struct buf path;
	uint64_t id;
	bool is_id = what != NULL && span_to_u64(span_of(what), INT64_MAX, &id) == ERR_OK;
	int ends;

	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/whitelist/history");
	client_add_parameter(&path, is_id ? "entry" : "pattern", what);
	if (filter->since > 0) {
		clock_format_rfc3339(filter->since, since);
		client_add_parameter(&path, "since", since);
	}
	ends = pages_fetch(tool, &path, filter->limit, items_out);
	buf_release(&path);
	return ends;
}

static int show(const struct tool *tool, const json_t *items)
{
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print_past(tool, items);
	return json_array_size(items) > 0 ? TOOL_OK
					  : tool_fail(TOOL_NO, "nothing is written down of that");
}

struct history_given {
	struct filter_options filter; /* its --since and --limit */
};

static int run_history(struct tool *tool, int argc, char **argv)
{
	struct history_given given = {{0}};
	struct source_filter filter;
	json_t *items;
	int count;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends == TOOL_OK && count > 1)
		ends = tool_misuse(tool, "one pattern, or the id of one entry");
	if (ends == TOOL_OK)
		ends = filter_read(tool, &given.filter, USUAL_LIMIT, &filter);
	if (ends == TOOL_OK)
		ends = fetch(tool, count == 1 ? argv[0] : NULL, &filter, &items);
	if (ends != TOOL_OK)
		return ends;
	ends = show(tool, items);
	json_decref(items);
	return ends;
}

static const struct command_option options[] = {
	FILTER_SINCE(struct history_given),
	FILTER_LIMIT(struct history_given, "at most N, 0 for all (usual: 100)"),
	OPTION_END,
};

const struct command command_whitelist_history = {
	.name = "whitelist history",
	.operands = "[PATTERN|ID]",
	.summary = "What became of the whitelist: who, when, before and after",
	.about = "Newest first. With a pattern or an id only what became of that, also when it is "
		 "gone.\n",
	.options = options,
	.notes = "Exit status 1 when nothing is written down.\n",
	.examples = {"stagepost whitelist history --since 7d",
		     "stagepost whitelist history alice@example.com"},
	.run = run_history,
};
