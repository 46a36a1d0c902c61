/* queue/room.c - is there room, and is the file still the one we opened? */
#include <config.h>

#include "queue/room.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "queue/folder.h"

#define LOOK_EVERY_MS 500
/* More than is written in that time: nearer to the end it is asked for every job. */
#define PLENTY_BYTES ((int64_t)2 << 30)

/* What stands in the log only needs room in the database as well, one day. */
static int64_t reserve_bytes(const struct store *store)
{
	return ROOM_RESERVE_BYTES +
	       (int64_t)(store->wal_pages - store->copied_pages) * STORE_PAGE_BYTES;
}

/* Asking the file system takes a microsecond or two. If it can't be asked, SQLite's own errors
 * must do. */
static bool disk_has_room(struct store *store)
{
	int64_t now = clock_mono_ms();
	struct statvfs fs;
	int64_t free_bytes;

	if (store->plenty_until_ms > now)
		return true;
	if (statvfs(store->data_dir, &fs) != 0)
		return true;
	free_bytes = (int64_t)(fs.f_bavail * (uint64_t)fs.f_frsize);
	if (free_bytes >= PLENTY_BYTES)
		store->plenty_until_ms = now + LOOK_EVERY_MS;
	return free_bytes >= reserve_bytes(store);
}

static const char sql_pages[] = "PRAGMA page_count";
static const char sql_unused[] = "PRAGMA freelist_count";

static int ask_pages(struct store *store, const char *sql, int64_t *pages_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql, why);

	if (code == ERR_OK)
		code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	*pages_out = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static int check_ceiling(struct store *store, struct err *why)
{
	int64_t max = store->options.max_file_bytes;
	int64_t reserve = max / 8 < ROOM_RESERVE_BYTES ? max / 8 : ROOM_RESERVE_BYTES;
	int64_t pages = 0;
	int64_t unused = 0;
	int code = ask_pages(store, sql_pages, &pages, why);

	if (code == ERR_OK)
		code = ask_pages(store, sql_unused, &unused, why);
	if (code == ERR_OK && (pages - unused) * STORE_PAGE_BYTES > max - reserve)
		code = err_set(why, ERR_FULL, "the queue has reached its ceiling of %lld bytes",
			       (long long)max);
	return code;
}

int room_check(struct store *store, struct err *why)
{
	if (!disk_has_room(store))
		return err_set(why, ERR_FULL, "less than %lld MiB are free in %s",
			       (long long)(ROOM_RESERVE_BYTES >> 20), store->data_dir);
	return store->options.max_file_bytes > 0 ? check_ceiling(store, why) : ERR_OK;
}

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
