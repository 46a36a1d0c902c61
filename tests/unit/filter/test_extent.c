/* tests relay/filter/extent.c: how much a list lets out, kept as long as it is true */
#include <stdio.h>

#include "relay/filter/extent.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define NOW 100

static struct extent extent_at(struct whitelist *list, int64_t now)
{
	struct extent extent;

	whitelist_extent(list, now, &extent);
	return extent;
}

static void publish(struct whitelist *list, enum entry_operation operation,
		    const struct list_row *row)
{
	struct pattern pattern;
	struct whitelist_change change = {.operation = operation,
					  .entry = list_entry(row, &pattern)};

	whitelist_publish(list, &change, 1, 2);
}

START_TEST(each_kind_is_counted)
{
	static const struct list_row rows[] = {
		{"a@x.test", 1},
		{"b@x.test", 2, .scope = "s"},
		{"c@x.test", 3, .expires_at = NOW},
		{"x.test", 4},
		{".x.test", 5},
		{"q-*@x.test", 6},
		{"a@.x.test", 7},
		{"d@x.test", 8, .deny = true},
		{"y.test", 9, .deny = true, .expires_at = NOW - 1},
		{"*", 10, .deny = true, .scope = "s"},
		{NULL},
	};
	struct whitelist *list = list_of(rows);
	struct extent extent = extent_at(list, NOW);

	ck_assert_uint_eq(extent.addresses, 2);
	ck_assert_uint_eq(extent.domains, 1);
	ck_assert_uint_eq(extent.subdomains, 1);
	ck_assert_uint_eq(extent.patterns, 2);
	ck_assert_uint_eq(extent.denied, 2);
	ck_assert(!extent.all && !extent.denies_all);
	ck_assert(!extent_is_empty(&extent));
	ck_assert_int_eq(extent.until, INT64_MAX);
	whitelist_free(&list);
}
END_TEST

/* Each kind alone is not nothing; nothing is; and a deny entry for all is the end of everything. */
START_TEST(what_is_empty)
{
	static const struct {
		struct list_row rows[3];
		bool empty;
	} cases[] = {
		{{{NULL}}, true},
		{{{"a@x.test", 1}, {NULL}}, false},
		{{{"x.test", 1}, {NULL}}, false},
		{{{".x.test", 1}, {NULL}}, false},
		{{{"*a@x.test", 1}, {NULL}}, false},
		{{{"*", 1}, {NULL}}, false},
		{{{"a@x.test", 1, .expires_at = NOW}, {NULL}}, true},
		{{{"a@x.test", 1, .expires_at = NOW + 1}, {NULL}}, false},
		{{{"a@x.test", 1, .deny = true}, {NULL}}, true},
		{{{"*", 1}, {"*", 2, .deny = true}, {NULL}}, true},
		{{{"*", 1}, {"*", 2, .deny = true, .scope = "s"}, {NULL}}, false},
		{{{"*", 1}, {"x.test", 2, .deny = true}, {NULL}}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct whitelist *list = list_of(cases[i].rows);
		struct extent extent = extent_at(list, NOW);

		ck_assert_msg(extent_is_empty(&extent) == cases[i].empty, "case %zu", i);
		whitelist_free(&list);
	}
}
END_TEST

START_TEST(a_change_and_an_expiry_are_seen)
{
	static const struct list_row rows[] = {
		{"a@x.test", 1, .expires_at = NOW + 10},
		{"b@x.test", 2, .expires_at = NOW + 5},
		{"c@x.test", 3, .expires_at = NOW + 7},
		{NULL},
	};
	struct whitelist *list = list_of(rows);

	ck_assert_uint_eq(extent_at(list, NOW).addresses, 3);
	ck_assert_int_eq(extent_at(list, NOW).until, NOW + 5);
	ck_assert_uint_eq(extent_at(list, NOW + 4).addresses, 3);
	ck_assert_uint_eq(extent_at(list, NOW + 5).addresses, 2);
	ck_assert_int_eq(extent_at(list, NOW + 5).until, NOW + 7);
	publish(list, ENTRY_ADD, &(struct list_row){"*", 4});
	ck_assert(extent_at(list, NOW + 5).all);
	publish(list, ENTRY_REMOVE, &(struct list_row){"*", 4});
	publish(list, ENTRY_REPLACE, &(struct list_row){"z.test", 3});
	ck_assert(!extent_at(list, NOW + 5).all);
	ck_assert_uint_eq(extent_at(list, NOW + 5).addresses, 1);
	ck_assert_uint_eq(extent_at(list, NOW + 5).domains, 1);
	whitelist_free(&list);
}
END_TEST

/* Many below, so that what is removed is hidden by a layer above. */
START_TEST(what_is_hidden_does_not_count)
{
	struct list_row rows[101] = {{NULL}};
	char texts[100][32];
	struct whitelist *list;

	for (size_t i = 0; i < 100; i++) {
		snprintf(texts[i], sizeof(texts[i]), "a%zu@x.test", i);
		rows[i] = (struct list_row){texts[i], (int64_t)i + 1};
	}
	list = list_of(rows);
	ck_assert_uint_eq(extent_at(list, NOW).addresses, 100);
	publish(list, ENTRY_REMOVE, &rows[7]);
	publish(list, ENTRY_REPLACE, &(struct list_row){"z.test", 9});
	ck_assert_uint_eq(extent_at(list, NOW).addresses, 98);
	ck_assert_uint_eq(extent_at(list, NOW).domains, 1);
	whitelist_free(&list);
}
END_TEST

/* One of two kinds is no less than one. */
START_TEST(two_kinds_do_not_cancel_each_other)
{
	for (unsigned kinds = 1; kinds < 16; kinds++) {
		const struct extent extent = {.addresses = kinds & 1,
					      .domains = kinds >> 1 & 1,
					      .subdomains = kinds >> 2 & 1,
					      .patterns = kinds >> 3 & 1};

		ck_assert_msg(!extent_is_empty(&extent), "%u", kinds);
	}
}
END_TEST

UNIT_MAIN("filter/extent", two_kinds_do_not_cancel_each_other, what_is_hidden_does_not_count,
	  each_kind_is_counted, what_is_empty, a_change_and_an_expiry_are_seen)
