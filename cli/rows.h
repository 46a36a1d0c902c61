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
	const struct table_column *columns;
	size_t column_count;
	void (*add)(struct table *table, const json_t *row);
};

/* As rows_set_text takes them. */
struct rows_text {
	const char *name;
	const char *value;
};

#define ROWS_NEW (-1LL) /* in the place of an id */

/* Each returns a TOOL_… code; what was wrong has been said. */

/* `command list`. */
int rows_list(struct tool *tool, const struct rows *rows, int argc, char **argv);
/*
 * Send a new row (ROWS_NEW), or what changes of the one with this id, and say
 * so. What the daemon made of it is the caller's.
 */
int rows_send(struct tool *tool, const struct rows *rows, long long id, const json_t *row,
	      json_t **stored_out);
/* The id behind a name; a name of digits only is an id. */
int rows_find(struct tool *tool, const struct rows *rows, const char *name, long long *id_out);
/* Its place: in front of the row with this name or id; NULL: it is left out. */
int rows_set_before(struct tool *tool, const struct rows *rows, json_t *row, const char *name);
/* `command remove NAME|ID`. */
int rows_remove(struct tool *tool, const struct rows *rows, int argc, char **argv);

/* A member of the row to be sent; a value of NULL is left out. */
int rows_set_text(json_t *row, const char *name, const char *value);
int rows_set_texts(json_t *row, const struct rows_text *texts, size_t count);
/* What numbers are possible is the daemon's to say. */
/* Octets: 512, 64K, 10M. */
int rows_set_size(json_t *row, const char *name, const char *option, const char *value);
int rows_set_number(json_t *row, const char *name, const char *option, const char *value);

/* The member that a time or an age belongs to: expires_at or expires_in. */
const char *rows_expiry_member(const char *text);

/* Two parts of one cell, a blank between them. */
void rows_add_words(char *text, size_t size, const char *words);
/* "config" where it stands in the configuration. */
void rows_format_id(const json_t *row, char *text, size_t size);

#endif
