/*
 * tests queue/ on files that changed by themselves (S259): a clean refusal or right answers, never
 * a crash, never a wrong recipient. STAGEPOST_CORRUPT_ROUNDS makes it longer.
 */
#include <config.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/span.h"
#include "queue/check.h"
#include "queue/whitelist.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define MESSAGES   12
#define RECIPIENTS 3
#define PAGE	   4096

static const char *const file_names[] = {"stagepost.db", "stagepost.db-wal", "stagepost.db-shm",
					 "lock"};
enum { DATABASE, LOG, SHARED, LOCK, FILES };

struct image {
	char *bytes[FILES];
	size_t sizes[FILES];
};

/* What is true, by message. */
static struct ulid known[MESSAGES];
static unsigned long long state_of_chance = 88172645463325252ULL;

static unsigned long long chance(unsigned long long below)
{
	state_of_chance ^= state_of_chance << 13;
	state_of_chance ^= state_of_chance >> 7;
	state_of_chance ^= state_of_chance << 17;
	return state_of_chance % below;
}

static void path_of(const char *dir, int file, char path[128])
{
	snprintf(path, 128, "%s/%s", dir, file_names[file]);
}

static void load(const char *dir, struct image *image)
{
	for (int i = 0; i < FILES; i++) {
		char path[128];
		struct stat st;
		int fd;

		path_of(dir, i, path);
		fd = open(path, O_RDONLY);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(fstat(fd, &st), 0);
		image->sizes[i] = (size_t)st.st_size;
		image->bytes[i] = mem_alloc(image->sizes[i] + 1);
		ck_assert_int_eq(read(fd, image->bytes[i], image->sizes[i]), st.st_size);
		close(fd);
	}
}

/* Without the shared memory unless asked: SQLite makes it again, as after a boot. */
static void store_image(const char *dir, const struct image *image, bool with_shared)
{
	for (int i = 0; i < FILES; i++) {
		char path[128];
		int fd;

		path_of(dir, i, path);
		unlink(path);
		if (i == SHARED && !with_shared)
			continue;
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		ck_assert_int_eq(write(fd, image->bytes[i], image->sizes[i]),
				 (ssize_t)image->sizes[i]);
		close(fd);
	}
}

static void release(struct image *image)
{
	for (int i = 0; i < FILES; i++)
		mem_free(image->bytes[i]);
}

/* --- one look, in a process of its own --------------------------------------------------- */

enum ends { RIGHT = 0, REFUSED = 10, WRONG_RECIPIENT = 20, WRONG_LIST = 21, WRONG_CONTENT = 22 };

/* Messages have the numbers from 1 on in a database that is only theirs. */
static bool is_right(const char *address, int64_t recipient)
{
	char want[64];

	snprintf(want, sizeof(want), "r%d@example.com", (int)(recipient & 0xffff));
	return recipient >> 16 >= 1 && recipient >> 16 <= MESSAGES + 3 && address != NULL &&
	       strcmp(address, want) == 0;
}

static void claim_all(struct store *store)
{
	struct claim claim = {.now = NOW + 1000, .max_recipients = 1000, .lease_ms = 60000};
	struct err why;

	if (store_wait(store, queue_claim, &claim.job, &why) != ERR_OK)
		_exit(REFUSED);
	for (size_t m = 0; m < claim.message_count; m++)
		for (size_t r = 0; r < claim.messages[m].recipient_count; r++)
			if (!is_right(claim.messages[m].recipients[r].address,
				      claim.messages[m].recipients[r].id))
				_exit(WRONG_RECIPIENT);
	arena_free(&claim.arena);
}

static bool check_entry(void *ctx, const struct entry *entry)
{
	int *count = ctx;

	if (strcmp(entry->pattern, *count == 0 ? "kate@example.com" : "example.com") != 0 ||
	    entry->action != (*count == 0 ? ENTRY_DENY : ENTRY_ALLOW))
		_exit(WRONG_LIST);
	(*count)++;
	return true;
}

static void read_list(struct store_reader *reader)
{
	struct err why;
	int64_t revision;
	int count = 0;

	if (queue_whitelist_snapshot(reader, &revision, check_entry, &count, &why) != ERR_OK)
		_exit(REFUSED);
	/* A part of it would be no state that it ever had. */
	if (count == 1)
		_exit(WRONG_LIST);
	if (count == 0)
		_exit(REFUSED);
}

static void read_messages(struct store_reader *reader)
{
	for (int i = 0; i < MESSAGES; i++) {
		struct arena *arena = arena_new();
		struct message_view view;
		struct err why;
		int code = queue_message_show(reader, &known[i], arena, &view, &why);

		arena_free(&arena);
		if (code == ERR_OK)
			code = check_body(reader, &known[i], 1000 + 40000 * (i % 3), (unsigned)i);
		if (code == ERR_SYNTAX || code == ERR_LIMIT)
			_exit(WRONG_CONTENT);
		if (code != ERR_OK)
			_exit(REFUSED);
	}
}

static void look(const char *dir)
{
	struct store_options options = {.data_dir = dir};
	struct store_reader *reader = NULL;
	struct store *store = NULL;
	struct err why;

	if (store_open(&options, &store, &why) != ERR_OK)
		_exit(REFUSED);
	if (store_reader_open(store, &reader, &why) != ERR_OK)
		_exit(REFUSED);
	read_list(reader);
	claim_all(store);
	read_messages(reader);
	store_reader_close(&reader);
	store_close(&store);
	_exit(RIGHT);
}

struct tally {
	int right;
	int refused;
};

static void run(struct fixture *f, const struct image *image, const char *what, long long where,
		struct tally *tally)
{
	int status = 0;
	pid_t child;

	store_image(f->dir, image, where < 0);
	child = fork();
	if (child == 0)
		look(f->dir);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status), "%s at %lld: killed by signal %d", what, where,
		      WTERMSIG(status));
	switch (WEXITSTATUS(status)) {
	case RIGHT: tally->right++; break;
	case REFUSED: tally->refused++; break;
	default: ck_abort_msg("%s at %lld: exit %d", what, where, WEXITSTATUS(status));
	}
}

static int rounds(int normal)
{
	const char *text = getenv("STAGEPOST_CORRUPT_ROUNDS");

#ifdef __SANITIZE_THREAD__
	normal /= 8; /* each is a process of its own, and starts slowly there */
#endif
	return text != NULL ? atoi(text) : normal;
}

/* Everything in the database, or (`in_log`) the greater part in the log. */
static void prepare(struct fixture *f, struct image *image, bool in_log)
{
	fixture_open(f);
	if (in_log)
		fixture_reopen(f);
	run_sql(f->dir,
		"INSERT INTO whitelist(pattern, kind, action, scope, created_at, expires_at,"
		" revision) VALUES('kate@example.com', 1, 2, '', 1, 0, 1),"
		" ('example.com', 3, 1, '', 1, 0, 2)");
	for (int i = 0; i < MESSAGES; i++)
		ck_assert_int_eq(accept_one(f->store, 1000 + 40000 * (i % 3), (unsigned)i,
					    RECIPIENTS, STATE_QUEUED, &known[i]),
				 ERR_OK);
	if (in_log) {
		load(f->dir, image); /* as a kill would leave it */
		fixture_close(f);
	} else {
		fixture_close(f);
		load(f->dir, image);
	}
}

static void report(const char *what, const struct tally *tally)
{
	printf("# %s: %d right, %d refused\n", what, tally->right, tally->refused);
}

static void flip_bytes(bool in_log, int file, int count, const char *what)
{
	struct tally tally = {0};
	struct image image;
	struct fixture f;

	prepare(&f, &image, in_log);
	for (int i = 0; i < count; i++) {
		size_t at = chance(image.sizes[file]);
		char before = image.bytes[file][at];

		image.bytes[file][at] = (char)(before ^ (char)(1 + chance(255)));
		run(&f, &image, what, (long long)at, &tally);
		image.bytes[file][at] = before;
	}
	report(what, &tally);
	ck_assert_int_gt(tally.refused, 0);
	release(&image);
	fixture_remove(&f);
}

START_TEST(S259_a_byte_of_the_database)
{
	flip_bytes(false, DATABASE, rounds(250), "database");
}
END_TEST

/*
 * A log ends for SQLite where a checksum is wrong. What is behind is gone, but what is there is
 * right.
 */
START_TEST(S259_a_byte_of_the_log)
{
	flip_bytes(true, LOG, rounds(80), "log");
}
END_TEST

/* --- whole files -------------------------------------------------------------------------- */

static void replace(struct image *image, int file, const char *bytes, size_t size)
{
	mem_free(image->bytes[file]);
	image->bytes[file] = mem_alloc(size + 1);
	image->sizes[file] = size;
	memcpy(image->bytes[file], bytes, size);
}

START_TEST(S259_cut_at_each_page)
{
	struct tally tally = {0};
	struct image image;
	struct fixture f;
	size_t whole;

	prepare(&f, &image, false);
	whole = image.sizes[DATABASE];
	for (image.sizes[DATABASE] = 0; image.sizes[DATABASE] < whole;
	     image.sizes[DATABASE] += PAGE)
		run(&f, &image, "cut", (long long)image.sizes[DATABASE], &tally);
	report("cut", &tally);
	ck_assert_int_eq(tally.right, 0);
	release(&image);
	fixture_remove(&f);
}
END_TEST

/* Page 1 zeroed, another page size, a page zeroed. */
START_TEST(S259_pages_that_are_none)
{
	struct tally tally = {0};
	struct image image;
	struct fixture f;
	char saved[PAGE];

	prepare(&f, &image, false);
	for (size_t at = 0; at + PAGE <= image.sizes[DATABASE]; at += PAGE) {
		memcpy(saved, image.bytes[DATABASE] + at, PAGE);
		memset(image.bytes[DATABASE] + at, 0, PAGE);
		run(&f, &image, "zeroed page", (long long)at, &tally);
		memcpy(image.bytes[DATABASE] + at, saved, PAGE);
	}
	image.bytes[DATABASE][16] = 0x20; /* 8192 */
	run(&f, &image, "page size", 16, &tally);
	report("pages", &tally);
	ck_assert_int_gt(tally.refused, tally.right);
	release(&image);
	fixture_remove(&f);
}
END_TEST

/* A log that is noise is no log; the database beside it is as it was. */
START_TEST(S259_garbage_as_log_and_shared_memory)
{
	struct tally tally = {0};
	struct image image;
	struct fixture f;
	char noise[5 * PAGE];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)chance(256);
	prepare(&f, &image, false);
	replace(&image, LOG, noise, sizeof(noise));
	run(&f, &image, "noise as log", 0, &tally);
	replace(&image, LOG, "", 0);
	replace(&image, SHARED, noise, sizeof(noise));
	run(&f, &image, "noise as shared memory", -1, &tally);
	ck_assert_int_eq(tally.right, 2);
	release(&image);
	fixture_remove(&f);
}
END_TEST

/* Of another Stagepost: whole by itself, and full of other people's mail. */
START_TEST(S259_the_log_of_another_database)
{
	struct tally tally = {0};
	struct image image;
	struct image other;
	struct fixture f;
	struct fixture g;

	prepare(&g, &other, true);
	prepare(&f, &image, false);
	replace(&image, LOG, other.bytes[LOG], other.sizes[LOG]);
	run(&f, &image, "another log", 0, &tally);
	ck_assert_int_eq(tally.refused, 1);
	release(&image);
	release(&other);
	fixture_remove(&f);
	fixture_remove(&g);
}
END_TEST

/* S263: yesterday's copy is brought back, and today's log was left beside it. */
START_TEST(S263_the_log_of_a_later_state)
{
	struct tally tally = {0};
	struct image image;
	struct image later;
	struct fixture f;
	struct ulid id;

	prepare(&f, &image, false);
	fixture_reopen(&f);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(accept_one(f.store, 1000, i, 1, STATE_QUEUED, &id), ERR_OK);
		usleep(300000); /* the idle writer checkpoints */
	}
	load(f.dir, &later);
	/* The two that belong together are taken. */
	fixture_close(&f);
	run(&f, &later, "its own log", 0, &tally);
	ck_assert_int_eq(tally.refused, 0);
	replace(&image, LOG, later.bytes[LOG], later.sizes[LOG]);
	run(&f, &image, "a later log", 0, &tally);
	ck_assert_int_eq(tally.refused, 1);
	release(&image);
	release(&later);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/corrupt", S259_a_byte_of_the_database, S259_a_byte_of_the_log,
	  S259_cut_at_each_page, S259_pages_that_are_none, S259_garbage_as_log_and_shared_memory,
	  S259_the_log_of_another_database, S263_the_log_of_a_later_state)
