/* cli/queue_delete.c - stagepost queue delete: by id, or all that a filter finds */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/filter.h"
#include "cli/option.h"
#include "cli/prompt.h"
#include "cli/tally.h"

#define PAGE	    500
#define SAMPLES	    10
#define IDS_MAX	    10000000
#define CURSOR_SIZE 128

struct delete_given {
	struct filter_options filter;
	bool all;
	bool dry_run;
	bool yes;
	bool when_settled;
};

static int delete_one(struct tool *tool, const struct delete_given *given, const char *id,
		      struct tally *tally)
{
	char path[96];

	snprintf(path, sizeof(path), "/api/v1/messages/%s%s", id,
		 given->when_settled ? "?when_settled=true" : "");
	return tally_request(tool, "DELETE", path, NULL, id, tally);
}

/* --- by id ------------------------------------------------------------------- */

/* Nothing is done before all of them are understood. */
static int delete_operands(struct tool *tool, const struct delete_given *given, int count,
			   char **operands)
{
	struct tally tally;
	int ends = TOOL_OK;

	for (int i = 0; i < count; i++) {
		struct ulid id;

		if (ulid_parse(span_of(operands[i]), &id) != ERR_OK)
			return tool_misuse(tool, "\"%s\" is no message id", operands[i]);
	}
	tally = tally_make(tool, "delete", "deleting");
	for (int i = 0; i < count && ends == TOOL_OK; i++) {
		ends = delete_one(tool, given, operands[i], &tally);
		progress_show(&tally.progress, i + 1, count);
	}
	return tally_finish(tool, ends, &tally);
}

/* --- by filter --------------------------------------------------------------- */

/* What was found, oldest last: ids only, of what may be a million messages. */
struct found {
	struct buf ids; /* ULID_TEXT_SIZE octets each, with their NUL */
	size_t count;
	json_t *samples; /* the first ones */
};

static const char *found_id(const struct found *found, size_t i)
{
	return found->ids.data + i * ULID_TEXT_SIZE;
}

static int take_items(const json_t *items, struct found *found)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)items, i, item)
	{
		const char *id = tool_text(item, "id");

		if (strlen(id) + 1 != ULID_TEXT_SIZE)
			return tool_fail(TOOL_UNREACHABLE, "what answers there lists no messages");
		if (buf_append(&found->ids, id, ULID_TEXT_SIZE) != ERR_OK)
			return tool_fail(TOOL_NO, "more than %d messages at once: say --limit",
					 IDS_MAX);
		found->count++;
		if (json_array_size(found->samples) < SAMPLES)
			(void)json_array_append(found->samples, item);
	}
	return TOOL_OK;
}

/* One page. *after: where it goes on, "" at the end. */
static int find_page(struct tool *tool, const struct source_filter *filter, char *after,
		     struct found *found)
{
	size_t left = filter->limit - found->count;
	struct buf path;
	json_t *page;
	int ends;

	buf_init(&path, CLIENT_PATH_ROOM);
	(void)buf_append_text(&path, "/api/v1/messages");
	source_filter_write(filter, "to", filter->limit == 0 || left > PAGE ? PAGE : left, after,
			    &path);
	ends = client_ask(tool, "GET", path.data, NULL, &page);
	buf_release(&path);
	if (ends != TOOL_OK)
		return ends;
	ends = take_items(json_object_get(page, "items"), found);
	snprintf(after, CURSOR_SIZE, "%s", tool_text(page, "next"));
	json_decref(page);
	return ends;
}

/* All of them before the first goes: the question names their number. */
static int find_all(struct tool *tool, const struct source_filter *filter, struct found *found)
{
	struct progress progress = progress_make(tool, "looking:");
	char after[CURSOR_SIZE] = "";
	int ends;

	do {
		ends = find_page(tool, filter, after, found);
		progress_show(&progress, (int64_t)found->count, 0);
	} while (ends == TOOL_OK && after[0] != '\0' &&
		 (filter->limit == 0 || found->count < filter->limit));
	progress_wipe(&progress);
	return ends;
}

static void print_samples(const struct found *found)
{
	json_t *item;
	size_t i;

	json_array_foreach(found->samples, i, item)
	{
		const char *sender = tool_text(item, "sender");
		char line[1024];

		snprintf(line, sizeof(line), "%s  %s  %s", tool_text(item, "id"),
			 sender[0] != '\0' ? sender : "<>", tool_text(item, "subject"));
		tool_print_clean(line);
	}
	if (found->count > i)
		printf("and %zu more\n", found->count - i);
}

static int tell_dry_run(const struct tool *tool, const struct found *found)
{
	json_t *answer;

	if (tool->format == TOOL_TEXT) {
		printf("delete: %zu would be done\n", found->count);
		print_samples(found);
		return TOOL_OK;
	}
	answer = json_pack("{s:b, s:I, s:O}", "dry_run", 1, "count", (json_int_t)found->count,
			   "items", found->samples);
	tool_print_json(tool, answer);
	json_decref(answer);
	return TOOL_OK;
}

/* What is gone does not come back: a person is asked, a script says it in advance. */
static int confirm(const struct tool *tool, const struct found *found)
{
	char question[120];

	if (isatty(STDIN_FILENO) != 1 || tool->format != TOOL_TEXT)
		return tool_misuse(
			tool, "delete --all asks on a terminal; without one say --yes, or look "
			      "with --dry-run first");
	print_samples(found);
	fflush(stdout);
	snprintf(question, sizeof(question), "Delete %zu message%s with everything known about %s?",
		 found->count, found->count == 1 ? "" : "s", found->count == 1 ? "it" : "them");
	return prompt_yes(question) ? TOOL_OK : tool_fail(TOOL_NO, "nothing was deleted");
}

static int delete_found(struct tool *tool, const struct delete_given *given,
			const struct found *found)
{
	struct tally tally = tally_make(tool, "delete", "deleting");
	int ends = TOOL_OK;

	for (size_t i = 0; i < found->count && ends == TOOL_OK; i++) {
		ends = delete_one(tool, given, found_id(found, i), &tally);
		progress_show(&tally.progress, (int64_t)i + 1, (int64_t)found->count);
	}
	return tally_finish(tool, ends, &tally);
}

static int delete_all(struct tool *tool, const struct delete_given *given)
{
	struct source_filter filter;
	struct found found = {.samples = json_array()};
	int ends = filter_read(tool, &given->filter, 0, &filter);

	buf_init(&found.ids, (size_t)IDS_MAX * ULID_TEXT_SIZE);
	if (ends == TOOL_OK)
		ends = find_all(tool, &filter, &found);
	if (ends == TOOL_OK && found.count == 0)
		ends = tool_fail(TOOL_NO, "no message matches");
	else if (ends == TOOL_OK && given->dry_run)
		ends = tell_dry_run(tool, &found);
	else if (ends == TOOL_OK && (given->yes || (ends = confirm(tool, &found)) == TOOL_OK))
		ends = delete_found(tool, given, &found);
	buf_release(&found.ids);
	json_decref(found.samples);
	return ends;
}

/* --- the command ------------------------------------------------------------- */

static int run_delete(struct tool *tool, int argc, char **argv)
{
	struct delete_given given = {.all = false};
	int count;
	int ends = option_read(tool, &given, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	if (given.all == (count > 0))
		return tool_misuse(tool, "say either which messages, or --all");
	if (!given.all && (given.dry_run || !filter_is_empty(&given.filter)))
		return tool_misuse(tool, "filters and --dry-run belong to --all");
	return given.all ? delete_all(tool, &given) : delete_operands(tool, &given, count, argv);
}

static const struct command_option options[] = {
	OPTION_FLAG("--all", struct delete_given, all,
		    "every message with a recipient that the filters below let through"),
	FILTER_OPTIONS(struct delete_given),
	FILTER_LIMIT(struct delete_given,
		     "at most N messages, newest first; without it all of them"),
	OPTION_FLAG("--dry-run", struct delete_given, dry_run,
		    "how many, and the first ones; nothing is deleted"),
	OPTION_FLAG("--yes", struct delete_given, yes,
		    "do not ask; needed where standard input is no terminal"),
	OPTION_FLAG("--when-settled", struct delete_given, when_settled,
		    "do not refuse what is just being delivered: it goes with the outcome of that, "
		    "and nothing else of it is sent"),
	OPTION_END,
};

const struct command command_queue_delete = {
	.name = "queue delete",
	.operands = "ID...|--all",
	.summary = "Remove messages with everything known about them",
	.about = "With --all each message goes whole, also with recipients that no filter named.\n",
	.options = options,
	.notes = "A message with a recipient that is just being delivered is refused, unless "
		 "--when-settled says otherwise.\n"
		 "\nExit status 1 when one was refused or is not there.\n",
	.examples = {"stagepost queue delete 01KB2Z0V9T8B3M6N5Q4R7S1W2X",
		     "stagepost queue delete --all --state dropped --to @example.com --dry-run"},
	.run = run_delete,
};
