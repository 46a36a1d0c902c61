/* queue/ordered.h - rows that people keep in an order of their own: fault rules, rules */
#ifndef STAGEPOST_QUEUE_ORDERED_H
#define STAGEPOST_QUEUE_ORDERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct arena;
struct db;
struct query;
struct store;
struct store_reader;

enum ordered_operation { ORDERED_ADD = 1, ORDERED_REPLACE = 2, ORDERED_REMOVE = 3 };

/*
 * One change. ERR_CONFLICT: another row has the name; ERR_NOT_FOUND: no such
 * id, or none to stand before; ERR_STALE: expect_revision does not hold;
 * ERR_LIMIT: there are as many as there may be.
 */
struct ordered_change {
	enum ordered_operation operation;
	const void *row; /* for give(); private */
	int64_t id;	 /* REPLACE, REMOVE; out of ADD */
	const char *name;
	bool moves; /* REPLACE: to another place; ADD always finds one */
	int64_t before_id;
	int64_t expect_revision; /* 0: any */
	const char *actor;
	int64_t now;
	/* out */
	int64_t revision;
	int64_t existing_id; /* on ERR_CONFLICT */
};

/* --- private to queue/ --- */

/*
 * A table with the columns id, position, name (unique), created_at,
 * created_by and revision, its last revision in meta, and columns of its own.
 */
struct ordered_kind {
	const char *noun;  /* "fault rule" */
	const char *audit; /* "fault": the trail says fault.add, fault.replace, fault.remove; so
			    * their news are called (queue/news.h) */
	size_t rows_max;
	/* Its own columns from ?1 on, as give() gives them; then revision, position, created_at,
	 * created_by. */
	const char *sql_add;
	const char *sql_replace; /* the same; then revision, id */
	const char *sql_json;	 /* the row of id ?1 for the trail */
	/* What has to be made for it lives in `arena` until the statement has run. */
	void (*give)(struct query *query, const void *row, struct arena *arena);
	const char *sql_all; /* all of them in order, at most ?1 */
	size_t row_size;
	void (*take)(struct query *query, struct arena *arena, void *row); /* zeroed */
	/* made by ORDERED_SQL */
	const char *sql_find, *sql_same, *sql_count, *sql_position, *sql_last, *sql_shift, *sql_put,
		*sql_remove, *sql_revision, *sql_set_revision;
};

#define ORDERED_SQL(table, counter)                                                                \
	.sql_find = "SELECT name, revision FROM " table " WHERE id = ?1",                          \
	.sql_same = "SELECT id FROM " table " WHERE name = ?1 AND id <> ?2",                       \
	.sql_count = "SELECT count(*) FROM " table " WHERE id > ?1",                               \
	.sql_position = "SELECT position FROM " table " WHERE id = ?1",                            \
	.sql_last = "SELECT coalesce(max(position), 0) + ?1 FROM " table,                          \
	.sql_shift = "UPDATE " table " SET position = position + 1 WHERE position >= ?1",          \
	.sql_put = "UPDATE " table " SET position = ?2 WHERE id = ?1",                             \
	.sql_remove = "DELETE FROM " table " WHERE id = ?1",                                       \
	.sql_revision = "SELECT value + ?1 FROM meta WHERE name = '" counter "'",                  \
	.sql_set_revision = "UPDATE meta SET value = ?1 WHERE name = '" counter "'"

/* All of them in order, in `arena`. */
int ordered_read(struct db *db, const struct ordered_kind *kind, struct arena *arena,
		 const void **rows_out, size_t *count_out, struct err *why);
/* The same in one reading transaction. */
int ordered_list(struct store_reader *reader, const struct ordered_kind *kind, struct arena *arena,
		 const void **rows_out, size_t *count_out, struct err *why);

/* One change with its audit row, or nothing. In the writer. */
int ordered_apply(struct store *store, const struct ordered_kind *kind,
		  struct ordered_change *change, struct err *why);

#endif
