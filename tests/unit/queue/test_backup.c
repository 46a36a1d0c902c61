/* tests queue/backup.c: a copy made while mail comes in, and what it is like to start with it */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/backup.h"
#include "queue/check.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static int ask(struct fixture *f, void (*verb)(struct store *, struct store_job *), struct err *why)
{
	struct backup_request request = {.actor = "token:test", .now = NOW};

	return store_wait(f->store, verb, &request.job, why);
}

static struct backup_status wait_for_copy(struct fixture *f)
{
	struct backup_status status;

	do {
		usleep(1000);
		store_backup(f->store, &status);
	} while (status.state == BACKUP_COPYING);
	return status;
}

static void path_of(const struct fixture *f, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", f->dir, name);
}

/* The bytes of the copy, in another file. */
static void fetch(struct fixture *f, const char *path)
{
	int64_t size = 0;
	struct err why = {""};
	char bytes[65536];
	ssize_t got;
	int from, to;

	ck_assert_msg(store_backup_open(f->store, &from, &size, &why) == ERR_OK, "%s", why.text);
	to = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(to, 0);
	while ((got = read(from, bytes, sizeof(bytes))) > 0) {
		ck_assert_int_eq(write(to, bytes, (size_t)got), got);
		size -= got;
	}
	ck_assert_int_eq(size, 0);
	close(from);
	close(to);
}

static void tell(void *ctx, const char *sentence)
{
	(void)ctx;
	printf("# %s\n", sentence);
}

static int64_t expect_whole(const char *path)
{
	struct check check = {.file = path, .on_problem = tell};
	struct err why = {""};

	ck_assert_msg(queue_check(&check, &why) == ERR_OK, "%s", why.text);
	ck_assert_int_eq(check.problems, 0);
	return check.stats.messages;
}

/* A store on the copy alone. */
static void open_copy(struct fixture *f, const char *copy)
{
	char path[128];

	fixture_open(f);
	fixture_close(f);
	path_of(f, "stagepost.db", path);
	ck_assert_int_eq(rename(copy, path), 0);
	path_of(f, "stagepost.db-wal", path);
	unlink(path);
	path_of(f, "stagepost.db-shm", path);
	unlink(path);
	fixture_reopen(f);
}

START_TEST(a_copy_while_mail_comes_in)
{
	enum { BEFORE = 400 };
	struct backup_status status;
	struct pause_view pause;
	struct fixture f, again;
	struct ulid first, last;
	struct stat st;
	char path[128];
	int64_t messages;
	int during = 0;

	fixture_open(&f);
	ck_assert_int_eq(accept_one(f.store, 600000, 5, 2, STATE_QUEUED, &first), ERR_OK);
	for (int i = 0; i < BEFORE; i++)
		ck_assert_int_eq(accept_one(f.store, 50000, 1, 1, STATE_DROPPED, NULL), ERR_OK);
	ck_assert_int_eq(ask(&f, queue_backup_begin, NULL), ERR_OK);
	do {
		ck_assert_int_eq(accept_one(f.store, 5000, 2, 1, STATE_HELD, &last), ERR_OK);
		during++;
		store_backup(f.store, &status);
	} while (status.state == BACKUP_COPYING);
	ck_assert_int_eq(status.state, BACKUP_READY);
	ck_assert_int_gt(status.total_bytes, 20 << 20);
	ck_assert_int_eq(status.done_bytes, status.total_bytes);
	ck_assert_int_gt(during, 3);
	path_of(&f, ".backup-under-way.db", path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert(!store_is_paused(f.store, NULL));
	path_of(&f, "copy", path);
	fetch(&f, path);
	/* As of one moment: all of what was there before, and what came until then. */
	messages = expect_whole(path);
	printf("# %d messages came in meanwhile\n", during);
	ck_assert_int_gt(messages, BEFORE);
	ck_assert_int_le(messages, BEFORE + 1 + during);
	ck_assert_int_eq(ask(&f, queue_backup_end, NULL), ERR_OK);
	ck_assert_int_eq(ask(&f, queue_backup_end, NULL), ERR_NOT_FOUND);
	open_copy(&again, path);
	ck_assert(store_pause_view(again.store, NULL, &pause));
	ck_assert_str_eq(pause.actor, "backup");
	ck_assert_ptr_nonnull(strstr(pause.reason, "stagepost resume"));
	ck_assert_int_eq(check_body(again.reader, &first, 600000, 5), ERR_OK);
	ck_assert_int_eq(accept_one(again.store, 5000, 2, 1, STATE_HELD, NULL), ERR_OK);
	fixture_remove(&again);
	fixture_remove(&f);
}
END_TEST

START_TEST(one_at_a_time_and_nothing_is_left)
{
	struct backup_status status;
	struct fixture f;
	char path[128];
	struct err why;
	int fd;

	fixture_open(&f);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(accept_one(f.store, 200000, 1, 1, STATE_DROPPED, NULL), ERR_OK);
	ck_assert_int_eq(store_backup_open(f.store, &fd, &(int64_t){0}, &why), ERR_NOT_FOUND);
	ck_assert_int_eq(ask(&f, queue_backup_begin, NULL), ERR_OK);
	ck_assert_int_eq(ask(&f, queue_backup_begin, &why), ERR_CONFLICT);
	/* A close in the middle leaves nothing behind. */
	fixture_reopen(&f);
	path_of(&f, ".backup-under-way.db", path);
	ck_assert_int_ne(access(path, F_OK), 0);
	store_backup(f.store, &status);
	ck_assert_int_eq(status.state, BACKUP_NONE);
	/* Stopped by a person: the same. */
	ck_assert_int_eq(ask(&f, queue_backup_begin, NULL), ERR_OK);
	ck_assert_int_eq(ask(&f, queue_backup_end, NULL), ERR_OK);
	ck_assert_int_ne(access(path, F_OK), 0);
	/* A second one takes the place of the first. */
	ck_assert_int_eq(ask(&f, queue_backup_begin, NULL), ERR_OK);
	ck_assert_int_eq(wait_for_copy(&f).state, BACKUP_READY);
	ck_assert_int_eq(ask(&f, queue_backup_begin, NULL), ERR_OK);
	ck_assert_int_eq(wait_for_copy(&f).state, BACKUP_READY);
	/* What a killed daemon left is removed by the next. */
	fixture_close(&f);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	fixture_reopen(&f);
	ck_assert_int_ne(access(path, F_OK), 0);
	fixture_remove(&f);
}
END_TEST

START_TEST(without_a_daemon)
{
	struct backup_offline offline = {.data_dir = NULL};
	struct fixture f;
	char path[128];
	struct err why = {""};
	int fd;

	fixture_open(&f);
	accept_queued(&f, 3);
	fixture_close(&f);
	path_of(&f, "copy", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	offline.data_dir = f.dir;
	offline.path = path;
	ck_assert_msg(backup_offline(&offline, &why) == ERR_OK, "%s", why.text);
	ck_assert_int_eq(expect_whole(path), 1);
	unlink(path);
	offline.data_dir = "/nonexistent";
	ck_assert_int_eq(backup_offline(&offline, &why), ERR_NOT_FOUND);
	fixture_reopen(&f);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/backup", a_copy_while_mail_comes_in, one_at_a_time_and_nothing_is_left,
	  without_a_daemon)
