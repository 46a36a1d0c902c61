/* cli/tool.h - what every command of the tool has: settings, output, and how it ends */
#ifndef STAGEPOST_CLI_TOOL_H
#define STAGEPOST_CLI_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/table.h"

/* How the tool ends (INTERFACE 3; sysexits.h where it has a name). */
enum {
	TOOL_HELPED = -1, /* a command showed its help instead; exit 0 */
	TOOL_OK = 0,
	TOOL_NO = 1,	       /* the answer is "no": not allowed, nothing matches, refused */
	TOOL_USAGE = 64,       /* EX_USAGE */
	TOOL_UNREACHABLE = 69, /* EX_UNAVAILABLE */
	TOOL_IO = 74,	       /* EX_IOERR: a file or the output */
	TOOL_DENIED = 77       /* EX_NOPERM */
};

struct client;
struct command_option;
struct tool;

#define TOOL_DATA_DIR	 "/var/lib/stagepost"
#define COMMAND_OPERANDS 2
#define COMMAND_EXAMPLES 2

/* One command: what runs it, and all that --help, the usage line and completion say of it. */
struct command {
	const char *name;     /* "queue list" */
	const char *operands; /* "ID...", "" */
	/* What the first operand may be, and those behind it, as the words of an option. */
	const char *operand_words[COMMAND_OPERANDS];
	const char *summary;			/* one sentence, without its full stop */
	const char *about;			/* in front of the options; NULL: nothing */
	const struct command_option *options;	/* cli/option.h; NULL: the common ones only */
	const char *notes;			/* behind the options; NULL: nothing */
	const char *examples[COMMAND_EXAMPLES]; /* whole lines for a shell */
	bool is_foreign; /* its options are another program's: the common ones are not taken */
	int (*run)(struct tool *tool, int argc, char **argv);
};

enum tool_format {
	TOOL_TEXT,
	TOOL_JSON, /* one document */
	TOOL_LINES /* --jsonl: one line a document; lists: a line an item */
};

/* Strings borrowed from the command line and the environment. */
struct tool {
	const struct command *command;
	const struct command *const *commands; /* all of them; ends with NULL */
	const char *data_dir;
	const char *url; /* NULL: data_dir/admin.sock */
	const char *token_file;
	const char *colour; /* "auto" (also NULL), "always", "never" */
	bool is_quiet;
	bool wants_json;
	bool wants_lines;
	enum tool_format format;
	struct client *client; /* made at first use */
	FILE *raw;	       /* while bytes of a message are printed (cli/raw.h) */
};

/* --- words ------------------------------------------------------------------- */

/* "stagepost: …" on standard error; returns `code`. */
int tool_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with a hint how to call it: TOOL_USAGE. */
int tool_misuse(const struct tool *tool, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* "stagepost: …" on standard error, for what is no failure. */
void tool_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- output ------------------------------------------------------------------ */

/* Print a document as --json or --jsonl asks. */
void tool_print_json(const struct tool *tool, const json_t *json);
/* A list: `items` as one array, or a line each. */
void tool_print_items(const struct tool *tool, const json_t *items);
/* To standard output, as wide as it is. */
void tool_print_table(const struct tool *tool, const struct table *table);
/* Cleaned text behind a label: "From      alice@example.com". NULL or "" prints nothing. */
void tool_print_field(const char *label, const char *text);
/* Cleaned text and a line end. */
void tool_print_clean(const char *text);
/* The `queue` part of the status. */
void tool_print_queue(const json_t *queue);
/* --color, else whether standard output is a terminal that wants them. */
bool tool_has_colours(const struct tool *tool);
/* Columns of the terminal ($COLUMNS, else what it says); 0: it is none, and nothing is cut. */
size_t tool_width(void);
/* The colour of a state's or verdict's name, for tables. */
const char *tool_state_colour(const char *name);

/* --- JSON members, for printing ---------------------------------------------- */

/* The string member, or "" for null, nothing and other kinds. */
const char *tool_text(const json_t *object, const char *name);
long long tool_number(const json_t *object, const char *name);
/* RFC 3339 to milliseconds since 1970; 0 when it is null. */
long long tool_time(const json_t *object, const char *name);
/* The time of `name` as an age ("5m"), or "" without one. */
void tool_age(const json_t *object, const char *name, char *text_out);
/* "paused by token:qa 5m ago: load test", of delivery or of a route; "" when it is not. */
#define TOOL_PAUSE_SIZE 420
void tool_pause_text(const json_t *paused, const char *reason_name, char text_out[TOOL_PAUSE_SIZE]);

#endif
