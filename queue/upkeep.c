/* queue/upkeep.c - what the writer does between jobs: checkpoints, and the list of its chores */
#include "queue/upkeep.h"

#include <string.h>

#include "base/clock.h"
#include "queue/copying.h"
#include "queue/handin.h"
#include "queue/indexer.h"
#include "queue/intake.h"
#include "queue/room.h"
#include "queue/sweep.h"

#define CHECKPOINT_PAGES   4096 /* 16 MiB: DESIGN 4.2, measured best */
#define BULK_BYTES	   ((int64_t)512 << 10)
#define TRUNCATE_PAGES	   16384 /* 64 MiB */
#define SWEEP_CHUNKS	   4	 /* a megabyte a step keeps the next commit near */
#define VACUUM_LEAST_BYTES ((int64_t)4 << 20)
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

static bool has_doomed(struct store *store)
{
	return doomed_any(store);
}

static bool remove_doomed(struct store *store)
{
	return try_transaction(store, sweep_chunks);
}

static bool has_intake(struct store *store)
{
	return store->has_intake;
}

static bool is_copying(struct store *store)
{
	return copying_is_due(store);
}

static bool copy(struct store *store)
{
	copying_step(store);
	return true;
}

/* Not beside what makes room, or reads all pages. */
static bool has_room_to_give(struct store *store)
{
	return has_much_room(store) && !doomed_any(store) && !copying_is_due(store) &&
	       !sweep_is_due(store);
}

static bool forget_answers(struct store *store)
{
	return try_transaction(store, handin_forget);
}

static bool give_room_back(struct store *store)
{
	return try_transaction(store, vacuum);
}

static bool never(const struct store *store)
{
	(void)store;
	return false;
}

/*
 * All that the writer does beside jobs, in steps of some milliseconds. `rest`: while others
 * wait for the writer, so many times as long as its step took it waits for
 * the next one, unless it is urgent.
 */
static const struct chore {
	bool (*is_due)(struct store *store);
	bool (*step)(struct store *store); /* false: it failed */
	bool (*is_urgent)(const struct store *store);
	int rest;
} chores[UPKEEP_CHORES] = {
	{has_doomed, remove_doomed, never, 0},
	{has_intake, intake_step, never, 0},
	{is_copying, copy, never, 4},
	{sweep_is_due, sweep_step, sweep_is_urgent, 4},
	{handin_is_due, forget_answers, never, 20},
	{indexer_is_due, indexer_step, never, 20},
	{has_room_to_give, give_room_back, never, 4},
};

static bool do_chore(struct store *store, size_t number)
{
	const struct chore *chore = &chores[number];
	int64_t began_us = clock_mono_us();
	bool good = chore->step(store);
	int64_t now_us = clock_mono_us();

	store->rest_until_us[number] = now_us + chore->rest * (now_us - began_us);
	return good;
}

static void do_chores_meanwhile(struct store *store)
{
	bool any = false;

	for (size_t i = 0; i < UPKEEP_CHORES && !atomic_load(&store->failed); i++) {
		if ((clock_mono_us() < store->rest_until_us[i] && !chores[i].is_urgent(store)) ||
		    !chores[i].is_due(store))
			continue;
		any |= chores[i].rest > 0;
		(void)do_chore(store, i);
	}
	if (any)
		room_look_now(store);
}

void upkeep_after_batch(struct store *store, bool is_awaited)
{
	if (is_checkpoint_due(store, is_awaited))
		checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
	if (atomic_load(&store->failed))
		return;
	room_look(store);
	do_chores_meanwhile(store);
}

bool upkeep_is_due(struct store *store)
{
	copying_tidy(store);
	for (size_t i = 0; i < UPKEEP_CHORES; i++)
		if (chores[i].is_due(store))
			return true;
	return false;
}

/* Each that is due does a step. False: one failed. */
static bool do_chores(struct store *store, bool *more_out)
{
	bool good = true;

	*more_out = false;
	for (size_t i = 0; i < UPKEEP_CHORES && !atomic_load(&store->failed); i++) {
		if (!chores[i].is_due(store))
			continue;
		*more_out = true;
		good = do_chore(store, i) && good;
	}
	return good;
}

bool upkeep_when_idle(struct store *store)
{
	bool more = false;

	/* Chores write too, for as long as nobody else does. */
	if (store->wal_pages >= store->checkpoint_at)
		checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
	if (atomic_load(&store->failed))
		return false;
	if (!do_chores(store, &more))
		return false;
	room_look_now(store);
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
