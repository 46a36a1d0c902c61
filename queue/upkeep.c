/* queue/upkeep.c - what the writer does between jobs: checkpoints and sweeping */
#include "queue/upkeep.h"

#include <string.h>

#include "base/clock.h"
#include "queue/copying.h"
#include "queue/intake.h"
#include "queue/room.h"
#include "queue/sweep.h"

#define CHECKPOINT_PAGES   4096 /* 16 MiB: DESIGN 4.2, measured best */
#define BULK_BYTES	   ((int64_t)512 << 10)
#define TRUNCATE_PAGES	   16384 /* 64 MiB */
#define SWEEP_CHUNKS	   4	 /* a megabyte a step keeps the next commit near */
#define VACUUM_LEAST_BYTES ((int64_t)4 << 20)
#define LEISURE_FACTOR	   4
#define BUSY_TIMEOUT_MS	   5000

/* Message numbers, a growing array: taken from the end. */
struct doomed {
	int64_t *messages;
	size_t count;
	size_t room;
};

struct doomed *doomed_new(void)
{
	return mem_zalloc(sizeof(struct doomed));
}

void doomed_free(struct doomed **doomed)
{
	if (*doomed == NULL)
		return;
	mem_free((*doomed)->messages);
	mem_free(*doomed);
	*doomed = NULL;
}

void doomed_add(struct store *store, int64_t message)
{
	struct doomed *doomed = store->doomed;

	if (doomed->count == doomed->room) {
		doomed->room = doomed->room > 0 ? doomed->room * 2 : 16;
		doomed->messages =
			mem_regrow(doomed->messages, doomed->room, sizeof(*doomed->messages));
	}
	doomed->messages[doomed->count++] = message;
}

bool doomed_any(const struct store *store)
{
	return store->doomed->count > 0;
}

static const char sql_staging[] = "SELECT message FROM staging";

int doomed_load(struct store *store, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_staging, why);

	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row)
		doomed_add(store, query_take_int(&query));
	return code;
}

/* --- sweeping ------------------------------------------------------------------- */

/*
 * Only what `staging` names is nobody's: a message may have been doomed in a
 * transaction that was then rolled back.
 */
static const char sql_remove_chunks[] =
	"DELETE FROM chunk WHERE id IN"
	" (SELECT id FROM chunk WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)"
	" AND EXISTS (SELECT 1 FROM staging WHERE message = ?4)";
static const char sql_unstage[] = "DELETE FROM staging WHERE message = ?1";

static int remove_chunks(struct store *store, int64_t message, bool *empty_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_remove_chunks, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(message, 0));
	query_give_int(&query, part_id(message + 1, 0));
	query_give_int(&query, SWEEP_CHUNKS);
	query_give_int(&query, message);
	code = query_run(&query, why);
	if (code == ERR_OK)
		*empty_out = sqlite3_changes64(store->db.handle) < SWEEP_CHUNKS;
	return code;
}

static int sweep_chunks(struct store *store, struct err *why)
{
	struct doomed *doomed = store->doomed;
	int64_t message = doomed->messages[doomed->count - 1];
	struct query query;
	bool empty;
	int code = remove_chunks(store, message, &empty, why);

	if (code != ERR_OK || !empty)
		return code;
	code = query_begin(&query, &store->db, sql_unstage, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, message);
	code = query_run(&query, why);
	/* Should the commit fail, the row stays and the next start finds it. */
	if (code == ERR_OK)
		doomed->count--;
	return code;
}

/*
 * Errors that are not fatal (disk full, somebody holds the lock) wait for the
 * next time, and what a power cut undoes is done again.
 */
static bool try_transaction(struct store *store, int (*run)(struct store *, struct err *))
{
	struct err why;
	int code = writer_transaction_unsynced(store, run, &why);

	if (code == ERR_FATAL)
		writer_fail(store, &why);
	return code == ERR_OK;
}

/* --- checkpoints ------------------------------------------------------------------ */

static int on_commit(void *ctx, sqlite3 *handle, const char *database, int pages)
{
	struct store *store = ctx;

	(void)handle;
	(void)database;
	/* The log began anew: whatever was agreed for the old one is over. */
	if (pages < store->wal_pages) {
		store->checkpoint_at = CHECKPOINT_PAGES;
		store->copied_pages = 0;
	}
	store->wal_pages = pages;
	return SQLITE_OK;
}

void upkeep_watch_log(struct store *store)
{
	store->checkpoint_at = CHECKPOINT_PAGES;
	sqlite3_wal_hook(store->db.handle, on_commit, store);
}

/* A reader may hold a part back; then it is tried again only after another 16 MiB. */
static void checkpoint(struct store *store, int mode)
{
	struct err why;
	int pages = -1;
	int copied = -1; /* stays so when it could not be begun */
	int64_t began_us = clock_mono_us();
	int code = sqlite3_wal_checkpoint_v2(store->db.handle, NULL, mode, &pages, &copied);

	/* Busy: a reader would not let go (SQLITE_CHECKPOINT_TRUNCATE). */
	measuring_checkpoint(&store->measuring, began_us, code != SQLITE_OK && code != SQLITE_BUSY,
			     code == SQLITE_BUSY || copied < pages);
	if (code == SQLITE_OK && copied >= 0)
		store->log_is_copied = pages == copied;
	if (copied >= 0)
		store->copied_pages = copied;
	store->checkpoint_at = store->wal_pages + CHECKPOINT_PAGES;
	store->bulk_bytes = 0;
	atomic_store(&store->space.log_waiting_bytes, room_log_waiting(store));
	if (code != SQLITE_OK && db_error(&store->db, code, &why) == ERR_FATAL)
		writer_fail(store, &why);
}

static void checkpoint_and_truncate(struct store *store)
{
	sqlite3_busy_timeout(store->db.handle, 100);
	checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
	store->wal_pages = 0;
	store->copied_pages = 0;
	store->checkpoint_at = CHECKPOINT_PAGES;
	sqlite3_busy_timeout(store->db.handle, BUSY_TIMEOUT_MS);
}

/*
 * Pages of small messages are written again and again, and a checkpoint in
 * 16 MiB copies them once. Chunks are written once, so nothing is gained by
 * waiting, and 16 MiB of them stop the writer for some 40 ms: half a megabyte at a
 * time, when nobody waits behind it.
 */
static bool is_checkpoint_due(const struct store *store, bool is_awaited)
{
	return store->wal_pages >= store->checkpoint_at ||
	       (!is_awaited && store->bulk_bytes >= BULK_BYTES);
}

/* --- giving room back --------------------------------------------------------------- */

static const char sql_vacuum[] = "PRAGMA incremental_vacuum(256)";

static int vacuum(struct store *store, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_vacuum, why);

	return code == ERR_OK ? query_run(&query, why) : code;
}

static bool has_much_room(const struct store *store)
{
	int64_t bytes = atomic_load(&store->space.database_bytes);
	int64_t unused = bytes - store->used_bytes;

	return unused >= VACUUM_LEAST_BYTES && unused > bytes / 5;
}

/* --- when there is time --------------------------------------------------------------- */

/*
 * A backup, what retention has to remove, and room to give back: in steps of
 * some milliseconds. *more_out: there was something to do. False: it failed.
 */
static bool tidy(struct store *store, bool *more_out)
{
	bool copies = copying_is_due(store);
	bool good = true;

	*more_out = true;
	if (copies)
		copying_step(store);
	if (sweep_is_due(store))
		good = sweep_step(store);
	else if (!copies && has_much_room(store))
		good = try_transaction(store, vacuum);
	else
		*more_out = copies;
	if (*more_out)
		room_look_now(store);
	return good;
}

/* While others wait for the writer it is a fifth of its time, unless room gets scarce. */
static void tidy_meanwhile(struct store *store)
{
	int64_t now_us = clock_mono_us();
	int64_t began_us = now_us;
	bool more;

	if (now_us < store->leisure_us && !sweep_is_urgent(store))
		return;
	(void)tidy(store, &more);
	now_us = clock_mono_us();
	store->leisure_us = now_us + LEISURE_FACTOR * (now_us - began_us);
}

void upkeep_after_batch(struct store *store, bool is_awaited)
{
	if (store->doomed->count > 0)
		try_transaction(store, sweep_chunks);
	if (store->has_intake)
		intake_step(store);
	if (is_checkpoint_due(store, is_awaited))
		checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
	if (atomic_load(&store->failed))
		return;
	room_look(store);
	tidy_meanwhile(store);
}

bool upkeep_is_due(struct store *store)
{
	copying_tidy(store);
	return sweep_is_due(store) || copying_is_due(store);
}

bool upkeep_when_idle(struct store *store)
{
	bool more = false;

	/* Sweeping and giving room back write too, for as long as nobody else does. */
	if (store->wal_pages >= store->checkpoint_at)
		checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
	if (atomic_load(&store->failed))
		return false;
	if (store->doomed->count > 0)
		return try_transaction(store, sweep_chunks);
	if (store->has_intake)
		return intake_step(store);
	room_look_now(store);
	if (!tidy(store, &more))
		return false;
	if (more)
		return true;
	if (store->wal_pages >= TRUNCATE_PAGES)
		checkpoint_and_truncate(store);
	else if (store->wal_pages > 0)
		checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
	return false;
}

void upkeep_at_close(struct store *store)
{
	if (atomic_load(&store->failed))
		return;
	sweep_at_close(store);
	checkpoint_and_truncate(store);
}
