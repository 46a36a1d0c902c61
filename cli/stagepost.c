/* cli/stagepost.c - the tool: one table of commands */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/option.h"
#include "cli/text.h"
#include "cli/tool.h"

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
	&command_webhook_list,
	&command_webhook_retry,
	&command_webhook_drop,
	&command_check,
	&command_backup,
	&command_events,
	&command_audit,
	&command_dbcheck,
	&command_sendmail,
	&command_sink,
	&command_completion,
	NULL,
};

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
	for (size_t i = 0; commands[i] != NULL; i++)
		if (matches(commands[i]->name, argc, argv, words_out))
			return commands[i];
	return NULL;
}

static bool is_group(const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; commands[i] != NULL; i++)
		if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ')
			return true;
	return false;
}

static int run_unknown(int argc, char **argv)
{
	if (argc == 0) {
		help_print_all(commands, stderr);
		return TOOL_USAGE;
	}
	if (strcmp(argv[0], "--version") == 0) {
		printf("stagepost %s\n", PACKAGE_VERSION);
		return TOOL_OK;
	}
	if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
	    strcmp(argv[0], "help") == 0) {
		help_print_all(commands, stdout);
		return TOOL_OK;
	}
	if (is_group(argv[0]) &&
	    (argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		help_print_group(commands, argv[0], argc == 1 ? stderr : stdout);
		return argc == 1 ? TOOL_USAGE : TOOL_OK;
	}
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
	int ends = option_read_leading(tool, argc, argv, &used);

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
		.commands = commands,
		.data_dir = data_dir != NULL && data_dir[0] != '\0' ? data_dir : TOOL_DATA_DIR,
	};
	int ends;

	text_use_utf8();
	if (!run_by_name(&tool, argc, argv, &ends))
		ends = run(&tool, argc - 1, argv + 1);
	client_free(&tool.client);
	/* A full disk behind ">" shows here. */
	if (fflush(stdout) != 0 || ferror(stdout))
		ends = tool_fail(TOOL_IO, "the output could not be written");
	return ends == TOOL_HELPED ? TOOL_OK : ends;
}
