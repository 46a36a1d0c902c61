/* tests queue/check.c, queue/look.c and what a store does when its files are gone or broken */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"
#include "queue/check.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define SAID_MAX 8192

struct said {
	char text[SAID_MAX];
	size_t len;
};

static void note(void *ctx, const char *sentence)
{
	struct said *said = ctx;
	int len = snprintf(said->text + said->len, SAID_MAX - said->len, "%s\n", sentence);

	said->len += (size_t)len;
	if (said->len >= SAID_MAX)
		said->len = SAID_MAX - 1;
}

/* What the check says; its result in *check_out. */
static int run_check(struct fixture *f, struct said *said, struct check *check_out)
{
	struct check check = {.data_dir = f->dir, .on_problem = note, .ctx = said};
	struct err why = {""};
	int code;

	memset(said, 0, sizeof(*said));
	code = queue_check(&check, &why);
	if (code != ERR_OK)
		note(said, why.text);
	*check_out = check;
	return code;
}

static void path_of(const struct fixture *f, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", f->dir, name);
}

static bool is_there(const struct fixture *f, const char *name)
{
	char path[128];

	path_of(f, name, path);
	return access(path, F_OK) == 0;
}

static void overwrite(const struct fixture *f, const char *name, off_t at, const void *bytes,
		      size_t len)
{
	char path[128];
	int fd;

	path_of(f, name, path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
	close(fd);
}

/* For mem_free. */
static char *read_database(const struct fixture *f, size_t *size_out)
{
	char path[128];
	struct stat st;
	char *bytes;
	int fd;

	path_of(f, "stagepost.db", path);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*size_out = (size_t)st.st_size;
	bytes = mem_alloc(*size_out);
	ck_assert_int_eq(read(fd, bytes, *size_out), (ssize_t)*size_out);
	close(fd);
	return bytes;
}

static void hash_database(const struct fixture *f, unsigned char digest[SECRET_SHA256_BYTES])
{
	size_t size;
	char *bytes = read_database(f, &size);

	secret_sha256(span_make(bytes, size), digest);
	mem_free(bytes);
}

static void expect_refused(const struct fixture *f, int code, const char *part)
{
	struct store_options options = {.data_dir = f->dir};
	struct store *store = NULL;
	struct err why = {""};

	ck_assert_int_eq(store_open(&options, &store, &why), code);
	ck_assert_msg(strstr(why.text, part) != NULL, "\"%s\" lacks \"%s\"", why.text, part);
}

/* One that wrote something and ended cleanly. */
static void prepare(struct fixture *f)
{
	struct ulid id;

	fixture_open(f);
	accept_queued(f, 2);
	ck_assert_int_eq(accept_one(f->store, 700000, 7, 3, STATE_DROPPED, &id), ERR_OK);
	fixture_close(f);
}

static void remove_file(const struct fixture *f, const char *name)
{
	char path[128];

	path_of(f, name, path);
	ck_assert_int_eq(unlink(path), 0);
}

START_TEST(a_whole_database)
{
	struct arena *arena;
	struct fixture f;
	struct said said;
	struct check check;

	prepare(&f);
	remove_file(&f, "stagepost.db-wal"); /* empty after a clean end */
	remove_file(&f, "stagepost.db-shm");
	ck_assert_int_eq(run_check(&f, &said, &check), ERR_OK);
	ck_assert_str_eq(said.text, "");
	ck_assert(!check.in_use);
	ck_assert_int_eq(check.stats.messages, 2);
	/* Nothing came to be by looking. */
	ck_assert(!is_there(&f, "stagepost.db-wal"));
	ck_assert(!is_there(&f, "stagepost.db-shm"));

	fixture_reopen(&f);
	accept_queued(&f, 1);
	arena = claim_at(&f, NOW, 1).arena;
	arena_free(&arena);
	ck_assert_int_eq(run_check(&f, &said, &check), ERR_OK);
	ck_assert_str_eq(said.text, "");
	ck_assert(check.in_use);
	ck_assert_int_eq(check.stats.messages, 3);
	fixture_remove(&f);
}
END_TEST

START_TEST(no_database)
{
	struct check check = {.data_dir = "/nonexistent"};
	struct err why;

	ck_assert_int_eq(queue_check(&check, &why), ERR_NOT_FOUND);
}
END_TEST

/* Each contradiction is named. */
static const struct {
	const char *sql;
	const char *says;
} contradictions[] = {
	{"DELETE FROM message WHERE id = 1", "message number 1 has a recipient and is not there"},
	{"DELETE FROM message WHERE id = 1", "message number 1 has content and is not there"},
	{"DELETE FROM recipient WHERE id >> 16 = 1", "has no recipient"},
	{"INSERT INTO staging VALUES(1)", "was accepted and is marked as unfinished"},
	{"DELETE FROM chunk WHERE id = (2 << 16) + 1", "437856 octets of content in 2 pieces"},
	{"UPDATE chunk SET data = x'00' WHERE id >> 16 = 1", "has 1 octets of content in 1 pieces"},
	{"UPDATE chunk SET data = zeroblob(4096) WHERE id >> 16 = 1", "content that is not what"},
	{"UPDATE recipient SET address = 'x' || address WHERE id = 65536",
	 "has a recipient whose address is not the one that was accepted"},
	/* S126 */
	{"UPDATE recipient SET address = address || char(0) || '.evil.example' WHERE id = 65536",
	 "has a recipient whose address is not the one that was accepted"},
	{"UPDATE recipient SET state = 12 WHERE id = 65536", "in state 12, which is none"},
	{"UPDATE recipient SET due_at = NULL WHERE id = 65536", "would never be tried"},
	{"UPDATE recipient SET due_at = 1 WHERE id = 2 << 16", "though it does not wait"},
	{"UPDATE recipient SET state = 7, due_at = NULL WHERE id = 65536",
	 "redirected recipient for whom nobody stands"},
	{"UPDATE recipient SET state = 7, due_at = NULL, redirect_to = 'x@y.test' WHERE id = 65536",
	 "redirected recipient for whom nobody stands"},
	{"UPDATE recipient SET lease = 1 WHERE id = 65536", "lease and state contradict"},
	{"DELETE FROM meta WHERE name = 'next_message'", "the table meta lacks next_message"},
	{"INSERT INTO history(recipient, sequence, at, event, state) VALUES(9 << 16, 1, 1, 'x', 2)",
	 "message number 9 has a history and no such recipient"},
	{"INSERT INTO history(recipient, sequence, at, event, state) VALUES(65536, 7, 1, 'x', 2)",
	 "more history than it counted"},
	{"UPDATE recipient SET parked = 'x' WHERE id = 2 << 16", "parked though it does not wait"},
	{"UPDATE recipient SET state = 9, due_at = NULL, login = '' WHERE id = 65536",
	 "a finished recipient that keeps a login for its next hop"},
	{"UPDATE tally SET number = 7 WHERE kind = 2", " recipients in state 2, 7 were counted"},
	{"INSERT INTO intake_line VALUES(1, 1, 1, 'a@b.test', 1, 1, '', NULL, NULL, 0)",
	 "a line of the whitelist is on its way for nobody"},
};

START_TEST(contradictions_are_named)
{
	for (size_t i = 0; i < sizeof(contradictions) / sizeof(contradictions[0]); i++) {
		struct fixture f;
		struct said said;
		struct check check;

		prepare(&f);
		run_sql(f.dir, contradictions[i].sql);
		ck_assert_int_eq(run_check(&f, &said, &check), ERR_OK);
		ck_assert_int_gt(check.problems, 0);
		ck_assert_msg(strstr(said.text, contradictions[i].says) != NULL,
			      "%s: \"%s\" lacks \"%s\"", contradictions[i].sql, said.text,
			      contradictions[i].says);
		fixture_remove(&f);
	}
}
END_TEST

/* The page where a table begins. */
static off_t root_of(const struct fixture *f, const char *table)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	return (off_t)4096 * (ask_sql(f->dir, sql) - 1);
}

/* S259: pages that are no pages stop the start, and nothing is written. */
START_TEST(S259_damaged_pages_are_refused_and_left_alone)
{
	char noise[4096];
	unsigned char before[SECRET_SHA256_BYTES];
	unsigned char after[SECRET_SHA256_BYTES];
	struct fixture f;
	struct said said;
	struct check check;

	memset(noise, 0xa5, sizeof(noise));
	prepare(&f);
	overwrite(&f, "stagepost.db", root_of(&f, "recipient"), noise, sizeof(noise));
	hash_database(&f, before);
	expect_refused(&f, ERR_FATAL, "RECOVERY");
	hash_database(&f, after);
	ck_assert_mem_eq(before, after, sizeof(before));
	ck_assert_int_eq(run_check(&f, &said, &check), ERR_OK);
	ck_assert_int_gt(check.problems, 0);

	overwrite(&f, "stagepost.db", 0, noise, sizeof(noise));
	hash_database(&f, before);
	expect_refused(&f, ERR_FATAL, "RECOVERY");
	ck_assert_int_eq(run_check(&f, &said, &check), ERR_OK);
	ck_assert(strstr(said.text, "not a database") != NULL);
	hash_database(&f, after);
	ck_assert_mem_eq(before, after, sizeof(before));
	fixture_remove(&f);
}
END_TEST

/* S259, P1: the pages are in order, but a pattern is another than it was. */
START_TEST(S259_a_pattern_that_changed_by_itself_is_noticed)
{
	static const char pattern[] = "kate@example.com";
	struct fixture f;
	size_t size;
	size_t at = 0;
	char *bytes;

	prepare(&f);
	run_sql(f.dir, "INSERT INTO whitelist(pattern, kind, action, scope, created_at, expires_at,"
		       " revision) VALUES('kate@example.com', 1, 1, '', 1, 0, 1)");
	run_sql(f.dir, "PRAGMA wal_checkpoint(TRUNCATE)");
	bytes = read_database(&f, &size);
	while (memcmp(bytes + at, pattern, sizeof(pattern) - 1) != 0)
		ck_assert_uint_lt(++at, size - sizeof(pattern));
	mem_free(bytes);
	overwrite(&f, "stagepost.db", (off_t)at, "g", 1);
	expect_refused(&f, ERR_FATAL, "RECOVERY");
	fixture_remove(&f);
}
END_TEST

/* --- gone --------------------------------------------------------------------------- */

/* S257: also when there is nothing to do. */
START_TEST(S257_an_idle_store_notices_that_its_files_are_gone)
{
	static const char *const names[] = {"stagepost.db", "stagepost.db-wal"};

	for (size_t i = 0; i < 2; i++) {
		struct fixture f;

		fixture_open(&f);
		accept_queued(&f, 1);
		remove_file(&f, names[i]);
		for (int tries = 0; f.watch.fatal == 0; tries++) {
			ck_assert_int_lt(tries, 500);
			usleep(10000);
		}
		ck_assert(store_is_failed(f.store));
		ck_assert(!is_there(&f, names[i]));
		fixture_remove(&f);
	}
}
END_TEST

START_TEST(S257_a_store_without_its_files_acknowledges_nothing)
{
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	accept_queued(&f, 1);
	remove_file(&f, "stagepost.db");
	ck_assert_int_eq(accept_one(f.store, 1000, 1, 1, STATE_QUEUED, &id), ERR_FATAL);
	ck_assert_int_eq(f.watch.fatal, 1);
	fixture_remove(&f);
}
END_TEST

/* S257: an empty queue must not take the place of one with mail in it. */
START_TEST(S257_a_database_that_is_gone_is_not_replaced)
{
	struct fixture f;

	prepare(&f);
	overwrite(&f, "stagepost.db-wal", 0, "left over", 9);
	remove_file(&f, "stagepost.db");
	expect_refused(&f, ERR_FATAL, "is gone");
	ck_assert(!is_there(&f, "stagepost.db"));
	overwrite(&f, "stagepost.db", 0, "", 0); /* made, and empty */
	expect_refused(&f, ERR_FATAL, "is gone");
	ck_assert(is_there(&f, "stagepost.db-wal"));
	remove_file(&f, "stagepost.db-wal");
	/* As the sentence says. */
	remove_file(&f, "lock");
	fixture_reopen(&f);
	accept_queued(&f, 1);
	fixture_remove(&f);
}
END_TEST

/* S256, DESIGN 4.2: a reader that meets damage does not keep it to itself. */
START_TEST(S256_damage_that_a_reader_meets_is_fatal)
{
	char noise[4096];
	struct fixture f;
	struct ulid id;
	off_t root;

	memset(noise, 0xa5, sizeof(noise));
	fixture_open(&f);
	id = accept_queued(&f, 1);
	fixture_reopen(&f);
	ck_assert_int_eq(f.watch.fatal, 0);
	root = root_of(&f, "history");
	overwrite(&f, "stagepost.db", root, noise, sizeof(noise));
	{
		struct arena *arena = arena_new();
		struct message_view view;
		struct err why;

		ck_assert_int_eq(queue_message_show(f.reader, &id, arena, &view, &why), ERR_FATAL);
		ck_assert(strstr(why.text, "RECOVERY") != NULL);
		arena_free(&arena);
	}
	ck_assert_int_eq(f.watch.fatal, 1);
	ck_assert(store_is_failed(f.store));
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/check", a_whole_database, no_database, contradictions_are_named,
	  S259_damaged_pages_are_refused_and_left_alone,
	  S259_a_pattern_that_changed_by_itself_is_noticed,
	  S257_an_idle_store_notices_that_its_files_are_gone,
	  S257_a_store_without_its_files_acknowledges_nothing,
	  S257_a_database_that_is_gone_is_not_replaced, S256_damage_that_a_reader_meets_is_fatal)
