/* tests relay/filter/published.c: editions of rows of the test's own, their counters and locks */
#include "relay/filter/published.h"

#include <stddef.h>

#include "tests/unit/filter/by_hand.h"
#include "tests/unit/unit.h"

struct row {
	const char *says; /* NULL: no good */
	bool on;
};

struct ready {
	struct published_item base; /* first */
	struct row row;
};

static bool is_good(const void *row)
{
	return ((const struct row *)row)->says != NULL;
}

static bool is_enabled(const void *row)
{
	return ((const struct row *)row)->on;
}

static void make(void *item, struct arena *arena)
{
	struct ready *ready = item;

	ready->row.says = arena_strdup(arena, ready->row.says);
}

static void mean(const void *row, struct buf *meaning)
{
	(void)buf_append_text(meaning, ((const struct row *)row)->says);
}

static const struct published_kind kind = {.row_size = sizeof(struct row),
					   .item_size = sizeof(struct ready),
					   .row_offset = offsetof(struct ready, row),
					   .is_good = is_good,
					   .is_enabled = is_enabled,
					   .make = make,
					   .mean = mean};

static struct published *begin(void)
{
	by_hand_watch();
	return published_new(&kind);
}

static void finish(struct published **published)
{
	published_free(published);
	ck_assert_ptr_null(*published);
	published_free(published);
	by_hand_unwatch();
}

static void release(const struct edition **edition)
{
	published_release(edition);
	ck_assert_ptr_null(*edition);
}

/* The item in force that says this, each match counted: how often before. */
static uint64_t match(struct published *published, enum published_source source, const char *says)
{
	const struct edition *edition = published_acquire(published);
	uint64_t before = UINT64_MAX;

	for (size_t i = 0; i < edition->count; i++) {
		const struct ready *ready = edition_item(edition, i);

		if (ready->base.source == source && strcmp(ready->row.says, says) == 0)
			before = atomic_fetch_add(&ready->base.counter->matches, 1);
	}
	release(&edition);
	return before;
}

static void expect_order(struct published *published, const char *want)
{
	const struct edition *edition = published_acquire(published);
	char got[20] = "";

	for (size_t i = 0; i < edition->count; i++)
		strcat(got, ((const struct ready *)edition_item(edition, i))->row.says);
	ck_assert_str_eq(got, want);
	release(&edition);
}

START_TEST(source_by_source)
{
	static const struct row few[] = {{"a", true}, {NULL, true}, {"b", true}, {NULL, false}};
	static const struct row other[] = {{"c", true}};
	struct published *published = begin();

	expect_order(published, "");
	ck_assert_uint_eq(published_replace(published, PUBLISHED_FROM_STORE, few, 4), 2);
	expect_order(published, "ab");
	ck_assert_uint_eq(published_replace(published, PUBLISHED_FROM_CONFIG, other, 1), 0);
	expect_order(published, "cab");
	ck_assert_uint_eq(published_replace(published, PUBLISHED_FROM_STORE, few, 1), 0);
	expect_order(published, "ca");
	ck_assert_uint_eq(published_replace(published, PUBLISHED_FROM_CONFIG, NULL, 0), 0);
	expect_order(published, "a");
	finish(&published);
}
END_TEST

/* Any of them that is enabled will do; each edition has a greater number than the one before. */
START_TEST(what_is_told_without_a_lock)
{
	static const struct row rows[] = {{"a", false}, {"b", false}, {"c", true}, {"d", false}};
	struct published *published = begin();
	uint64_t number = published_number(published);

	ck_assert(!published_is_on(published));
	for (size_t count = 3; count-- > 0;) {
		published_replace(published, PUBLISHED_FROM_STORE, rows, count + 1);
		ck_assert_int_eq(published_is_on(published), count == 2);
		ck_assert_uint_gt(published_number(published), number);
		number = published_number(published);
	}
	published_replace(published, PUBLISHED_FROM_STORE, &rows[2], 2);
	ck_assert(published_is_on(published));
	finish(&published);
}
END_TEST

/* Who says the same in another place goes on counting; the other source has a count of its own. */
START_TEST(counts_outlive_editions)
{
	static const struct row rows[] = {{"a", true}, {"b", true}, {"c", true}};
	static const struct row turned[] = {{"c", false}, {"b", true}, {"d", true}, {"a", true}};
	struct published *published = begin();
	const struct edition *old;

	published_replace(published, PUBLISHED_FROM_STORE, rows, 3);
	published_replace(published, PUBLISHED_FROM_CONFIG, rows, 2);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_STORE, "a"), 0);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_STORE, "a"), 1);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_CONFIG, "a"), 0);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_STORE, "c"), 0);
	old = published_acquire(published);
	published_replace(published, PUBLISHED_FROM_STORE, turned, 4);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_STORE, "a"), 2);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_STORE, "c"), 1);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_STORE, "d"), 0);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_CONFIG, "a"), 1);
	/* Gone in between: it begins anew. Who still reads an old edition reads all of it. */
	published_replace(published, PUBLISHED_FROM_STORE, NULL, 0);
	published_replace(published, PUBLISHED_FROM_STORE, rows, 3);
	ck_assert_uint_eq(match(published, PUBLISHED_FROM_STORE, "c"), 0);
	ck_assert_uint_eq(old->count, 5);
	ck_assert_str_eq(((const struct ready *)edition_item(old, 4))->row.says, "c");
	release(&old);
	finish(&published);
}
END_TEST

UNIT_MAIN("filter/published", source_by_source, what_is_told_without_a_lock,
	  counts_outlive_editions)
