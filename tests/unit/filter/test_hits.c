/* tests relay/filter/hits.c: full tables, ids whose places meet, memory and locks (by_hand.h) */
#include "relay/filter/hits.h"

#include <check.h>

#include "tests/unit/filter/by_hand.h"
#include "tests/unit/unit.h"

#define ROOM   64 /* counters of the smallest table; it has twice as many slots */
#define FACTOR 0x9e3779b97f4a7c15u
#define MANY   1000

/* An id that begins its search at `slot`, also in tables of other sizes; one for each `turn`. */
static int64_t id_at(uint32_t slot, uint32_t turn)
{
	uint64_t inverse = FACTOR; /* modulo 2^64, by Newton */

	for (int i = 0; i < 6; i++)
		inverse *= 2 - FACTOR * inverse;
	return (int64_t)(inverse * ((uint64_t)slot << 32 | (turn + 1)));
}

static void expect(struct hits *hits, int64_t id, int64_t count, int64_t at)
{
	struct entry_hits taken;

	ck_assert_uint_eq(hits_take(hits, &taken, 1), 1);
	ck_assert_int_eq(taken.id, id);
	ck_assert_int_eq(taken.hits, count);
	ck_assert_int_eq(taken.last_hit_at, at);
}

START_TEST(each_is_counted_by_itself)
{
	struct hits *hits = hits_new();
	struct entry_hits taken[MANY + 1];
	int64_t sum = 0;

	for (int64_t n = 0; n < 3; n++)
		for (int64_t id = 1; id <= MANY; id++)
			hits_count(hits, id * 7, 100 * id + n);
	hits_count(hits, 7 * MANY, 5); /* a clock that went back changes no time */
	ck_assert_uint_eq(hits_take(hits, taken, MANY + 1), MANY);
	for (size_t i = 0; i < MANY; i++) {
		sum += taken[i].id;
		ck_assert_int_eq(taken[i].hits, taken[i].id == 7 * MANY ? 4 : 3);
		ck_assert_int_eq(taken[i].last_hit_at, taken[i].id / 7 * 100 + 2);
	}
	ck_assert_int_eq(sum, 7 * MANY * (MANY + 1) / 2);
	ck_assert_uint_eq(hits_take(hits, taken, MANY), 0);
	hits_free(&hits);
	ck_assert_ptr_null(hits);
	hits_free(&hits);
}
END_TEST

/* What is left goes on counting when only a part was taken. */
START_TEST(a_part_is_taken)
{
	struct hits *hits = hits_new();
	struct entry_hits taken[8];

	for (int64_t id = 1; id <= 8; id++)
		hits_count(hits, id, id);
	ck_assert_uint_eq(hits_take(hits, taken, 0), 0);
	ck_assert_uint_eq(hits_take(hits, taken, 5), 5);
	for (int64_t id = 1; id <= 3; id++)
		hits_count(hits, id, 20 + id);
	hits_count(hits, 8, 30);
	expect(hits, 8, 1, 30);
	for (int64_t id = 3; id >= 1; id--)
		expect(hits, id, 2, 20 + id);
	ck_assert_uint_eq(hits_take(hits, taken, 8), 0);
	hits_free(&hits);
}
END_TEST

/* All of a full table begin at one slot, the last ones too: they stand in a row around the end. */
START_TEST(places_that_meet)
{
	static const uint32_t slots[] = {0, 1, 2 * ROOM - 1, 4 * ROOM - 1};

	for (size_t s = 0; s < sizeof(slots) / sizeof(slots[0]); s++) {
		struct hits *hits = hits_new();
		struct entry_hits taken[2 * ROOM];

		for (uint32_t n = 0; n < 3; n++)
			for (uint32_t turn = 0; turn <= ROOM; turn++)
				hits_count(hits, id_at(slots[s], turn), n);
		ck_assert_uint_eq(hits_take(hits, taken, 2 * ROOM), ROOM + 1);
		for (size_t i = 0; i <= ROOM; i++)
			ck_assert_int_eq(taken[i].hits, 3);
		hits_free(&hits);
	}
}
END_TEST

/* A rush is not remembered; and each lock is undone. */
START_TEST(memory_is_given_back)
{
	struct entry_hits taken[MANY];
	struct hits *hits;

	by_hand_watch();
	hits = hits_new();
	for (int64_t id = 0; id < MANY; id++)
		hits_count(hits, id, 1);
	ck_assert_uint_ge(by_hand_regrown(), 2 * MANY);
	ck_assert_uint_eq(hits_take(hits, taken, MANY - 1), MANY - 1);
	hits_count(hits, 1, 1);
	ck_assert_uint_ge(by_hand_regrown(), 2 * MANY);
	ck_assert_uint_eq(hits_take(hits, taken, 2), 2);
	ck_assert_uint_eq(by_hand_regrown(), 2 * ROOM);
	hits_free(&hits);
	by_hand_unwatch();
}
END_TEST

UNIT_MAIN("filter/hits", each_is_counted_by_itself, a_part_is_taken, places_that_meet,
	  memory_is_given_back)
