/* cli/completion_zsh.c - the script for zsh, by its _arguments */
#include <config.h>

#include <string.h>

#include "cli/completion.h"

/* A specification of _arguments stands in single quotes; these three mean something in it. */
static void write_part(struct span text, FILE *out)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\'')
			fputs("'\\'", out);
		else if (strchr("[]:", text.data[i]) != NULL)
			fputc('\\', out);
		fputc(text.data[i], out);
	}
}

/* What completes a value or an operand. */
static void write_action(const char *words, FILE *out)
{
	if (words == NULL)
		fputs(": ", out);
	else if (strcmp(words, WORDS_FILE) == 0)
		fputs(":_files", out);
	else if (strcmp(words, WORDS_FOLDER) == 0)
		fputs(":_files -/", out);
	else
		fprintf(out, ":(%s)", words);
}

static void write_option(const struct command_option *option, FILE *out)
{
	/* sendmail's have their values behind a blank. */
	bool is_long = strncmp(option->name, "--", 2) == 0;

	fprintf(out, "\t\t'%s%s%s[", option->kind == OPTION_IS_LIST ? "*" : "", option->name,
		option->value != NULL && is_long ? "=" : "");
	write_part(completion_short(option->help), out);
	fputc(']', out);
	if (option->value != NULL) {
		fputc(':', out);
		write_part(span_of(option->value), out);
		write_action(option->words, out);
	}
	fputs("'\n", out);
}

static void write_options(const struct command_option *options, FILE *out)
{
	for (; options != NULL && options->name != NULL; options++)
		write_option(options, out);
}

static void write_operands(const struct command *command, FILE *out)
{
	for (size_t i = 0; i < COMMAND_OPERANDS; i++) {
		fprintf(out, "\t\t'%zu:", i + 1);
		write_part(span_of(command->operands), out);
		write_action(command->operand_words[i], out);
		fputs("'\n", out);
	}
	fputs("\t\t'*: : '\n", out);
}

static void write_command(const struct command *command, FILE *out)
{
	fprintf(out, "\t'%s') options=(\n", command->name);
	write_options(command->options, out);
	if (command->operands[0] != '\0')
		write_operands(command, out);
	fputs("\t\t)", out);
	fputs(command->is_foreign ? "; common=() ;;\n" : " ;;\n", out);
}

static void write_described(struct span word, const char *summary, FILE *out)
{
	fputs("\t\t'", out);
	write_part(word, out);
	fputc(':', out);
	write_part(span_of(summary), out);
	fputs("'\n", out);
}

/* The words behind `group`; an empty one: the first ones, a group as what is in it. */
static void write_words(const struct command *const *commands, struct span group, FILE *out)
{
	for (size_t i = 0; commands[i] != NULL; i++) {
		struct span first = completion_first_word(commands[i]);
		struct span second = completion_second_word(commands[i]);

		if (group.len > 0 && span_equal(first, group))
			write_described(second, commands[i]->summary, out);
		else if (group.len == 0 && completion_is_new(commands, i))
			write_described(first,
					second.len > 0 ? "several commands" : commands[i]->summary,
					out);
	}
}

static void write_groups(const struct command *const *commands, FILE *out)
{
	for (size_t i = 0; commands[i] != NULL; i++) {
		struct span group = completion_first_word(commands[i]);

		if (!completion_is_new(commands, i) || completion_second_word(commands[i]).len == 0)
			continue;
		fprintf(out, "\t%.*s) choices=(\n", SPAN_ARG(group));
		write_words(commands, group, out);
		fputs("\t\t) ;;\n", out);
	}
}

/* Its words are taken off one by one: _arguments sees what stands behind them (`*::`). */
static const char first[] = "\t_arguments -C \"$common[@]\" '1: :->first' '*:: :->rest' && return\n"
			    "\tif [[ $state == first ]]; then\n"
			    "\t\t_describe command choices\n"
			    "\t\treturn\n"
			    "\tfi\n"
			    "\t[[ $state == rest ]] || return\n"
			    "\tcommand=$words[1]\n"
			    "\tchoices=()\n";
static const char second[] =
	"\tif (( $#choices )); then\n"
	"\t\tstate=\n"
	"\t\t_arguments -C \"$common[@]\" '1: :->second' '*:: :->rest' && return\n"
	"\t\tif [[ $state == second ]]; then\n"
	"\t\t\t_describe command choices\n"
	"\t\t\treturn\n"
	"\t\tfi\n"
	"\t\t[[ $state == rest ]] || return\n"
	"\t\tcommand+=\" $words[1]\"\n"
	"\tfi\n";

void completion_write_zsh(const struct command *const *commands, FILE *out)
{
	fputs("#compdef stagepost\n"
	      "# zsh completion for stagepost(1); stagepost completion zsh makes it\n\n"
	      "_stagepost()\n{\n"
	      "\tlocal context state state_descr line command\n"
	      "\tlocal -a common options choices\n"
	      "\tlocal -A opt_args\n\n"
	      "\tcommon=(\n",
	      out);
	write_options(common_options, out);
	fputs("\t\t'--help[more about a command]'\n\t)\n\tchoices=(\n", out);
	write_words(commands, span_of(""), out);
	fputs("\t)\n", out);
	fputs(first, out);
	fputs("\tcase $command in\n", out);
	write_groups(commands, out);
	fputs("\tesac\n", out);
	fputs(second, out);
	fputs("\tcase $command in\n", out);
	for (; *commands != NULL; commands++)
		write_command(*commands, out);
	fputs("\tesac\n"
	      "\t_arguments \"$common[@]\" \"$options[@]\"\n"
	      "}\n\n"
	      "_stagepost \"$@\"\n",
	      out);
}
