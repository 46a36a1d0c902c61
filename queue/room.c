/* queue/room.c - is there room, and is the file still the one we opened? */
#include <config.h>

#include "queue/room.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "queue/folder.h"
#include "queue/space.h"
#include "queue/sweep.h"

#define LOOK_EVERY_MS 500
/* More than is written in that time: nearer to the end it is asked for every job. */
#define PLENTY_BYTES ((int64_t)2 << 30)
/* How old what others are told may be while there is work. */
#define TELL_EVERY_MS 50
/* As Postfix has it: what a message needs for a while is more than its octets. */
#define NEEDED(size) ((size) + (size) / 2)

/* --- the disk --------------------------------------------------------------------------- */

int64_t room_log_waiting(const struct store *store)
{
	return (int64_t)(store->wal_pages - store->copied_pages) * STORE_PAGE_BYTES;
}

/* What stands in the log only needs room in the database as well, one day. */
static int64_t reserve_bytes(const struct store *store)
{
	return ROOM_RESERVE_BYTES + room_log_waiting(store);
}

/* Asking the file system takes a microsecond or two. If it can't be asked, SQLite's own errors
 * must do: -1. */
static int64_t ask_disk(const struct store *store)
{
	struct statvfs fs;

	if (statvfs(store->data_dir, &fs) != 0)
		return -1;
	return (int64_t)(fs.f_bavail * (uint64_t)fs.f_frsize);
}

int64_t room_of_disk(struct store *store)
{
	int64_t free_bytes = ask_disk(store);

	return free_bytes >= 0 ? free_bytes - reserve_bytes(store) : INT64_MAX;
}

static bool disk_has_room(struct store *store)
{
	int64_t now = clock_mono_ms();
	int64_t room;

	if (store->plenty_until_ms > now)
		return true;
	room = room_of_disk(store);
	if (room >= PLENTY_BYTES)
		store->plenty_until_ms = now + LOOK_EVERY_MS;
	return room >= 0;
}

/* --- what we are allowed ------------------------------------------------------------------ */

static const char sql_pages[] = "PRAGMA page_count";
static const char sql_unused[] = "PRAGMA freelist_count";

static int ask_pages(struct store *store, const char *sql, int64_t *pages_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	return code == ERR_OK ? query_only_int(&query, 0, pages_out, why) : code;
}

int room_ask_used(struct store *store, int64_t *used_out, struct err *why)
{
	int64_t pages = 0;
	int64_t unused = 0;
	int code = ask_pages(store, sql_pages, &pages, why);

	if (code == ERR_OK)
		code = ask_pages(store, sql_unused, &unused, why);
	if (code == ERR_OK)
		*used_out = (pages - unused) * STORE_PAGE_BYTES;
	return code;
}

/* store_options.max_file_bytes: SQLite itself ends there, so something is left for outcomes. */
static int64_t file_ceiling(const struct store *store)
{
	int64_t max = store->options.max_file_bytes;

	if (max <= 0)
		return INT64_MAX;
	return max - (max / 8 < ROOM_RESERVE_BYTES ? max / 8 : ROOM_RESERVE_BYTES);
}

static int refuse_bytes(int64_t max, struct err *why)
{
	return err_set(why, ERR_FULL, "the queue holds the %lld bytes of retention.max_bytes",
		       (long long)max);
}

static int check_bytes(struct store *store, struct err *why)
{
	int64_t max = sweep_max_bytes(store);
	int64_t ceiling = file_ceiling(store);
	int64_t used = 0;
	int code;

	if (max == 0 && ceiling == INT64_MAX)
		return ERR_OK;
	code = room_ask_used(store, &used, why);
	if (code != ERR_OK)
		return code;
	if (used > ceiling)
		return err_set(why, ERR_FULL, "the queue has reached its ceiling of %lld bytes",
			       (long long)store->options.max_file_bytes);
	return max > 0 && used > max ? refuse_bytes(max, why) : ERR_OK;
}

static int refuse_disk(const struct store *store, struct err *why)
{
	return err_set(why, ERR_FULL, "less than %lld MiB are free in %s",
		       (long long)(ROOM_RESERVE_BYTES >> 20), store->data_dir);
}

int room_check(struct store *store, struct err *why)
{
	return disk_has_room(store) ? check_bytes(store, why) : refuse_disk(store, why);
}

static int refuse_messages(int64_t max, struct err *why)
{
	return err_set(why, ERR_FULL,
		       "the queue holds the %lld messages of retention.max_messages, and none of "
		       "them is done with",
		       (long long)max);
}

static const char sql_finished[] = "SELECT 1 FROM finished LIMIT 1";

/* One that is done with makes room, if not at once. */
int room_check_messages(struct store *store, struct err *why)
{
	const struct counters *counters = &store->counters;
	int64_t max = sweep_max_messages(store);
	struct query query;
	int64_t any = 0;
	int code;

	if (max == 0 || counters->sums.messages + counters->change.messages < max)
		return ERR_OK;
	code = query_begin(&query, &store->db, sql_finished, why);
	if (code == ERR_OK)
		code = query_only_int(&query, 0, &any, why);
	if (code != ERR_OK)
		return code;
	return any != 0 ? ERR_OK : refuse_messages(max, why);
}

/* --- what others are told ------------------------------------------------------------------ */

static enum space_limit find_limit(struct store *store, int64_t disk_room)
{
	struct err ignored;

	if (disk_room < 0)
		return SPACE_DISK;
	if (check_bytes(store, &ignored) == ERR_FULL)
		return SPACE_BYTES;
	return room_check_messages(store, &ignored) == ERR_FULL ? SPACE_MESSAGES : SPACE_THERE;
}

/* How many more octets of mail fit, for the one who asks first. */
static int64_t find_room(const struct store *store, int64_t disk_room)
{
	int64_t max = sweep_max_bytes(store);

	if (max > 0 && max - store->used_bytes < disk_room)
		return max - store->used_bytes;
	return disk_room;
}

/* The size of a file; 0 when it is not there. */
static int64_t size_of(const char *path)
{
	struct stat st;

	return path != NULL && stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

void room_look_now(struct store *store)
{
	struct space_seen *seen = &store->space;
	int64_t disk_room = room_of_disk(store);
	int64_t pages = 0;
	struct err ignored;

	store->room_look_ms = clock_mono_ms() + TELL_EVERY_MS;
	if (ask_pages(store, sql_pages, &pages, &ignored) != ERR_OK ||
	    room_ask_used(store, &store->used_bytes, &ignored) != ERR_OK)
		return;
	atomic_store(&seen->database_bytes, pages * STORE_PAGE_BYTES);
	atomic_store(&seen->unused_bytes, pages * STORE_PAGE_BYTES - store->used_bytes);
	atomic_store(&seen->log_bytes, size_of(store->paths[ROOM_FILES - 1]));
	atomic_store(&seen->log_waiting_bytes, room_log_waiting(store));
	atomic_store(&seen->disk_free_bytes, ask_disk(store));
	atomic_store(&seen->max_bytes, sweep_max_bytes(store));
	atomic_store(&seen->max_messages, sweep_max_messages(store));
	atomic_store(&seen->room_bytes, find_room(store, disk_room));
	atomic_store(&seen->full, (int)find_limit(store, disk_room));
}

void room_look(struct store *store)
{
	struct err ignored;

	if (clock_mono_ms() >= store->room_look_ms)
		room_look_now(store);
	else if (sweep_max_bytes(store) > 0) /* mail comes faster than that */
		(void)room_ask_used(store, &store->used_bytes, &ignored);
}

void store_space(struct store *store, struct store_space *space_out)
{
	struct space_seen *seen = &store->space;

	*space_out = (struct store_space){
		.database_bytes = atomic_load(&seen->database_bytes),
		.unused_bytes = atomic_load(&seen->unused_bytes),
		.log_bytes = atomic_load(&seen->log_bytes),
		.log_waiting_bytes = atomic_load(&seen->log_waiting_bytes),
		.disk_free_bytes = atomic_load(&seen->disk_free_bytes),
		.max_bytes = atomic_load(&seen->max_bytes),
		.max_messages = atomic_load(&seen->max_messages),
		.full = (enum space_limit)atomic_load(&seen->full),
	};
}

int store_room(struct store *store, int64_t size, struct err *why)
{
	struct space_seen *seen = &store->space;
	int64_t room = atomic_load(&seen->room_bytes);

	switch ((enum space_limit)atomic_load(&seen->full)) {
	case SPACE_DISK: return refuse_disk(store, why);
	case SPACE_BYTES: return refuse_bytes(atomic_load(&seen->max_bytes), why);
	case SPACE_MESSAGES: return refuse_messages(atomic_load(&seen->max_messages), why);
	case SPACE_THERE: break;
	}
	if (size <= 0 || NEEDED(size) <= room)
		return ERR_OK;
	return err_set(why, ERR_FULL, "there is no room for a message of %lld bytes",
		       (long long)size);
}

/* --- the files --------------------------------------------------------------------------- */

/* stat() only: opening and closing them would drop SQLite's locks (DESIGN 4.2). */
int room_check_files(struct store *store, struct err *why)
{
	static const char *const names[ROOM_FILES] = {FOLDER_DATABASE, FOLDER_DATABASE "-wal"};

	for (size_t i = 0; i < ROOM_FILES; i++) {
		struct stat st;

		if (store->paths[i] == NULL)
			store->paths[i] = folder_path(store->data_dir, names[i]);
		if (stat(store->paths[i], &st) != 0)
			return err_set(why, ERR_FATAL, "%s: %s", store->paths[i], strerror(errno));
		if (store->inodes[i] == 0)
			store->inodes[i] = (uint64_t)st.st_ino;
		if (store->inodes[i] != (uint64_t)st.st_ino)
			return err_set(why, ERR_FATAL, "%s was replaced by another file",
				       store->paths[i]);
	}
	return ERR_OK;
}
