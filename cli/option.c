/* cli/option.c - reading the command line by the table of its command */
#include <config.h>

#include "cli/option.h"

#include <string.h>

#include "base/span.h"
#include "cli/help.h"
#include "cli/tool.h"

const struct command_option common_options[] = {
	OPTION_FLAG("--json", struct tool, wants_json, "print JSON: one document"),
	OPTION_FLAG("--jsonl", struct tool, wants_lines, "print JSON lines: one line an item"),
	OPTION_VALUE("--color", "WHEN", "auto always never", struct tool, colour,
		     "use colours: always, never or auto (usual), which is on a terminal unless "
		     "$NO_COLOR "
		     "is set"),
	OPTION_FLAG("--quiet", struct tool, is_quiet, "show no progress of long work"),
	OPTION_VALUE("--data-dir", "DIR", WORDS_FOLDER, struct tool, data_dir,
		     "the daemon's data_dir; default $STAGEPOST_DATA_DIR, else " TOOL_DATA_DIR),
	OPTION_VALUE("--url", "URL", NULL, struct tool, url,
		     "talk to this address instead of data_dir/admin.sock"),
	OPTION_VALUE("--token-file", "FILE", WORDS_FILE, struct tool, token_file,
		     "the token to show there"),
	OPTION_END,
};

static const struct command_option *find(const struct command_option *options, struct span name)
{
	for (; options != NULL && options->name != NULL; options++)
		if (span_is(name, options->name))
			return options;
	return NULL;
}

/* *into_out: the struct that its place is in. */
static const struct command_option *find_any(struct tool *tool, void *given, struct span name,
					     void **into_out)
{
	const struct command_option *option = NULL;

	*into_out = given;
	if (tool->command != NULL)
		option = find(tool->command->options, name);
	if (option != NULL)
		return option;
	*into_out = tool;
	return find(common_options, name);
}

/* TOOL_OK, or complained: there are too many. */
static int store(const struct tool *tool, const struct command_option *option, void *into,
		 const char *value)
{
	void *at = (char *)into + option->at;
	struct option_values *values = at;

	switch (option->kind) {
	case OPTION_IS_FLAG: *(bool *)at = true; break;
	case OPTION_IS_VALUE: *(const char **)at = value; break;
	case OPTION_IS_LIST:
		if (value[0] == '\0')
			return tool_misuse(tool, "%s needs a value", option->name);
		if (values->count == OPTION_VALUES_MAX)
			return tool_misuse(tool, "at most %d times %s", OPTION_VALUES_MAX,
					   option->name);
		values->items[values->count++] = value;
		break;
	}
	return TOOL_OK;
}

/* Reads argv[at] and, where it has one, its value. Returns how many it took, 0: complained. */
static int read_one(struct tool *tool, void *given, int argc, char **argv, int at)
{
	struct span text = span_of(argv[at]);
	size_t equals = span_find(text, '=');
	bool has_value = equals < text.len;
	void *into;
	const struct command_option *option =
		find_any(tool, given, span_first(text, equals), &into);
	const char *value = has_value ? argv[at] + equals + 1 : NULL;
	int used = 1;

	if (option == NULL) {
		tool_misuse(tool, "there is no option %s here", argv[at]);
		return 0;
	}
	if (option->kind == OPTION_IS_FLAG && has_value) {
		tool_misuse(tool, "%s takes no value", option->name);
		return 0;
	}
	if (option->kind != OPTION_IS_FLAG && !has_value) {
		if (at + 1 >= argc) {
			tool_misuse(tool, "%s needs a value", option->name);
			return 0;
		}
		value = argv[at + 1];
		used = 2;
	}
	return store(tool, option, into, value) == TOOL_OK ? used : 0;
}

static bool is_option(const char *text)
{
	return text[0] == '-' && text[1] != '\0';
}

static bool is_help(const char *text)
{
	return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

/* What the common options mean together. */
static int settle(struct tool *tool)
{
	if (tool->colour != NULL && strcmp(tool->colour, "auto") != 0 &&
	    strcmp(tool->colour, "always") != 0 && strcmp(tool->colour, "never") != 0)
		return tool_misuse(tool, "--color is auto, always or never");
	if (tool->wants_lines)
		tool->format = TOOL_LINES;
	else if (tool->wants_json)
		tool->format = TOOL_JSON;
	return TOOL_OK;
}

int option_read(struct tool *tool, void *given, int argc, char **argv, int *count_out)
{
	bool only_operands = false;
	int count = 0;

	for (int i = 0; i < argc;) {
		int used = 1;

		if (!only_operands && strcmp(argv[i], "--") == 0) {
			only_operands = true;
		} else if (!only_operands && is_help(argv[i])) {
			help_print(tool->command);
			return TOOL_HELPED;
		} else if (!only_operands && is_option(argv[i])) {
			used = read_one(tool, given, argc, argv, i);
			if (used == 0)
				return TOOL_USAGE;
		} else {
			argv[count++] = argv[i];
		}
		i += used;
	}
	*count_out = count;
	return settle(tool);
}

int option_read_only(struct tool *tool, void *given, int argc, char **argv)
{
	int count;
	int ends = option_read(tool, given, argc, argv, &count);

	if (ends != TOOL_OK || count == 0)
		return ends;
	return tool_misuse(tool, "\"%s\" is one word too many", argv[0]);
}

int option_read_leading(struct tool *tool, int argc, char **argv, int *used_out)
{
	int at = 0;

	while (at < argc && is_option(argv[at]) && !is_help(argv[at]) &&
	       strcmp(argv[at], "--version") != 0) {
		int used = read_one(tool, NULL, argc, argv, at);

		if (used == 0)
			return TOOL_USAGE;
		at += used;
	}
	*used_out = at;
	return settle(tool);
}
