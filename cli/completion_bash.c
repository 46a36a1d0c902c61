/* cli/completion_bash.c - the script for bash */
#include <config.h>

#include <string.h>

#include "cli/completion.h"

/* What is typed comes in COMP_WORDS, where "--state=held" is three words. */
static const char walk[] =
	"_stagepost()\n"
	"{\n"
	"\tlocal IFS=$' \\t\\n' cur=${COMP_WORDS[COMP_CWORD]} command='' pending='' word choices\n"
	"\tlocal -i i operands=0\n"
	"\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tif [[ $word == '=' ]]; then\n"
	"\t\t\tcontinue\n"
	"\t\telif [[ -n $pending ]]; then\n"
	"\t\t\tpending=\n"
	"\t\telif [[ $word == -* ]]; then\n"
	"\t\t\t[[ \" $(_stagepost_options \"$command\") \" == *\" $word= \"* ]] && pending=$word\n"
	"\t\telif [[ -n $(_stagepost_next \"$command\") ]]; then\n"
	"\t\t\tcommand=${command:+$command }$word\n"
	"\t\telse\n"
	"\t\t\toperands+=1\n"
	"\t\tfi\n"
	"\tdone\n"
	"\t[[ $cur == '=' ]] && cur=\n"
	"\tif [[ -n $pending ]]; then\n"
	"\t\tchoices=$(_stagepost_choices \"$command\" \"$pending\")\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\tchoices=$(_stagepost_options \"$command\")\n"
	"\t\tchoices=${choices//=/}\n"
	"\telse\n"
	"\t\tchoices=$(_stagepost_next \"$command\")\n"
	"\t\t[[ -n $choices ]] || choices=$(_stagepost_choices \"$command\" $((operands + 1)))\n"
	"\tfi\n"
	"\tcase $choices in\n"
	"\t" WORDS_FILE ")\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"\t\t;;\n"
	"\t" WORDS_FOLDER ")\n"
	"\t\tcompopt -o filenames 2>/dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
	"\t\t;;\n"
	"\t*) mapfile -t COMPREPLY < <(compgen -W \"$choices\" -- \"$cur\") ;;\n"
	"\tesac\n"
	"}\n"
	"complete -F _stagepost stagepost\n";

static void write_word(struct span word, const char **separator, FILE *out)
{
	fprintf(out, "%s%.*s", *separator, SPAN_ARG(word));
	*separator = " ";
}

/* The second words of a group. */
static void write_group(const struct command *const *commands, struct span group, FILE *out)
{
	const char *separator = "\techo '";

	fprintf(out, "\t%.*s)\n\t", SPAN_ARG(group));
	for (; *commands != NULL; commands++)
		if (span_equal(completion_first_word(*commands), group))
			write_word(completion_second_word(*commands), &separator, out);
	fputs("'\n\t\t;;\n", out);
}

static void write_next(const struct command *const *commands, FILE *out)
{
	const char *separator = "\techo '";

	fputs("# The words that may follow those of a command.\n"
	      "_stagepost_next()\n{\n\tcase $1 in\n\t'')\n\t",
	      out);
	for (size_t i = 0; commands[i] != NULL; i++)
		if (completion_is_new(commands, i))
			write_word(completion_first_word(commands[i]), &separator, out);
	fputs("'\n\t\t;;\n", out);
	for (size_t i = 0; commands[i] != NULL; i++)
		if (completion_is_new(commands, i) && completion_second_word(commands[i]).len > 0)
			write_group(commands, completion_first_word(commands[i]), out);
	fputs("\tesac\n}\n\n", out);
}

static void write_names(const struct command_option *options, FILE *out)
{
	for (; options != NULL && options->name != NULL; options++)
		fprintf(out, "%s%s ", options->name, options->value != NULL ? "=" : "");
}

static void write_options(const struct command *const *commands, FILE *out)
{
	fputs("# The options of a command; those with a value end in \"=\".\n"
	      "_stagepost_options()\n{\n\tcase $1 in\n",
	      out);
	for (; *commands != NULL; commands++) {
		if ((*commands)->options == NULL)
			continue;
		fprintf(out, "\t'%s') echo '", (*commands)->name);
		write_names((*commands)->options, out);
		fputs("' ;;\n", out);
	}
	fputs("\tesac\n\t[[ $1 == sendmail ]] || echo '", out);
	write_names(common_options, out);
	fputs("'\n\techo --help\n}\n\n", out);
}

/* `command` NULL: any. */
static void write_choice(const struct command *command, const char *which, const char *words,
			 FILE *out)
{
	if (words != NULL)
		fprintf(out, "\t%s'%s %s') echo '%s' ;;\n", command == NULL ? "*" : "",
			command == NULL ? "" : command->name, which, words);
}

static void write_choices(const struct command *const *commands, FILE *out)
{
	const struct command_option *option;

	fputs("# What an option's value, or the operand of this number, may be.\n"
	      "_stagepost_choices()\n{\n\tcase \"$1 $2\" in\n",
	      out);
	for (; *commands != NULL; commands++) {
		option = (*commands)->options;
		for (; option != NULL && option->name != NULL; option++)
			write_choice(*commands, option->name, option->words, out);
		write_choice(*commands, "1", (*commands)->operand_words[0], out);
		write_choice(*commands, "2", (*commands)->operand_words[1], out);
	}
	for (option = common_options; option->name != NULL; option++)
		write_choice(NULL, option->name, option->words, out);
	fputs("\tesac\n}\n\n", out);
}

void completion_write_bash(const struct command *const *commands, FILE *out)
{
	fputs("# bash completion for stagepost(1); stagepost completion bash makes it\n\n", out);
	write_next(commands, out);
	write_options(commands, out);
	write_choices(commands, out);
	fputs(walk, out);
}
