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
	static const struct list_row elsewhere[] = {{"x.test", 7, .scope = "shop"}, {NULL}};
	char longest[ADDRESS_TEXT_SIZE];
	char sentence[2 * ADDRESS_TEXT_SIZE];

	expect(domain, "a@x.test", "deliver", "allowed by x.test", NULL);
	expect(domain, "a@y.test", "drop", "no entry allows it", NULL);
	expect(domain, "a@b.x.test", "drop", "no entry allows it (nearest: x.test)", "x.test");
	expect(elsewhere, "a@x.test", "drop",
	       "no entry allows it (nearest: x.test, of another scope)", "x.test");
	expect(elsewhere, "a@b.x.test", "drop", "no entry allows it", NULL);
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

static void expect_nearest(struct judge_case *at, const char *text, const char *nearest,
			   const char *reason)
{
	struct address address;
	struct verdict verdict;
	char sentence[2 * ADDRESS_TEXT_SIZE];

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	judge_address(at, &address, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_str_eq(verdict.nearest, nearest);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	ck_assert_str_eq(sentence, reason);
	ck_assert(judge_target(at, text, &address, &verdict));
	ck_assert_str_eq(verdict.nearest, nearest);
}

/* Who reads of the mail of one scope learns nothing of the entries of another. */
START_TEST(other_scopes_are_not_told_of)
{
	static const struct list_row rows[] = {{"a@x.test", 1, .scope = "crm"},
					       {"b%c@y.test", 2, .scope = "crm"},
					       {".x.test", 3},
					       {"y.test", 4},
					       {NULL}};
	struct whitelist *list = list_of(rows);
	struct judge_case at = {.list = whitelist_acquire(list), .scope = span_of("shop")};

	expect_nearest(&at, "a@x.test", ".x.test", "no entry allows it (nearest: .x.test)");
	expect_nearest(&at, "b%c@y.test", "y.test", "unsafe address form (nearest: y.test)");
	at.sees_scopes = true;
	expect_nearest(&at, "a@x.test", "a@x.test",
		       "no entry allows it (nearest: a@x.test, of another scope)");
	expect_nearest(&at, "b%c@y.test", "b%c@y.test",
		       "unsafe address form (nearest: b%c@y.test, of another scope)");
	/* Nobody who is limited to a scope sees what belongs to none. */
	at.sees_scopes = false;
	at.scope = span_of("");
	expect_nearest(&at, "a@x.test", "a@x.test",
		       "no entry allows it (nearest: a@x.test, of another scope)");
	whitelist_release(&at.list);
	whitelist_free(&list);
}
END_TEST

/* What nearly covers it is only named where it could have let it out, now and in this scope. */
START_TEST(what_is_no_near_miss)
{
	static const struct list_row rows[] = {
		{"x.test", 1, .deny = true},
		{"x.test", 2, .scope = "other"},
		{"x.test", 3, .expires_at = 99},
		{"+a@b.x.test", 4},
		{"a@b.x.test", 5, .scope = "other"},
		{"q@b.x.test", 6, .scope = "other", .expires_at = 99},
		{NULL},
	};

	expect(rows, "q@b.x.test", "drop", "no entry allows it", NULL);
	/* A tag without an address in front of it. */
	expect(rows, "+b@b.x.test", "drop", "no entry allows it", NULL);
	expect(rows, "a+b@b.x.test", "drop", "no entry allows it", NULL);
}
END_TEST

/* The same for one that was removed, which a layer above hides. */
START_TEST(nor_one_that_is_gone)
{
	struct list_row rows[101] = {{"x.test", 1}, {NULL}};
	struct whitelist_change gone = {.operation = ENTRY_REMOVE, .entry = {.id = 1}};
	const struct whitelist_snapshot *snapshot;
	struct pattern pattern;
	struct whitelist *list;
	struct address address;
	struct verdict verdict;
	char texts[100][32];

	for (size_t i = 1; i < 100; i++) {
		snprintf(texts[i], sizeof(texts[i]), "a%zu@y.test", i);
		rows[i] = (struct list_row){texts[i], (int64_t)i + 1};
	}
	list = list_of(rows);
	ck_assert_int_eq(address_parse(span_of("a@b.x.test"), &address, NULL), ERR_OK);
	for (int i = 0; i < 2; i++) {
		snapshot = whitelist_acquire(list);
		verdict_explain(snapshot, &address, span_of(""), 100, &verdict);
		ck_assert_str_eq(verdict.nearest, i == 0 ? "x.test" : "");
		whitelist_release(&snapshot);
		ck_assert_ptr_null(snapshot);
		whitelist_release(&snapshot);
		whitelist_publish(list, &gone, 1, 2);
	}
	/* In the layer above it is found again. */
	gone.operation = ENTRY_ADD;
	gone.entry = list_entry(&rows[0], &pattern);
	whitelist_publish(list, &gone, 1, 3);
	snapshot = whitelist_acquire(list);
	verdict_explain(snapshot, &address, span_of(""), 100, &verdict);
	ck_assert_str_eq(verdict.nearest, "x.test");
	whitelist_release(&snapshot);
	whitelist_free(&list);
	whitelist_free(&list);
}
END_TEST

/* Of two that allow (or deny) `text` the first is named, whichever came first, also from a change.
 */
static void expect_named(const char *first, const char *second, const char *text)
{
	for (int i = 0; i < 8; i++) {
		bool deny = (i & 1) != 0, turned = (i & 2) != 0, later = (i & 4) != 0;
		struct list_row rows[] = {{turned ? second : first, 1, .deny = deny},
					  {turned ? first : second, 2, .deny = deny},
					  {NULL}};
		struct list_row alone[] = {rows[0], {NULL}};
		struct whitelist *list = list_of(later ? alone : rows);
		const struct whitelist_snapshot *snapshot;
		struct pattern pattern;
		struct whitelist_change change = {.operation = ENTRY_ADD,
						  .entry = list_entry(&rows[1], &pattern)};
		struct address address;
		struct verdict verdict;

		if (later)
			whitelist_publish(list, &change, 1, 2);
		memset(&verdict, 'x', sizeof(verdict));
		ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
		snapshot = whitelist_acquire(list);
		verdict_judge(snapshot, &address, span_of(""), 100, &verdict);
		ck_assert_int_eq(verdict.reason, deny ? REASON_DENIED : REASON_ALLOWED);
		ck_assert_msg(strcmp(verdict.pattern, first) == 0, "%s, not %s", verdict.pattern,
			      first);
		ck_assert_int_eq(verdict.entry, turned ? 2 : 1);
		ck_assert_str_eq(verdict.nearest, "");
		whitelist_release(&snapshot);
		whitelist_free(&list);
	}
}

START_TEST(the_most_specific_is_named)
{
	expect_named("a@b.x.test", "a*@b.x.test", "a@b.x.test");
	expect_named("a@b.x.test", "*", "a@b.x.test");
	expect_named("a*@b.x.test", "b.x.test", "a@b.x.test");
	expect_named("a*@b.x.test", ".x.test", "a@b.x.test");
	expect_named("*a@.test", "b.x.test", "a@b.x.test");
	expect_named("b.x.test", ".x.test", "a@b.x.test");
	expect_named("b.x.test", "*", "a@b.x.test");
	expect_named(".x.test", "*", "a@b.x.test");
	expect_named(".x.test", ".test", "a@b.x.test");
	expect_named("ab*@x.test", "a*@x.test", "abc@x.test");
}
END_TEST

/* Of two that say as much the older one. */
START_TEST(else_the_older_one)
{
	static const struct list_row one[] = {{"ab*@x.test", 1}, {"a*c@x.test", 2}, {NULL}};
	static const struct list_row other[] = {{"a*c@x.test", 1}, {"ab*@x.test", 2}, {NULL}};

	for (int i = 0; i < 2; i++) {
		struct whitelist *list = list_of(i == 0 ? one : other);
		const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
		struct address address;
		struct verdict verdict;

		ck_assert_int_eq(address_parse(span_of("abc@x.test"), &address, NULL), ERR_OK);
		verdict_judge(snapshot, &address, span_of(""), 100, &verdict);
		ck_assert_int_eq(verdict.entry, 1);
		whitelist_release(&snapshot);
		whitelist_free(&list);
	}
}
END_TEST

/* A verdict that was used before keeps nothing of it. */
START_TEST(nothing_is_left_of_the_last_one)
{
	static const struct list_row rows[] = {{"x.test", 1}, {NULL}};
	struct whitelist *list = list_of(rows);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct address address;
	struct verdict verdict;

	memset(&verdict, 'x', sizeof(verdict));
	ck_assert_int_eq(address_parse(span_of("a@y.test"), &address, NULL), ERR_OK);
	verdict_judge(snapshot, &address, span_of(""), 100, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_int_eq(verdict.entry, 0);
	ck_assert_str_eq(verdict.pattern, "");
	ck_assert_str_eq(verdict.nearest, "");
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

START_TEST(by_rule_or_hook)
{
	static const struct {
		struct verdict verdict;
		const char *want;
	} rows[] = {
		{{VERDICT_DELIVER, REASON_ALLOWED, .pattern = "x.test"}, "allowed by x.test"},
		{{VERDICT_DELIVER, REASON_ALLOWED, .pattern = "x.test", .rule = "r"},
		 "allowed by x.test, rule r"},
		{{VERDICT_DELIVER, REASON_RULE, .rule = "r"}, "rule r overrides the whitelist"},
		{{VERDICT_HOLD, REASON_RULE, .rule = "r"}, "rule r"},
		{{VERDICT_DROP, REASON_RULE, .rule = "r"}, "rule r"},
		{{VERDICT_REDIRECT, REASON_RULE, .rule = "r", .redirect_to = "qa@x.test"},
		 "rule r redirects it to qa@x.test"},
		{{VERDICT_DELIVER, REASON_HOOK}, "no entry allows it, the policy hook does"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char sentence[200];

		verdict_sentence(&rows[i].verdict, sentence, sizeof(sentence));
		ck_assert_str_eq(sentence, rows[i].want);
	}
}
END_TEST

START_TEST(who_allows_all)
{
	static const struct {
		struct list_row rows[3];
		bool all;
	} cases[] = {
		{{{"*", 1}, {NULL}}, true},
		{{{"*", 1, .expires_at = 1}, {NULL}}, false},
		{{{"*", 1, .expires_at = INT64_MAX}, {NULL}}, true},
		{{{"*", 1, .deny = true}, {NULL}}, false},
		{{{"x.test", 1}, {".x.test", 2}, {NULL}}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct whitelist *list = list_of(cases[i].rows);
		const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

		ck_assert_msg(whitelist_allows_all(snapshot) == cases[i].all, "case %zu", i);
		whitelist_release(&snapshot);
		whitelist_free(&list);
	}
}
END_TEST

UNIT_MAIN("filter/ruling", in_words, other_scopes_are_not_told_of, what_is_no_near_miss,
	  nor_one_that_is_gone, the_most_specific_is_named, else_the_older_one,
	  nothing_is_left_of_the_last_one, by_rule_or_hook, who_allows_all)
