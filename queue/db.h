/* queue/db.h - one SQLite connection and its prepared statements; private to queue/ */
#ifndef STAGEPOST_QUEUE_DB_H
#define STAGEPOST_QUEUE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/span.h"
#include "base/ulid.h"

/* Far more than queue/ has texts: a writer meets nearly all of them in a long life. */
#define DB_STATEMENT_SLOTS 1024

/*
 * A connection of one thread. Statements are prepared once each and found
 * again by the address of their text, so the text must be a constant.
 */
struct db {
	sqlite3 *handle;
	struct {
		const char *sql;
		sqlite3_stmt *statement;
	} slots[DB_STATEMENT_SLOTS];
	/* Called by db_error when the file itself is broken or can't be read; NULL: nobody. */
	void (*on_broken)(void *ctx, const struct err *why);
	void *ctx;
};

/*
 * `name` is a path or a file: URI; `flags` are SQLITE_OPEN_*. The connection
 * never checkpoints when it is closed, is defensive, does not trust the
 * schema and uses no memory mapping.
 */
int db_open(struct db *db_out, const char *name, int flags, struct err *why);
void db_close(struct db *db);

/*
 * The error of a failed call, as a code and a sentence. ERR_FATAL means that
 * this file can't be trusted any more: input and output errors, corruption.
 * ERR_FULL: the disk is full or the quota is used up, and nothing else is wrong.
 */
int db_error(struct db *db, int sqlite_code, struct err *why);

/* Several statements without values; for set-up. */
int db_exec(struct db *db, const char *sql, struct err *why);
/* The one number that `sql` (a PRAGMA) answers. */
int db_get_int(struct db *db, const char *sql, int64_t *value_out, struct err *why);

/* Does `sql` (a PRAGMA) answer this word? */
int db_answers(struct db *db, const char *sql, const char *word, bool *same_out, struct err *why);
/* file:path?key=value, escaped; `key` NULL: without. */
const char *db_uri(struct arena *arena, const char *path, const char *key, const char *value);

/*
 * One use of a statement: begin, give the values in the order of ?1, ?2, …,
 * then run, or rows until there is none. Values given are borrowed until the
 * end. A use ends by itself after run, after the last row and after an error;
 * one that stops earlier is ended with query_end.
 */
struct query {
	struct db *db;
	sqlite3_stmt *statement;
	int bound;
	int column;
};

int query_begin(struct query *query, struct db *db, const char *sql, struct err *why);
void query_give_int(struct query *query, int64_t value);
/* NULL stores NULL. */
void query_give_text(struct query *query, const char *text);
void query_give_bytes(struct query *query, const void *bytes, size_t len);
void query_give_null(struct query *query);
static inline void query_give_ulid(struct query *query, const struct ulid *id)
{
	query_give_bytes(query, id->bytes, sizeof(id->bytes));
}

int query_run(struct query *query, struct err *why);
int query_row(struct query *query, bool *row_out, struct err *why);
/* The first number of the only row, `missing` where there is none; the query has ended. */
int query_only_int(struct query *query, int64_t missing, int64_t *value_out, struct err *why);
void query_end(struct query *query);

/* The columns of the present row, from the left, each once. */
int64_t query_take_int(struct query *query);
bool query_take_bool(struct query *query);
/* Valid until the next call for this statement. NULL for NULL. */
const char *query_take_text(struct query *query);
struct span query_take_bytes(struct query *query);
struct ulid query_take_ulid(struct query *query);
/* A copy in the arena; NULL for NULL. */
const char *query_take_copy(struct query *query, struct arena *arena);

#endif
