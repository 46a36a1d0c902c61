/* cli/completion_fish.c - the script for fish */
#include <config.h>

#include <string.h>

#include "cli/completion.h"

/* fish knows a backslash in single quotes, unlike sh. */
static void write_quoted(struct span text, FILE *out)
{
	fputc('\'', out);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\'' || text.data[i] == '\\')
			fputc('\\', out);
		fputc(text.data[i], out);
	}
	fputc('\'', out);
}

/* Prints the command's words, and how many operands stand behind them. */
static const char walk[] =
	"function __stagepost_walk\n"
	"\tset -l command ''\n"
	"\tset -l operands 0\n"
	"\tset -l pending 0\n"
	"\tfor word in (commandline -opc)[2..-1]\n"
	"\t\tif test $pending = 1\n"
	"\t\t\tset pending 0\n"
	"\t\telse if string match -q -- '-*' $word\n"
	"\t\t\tif contains -- $word (__stagepost_valued \"$command\")\n"
	"\t\t\t\tset pending 1\n"
	"\t\t\tend\n"
	"\t\telse if test -z \"$command\"\n"
	"\t\t\tset command $word\n"
	"\t\telse if contains -- \"$command\" $__stagepost_groups\n"
	"\t\t\tset command \"$command $word\"\n"
	"\t\telse\n"
	"\t\t\tset operands (math $operands + 1)\n"
	"\t\tend\n"
	"\tend\n"
	"\techo $command\n"
	"\techo $operands\n"
	"end\n\n"
	"# Is this the command, and with a second argument: are there so many operands?\n"
	"function __stagepost_at\n"
	"\tset -l found (__stagepost_walk)\n"
	"\ttest \"$found[1]\" = \"$argv[1]\"\n"
	"\tand begin\n"
	"\t\tnot set -q argv[2]\n"
	"\t\tor test \"$found[2]\" = \"$argv[2]\"\n"
	"\tend\n"
	"end\n\n";

static void write_groups(const struct command *const *commands, FILE *out)
{
	fputs("set -g __stagepost_groups", out);
	for (size_t i = 0; commands[i] != NULL; i++)
		if (completion_is_new(commands, i) && completion_second_word(commands[i]).len > 0)
			fprintf(out, " %.*s", SPAN_ARG(completion_first_word(commands[i])));
	fputs("\n\n", out);
}

static void write_names(const struct command_option *options, FILE *out)
{
	for (; options != NULL && options->name != NULL; options++)
		if (options->value != NULL)
			fprintf(out, " %s", options->name);
}

static void write_valued(const struct command *const *commands, FILE *out)
{
	fputs("# The options of a command that have a value.\n"
	      "function __stagepost_valued\n\tprintf '%s\\n'",
	      out);
	write_names(common_options, out);
	fputs("\n\tswitch $argv[1]\n", out);
	for (; *commands != NULL; commands++) {
		if ((*commands)->options == NULL)
			continue;
		fprintf(out, "\tcase '%s'\n\t\tprintf '%%s\\n'", (*commands)->name);
		write_names((*commands)->options, out);
		fputc('\n', out);
	}
	fputs("\tend\nend\n\n", out);
}

/* "-n …", then what follows. */
static void write_at(struct span command, int operands, FILE *out)
{
	fprintf(out, "complete -c stagepost -n \"__stagepost_at '%.*s'", SPAN_ARG(command));
	if (operands >= 0)
		fprintf(out, " %d", operands);
	fputc('"', out);
}

static void write_words(const char *words, FILE *out)
{
	if (words == NULL) {
		fputs(" -x", out);
	} else if (strcmp(words, WORDS_FILE) == 0) {
		fputs(" -r -F", out);
	} else if (strcmp(words, WORDS_FOLDER) == 0) {
		fputs(" -x -a '(__fish_complete_directories)'", out);
	} else {
		fputs(" -x -a ", out);
		write_quoted(span_of(words), out);
	}
}

static void write_option(const struct command_option *option, FILE *out)
{
	const char *bare = option->name + strspn(option->name, "-");
	const char *kind = strncmp(option->name, "--", 2) == 0 ? "-l"
			   : bare[1] == '\0'		       ? "-s"
							       : "-o";

	fprintf(out, " %s %s", kind, bare);
	if (option->value != NULL)
		write_words(option->words, out);
	fputs(" -d ", out);
	write_quoted(completion_short(option->help), out);
	fputc('\n', out);
}

static void write_operands(const struct command *command, FILE *out)
{
	for (int i = 0; i < COMMAND_OPERANDS; i++) {
		const char *words = command->operand_words[i];

		if (words == NULL)
			continue;
		write_at(span_of(command->name), i, out);
		if (strcmp(words, WORDS_FILE) == 0) {
			fputs(" -F\n", out);
			continue;
		}
		fputs(" -a ", out);
		write_quoted(span_of(words), out);
		fputc('\n', out);
	}
}

static void write_word(struct span behind, struct span word, const char *summary, FILE *out)
{
	write_at(behind, -1, out);
	fprintf(out, " -a %.*s -d ", SPAN_ARG(word));
	write_quoted(span_of(summary), out);
	fputc('\n', out);
}

static void write_command(const struct command *const *commands, size_t i, FILE *out)
{
	const struct command *command = commands[i];
	const struct command_option *option = command->options;
	struct span first = completion_first_word(command);
	struct span second = completion_second_word(command);

	if (completion_is_new(commands, i))
		write_word(span_of(""), first,
			   second.len > 0 ? "several commands" : command->summary, out);
	if (second.len > 0)
		write_word(first, second, command->summary, out);
	for (; option != NULL && option->name != NULL; option++) {
		write_at(span_of(command->name), -1, out);
		write_option(option, out);
	}
	write_operands(command, out);
}

void completion_write_fish(const struct command *const *commands, FILE *out)
{
	fputs("# fish completion for stagepost(1); stagepost completion fish makes it\n\n", out);
	write_groups(commands, out);
	write_valued(commands, out);
	fputs(walk, out);
	fputs("complete -c stagepost -f\n", out);
	for (const struct command_option *option = common_options; option->name != NULL; option++) {
		fputs("complete -c stagepost -n \"not __stagepost_at sendmail\"", out);
		write_option(option, out);
	}
	fputs("complete -c stagepost -l help -d 'more about a command'\n", out);
	for (size_t i = 0; commands[i] != NULL; i++)
		write_command(commands, i, out);
}
