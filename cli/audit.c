/* cli/audit.c - stagepost audit: who changed what */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/span.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/option.h"
#include "cli/pages.h"
#include "cli/text.h"

#define USUAL_LIMIT 100
#define WHAT_ROOM   8192

static const struct table_column columns[] = {
	{"AGE", true, 0, 0, NULL},
	{"ACTOR", false, 8, 0, NULL},
	{"ACTION", false, 0, 0, NULL},
	{"SUBJECT", false, 12, 0, NULL},
	{"BEFORE -> AFTER", false, 16, 1, NULL},
};

/* --- printing ------------------------------------------------------------------ */

static void add_value(const char *name, const json_t *value, struct buf *out)
{
	bool is_time = json_is_integer(value) && span_ends_fold(span_of(name), span_of("_at"));
	char time[CLOCK_RFC3339_SIZE];
	char *text;

	if (value == NULL || json_is_null(value) || (is_time && json_integer_value(value) == 0)) {
		(void)buf_append_text(out, "none");
	} else if (is_time) {
		clock_format_rfc3339(json_integer_value(value), time);
		(void)buf_append_text(out, time);
	} else if (json_is_string(value)) {
		(void)buf_append_text(out, json_string_value(value));
	} else {
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		(void)buf_append_text(out, text != NULL ? text : "");
		free(text);
	}
}

static bool is_said(const json_t *value)
{
	if (json_is_string(value))
		return json_string_length(value) > 0;
	if (json_is_integer(value))
		return json_integer_value(value) != 0;
	return value != NULL && !json_is_null(value);
}

static void add_member(const char *name, const json_t *old, const json_t *now, bool is_change,
		       struct buf *out)
{
	(void)buf_printf(out, "%s%s ", out->len > 0 ? ", " : "", name);
	if (is_change) {
		add_value(name, old, out);
		(void)buf_append_text(out, " -> ");
	}
	add_value(name, now, out);
}

/* What is different; of what is new or gone, what it says. */
static void describe(const json_t *line, struct buf *out)
{
	const json_t *before = json_object_get(line, "before");
	const json_t *after = json_object_get(line, "after");
	bool is_change = json_is_object(before) && json_is_object(after);
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)before, name, value)
	{
		const json_t *now = json_object_get(after, name);

		if (is_change ? !json_equal(value, now) : is_said(value))
			add_member(name, value, is_change ? now : value, is_change, out);
	}
	json_object_foreach((json_t *)(uintptr_t)after, name, value)
	{
		if (json_object_get(before, name) == NULL && is_said(value))
			add_member(name, NULL, value, is_change, out);
	}
}

static void add_line(struct table *table, const json_t *line)
{
	const char *actor = tool_text(line, "actor");
	char age[TEXT_SHORT_SIZE];
	struct buf what;

	tool_age(line, "at", age);
	buf_init(&what, WHAT_ROOM);
	describe(line, &what);
	table_add(table, (const char *[]){age, actor[0] != '\0' ? actor : "the relay",
					  tool_text(line, "action"), tool_text(line, "subject"),
					  what.data != NULL ? what.data : ""});
	buf_release(&what);
}

static void print(const struct tool *tool, const json_t *items)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < json_array_size(items); i++)
		add_line(table, json_array_get(items, i));
	tool_print_table(tool, table);
	table_free(&table);
}

/* --- the command ----------------------------------------------------------------- */

struct audit_given {
	struct filter_options filter; /* its --limit */
};

static int run_audit(struct tool *tool, int argc, char **argv)
{
	struct audit_given given = {{0}};
	struct source_filter filter;
	struct buf path;
	json_t *items;
	int ends = option_read_only(tool, &given, argc, argv);

	if (ends == TOOL_OK)
		ends = filter_read(tool, &given.filter, USUAL_LIMIT, &filter);
	if (ends != TOOL_OK)
		return ends;
	buf_init(&path, sizeof("/api/v1/audit"));
	(void)buf_append_text(&path, "/api/v1/audit");
	ends = pages_fetch(tool, &path, filter.limit, &items);
	buf_release(&path);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print(tool, items);
	if (json_array_size(items) == 0)
		ends = tool_fail(TOOL_NO, "nothing was changed yet");
	json_decref(items);
	return ends;
}

static const struct command_option options[] = {
	FILTER_LIMIT(struct audit_given, "at most N, 0 for all (usual: 100)"),
	OPTION_END,
};

const struct command command_audit = {
	.name = "audit",
	.operands = "",
	.summary = "Who changed what: list, rules, queue, tokens, delivery",
	.about = "The audit trail, newest first. What is different is shown as it was and as it "
		 "became.\n",
	.options = options,
	.notes = "For administrators only. Exit status 1 when there is nothing.\n",
	.examples = {"stagepost audit --limit 20",
		     "stagepost audit --limit 0 --jsonl > audit.jsonl"},
	.run = run_audit,
};
