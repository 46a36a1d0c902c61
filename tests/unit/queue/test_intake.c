/* tests queue/whitelist_intake.c: a change of very many lines, in nobody's way and never in part */
#include <config.h>

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/whitelist.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define OLD   10   /* entries that are there before: ids 1 to OLD */
#define LINES 3000 /* of an intake: many steps of each kind */

/* --- an intake that replaces, removes and adds --------------------------------------------------
 */

struct sheet {
	struct whitelist_intake intake;
	struct whitelist_change changes[LINES];
	char patterns[LINES][32];
	int published;
	int64_t revision;
};

static struct entry entry_of(int64_t id, const char *pattern, const char *note)
{
	return (struct entry){.id = id,
			      .pattern = pattern,
			      .kind = ENTRY_EXACT,
			      .action = ENTRY_ALLOW,
			      .scope = "",
			      .note = note};
}

static void on_intake(void *ctx, void *prepared, const struct whitelist_change *changes,
		      size_t count, int64_t revision)
{
	struct sheet *sheet = prepared;

	(void)ctx;
	ck_assert_ptr_eq(changes, sheet->changes);
	ck_assert_uint_eq(count, LINES);
	sheet->published++;
	sheet->revision = revision;
}

static int apply_line(struct fixture *f, enum entry_operation operation, struct entry entry,
		      int64_t *id_out)
{
	struct whitelist_change change = {.operation = operation, .entry = entry};
	struct whitelist_apply apply = {.changes = &change,
					.count = 1,
					.expect_list_revision = -1,
					.actor = "somebody",
					.now = NOW};
	int code = store_wait(f->store, queue_whitelist_apply, &apply.job, NULL);

	if (id_out != NULL)
		*id_out = change.entry.id;
	return code;
}

/* old1 … oldN, in as many revisions. */
static void open_with_old(struct fixture *f)
{
	fixture_open_with(f, &(struct store_options){.on_intake = on_intake});
	for (int i = 1; i <= OLD; i++) {
		char pattern[32];

		snprintf(pattern, sizeof(pattern), "old%d@x.test", i);
		ck_assert_int_eq(apply_line(f, ENTRY_ADD, entry_of(0, pattern, NULL), NULL),
				 ERR_OK);
	}
}

/* Half of the old ones change, half go; the rest of the lines are new. */
static struct sheet *sheet_new(int64_t since)
{
	struct sheet *sheet = mem_zalloc(sizeof(*sheet));

	for (int i = 0; i < LINES; i++) {
		struct whitelist_change *change = &sheet->changes[i];
		bool is_old = i < OLD;

		snprintf(sheet->patterns[i], sizeof(sheet->patterns[i]),
			 is_old ? "old%d@x.test" : "new%d@x.test", i + 1);
		change->operation = !is_old	  ? ENTRY_ADD
				    : i < OLD / 2 ? ENTRY_REPLACE
						  : ENTRY_REMOVE;
		change->entry = entry_of(is_old ? i + 1 : 0, sheet->patterns[i], "from the sheet");
	}
	sheet->intake = (struct whitelist_intake){.changes = sheet->changes,
						  .count = LINES,
						  .since_revision = since,
						  .actor = "importer",
						  .now = NOW,
						  .prepared = sheet};
	return sheet;
}

static int write_sheet(struct store *store, struct sheet *sheet)
{
	int code = ERR_OK;

	while (code == ERR_OK && sheet->intake.written < LINES)
		code = store_wait(store, queue_whitelist_write, &sheet->intake.job, NULL);
	return code;
}

static int commit_sheet(struct store *store, struct sheet *sheet)
{
	int code;

	do {
		code = store_wait(store, queue_whitelist_commit, &sheet->intake.job, NULL);
	} while (code == ERR_OK && sheet->intake.again);
	return code;
}

/* --- the writer, held right behind a commit ------------------------------------------------------
 */

struct hold {
	sem_t entered;
	sem_t open;
};

static void stay(struct store_job *job)
{
	struct hold *hold = job->ctx;

	sem_post(&hold->entered);
	sem_wait(&hold->open);
	sem_post(&hold->entered);
}

static void hold_init(struct hold *hold)
{
	sem_init(&hold->entered, 0, 0);
	sem_init(&hold->open, 0, 0);
}

/* In force, and no line has moved yet, until it is let go. */
static void commit_and_hold(struct store *store, struct sheet *sheet, struct hold *hold)
{
	hold_init(hold);
	sheet->intake.job.done = stay;
	sheet->intake.job.ctx = hold;
	queue_whitelist_commit(store, &sheet->intake.job);
	sem_wait(&hold->entered);
	ck_assert_int_eq(sheet->intake.job.code, ERR_OK);
	ck_assert(!sheet->intake.again);
}

static void let_go(struct hold *hold)
{
	sem_post(&hold->open);
	sem_wait(&hold->entered);
}

static void wait_moved(struct fixture *f)
{
	for (int i = 0; i < 10000; i++) {
		if (ask_sql(f->dir, "SELECT count(*) FROM intake") == 0)
			return;
		usleep(1000);
	}
	ck_abort_msg("lines are still on their way");
}

/* --- what a reader sees --------------------------------------------------------------------------
 */

struct sight {
	size_t old_plain, old_changed, fresh, other;
	int64_t last_id;
	bool is_ascending;
	int64_t revision;
};

static bool look(void *ctx, const struct entry *entry)
{
	struct sight *sight = ctx;
	bool noted = entry->note != NULL && strcmp(entry->note, "from the sheet") == 0;

	if (strncmp(entry->pattern, "old", 3) == 0)
		(noted ? &sight->old_changed : &sight->old_plain)[0]++;
	else if (strncmp(entry->pattern, "new", 3) == 0 && noted &&
		 strcmp(entry->created_by, "importer") == 0 && entry->created_at == NOW)
		sight->fresh++;
	else
		sight->other++;
	sight->is_ascending &= entry->id > sight->last_id;
	sight->last_id = entry->id;
	return true;
}

static struct sight see_all(struct fixture *f)
{
	struct sight sight = {.is_ascending = true};

	ck_assert_int_eq(queue_whitelist_snapshot(f->reader, &sight.revision, look, &sight, NULL),
			 ERR_OK);
	return sight;
}

static struct sight see_pages(struct fixture *f)
{
	struct sight sight = {.is_ascending = true};
	int64_t before;

	do {
		struct whitelist_query query = {.limit = 700, .after_id = sight.last_id};

		before = sight.last_id;
		ck_assert_int_eq(queue_whitelist_list(f->reader, &query, &sight.revision, look,
						      &sight, NULL),
				 ERR_OK);
	} while (sight.last_id != before);
	ck_assert(sight.is_ascending);
	return sight;
}

static void expect_before(struct fixture *f)
{
	const struct sight sights[] = {see_all(f), see_pages(f)};

	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(sights[i].old_plain, OLD);
		ck_assert_uint_eq(sights[i].old_changed + sights[i].fresh + sights[i].other, 0);
		ck_assert_int_eq(sights[i].revision, OLD);
	}
}

static void expect_after(struct fixture *f)
{
	const struct sight sights[] = {see_all(f), see_pages(f)};

	for (size_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(sights[i].old_plain + sights[i].other, 0);
		ck_assert_uint_eq(sights[i].old_changed, OLD / 2);
		ck_assert_uint_eq(sights[i].fresh, LINES - OLD);
		ck_assert_int_eq(sights[i].revision, OLD + 1);
	}
}

static bool keep_note(void *ctx, const struct entry *entry)
{
	snprintf(ctx, 32, "%s", entry->note != NULL ? entry->note : "");
	return true;
}

static void expect_entry(struct fixture *f, int64_t id, const char *note)
{
	char text[32] = "missing";
	int code = queue_whitelist_get(f->reader, id, keep_note, text, NULL);

	ck_assert_int_eq(code, note != NULL ? ERR_OK : ERR_NOT_FOUND);
	ck_assert_str_eq(text, note != NULL ? note : "missing");
}

static const struct entry *wanted(void *ctx, size_t i)
{
	struct sheet *sheet = ctx;

	return &sheet->changes[i].entry;
}

static size_t matched;

static void on_row(void *ctx, size_t i, const struct entry *present)
{
	struct sheet *sheet = ctx;
	bool is_gone = sheet->changes[i].operation == ENTRY_REMOVE;

	ck_assert_int_eq(present == NULL, is_gone);
	if (present != NULL)
		ck_assert_int_eq(present->id, sheet->changes[i].entry.id);
	matched++;
}

static void expect_matches(struct fixture *f, struct sheet *sheet)
{
	struct whitelist_match match = {
		.count = LINES, .wanted = wanted, .row = on_row, .ctx = sheet};
	int64_t revision;

	matched = 0;
	ck_assert_int_eq(queue_whitelist_match(f->reader, &match, &revision, NULL), ERR_OK);
	ck_assert_uint_eq(matched, LINES);
}

/* --- tests ---------------------------------------------------------------------------------------
 */

START_TEST(nobody_sees_it_before_and_everybody_all_of_it_after)
{
	struct sheet *sheet = sheet_new(OLD);
	struct fixture f;
	struct hold hold;

	open_with_old(&f);
	ck_assert_int_eq(write_sheet(f.store, sheet), ERR_OK);
	expect_before(&f);
	expect_entry(&f, sheet->changes[LINES - 1].entry.id, NULL);

	commit_and_hold(f.store, sheet, &hold);
	ck_assert_int_eq(sheet->published, 1);
	ck_assert_int_eq(sheet->revision, OLD + 1);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM intake_line"), LINES);
	for (int round = 0; round < 2; round++) { /* none has moved; all have */
		expect_after(&f);
		expect_matches(&f, sheet);
		expect_entry(&f, 1, "from the sheet");
		expect_entry(&f, OLD, NULL);
		expect_entry(&f, sheet->changes[LINES - 1].entry.id, "from the sheet");
		if (round == 0)
			let_go(&hold);
		wait_moved(&f);
	}
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM intake_line"), 0);
	fixture_remove(&f);
	mem_free(sheet);
}
END_TEST

/* As the trail of a change in one piece has it: in its place, also of what comes between. */
START_TEST(the_trail_is_that_of_one_change)
{
	struct sheet *sheet = sheet_new(OLD);
	struct fixture f;
	struct hold hold;

	open_with_old(&f);
	ck_assert_int_eq(write_sheet(f.store, sheet), ERR_OK);
	commit_and_hold(f.store, sheet, &hold);
	let_go(&hold);
	ck_assert_int_eq(apply_line(&f, ENTRY_ADD, entry_of(0, "later@x.test", NULL), NULL),
			 ERR_OK);
	wait_moved(&f);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE revision = 11 AND at ="
					" 1800000000000 AND actor = 'importer' AND subject LIKE"
					" '%@x.test'"),
			 LINES);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(DISTINCT entry) FROM audit"
					" WHERE revision = 11"),
			 LINES);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action ="
					" 'whitelist.replace' AND before ->> 'note' IS NULL"
					" AND after ->> 'note' = 'from the sheet'"),
			 OLD / 2);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action ="
					" 'whitelist.remove' AND after IS NULL AND before ->>"
					" 'pattern' = subject"),
			 OLD / 2);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT (SELECT max(id) FROM audit WHERE revision = 11)"
					" < (SELECT id FROM audit WHERE revision = 12)"),
			 1);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM whitelist WHERE revision = 11"),
			 LINES - OLD / 2);
	fixture_remove(&f);
	mem_free(sheet);
}
END_TEST

/* Whoever changes one entry meanwhile meets the list as it is in force, moved or not. */
START_TEST(single_changes_meet_lines_that_are_on_their_way)
{
	struct sheet *sheet = sheet_new(OLD);
	struct entry_hits hits = {.hits = 3, .last_hit_at = NOW};
	struct whitelist_hits count = {.hits = &hits, .count = 1};
	struct whitelist_change removal = {.operation = ENTRY_REMOVE};
	struct whitelist_apply remove = {
		.changes = &removal, .count = 1, .expect_list_revision = -1, .now = NOW};
	struct hold removed;
	struct fixture f;
	struct hold hold;
	int64_t last;
	int64_t id;

	open_with_old(&f);
	ck_assert_int_eq(write_sheet(f.store, sheet), ERR_OK);
	last = sheet->changes[LINES - 1].entry.id;
	/* Added by it, the last to move: removed before it has, the same again, changed, hit. */
	removal.entry.id = last;
	hold_init(&removed);
	commit_and_hold(f.store, sheet, &hold);
	remove.job.done = stay;
	remove.job.ctx = &removed;
	queue_whitelist_apply(f.store, &remove.job);
	let_go(&hold);
	sem_wait(&removed.entered);
	ck_assert_int_eq(remove.job.code, ERR_OK);
	ck_assert_int_gt(ask_sql(f.dir, "SELECT count(*) FROM intake_line"), LINES / 2);
	expect_entry(&f, last, NULL);
	let_go(&removed);
	ck_assert_int_eq(
		apply_line(&f, ENTRY_ADD, entry_of(0, sheet->patterns[LINES - 2], NULL), NULL),
		ERR_CONFLICT);
	ck_assert_int_eq(apply_line(&f, ENTRY_REPLACE,
				    entry_of(last - 1, sheet->patterns[LINES - 2], "mine"), NULL),
			 ERR_OK);
	expect_entry(&f, last - 1, "mine");
	hits.id = last - 2;
	ck_assert_int_eq(store_wait(f.store, queue_whitelist_hits, &count.job, NULL), ERR_OK);
	/* Removed by it: gone, and its pattern is free. */
	ck_assert_int_eq(apply_line(&f, ENTRY_REMOVE, entry_of(OLD, NULL, NULL), NULL),
			 ERR_NOT_FOUND);
	ck_assert_int_eq(apply_line(&f, ENTRY_ADD, entry_of(0, "old9@x.test", NULL), &id), ERR_OK);
	wait_moved(&f);
	expect_entry(&f, last, NULL);
	expect_entry(&f, last - 1, "mine");
	expect_entry(&f, id, "");
	ck_assert_int_eq(ask_sql(f.dir, "SELECT sum(hits) FROM whitelist"), 3);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM whitelist"),
			 LINES - OLD / 2); /* one less, one more */
	fixture_remove(&f);
	mem_free(sheet);
}
END_TEST

START_TEST(what_ends_together_is_written_down_some_at_a_time)
{
	struct sheet *sheet = sheet_new(OLD);
	struct whitelist_expire expire = {.now = NOW + 10};
	size_t over = 0;
	struct fixture f;

	open_with_old(&f);
	for (int i = OLD; i < LINES; i++)
		sheet->changes[i].entry.expires_at = NOW + 5;
	ck_assert_int_eq(write_sheet(f.store, sheet), ERR_OK);
	ck_assert_int_eq(commit_sheet(f.store, sheet), ERR_OK);
	do {
		ck_assert_int_eq(store_wait(f.store, queue_whitelist_expire, &expire.job, NULL),
				 ERR_OK);
		ck_assert_uint_le(expire.expired, 500);
		over += expire.expired;
	} while (expire.next_at != 0);
	ck_assert_uint_eq(over, LINES - OLD);
	fixture_remove(&f);
	mem_free(sheet);
}
END_TEST

/* Two from one list: the first one stands, the other one is not mixed into it. */
START_TEST(of_two_at_once_the_second_is_stale)
{
	struct sheet *one = sheet_new(OLD);
	struct sheet *two = sheet_new(OLD);
	struct fixture f;

	open_with_old(&f);
	ck_assert_int_eq(write_sheet(f.store, one), ERR_OK);
	ck_assert_int_eq(write_sheet(f.store, two), ERR_OK);
	ck_assert_int_ne(one->changes[OLD].entry.id, two->changes[OLD].entry.id);
	ck_assert_int_eq(commit_sheet(f.store, one), ERR_OK);
	ck_assert_int_eq(commit_sheet(f.store, two), ERR_STALE);
	ck_assert_int_eq(two->published, 0);
	ck_assert_int_eq(store_wait(f.store, queue_whitelist_give_up, &two->intake.job, NULL),
			 ERR_OK);
	wait_moved(&f);
	expect_after(&f);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM intake_line"), 0);
	fixture_remove(&f);
	mem_free(one);
	mem_free(two);
}
END_TEST

/* One behind another, while lines of the first still move. */
START_TEST(the_next_one_waits_for_the_lines_of_the_last)
{
	struct sheet *one = sheet_new(OLD);
	struct sheet *two = mem_zalloc(sizeof(*two));
	struct fixture f;

	open_with_old(&f);
	ck_assert_int_eq(write_sheet(f.store, one), ERR_OK);
	ck_assert_int_eq(commit_sheet(f.store, one), ERR_OK);
	for (int i = 0; i < LINES; i++)
		two->changes[i] =
			i < OLD ? (struct whitelist_change){.operation = ENTRY_ADD,
							    .entry = one->changes[i].entry}
				: (struct whitelist_change){.operation = ENTRY_REMOVE,
							    .entry = one->changes[i].entry};
	for (int i = 0; i < OLD; i++) {
		snprintf(two->patterns[i], sizeof(two->patterns[i]), "third%d@x.test", i);
		two->changes[i].entry.pattern = two->patterns[i];
	}
	two->intake = one->intake;
	two->intake.changes = two->changes;
	two->intake.since_revision = OLD + 1;
	two->intake.prepared = two;
	two->intake.id = 0;
	two->intake.written = 0;
	ck_assert_int_eq(write_sheet(f.store, two), ERR_OK);
	ck_assert_int_eq(commit_sheet(f.store, two), ERR_OK);
	ck_assert_int_eq(two->revision, OLD + 2);
	wait_moved(&f);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM whitelist"), OLD / 2 + OLD);
	fixture_remove(&f);
	mem_free(one);
	mem_free(two);
}
END_TEST

static const struct meanwhile {
	const char *name;
	bool is_exclusive;
	enum entry_operation operation;
	int64_t id;
	const char *pattern;
	int want;
} meanwhiles[] = {
	{"something else is added", false, ENTRY_ADD, 0, "other@x.test", ERR_OK},
	{"nothing else may be", true, ENTRY_ADD, 0, "other@x.test", ERR_STALE},
	{"what it adds is added", false, ENTRY_ADD, 0, "new20@x.test", ERR_STALE},
	{"what it replaces is removed", false, ENTRY_REMOVE, 1, NULL, ERR_STALE},
	{"what it removes is changed", false, ENTRY_REPLACE, OLD, "old10@x.test", ERR_STALE},
	{"what it replaces is renamed", false, ENTRY_REPLACE, 2, "gone@x.test", ERR_STALE},
	{"to what it adds", false, ENTRY_REPLACE, OLD, "new30@x.test", ERR_STALE},
};

static void change_meanwhile(const struct meanwhile *m)
{
	struct sheet *sheet = sheet_new(OLD);
	struct fixture f;

	open_with_old(&f);
	sheet->intake.is_exclusive = m->is_exclusive;
	ck_assert_int_eq(write_sheet(f.store, sheet), ERR_OK);
	ck_assert_int_eq(apply_line(&f, m->operation, entry_of(m->id, m->pattern, NULL), NULL),
			 ERR_OK);
	ck_assert_msg(commit_sheet(f.store, sheet) == m->want, "%s: %s", m->name,
		      sheet->intake.job.why.text);
	ck_assert_int_eq(sheet->published, m->want == ERR_OK);
	fixture_remove(&f);
	mem_free(sheet);
}

START_TEST(a_change_meanwhile)
{
	for (size_t i = 0; i < sizeof(meanwhiles) / sizeof(meanwhiles[0]); i++)
		change_meanwhile(&meanwhiles[i]);
}
END_TEST

/* The list has changed before the lines are written: seen there, whatever its revision. */
START_TEST(lines_that_do_not_fit_are_refused)
{
	struct fixture f;

	open_with_old(&f);
	for (int what = 0; what < 3; what++) {
		struct sheet *sheet = sheet_new(OLD);

		if (what == 0)
			sheet->changes[OLD + 5].entry.pattern = "old1@x.test";
		else
			sheet->changes[what == 1 ? 0 : OLD - 1].entry.id = 999;
		ck_assert_int_eq(write_sheet(f.store, sheet), ERR_STALE);
		ck_assert_int_eq(
			store_wait(f.store, queue_whitelist_give_up, &sheet->intake.job, NULL),
			ERR_OK);
		mem_free(sheet);
	}
	wait_moved(&f);
	expect_before(&f);
	fixture_remove(&f);
}
END_TEST

/* --- kill -9 -------------------------------------------------------------------------------------
 */

enum moment { WHILE_WRITTEN, WRITTEN, IN_FORCE, WHILE_MOVING };

static void live_until(const char *dir, enum moment moment)
{
	struct store_options options = {.data_dir = dir, .on_intake = on_intake};
	struct sheet *sheet = sheet_new(OLD);
	struct store *store;
	struct hold hold;

	if (store_open(&options, &store, NULL) != ERR_OK)
		_exit(2);
	if (moment == WHILE_WRITTEN)
		(void)store_wait(store, queue_whitelist_write, &sheet->intake.job, NULL);
	else
		(void)write_sheet(store, sheet);
	if (moment == IN_FORCE || moment == WHILE_MOVING)
		commit_and_hold(store, sheet, &hold);
	if (moment == WHILE_MOVING) {
		let_go(&hold);
		usleep(5000);
	}
	kill(getpid(), SIGKILL);
}

static void kill_and_look(enum moment moment)
{
	struct fixture f;
	pid_t child;
	int status;

	open_with_old(&f);
	fixture_close(&f);
	child = fork();
	if (child == 0)
		live_until(f.dir, moment);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	fixture_reopen(&f);
	for (int round = 0; round < 2; round++) { /* at once, and when it is all tidied up */
		if (moment < IN_FORCE)
			expect_before(&f);
		else
			expect_after(&f);
		wait_moved(&f);
	}
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM intake_line"), 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE revision = 11"),
			 moment < IN_FORCE ? 0 : LINES);
	fixture_remove(&f);
}

START_TEST(a_kill_leaves_the_old_list_or_the_new_one)
{
	for (enum moment moment = WHILE_WRITTEN; moment <= WHILE_MOVING; moment++)
		kill_and_look(moment);
}
END_TEST

UNIT_MAIN("queue/intake", nobody_sees_it_before_and_everybody_all_of_it_after,
	  the_trail_is_that_of_one_change, single_changes_meet_lines_that_are_on_their_way,
	  what_ends_together_is_written_down_some_at_a_time, of_two_at_once_the_second_is_stale,
	  the_next_one_waits_for_the_lines_of_the_last, a_change_meanwhile,
	  lines_that_do_not_fit_are_refused, a_kill_leaves_the_old_list_or_the_new_one)
