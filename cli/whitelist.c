/* cli/whitelist.c - stagepost whitelist list, add, remove */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/pages.h"
#include "cli/rows.h"
#include "cli/text.h"
#include "cli/whitelist_file.h"
#include "relay/filter/pattern.h"

static const struct table_column columns[] = {
	{"ID", true, 0, 0, NULL},	 {"ACTION", false, 0, 0, tool_state_colour},
	{"PATTERN", false, 16, 0, NULL}, {"SCOPE", false, 0, 3, NULL},
	{"EXPIRES", true, 0, 2, NULL},	 {"HITS", true, 0, 4, NULL},
	{"LAST HIT", true, 0, 5, NULL},	 {"NOTE", false, 10, 1, NULL},
	{"OWNER", false, 8, 6, NULL},
};

/* --- list -------------------------------------------------------------------- */

struct list_filter {
	const char *text;
	const char *scope;
	const char *action;
};

static int fetch(struct tool *tool, const struct list_filter *filter, json_t **items_out)
{
	struct buf path;
	int ends;

	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/whitelist");
	client_add_parameter(&path, "q", filter->text);
	client_add_parameter(&path, "scope", filter->scope);
	client_add_parameter(&path, "action", filter->action);
	ends = pages_fetch(tool, &path, 0, items_out);
	buf_release(&path);
	return ends;
}

static void add_entry(struct table *table, const json_t *entry)
{
	long long expires = tool_time(entry, "expires_at");
	char id[24];
	char hits[24];
	char left[TEXT_SHORT_SIZE] = "";
	char last_hit[TEXT_SHORT_SIZE];

	snprintf(id, sizeof(id), "%lld", tool_number(entry, "id"));
	snprintf(hits, sizeof(hits), "%lld", tool_number(entry, "hits"));
	tool_age(entry, "last_hit_at", last_hit);
	if (tool_time(entry, "expired_at") != 0 || (expires != 0 && expires <= clock_wall_ms()))
		snprintf(left, sizeof(left), "over");
	else if (expires != 0)
		text_duration(expires - clock_wall_ms(), left);
	table_add(table,
		  (const char *[]){id, tool_text(entry, "action"), tool_text(entry, "pattern"),
				   tool_text(entry, "scope"), left, hits, last_hit,
				   tool_text(entry, "note"), tool_text(entry, "owner")});
}

static void print_entries(const struct tool *tool, const json_t *items)
{
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)items, i, entry) add_entry(table, entry);
	tool_print_table(tool, table);
	table_free(&table);
}

static int run_list(struct tool *tool, int argc, char **argv)
{
	struct list_filter filter = {0};
	json_t *items;
	int count;
	int ends = option_read(tool, &filter, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count > 0)
		return tool_misuse(tool, "\"%s\" is one word too many; --match %s looks for it",
				   argv[0], argv[0]);
	ends = fetch(tool, &filter, &items);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT)
		tool_print_items(tool, items);
	else if (json_array_size(items) > 0)
		print_entries(tool, items);
	if (json_array_size(items) == 0)
		ends = tool_fail(TOOL_NO, filter.text == NULL && filter.scope == NULL &&
							  filter.action == NULL
						  ? "the whitelist is empty: nothing can leave"
						  : "no entry matches");
	json_decref(items);
	return ends;
}

#define SIDES "allow deny"

static const struct command_option list_options[] = {
	OPTION_VALUE("--match", "TEXT", NULL, struct list_filter, text,
		     "only with TEXT in pattern, note or owner"),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct list_filter, scope, "only of this scope"),
	OPTION_VALUE("--action", "ACTION", SIDES, struct list_filter, action,
		     "only those that allow, or deny"),
	OPTION_END,
};

const struct command command_whitelist_list = {
	.name = "whitelist list",
	.operands = "",
	.summary = "The entries of the whitelist",
	.options = list_options,
	.notes = "Exit status 1 when there is none.\n",
	.examples = {"stagepost whitelist list --match example.com",
		     "stagepost whitelist list --action deny --jsonl"},
	.run = run_list,
};

/* --- add --------------------------------------------------------------------- */

struct add_options {
	const char *note;
	const char *owner;
	const char *expires;
	const char *scope;
	const char *release;
	bool deny;
	bool allow_all;
};

static int set_text(json_t *entry, const char *name, const char *value)
{
	if (value != NULL && json_object_set_new(entry, name, json_string(value)) != 0)
		return tool_fail(TOOL_USAGE, "\"%s\" is no UTF-8", value);
	return TOOL_OK;
}

static int make_entry(const struct add_options *given, const char *pattern, json_t *entry)
{
	const struct {
		const char *name;
		const char *value;
	} texts[] = {
		{"pattern", pattern},
		{"note", given->note},
		{"owner", given->owner},
		{"scope", given->scope},
		{rows_expiry_member(given->expires), given->expires},
		{"action", given->deny ? "deny" : NULL},
		{"release_dropped_since", given->release},
	};
	int ends = TOOL_OK;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && ends == TOOL_OK; i++)
		ends = set_text(entry, texts[i].name, texts[i].value);
	if (given->allow_all)
		(void)json_object_set_new(entry, "allow_all", json_true());
	return ends;
}

static void print_released(const json_t *released)
{
	char line[300];

	if (!json_is_object(released))
		return;
	snprintf(line, sizeof(line), "Released: %lld that were dropped, %lld refused",
		 tool_number(released, "changed"), tool_number(released, "refused"));
	tool_print_clean(line);
	tool_print_field("", tool_text(released, "detail"));
}

static int add_one(struct tool *tool, const struct add_options *given, const char *pattern)
{
	json_t *entry = json_object();
	json_t *added = NULL;
	int ends = make_entry(given, pattern, entry);

	if (ends == TOOL_OK)
		ends = client_ask(tool, "POST", "/api/v1/whitelist", entry, &added);
	json_decref(entry);
	if (ends != TOOL_OK)
		return ends;
	if (tool->format != TOOL_TEXT) {
		tool_print_json(tool, added);
	} else {
		char line[700];

		snprintf(line, sizeof(line), "%s %s, entry %lld",
			 given->deny ? "Denied:" : "Allowed:", tool_text(added, "pattern"),
			 tool_number(added, "id"));
		tool_print_clean(line);
		print_released(json_object_get(added, "released"));
		list_print_advice(json_object_get(added, "lint"));
	}
	json_decref(added);
	return TOOL_OK;
}

static int run_add(struct tool *tool, int argc, char **argv)
{
	struct add_options given = {0};
	int count;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool,
				   count == 0 ? "a pattern is needed" : "one pattern at a time");
	return add_one(tool, &given, argv[0]);
}

static const struct command_option add_options[] = {
	OPTION_VALUE("--note", "TEXT", NULL, struct add_options, note, "why it is here"),
	OPTION_VALUE("--owner", "TEXT", NULL, struct add_options, owner, "whose it is"),
	OPTION_VALUE("--expires", "TIME", NULL, struct add_options, expires,
		     "until when: 30m, 4h, 7d or 2026-11-21T10:00:00Z; without it: for ever"),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct add_options, scope,
		     "only for mail that came in with this scope"),
	OPTION_VALUE("--release", "TIME", NULL, struct add_options, release,
		     "and what it allows that was dropped since then: 2h (ago) or a time"),
	OPTION_FLAG("--deny", struct add_options, deny,
		    "keep these addresses from ever receiving anything"),
	OPTION_FLAG("--allow-all", struct add_options, allow_all, "yes, I mean *"),
	OPTION_END,
};

const struct command command_whitelist_add = {
	.name = "whitelist add",
	.operands = "PATTERN",
	.summary = "Let mail to these addresses leave",
	.about = "Patterns: alice@example.com, example.com (all of it), .example.com (its "
		 "sub-domains),\n"
		 "qa-*@example.com, * (everything; needs --allow-all). Entries that deny always "
		 "win.\n",
	.options = add_options,
	.notes = "Exit status 1 when the entry is there already.\n",
	.examples = {"stagepost whitelist add alice@example.com --note demo --expires 4h",
		     "stagepost whitelist add .example.com --release 2h"},
	.run = run_add,
};

/* --- remove ------------------------------------------------------------------ */

static int remove_id(struct tool *tool, long long id, const char *pattern)
{
	char path[64];
	char what[700];

	snprintf(path, sizeof(path), "/api/v1/whitelist/%lld", id);
	snprintf(what, sizeof(what), "entry %lld%s%s", id, pattern != NULL ? ", " : "",
		 pattern != NULL ? pattern : "");
	return client_remove(tool, path, id, what);
}

/* The list finds the text anywhere; what is meant is the pattern itself. */
static void keep_equal(json_t *items, const char *pattern)
{
	for (size_t i = json_array_size(items); i-- > 0;)
		if (strcmp(tool_text(json_array_get(items, i), "pattern"), pattern) != 0)
			(void)json_array_remove(items, i);
}

static int remove_pattern(struct tool *tool, const char *text, const struct list_filter *asked)
{
	struct list_filter filter = *asked;
	struct pattern pattern;
	struct err why;
	json_t *items;
	int ends;

	if (pattern_parse(span_of(text), &pattern, &why) != ERR_OK)
		return tool_fail(TOOL_USAGE, "\"%s\" is no pattern and no entry's id: %s", text,
				 why.text);
	filter.text = pattern.text;
	ends = fetch(tool, &filter, &items);
	if (ends != TOOL_OK)
		return ends;
	keep_equal(items, pattern.text);
	if (json_array_size(items) == 0) {
		ends = tool_fail(TOOL_NO, "the whitelist has no entry %s", pattern.text);
	} else if (json_array_size(items) > 1) {
		print_entries(tool, items);
		ends = tool_fail(TOOL_NO, "several entries have this pattern: say --scope or "
					  "--action, or the id of one");
	} else {
		ends = remove_id(tool, tool_number(json_array_get(items, 0), "id"), pattern.text);
	}
	json_decref(items);
	return ends;
}

static int run_remove(struct tool *tool, int argc, char **argv)
{
	struct list_filter filter = {0};
	uint64_t id;
	int count;
	int ends = option_read(tool, &filter, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (count != 1)
		return tool_misuse(tool, "one pattern, or the id of an entry, is needed");
	if (span_to_u64(span_of(argv[0]), INT64_MAX, &id) == ERR_OK)
		return remove_id(tool, (long long)id, NULL);
	return remove_pattern(tool, argv[0], &filter);
}

static const struct command_option remove_options[] = {
	OPTION_VALUE("--scope", "SCOPE", NULL, struct list_filter, scope,
		     "of several entries with this pattern the one of this scope"),
	OPTION_VALUE("--action", "ACTION", SIDES, struct list_filter, action,
		     "of several entries with this pattern the one that allows, or denies"),
	OPTION_END,
};

const struct command command_whitelist_remove = {
	.name = "whitelist remove",
	.operands = "PATTERN|ID",
	.summary = "Take an entry away; mail queued for it then stays too",
	.options = remove_options,
	.notes = "Exit status 1 when there is no such entry.\n",
	.examples = {"stagepost whitelist remove alice@example.com",
		     "stagepost whitelist remove 17"},
	.run = run_remove,
};
