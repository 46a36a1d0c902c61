/* cli/dbcheck.c - stagepost dbcheck: is the database whole? */
#include <config.h>

#include <stdio.h>

#include "admin/view.h"
#include "cli/commands.h"
#include "cli/option.h"
#include "cli/progress.h"
#include "queue/check.h"

struct findings {
	const struct tool *tool;
	json_t *problems;
	struct progress progress;
};

static void on_problem(void *ctx, const char *sentence)
{
	struct findings *findings = ctx;

	(void)json_array_append_new(findings->problems, view_text(sentence));
	if (findings->tool->format == TOOL_TEXT) {
		progress_wipe(&findings->progress);
		fputs("problem: ", stdout);
		tool_print_clean(sentence);
	}
}

static void on_step(void *ctx, int64_t done, int64_t total)
{
	struct findings *findings = ctx;

	progress_show(&findings->progress, done, total);
}

static void print_json(const struct findings *findings, const struct check *check)
{
	json_t *answer = json_pack("{s:o, s:b, s:b, s:I, s:I, s:O}", "data_dir",
				   view_text(check->data_dir), "daemon_running", check->in_use,
				   "ok", check->problems == 0, "messages",
				   (json_int_t)check->stats.messages, "bytes",
				   (json_int_t)check->stats.bytes, "problems", findings->problems);

	(void)json_object_set_new(answer, "recipients", view_states(check->stats.by_state));
	tool_print_json(findings->tool, answer);
	json_decref(answer);
}

static void print_text(const struct check *check)
{
	long long recipients = 0;

	for (int state = 1; state < STATE_COUNT; state++)
		recipients += check->stats.by_state[state];
	printf("%lld messages with %lld recipients, %lld octets of content\n",
	       (long long)check->stats.messages, recipients, (long long)check->stats.bytes);
	if (check->problems == 0) {
		puts("No problem was found.");
		return;
	}
	printf("%lld problem%s.\n"
	       "Stop the daemon, keep a copy of the whole folder as it is, then follow RECOVERY\n"
	       "in stagepostd(8).\n",
	       (long long)check->problems, check->problems == 1 ? "" : "s");
}

static int exit_of(const struct check *check, int code, const struct err *why)
{
	switch (code) {
	case ERR_OK: return check->problems == 0 ? TOOL_OK : TOOL_NO;
	case ERR_DENIED: return tool_fail(TOOL_DENIED, "%s", why->text);
	default: return tool_fail(TOOL_IO, "%s", why->text);
	}
}

static int run_dbcheck(struct tool *tool, int argc, char **argv)
{
	struct findings findings = {.tool = tool};
	struct check check = {.on_problem = on_problem, .on_step = on_step, .ctx = &findings};
	struct err why = {""};
	int ends = option_read_only(tool, NULL, argc, argv);
	int code;

	if (ends != TOOL_OK)
		return ends;
	if (tool->url != NULL)
		return tool_misuse(tool, "it reads the database itself, so --url means nothing");
	check.data_dir = tool->data_dir;
	findings.problems = json_array();
	findings.progress = progress_make(tool, "checking");
	code = queue_check(&check, &why);
	progress_wipe(&findings.progress);
	if (check.in_use)
		tool_note("a daemon is running: reading beside it, one table after the other");
	if (code == ERR_OK && tool->format == TOOL_TEXT)
		print_text(&check);
	else if (code == ERR_OK)
		print_json(&findings, &check);
	json_decref(findings.problems);
	return exit_of(&check, code, &why);
}

const struct command command_dbcheck = {
	.name = "dbcheck",
	.operands = "",
	.summary = "Look whether the database is whole",
	.about = "Reads every page of the database in --data-dir and what its tables say of each\n"
		 "other; changes nothing. Runs beside a daemon, too: mail goes on, and the log of "
		 "the\n"
		 "database may grow meanwhile.\n",
	.notes = "Exit status 0 when all is well, 1 when there are problems, 74 when it can't be "
		 "read.\n",
	.examples = {"stagepost dbcheck", "stagepost dbcheck --data-dir ./var --json"},
	.run = run_dbcheck,
};
