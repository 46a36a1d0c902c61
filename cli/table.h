/* cli/table.h - rows and columns that fit a terminal: cut, never wrapped */
#ifndef STAGEPOST_CLI_TABLE_H
#define STAGEPOST_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct table_column {
	const char *title;
	bool is_right; /* numbers */
	/*
	 * The columns it may be cut down to, with a "…" at its end; 0: it is
	 * shown whole or not at all.
	 */
	size_t least;
	/* When cutting is not enough the column with the highest rank goes. 0: it stays. */
	int rank;
	/* The colour of a cell ("31": SGR parameters), or NULL; may be NULL. */
	const char *(*colour)(const char *cell);
};

struct table;

/* `columns` is borrowed for the table's life. */
struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table **table);
/* One cell a column; NULL is an empty one. Copied, and cleaned for a terminal (cli/text.h). */
void table_add(struct table *table, const char *const *cells);
size_t table_rows(const struct table *table);
/* Titles and rows. `width` in columns, 0: as wide as it gets. */
void table_print(const struct table *table, size_t width, bool colours, struct buf *out);

#endif
