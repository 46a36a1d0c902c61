/* tests relay/filter/rule.c: the rules in force, edition by edition */
#include "relay/filter/rule_match.h"

#include <assert.h>
#include <stdio.h>

#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/filter/trial.h"
#include "tests/unit/unit.h"

/* What says the same goes on counting, wherever it stands; and a change of one is not work for all.
 */
START_TEST(a_change_among_many_is_quick)
{
	static char named[RULE_ROWS_MAX][16];
	static struct rule rules[RULE_ROWS_MAX];
	const struct edition *edition;
	struct verdict verdict = {.rule = "n7"};
	struct rule_view view;
	struct trial t;
	int64_t begun;

	for (size_t i = 0; i < RULE_ROWS_MAX; i++) {
		snprintf(named[i], sizeof(named[i]), "n%zu", i);
		rules[i] = (struct rule){.name = named[i], .action = RULE_DROP, .sender = "x.test"};
	}
	trial_begin(&t);
	rules[7].sender = NULL;
	trial_publish(&t, rules, RULE_ROWS_MAX);
	edition = rules_acquire(t.rules);
	rule_count(rule_match(edition, &t.facts, t.arena), &verdict);
	published_release(&edition);
	/* One is changed, then the first goes: it is found at once, or a place farther on. */
	for (size_t gone = 0; gone < 2; gone++) {
		rules[500].user = "u";
		begun = trial_thread_us();
		trial_publish(&t, &rules[gone], RULE_ROWS_MAX - gone);
		printf("# a change among %d rules: %lld us\n", RULE_ROWS_MAX,
		       (long long)(trial_thread_us() - begun));
		edition = rules_acquire(t.rules);
		rule_view(edition, 7 - gone, &view);
		ck_assert_str_eq(view.rule->name, "n7");
		ck_assert_uint_eq(view.matches, 1);
		published_release(&edition);
	}
	/* From one end to the other. */
	trial_publish(&t, &rules[8], RULE_ROWS_MAX - 8);
	trial_publish(&t, rules, 8);
	edition = rules_acquire(t.rules);
	rule_view(edition, 7, &view);
	ck_assert_uint_eq(view.matches, 0); /* it was away */
	published_release(&edition);
	trial_end(&t);
}
END_TEST

/* --- in force -------------------------------------------------------------------------------- */

START_TEST(editions_are_whole_and_counted)
{
	struct rule first = {.name = "first", .action = RULE_DROP};
	struct rule rows[3];
	const struct edition *old;
	const struct edition *now;
	struct verdict verdict = {.rule = "first"};
	struct rule_view view;
	uint64_t number;
	struct trial t;

	trial_begin(&t);
	ck_assert(!rules_are_on(t.rules));
	number = rules_number(t.rules);
	trial_publish(&t, &first, 1);
	ck_assert(rules_are_on(t.rules));
	ck_assert_uint_gt(rules_number(t.rules), number);
	old = rules_acquire(t.rules);
	rule_count(rule_match(old, &t.facts, t.arena), &verdict);
	rows[0] = rule_filled(&first);
	rows[1] = rule_filled(&(struct rule){.name = "config", .action = RULE_HOLD});
	rows[2] = rule_filled(&(struct rule){.name = "b a d", .action = RULE_TAG});
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_CONFIG, &rows[1], 2), 1);
	/* Disabled and noted: it says the same and goes on counting. */
	rows[0].enabled = false;
	rows[0].note = "later";
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, rows, 1), 0);
	now = rules_acquire(t.rules);
	ck_assert_uint_eq(old->count, 1);
	ck_assert_uint_eq(now->count, 2);
	rule_view(now, 0, &view);
	ck_assert_str_eq(view.rule->name, "config");
	ck_assert_int_eq(view.source, PUBLISHED_FROM_CONFIG);
	rule_view(now, 1, &view);
	ck_assert_uint_eq(view.matches, 1);
	ck_assert(!view.rule->enabled);
	published_release(&old);
	published_release(&now);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), "hold: rule config");
	trial_end(&t);
}
END_TEST

/* Who published them may do with his strings what he likes. */
START_TEST(what_is_published_is_kept)
{
	static const char *const texts[] = {"kept",
					    "qa@b\xc3\xbc"
					    "cher.test",
					    "shop.test",
					    "example.com",
					    "10.0.0.0/8",
					    "app-*",
					    "*:2525",
					    "shop",
					    "a note",
					    "somebody",
					    "Subject",
					    "*invoice*",
					    ""};
	char buffers[sizeof(texts) / sizeof(texts[0])][32];
	struct rule_header headers[] = {{buffers[10], RULE_GLOB, buffers[11]}};
	struct rule rule = {.name = buffers[0],
			    .enabled = true,
			    .action = RULE_REDIRECT,
			    .redirect_to = buffers[1],
			    .tag = buffers[12],
			    .sender = buffers[2],
			    .recipient = buffers[3],
			    .client = buffers[4],
			    .user = buffers[5],
			    .listener = buffers[6],
			    .scope = buffers[7],
			    .note = buffers[8],
			    .created_by = buffers[9],
			    .headers = headers,
			    .header_count = 1};
	const struct edition *edition;
	struct rule_view view;
	struct trial t;

	trial_begin(&t);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		snprintf(buffers[i], sizeof(buffers[i]), "%s", texts[i]);
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 0);
	memset(buffers, 'x', sizeof(buffers));
	memset(headers, 'x', sizeof(headers));
	edition = rules_acquire(t.rules);
	rule_view(edition, 0, &view);
	ck_assert_str_eq(view.rule->name, "kept");
	/* It is printed as every address is. */
	ck_assert_str_eq(view.rule->redirect_to, "qa@xn--bcher-kva.test");
	ck_assert_str_eq(view.rule->tag, "");
	ck_assert_str_eq(view.rule->sender, "shop.test");
	ck_assert_str_eq(view.rule->recipient, "example.com");
	ck_assert_str_eq(view.rule->client, "10.0.0.0/8");
	ck_assert_str_eq(view.rule->user, "app-*");
	ck_assert_str_eq(view.rule->listener, "*:2525");
	ck_assert_str_eq(view.rule->scope, "shop");
	ck_assert_str_eq(view.rule->note, "a note");
	ck_assert_str_eq(view.rule->created_by, "somebody");
	ck_assert_str_eq(view.rule->headers[0].name, "Subject");
	ck_assert_str_eq(view.rule->headers[0].value, "*invoice*");
	published_release(&edition);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"),
			 "redirect: rule kept redirects it to qa@xn--bcher-kva.test");
	/* Also where there is none. */
	rule = rule_filled(&(struct rule){.action = RULE_DROP, .redirect_to = buffers[0]});
	buffers[0][0] = '\0';
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 0);
	buffers[0][0] = 'x';
	edition = rules_acquire(t.rules);
	rule_view(edition, 0, &view);
	ck_assert_str_eq(view.rule->redirect_to, "");
	published_release(&edition);
	trial_end(&t);
	ck_assert_ptr_null(t.rules);
	rules_free(&t.rules);
}
END_TEST

/* Each of these is another rule than the one before: what that did is not counted for it. */
START_TEST(a_rule_that_says_something_else_counts_anew)
{
	const struct rule rows[] = {
		{.name = "a", .action = RULE_DROP},
		{.name = "b", .action = RULE_DROP},
		{.name = "b", .action = RULE_DELIVER},
		{.name = "b", .action = RULE_DELIVER, .overrides_whitelist = true},
		{.name = "a", .action = RULE_DROP, .sender = "shop.test"},
		{.name = "a", .action = RULE_DROP, .recipient = "shop.test"},
		{.name = "a", .action = RULE_DROP, .client = "10.0.0.0/8"},
		{.name = "a", .action = RULE_DROP, .user = "*"},
		{.name = "a", .action = RULE_DROP, .listener = "*"},
		{.name = "a", .action = RULE_DROP, .scope = "shop"},
		{.name = "a", .action = RULE_DROP, .min_size = 1},
		{.name = "a", .action = RULE_DROP, .min_size = 2},
		{.name = "a", .action = RULE_DROP, .max_size = 2000},
		{.name = "a", .action = RULE_DROP, .max_size = 2001},
		{.name = "a", .action = RULE_DROP, HEADERS({"A", RULE_PRESENT, ""})},
		{.name = "a", .action = RULE_DROP, HEADERS({"A", RULE_GLOB, "c"})},
		{.name = "a",
		 .action = RULE_DROP,
		 HEADERS({"A", RULE_GLOB, "c"}, {"B", RULE_EXACT, "c"})},
		{.name = "a",
		 .action = RULE_DROP,
		 HEADERS({"A", RULE_GLOB, "c"}, {"B", RULE_EXACT, "d"})},
	};
	struct trial t;

	trial_begin(&t);
	t.facts.header_known = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict verdict = {.rule = rows[i].name};
		const struct edition *edition;

		trial_publish(&t, &rows[i], 1);
		ck_assert_msg(trial_matches(t.rules, 0) == 0, "row %zu", i);
		edition = rules_acquire(t.rules);
		rule_count(rule_match(edition, &t.facts, t.arena), &verdict);
		published_release(&edition);
		trial_publish(&t, &rows[i], 1);
		ck_assert_msg(trial_matches(t.rules, 0) == 1, "row %zu", i);
	}
	trial_end(&t);
}
END_TEST

UNIT_MAIN("filter/rule_publish", a_change_among_many_is_quick, editions_are_whole_and_counted,
	  what_is_published_is_kept, a_rule_that_says_something_else_counts_anew)
