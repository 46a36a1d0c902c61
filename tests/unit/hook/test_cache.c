/* tests relay/hook/cache.c */
#include "relay/hook/cache.h"

#include "tests/unit/unit.h"

START_TEST(keeps_decisions_for_their_time)
{
	struct cache *cache = cache_new();
	struct cache_key key = {{1, 2, 3}}, other = {{1, 2, 4}};
	struct decision in[2] = {{.kind = DECISION_ALLOW}, {.kind = DECISION_DROP, .reason = "no"}};
	struct decision out[2];

	ck_assert(!cache_find(cache, &key, 2, 0, out));
	cache_keep(cache, &key, in, 2, 1000);
	ck_assert(cache_find(cache, &key, 2, 999, out));
	ck_assert_str_eq(out[1].reason, "no");
	ck_assert(!cache_find(cache, &key, 2, 1000, out));
	ck_assert(!cache_find(cache, &key, 1, 0, out));
	/* The same slot: the later one has it. */
	cache_keep(cache, &other, in, 1, 1000);
	ck_assert(!cache_find(cache, &key, 2, 0, out));
	ck_assert(cache_find(cache, &other, 1, 0, out));
	cache_clear(cache);
	ck_assert(!cache_find(cache, &other, 1, 0, out));
	cache_free(&cache);
}
END_TEST

START_TEST(keeps_nothing_undecided)
{
	struct cache *cache = cache_new();
	struct cache_key key = {{1}};
	struct decision in[20] = {{.kind = DECISION_ALLOW}};
	struct decision out[20];

	cache_keep(cache, &key, in, 2, 1000); /* the second one is NONE */
	ck_assert(!cache_find(cache, &key, 2, 0, out));
	for (size_t i = 0; i < 20; i++)
		in[i].kind = DECISION_HOLD;
	cache_keep(cache, &key, in, 20, 1000);
	ck_assert(!cache_find(cache, &key, 20, 0, out));
	cache_free(&cache);
}
END_TEST

UNIT_MAIN("hook/cache", keeps_decisions_for_their_time, keeps_nothing_undecided)
