/* queue/reader.c - read-only connections: beside the daemon, or without one */
#include "queue/reader.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/connection.h"
#include "queue/folder.h"
#include "queue/migrate.h"
#include "queue/writer.h"
#include "schema/schema.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     10000

struct store_reader {
	struct db db;
};

struct db *reader_db(struct store_reader *reader)
{
	return &reader->db;
}

int64_t reader_limit(size_t limit)
{
	if (limit == 0)
		return LIMIT_DEFAULT;
	return limit < LIMIT_MAX ? (int64_t)limit : LIMIT_MAX;
}

static const char sql_begin[] = "BEGIN";
static const char sql_end[] = "COMMIT";

int reader_begin(struct store_reader *reader, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &reader->db, sql_begin, why);

	return code == ERR_OK ? query_run(&query, why) : code;
}

void reader_end(struct store_reader *reader)
{
	struct query query;

	if (sqlite3_get_autocommit(reader->db.handle) == 0 &&
	    query_begin(&query, &reader->db, sql_end, NULL) == ERR_OK)
		query_run(&query, NULL);
}

/* A query after opening: only then does SQLite look at the file, its log and its shared memory. */
static int prepare(struct db *db, struct err *why)
{
	int64_t version = 0;
	int code;

	sqlite3_busy_timeout(db->handle, 1000);
	code = db_exec(db, "PRAGMA query_only=ON; PRAGMA cache_size=-2048", why);
	if (code == ERR_OK)
		code = migrate_check(db, &version, why);
	if (code == ERR_OK && version != schema_version())
		code = err_set(why, ERR_UNSUPPORTED,
			       "the database has schema version %lld, this program needs %d: "
			       "the daemon updates it when it starts",
			       (long long)version, schema_version());
	return code;
}

/* What a reader meets concerns the writer too: the daemon must not go on beside it (DESIGN 4.2). */
static void on_broken(void *ctx, const struct err *why)
{
	writer_fail(ctx, why);
}

/* `store` NULL: without a daemon. */
static int open_name(const char *name, struct store *store, struct store_reader **reader_out,
		     struct err *why)
{
	struct store_reader *reader = mem_zalloc(sizeof(*reader));
	int code = db_open(&reader->db, name, SQLITE_OPEN_READONLY, why);

	if (code == ERR_OK) {
		if (store != NULL) {
			reader->db.on_broken = on_broken;
			reader->db.ctx = store;
		}
		code = prepare(&reader->db, why);
		if (code != ERR_OK)
			db_close(&reader->db);
	}
	if (code != ERR_OK) {
		mem_free(reader);
		return code;
	}
	*reader_out = reader;
	return ERR_OK;
}

int store_reader_open(struct store *store, struct store_reader **reader_out, struct err *why)
{
	struct arena *arena = arena_new();
	char *path = folder_path(store->data_dir, FOLDER_DATABASE);
	int code = open_name(db_uri(arena, path, NULL, NULL), store, reader_out, why);

	mem_free(path);
	arena_free(&arena);
	return code;
}

/* Committed mail may be in the log only: then the file alone does not tell the truth. */
static bool has_log(const char *data_dir)
{
	char *path = folder_path(data_dir, FOLDER_DATABASE "-wal");
	struct stat st;
	bool has = stat(path, &st) == 0 ? st.st_size > 0 : errno != ENOENT;

	mem_free(path);
	return has;
}

/*
 * The file by itself. Makes no file beside it and heeds no lock, so it is
 * right only while nobody writes, and with an empty log.
 */
static int open_alone(const char *path, struct arena *arena, struct store_reader **reader_out,
		      struct err *why)
{
	return open_name(db_uri(arena, path, "immutable", "1"), NULL, reader_out, why);
}

static int open_offline(const char *data_dir, const char *path, struct arena *arena,
			struct store_reader **reader_out, struct err *why)
{
	struct stat st;
	int code;

	if (stat(path, &st) != 0)
		return err_set(why, errno == EACCES ? ERR_DENIED : ERR_NOT_FOUND,
			       "there is no database at %s that can be read", path);
	code = open_name(db_uri(arena, path, NULL, NULL), NULL, reader_out, why);
	if (code == ERR_OK || code == ERR_UNSUPPORTED)
		return code;
	/* Who may not write here can't make the shared memory that reading needs. */
	if (folder_is_locked(data_dir) || has_log(data_dir))
		return code;
	return open_alone(path, arena, reader_out, why);
}

int store_reader_open_offline(const char *data_dir, struct store_reader **reader_out,
			      struct err *why)
{
	struct arena *arena = arena_new();
	char *path = folder_path(data_dir, FOLDER_DATABASE);
	int code = open_offline(data_dir, path, arena, reader_out, why);

	mem_free(path);
	arena_free(&arena);
	return code;
}

int reader_open_untouched(const char *data_dir, struct store_reader **reader_out, struct err *why)
{
	struct arena *arena;
	char *path;
	int code;

	if (folder_is_locked(data_dir) || has_log(data_dir))
		return store_reader_open_offline(data_dir, reader_out, why);
	path = folder_path(data_dir, FOLDER_DATABASE);
	if (access(path, R_OK) != 0) {
		code = err_set(why, errno == EACCES ? ERR_DENIED : ERR_NOT_FOUND,
			       "there is no database at %s that can be read", path);
	} else {
		arena = arena_new();
		code = open_alone(path, arena, reader_out, why);
		arena_free(&arena);
	}
	mem_free(path);
	return code;
}

int reader_open_file(const char *path, struct store_reader **reader_out, struct err *why)
{
	struct arena *arena = arena_new();
	int code = open_alone(path, arena, reader_out, why);

	arena_free(&arena);
	return code;
}

void store_reader_close(struct store_reader **reader)
{
	if (*reader == NULL)
		return;
	db_close(&(*reader)->db);
	mem_free(*reader);
	*reader = NULL;
}

int queue_stats_offline(struct store_reader *reader, struct queue_stats *stats_out, struct err *why)
{
	int code = reader_begin(reader, why);

	if (code == ERR_OK)
		code = counters_stored(&reader->db, stats_out, why);
	reader_end(reader);
	return code;
}
