/* tests relay/filter/rule_match.c with judge.c: which rule decides, and what it may */
#include "relay/filter/rule_match.h"

#include <assert.h>
#include <stdio.h>

#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/filter/trial.h"
#include "tests/unit/unit.h"

/* P1: what it keeps is not known. What would let go or tag is left out. */
START_TEST(a_bad_row_that_may_keep_mail_keeps_all)
{
	static const struct {
		struct rule rule;
		const char *want;
	} rows[] = {
		{{.name = "r", .action = RULE_DROP, .recipient = "a@@b"}, "drop: rule r"},
		{{.name = "r", .action = RULE_HOLD, .client = "here"}, "drop: rule r"},
		{{.name = "r", .action = RULE_REDIRECT, .redirect_to = "x"}, "drop: rule r"},
		{{.name = "not a name", .action = RULE_DROP}, "drop: rule unreadable"},
		{{.name = "", .action = RULE_HOLD}, "drop: rule unreadable"},
		{{.name = "r", .action = 99}, "drop: rule r"},
		{{.name = "r"}, "drop: rule r"},
		{{.name = "r", .action = RULE_DELIVER, .overrides_whitelist = true, .sender = "@"},
		 ALLOWED},
		{{.name = "r", .action = RULE_TAG, .tag = ""}, ALLOWED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule rule = rule_filled(&rows[i].rule);
		struct trial t;

		trial_begin(&t);
		rule.name = rows[i].rule.name;
		rule.action = rows[i].rule.action;
		rule.enabled = true;
		ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 1);
		ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), rows[i].want);
		ck_assert_str_ne(trial_verdict(&t, "x@else.test"), "deliver: rule r");
		rule.enabled = false;
		ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 1);
		ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
		trial_end(&t);
	}
}
END_TEST

START_TEST(a_rule_that_is_switched_off_does_nothing)
{
	struct rule rule = rule_filled(&(struct rule){.action = RULE_DROP});
	struct trial t;

	trial_begin(&t);
	rule.enabled = false;
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 0);
	ck_assert(!rules_are_on(t.rules));
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	trial_end(&t);
}
END_TEST

START_TEST(the_first_that_decides_counts)
{
	const struct rule rows[] = {
		{.name = "other", .action = RULE_DROP, .recipient = "bob@example.com"},
		{.name = "tagged", .action = RULE_TAG, .tag = "[a] "},
		{.name = "keep", .action = RULE_HOLD, .recipient = "h*@example.com"},
		{.name = "let", .action = RULE_DELIVER, .recipient = "l*@example.com"},
		{.name = "qa",
		 .action = RULE_REDIRECT,
		 .redirect_to = "QA@Example.COM",
		 .recipient = "q*@example.com"},
		{.name = "last", .action = RULE_DROP},
		{.name = "late", .action = RULE_TAG, .tag = "[b] "},
		{.name = "no", .action = RULE_TAG, .tag = "[c] ", .sender = "other.test"},
	};
	const struct edition *edition;
	struct buf tags;
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, rows, sizeof(rows) / sizeof(rows[0]));
	ck_assert_str_eq(trial_verdict(&t, "bob@example.com"), "drop: rule other");
	ck_assert_str_eq(trial_verdict(&t, "hans@example.com"), "hold: rule keep");
	ck_assert_str_eq(trial_verdict(&t, "lisa@example.com"),
			 "deliver: allowed by example.com, rule let");
	ck_assert_str_eq(trial_verdict(&t, "quentin@example.com"),
			 "redirect: rule qa redirects it to QA@Example.COM");
	/* Nobody is redirected to himself: the next rules decide. */
	ck_assert_str_eq(trial_verdict(&t, "QA@example.com"), "drop: rule last");
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), "drop: rule last");
	/* A person has let it go: what holds was answered, the next rules are asked. */
	t.released = true;
	ck_assert_str_eq(trial_verdict(&t, "hans@example.com"), "drop: rule last");
	/* Tags are the message's. */
	edition = rules_acquire(t.rules);
	buf_init(&tags, 100);
	rule_tags(rule_match(edition, &t.facts, t.arena), &tags);
	ck_assert_str_eq(tags.data, "[a] [b] ");
	buf_release(&tags);
	published_release(&edition);
	trial_end(&t);
}
END_TEST

START_TEST(a_rule_only_narrows_unless_it_overrides)
{
	struct rule let = {.name = "let", .action = RULE_DELIVER};
	struct rule hold = {.name = "keep", .action = RULE_HOLD};
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, &let, 1);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"), UNLISTED);
	ck_assert_str_eq(trial_verdict(&t, "no@example.com"), "drop: denied by no@example.com");
	t.policy.default_verdict = VERDICT_HOLD;
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
			 "hold: no entry allows it, policy.default is hold");
	/* What no entry allows can be kept in another way; what is denied stays so. */
	t.policy.default_verdict = VERDICT_DROP;
	trial_publish(&t, &hold, 1);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"), "hold: rule keep");
	ck_assert_str_eq(trial_verdict(&t, "no@example.com"), "drop: denied by no@example.com");
	ck_assert_str_eq(trial_verdict(&t, "\"a b\"@example.com"), "drop: unsafe address form");
	let.overrides_whitelist = true;
	trial_publish(&t, &let, 1);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
			 "deliver: rule let overrides the whitelist");
	ck_assert_str_eq(trial_verdict(&t, "no@example.com"), "drop: denied by no@example.com");
	ck_assert_str_eq(trial_verdict(&t, "\"a b\"@example.com"), "drop: unsafe address form");
	ck_assert_str_eq(trial_verdict(&t, "x@[127.0.0.1]"), "drop: unsafe address form");
	/* As with entries: what is no plain address must be named in full. */
	ck_assert_str_eq(trial_verdict(&t, "x%y@else.test"), UNLISTED);
	let.recipient = "else.test";
	trial_publish(&t, &let, 1);
	ck_assert_str_eq(trial_verdict(&t, "x%y@else.test"), UNLISTED);
	let.recipient = "x%y@else.test";
	trial_publish(&t, &let, 1);
	ck_assert_str_eq(trial_verdict(&t, "x%y@else.test"),
			 "deliver: rule let overrides the whitelist");
	ck_assert_str_eq(trial_verdict(&t, "z@else.test"), UNLISTED);
	trial_end(&t);
}
END_TEST

/* Before the header is there: it can't be said that nothing will let it leave. */
START_TEST(what_a_rule_may_allow_later)
{
	const struct rule rows[] = {{.action = RULE_DELIVER},
				    {.name = "o",
				     .action = RULE_DELIVER,
				     .overrides_whitelist = true,
				     .recipient = "else.test",
				     .sender = "shop.test",
				     HEADERS({"X-Pass", RULE_PRESENT, ""})}};
	const struct edition *edition;
	const struct rule_matches *matches;
	struct address address;
	struct err why;
	struct trial t;

	trial_begin(&t);
	t.facts.header_known = false;
	t.facts.size = -1;
	trial_publish(&t, rows, 2);
	edition = rules_acquire(t.rules);
	matches = rule_match(edition, &t.facts, t.arena);
	ck_assert_int_eq(address_parse(span_of("x@else.test"), &address, &why), ERR_OK);
	ck_assert(rule_may_allow(matches, &address));
	ck_assert_int_eq(address_parse(span_of("x@third.test"), &address, &why), ERR_OK);
	ck_assert(!rule_may_allow(matches, &address));
	t.facts.header_known = true;
	matches = rule_match(edition, &t.facts, t.arena);
	ck_assert_int_eq(address_parse(span_of("x@else.test"), &address, &why), ERR_OK);
	ck_assert(!rule_may_allow(matches, &address));
	published_release(&edition);
	trial_end(&t);
}
END_TEST

START_TEST(where_no_rule_decides_the_policy_does)
{
	struct rule other = {.action = RULE_DROP, .recipient = "third.test"};
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, &other, 1);
	t.policy.default_verdict = VERDICT_HOLD;
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
			 "hold: no entry allows it, policy.default is hold");
	trial_end(&t);
}
END_TEST

/* Each for itself, as if the message met all it asks. */
START_TEST(one_rule_alone)
{
	const struct rule given[] = {{.name = "a", .action = RULE_DROP, .sender = "other.test"},
				     {.name = "b", .action = RULE_HOLD, .user = "nobody"},
				     {.name = "c", .action = RULE_DROP},
				     {.name = "off", .action = RULE_DROP}};
	static const char *const want[] = {"a", "b", "c", NULL};
	struct rule rows[4];
	const struct edition *edition;
	struct address address;
	struct trial t;

	trial_begin(&t);
	for (size_t i = 0; i < 4; i++)
		rows[i] = rule_filled(&given[i]);
	rows[3].enabled = false;
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, rows, 4), 0);
	edition = rules_acquire(t.rules);
	ck_assert_int_eq(address_parse(span_of("alice@example.com"), &address, NULL), ERR_OK);
	for (size_t i = 0; i < 4; i++) {
		struct verdict verdict;

		verdict_judge(t.snapshot, &address, span_of(""), 1, &verdict);
		ck_assert(rule_decide(rule_match_only(edition, i, t.arena), &address, false,
				      &verdict) == (want[i] != NULL));
		if (want[i] != NULL)
			ck_assert_str_eq(verdict.rule, want[i]);
		ck_assert_int_eq(verdict.kind == VERDICT_DELIVER, want[i] == NULL);
	}
	published_release(&edition);
	trial_end(&t);
}
END_TEST

/* What is denied is no rule's business, and nobody is told that one decided. */
START_TEST(no_rule_decides_on_what_is_denied)
{
	struct rule rule = {.action = RULE_HOLD};
	const struct edition *edition;
	struct verdict verdict;
	struct address address;
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, &rule, 1);
	edition = rules_acquire(t.rules);
	ck_assert_int_eq(address_parse(span_of("no@example.com"), &address, NULL), ERR_OK);
	verdict_explain(t.snapshot, &address, span_of(""), 1, &verdict);
	ck_assert(!rule_decide(rule_match(edition, &t.facts, t.arena), &address, false, &verdict));
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_int_eq(verdict.reason, REASON_DENIED);
	ck_assert_ptr_null(verdict.rule);
	published_release(&edition);
	trial_end(&t);
}
END_TEST

static bool may_override(struct trial *t)
{
	const struct edition *edition = rules_acquire(t->rules);
	bool may = rule_may_override(rule_match(edition, &t->facts, t->arena));

	published_release(&edition);
	return may;
}

START_TEST(whether_any_rule_may_override)
{
	struct rule rows[] = {{.name = "a", .action = RULE_DELIVER, .overrides_whitelist = true},
			      {.name = "b", .action = RULE_DELIVER}};
	struct trial t;

	trial_begin(&t);
	ck_assert(!may_override(&t));
	trial_publish(&t, rows, 2);
	ck_assert(may_override(&t));
	trial_publish(&t, &rows[1], 1);
	ck_assert(!may_override(&t));
	rows[0].sender = "other.test";
	trial_publish(&t, rows, 2);
	ck_assert(!may_override(&t));
	trial_end(&t);
}
END_TEST

START_TEST(each_rule_that_tags_is_counted)
{
	const struct rule rows[] = {
		{.name = "a", .action = RULE_TAG, .tag = "[a] "},
		{.name = "b", .action = RULE_TAG, .tag = "[b] ", .sender = "other.test"},
		{.name = "c", .action = RULE_HOLD},
		{.name = "d", .action = RULE_TAG, .tag = "[d] "}};
	static const uint64_t want[] = {1, 0, 0, 1};
	const struct edition *edition;
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, rows, 4);
	edition = rules_acquire(t.rules);
	rule_count_tags(rule_match(edition, &t.facts, t.arena));
	published_release(&edition);
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(trial_matches(t.rules, i), want[i]);
	trial_end(&t);
}
END_TEST

static bool may_allow(struct trial *t, const char *recipient)
{
	struct address address;

	ck_assert_int_eq(address_parse(span_of(recipient), &address, NULL), ERR_OK);
	return rules_may_allow(t->rules, &t->facts, &address);
}

START_TEST(what_the_rules_in_force_may_allow)
{
	struct rule let = {.name = "let",
			   .action = RULE_DELIVER,
			   .overrides_whitelist = true,
			   .recipient = "else.test"};
	struct address address;
	struct trial t;

	trial_begin(&t);
	ck_assert_int_eq(address_parse(span_of("x@else.test"), &address, NULL), ERR_OK);
	ck_assert(!rules_may_allow(NULL, &t.facts, &address));
	ck_assert(!may_allow(&t, "x@else.test"));
	trial_publish(&t, &let, 1);
	ck_assert(may_allow(&t, "x@else.test"));
	ck_assert(!may_allow(&t, "x@third.test"));
	/* That form leaves only where it is named in full. */
	ck_assert(!may_allow(&t, "x%y@else.test"));
	let.recipient = NULL;
	trial_publish(&t, &let, 1);
	ck_assert(!may_allow(&t, "x%y@else.test"));
	let.recipient = "x%y@else.test";
	trial_publish(&t, &let, 1);
	ck_assert(may_allow(&t, "x%y@else.test"));
	let.sender = "other.test";
	trial_publish(&t, &let, 1);
	ck_assert(!may_allow(&t, "x%y@else.test"));
	let = (struct rule){.action = RULE_DROP};
	trial_publish(&t, &let, 1);
	ck_assert(!may_allow(&t, "x@else.test"));
	trial_end(&t);
}
END_TEST

static void expect_tag(struct trial *t, const char *subject_tag, const char *want)
{
	const struct edition *edition = rules_acquire(t->rules);
	struct policy_options tagged;

	t->policy.subject_tag = subject_tag;
	t->policy.redirect_to = "qa@example.com";
	tagged = rule_policy(rule_match(edition, &t->facts, t->arena), &t->policy, t->arena);
	ck_assert_str_eq(tagged.subject_tag, want);
	ck_assert_str_eq(tagged.redirect_to, "qa@example.com");
	published_release(&edition);
}

START_TEST(tags_stand_behind_that_of_the_policy)
{
	const struct rule rows[] = {
		{.name = "a", .action = RULE_TAG, .tag = "[a] "},
		{.name = "b", .action = RULE_TAG, .tag = "[b] ", .sender = "other.test"},
		{.name = "c", .action = RULE_TAG, .tag = "[c] "}};
	char longest[SUBJECT_TAG_MAX] = "";
	struct trial t;

	trial_begin(&t);
	expect_tag(&t, NULL, "");
	expect_tag(&t, "[x] ", "[x] ");
	trial_publish(&t, rows, 3);
	expect_tag(&t, NULL, "[a] [c] ");
	expect_tag(&t, "[x] ", "[x] [a] [c] ");
	/* The first still has room, the next one has not. */
	memset(longest, 'x', SUBJECT_TAG_MAX - 4);
	expect_tag(&t, longest, arena_printf(t.arena, "%s[a] ", longest));
	trial_end(&t);
}
END_TEST

START_TEST(the_rule_that_decided_is_counted)
{
	const struct rule rows[] = {{.name = "not", .action = RULE_DROP, .sender = "other.test"},
				    {.name = "first", .action = RULE_HOLD},
				    {.name = "second", .action = RULE_DROP},
				    {.name = "tag", .action = RULE_TAG, .tag = "[x]"},
				    {.name = "no", .action = RULE_TAG, .tag = "[x]", .user = "z"}};
	static const uint64_t want[] = {0, 0, 1, 1, 0};
	struct verdict verdict = {.rule = NULL};
	const struct rule_matches *matches;
	const struct edition *edition;
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, rows, 5);
	edition = rules_acquire(t.rules);
	matches = rule_match(edition, &t.facts, t.arena);
	rule_count_tags(matches);
	rule_count(matches, &verdict);
	/* Another edition's verdict: here that rule is not about the message. */
	verdict.rule = "not";
	rule_count(matches, &verdict);
	verdict.rule = "second";
	rule_count(matches, &verdict);
	for (size_t i = 0; i < 5; i++) {
		struct rule_view view;

		rule_view(edition, i, &view);
		ck_assert_uint_eq(view.matches, want[i]);
	}
	published_release(&edition);
	trial_end(&t);
}
END_TEST

UNIT_MAIN("filter/rule_decides", a_bad_row_that_may_keep_mail_keeps_all,
	  a_rule_that_is_switched_off_does_nothing, the_first_that_decides_counts,
	  a_rule_only_narrows_unless_it_overrides, what_a_rule_may_allow_later,
	  where_no_rule_decides_the_policy_does, one_rule_alone, no_rule_decides_on_what_is_denied,
	  whether_any_rule_may_override, each_rule_that_tags_is_counted,
	  what_the_rules_in_force_may_allow, tags_stand_behind_that_of_the_policy,
	  the_rule_that_decided_is_counted)
