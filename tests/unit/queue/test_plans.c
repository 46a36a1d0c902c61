/* tests queue/: what a verb costs does not depend on how much is stored (S267) */
#include <config.h>

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/connection.h"
#include "queue/seen.h"
#include "queue/token.h"
#include "queue/webhook.h"
#include "queue/whitelist.h"
#include "queue/writer.h"
#include "queue/screen.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static void fill(struct fixture *f, int messages)
{
	char sql[1200];

	snprintf(sql, sizeof(sql),
		 "BEGIN; CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i"
		 " + 1 FROM c WHERE i < %d) SELECT i FROM c;"
		 "INSERT INTO message SELECT i, randomblob(16), i, 'app@example.org', 4096, 100, 1,"
		 " 0, 0, NULL, NULL, 0, 0, 'l', '', '192.0.2.1', 1, NULL, 'helo', 'ESMTP', NULL,"
		 " NULL, 'subject', '<m@x>', 'Received: x', NULL, NULL, NULL, NULL, NULL, NULL,"
		 " NULL, NULL, NULL FROM n;"
		 "INSERT INTO recipient(id, address, state, accepted_state, due_at, waiting_since,"
		 " updated_at, verdict, verdict_reason) SELECT i << 16, 'user' || i ||"
		 " '@example.com', 2, 2, 1000000 + i, i, i, 'deliver', 'allowed by example.com'"
		 " FROM n; COMMIT",
		 messages);
	fixture_close(f);
	run_sql(f->dir, sql);
	fixture_reopen(f);
}

/* Every statement that a connection has prepared and that reads a table from end to end. */
static void expect_no_scans(sqlite3 *handle, const char *const *allowed, size_t allowed_count)
{
	sqlite3_stmt *statement = NULL;
	int looked = 0;

	while ((statement = sqlite3_next_stmt(handle, statement)) != NULL) {
		char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sqlite3_sql(statement));
		sqlite3_stmt *plan = NULL;
		bool may = false;

		for (size_t i = 0; i < allowed_count; i++)
			may |= strstr(sqlite3_sql(statement), allowed[i]) != NULL;
		ck_assert_int_eq(sqlite3_prepare_v2(handle, sql, -1, &plan, NULL), SQLITE_OK);
		while (sqlite3_step(plan) == SQLITE_ROW) {
			const char *detail = (const char *)sqlite3_column_text(plan, 3);

			ck_assert_msg(may || strncmp(detail, "SCAN ", 5) != 0 ||
					      strstr(detail, "USING ") != NULL ||
					      strstr(detail, "CONSTANT") != NULL,
				      "%s: %s", detail, sqlite3_sql(statement));
			ck_assert_msg(may || strstr(detail, "TEMP B-TREE") == NULL, "%s: %s",
				      detail, sqlite3_sql(statement));
		}
		sqlite3_finalize(plan);
		sqlite3_free(sql);
		looked++;
	}
	ck_assert_int_gt(looked, 3);
}

static bool ignore_entry(void *ctx, const struct entry *entry)
{
	(void)ctx;
	(void)entry;
	return true;
}

static bool ignore_past(void *ctx, const struct whitelist_past *past)
{
	(void)ctx;
	(void)past;
	return true;
}

static bool ignore_seen(void *ctx, const struct seen_row *seen)
{
	(void)ctx;
	(void)seen;
	return true;
}

/* Advice and the history of the list: each in every form that has a statement of its own. */
static void read_about_list(struct fixture *f)
{
	struct whitelist_past_query past = {.limit = 5};
	struct seen_query seen = {.since = 1};
	int64_t count;

	ck_assert_int_eq(queue_whitelist_history(f->reader, &past, ignore_past, NULL, NULL),
			 ERR_OK);
	past.entry = 1;
	ck_assert_int_eq(queue_whitelist_history(f->reader, &past, ignore_past, NULL, NULL),
			 ERR_OK);
	ck_assert_int_eq(queue_seen_count(f->reader, &seen, &count, NULL), ERR_OK);
	ck_assert_int_eq(queue_seen_each(f->reader, &seen, ignore_seen, NULL, NULL), ERR_OK);
	seen.address = "a@b.test";
	ck_assert_int_eq(queue_seen_each(f->reader, &seen, ignore_seen, NULL, NULL), ERR_OK);
}

static bool let_go(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	(void)ctx;
	(void)subject;
	*ruling_out = (struct ruling){"deliver", "test", 1, 1, NULL, NULL};
	return true;
}

/* Each verb once, so that each statement is there to be looked at. */
static void use_everything(struct fixture *f)
{
	struct act_judge judge = {let_go, NULL};
	struct act act = {.judge = &judge};
	struct pause pause = {.paused = true, .now = NOW};
	struct offered_slot slots[OFFERED_SLOTS_MAX] = {{1, 1}};
	struct offered offered = {.now = NOW, .slots = slots};
	struct whitelist_change change = {
		.operation = ENTRY_ADD,
		.entry = {.pattern = "a@b.test", .kind = 1, .action = 1, .scope = ""}};
	struct whitelist_apply apply = {
		.changes = &change, .count = 1, .expect_list_revision = -1, .now = NOW};
	struct whitelist_expire expire = {.now = NOW};
	struct seen_save save = {.now = NOW};
	struct token_create create = {.token = {.name = "x", .role = ROLE_ADMIN, .scope = ""},
				      .now = NOW};
	struct message_delete removal = {.now = NOW};
	struct unpark unpark = {.parked = "default", .now = NOW, .max = 2};
	struct unpark others = {.now = NOW, .max = 2};
	struct settlement parked = {
		.outcome = TRANSITION_UNCLAIM, .next_attempt_at = NOW + 5, .parked = "default"};
	struct settle park = {.now = NOW, .settlements = &parked, .count = 1};
	struct recipient_query newest = {.limit = 2};
	int64_t ids[2];
	struct act_step step = {.transition = TRANSITION_RELEASE,
				.judge = &judge,
				.to = "qa@team.test",
				.recipients = ids};
	struct ulid id;
	struct claim claim;

	ck_assert_int_eq(accept_one(f->store, 600000, 0, 2, STATE_HELD, &id), ERR_OK);
	ck_assert_int_eq(act_on(f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	claim = claim_at(f, NOW, 4);
	settle_as(f, claim.messages[0].recipients[0].id, claim.messages[0].recipients[0].lease,
		  TRANSITION_DEFER);
	settle_as(f, claim.messages[1].recipients[0].id, claim.messages[1].recipients[0].lease,
		  TRANSITION_UNCLAIM);
	parked.recipient = claim.messages[2].recipients[0].id;
	parked.lease = claim.messages[2].recipients[0].lease;
	ck_assert_int_eq(store_wait(f->store, queue_settle, &park.job, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_unpark, &unpark.job, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_unpark, &others.job, NULL), ERR_OK);
	arena_free(&claim.arena);
	ck_assert_int_eq(store_wait(f->store, queue_pause, &pause.job, NULL), ERR_OK);
	for (offered.what = OFFERED_LOAD; offered.what <= OFFERED_CLEAR; offered.what++)
		ck_assert_int_eq(store_wait(f->store, queue_offered, &offered.job, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_whitelist_apply, &apply.job, NULL), ERR_OK);
	change.operation = ENTRY_REPLACE;
	ck_assert_int_eq(store_wait(f->store, queue_whitelist_apply, &apply.job, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_whitelist_expire, &expire.job, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_seen_save, &save.job, NULL), ERR_OK);
	change.operation = ENTRY_REMOVE;
	ck_assert_int_eq(store_wait(f->store, queue_whitelist_apply, &apply.job, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_token_create, &create.job, NULL), ERR_OK);
	ck_assert_int_eq(accept_one(f->store, 10, 0, 2, STATE_HELD, &id), ERR_OK);
	ck_assert_int_eq(queue_recipient_ids(f->reader, &newest, ids, &step.count, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_act_step, &step.job, NULL), ERR_OK);
	removal.message = id;
	ck_assert_int_eq(store_wait(f->store, queue_message_delete, &removal.job, NULL), ERR_OK);
}

/* A change of many lines: written, in force, moved, with a single one between; and one given up. */
static void use_intake(struct fixture *f)
{
	for (int round = 0; round < 2; round++) {
		struct whitelist_change changes[] = {
			{.operation = ENTRY_ADD,
			 .entry = {.pattern = round == 0 ? "c@b.test" : "d@b.test",
				   .kind = 1,
				   .action = 1,
				   .scope = ""}}};
		struct whitelist_intake intake = {.changes = changes, .count = 1, .now = NOW};

		ck_assert_int_eq(store_wait(f->store, queue_whitelist_write, &intake.job, NULL),
				 ERR_OK);
		ck_assert_int_eq(
			store_wait(f->store,
				   round == 0 ? queue_whitelist_commit : queue_whitelist_give_up,
				   &intake.job, NULL),
			ERR_OK);
		while (ask_sql(f->dir, "SELECT count(*) FROM intake") > 0)
			usleep(1000);
	}
}

static void use_screening(struct fixture *f)
{
	struct new_recipient target = {
		.address = "qa@team.test", .state = STATE_QUEUED, .ruling = {.verdict = "deliver"}};
	struct screen_claim claim = {.now = NOW, .max_recipients = 10};
	struct screen_outcome outcomes[2] = {
		{.outcome = TRANSITION_UNCLAIM, .ask_at = NOW, .in_vain = true, .reason = "x"},
		{.outcome = TRANSITION_REDIRECT,
		 .verdict = "redirect",
		 .reason = "x",
		 .redirect = &target}};
	struct screen_settle settle = {.now = NOW, .outcomes = outcomes, .count = 2};
	struct ulid id;

	ck_assert_int_eq(accept_one(f->store, 10, 0, 2, STATE_SCREENING, &id), ERR_OK);
	ck_assert_int_eq(store_wait(f->store, queue_screen_claim, &claim.job, NULL), ERR_OK);
	ck_assert_uint_eq(claim.message_count, 1);
	for (size_t i = 0; i < 2; i++) {
		outcomes[i].recipient = claim.messages[0].recipients[i].id;
		outcomes[i].lease = claim.messages[0].recipients[i].lease;
	}
	ck_assert_int_eq(store_wait(f->store, queue_screen_settle, &settle.job, NULL), ERR_OK);
	ck_assert_uint_eq(settle.lost, 0);
	arena_free(&claim.arena);
}

static void write_body(const struct ulid *id, enum webhook_event event, const struct news *news,
		       struct buf *body_out)
{
	(void)id;
	(void)event;
	(void)news;
	ck_assert_int_eq(buf_append_text(body_out, "{}"), ERR_OK);
}

static int64_t first_call(struct fixture *f, const char *which)
{
	char sql[100];

	snprintf(sql, sizeof(sql), "SELECT %s(id) FROM webhook_call", which);
	return ask_sql(f->dir, sql);
}

/* Calls come, are sent, put off, dead, acted upon; and their target goes. */
static void use_webhooks(struct fixture *f)
{
	const struct webhook_target target = {"a", 1U << WEBHOOK_HELD, "", 100, 1};
	struct webhook_set set = {.targets = {&target, 1, write_body}};
	struct webhook_outcome outcomes[4] = {
		{.sent = true}, {.due_at = NOW}, {.id = 0}, {.id = 0}};
	struct webhook_settle settle = {
		.target = "a", .outcomes = outcomes, .count = 4, .now = NOW};
	struct webhook_prune prune = {.before = 1};

	ck_assert_int_eq(store_wait(f->store, queue_webhook_set, &set.job, NULL), ERR_OK);
	accept_as(f, 5, STATE_HELD);
	for (size_t i = 0; i < 4; i++)
		outcomes[i].id = first_call(f, "min") + (int64_t)i;
	ck_assert_int_eq(store_wait(f->store, queue_webhook_settle, &settle.job, NULL), ERR_OK);
	for (int round = 0; round < 4; round++) {
		struct webhook_act act = {.drop = round % 2 == 1,
					  .id = round < 2 ? 0 : first_call(f, "max"),
					  .now = NOW};
		int code = store_wait(f->store, queue_webhook_act, &act.job, NULL);

		ck_assert(code == ERR_OK || code == ERR_NOT_FOUND);
	}
	ck_assert_int_eq(store_wait(f->store, queue_webhook_prune, &prune.job, NULL), ERR_OK);
	set.targets.count = 0;
	ck_assert_int_eq(store_wait(f->store, queue_webhook_set, &set.job, NULL), ERR_OK);
}

static bool ignore_call(void *ctx, const struct webhook_call *call)
{
	(void)ctx;
	(void)call;
	return true;
}

static void read_webhooks(struct fixture *f, struct arena *arena)
{
	struct webhook_call *calls, call;
	size_t count;
	int64_t at;

	ck_assert_int_eq(queue_webhook_due(f->reader, "a", NOW, 10, arena, &calls, &count, NULL),
			 ERR_OK);
	ck_assert_int_eq(queue_webhook_next(f->reader, "a", NOW, &at, NULL), ERR_OK);
	ck_assert_int_eq(queue_webhook_dead(f->reader, "a", 0, 10, ignore_call, NULL, NULL),
			 ERR_OK);
	ck_assert_int_eq(queue_webhook_dead(f->reader, NULL, 0, 10, ignore_call, NULL, NULL),
			 ERR_OK);
	ck_assert_int_eq(queue_webhook_get(f->reader, 1, arena, &call, NULL), ERR_NOT_FOUND);
}

/* The writer's statements are the writer thread's: they are looked at there. */
static int run_look(struct store *store, struct store_job *job)
{
	/* Once at start. */
	static const char *const allowed[] = {
		"SELECT state, count(*) FROM recipient GROUP BY state",
		"SELECT count(*), coalesce(sum(CASE",
		"SELECT id, lease FROM recipient WHERE lease IS NOT NULL",
		"SELECT kind, number FROM tally",
		"SELECT route, paused_at, actor, reason FROM pause",
		"SELECT minute, recipients FROM offered",
		"SELECT message FROM staging",
		/* The recipients of one message. */
		"WHERE id >= ?1 AND id < ?2 GROUP BY state",
		"WHERE id >= ?1 AND id < ?2 GROUP BY address COLLATE NOCASE",
		"SELECT json_group_array(address)",
		/* A few tables; the lines of one step. */
		"sqlite_sequence",
		"FROM (SELECT entry FROM intake_line WHERE intake = ?1 ORDER BY entry LIMIT ?2)",
		"row_number() OVER (ORDER BY l.entry)",
	};

	(void)job;
	expect_no_scans(store->db.handle, allowed, sizeof(allowed) / sizeof(allowed[0]));
	return ERR_OK;
}

static void look(struct store *store, struct store_job *job)
{
	static const struct store_verb verb = {.name = "look", .run = run_look};

	writer_submit(store, job, &verb);
}

/* Two blocks of the index, and one of them once more. */
static void use_indexer(struct fixture *f)
{
	for (int round = 0; round < 2; round++) {
		while (store_unindexed(f->store) > 2048 + 512 ||
		       ask_sql(f->dir, "SELECT count(*) FROM search_block WHERE stale = 0") < 2)
			usleep(1000);
		fixture_close(f);
		run_sql(f->dir, "UPDATE search_block SET stale = 1 WHERE block = 0");
		fixture_reopen(f);
	}
}

START_TEST(S267_no_verb_of_the_writer_scans_a_table)
{
	struct store_job job = {.code = 0};
	struct fixture f;

	fixture_open(&f);
	fill(&f, 5000);
	use_indexer(&f);
	use_everything(&f);
	use_screening(&f);
	use_intake(&f);
	use_webhooks(&f);
	ck_assert_int_eq(store_wait(f.store, look, &job, NULL), ERR_OK);
	fixture_remove(&f);
}
END_TEST

/* By texts, states and times, and by what is not in the index. */
static void search_for_everything(struct fixture *f)
{
	static const struct message_query queries[] = {
		{.subject = "sub ject", .from = "app", .to = "user"},
		{.q = "app xyzzy", .since = 1, .until = 4000},
		{.q = "ab"},
		{.q = "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		{.state = STATE_QUEUED, .q = "user"},
		{.state = STATE_DELIVERING},
		{.state = STATE_HELD, .since = 5},
	};

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct recipient_query recipients = {.message = queries[i]};
		struct arena *arena = arena_new();
		struct recipient_page rows;
		struct message_page views;

		ck_assert_int_eq(queue_message_list(f->reader, &queries[i], arena, &views, NULL),
				 ERR_OK);
		ck_assert_int_eq(queue_recipient_list(f->reader, &recipients, arena, &rows, NULL),
				 ERR_OK);
		arena_free(&arena);
	}
}

START_TEST(S267_no_page_sorts_or_scans)
{
	static const char *const allowed[] = {
		"WHERE id >= ?1 AND id < ?2 GROUP BY state",
		" FROM seen WHERE at >= ?1", /* it holds SEEN_MAX rows at most */
		/* Nobody has more of them than workers. */
		"WHERE lease IS NOT NULL AND state = ?1 AND id < ?2",
	};
	struct recipient_query recipients = {.limit = 5};
	struct message_query messages = {.limit = 5};
	struct whitelist_query entries = {.limit = 5};
	struct arena *arena = arena_new();
	const struct addressee *addressees;
	struct recipient_page rows;
	struct message_page views;
	struct fixture f;
	struct ulid id;
	int64_t revision;
	size_t count;

	fixture_open(&f);
	fill(&f, 5000);
	use_indexer(&f);
	id = accept_queued(&f, 1);
	show(&f, &id, arena);
	check_body(f.reader, &id, 4096, 1);
	ck_assert_int_eq(queue_message_list(f.reader, &messages, arena, &views, NULL), ERR_OK);
	ck_assert_int_eq(queue_recipient_list(f.reader, &recipients, arena, &rows, NULL), ERR_OK);
	ck_assert_int_eq(queue_message_addressees(f.reader, &id, arena, &addressees, &count, NULL),
			 ERR_OK);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(
		queue_whitelist_list(f.reader, &entries, &revision, ignore_entry, NULL, NULL),
		ERR_OK);
	read_about_list(&f);
	read_webhooks(&f, arena);
	search_for_everything(&f);
	expect_no_scans(reader_db(f.reader)->handle, allowed, 3);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* Steps of SQLite's machine for one claim of 50: a measure that no other load disturbs. */
static int64_t claim_steps(struct fixture *f, int64_t *us_out)
{
	sqlite3_stmt *statement = NULL;
	int64_t started = clock_mono_us();
	int64_t steps = 0;
	struct claim claim;

	claim = claim_at(f, NOW, 50);
	*us_out = clock_mono_us() - started;
	ck_assert_uint_eq(claim.message_count, 50);
	arena_free(&claim.arena);
	claim = claim_at(f, 0, 1); /* a round trip: the writer stands still again */
	arena_free(&claim.arena);
	while ((statement = sqlite3_next_stmt(f->store->db.handle, statement)) != NULL)
		steps += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 1);
	return steps;
}

START_TEST(a_claim_costs_the_same_in_a_long_queue)
{
	int64_t steps[2];
	int64_t us[2];

	for (int i = 0; i < 2; i++) {
		struct fixture f;
		int64_t started;

		fixture_open(&f);
		fill(&f, i == 0 ? 1000 : 200000);
		started = clock_mono_ms();
		fixture_reopen(&f);
		printf("# opened in %lld ms\n", (long long)(clock_mono_ms() - started));
		claim_steps(&f, &us[i]);
		steps[i] = claim_steps(&f, &us[i]);
		fixture_remove(&f);
	}
	printf("# claim of 50: %lld steps, %lld us of 1,000; %lld steps, %lld us of 200,000\n",
	       (long long)steps[0], (long long)us[0], (long long)steps[1], (long long)us[1]);
	ck_assert_int_gt(steps[0], 0);
	ck_assert_int_le(steps[1], steps[0] + steps[0] / 20);
}
END_TEST

/* Without a look at the rows, in whatever state the last run was ended. */
START_TEST(S267_a_start_does_not_count_what_there_is_much_of)
{
	struct queue_stats before, after;
	struct fixture f;
	sqlite3_stmt *statement = NULL;
	struct claim claim;
	int64_t started;

	fixture_open(&f);
	fill(&f, 120000); /* not by the store, which counts it once at this start, */
	claim = claim_at(&f, NOW, 50);
	settle_as(&f, claim.messages[0].recipients[0].id, claim.messages[0].recipients[0].lease,
		  TRANSITION_DELIVER);
	arena_free(&claim.arena);
	accept_queued(&f, 3);
	store_stats(f.store, &before);
	started = clock_mono_ms();
	fixture_reopen(&f); /* and does not at the next. */
	printf("# opened in %lld ms\n", (long long)(clock_mono_ms() - started));
	while ((statement = sqlite3_next_stmt(f.store->db.handle, statement)) != NULL)
		ck_assert_msg(strstr(sqlite3_sql(statement), "count(*)") == NULL, "%s",
			      sqlite3_sql(statement));
	store_stats(f.store, &after);
	ck_assert_int_eq(before.by_state[STATE_DELIVERING], 49);
	ck_assert_int_eq(after.by_state[STATE_DELIVERING], 0);
	ck_assert_int_eq(after.by_state[STATE_QUEUED], 120002);
	ck_assert_int_eq(after.by_state[STATE_DELIVERED], 1);
	ck_assert_int_eq(after.messages, 120001);
	ck_assert_int_eq(after.bytes, before.bytes);
	ck_assert_int_eq(after.oldest_due_at, before.oldest_due_at);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/plans", S267_a_start_does_not_count_what_there_is_much_of,
	  S267_no_verb_of_the_writer_scans_a_table, S267_no_page_sorts_or_scans,
	  a_claim_costs_the_same_in_a_long_queue)
