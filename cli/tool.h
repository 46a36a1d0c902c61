/* cli/tool.h - what every command of the tool has: settings, output, and how it ends */
#ifndef STAGEPOST_CLI_TOOL_H
#define STAGEPOST_CLI_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

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
struct tool;

struct command {
	const char *name;      /* "queue list" */
	const char *arguments; /* "ID..." */
	const char *summary;   /* one line */
	const char *help;      /* the rest of --help: options and examples */
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
	const char *data_dir;
	const char *url; /* NULL: data_dir/admin.sock */
	const char *token_file;
	enum tool_format format;
	struct client *client; /* made at first use */
};

/* --- options ----------------------------------------------------------------- */

struct tool_option {
	const char *name; /* "--state" */
	/* One of them: the value, or that it was given; NULL ends the table. */
	const char **text;
	bool *flag;
};

/*
 * Read argv (without the command's words): `options` of the command (NULL:
 * none) and the global ones, anywhere. What is left (operands) is moved to the
 * front of argv, *count_out of them. Returns TOOL_OK; TOOL_HELPED when --help
 * was asked for and printed; TOOL_USAGE with a complaint printed. The last two
 * are for the command to return.
 */
int tool_options(struct tool *tool, const struct tool_option *options, int argc, char **argv,
		 int *count_out);
/*
 * Take what may be given several times ("--header X", "--header=X") out of
 * argv, in front of tool_options: at most `max` values. TOOL_OK, or TOOL_USAGE
 * with a complaint printed.
 */
int tool_repeated(const struct tool *tool, const char *name, int *argc, char **argv,
		  const char **values_out, size_t max, size_t *count_out);
/* tool_options for a command without operands: TOOL_USAGE when there is one. */
int tool_only_options(struct tool *tool, const struct tool_option *options, int argc, char **argv);
/* The same, up to the first operand. */
int tool_leading_options(struct tool *tool, int argc, char **argv, int *used_out);
void tool_help(const struct command *command);

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
void tool_print_table(const struct table *table);
/* Cleaned text behind a label: "From      alice@example.com". NULL or "" prints nothing. */
void tool_print_field(const char *label, const char *text);
/* Cleaned text and a line end. */
void tool_print_clean(const char *text);
/* The `queue` part of the status. */
void tool_print_queue(const json_t *queue);
bool tool_has_colours(void);
/* Columns of the terminal; 0: it is none, and nothing is cut. */
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
