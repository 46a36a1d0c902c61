/* tests queue/fault.c */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "queue/fault.h"
#include "queue/token.h"
#include "tests/unit/queue/ordered.h"
#include "tests/unit/unit.h"

static void join(char *text, size_t size, const struct fault *rows, size_t count)
{
	text[0] = '\0';
	for (size_t i = 0; i < count; i++)
		names_add(text, size, rows[i].name);
}

static void on_faults(void *ctx, const struct fault *rows, size_t count)
{
	struct published *published = ctx;

	join(published->names, sizeof(published->names), rows, count);
}

static void open_published(struct fixture *f, struct published *published)
{
	*published = (struct published){.times = 0};
	fixture_open_with(f, &(struct store_options){.on_faults = on_faults, .ctx = published});
}

static struct fault fault_named(const char *name)
{
	return (struct fault){.name = name,
			      .enabled = true,
			      .action = FAULT_DEFER,
			      .stage = FAULT_AT_RCPT,
			      .recipient = "bob@example.com",
			      .sender = "<>",
			      .user = "app-*",
			      .scope = "shop",
			      .code = 451,
			      .enhanced = "4.3.0",
			      .reply = "not now",
			      .delay_ms = 5,
			      .attempts = 2,
			      .skip = 3,
			      .every = 4,
			      .times = 6,
			      .note = "a note"};
}

static struct fault_apply apply(struct fixture *f, struct fault_apply job, int want)
{
	change_ordered(f, &job.change, queue_fault_apply, &job.job, want);
	return job;
}

static int64_t add(struct fixture *f, const char *name, int64_t before)
{
	struct fault_apply job = {.fault = fault_named(name),
				  .change = {.operation = ORDERED_ADD, .before_id = before}};

	return apply(f, job, ERR_OK).fault.id;
}

static void expect_names(struct fixture *f, const struct published *published, const char *want)
{
	struct arena *arena = arena_new();
	const struct fault *rows;
	char names[400];
	size_t count;

	ck_assert_int_eq(queue_fault_list(f->reader, arena, &rows, &count, NULL), ERR_OK);
	join(names, sizeof(names), rows, count);
	ck_assert_str_eq(names, want);
	ck_assert_str_eq(published->names, want);
	arena_free(&arena);
}

START_TEST(rules_keep_their_order_and_their_words)
{
	struct published published;
	struct fixture f;
	struct arena *arena = arena_new();
	const struct fault *rows;
	struct fault want = fault_named("b");
	size_t count;
	int64_t a, b;

	open_published(&f, &published);
	a = add(&f, "a", 0);
	b = add(&f, "b", 0);
	add(&f, "first", a);
	add(&f, "between", b);
	expect_names(&f, &published, "first a between b ");
	ck_assert_int_eq(queue_fault_list(f.reader, arena, &rows, &count, NULL), ERR_OK);
	ck_assert_int_eq(rows[3].id, b);
	ck_assert(rows[3].enabled);
	ck_assert_int_eq(rows[3].action, want.action);
	ck_assert_int_eq(rows[3].stage, want.stage);
	ck_assert_str_eq(rows[3].recipient, want.recipient);
	ck_assert_str_eq(rows[3].sender, want.sender);
	ck_assert_str_eq(rows[3].user, want.user);
	ck_assert_str_eq(rows[3].scope, want.scope);
	ck_assert_int_eq(rows[3].code, want.code);
	ck_assert_str_eq(rows[3].enhanced, want.enhanced);
	ck_assert_str_eq(rows[3].reply, want.reply);
	ck_assert_int_eq(rows[3].delay_ms, want.delay_ms);
	ck_assert_int_eq(rows[3].attempts, want.attempts);
	ck_assert_int_eq(rows[3].skip, want.skip);
	ck_assert_int_eq(rows[3].every, want.every);
	ck_assert_int_eq(rows[3].times, want.times);
	ck_assert_str_eq(rows[3].note, want.note);
	ck_assert_int_eq(rows[3].created_at, NOW);
	ck_assert_str_eq(rows[3].created_by, "token:x");
	ck_assert_int_eq(rows[3].revision, 2);
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

START_TEST(a_change_is_made_whole_or_not_at_all)
{
	struct fault_apply job = {.change = {.operation = ORDERED_REPLACE}};
	struct published published;
	struct fixture f;
	int64_t a, b, c;

	open_published(&f, &published);
	a = add(&f, "a", 0);
	b = add(&f, "b", 0);
	c = add(&f, "c", 0);
	job.fault = fault_named("a");
	job.fault.id = b;
	ck_assert_int_eq(apply(&f, job, ERR_CONFLICT).change.existing_id, a);
	job.fault.name = "bb";
	job.change.expect_revision = 1;
	apply(&f, job, ERR_STALE);
	job.change.expect_revision = 2;
	job.change.moves = true;
	job.change.before_id = 99;
	apply(&f, job, ERR_NOT_FOUND);
	expect_names(&f, &published, "a b c ");
	job.change.before_id = a;
	ck_assert_int_eq(apply(&f, job, ERR_OK).fault.revision, 4);
	expect_names(&f, &published, "bb a c ");
	/* In front of itself is where it is; at the end is behind all others. */
	job.change.expect_revision = 0;
	job.change.before_id = b;
	apply(&f, job, ERR_OK);
	expect_names(&f, &published, "bb a c ");
	job.change.before_id = 0;
	apply(&f, job, ERR_OK);
	expect_names(&f, &published, "a c bb ");
	job = (struct fault_apply){.change = {.operation = ORDERED_REMOVE}, .fault = {.id = c}};
	apply(&f, job, ERR_OK);
	apply(&f, job, ERR_NOT_FOUND);
	expect_names(&f, &published, "a bb ");
	job = (struct fault_apply){.change = {.operation = ORDERED_ADD},
				   .fault = fault_named("bb")};
	ck_assert_int_eq(apply(&f, job, ERR_CONFLICT).change.existing_id, b);
	fixture_remove(&f);
}
END_TEST

struct trail {
	char text[4000];
};

static bool keep(void *ctx, const struct audit_row *row)
{
	struct trail *trail = ctx;
	size_t len = strlen(trail->text);

	snprintf(trail->text + len, sizeof(trail->text) - len, "%s %s %d%d|", row->action,
		 row->subject, row->before != NULL, row->after != NULL);
	return true;
}

START_TEST(the_trail_tells_of_it_and_a_restart_keeps_it)
{
	struct fault_apply job = {.change = {.operation = ORDERED_REPLACE},
				  .fault = fault_named("new")};
	struct published published;
	struct trail trail = {""};
	struct fixture f;
	int64_t id;

	open_published(&f, &published);
	id = add(&f, "old", 0);
	add(&f, "other", 0);
	job.fault.id = id;
	apply(&f, job, ERR_OK);
	job.change.operation = ORDERED_REMOVE;
	apply(&f, job, ERR_OK);
	ck_assert_int_eq(queue_audit_list(f.reader, 0, 10, keep, &trail, NULL), ERR_OK);
	ck_assert_str_eq(trail.text, "fault.remove new 10|fault.replace new 11|"
				     "fault.add other 01|fault.add old 01|");
	fixture_reopen(&f);
	expect_names(&f, &published, "other ");
	fixture_remove(&f);
}
END_TEST

START_TEST(there_is_an_end_to_them)
{
	struct fault_apply job = {.change = {.operation = ORDERED_ADD},
				  .fault = fault_named("one-more")};
	struct published published;
	struct fixture f;

	open_published(&f, &published);
	fixture_close(&f);
	run_sql(f.dir, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i <"
		       " 1000) INSERT INTO fault SELECT i, i, 'n' || i, 1, 1, 2, '', '', '', '',"
		       " 0, '', '', 0, 1, 0, 1, 0, '', 0, NULL, 1 FROM c");
	fixture_reopen(&f);
	apply(&f, job, ERR_LIMIT);
	fixture_remove(&f);
}
END_TEST

/* What was decided for a recipient is kept with it, until it is claimed. */
START_TEST(a_fate_comes_back_with_the_claim)
{
	struct fixture f;
	struct ulid id;
	struct claim claim;

	fixture_open(&f);
	id = accept_queued(&f, 2);
	fixture_close(&f);
	run_sql(f.dir, "UPDATE recipient SET fault = 'defer 1 451 4.3.0 x text'"
		       " WHERE address = 'r1@example.com'");
	fixture_reopen(&f);
	claim = claim_at(&f, NOW, 10);
	ck_assert_int_eq(claim.message_count, 1);
	ck_assert(ulid_equal(&claim.messages[0].id, &id));
	ck_assert_ptr_null(claim.messages[0].recipients[0].fault);
	ck_assert_str_eq(claim.messages[0].recipients[1].fault, "defer 1 451 4.3.0 x text");
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/fault", rules_keep_their_order_and_their_words,
	  a_change_is_made_whole_or_not_at_all, the_trail_tells_of_it_and_a_restart_keeps_it,
	  there_is_an_end_to_them, a_fate_comes_back_with_the_claim)
