/* tests relay/filter/reserved.c: nothing can allow the self-test's domain */
#include "relay/filter/reserved.h"
#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define NOW 100

START_TEST(which_domains)
{
	static const struct {
		const char *domain;
		bool reserved;
	} cases[] = {
		{"selftest.stagepost.invalid", true},
		{"SELFTEST.Stagepost.INVALID", true},
		{"a.selftest.stagepost.invalid", true},
		{"a.b.selftest.stagepost.invalid", true},
		{".selftest.stagepost.invalid", true},
		{"xselftest.stagepost.invalid", false},
		{"x-selftest.stagepost.invalid", false},
		{"stagepost.invalid", false},
		{"selftest.stagepost.invalid.test", false},
		{"selftest-stagepost.invalid", false},
		{"invalid", false},
		{"", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(reserved_is(span_of(cases[i].domain)) == cases[i].reserved, "%s",
			      cases[i].domain);
}
END_TEST

START_TEST(no_pattern_names_it)
{
	static const char *const texts[] = {
		"probe@selftest.stagepost.invalid",   "probe@SelfTest.stagepost.invalid",
		"probe@a.selftest.stagepost.invalid", "selftest.stagepost.invalid",
		"@selftest.stagepost.invalid",	      ".selftest.stagepost.invalid",
		"*.selftest.stagepost.invalid",	      "*@selftest.stagepost.invalid",
		"p*@selftest.stagepost.invalid",      "*@.selftest.stagepost.invalid",
		"p%q@selftest.stagepost.invalid",     "a.selftest.stagepost.invalid",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct pattern pattern = {.text = "untouched"};
		struct entry entry = {.id = 1,
				      .pattern = texts[i],
				      .kind = ENTRY_EXACT,
				      .action = ENTRY_ALLOW,
				      .scope = ""};
		struct whitelist *list = whitelist_new();
		struct err why;
		size_t bad;

		ck_assert_int_eq(pattern_parse(span_of(texts[i]), &pattern, &why), ERR_SYNTAX);
		ck_assert_str_eq(pattern.text, "untouched");
		ck_assert_msg(strstr(why.text, "self-test") != NULL, "%s", why.text);
		/* Nor does a row that somebody wrote into the store. */
		whitelist_load_begin(list);
		whitelist_load_add(list, &entry);
		whitelist_load_end(list, 1, &bad);
		ck_assert_uint_eq(bad, 1);
		whitelist_free(&list);
	}
}
END_TEST

static void expect_refused(struct whitelist *list, const char *text)
{
	static const struct policy_options hold = {.default_verdict = VERDICT_HOLD};
	static const struct policy_options hook = {.screening = true, .hook_overrides = true};
	struct judge_case at = {.list = whitelist_acquire(list),
				.policy = &hold,
				.scope = span_of("s"),
				.now = NOW};
	struct address address;
	struct verdict verdict;
	char sentence[200];

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	verdict_judge(at.list, &address, span_of(""), NOW, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_int_eq(verdict.reason, REASON_RESERVED);
	/* policy.default is no way either. */
	judge_address(&at, &address, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_int_eq(judge_state(&verdict), STATE_DROPPED);
	/* Nor is the hook, or a person. */
	at.policy = &hook;
	at.permitted = at.released = true;
	judge_address(&at, &address, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_int_eq(verdict.reason, REASON_RESERVED);
	ck_assert(!policy_screens(&hook, &verdict));
	ck_assert_int_eq(verdict.entry, 0);
	ck_assert_int_eq(verdict.revision, 1);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	ck_assert_str_eq(sentence, "the domain is reserved for the relay's self-test");
	whitelist_release(&at.list);
}

START_TEST(no_entry_allows_it)
{
	static const struct list_row everything[] = {
		{"*", 1},	    {"*", 2, .scope = "s"},
		{".invalid", 3},    {".stagepost.invalid", 4},
		{"p*@.invalid", 5}, {NULL},
	};
	static const struct list_row nothing[] = {{NULL}};
	struct whitelist *lists[] = {list_of(everything), list_of(nothing)};

	for (size_t i = 0; i < 2; i++) {
		expect_refused(lists[i], "probe@selftest.stagepost.invalid");
		expect_refused(lists[i], "Probe@A.SelfTest.stagepost.invalid");
		expect_refused(lists[i], "p%q@selftest.stagepost.invalid");
		whitelist_free(&lists[i]);
	}
}
END_TEST

/* delivery.senders are patterns too. A deny pattern may cover it. */
START_TEST(patterns_do_not_match_it)
{
	struct pattern all, below;
	struct address probe, other;

	ck_assert_int_eq(pattern_parse(span_of("*"), &all, NULL), ERR_OK);
	ck_assert_int_eq(pattern_parse(span_of(".invalid"), &below, NULL), ERR_OK);
	ck_assert_int_eq(address_parse(span_of("a@selftest.stagepost.invalid"), &probe, NULL),
			 ERR_OK);
	ck_assert_int_eq(address_parse(span_of("a@stagepost.invalid"), &other, NULL), ERR_OK);
	ck_assert(!pattern_matches(&all, &probe) && pattern_covers(&all, &probe));
	ck_assert(!pattern_matches(&below, &probe) && pattern_covers(&below, &probe));
	ck_assert(pattern_matches(&all, &other) && pattern_matches(&below, &other));
}
END_TEST

UNIT_MAIN("filter/reserved", which_domains, no_pattern_names_it, no_entry_allows_it,
	  patterns_do_not_match_it)
