/* queue/db.c - one SQLite connection and its prepared statements */
#include "queue/db.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"

static int configure(struct db *db, struct err *why)
{
	static const struct {
		int option;
		int value;
	} options[] = {
		{SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}, {SQLITE_DBCONFIG_DEFENSIVE, 1},
		{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},   {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
		{SQLITE_DBCONFIG_ENABLE_VIEW, 0},      {SQLITE_DBCONFIG_DQS_DML, 0},
		{SQLITE_DBCONFIG_DQS_DDL, 0},
	};

	sqlite3_extended_result_codes(db->handle, 1);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		int code = sqlite3_db_config(db->handle, options[i].option, options[i].value, NULL);

		if (code != SQLITE_OK)
			return db_error(db, code, why);
	}
	return db_exec(db, "PRAGMA mmap_size=0; PRAGMA cell_size_check=ON", why);
}

int db_open(struct db *db_out, const char *name, int flags, struct err *why)
{
	struct db db = {0};
	int code = sqlite3_open_v2(name, &db.handle,
				   flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
					   SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
				   NULL);

	if (code == SQLITE_OK)
		code = configure(&db, why);
	else
		code = db_error(&db, code, why);
	if (code != ERR_OK) {
		sqlite3_close_v2(db.handle);
		return code;
	}
	*db_out = db;
	return ERR_OK;
}

void db_close(struct db *db)
{
	int code;

	for (size_t i = 0; i < DB_STATEMENT_SLOTS; i++)
		sqlite3_finalize(db->slots[i].statement);
	code = sqlite3_close(db->handle);
	assert(code == SQLITE_OK); /* else a statement was not kept in its slot */
	memset(db, 0, sizeof(*db));
}

/* Why the system last refused something at one of SQLite's files; 0: never, or it is not open. */
static int last_errno(struct db *db, int which)
{
	sqlite3_file *file = NULL;
	int error = 0;

	if (sqlite3_file_control(db->handle, NULL, which, &file) != SQLITE_OK || file == NULL ||
	    file->pMethods == NULL ||
	    file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error) != SQLITE_OK)
		return 0;
	return error;
}

/*
 * SQLite knows a disk that is full (ENOSPC), not a quota that is used up
 * (EDQUOT): it gives back such a write as it does any other error, and errno
 * is often another one by then. The file keeps it. It keeps old ones too, so
 * any other error at the database or its log means that it is not the quota.
 */
static bool is_quota_used_up(struct db *db)
{
	int database = last_errno(db, SQLITE_FCNTL_FILE_POINTER);
	int log = last_errno(db, SQLITE_FCNTL_JOURNAL_POINTER);

	return (database == EDQUOT && (log == EDQUOT || log == 0)) ||
	       (database == 0 && log == EDQUOT);
}

/* A full disk also shows as a failure to grow the shared memory file. A sync that failed is another
 * matter: what it did not keep is gone, whatever the reason (S256). */
static bool is_disk_full(struct db *db, int sqlite_code)
{
	int system = sqlite3_system_errno(db->handle);

	switch (sqlite_code) {
	case SQLITE_FULL: return true;
	case SQLITE_IOERR_SHMSIZE: return system == ENOSPC || system == EDQUOT;
	case SQLITE_IOERR_WRITE: return is_quota_used_up(db);
	default: return false;
	}
}

static int code_of(struct db *db, int sqlite_code)
{
	if (is_disk_full(db, sqlite_code))
		return ERR_FULL;
	switch (sqlite_code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_INTERRUPT: return ERR_BUSY;
	case SQLITE_CONSTRAINT: return ERR_CONFLICT;
	case SQLITE_TOOBIG: return ERR_LIMIT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN: return ERR_DENIED;
	default: return ERR_FATAL;
	}
}

static bool is_damage(int sqlite_code)
{
	int primary = sqlite_code & 0xff;

	return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

/* It's the file. A process that is out of memory or descriptors says nothing about it. */
static bool is_broken(struct db *db, int sqlite_code)
{
	int system = sqlite3_system_errno(db->handle);

	if (is_damage(sqlite_code))
		return true;
	return (sqlite_code & 0xff) == SQLITE_IOERR && sqlite_code != SQLITE_IOERR_NOMEM &&
	       !is_disk_full(db, sqlite_code) && system != ENOMEM && system != EMFILE &&
	       system != ENFILE;
}

int db_error(struct db *db, int sqlite_code, struct err *why)
{
	const char *detail = db->handle != NULL ? sqlite3_errmsg(db->handle)
						: sqlite3_errstr(sqlite_code);
	int code = code_of(db, sqlite_code);
	struct err local;

	err_set(&local, code, "database: %s (%d)%s", detail, sqlite_code,
		is_damage(sqlite_code) ? "; see RECOVERY in stagepostd(8)" : "");
	if (db->on_broken != NULL && is_broken(db, sqlite_code))
		db->on_broken(db->ctx, &local);
	return err_set(why, code, "%s", local.text);
}

int db_exec(struct db *db, const char *sql, struct err *why)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? ERR_OK : db_error(db, code, why);
}

/* The one row that `sql` answers; the caller finalizes *statement_out in any case. */
static int ask(struct db *db, const char *sql, sqlite3_stmt **statement_out, struct err *why)
{
	int code = sqlite3_prepare_v2(db->handle, sql, -1, statement_out, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(*statement_out);
	return code == SQLITE_ROW ? ERR_OK : db_error(db, code, why);
}

int db_get_int(struct db *db, const char *sql, int64_t *value_out, struct err *why)
{
	sqlite3_stmt *statement = NULL;
	int code = ask(db, sql, &statement, why);

	if (code == ERR_OK)
		*value_out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code;
}

int db_answers(struct db *db, const char *sql, const char *word, bool *same_out, struct err *why)
{
	sqlite3_stmt *statement = NULL;
	int code = ask(db, sql, &statement, why);

	if (code == ERR_OK)
		*same_out = span_is(span_of((const char *)sqlite3_column_text(statement, 0)), word);
	sqlite3_finalize(statement);
	return code;
}

static void append_escaped(struct buf *buf, const char *text)
{
	for (; *text != '\0'; text++) {
		if (ascii_is_alnum(*text) || strchr("/._-", *text) != NULL)
			buf_append_char(buf, *text);
		else
			buf_printf(buf, "%%%02x", (unsigned char)*text);
	}
}

const char *db_uri(struct arena *arena, const char *path, const char *key, const char *value)
{
	struct buf buf;
	const char *uri;

	buf_init(&buf, 64 + 3 * (strlen(path) + (key != NULL ? strlen(key) + strlen(value) : 0)));
	buf_append_text(&buf, path[0] == '/' ? "file://" : "file:");
	append_escaped(&buf, path);
	if (key != NULL) {
		buf_printf(&buf, "?%s=", key);
		append_escaped(&buf, value);
	}
	uri = arena_span_dup(arena, buf_span(&buf));
	buf_release(&buf);
	return uri;
}

/* The statement kept for this text, prepared when it is asked for the first time. */
static int find_statement(struct db *db, const char *sql, sqlite3_stmt **statement_out,
			  struct err *why)
{
	size_t slot = ((uintptr_t)sql >> 3) % DB_STATEMENT_SLOTS;
	size_t looked = 0;
	int code;

	while (db->slots[slot].sql != NULL && db->slots[slot].sql != sql) {
		slot = (slot + 1) % DB_STATEMENT_SLOTS;
		looked++;
		assert(looked < DB_STATEMENT_SLOTS);
	}
	if (db->slots[slot].statement == NULL) {
		code = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
					  &db->slots[slot].statement, NULL);
		if (code != SQLITE_OK)
			return db_error(db, code, why);
		db->slots[slot].sql = sql;
	}
	*statement_out = db->slots[slot].statement;
	return ERR_OK;
}

int query_begin(struct query *query, struct db *db, const char *sql, struct err *why)
{
	*query = (struct query){.db = db};
	return find_statement(db, sql, &query->statement, why);
}

/* Binding fails only for a number out of range or for a value over a gigabyte: our own mistakes. */
static void bound(int sqlite_code)
{
	assert(sqlite_code == SQLITE_OK);
}

void query_give_int(struct query *query, int64_t value)
{
	bound(sqlite3_bind_int64(query->statement, ++query->bound, value));
}

void query_give_text(struct query *query, const char *text)
{
	bound(sqlite3_bind_text(query->statement, ++query->bound, text, -1, SQLITE_STATIC));
}

void query_give_bytes(struct query *query, const void *bytes, size_t len)
{
	bound(sqlite3_bind_blob64(query->statement, ++query->bound, bytes, len, SQLITE_STATIC));
}

void query_give_null(struct query *query)
{
	query->bound++;
}

void query_end(struct query *query)
{
	sqlite3_reset(query->statement);
	sqlite3_clear_bindings(query->statement);
}

int query_row(struct query *query, bool *row_out, struct err *why)
{
	int code = sqlite3_step(query->statement);

	query->column = 0;
	if (code == SQLITE_ROW) {
		*row_out = true;
		return ERR_OK;
	}
	if (code != SQLITE_DONE)
		code = db_error(query->db, code, why);
	else
		code = ERR_OK;
	query_end(query);
	if (code == ERR_OK)
		*row_out = false;
	return code;
}

int query_only_int(struct query *query, int64_t missing, int64_t *value_out, struct err *why)
{
	bool row;
	int code = query_row(query, &row, why);

	if (code != ERR_OK)
		return code;
	*value_out = row ? query_take_int(query) : missing;
	if (row)
		query_end(query);
	return ERR_OK;
}

int query_run(struct query *query, struct err *why)
{
	bool row = true;
	int code = ERR_OK;

	while (code == ERR_OK && row)
		code = query_row(query, &row, why);
	return code;
}

int64_t query_take_int(struct query *query)
{
	return sqlite3_column_int64(query->statement, query->column++);
}

bool query_take_bool(struct query *query)
{
	return query_take_int(query) != 0;
}

const char *query_take_text(struct query *query)
{
	return (const char *)sqlite3_column_text(query->statement, query->column++);
}

struct span query_take_bytes(struct query *query)
{
	const char *data = sqlite3_column_blob(query->statement, query->column);
	int len = sqlite3_column_bytes(query->statement, query->column++);

	return span_make(data, (size_t)len);
}

struct ulid query_take_ulid(struct query *query)
{
	struct ulid id = {{0}};
	struct span bytes = query_take_bytes(query);

	if (bytes.len == sizeof(id.bytes))
		memcpy(id.bytes, bytes.data, sizeof(id.bytes));
	return id;
}

const char *query_take_copy(struct query *query, struct arena *arena)
{
	int column = query->column++;
	const char *text = (const char *)sqlite3_column_text(query->statement, column);

	if (text == NULL)
		return NULL;
	return arena_span_dup(
		arena, span_make(text, (size_t)sqlite3_column_bytes(query->statement, column)));
}
