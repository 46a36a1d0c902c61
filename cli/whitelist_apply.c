/* cli/whitelist_apply.c - stagepost whitelist apply: make the list what a file says */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/whitelist_file.h"

struct apply_options {
	const char *format;
	const char *scope;
	bool dry_run;
	bool allow_all;
};

/* The list as it is and as it shall be. */
struct plan {
	const struct tool *tool;
	const struct apply_options *given;
	struct listing *now;
	struct listing *wanted;
	char etag[sizeof(((struct client_reply *)NULL)->etag)];
	long long added;
	long long changed;
	long long removed;
	json_t *differences;
	json_t *advice; /* NULL: nothing was changed */
};

/* --- reading both ------------------------------------------------------------ */

static void on_mistake(void *ctx, const struct listing_mistake *mistake)
{
	const char *name = ctx;

	if (mistake->line == 0)
		tool_note("%s: %s", name, mistake->why.text);
	else if (mistake->column == 0)
		tool_note("%s: line %zu: %s", name, mistake->line, mistake->why.text);
	else
		tool_note("%s: line %zu, column %zu: %s", name, mistake->line, mistake->column,
			  mistake->why.text);
}

static int read_wanted(struct plan *plan, const char *name)
{
	struct listing_options options = {.scope = plan->given->scope,
					  .only_scope = plan->given->scope != NULL,
					  .allow_all = plan->given->allow_all,
					  .fixed_times = true,
					  .now = clock_wall_ms()};
	struct list_file file;
	int ends = list_file_read(plan->tool, name, plan->given->format, &file);

	if (ends == TOOL_OK && listing_read(file.format, buf_span(&file.text), &options, on_mistake,
					    (void *)(uintptr_t)file.name, &plan->wanted) != ERR_OK)
		ends = TOOL_USAGE;
	list_file_release(&file);
	return ends;
}

static int read_now(struct plan *plan, struct span text)
{
	const struct listing_options options = {.allow_all = true, .max_entries = SIZE_MAX};
	static const char name[] = "the list in force";

	return listing_read(LISTING_JSON, text, &options, on_mistake, (void *)(uintptr_t)name,
			    &plan->now) == ERR_OK
		       ? TOOL_OK
		       : TOOL_UNREACHABLE;
}

static int fetch_now(struct tool *tool, struct plan *plan)
{
	struct client_reply reply;
	struct err why;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ends;

	if (out == NULL)
		return tool_fail(TOOL_IO, "no memory for the list");
	ends = client_download(tool, "/api/v1/whitelist/export?format=json", out, &reply, &why);
	fclose(out);
	if (ends != ERR_OK) {
		ends = client_fail(tool, ends, &why);
	} else {
		ends = reply.status == 200 ? read_now(plan, span_make(text, len))
					   : client_refused(&reply);
		snprintf(plan->etag, sizeof(plan->etag), "%s", reply.etag);
		json_decref(reply.body);
	}
	free(text);
	return ends;
}

/* --- what is different ------------------------------------------------------- */

/* With --scope the rest of the list is not this file's business. */
static bool is_ours(const struct plan *plan, const struct entry *entry)
{
	return plan->given->scope == NULL || strcmp(plan->given->scope, entry->scope) == 0;
}

/* As it would stand in a file. */
static void write_line(const struct entry *entry, struct buf *line)
{
	buf_clear(line);
	if (entry != NULL)
		(void)listing_write(LISTING_TEXT, entry, false, line);
	if (line->len > 0)
		buf_truncate(line, line->len - 1);
}

static json_t *view_side(const struct entry *entry)
{
	struct buf text;
	json_t *json;

	if (entry == NULL)
		return json_null();
	buf_init(&text, 2 * LISTING_WRITTEN_MAX);
	(void)listing_write(LISTING_JSON, entry, true, &text);
	json = json_loadb(text.data, text.len, 0, NULL);
	buf_release(&text);
	return json;
}

static void print_difference(const struct entry *before, const struct entry *after)
{
	struct buf line;
	struct buf text;

	buf_init(&line, 2 * LISTING_WRITTEN_MAX);
	buf_init(&text, 4 * LISTING_WRITTEN_MAX);
	write_line(after != NULL ? after : before, &line);
	(void)buf_printf(&text, "%s %s",
			 before == NULL	 ? "+"
			 : after == NULL ? "-"
					 : "~",
			 line.len > 0 ? line.data : "");
	tool_print_clean(text.data);
	if (before != NULL && after != NULL) {
		write_line(before, &line);
		buf_clear(&text);
		(void)buf_printf(&text, "  was %s", line.len > 0 ? line.data : "");
		tool_print_clean(text.data);
	}
	buf_release(&text);
	buf_release(&line);
}

static void on_difference(void *ctx, const struct entry *before, const struct entry *after)
{
	struct plan *plan = ctx;
	const char *change = before == NULL ? "add" : after == NULL ? "remove" : "change";

	if (!is_ours(plan, before != NULL ? before : after))
		return;
	plan->added += before == NULL;
	plan->removed += after == NULL;
	plan->changed += before != NULL && after != NULL;
	if (plan->tool->format == TOOL_TEXT)
		print_difference(before, after);
	else
		(void)json_array_append_new(
			plan->differences, json_pack("{s:s, s:o, s:o}", "change", change, "before",
						     view_side(before), "after", view_side(after)));
}

static void print_end(struct plan *plan, bool done)
{
	const struct list_count counts[] = {{done ? "added" : "to add", plan->added},
					    {done ? "changed" : "to change", plan->changed},
					    {done ? "removed" : "to remove", plan->removed}};
	json_t *json;

	if (plan->tool->format == TOOL_TEXT) {
		list_print_counts(done ? "Applied: " : "Plan: ", counts,
				  sizeof(counts) / sizeof(counts[0]));
		if (plan->advice != NULL)
			list_print_advice(plan->advice);
		return;
	}
	json = json_pack("{s:b, s:I, s:I, s:I, s:O, s:O?}", "applied", done, "added",
			 (json_int_t)plan->added, "changed", (json_int_t)plan->changed, "removed",
			 (json_int_t)plan->removed, "differences", plan->differences, "lint",
			 plan->advice);
	tool_print_json(plan->tool, json);
	json_decref(json);
}

/* --- making it so ------------------------------------------------------------ */

static void add_entries(const struct plan *plan, const struct listing *listing, bool ours,
			struct buf *body, bool *is_first)
{
	for (size_t i = 0; i < listing_count(listing); i++) {
		const struct entry *entry = listing_entry(listing, i);

		if (is_ours(plan, entry) != ours)
			continue;
		(void)listing_write(LISTING_JSON, entry, *is_first, body);
		*is_first = false;
	}
}

static int put(struct tool *tool, struct plan *plan, struct span body)
{
	const struct client_request request = {
		.method = "PUT", .path = "/api/v1/whitelist", .body = body, .if_match = plan->etag};
	struct client_reply reply;
	struct err why;
	int ends = client_send(tool, &request, &reply, &why);

	if (ends != ERR_OK)
		return client_fail(tool, ends, &why);
	if (reply.status == 412)
		ends = tool_fail(TOOL_NO, "the list was changed in the meantime: nothing was "
					  "applied; look at the differences again");
	else if (reply.status < 200 || reply.status > 299)
		ends = client_refused(&reply);
	else
		plan->advice = json_incref(json_object_get(reply.body, "lint"));
	json_decref(reply.body);
	return ends;
}

static int replace(struct tool *tool, struct plan *plan)
{
	bool is_first = true;
	struct buf body;
	int ends;

	buf_init(&body, 2 * LISTING_BYTES_MAX);
	(void)listing_begin(LISTING_JSON, &body);
	add_entries(plan, plan->now, false, &body, &is_first);
	add_entries(plan, plan->wanted, true, &body, &is_first);
	(void)listing_end(LISTING_JSON, &body);
	ends = body.len < LISTING_BYTES_MAX
		       ? put(tool, plan, buf_span(&body))
		       : tool_fail(TOOL_USAGE, "the list is too long to be replaced at once");
	buf_release(&body);
	return ends;
}

static int apply(struct tool *tool, struct plan *plan, const char *name)
{
	int ends = read_wanted(plan, name);

	if (ends == TOOL_OK)
		ends = fetch_now(tool, plan);
	if (ends != TOOL_OK)
		return ends;
	listing_compare(plan->now, plan->wanted, on_difference, plan);
	if (plan->given->dry_run) {
		print_end(plan, false);
		return plan->added + plan->changed + plan->removed > 0 ? TOOL_NO : TOOL_OK;
	}
	if (plan->added + plan->changed + plan->removed > 0)
		ends = replace(tool, plan);
	if (ends == TOOL_OK)
		print_end(plan, true);
	return ends;
}

static int run_apply(struct tool *tool, int argc, char **argv)
{
	struct apply_options given = {0};
	struct plan plan = {.tool = tool, .given = &given};
	int ends = list_file_options(tool, &given, argc, argv);

	if (ends != TOOL_OK)
		return ends;
	if (given.scope != NULL && !listing_is_scope(span_of(given.scope)))
		return tool_misuse(tool, "a scope is letters, digits, '.', '_' and '-'");
	plan.differences = json_array();
	ends = apply(tool, &plan, argv[0]);
	json_decref(plan.differences);
	json_decref(plan.advice);
	listing_free(&plan.now);
	listing_free(&plan.wanted);
	return ends;
}

static const struct command_option options[] = {
	LIST_FILE_FORMAT(struct apply_options, format),
	OPTION_VALUE("--scope", "SCOPE", NULL, struct apply_options, scope,
		     "the file is about this scope alone; the rest of the list stays"),
	OPTION_FLAG("--dry-run", struct apply_options, dry_run,
		    "only show it; exit status 1 when there is something to do"),
	OPTION_FLAG("--allow-all", struct apply_options, allow_all,
		    "yes, I mean * where it stands there"),
	OPTION_END,
};

const struct command command_whitelist_apply = {
	.name = "whitelist apply",
	.operands = "FILE",
	.operand_words = {WORDS_FILE},
	.summary = "Make the whitelist what a file says: add, change and remove",
	.about = "Prints what is different: + comes, - goes, ~ changes (note, owner, time). "
		 "Entries\n"
		 "that are in the list and not in the file are removed. FILE is - for standard "
		 "input.\n",
	.options = options,
	.notes =
		"The format is told in stagepost-whitelist(5). When somebody else changes the list "
		"in\n"
		"between, nothing is done and the exit status is 1; it is 64 when there is a "
		"mistake\n"
		"in the file.\n",
	.examples = {"stagepost whitelist apply --dry-run staging.whitelist",
		     "stagepost whitelist apply staging.whitelist"},
	.run = run_apply,
};
