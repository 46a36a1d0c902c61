/* tests relay/filter/judge.c: what is kept beside a recipient is what was said */
#include <stdio.h>
#include <string.h>

#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

static void expect(const struct list_row *rows, const char *text, const char *verdict_word,
		   const char *reason, const char *nearest)
{
	struct whitelist *list = list_of(rows);
	struct judge_case at = {.list = whitelist_acquire(list), .now = 100};
	struct arena *arena = arena_new();
	struct address address;
	struct verdict verdict;
	struct ruling ruling;

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	judge_address(&at, &address, &verdict);
	ruling = judge_ruling(&verdict, arena);
	memset(&verdict, 'x', sizeof(verdict)); /* the strings are the arena's */
	ck_assert_str_eq(ruling.verdict, verdict_word);
	ck_assert_str_eq(ruling.reason, reason);
	ck_assert_int_eq(ruling.revision, 1);
	ck_assert_int_eq(ruling.entry, strcmp(verdict_word, "deliver") == 0 ? 7 : 0);
	if (nearest == NULL)
		ck_assert_ptr_null(ruling.nearest);
	else
		ck_assert_str_eq(ruling.nearest, nearest);
	arena_free(&arena);
	whitelist_release(&at.list);
	whitelist_free(&list);
}

START_TEST(in_words)
{
	static const struct list_row domain[] = {{"x.test", 7}, {NULL}};
	static const struct list_row all[] = {{"*", 7}, {NULL}};
	char longest[ADDRESS_TEXT_SIZE];
	char sentence[2 * ADDRESS_TEXT_SIZE];

	expect(domain, "a@x.test", "deliver", "allowed by x.test", NULL);
	expect(domain, "a@y.test", "drop", "no entry allows it", NULL);
	expect(domain, "a@b.x.test", "drop", "no entry allows it (nearest: x.test)", "x.test");
	/* A nearest of one character. */
	expect(all, "a%b@x.test", "drop", "unsafe address form (nearest: *)", "*");
	/* Nothing is cut, however long the entry. */
	memset(longest, 'a', 63);
	snprintf(longest + 63, sizeof(longest) - 63, "@%.63s.%.63s.%.50s.test",
		 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
		 "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc",
		 "dddddddddddddddddddddddddddddddddddddddddddddddddd");
	snprintf(sentence, sizeof(sentence), "allowed by %s", longest);
	expect((const struct list_row[]){{longest, 7}, {NULL}}, longest, "deliver", sentence, NULL);
}
END_TEST

UNIT_MAIN("filter/ruling", in_words)
