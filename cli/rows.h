/* cli/rows.h - rows in an order of their own: what `fault` and `rule` share */
#ifndef STAGEPOST_CLI_ROWS_H
#define STAGEPOST_CLI_ROWS_H

#include <jansson.h>

#include "cli/tool.h"

/* What they are called, and where the API has them. */
struct rows {
	const char *noun; /* "fault rule" */
	const char *path; /* "/api/v1/faults" */
	const char *none; /* said when there is none */
};

/* Each returns a TOOL_… code; what was wrong has been said. */

/* `command list`: `print` shows them as text. */
int rows_list(struct tool *tool, const struct rows *rows, int argc, char **argv,
	      void (*print)(const json_t *items));
/* The id behind a name; a name of digits only is an id. */
int rows_find(struct tool *tool, const struct rows *rows, const char *name, long long *id_out);
/* `command remove NAME|ID`. */
int rows_remove(struct tool *tool, const struct rows *rows, int argc, char **argv);

/* A member of the row to be sent; a value of NULL is left out. */
int rows_set_text(json_t *row, const char *name, const char *value);
/* What numbers are possible is the daemon's to say. */
int rows_set_number(json_t *row, const char *name, const char *option, const char *value);

/* Two parts of one cell, a blank between them. */
void rows_add_words(char *text, size_t size, const char *words);
/* "config" where it stands in the configuration. */
void rows_format_id(const json_t *row, char *text, size_t size);

#endif
