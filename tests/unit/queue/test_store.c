/* tests queue/store.c, folder.c, migrate.c and reader.c: opening, and what is refused */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "queue/connection.h"
#include "schema/schema.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static void path_of(const struct fixture *f, const char *name, char path_out[128])
{
	snprintf(path_out, 128, "%s/%s", f->dir, name);
}

static void hash_file(const char *path, unsigned char digest_out[SECRET_SHA256_BYTES])
{
	FILE *file = fopen(path, "rb");
	size_t size;
	char *data;

	ck_assert_ptr_nonnull(file);
	fseek(file, 0, SEEK_END);
	size = (size_t)ftell(file);
	rewind(file);
	data = mem_alloc(size);
	ck_assert_uint_eq(fread(data, 1, size, file), size);
	fclose(file);
	secret_sha256(span_make(data, size), digest_out);
	mem_free(data);
}

static void expect_refused(const char *dir, int want, const char *part)
{
	struct store_options options = {.data_dir = dir};
	struct store *store = NULL;
	struct err why = {""};
	int code = store_open(&options, &store, &why);

	ck_assert_msg(code == want, "%s: %s", err_name(code), why.text);
	ck_assert_ptr_null(store);
	ck_assert_msg(strstr(why.text, part) != NULL, "%s", why.text);
}

START_TEST(a_new_folder_is_private_and_durable)
{
	struct fixture f;
	struct stat st;
	char path[256];
	char sub[160];
	struct store_options options = {.data_dir = sub};
	struct store *store;

	fixture_open(&f);
	snprintf(sub, sizeof(sub), "%s/new dir?&%%", f.dir);
	ck_assert_int_eq(store_open(&options, &store, NULL), ERR_OK);
	ck_assert_int_eq(stat(sub, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	store_close(&store);
	snprintf(path, sizeof(path), "%s/stagepost.db", sub);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	unlink(path);
	strcat(path, "-wal");
	unlink(path);
	snprintf(path, sizeof(path), "%s/stagepost.db-shm", sub);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock", sub);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	unlink(path);
	ck_assert_int_eq(rmdir(sub), 0);

	/* What can't be set later (DESIGN 4.8). */
	ck_assert_int_eq(ask_sql(f.dir, "PRAGMA page_size"), 4096);
	ck_assert_int_eq(ask_sql(f.dir, "PRAGMA auto_vacuum"), 2);
	ck_assert_int_eq(ask_sql(f.dir, "PRAGMA application_id"), SCHEMA_APPLICATION_ID);
	ck_assert_int_eq(ask_sql(f.dir, "PRAGMA user_version"), schema_version());
	/* STRICT, all of them. */
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM pragma_table_list WHERE schema ="
					" 'main' AND name NOT LIKE 'sqlite_%' AND NOT strict"),
			 0);
	fixture_remove(&f);
}
END_TEST

START_TEST(S269_a_second_opener_is_refused)
{
	struct fixture f;
	char pid[32];
	char link_name[96];
	char roundabout[160];

	fixture_open(&f);
	snprintf(pid, sizeof(pid), "process %d", (int)getpid());
	expect_refused(f.dir, ERR_BUSY, pid);
	snprintf(link_name, sizeof(link_name), "%s-link", f.dir);
	ck_assert_int_eq(symlink(f.dir, link_name), 0);
	expect_refused(link_name, ERR_BUSY, pid);
	unlink(link_name);
	snprintf(roundabout, sizeof(roundabout), "%s/../%s", f.dir, strrchr(f.dir, '/') + 1);
	expect_refused(roundabout, ERR_BUSY, pid);
	/* The first one goes on undisturbed. */
	accept_queued(&f, 1);
	fixture_remove(&f);
}
END_TEST

/* S269: a second name of the file would have another lock and another log beside it. */
START_TEST(S269_links_to_the_database_are_refused)
{
	struct fixture f;
	struct fixture other;
	char path[128];
	char link_path[128];

	fixture_open(&f);
	fixture_open(&other);
	fixture_close(&f);
	fixture_close(&other);
	path_of(&f, "stagepost.db", path);
	path_of(&other, "stagepost.db", link_path);
	unlink(link_path);
	ck_assert_int_eq(link(path, link_path), 0);
	expect_refused(other.dir, ERR_UNSUPPORTED, "second name");
	expect_refused(f.dir, ERR_UNSUPPORTED, "second name");
	unlink(link_path);
	ck_assert_int_eq(symlink(path, link_path), 0);
	expect_refused(other.dir, ERR_UNSUPPORTED, "not a plain file");
	fixture_remove(&other);
	fixture_remove(&f);
}
END_TEST

START_TEST(S273_a_newer_schema_is_refused_and_left_alone)
{
	unsigned char before[SECRET_SHA256_BYTES];
	unsigned char after[SECRET_SHA256_BYTES];
	struct store_reader *reader;
	struct fixture f;
	struct err why;
	char path[128];

	fixture_open(&f);
	accept_queued(&f, 1);
	fixture_close(&f);
	run_sql(f.dir, "PRAGMA journal_mode=DELETE; PRAGMA user_version=1000000");
	path_of(&f, "stagepost.db", path);
	hash_file(path, before);
	expect_refused(f.dir, ERR_UNSUPPORTED, "schema version 1000000");
	hash_file(path, after);
	ck_assert_mem_eq(before, after, sizeof(before));
	ck_assert_int_eq(store_reader_open_offline(f.dir, &reader, &why), ERR_UNSUPPORTED);
	fixture_remove(&f);
}
END_TEST

/* S273 with the log still there: refusing must not fold it into the file either. */
START_TEST(S273_a_newer_schema_in_the_log_is_left_alone)
{
	unsigned char before[SECRET_SHA256_BYTES];
	unsigned char after[SECRET_SHA256_BYTES];
	struct fixture f;
	char path[128];

	fixture_open(&f);
	fixture_close(&f);
	run_sql(f.dir, "PRAGMA user_version=1000000");
	path_of(&f, "stagepost.db", path);
	hash_file(path, before);
	expect_refused(f.dir, ERR_UNSUPPORTED, "schema version 1000000");
	hash_file(path, after);
	ck_assert_mem_eq(before, after, sizeof(before));
	fixture_remove(&f);
}
END_TEST

START_TEST(the_database_of_another_program_is_refused)
{
	struct fixture f;

	fixture_open(&f);
	fixture_close(&f);
	run_sql(f.dir, "PRAGMA application_id=12345");
	expect_refused(f.dir, ERR_UNSUPPORTED, "another program");
	fixture_remove(&f);
}
END_TEST

START_TEST(a_file_that_is_no_database_is_refused)
{
	struct fixture f;
	char path[128];
	FILE *file;

	fixture_open(&f);
	fixture_close(&f);
	path_of(&f, "stagepost.db", path);
	file = fopen(path, "wb");
	for (int i = 0; i < 1000; i++)
		fputs("this is not a database\n", file);
	fclose(file);
	expect_refused(f.dir, ERR_FATAL, "not a database");
	fixture_remove(&f);
}
END_TEST

START_TEST(S268_large_numbers)
{
	static const int64_t numbers[] = {(int64_t)1 << 31, ((int64_t)1 << 37) - 1,
					  ((int64_t)1 << 47) - 2};
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct claimed_recipient claimed;
		struct ulid id;
		char sql[96];

		snprintf(sql, sizeof(sql),
			 "UPDATE meta SET value = %lld WHERE name = 'next_message'",
			 (long long)numbers[i]);
		run_sql(f.dir, sql);
		fixture_reopen(&f);
		ck_assert_int_eq(accept_one(f.store, 300000, 5, 1, STATE_QUEUED, &id), ERR_OK);
		ck_assert_int_eq(ask_sql(f.dir, "SELECT max(id) FROM message"), numbers[i]);
		claimed = claim_single(&f);
		ck_assert_int_eq(claimed.id >> 16, numbers[i]);
		ck_assert_uint_eq(settle_as(&f, claimed.id, claimed.lease, TRANSITION_DELIVER), 0);
		ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERED);
		ck_assert_int_eq(check_body(f.reader, &id, 300000, 5), ERR_OK);
	}
	/* At the end it says so and damages nothing. */
	accept_queued(&f, 1);
	fixture_close(&f);
	expect_refused(f.dir, ERR_FATAL, "used up");
	fixture_remove(&f);
}
END_TEST

START_TEST(the_tool_reads_beside_the_daemon_and_without_it)
{
	struct arena *arena = arena_new();
	struct store_reader *reader;
	struct queue_stats stats;
	struct message_view view;
	struct fixture f;
	struct err why = {""};
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 2);
	ck_assert_int_eq(store_reader_open_offline(f.dir, &reader, &why), ERR_OK);
	ck_assert_int_eq(queue_message_show(reader, &id, arena, &view, &why), ERR_OK);
	store_reader_close(&reader);
	fixture_close(&f);
	ck_assert_msg(store_reader_open_offline(f.dir, &reader, &why) == ERR_OK, "%s", why.text);
	ck_assert_int_eq(queue_message_show(reader, &id, arena, &view, &why), ERR_OK);
	ck_assert_int_eq(queue_stats_offline(reader, &stats, &why), ERR_OK);
	ck_assert_int_eq(stats.by_state[STATE_QUEUED], 2);
	ck_assert_int_eq(stats.oldest_due_at, NOW);
	ck_assert_int_eq(check_body(reader, &id, 4096, 1), ERR_OK);
	store_reader_close(&reader);
	ck_assert_int_eq(store_reader_open_offline("/nonexistent", &reader, &why), ERR_NOT_FOUND);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* As somebody who may read the folder and write nothing in it: no shared memory can be made. */
static int read_as_nobody(const char *dir, const struct ulid *id)
{
	struct arena *arena = arena_new();
	struct store_reader *reader;
	struct message_view view;
	struct err why = {""};
	int code;

	if (setgid(65534) != 0 || setuid(65534) != 0)
		return 99;
	code = store_reader_open_offline(dir, &reader, &why);
	if (code == ERR_OK) {
		code = queue_message_show(reader, id, arena, &view, &why);
		store_reader_close(&reader);
	}
	arena_free(&arena);
	return -code;
}

static int in_child(const char *dir, const struct ulid *id)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit(read_as_nobody(dir, id));
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

START_TEST(a_stranger_reads_the_file_alone_only_when_nobody_writes)
{
	struct fixture f;
	char path[128];
	struct ulid id;

	fixture_open(&f);
	if (geteuid() != 0) {
		fputs("# skipped: needs root to become somebody else\n", stderr);
		fixture_remove(&f);
		return;
	}
	id = accept_queued(&f, 1);
	fixture_close(&f);
	chmod(f.dir, 0755);
	path_of(&f, "stagepost.db", path);
	chmod(path, 0644);
	path_of(&f, "lock", path);
	chmod(path, 0644);
	path_of(&f, "stagepost.db-wal", path);
	unlink(path);
	path_of(&f, "stagepost.db-shm", path);
	unlink(path);
	ck_assert_int_eq(in_child(f.dir, &id), 0);
	/* With something in the log the file alone would not be the truth: refused. */
	run_sql(f.dir, "UPDATE meta SET value = value + 1");
	path_of(&f, "stagepost.db-wal", path);
	ck_assert_int_eq(access(path, F_OK), 0);
	chmod(path, 0600);
	path_of(&f, "stagepost.db-shm", path);
	unlink(path);
	ck_assert_int_ne(in_child(f.dir, &id), 0);
	fixture_remove(&f);
}
END_TEST

START_TEST(readers_cannot_write)
{
	struct fixture f;
	struct err why;

	fixture_open(&f);
	ck_assert_int_ne(db_exec(reader_db(f.reader), "DELETE FROM message", &why), ERR_OK);
	ck_assert_int_ne(db_exec(reader_db(f.reader), "PRAGMA wal_checkpoint(TRUNCATE)", &why),
			 ERR_OK);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/store", a_new_folder_is_private_and_durable, S269_a_second_opener_is_refused,
	  S269_links_to_the_database_are_refused, S273_a_newer_schema_is_refused_and_left_alone,
	  S273_a_newer_schema_in_the_log_is_left_alone, the_database_of_another_program_is_refused,
	  a_file_that_is_no_database_is_refused, S268_large_numbers,
	  the_tool_reads_beside_the_daemon_and_without_it,
	  a_stranger_reads_the_file_alone_only_when_nobody_writes, readers_cannot_write)
