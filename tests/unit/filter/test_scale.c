/*
 * tests relay/filter/: 100,000 entries (CASES S172). Memory is exact; times have
 * room for a slow machine and a sanitizer: tests/bench/filter_bench measures.
 */
#include <config.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/filter/whitelist.h"
#include "tests/unit/unit.h"

#define ENTRIES	 100000
#define VERDICTS 100000
#define CHANGES	 500

static struct entry entry_of(int n, char text[64])
{
	enum entry_kind kind = ENTRY_EXACT;

	if (n % 40 == 0) {
		kind = ENTRY_DOMAIN;
		snprintf(text, 64, "only%d.example", n);
	} else if (n % 40 == 1) {
		kind = ENTRY_GLOB;
		snprintf(text, 64, "qa%d-*@customer%d.example", n, n % 500);
	} else {
		snprintf(text, 64, "first.last%d@customer%d.example", n, n % 500);
	}
	return (struct entry){
		.id = n + 1, .pattern = text, .kind = kind, .action = ENTRY_ALLOW, .scope = ""};
}

static struct whitelist *make_list(void)
{
	struct whitelist *list = whitelist_new();
	size_t bad;

	whitelist_load_begin(list);
	for (int n = 0; n < ENTRIES; n++) {
		char text[64];
		struct entry entry = entry_of(n, text);

		whitelist_load_add(list, &entry);
	}
	whitelist_load_end(list, 1, &bad);
	ck_assert_uint_eq(bad, 0);
	return list;
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a;
	int64_t right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

static int64_t p99(int64_t *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	return times[count * 99 / 100];
}

START_TEST(S172_memory_an_entry)
{
	struct whitelist *list = make_list();
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	size_t bytes;
	size_t strings;

	whitelist_bytes(snapshot, &bytes, &strings);
	printf("# %zu bytes an entry beside %zu of its strings\n", (bytes - strings) / ENTRIES,
	       strings / ENTRIES);
	ck_assert_uint_le(bytes - strings, (size_t)150 * ENTRIES);
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

START_TEST(S172_a_verdict_does_not_look_at_every_entry)
{
	struct whitelist *list = make_list();
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	int64_t *times = mem_array(VERDICTS, sizeof(*times));
	size_t delivered = 0;
	int64_t worst;

	for (int i = 0; i < VERDICTS; i++) {
		char text[64];
		struct address address;
		struct verdict verdict;
		int n = (int)((int64_t)i * 7919 % ENTRIES);
		int64_t start;

		snprintf(text, sizeof(text),
			 i % 2 == 0 ? "first.last%d@customer%d.example"
				    : "nobody%d@customer%d.example",
			 n, n % 500);
		ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
		start = clock_mono_us();
		verdict_judge(snapshot, &address, span_of(""), 1, &verdict);
		times[i] = clock_mono_us() - start;
		delivered += verdict.kind == VERDICT_DELIVER;
	}
	worst = p99(times, VERDICTS);
	printf("# verdict: p99 %lld us\n", (long long)worst);
	ck_assert_int_lt(worst, 1000);
	/* Every second one, but for those that name a domain or a glob. */
	ck_assert_uint_gt(delivered, VERDICTS * 45 / 100);
	ck_assert_uint_lt(delivered, VERDICTS / 2);
	mem_free(times);
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

START_TEST(S172_a_change_does_not_build_the_list_anew)
{
	struct whitelist *list = make_list();
	int64_t times[CHANGES];
	int64_t worst;

	for (int i = 0; i < CHANGES; i++) {
		char text[64];
		struct whitelist_change change = {.operation = ENTRY_ADD,
						  .entry = entry_of(ENTRIES + i, text)};
		int64_t start = clock_mono_us();

		whitelist_publish(list, &change, 1, i + 2);
		times[i] = clock_mono_us() - start;
	}
	worst = p99(times, CHANGES);
	printf("# change: p99 %lld us\n", (long long)worst);
	ck_assert_int_lt(worst, 10000);
	whitelist_free(&list);
}
END_TEST

UNIT_MAIN("filter/scale", S172_memory_an_entry, S172_a_verdict_does_not_look_at_every_entry,
	  S172_a_change_does_not_build_the_list_anew)
