/* queue/backup.c - a copy of the database, made while it is in use or while it is not */
#include <config.h>

#include "queue/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/audit.h"
#include "queue/connection.h"
#include "queue/copying.h"
#include "queue/folder.h"
#include "queue/room.h"

#define COPY_NAME     ".backup-under-way.db" /* nobody's own file is called that */
#define STEP_PAGES    256
#define OFFLINE_PAGES 4096
#define UNFETCHED_MS  ((int64_t)3600000)
#define SPARE_BYTES   ((int64_t)64 << 20) /* of the disk, beside the copy */

/* --- one copy ------------------------------------------------------------------------- */

struct copy {
	struct db target;
	sqlite3_backup *handle;
};

/*
 * Nothing of it needs to survive a power cut: who wants that syncs the file
 * when it is whole. So nobody waits for a disk here.
 */
static const char sql_target[] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF";

static int copy_begin(struct copy *copy, struct db *source, const char *path, struct err *why)
{
	int code = db_open(&copy->target, path, SQLITE_OPEN_READWRITE, why);

	if (code != ERR_OK)
		return code;
	code = db_exec(&copy->target, sql_target, why);
	if (code == ERR_OK) {
		copy->handle =
			sqlite3_backup_init(copy->target.handle, "main", source->handle, "main");
		if (copy->handle == NULL)
			code = db_error(&copy->target, sqlite3_errcode(copy->target.handle), why);
	}
	if (code != ERR_OK)
		db_close(&copy->target);
	return code;
}

/* Ends it, whole or not. */
static void copy_end(struct copy *copy)
{
	if (copy->handle != NULL)
		(void)sqlite3_backup_finish(copy->handle);
	copy->handle = NULL;
	if (copy->target.handle != NULL)
		db_close(&copy->target);
}

/* *more_out: there is more to copy. */
static int copy_step(struct copy *copy, int pages, bool *more_out, struct err *why)
{
	int code = sqlite3_backup_step(copy->handle, pages);

	*more_out = code != SQLITE_DONE;
	switch (code) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return ERR_OK;
	/* A file that is the copy's says nothing about the database itself. */
	case SQLITE_FULL: return err_set(why, ERR_FULL, "there is no room for the copy");
	default: return err_set(why, ERR_IO, "the copy failed: %s", sqlite3_errstr(code));
	}
}

static int64_t copy_total(const struct copy *copy)
{
	return (int64_t)sqlite3_backup_pagecount(copy->handle) * STORE_PAGE_BYTES;
}

static int64_t copy_done(const struct copy *copy)
{
	return copy_total(copy) -
	       (int64_t)sqlite3_backup_remaining(copy->handle) * STORE_PAGE_BYTES;
}

/* --- what makes it a copy --------------------------------------------------------------- */

static const char sql_pause[] =
	"INSERT INTO pause(route, paused_at, actor, reason) VALUES('', ?1, 'backup', ?2)"
	" ON CONFLICT(route) DO UPDATE SET paused_at = excluded.paused_at,"
	" actor = excluded.actor, reason = excluded.reason";

static int write_pause(struct db *db, int64_t now, struct err *why)
{
	char at[CLOCK_RFC3339_SIZE];
	char reason[200];
	struct query query;
	int code = query_begin(&query, db, sql_pause, why);

	if (code != ERR_OK)
		return code;
	clock_format_rfc3339(now, at);
	(void)snprintf(
		reason, sizeof(reason),
		"this database is a copy of %s: what waits here may have left since; look at "
		"it, then resume (stagepost resume)",
		at);
	query_give_int(&query, now);
	query_give_text(&query, reason);
	return query_run(&query, why);
}

static const char sql_has_calls[] =
	"SELECT count(*) FROM sqlite_schema WHERE name = 'webhook_call'";
static const char sql_calls[] =
	"UPDATE webhook_call SET due_at = NULL, error = 'it waited when this database was copied,"
	" and may have been told since' WHERE due_at IS NOT NULL";

/* Nor is anybody told of it once more by itself. A database of before has no such table. */
static int keep_calls(struct db *db, struct err *why)
{
	int64_t has = 0;
	int code = db_get_int(db, sql_has_calls, &has, why);

	return code == ERR_OK && has > 0 ? db_exec(db, sql_calls, why) : code;
}

/*
 * When the clock was last looked at: without it nothing goes for its age on the first day
 * (queue/sweep.c). What somebody brings an old copy back for must not go while he looks for it.
 */
static const char sql_forget_clock[] = "DELETE FROM meta WHERE name = 'clock'";

/* One file without a log beside it, in which delivery stands still. */
static int mark(const char *path, int64_t now, struct err *why)
{
	struct db db = {.handle = NULL};
	int code = db_open(&db, path, SQLITE_OPEN_READWRITE, why);

	if (code != ERR_OK)
		return code;
	code = db_exec(&db, "PRAGMA synchronous=OFF; PRAGMA journal_mode=DELETE", why);
	if (code == ERR_OK)
		code = write_pause(&db, now, why);
	if (code == ERR_OK)
		code = keep_calls(&db, why);
	if (code == ERR_OK)
		code = db_exec(&db, sql_forget_clock, why);
	db_close(&db);
	return code;
}

/* --- beside the store --------------------------------------------------------------------- */

struct copying {
	pthread_mutex_t lock;
	struct backup_status status; /* under the lock */
	char *path;
	struct copy copy;     /* the writer's */
	int64_t unfetched_ms; /* monotonic: when a copy that is ready goes */
};

struct copying *copying_new(const char *data_dir)
{
	struct copying *copying = mem_zalloc(sizeof(*copying));

	pthread_mutex_init(&copying->lock, NULL);
	copying->path = folder_path(data_dir, COPY_NAME);
	return copying;
}

static void set_status(struct copying *copying, const struct backup_status *status)
{
	pthread_mutex_lock(&copying->lock);
	copying->status = *status;
	pthread_mutex_unlock(&copying->lock);
}

static void remove_files(const struct copying *copying)
{
	static const char *const ends[] = {"", "-journal", "-wal", "-shm"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char *path = mem_zalloc(strlen(copying->path) + 16);

		(void)snprintf(path, strlen(copying->path) + 16, "%s%s", copying->path, ends[i]);
		(void)unlink(path);
		mem_free(path);
	}
}

/* There is none any more. */
static void forget(struct copying *copying)
{
	copy_end(&copying->copy);
	remove_files(copying);
	set_status(copying, &(struct backup_status){.state = BACKUP_NONE});
}

void copying_free(struct copying **copying)
{
	if (*copying == NULL)
		return;
	if ((*copying)->status.state != BACKUP_NONE)
		forget(*copying);
	pthread_mutex_destroy(&(*copying)->lock);
	mem_free((*copying)->path);
	mem_free(*copying);
	*copying = NULL;
}

void copying_clean(struct store *store)
{
	remove_files(store->copying);
}

bool copying_is_due(const struct store *store)
{
	return store->copying->status.state == BACKUP_COPYING;
}

void copying_tidy(struct store *store)
{
	struct copying *copying = store->copying;

	if (copying->status.state == BACKUP_READY && clock_mono_ms() >= copying->unfetched_ms)
		forget(copying);
}

static void fail(struct copying *copying, const struct err *why)
{
	struct backup_status status = copying->status;

	copy_end(&copying->copy);
	remove_files(copying);
	status.state = BACKUP_FAILED;
	status.ended_at = clock_wall_ms();
	status.why = *why;
	set_status(copying, &status);
}

static int create(const char *path, struct err *why)
{
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
	close(fd);
	return ERR_OK;
}

static void begin(struct store *store, int64_t now)
{
	struct copying *copying = store->copying;
	struct err why;
	int code;

	forget(copying);
	set_status(copying, &(struct backup_status){.state = BACKUP_COPYING,
						    .began_at = now,
						    .total_bytes = store->used_bytes});
	code = create(copying->path, &why);
	if (code == ERR_OK)
		code = copy_begin(&copying->copy, &store->db, copying->path, &why);
	if (code != ERR_OK)
		fail(copying, &why);
}

/* The moment it is a copy of is the one of its last page. */
static void complete(struct copying *copying)
{
	struct backup_status status = copying->status;
	struct err why;

	copy_end(&copying->copy);
	status.ended_at = clock_wall_ms();
	if (mark(copying->path, status.ended_at, &why) != ERR_OK) {
		fail(copying, &why);
		return;
	}
	status.state = BACKUP_READY;
	status.done_bytes = status.total_bytes;
	copying->unfetched_ms = clock_mono_ms() + UNFETCHED_MS;
	set_status(copying, &status);
}

void copying_step(struct store *store)
{
	struct copying *copying = store->copying;
	struct backup_status status = copying->status;
	struct err why;
	bool more = true;
	int code = copy_step(&copying->copy, STEP_PAGES, &more, &why);

	/* Mail comes first. */
	if (code == ERR_OK && room_of_disk(store) < SPARE_BYTES / 2)
		code = err_set(&why, ERR_FULL, "the disk is getting full");
	if (code != ERR_OK) {
		fail(copying, &why);
		return;
	}
	status.total_bytes = copy_total(&copying->copy);
	status.done_bytes = copy_done(&copying->copy);
	set_status(copying, &status);
	if (!more)
		complete(copying);
}

/* --- the verbs --------------------------------------------------------------------------- */

static int write_trail(struct store *store, const struct backup_request *request,
		       const char *action, struct err *why)
{
	const struct audit_line line = {
		.at = request->now, .actor = request->actor, .action = action};

	return audit_add(store, &line, why);
}

static int run_begin(struct store *store, struct store_job *job)
{
	int64_t room = room_of_disk(store);

	if (copying_is_due(store))
		return err_set(&job->why, ERR_CONFLICT, "a copy is being made already");
	if (room < store->used_bytes + SPARE_BYTES)
		return err_set(&job->why, ERR_FULL,
			       "a copy of %lld bytes has no room in %s for the time it is made",
			       (long long)store->used_bytes, store->data_dir);
	return write_trail(store, (struct backup_request *)job, "backup.create", &job->why);
}

static void finish_begin(struct store *store, struct store_job *job)
{
	if (job->code == ERR_OK)
		begin(store, ((struct backup_request *)job)->now);
}

static const struct store_verb verb_begin = {
	.name = "backup begin", .run = run_begin, .finish = finish_begin};

void queue_backup_begin(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_begin);
}

static int run_end(struct store *store, struct store_job *job)
{
	if (store->copying->status.state == BACKUP_NONE)
		return err_set(&job->why, ERR_NOT_FOUND, "there is no copy");
	return write_trail(store, (struct backup_request *)job, "backup.remove", &job->why);
}

static void finish_end(struct store *store, struct store_job *job)
{
	if (job->code == ERR_OK)
		forget(store->copying);
}

static const struct store_verb verb_end = {
	.name = "backup end", .run = run_end, .finish = finish_end};

void queue_backup_end(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_end);
}

void store_backup(struct store *store, struct backup_status *status_out)
{
	pthread_mutex_lock(&store->copying->lock);
	*status_out = store->copying->status;
	pthread_mutex_unlock(&store->copying->lock);
}

/* Not the database: opening and closing the copy drops no lock of it (DESIGN 4.2). */
static int open_copy(const char *path, int *fd_out, int64_t *size_out, struct err *why)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "the copy: %s",
			       strerror(errno));
	if (fstat(fd, &st) != 0) {
		close(fd);
		return err_set(why, ERR_IO, "the copy: %s", strerror(errno));
	}
	*fd_out = fd;
	*size_out = (int64_t)st.st_size;
	return ERR_OK;
}

/* Under the lock: until the status says that another one is begun its file is not there. */
int store_backup_open(struct store *store, int *fd_out, int64_t *size_out, struct err *why)
{
	struct copying *copying = store->copying;
	int code = ERR_NOT_FOUND;

	pthread_mutex_lock(&copying->lock);
	if (copying->status.state == BACKUP_READY)
		code = open_copy(copying->path, fd_out, size_out, why);
	else
		err_set(why, code, "there is no copy that is ready");
	pthread_mutex_unlock(&copying->lock);
	return code;
}

/* --- without a daemon --------------------------------------------------------------------- */

static int copy_all(const struct backup_offline *offline, struct copy *copy, struct err *why)
{
	bool more = true;
	int code = ERR_OK;

	while (code == ERR_OK && more) {
		code = copy_step(copy, OFFLINE_PAGES, &more, why);
		if (code == ERR_OK && offline->progress != NULL)
			offline->progress(offline->ctx, copy_done(copy), copy_total(copy));
	}
	return code;
}

int backup_offline(const struct backup_offline *offline, struct err *why)
{
	struct copy copy = {.handle = NULL};
	struct store_reader *reader;
	int code = store_reader_open_offline(offline->data_dir, &reader, why);

	if (code != ERR_OK)
		return code;
	code = copy_begin(&copy, reader_db(reader), offline->path, why);
	if (code == ERR_OK)
		code = copy_all(offline, &copy, why);
	copy_end(&copy);
	store_reader_close(&reader);
	return code == ERR_OK ? mark(offline->path, clock_wall_ms(), why) : code;
}
