/* cli/help.c - what --help prints, all of it from the table of commands */
#include <config.h>

#include "cli/help.h"

#include <string.h>

#include "base/span.h"
#include "cli/option.h"

#define COLUMNS	   80
#define LABEL_MAX  21 /* a longer one has its text on the next line */
#define PROGRAM	   "stagepost "
#define LABEL_SIZE 80

/* Text that goes on, word by word, at a column of its own. */
struct lines {
	FILE *out;
	size_t indent;
	size_t at;
};

static void add_word(struct lines *lines, struct span word)
{
	if (word.len == 0)
		return;
	if (lines->at > lines->indent && lines->at + 1 + word.len > COLUMNS) {
		fprintf(lines->out, "\n%*s", (int)lines->indent, "");
		lines->at = lines->indent;
	} else if (lines->at > lines->indent) {
		fputc(' ', lines->out);
		lines->at++;
	}
	fwrite(word.data, 1, word.len, lines->out);
	lines->at += word.len;
}

static void add_words(struct lines *lines, struct span text)
{
	while (text.len > 0)
		add_word(lines, span_cut(&text, ' '));
}

static void end_line(struct lines *lines)
{
	if (lines->at > 0)
		fputc('\n', lines->out);
	lines->at = 0;
}

/* Paragraphs with an empty line between; a line that begins with a blank stays as it is. */
static void print_text(const char *text, FILE *out)
{
	struct lines lines = {.out = out};
	struct span rest = span_of(text != NULL ? text : "");

	if (rest.len > 0)
		fputc('\n', out); /* from what stands above */
	while (rest.len > 0) {
		struct span line = span_cut(&rest, '\n');

		if (line.len > 0 && line.data[0] != ' ') {
			add_words(&lines, line);
			continue;
		}
		end_line(&lines);
		fprintf(out, "%.*s\n", SPAN_ARG(line));
	}
	end_line(&lines);
}

/* --- usage ------------------------------------------------------------------- */

/* What a command cannot do without stands among its operands: "ID...|--all". */
static bool is_operand(const struct command *command, const char *name)
{
	return strstr(command->operands, name) != NULL;
}

static void add_option(struct lines *lines, const struct command_option *option)
{
	char text[LABEL_SIZE];

	snprintf(text, sizeof(text), "[%s%s%s]%s", option->name, option->value != NULL ? " " : "",
		 option->value != NULL ? option->value : "",
		 option->kind == OPTION_IS_LIST ? "..." : "");
	add_word(lines, span_of(text)); /* whole: it is not parted at its blank */
}

static void print_call(const struct command *command, const char *prefix, FILE *out)
{
	struct lines lines = {.out = out};
	const struct command_option *option = command->options;

	lines.indent = (size_t)fprintf(out, "%s" PROGRAM "%s", prefix, command->name) + 1;
	lines.at = lines.indent;
	if (command->operands[0] != '\0' || option != NULL)
		fputc(' ', out);
	add_words(&lines, span_of(command->operands));
	for (; option != NULL && option->name != NULL; option++)
		if (!is_operand(command, option->name))
			add_option(&lines, option);
	fputc('\n', out);
}

void help_print_usage(const struct command *command, FILE *out)
{
	print_call(command, "Usage: ", out);
}

/* --- options ----------------------------------------------------------------- */

static size_t label_of(const struct command_option *option, char text_out[LABEL_SIZE])
{
	return (size_t)snprintf(text_out, LABEL_SIZE, "%s%s%s", option->name,
				option->value != NULL ? " " : "",
				option->value != NULL ? option->value : "");
}

static size_t widest_label(const struct command_option *options)
{
	char text[LABEL_SIZE];
	size_t widest = 0;

	for (; options->name != NULL; options++) {
		size_t width = label_of(options, text);

		if (width > widest && width <= LABEL_MAX)
			widest = width;
	}
	return widest;
}

static void print_option(const struct command_option *option, size_t width, FILE *out)
{
	struct lines lines = {.out = out, .indent = width + 4, .at = width + 4};
	char text[LABEL_SIZE];
	size_t len = label_of(option, text);

	fprintf(out, "  %-*s", (int)width, text);
	if (len > width)
		fprintf(out, "\n%*s", (int)lines.indent, "");
	else
		fputs("  ", out);
	add_words(&lines, span_of(option->help));
	fputc('\n', out);
}

static void print_options(const struct command_option *options, FILE *out)
{
	size_t width;

	if (options == NULL)
		return;
	fputc('\n', out);
	width = widest_label(options);
	for (; options->name != NULL; options++)
		print_option(options, width, out);
}

static void print_common(FILE *out)
{
	struct lines lines = {.out = out, .indent = 2, .at = 2};

	fputs("\nOptions of every command (stagepost --help tells more):\n  ", out);
	for (const struct command_option *option = common_options; option->name != NULL; option++)
		add_option(&lines, option);
	fputc('\n', out);
}

void help_print(const struct command *command)
{
	help_print_usage(command, stdout);
	printf("\n%s.\n", command->summary);
	print_text(command->about, stdout);
	print_options(command->options, stdout);
	print_text(command->notes, stdout);
	if (!command->is_foreign)
		print_common(stdout);
	printf("\nExamples:\n");
	for (size_t i = 0; i < COMMAND_EXAMPLES; i++)
		printf("  %s\n", command->examples[i]);
}

/* --- more than one ----------------------------------------------------------- */

void help_print_all(const struct command *const *commands, FILE *out)
{
	fprintf(out, "Usage: stagepost COMMAND [OPTION]... [ARGUMENT]...\n\n"
		     "Look into the queue of a Stagepost relay and manage its whitelist.\n\n");
	for (; *commands != NULL; commands++)
		fprintf(out, "  %-17s %s\n", (*commands)->name, (*commands)->summary);
	fprintf(out, "\nOptions of every command:\n");
	print_options(common_options, out);
	fprintf(out, "\nMore about one: stagepost COMMAND --help.\n"
		     "\nExit status: 0 done, 1 the answer is no (not allowed, nothing matches),\n"
		     "64 wrong usage, 69 the daemon can't be reached, 74 input or output failed,\n"
		     "77 not permitted.\n");
}

void help_print_group(const struct command *const *commands, const char *group, FILE *out)
{
	size_t len = strlen(group);

	for (; *commands != NULL; commands++)
		if (strncmp((*commands)->name, group, len) == 0 && (*commands)->name[len] == ' ')
			print_call(*commands, "  ", out);
}
