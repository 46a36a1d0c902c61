/* tests queue/seen.c and seen_set.c: recipients of late, noted, written down, forgotten */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "queue/seen.h"
#include "queue/seen_set.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define DAY ((int64_t)24 * 60 * 60 * 1000)

/* --- in memory ----------------------------------------------------------------------------------
 */

START_TEST(each_once_with_what_was_last)
{
	struct seen_set *set = seen_set_new();

	seen_set_note(set, span_of("A@X.test"), span_of(""), 1, true);
	seen_set_note(set, span_of("a@x.test"), span_of("shop"), 2, true);
	seen_set_note(set, span_of("b@x.test"), span_of(""), 3, false);
	seen_set_note(set, span_of("a@x.TEST"), span_of(""), 4, false);
	ck_assert_uint_eq(seen_set_count(set), 3);
	ck_assert_str_eq(seen_set_item(set, 0)->address, "a@x.test");
	ck_assert_int_eq(seen_set_item(set, 0)->at, 4);
	ck_assert(!seen_set_item(set, 0)->refused);
	ck_assert_str_eq(seen_set_item(set, 1)->scope, "shop");
	/* What is forgotten can be noted again; the rest is found where it went. */
	seen_set_forget(set, 0, 2);
	ck_assert_uint_eq(seen_set_count(set), 1);
	seen_set_note(set, span_of("b@x.test"), span_of(""), 5, true);
	ck_assert_uint_eq(seen_set_count(set), 1);
	ck_assert_int_eq(seen_set_item(set, 0)->at, 5);
	seen_set_note(set, span_of("a@x.test"), span_of(""), 6, true);
	ck_assert_uint_eq(seen_set_count(set), 2);
	seen_set_free(&set);
	ck_assert_ptr_null(set);
}
END_TEST

START_TEST(a_full_set_takes_no_more)
{
	struct seen_set *set = seen_set_new();
	char address[40];

	for (int i = 0; i < SEEN_SET_MAX + 100; i++) {
		snprintf(address, sizeof(address), "u%d@x.test", i);
		seen_set_note(set, span_of(address), span_of(""), i, false);
	}
	ck_assert_uint_eq(seen_set_count(set), SEEN_SET_MAX);
	seen_set_note(set, span_of("u7@x.test"), span_of(""), 99999, true);
	ck_assert_int_eq(seen_set_item(set, 7)->at, 99999); /* who is in it stays up to date */
	seen_set_forget(set, 0, SEEN_SET_MAX);
	ck_assert_uint_eq(seen_set_count(set), 0);
	seen_set_free(&set);
}
END_TEST

/* --- written down --------------------------------------------------------------------------------
 */

static size_t save_at(struct fixture *f, int64_t now)
{
	struct seen_save save = {.now = now};
	size_t written = 0;

	do {
		ck_assert_int_eq(store_wait(f->store, queue_seen_save, &save.job, NULL), ERR_OK);
		ck_assert_uint_le(save.written, SEEN_AT_ONCE);
		written += save.written;
	} while (save.more);
	return written;
}

static bool take_row(void *ctx, const struct seen_row *seen)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%s%s%s%s ", seen->address, seen->scope[0] != '\0' ? "/" : "",
		seen->scope, seen->refused ? "!" : "");
	return true;
}

static void expect_seen(struct fixture *f, struct seen_query query, int64_t count, const char *want)
{
	char text[500] = "";
	int64_t counted = -1;

	ck_assert_int_eq(queue_seen_each(f->reader, &query, take_row, text, NULL), ERR_OK);
	ck_assert_str_eq(text, want);
	ck_assert_int_eq(queue_seen_count(f->reader, &query, &counted, NULL), ERR_OK);
	ck_assert_int_eq(counted, count);
}

START_TEST(recipients_of_messages_are_written_down)
{
	struct seen_query query = {.since = 0};
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	ck_assert(!store_has_seen(f.store));
	ck_assert_int_eq(accept_one(f.store, 100, 0, 2, STATE_DROPPED, &id), ERR_OK);
	ck_assert(store_has_seen(f.store));
	expect_seen(&f, query, 0, ""); /* not yet */
	ck_assert_uint_eq(save_at(&f, NOW), 2);
	ck_assert(!store_has_seen(f.store));
	expect_seen(&f, query, 2, "r0@example.com! r1@example.com! ");
	/* The last one counts, also a moment later. */
	ck_assert_int_eq(accept_one(f.store, 100, 0, 1, STATE_QUEUED, &id), ERR_OK);
	ck_assert_int_eq(accept_one(f.store, 100, 0, 3, STATE_HELD, &id), ERR_OK);
	ck_assert_int_eq(accept_one(f.store, 100, 0, 1, STATE_QUEUED, &id), ERR_OK);
	ck_assert_uint_eq(save_at(&f, NOW), 3);
	expect_seen(&f, query, 3, "r0@example.com r1@example.com! r2@example.com! ");
	query.address = "r1@example.com";
	expect_seen(&f, query, 1, "r1@example.com! ");
	/* It survives a restart; what was not accepted was not seen. */
	fixture_reopen(&f);
	expect_seen(&f, query, 1, "r1@example.com! ");
	fixture_remove(&f);
}
END_TEST

START_TEST(scopes_and_time_are_told_apart)
{
	struct fixture f;

	fixture_open(&f);
	run_sql(f.dir, "INSERT INTO seen VALUES('a@x', '', 10, 0), ('a@x', 'shop', 20, 1),"
		       " ('b@x', 'shop', 30, 1)");
	expect_seen(&f, (struct seen_query){.since = 0}, 2, "a@x a@x/shop! b@x/shop! ");
	expect_seen(&f, (struct seen_query){.since = 20}, 2, "a@x/shop! b@x/shop! ");
	expect_seen(&f, (struct seen_query){.scope = ""}, 1, "a@x ");
	expect_seen(&f, (struct seen_query){.scope = "shop", .address = "a@x"}, 1, "a@x/shop! ");
	fixture_remove(&f);
}
END_TEST

START_TEST(what_is_old_or_too_much_is_forgotten)
{
	struct seen_query query = {.since = 0};
	char sql[300];
	struct fixture f;
	int64_t count;

	fixture_open(&f);
	run_sql(f.dir, "INSERT INTO seen VALUES('old@x', '', 10, 0), ('older@x', '', 5, 0)");
	save_at(&f, 10 + SEEN_DAYS * DAY);
	expect_seen(&f, query, 0, "");
	snprintf(sql, sizeof(sql),
		 "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
		 " INSERT INTO seen SELECT 'u' || i || '@x', '', %lld + i, 0 FROM c",
		 SEEN_MAX + 2000, (long long)NOW);
	run_sql(f.dir, sql);
	save_at(&f, NOW + DAY);
	ck_assert_int_eq(queue_seen_count(f.reader, &query, &count, NULL), ERR_OK);
	ck_assert_int_eq(count, SEEN_MAX);
	/* The newest ones stayed. */
	ck_assert_int_eq(ask_sql(f.dir, "SELECT min(at) FROM seen"), NOW + 2001);
	fixture_remove(&f);
}
END_TEST

START_TEST(more_than_one_job_writes_what_is_much)
{
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	ck_assert_int_eq(accept_one(f.store, 100, 0, 2 * SEEN_AT_ONCE + 7, STATE_QUEUED, &id),
			 ERR_OK);
	ck_assert_uint_eq(save_at(&f, NOW), 2 * SEEN_AT_ONCE + 7);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM seen WHERE refused = 0"),
			 2 * SEEN_AT_ONCE + 7);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/seen", each_once_with_what_was_last, a_full_set_takes_no_more,
	  recipients_of_messages_are_written_down, scopes_and_time_are_told_apart,
	  what_is_old_or_too_much_is_forgotten, more_than_one_job_writes_what_is_much)
