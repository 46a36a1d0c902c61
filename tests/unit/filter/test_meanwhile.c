/*
 * tests relay/filter/whitelist.c: what its thread does, and what happens meanwhile. The thread is
 * played by the test (by_hand.h).
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/filter/extent.h"
#include "relay/filter/snapshot.h"
#include "tests/unit/filter/by_hand.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

/* whitelist.c: what is no more than this is no work for the thread, and what is less is tiny. */
#define SMALL 4096
#define TINY  64
#define BIG   5000

/* --- changes and questions ------------------------------------------------------------------ */

/* Of `count` entries, first_id upwards: nID@many.test. */
struct many {
	struct pattern *patterns;
	struct whitelist_change *changes;
	size_t count;
};

static struct many many_of(int64_t first_id, size_t count)
{
	struct many many = {mem_array(count, sizeof(*many.patterns)),
			    mem_array(count, sizeof(*many.changes)), count};

	for (size_t i = 0; i < count; i++) {
		char text[48];
		struct list_row row = {text, first_id + (int64_t)i};

		snprintf(text, sizeof(text), "n%d@many.test", (int)row.id);
		many.changes[i].operation = ENTRY_ADD;
		many.changes[i].entry = list_entry(&row, &many.patterns[i]);
	}
	return many;
}

static void many_free(struct many *many)
{
	mem_free(many->patterns);
	mem_free(many->changes);
}

static void publish_many(struct whitelist *list, int64_t first_id, size_t count)
{
	struct many many = many_of(first_id, count);

	whitelist_publish(list, many.changes, many.count, 1);
	many_free(&many);
}

static void load_many(struct whitelist *list, int64_t first_id, size_t count)
{
	struct many many = many_of(first_id, count);
	size_t bad;

	whitelist_load_begin(list);
	for (size_t i = 0; i < count; i++)
		whitelist_load_add(list, &many.changes[i].entry);
	whitelist_load_end(list, 1, &bad);
	ck_assert_uint_eq(bad, 0);
	many_free(&many);
}

static void publish(struct whitelist *list, enum entry_operation operation, const char *text,
		    int64_t id)
{
	struct pattern pattern;
	struct whitelist_change change = {
		.operation = operation,
		.entry = list_entry(&(struct list_row){text, id}, &pattern)};

	whitelist_publish(list, &change, 1, id);
}

static void remove_id(struct whitelist *list, int64_t id)
{
	publish(list, ENTRY_REMOVE, "x.test", id);
}

/* The entry that allows it; 0: none does. */
static int64_t allowed_by(struct whitelist *list, const char *text)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct address address;
	struct verdict verdict;

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	verdict_judge(snapshot, &address, span_of(""), 0, &verdict);
	whitelist_release(&snapshot);
	return verdict.kind == VERDICT_DELIVER ? verdict.entry : 0;
}

static int64_t many_allowed_by(struct whitelist *list, int id)
{
	char text[48];

	snprintf(text, sizeof(text), "n%d@many.test", id);
	return allowed_by(list, text);
}

struct shape {
	size_t layers;
	size_t base_lines;
	size_t size;
	int64_t revision;
};

static struct shape shape_of(struct whitelist *list)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct shape shape = {snapshot->layer_count, layer_lines(snapshot->layers[0]->layer),
			      whitelist_size(snapshot), whitelist_revision(snapshot)};

	whitelist_release(&snapshot);
	return shape;
}

/* --- when there is work --------------------------------------------------------------------- */

START_TEST(work_is_given_once_it_is_enough)
{
	struct whitelist *list = by_hand_begin();

	load_many(list, 1, BIG);
	publish_many(list, 10000, 10); /* the base does not count */
	ck_assert(!by_hand_is_given());
	publish_many(list, 20000, SMALL - 10);
	ck_assert(!by_hand_is_given());
	publish(list, ENTRY_ADD, "a@x.test", 30000);
	ck_assert(by_hand_is_given());
	publish_many(list, 40000, BIG); /* by_hand.c: not twice */
	by_hand_work(NULL, NULL);
	ck_assert_uint_eq(by_hand_merges(), 1);
	ck_assert_uint_eq(shape_of(list).layers, 1);
	ck_assert_uint_eq(shape_of(list).base_lines, 2 * BIG + SMALL + 1);
	ck_assert_uint_eq(shape_of(list).size, 2 * BIG + SMALL + 1);
	ck_assert_int_eq(allowed_by(list, "a@x.test"), 30000);
	ck_assert_int_eq(many_allowed_by(list, 1), 1);
	ck_assert_int_eq(many_allowed_by(list, 44999), 44999);
	by_hand_end(&list);
}
END_TEST

/* A publisher does not free what takes long; and the thread merges nothing when it does. */
START_TEST(what_dies_big_is_freed_by_the_thread)
{
	struct whitelist *list = by_hand_begin();
	size_t held;

	load_many(list, 1, SMALL);
	load_many(list, 1, SMALL + 1);
	ck_assert(!by_hand_is_given());
	load_many(list, 1, 1);
	ck_assert(by_hand_is_given());
	held = by_hand_blocks();
	load_many(list, 1, SMALL + 1);
	load_many(list, 1, 1); /* a second one with the first */
	by_hand_work(NULL, NULL);
	ck_assert_uint_lt(by_hand_blocks(), held);
	ck_assert_uint_eq(by_hand_merges(), 0);
	ck_assert(!by_hand_is_given());
	publish_many(list, 10000, BIG);
	by_hand_work(NULL, NULL);
	ck_assert_uint_eq(by_hand_merges(), 1);
	load_many(list, 1, 1); /* the merged base dies: what was merged is not wanted again */
	by_hand_work(NULL, NULL);
	ck_assert_uint_eq(by_hand_merges(), 1);
	by_hand_end(&list);
}
END_TEST

/* A snapshot keeps what it stands on. */
START_TEST(what_somebody_reads_stays)
{
	struct whitelist *list = by_hand_begin();
	const struct whitelist_snapshot *snapshot;

	load_many(list, 1, BIG);
	publish(list, ENTRY_ADD, "a@x.test", 10000);
	snapshot = whitelist_acquire(list);
	load_many(list, 1, 1);
	ck_assert(!by_hand_is_given());
	ck_assert_int_eq(layer_lines(snapshot->layers[0]->layer), BIG);
	whitelist_release(&snapshot);
	ck_assert_ptr_null(snapshot);
	ck_assert(by_hand_is_given());
	whitelist_release(&snapshot); /* NULL is fine */
	by_hand_end(&list);
}
END_TEST

/* --- in the middle of a merge --------------------------------------------------------------- */

static void change_meanwhile(void *ctx)
{
	struct whitelist *list = ctx;
	size_t layers = shape_of(list).layers;

	/* Above what is being read, not into it. */
	publish(list, ENTRY_ADD, "new@x.test", 30000);
	ck_assert_uint_eq(shape_of(list).layers, layers + 1);
	remove_id(list, 3);
	remove_id(list, 10003);
	remove_id(list, 20003);
	publish(list, ENTRY_REPLACE, "other@x.test", 10004);
	ck_assert_uint_eq(shape_of(list).layers, layers + 1);
	publish_many(list, 40000, BIG);
	ck_assert(!by_hand_is_given());
	ck_assert_uint_eq(shape_of(list).layers, layers + 2);
}

static void expect_what_was_changed(struct whitelist *list)
{
	static const int kept[] = {1, 2, 4, 5000, 10002, 14999, 20000, 40000, 44999};

	ck_assert_int_eq(allowed_by(list, "new@x.test"), 30000);
	ck_assert_int_eq(allowed_by(list, "other@x.test"), 10004);
	ck_assert_int_eq(many_allowed_by(list, 3), 0);
	ck_assert_int_eq(many_allowed_by(list, 10003), 0);
	ck_assert_int_eq(many_allowed_by(list, 10004), 0);
	ck_assert_int_eq(many_allowed_by(list, 20003), 0);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		ck_assert_int_eq(many_allowed_by(list, kept[i]), kept[i]);
	ck_assert_uint_eq(shape_of(list).size, 3 * BIG + 10 + 1 - 3);
	ck_assert_int_eq(shape_of(list).revision, 1);
}

/* P1: what is removed while the base is made anew is gone before and after. */
START_TEST(changes_during_a_merge)
{
	struct whitelist *list = by_hand_begin();

	load_many(list, 1, BIG);
	publish_many(list, 10000, BIG);
	publish_many(list, 20000, 10);
	ck_assert_uint_eq(shape_of(list).layers, 3);
	by_hand_work(change_meanwhile, list);
	expect_what_was_changed(list);
	ck_assert_uint_eq(shape_of(list).layers, 3);
	ck_assert_uint_eq(shape_of(list).base_lines, 2 * BIG + 10);
	ck_assert(by_hand_is_given());
	by_hand_work(NULL, NULL);
	expect_what_was_changed(list);
	ck_assert_uint_eq(by_hand_merges(), 2);
	ck_assert_uint_eq(shape_of(list).layers, 1);
	ck_assert_uint_eq(shape_of(list).base_lines, 3 * BIG + 10 + 1 - 3);
	publish(list, ENTRY_ADD, "a@x.test", 50000);
	publish(list, ENTRY_ADD, "b@x.test", 50001);
	ck_assert_uint_eq(shape_of(list).layers, 2); /* nothing is read: they are folded */
	by_hand_end(&list);
}
END_TEST

static void load_meanwhile(void *ctx)
{
	struct whitelist *list = ctx;

	load_many(list, 30000, 1);
	publish(list, ENTRY_ADD, "a@x.test", 40000);
}

/* P1: what a load left out does not come back with the merge that began before. */
START_TEST(a_load_during_a_merge)
{
	struct whitelist *list = by_hand_begin();

	publish_many(list, 1, BIG);
	by_hand_work(load_meanwhile, list);
	ck_assert_int_eq(many_allowed_by(list, 1), 0);
	ck_assert_int_eq(many_allowed_by(list, 30000), 30000);
	ck_assert_int_eq(allowed_by(list, "a@x.test"), 40000);
	ck_assert_uint_eq(shape_of(list).size, 2);
	while (by_hand_is_given())
		by_hand_work(NULL, NULL);
	ck_assert_uint_eq(by_hand_merges(), 1);
	publish_many(list, 10000, BIG); /* and the next one is made as ever */
	by_hand_work(NULL, NULL);
	ck_assert_uint_eq(by_hand_merges(), 2);
	ck_assert_uint_eq(shape_of(list).layers, 1);
	ck_assert_int_eq(many_allowed_by(list, 1), 0);
	ck_assert_int_eq(many_allowed_by(list, 10000), 10000);
	by_hand_end(&list);
}
END_TEST

/* An end is not held up by what nobody will read. */
START_TEST(a_stop_while_a_merge_is_wanted)
{
	struct whitelist *list = by_hand_begin();

	load_many(list, 1, BIG);
	publish_many(list, 10000, BIG);
	ck_assert(by_hand_is_given());
	by_hand_end(&list);
	ck_assert_uint_eq(by_hand_merges(), 0);
}
END_TEST

/* --- in the middle of other things ---------------------------------------------------------- */

static void allow_a_domain(void *ctx)
{
	publish(ctx, ENTRY_ADD, "x.test", 2);
}

static void allow_another(void *ctx)
{
	publish(ctx, ENTRY_ADD, "y.test", 3);
}

START_TEST(a_change_while_the_extent_is_counted)
{
	struct whitelist *list = by_hand_begin();
	struct extent extent;

	publish(list, ENTRY_ADD, "a@x.test", 1);
	by_hand_while_counting(allow_a_domain, list);
	whitelist_extent(list, 1, &extent);
	ck_assert_uint_eq(extent.domains, 0);
	whitelist_extent(list, 1, &extent);
	ck_assert_uint_eq(extent.domains, 1);
	by_hand_while_counting(allow_another, list); /* kept: nobody counts */
	whitelist_extent(list, 1, &extent);
	ck_assert_uint_eq(shape_of(list).revision, 2);
	ck_assert_uint_eq(extent.addresses, 1);
	ck_assert_uint_eq(extent.domains, 1);
	by_hand_end(&list);
}
END_TEST

START_TEST(what_is_not_published_is_given_back)
{
	struct whitelist *list = by_hand_begin();
	struct many many = many_of(10000, BIG);
	struct whitelist_prepared *prepared;
	const struct whitelist_snapshot *preview;

	load_many(list, 1, BIG);
	prepared = whitelist_prepare(list, many.changes, many.count);
	whitelist_prepared_free(&prepared);
	ck_assert_ptr_null(prepared);
	preview = whitelist_preview(list, many.changes, many.count);
	ck_assert_uint_eq(whitelist_size(preview), 2 * BIG);
	whitelist_release(&preview);
	by_hand_work(NULL, NULL); /* its big layer; the base is still in force */
	ck_assert_uint_eq(by_hand_merges(), 0);
	ck_assert_int_eq(many_allowed_by(list, 1), 1);
	ck_assert_int_eq(many_allowed_by(list, 10000), 0);
	many_free(&many);
	by_hand_end(&list);
}
END_TEST

START_TEST(what_was_prepared_is_in_force)
{
	struct whitelist *list = by_hand_begin();
	struct many many = many_of(10000, BIG);
	struct whitelist_prepared *prepared;

	ck_assert_int_eq(shape_of(list).revision, 0);
	load_many(list, 1, BIG);
	prepared = whitelist_prepare(list, many.changes, many.count);
	publish(list, ENTRY_ADD, "*", 2 * BIG); /* comes between */
	whitelist_publish_prepared(list, &prepared, 7);
	ck_assert_ptr_null(prepared);
	ck_assert_uint_eq(shape_of(list).size, 2 * BIG + 1);
	ck_assert_int_eq(shape_of(list).revision, 7);
	many_free(&many);
	by_hand_end(&list);
}
END_TEST

/* Of every layer, and `*` counts in whichever it stands. */
START_TEST(all_layers_are_told)
{
	struct whitelist *list = by_hand_begin();
	const struct whitelist_snapshot *snapshot;
	size_t bytes, strings, want_bytes, want_strings = 0;

	load_many(list, 1, BIG);
	publish(list, ENTRY_ADD, "*", 10000);
	snapshot = whitelist_acquire(list);
	ck_assert(whitelist_allows_all(snapshot));
	want_bytes = sizeof(*snapshot);
	for (size_t i = 0; i < snapshot->layer_count; i++) {
		want_bytes += layer_bytes(snapshot->layers[i]->layer, &strings);
		want_strings += strings;
	}
	whitelist_bytes(snapshot, &bytes, &strings);
	ck_assert_uint_eq(bytes, want_bytes);
	ck_assert_uint_eq(strings, want_strings);
	whitelist_release(&snapshot);
	by_hand_end(&list);
}
END_TEST

/* Each time from the beginning, and one that was given up leaves nothing. */
START_TEST(loads_that_are_begun_again)
{
	struct entry bad = {.id = 2,
			    .pattern = "X@x.test",
			    .kind = ENTRY_EXACT,
			    .action = ENTRY_ALLOW,
			    .scope = ""};
	struct whitelist *list = by_hand_begin();
	size_t bad_rows;

	whitelist_load_begin(list);
	whitelist_load_add(list, &bad);
	whitelist_load_add(list, &bad);
	whitelist_load_end(list, 7, &bad_rows);
	ck_assert_uint_eq(bad_rows, 2);
	whitelist_load_begin(list);
	whitelist_load_add(list, &bad);
	load_many(list, 1, 1);
	ck_assert_uint_eq(shape_of(list).size, 1);
	whitelist_load_begin(list);
	whitelist_load_add(list, &bad);
	by_hand_end(&list);
}
END_TEST

/* An entry that is valid until a time is over at that time. */
START_TEST(all_is_allowed_until_then)
{
	struct pattern pattern;
	struct whitelist_change change = {
		.operation = ENTRY_ADD,
		.entry = list_entry(&(struct list_row){"*", 1, .expires_at = 1000}, &pattern)};
	struct whitelist *list = by_hand_begin();
	const struct whitelist_snapshot *snapshot;

	whitelist_publish(list, &change, 1, 1);
	snapshot = whitelist_acquire(list);
	by_hand_set_clock(999);
	ck_assert(whitelist_allows_all(snapshot));
	by_hand_set_clock(1000);
	ck_assert(!whitelist_allows_all(snapshot));
	whitelist_release(&snapshot);
	by_hand_end(&list);
}
END_TEST

/* --- what a publish costs ------------------------------------------------------------------- */

/* Tiny layers become one, and each TINY lines go with what stays small. */
START_TEST(layers_are_folded_while_it_is_cheap)
{
	static const struct {
		size_t below, top;
		bool folded;
	} cases[] = {
		{1, 1, true},
		{TINY - 1, 1, true},
		{TINY, 1, false},
		{TINY, TINY - 1, false},
		{TINY, TINY, true},
		{SMALL - TINY, TINY, true},
		{SMALL - TINY + 1, TINY, false},
		{TINY - 1, SMALL - TINY + 1, true},
		{TINY - 1, SMALL - TINY + 2, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct whitelist *list = by_hand_begin();

		load_many(list, 1, BIG);
		publish_many(list, 10000, cases[i].below);
		publish_many(list, 20000, cases[i].top);
		ck_assert_msg(shape_of(list).layers == (cases[i].folded ? 2u : 3u), "case %zu", i);
		by_hand_end(&list);
	}
}
END_TEST

/* A base that is tiny takes up what lies on it, and nothing is left of what was removed. */
START_TEST(tombstones_end_in_the_base)
{
	struct whitelist *list = by_hand_begin();

	load_many(list, 1, 3);
	remove_id(list, 2);
	ck_assert_uint_eq(shape_of(list).layers, 1);
	ck_assert_uint_eq(shape_of(list).base_lines, 2);
	load_many(list, 1, BIG);
	remove_id(list, 2);
	remove_id(list, 3);
	ck_assert_uint_eq(shape_of(list).layers, 2);
	ck_assert_int_eq(many_allowed_by(list, 2), 0);
	ck_assert_int_eq(many_allowed_by(list, 3), 0);
	ck_assert_int_eq(many_allowed_by(list, 4), 4);
	by_hand_end(&list);
}
END_TEST

/* Not folded: each in a layer of its own. */
START_TEST(what_is_gone_is_not_taken_off_twice)
{
	struct whitelist *list = by_hand_begin();

	load_many(list, 1, BIG);
	remove_id(list, 1);
	publish_many(list, 10000, TINY);
	ck_assert_uint_eq(shape_of(list).size, BIG + TINY - 1);
	remove_id(list, 1);
	remove_id(list, 1);
	ck_assert_uint_eq(shape_of(list).size, BIG + TINY - 1);
	remove_id(list, 10000);
	remove_id(list, 2);
	ck_assert_uint_eq(shape_of(list).size, BIG + TINY - 3);
	publish(list, ENTRY_REPLACE, "a@x.test", 3);
	ck_assert_uint_eq(shape_of(list).size, BIG + TINY - 3);
	by_hand_end(&list);
}
END_TEST

/* Who sends chosen addresses must not be able to make them meet in one slot. */
START_TEST(no_two_lists_hash_alike)
{
	uint64_t seeds[2];

	for (size_t i = 0; i < 2; i++) {
		struct whitelist *list = by_hand_begin();
		const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

		seeds[i] = snapshot->seed;
		whitelist_release(&snapshot);
		by_hand_end(&list);
	}
	ck_assert_uint_ne(seeds[0], seeds[1]);
}
END_TEST

UNIT_MAIN("filter/meanwhile", work_is_given_once_it_is_enough, what_dies_big_is_freed_by_the_thread,
	  what_somebody_reads_stays, changes_during_a_merge, a_load_during_a_merge,
	  a_stop_while_a_merge_is_wanted, a_change_while_the_extent_is_counted,
	  what_is_not_published_is_given_back, what_was_prepared_is_in_force, all_layers_are_told,
	  loads_that_are_begun_again, all_is_allowed_until_then,
	  layers_are_folded_while_it_is_cheap, tombstones_end_in_the_base,
	  what_is_gone_is_not_taken_off_twice, no_two_lists_hash_alike)
