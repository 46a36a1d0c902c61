/* cli/option.h - the options of a command: one table, for reading them, --help and completion */
#ifndef STAGEPOST_CLI_OPTION_H
#define STAGEPOST_CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
	OPTION_IS_FLAG,	 /* a bool */
	OPTION_IS_VALUE, /* a const char *, borrowed from the command line */
	OPTION_IS_LIST	 /* a struct option_values: it may be given several times */
};

#define OPTION_VALUES_MAX 64

struct option_values {
	const char *items[OPTION_VALUES_MAX];
	size_t count;
};

/* For the `words` of an option or an operand: what else the shell knows to complete. */
#define WORDS_FILE   "@file"
#define WORDS_FOLDER "@folder"

struct command_option {
	const char *name;  /* "--state", or "-t" of sendmail; NULL ends a table */
	const char *value; /* as --help shows it: "STATE"; NULL for a flag */
	const char *words; /* what it may be: words, a blank between; WORDS_…; NULL: anything */
	const char *help;  /* what it is for, and what holds without it; wrapped by --help */
	enum option_kind kind;
	size_t at; /* in the struct that the command reads them into */
};

/* Where the member stands; what is of another type does not compile. */
#define OPTION_BOOL_AT(type, member)                                                               \
	_Generic(&((type *)NULL)->member, bool * : offsetof(type, member))
#define OPTION_TEXT_AT(type, member)                                                               \
	_Generic(&((type *)NULL)->member, const char ** : offsetof(type, member))
#define OPTION_VALUES_AT(type, member)                                                             \
	_Generic(&((type *)NULL)->member, struct option_values * : offsetof(type, member))

#define OPTION_FLAG(name_, type, member, help_)                                                    \
	{                                                                                          \
		.name = (name_), .help = (help_), .kind = OPTION_IS_FLAG,                          \
		.at = OPTION_BOOL_AT(type, member)                                                 \
	}
#define OPTION_VALUE(name_, value_, words_, type, member, help_)                                   \
	{                                                                                          \
		.name = (name_), .value = (value_), .words = (words_), .help = (help_),            \
		.kind = OPTION_IS_VALUE, .at = OPTION_TEXT_AT(type, member)                        \
	}
#define OPTION_LIST(name_, value_, words_, type, member, help_)                                    \
	{                                                                                          \
		.name = (name_), .value = (value_), .words = (words_), .help = (help_),            \
		.kind = OPTION_IS_LIST, .at = OPTION_VALUES_AT(type, member)                       \
	}
/* Of a program whose options we take: what is read where is its own affair. */
#define OPTION_FOREIGN(name_, value_, help_)                                                       \
	{                                                                                          \
		.name = (name_), .value = (value_), .help = (help_)                                \
	}
#define OPTION_END                                                                                 \
	{                                                                                          \
		.name = NULL                                                                       \
	}

struct tool;

/* Those that every command takes; they go into struct tool. */
extern const struct command_option common_options[];

/*
 * Read argv (without the command's words): the options of tool->command into
 * `given` (NULL when it has none), and the common ones, anywhere. What is left
 * (operands) is moved to the front of argv, *count_out of them. Returns
 * TOOL_OK; TOOL_HELPED when --help was asked for and printed; TOOL_USAGE with
 * a complaint printed. The last two are for the command to return.
 */
int option_read(struct tool *tool, void *given, int argc, char **argv, int *count_out);
/* The same for a command without operands: TOOL_USAGE when there is one. */
int option_read_only(struct tool *tool, void *given, int argc, char **argv);
/* The common ones in front of the command's words. */
int option_read_leading(struct tool *tool, int argc, char **argv, int *used_out);

#endif
