/* queue/store.c - the durable queue: open and close */
#include "queue/store.h"

#include <stdio.h>

#include "base/clock.h"
#include "queue/calls.h"
#include "queue/copying.h"
#include "queue/finished.h"
#include "queue/folder.h"
#include "queue/indexer.h"
#include "queue/intake.h"
#include "queue/lane.h"
#include "queue/look.h"
#include "queue/migrate.h"
#include "queue/pauses.h"
#include "queue/proof.h"
#include "queue/room.h"
#include "queue/screen_inside.h"
#include "queue/seen_set.h"
#include "queue/settle.h"
#include "queue/sweep.h"
#include "queue/tell.h"
#include "queue/upkeep.h"
#include "queue/writer.h"
#include "schema/schema.h"

/* The mode of the lock file (0600) is taken over by the database and its companions. */
static int open_database(struct store *store, int64_t *version_out, struct err *why)
{
	struct arena *arena = arena_new();
	char *path = folder_path(store->data_dir, FOLDER_DATABASE);
	char *lock = folder_path(store->data_dir, FOLDER_LOCK);
	const char *uri = db_uri(arena, path, "modeof", lock);
	int code = db_open(&store->db, uri, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, why);

	if (code == ERR_OK)
		code = migrate_check(&store->db, version_out, why);
	if (code != ERR_OK)
		err_prefix(why, code, "%s", path);
	mem_free(path);
	mem_free(lock);
	arena_free(&arena);
	return code;
}

/* What makes a commit durable is asked for and then asked about (DESIGN P2). */
static int check_durable(struct db *db, struct err *why)
{
	int64_t synchronous = 0;
	bool is_wal = false;
	int code = db_get_int(db, "PRAGMA synchronous", &synchronous, why);

	if (code == ERR_OK)
		code = db_answers(db, "PRAGMA journal_mode", "wal", &is_wal, why);
	if (code != ERR_OK)
		return code;
	if (synchronous != 2 || !is_wal)
		return err_set(
			why, ERR_UNSUPPORTED,
			"SQLite does not keep what it was told (WAL, synchronous=FULL) here");
	return ERR_OK;
}

static int limit_size(struct store *store, struct err *why)
{
	char sql[64];

	if (store->options.max_file_bytes <= 0)
		return ERR_OK;
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%lld",
		 (long long)(store->options.max_file_bytes / STORE_PAGE_BYTES));
	return db_exec(&store->db, sql, why);
}

static int prepare_database(struct store *store, int64_t version, struct err *why)
{
	int code;

	sqlite3_busy_timeout(store->db.handle, 5000);
	code = db_exec(&store->db,
		       "PRAGMA synchronous=FULL; PRAGMA secure_delete=FAST;"
		       "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;"
		       "PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY",
		       why);
	if (code == ERR_OK)
		code = migrate_run(&store->db, version, why);
	if (code == ERR_OK)
		code = check_durable(&store->db, why);
	if (code == ERR_OK)
		code = limit_size(store, why);
	if (code == ERR_OK)
		code = folder_sync(store->data_dir, why);
	return code;
}

static const char sql_next_message[] =
	"SELECT max((SELECT value FROM meta WHERE name = 'next_message'),"
	" 1 + coalesce((SELECT max(id) FROM message), 0),"
	" 1 + coalesce((SELECT max(message) FROM staging), 0))";

static int restore_identity(struct store *store, struct err *why)
{
	struct identity identity;
	int code = identity_read(&store->db, &identity, why);

	if (code == ERR_OK)
		store->database = identity.database;
	return code;
}

static int restore_numbers(struct store *store, struct err *why)
{
	int64_t next = 0;
	int code = db_get_int(&store->db, sql_next_message, &next, why);

	if (code != ERR_OK)
		return code;
	if (next < 1 || next >= MESSAGE_NUMBER_MAX)
		return err_set(why, ERR_FATAL, "the message numbers are used up");
	atomic_store(&store->next_message, next);
	/* Greater than any lease of an earlier run. */
	store->next_lease = clock_wall_ms() << 20;
	return ERR_OK;
}

static int begin_again(struct store *store, struct err *why)
{
	int code = counters_rewrite(&store->counters, &store->db, why);

	if (code == ERR_OK)
		code = settle_give_back_all(store, why);
	if (code == ERR_OK)
		code = intake_restore(store, why);
	return code == ERR_OK ? screen_give_back_all(store, why) : code;
}

/* Memory from the file: what a run left behind, whole or killed. */
static int restore(struct store *store, struct err *why)
{
	int code = restore_numbers(store, why);

	if (code == ERR_OK)
		code = restore_identity(store, why);
	if (code == ERR_OK)
		code = counters_load(&store->counters, &store->db, why);
	if (code == ERR_OK)
		code = pauses_load(store->pauses, &store->db, why);
	if (code == ERR_OK)
		code = doomed_load(store, why);
	if (code == ERR_OK)
		code = sweep_restore(store, why);
	if (code == ERR_OK)
		code = calls_restore(store, why);
	if (code == ERR_OK)
		code = indexer_load(store, why);
	if (code == ERR_OK)
		code = writer_transaction(store, begin_again, why);
	return code;
}

static int open_all(struct store *store, struct err *why)
{
	int64_t version = 0;
	struct look look;
	int code = folder_prepare(store->data_dir, why);

	look_at_files(store->data_dir, &look);
	if (code == ERR_OK)
		code = folder_lock(store->data_dir, &store->lock_fd, why);
	if (code == ERR_OK)
		code = open_database(store, &version, why);
	if (code == ERR_OK)
		code = version > 0 ? look_at_pages(&store->db, &look, why) : ERR_OK;
	if (code == ERR_OK)
		code = prepare_database(store, version, why);
	/* Nothing is in the log, and nothing was put there by a step of the schema. */
	store->log_is_copied = !look.was_killed && version == schema_version();
	if (code == ERR_OK)
		code = folder_note_database(store->data_dir, store->lock_fd, why);
	if (code == ERR_OK)
		code = restore(store, why);
	if (code != ERR_OK)
		return code;
	copying_clean(store);
	room_look_now(store);
	return writer_start(store, why);
}

static void free_all(struct store *store)
{
	copying_free(&store->copying); /* it reads from the connection */
	if (store->db.handle != NULL)
		db_close(&store->db);
	if (store->lock_fd >= 0)
		folder_unlock(store->lock_fd);
	for (size_t i = 0; i < ROOM_FILES; i++)
		mem_free(store->paths[i]);
	doomed_free(&store->doomed);
	finished_free(&store->finished);
	sweep_free(&store->sweep);
	indexer_free(&store->indexer);
	seen_set_free(&store->seen);
	mem_free(store->lanes);
	telling_free(&store->telling);
	calls_free(&store->calls);
	pauses_free(&store->pauses);
	counters_release(&store->counters);
	channel_free(&store->channel);
	mem_free(store->data_dir);
	mem_free(store);
}

int store_open(const struct store_options *options, struct store **store_out, struct err *why)
{
	struct store *store = mem_zalloc(sizeof(*store));
	int code;

	store->options = *options;
	store->data_dir = mem_strdup(options->data_dir);
	store->options.data_dir = store->data_dir;
	store->lock_fd = -1;
	store->channel = channel_new();
	store->pauses = pauses_new();
	store->doomed = doomed_new();
	store->finished = finished_new();
	store->sweep = sweep_new(options->retention);
	store->options.retention = NULL;
	store->indexer = indexer_new();
	store->copying = copying_new(store->data_dir);
	store->calls = calls_new(options->webhooks);
	store->options.webhooks = NULL;
	store->seen = seen_set_new();
	store->lanes = mem_zalloc(sizeof(*store->lanes));
	store->telling = telling_new();
	counters_init(&store->counters);
	code = open_all(store, why);
	if (code != ERR_OK) {
		free_all(store);
		return code;
	}
	*store_out = store;
	return ERR_OK;
}

void store_close(struct store **store)
{
	if (*store == NULL)
		return;
	writer_stop(*store);
	upkeep_at_close(*store);
	free_all(*store);
	*store = NULL;
}

void store_stats(struct store *store, struct queue_stats *stats_out)
{
	counters_read(&store->counters, stats_out);
}
