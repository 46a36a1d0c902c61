/* tests queue/gram.c: what is written down of texts, and what it says of others */
#include "queue/gram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

/* Which places of the block hold all grams of `part` in `field`, by what was written down. */
static struct places search(const char *const *rows, size_t count, enum text_field field,
			    const char *part)
{
	struct postings *postings = postings_new();
	struct places fields[TEXT_FIELDS], found, long_ones = {{0}};
	uint32_t grams[8], gram, last = 0;
	size_t wanted = gram_choose(span_of(part), grams, 8);
	bool seen[8] = {false};
	struct span bytes;

	for (size_t i = 0; i < count; i++)
		postings_add(postings, span_of(rows[i]), field, i);
	postings_sort(postings);
	places_fill(&found);
	for (bool first = true; postings_take(postings, &gram, &bytes); first = false) {
		ck_assert(first || gram > last);
		last = gram;
		places_read(bytes, fields);
		for (size_t i = 0; i < wanted; i++)
			if (grams[i] == gram) {
				places_narrow(&found, &fields[field]);
				seen[i] = true;
			}
		if (gram == GRAM_LONG)
			long_ones = fields[field];
	}
	for (size_t i = 0; i < wanted; i++)
		if (!seen[i])
			memset(&found, 0, sizeof(found));
	places_add(&found, &long_ones);
	postings_free(&postings);
	places_cut(&found, count);
	return found;
}

START_TEST(what_holds_a_part_is_found)
{
	static const char *const rows[] = {"alice@example.com",
					   "ALICE@Example.COM",
					   "bob@x.test",
					   "",
					   "ab",
					   "Gr\xc3\xbc\xc3\x9f"
					   "e",
					   "al ice@",
					   "\xe4\xbd\xa0\xe5\xa5\xbd"};
	static const struct {
		const char *part;
		const char *places; /* digits, the last first */
	} cases[] = {
		{"alice", "10"},    {"alice@example.com", "10"},
		{"xampl", "10"},    {"bob", "2"},
		{"zzz", ""},	    {"\xc3\xbc\xc3\x9f", "5"},
		{"ice@", "610"},    {"\xe4\xbd\xa0", "7"},
		{"ab", "76543210"}, /* too short to say anything */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct places found = search(rows, 8, TEXT_SUBJECT, cases[i].part);
		char text[16] = "";
		int place;

		while ((place = places_take_last(&found)) >= 0)
			text[strlen(text)] = (char)('0' + place);
		ck_assert_msg(strcmp(text, cases[i].places) == 0, "%s: %s", cases[i].part, text);
	}
}
END_TEST

/* Lists and maps, doubles, all fields: what was put in comes out. */
START_TEST(what_was_written_is_read)
{
	struct postings *postings = postings_new();
	static unsigned char model[TEXT_FIELDS][BLOCK_MESSAGES];
	struct places fields[TEXT_FIELDS];
	struct span bytes;
	uint32_t gram;

	srand(7);
	for (int round = 0; round < 3; round++) {
		static const int chance[] = {1, 30, 999};

		memset(model, 0, sizeof(model));
		postings_clear(postings);
		for (size_t place = 0; place < BLOCK_MESSAGES; place++)
			for (int field = 0; field < TEXT_FIELDS; field++)
				if (rand() % 1000 < chance[round]) {
					model[field][place] = 1;
					postings_add(postings, span_of("aaaa"), field, place);
				}
		postings_sort(postings);
		ck_assert(postings_take(postings, &gram, &bytes));
		ck_assert_uint_eq(gram, 0x616161);
		places_read(bytes, fields);
		ck_assert(!postings_take(postings, &gram, &bytes));
		for (int field = 0; field < TEXT_FIELDS; field++)
			for (int place; (place = places_take_last(&fields[field])) >= 0;) {
				ck_assert_uint_eq(model[field][place], 1);
				model[field][place] = 0;
			}
		for (int field = 0; field < TEXT_FIELDS; field++)
			for (size_t place = 0; place < BLOCK_MESSAGES; place++)
				ck_assert_uint_eq(model[field][place], 0);
	}
	postings_free(&postings);
}
END_TEST

/* Always a candidate: too long a text, too many of one message, too much in a block. */
START_TEST(what_is_too_much_is_never_missed)
{
	static char text[4096];
	const char *rows[] = {"short", text, "other"};
	struct postings *postings = postings_new();
	struct places found;
	struct span bytes;
	uint32_t gram;
	size_t count = 0;

	memset(text, 'x', 1000);
	found = search(rows, 3, TEXT_SUBJECT, "needle");
	ck_assert_int_eq(places_take_last(&found), 1);
	ck_assert_int_eq(places_take_last(&found), -1);
	for (size_t place = 0; place < BLOCK_MESSAGES; place++)
		for (int i = 0; i < 500; i++) {
			char address[64];

			snprintf(address, sizeof(address), "r%zu-%d@example.com", place * 977, i);
			postings_add(postings, span_of(address), TEXT_RECIPIENT, place);
		}
	postings_sort(postings);
	ck_assert(postings_take(postings, &gram, &bytes));
	ck_assert_uint_eq(gram, GRAM_LONG);
	while (postings_take(postings, &gram, &bytes))
		count++;
	ck_assert_uint_gt(count, 100);
	postings_free(&postings);
}
END_TEST

START_TEST(bytes_that_are_none_of_ours_say_nothing)
{
	static const char *const broken[] = {"\x80", "\x01",
					     "\x01\x7f"
					     "ab",
					     "\x02\x01\x01"};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct places fields[TEXT_FIELDS];

		places_read(span_of(broken[i]), fields);
		for (int field = 0; field < TEXT_FIELDS; field++)
			ck_assert_int_eq(places_take_last(&fields[field]), BLOCK_MESSAGES - 1);
	}
}
END_TEST

START_TEST(places_are_cut)
{
	for (size_t at = 0; at <= BLOCK_MESSAGES; at += 31) {
		struct places places;

		places_fill(&places);
		places_cut(&places, at);
		ck_assert_int_eq(places_take_last(&places), (int)at - 1);
		ck_assert(places_is_empty(&places) == (at <= 1));
	}
}
END_TEST

UNIT_MAIN("queue/gram", what_holds_a_part_is_found, what_was_written_is_read,
	  what_is_too_much_is_never_missed, bytes_that_are_none_of_ours_say_nothing, places_are_cut)
