/* cli/stagepost.c - the tool: one table of commands */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/tool.h"

#define DATA_DIR "/var/lib/stagepost"

static const struct command *const commands[] = {
	&command_status,
	&command_queue_list,
	&command_queue_show,
	&command_queue_cat,
	&command_queue_stats,
	&command_queue_retry,
	&command_queue_hold,
	&command_queue_release,
	&command_queue_cancel,
	&command_queue_delete,
	&command_whitelist_list,
	&command_whitelist_add,
	&command_whitelist_remove,
	&command_whitelist_history,
	&command_whitelist_import,
	&command_whitelist_export,
	&command_whitelist_apply,
	&command_user_list,
	&command_user_add,
	&command_user_passwd,
	&command_user_remove,
	&command_rule_list,
	&command_rule_add,
	&command_rule_change,
	&command_rule_remove,
	&command_fault_list,
	&command_fault_add,
	&command_fault_remove,
	&command_pause,
	&command_resume,
	&command_token_list,
	&command_token_create,
	&command_token_revoke,
	&command_check,
	&command_backup,
	&command_events,
	&command_dbcheck,
	&command_sendmail,
	&command_sink,
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: stagepost COMMAND [OPTION]... [ARGUMENT]...\n\n"
		     "Look into the queue of a Stagepost relay and manage its whitelist.\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-17s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(out,
		"\nOptions of every command:\n"
		"  --json             print JSON: one document\n"
		"  --jsonl            print JSON lines: one line an item\n"
		"  --data-dir DIR     the daemon's data_dir; default $STAGEPOST_DATA_DIR, else\n"
		"                     " DATA_DIR "\n"
		"  --url URL          talk to this address instead of data_dir/admin.sock\n"
		"  --token-file FILE  the token to show there\n"
		"  --help             more about a command\n"
		"\nExit status: 0 done, 1 the answer is no (not allowed, nothing matches),\n"
		"64 wrong usage, 69 the daemon can't be reached, 74 input or output failed,\n"
		"77 not permitted.\n");
}

/* Does `name` ("queue list") stand at the front of argv? *words_out: how many of them. */
static bool matches(const char *name, int argc, char **argv, int *words_out)
{
	struct span rest = span_of(name);
	int words = 0;

	while (rest.len > 0) {
		struct span word = span_cut(&rest, ' ');

		if (words >= argc || !span_is(word, argv[words]))
			return false;
		words++;
	}
	*words_out = words;
	return true;
}

static const struct command *find_command(int argc, char **argv, int *words_out)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (matches(commands[i]->name, argc, argv, words_out))
			return commands[i];
	return NULL;
}

static bool is_group(const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ')
			return true;
	return false;
}

static int print_group(const char *word, FILE *out)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ')
			fprintf(out, "  stagepost %s %s\n", commands[i]->name,
				commands[i]->arguments);
	return out == stdout ? TOOL_OK : TOOL_USAGE;
}

static int run_unknown(int argc, char **argv)
{
	if (argc == 0) {
		print_usage(stderr);
		return TOOL_USAGE;
	}
	if (strcmp(argv[0], "--version") == 0) {
		printf("stagepost %s\n", PACKAGE_VERSION);
		return TOOL_OK;
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
	    strcmp(argv[0], "help") == 0) {
		print_usage(stdout);
		return TOOL_OK;
	}
	if (is_group(argv[0]) &&
	    (argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_group(argv[0], argc == 1 ? stderr : stdout);
	if (is_group(argv[0]))
		return tool_fail(TOOL_USAGE,
				 "there is no command \"%s %s\"; stagepost %s --help lists them",
				 argv[0], argv[1], argv[0]);
	return tool_fail(TOOL_USAGE, "there is no command \"%s\"; stagepost --help lists them",
			 argv[0]);
}

static int run(struct tool *tool, int argc, char **argv)
{
	int words = 0;
	int used;
	int ends = tool_leading_options(tool, argc, argv, &used);

	if (ends != TOOL_OK)
		return ends;
	argc -= used;
	argv += used;
	tool->command = find_command(argc, argv, &words);
	if (tool->command == NULL)
		return run_unknown(argc, argv);
	return tool->command->run(tool, argc - words, argv + words);
}

/* A link to us may have the name of one of sendmail's programs. */
static bool run_by_name(struct tool *tool, int argc, char **argv, int *ends_out)
{
	static char list[] = "-bp", aliases[] = "-bi";
	struct span path = span_of(argc > 0 ? argv[0] : "");
	size_t slash = span_find_last(path, '/');
	struct span name = slash < path.len ? span_skip(path, slash + 1) : path;
	char *as_list[] = {argv[0], list, NULL};
	char *as_aliases[] = {argv[0], aliases, NULL};

	tool->command = &command_sendmail;
	if (span_is(name, "sendmail"))
		*ends_out = command_sendmail.run(tool, argc - 1, argv + 1);
	else if (span_is(name, "mailq"))
		*ends_out = command_sendmail.run(tool, 1, as_list + 1);
	else if (span_is(name, "newaliases"))
		*ends_out = command_sendmail.run(tool, 1, as_aliases + 1);
	else
		tool->command = NULL;
	return tool->command != NULL;
}

int main(int argc, char **argv)
{
	const char *data_dir = getenv("STAGEPOST_DATA_DIR");
	struct tool tool = {
		.data_dir = data_dir != NULL && data_dir[0] != '\0' ? data_dir : DATA_DIR,
	};
	int ends;

	if (!run_by_name(&tool, argc, argv, &ends))
		ends = run(&tool, argc - 1, argv + 1);
	client_free(&tool.client);
	/* A full disk behind ">" shows here. */
	if (fflush(stdout) != 0 || ferror(stdout))
		ends = tool_fail(TOOL_IO, "the output could not be written");
	return ends == TOOL_HELPED ? TOOL_OK : ends;
}
