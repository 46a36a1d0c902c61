/* cli/completion.c - stagepost completion: a script for the shell that somebody uses */
#include <config.h>

#include "cli/completion.h"

#include <string.h>

#include "cli/commands.h"

struct span completion_first_word(const struct command *command)
{
	struct span rest = span_of(command->name);

	return span_cut(&rest, ' ');
}

struct span completion_second_word(const struct command *command)
{
	struct span rest = span_of(command->name);

	(void)span_cut(&rest, ' ');
	return rest;
}

bool completion_is_new(const struct command *const *commands, size_t i)
{
	struct span word = completion_first_word(commands[i]);

	for (size_t k = 0; k < i; k++)
		if (span_equal(word, completion_first_word(commands[k])))
			return false;
	return true;
}

struct span completion_short(const char *help)
{
	struct span text = span_of(help);

	for (size_t i = 0; i + 1 < text.len; i++)
		if (text.data[i] == ';' || (text.data[i] == '.' && text.data[i + 1] == ' ') ||
		    (i > 0 && text.data[i] == '(' && text.data[i - 1] == ' '))
			return span_trim(span_first(text, i));
	return text;
}

static const struct {
	const char *name;
	void (*write)(const struct command *const *commands, FILE *out);
} shells[] = {
	{"bash", completion_write_bash},
	{"zsh", completion_write_zsh},
	{"fish", completion_write_fish},
};

static int run_completion(struct tool *tool, int argc, char **argv)
{
	int count;
	int ends = option_read(tool, NULL, argc, argv, &count);

	if (ends != TOOL_OK)
		return ends;
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]) && count == 1; i++)
		if (strcmp(argv[0], shells[i].name) == 0) {
			shells[i].write(tool->commands, stdout);
			return TOOL_OK;
		}
	return tool_misuse(tool, "one of bash, zsh and fish is needed");
}

const struct command command_completion = {
	.name = "completion",
	.operands = "bash|zsh|fish",
	.operand_words = {"bash zsh fish"},
	.summary = "Print a script by which a shell completes these commands",
	.about = "\"make install\" puts the scripts where the shells look for them. Without it:\n"
		 "\n"
		 "  bash  in ~/.bashrc: . <(stagepost completion bash)\n"
		 "  zsh   stagepost completion zsh > a folder of $fpath/_stagepost\n"
		 "  fish  stagepost completion fish > ~/.config/fish/completions/stagepost.fish\n",
	.examples = {"stagepost completion bash > stagepost.bash",
		     "stagepost completion fish > ~/.config/fish/completions/stagepost.fish"},
	.run = run_completion,
};
