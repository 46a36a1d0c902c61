/* tests relay/filter/lint.c and pattern_includes: what an entry would mean */
#include <config.h>

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "relay/filter/domains.h"
#include "relay/filter/lint.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define NOW 1000000

static void parse(const char *text, struct pattern *pattern_out)
{
	struct err why;

	ck_assert_msg(pattern_parse(span_of(text), pattern_out, &why) == ERR_OK, "%s: %s", text,
		      why.text);
}

static const struct {
	const char *outer;
	const char *inner;
	bool includes;
} inclusions[] = {
	{"*", "*", true},
	{"*", "a@x.test", true},
	{"*", ".test", true},
	{"x.test", "*", false},
	{"x.test", "a@x.test", true},
	{"x.test", "qa-*@x.test", true},
	{"x.test", "x.test", true},
	{"x.test", ".x.test", false},
	{"x.test", "a@y.x.test", false},
	{"x.test", "a@notx.test", false},
	{".x.test", "a@y.x.test", true},
	{".x.test", "a@z.y.x.test", true},
	{".x.test", "a@x.test", false},
	{".x.test", "x.test", false},
	{".x.test", ".x.test", true},
	{".x.test", ".y.x.test", true},
	{".y.x.test", ".x.test", false},
	{".x.test", "notx.test", false},
	{"a@x.test", "a@x.test", true},
	{"a@x.test", "A@X.TEST", true},
	{"a@x.test", "b@x.test", false},
	{"a@x.test", "a*@x.test", false},
	{"a*@x.test", "a@x.test", true},
	{"a*@x.test", "ab@x.test", true},
	{"a*@x.test", "b@x.test", false},
	{"a*@x.test", "ab*@x.test", true},
	{"ab*@x.test", "a*@x.test", false},
	{"a*c@x.test", "a*b*c@x.test", true},
	{"a*b*c@x.test", "a*c@x.test", false},
	{"*b@x.test", "a*@x.test", false},
	{"*b*@x.test", "*abc*@x.test", true},
	{"a*@x.test", "x.test", false},
	{"a*@x.test", "a@y.x.test", false},
	{"a*@.x.test", "a1@y.x.test", true},
	{"a*@.x.test", "a1@.y.x.test", true},
	{"a*@.x.test", "a1@x.test", false},
	{"bob@.x.test", "bob@y.x.test", true},
	{"bob@.x.test", "bob@.x.test", true},
	{"bob@.x.test", "*@y.x.test", false},
};

START_TEST(one_pattern_inside_another)
{
	for (size_t i = 0; i < sizeof(inclusions) / sizeof(inclusions[0]); i++) {
		struct pattern outer;
		struct pattern inner;

		parse(inclusions[i].outer, &outer);
		parse(inclusions[i].inner, &inner);
		ck_assert_msg(pattern_includes(&outer, &inner) == inclusions[i].includes,
			      "%s and %s", inclusions[i].outer, inclusions[i].inner);
	}
}
END_TEST

/* A claim about all addresses, tried on every short one over a few bytes. */
START_TEST(inclusion_holds_for_every_short_address)
{
	static const char *const locals[] = {"a", "b", "aa", "ab", "ba", "bb", "a.b", "aab"};
	static const char *const globs[] = {"a*", "*a",	 "*a*", "a*b", "b*",
					    "*b", "*b*", "a*a", "ab*", "*ab"};
	size_t included = 0;

	for (size_t i = 0; i < sizeof(globs) / sizeof(globs[0]); i++)
		for (size_t j = 0; j < sizeof(globs) / sizeof(globs[0]); j++) {
			struct pattern outer;
			struct pattern inner;
			char text[40];

			snprintf(text, sizeof(text), "%s@x.test", globs[i]);
			parse(text, &outer);
			snprintf(text, sizeof(text), "%s@x.test", globs[j]);
			parse(text, &inner);
			if (!pattern_includes(&outer, &inner))
				continue;
			included++;
			for (size_t k = 0; k < sizeof(locals) / sizeof(locals[0]); k++) {
				struct address address;

				snprintf(text, sizeof(text), "%s@x.test", locals[k]);
				ck_assert_int_eq(address_parse(span_of(text), &address, NULL),
						 ERR_OK);
				ck_assert_msg(!pattern_matches(&inner, &address) ||
						      pattern_matches(&outer, &address),
					      "%s: %s is in %s", locals[k], globs[j], globs[i]);
			}
		}
	ck_assert_uint_gt(included, 15);
}
END_TEST

static const struct list_row present[] = {
	{"example.com", 1, false, NULL, 0},
	{"boss@example.com", 2, true, NULL, 0},
	{".denied.test", 3, true, NULL, 0},
	{"shop.test", 4, false, "shop", 0},
	{"over.test", 5, false, NULL, NOW - 1},
	{"qa-*@glob.test", 6, false, NULL, 0},
	{"nobody.test", 7, true, "shop", 0},
	{"listed.test", 8, false, NULL, 0},
	{"later.test", 9, false, NULL, NOW + 10},
	{"a%c@listed.test", 10, false, NULL, 0},
	{"two.test", 13, false, NULL, 0},
	{"tw*@two.test", 12, false, NULL, 0},
	{"t*@two.test", 14, false, NULL, 0},
	{"abx@sample.test", 15, false, NULL, 0},
	{"s@one.test", 16, false, NULL, 0},
	{"*", 17, false, "all", 0},
	{"*", 18, true, "none", 0},
	{"now.test", 19, false, NULL, NOW},
	{NULL, 0, false, NULL, 0},
};

static const struct {
	const char *pattern;
	bool deny;
	const char *scope;
	const char *want; /* kinds, and the entry where there is one */
} lines[] = {
	{"a@new.test", false, "", ""},
	{"new.test", false, "", ""},
	{"*", false, "", "everything"},
	{"*", true, "", ""},
	{"gmail.com", false, "", "public-domain"},
	{".gmail.com", false, "", "public-domain"},
	{"qa-*@gmail.com", false, "", "public-domain"},
	{"somebody@gmail.com", false, "", ""},
	{"gmail.com", true, "", ""},
	{"notgmail.com", false, "", ""},
	{".com", false, "", "wide"},
	{".co.uk", false, "", "wide"},
	{"co.uk", false, "", "wide"},
	{"qa-*@.uk", false, "", "wide"},
	{".shop.co.uk", false, "", ""},
	{".test", false, "", ""},
	{".internal", false, "", ""},
	{"a*@new.test", false, "", "wide"},
	{"ab*@new.test", false, "", ""},
	{"a@example.com", false, "", "covered 1"},
	{"qa-*@example.com", false, "", "covered 1"},
	{"a@example.com", false, "shop", "covered 1"},
	{"example.com", false, "shop", "covered 1"},
	{"a@sub.example.com", false, "", ""},
	{"boss@example.com", false, "", "denied 2 covered 1"},
	{"bos*@example.com", false, "", "covered 1"},
	{"a@x.denied.test", false, "", "denied 3"},
	{".x.denied.test", false, "", "denied 3"},
	{"denied.test", false, "", ""},
	{"b@x.denied.test", true, "", "covered 3"},
	{"a@example.com", true, "", ""}, /* an allow covers no deny */
	{"a@shop.test", false, "shop", "covered 4"},
	{"a@shop.test", false, "", ""}, /* it counts for one scope only */
	{"a@over.test", false, "", ""},
	{"qa-1@glob.test", false, "", "covered 6"},
	{"qa-x*@glob.test", false, "", "covered 6"},
	{"q*@glob.test", false, "", "wide"},
	{"a@nobody.test", false, "", ""},
	{"a@nobody.test", false, "shop", "denied 7"},
	/* Only an exact entry allows that form; a deny is read widely. */
	{"a%b@listed.test", false, "", ""},
	{"a%b@x.denied.test", false, "", "denied 3"},
	{"a%c@listed.test", false, "shop", "covered 10"},
	{"a@later.test", false, "", "covered 9"},
	/* What covers one address of many does not cover them. */
	{"ab*@sample.test", false, "", ""},
	{"s@one.test", false, "shop", "covered 16"},
	{"*", false, "all", "everything covered 17"},
	{"*", false, "none", "everything denied 18"},
	{"a@now.test", false, "", ""},
	/* Of several the oldest. */
	{"two@two.test", false, "", "covered 12"},
};

static void warnings_of(const struct lint_case *at, char *text)
{
	struct lint_warning warnings[LINT_WARNINGS_MAX];
	size_t count = lint_warnings(at, warnings);

	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		sprintf(text + strlen(text), "%s%s", i > 0 ? " " : "",
			lint_kind_name(warnings[i].kind));
		if (warnings[i].entry != 0)
			sprintf(text + strlen(text), " %lld", (long long)warnings[i].entry);
		ck_assert_uint_gt(strlen(warnings[i].text), 10);
	}
}

START_TEST(warnings)
{
	struct whitelist *list = list_of(present);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct pattern pattern;
		struct lint_case at = {.before = snapshot,
				       .after = snapshot,
				       .pattern = &pattern,
				       .action = lines[i].deny ? ENTRY_DENY : ENTRY_ALLOW,
				       .scope = span_of(lines[i].scope),
				       .now = NOW};
		char text[300];

		parse(lines[i].pattern, &pattern);
		warnings_of(&at, text);
		ck_assert_msg(strcmp(text, lines[i].want) == 0, "%s: %s", lines[i].pattern, text);
	}
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

START_TEST(an_entry_does_not_cover_itself_and_may_be_over)
{
	struct whitelist *list = list_of(present);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct pattern pattern;
	struct lint_case at = {.before = snapshot,
			       .after = snapshot,
			       .pattern = &pattern,
			       .action = ENTRY_ALLOW,
			       .id = 1,
			       .expires_at = NOW,
			       .now = NOW};
	char text[300];

	parse("example.com", &pattern);
	warnings_of(&at, text);
	ck_assert_str_eq(text, "over");
	at.id = 9;
	at.expires_at = NOW + 1;
	warnings_of(&at, text);
	ck_assert_str_eq(text, "covered 1");
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

#define BALLAST 200

/* So long a list that a change is not merged into it at once. */
static struct whitelist *long_list(void)
{
	static char texts[BALLAST][32];
	struct list_row rows[BALLAST + 3] = {{"example.com", 1}, {"later.test", 9}};

	for (size_t i = 0; i < BALLAST; i++) {
		snprintf(texts[i], sizeof(texts[i]), "b%zu@ballast.test", i);
		rows[i + 2] = (struct list_row){texts[i], 1000 + (int64_t)i};
	}
	return list_of(rows);
}

static void expect_now(struct whitelist *list, const char *text, const char *want)
{
	struct pattern pattern;
	struct lint_case at = {.before = whitelist_acquire(list),
			       .pattern = &pattern,
			       .action = ENTRY_ALLOW,
			       .now = NOW};
	char found[300];

	parse(text, &pattern);
	warnings_of(&at, found);
	ck_assert_msg(strcmp(found, want) == 0, "%s: %s", text, found);
	whitelist_release(&at.before);
}

START_TEST(what_is_buried_covers_nothing)
{
	struct whitelist *list = long_list();
	struct whitelist_change change = {.operation = ENTRY_REMOVE, .entry = {.id = 1}};
	struct pattern added;

	expect_now(list, "a@example.com", "covered 1");
	whitelist_publish(list, &change, 1, 2);
	expect_now(list, "a@example.com", "");
	/* What lies beside it in the same layer still does, and what was added since then. */
	expect_now(list, "a@later.test", "covered 9");
	change.operation = ENTRY_ADD;
	change.entry = list_entry(&(struct list_row){"added.test", 20}, &added);
	whitelist_publish(list, &change, 1, 3);
	expect_now(list, "a@added.test", "covered 20");
	expect_now(list, "a@later.test", "covered 9");
	expect_now(list, "a@example.com", "");
	whitelist_free(&list);
}
END_TEST

/* The longest pattern there is: an address it covers would be too long. */
START_TEST(patterns_at_the_limits)
{
	struct whitelist *list = list_of(present);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct pattern pattern;
	struct lint_case at = {.before = snapshot,
			       .after = snapshot,
			       .pattern = &pattern,
			       .action = ENTRY_ALLOW,
			       .now = NOW};
	char text[400] = ".";
	char found[300];

	for (int i = 0; i < 4; i++)
		strcat(text, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi.");
	strcat(text, "test");
	ck_assert_uint_eq(strlen(text), 1 + 252);
	parse(text, &pattern);
	warnings_of(&at, found);
	ck_assert_str_eq(found, "");
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* --- recipients seen ---------------------------------------------------------------------------
 */

static const struct {
	const char *address;
	const char *scope;
	bool refused;
} seen[] = {
	{"a@new.test", "", true},	{"a@new.test", "shop", true}, /* one address */
	{"b@new.test", "", false}, /* allowed by something since then, or released */
	{"boss@example.com", "", true}, {"c@example.com", "", false}, {"d@example.com", "", true},
	{"e@shop.test", "shop", false}, {"e@shop.test", "x", true},   {"not an address", "", true},
	{"a%b@new.test", "", true},
};

static void tally_of(const struct list_row *rows, const char *text, bool deny, const char *scope,
		     struct lint_tally *tally)
{
	struct whitelist *before = list_of(present);
	struct whitelist *after = list_of(rows);
	struct pattern pattern;
	struct lint_case at = {.before = whitelist_acquire(before),
			       .after = whitelist_acquire(after),
			       .pattern = &pattern,
			       .action = deny ? ENTRY_DENY : ENTRY_ALLOW,
			       .scope = span_of(scope),
			       .now = NOW};

	parse(text, &pattern);
	memset(tally, 0, sizeof(*tally));
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		lint_count(&at, seen[i].address, span_of(seen[i].scope), seen[i].refused, tally);
	whitelist_release(&at.before);
	whitelist_release(&at.after);
	whitelist_free(&before);
	whitelist_free(&after);
}

static void expect_summary(const struct lint_tally *tally, int64_t seen_count, const char *want)
{
	struct buf text;

	buf_init(&text, 500);
	lint_summary(tally, seen_count, 30, &text);
	ck_assert_str_eq(text.data, want);
	buf_release(&text);
}

START_TEST(what_it_means_for_recipients_seen)
{
	static const struct list_row with_new[] = {{"example.com", 1, false, NULL, 0},
						   {"boss@example.com", 2, true, NULL, 0},
						   {"new.test", 9, false, NULL, 0},
						   {NULL, 0, false, NULL, 0}};
	static const struct list_row with_deny[] = {{"example.com", 1, false, NULL, 0},
						    {"example.com", 9, true, NULL, 0},
						    {NULL, 0, false, NULL, 0}};
	static const struct list_row with_scope[] = {{"shop.test", 9, false, "x", 0},
						     {NULL, 0, false, NULL, 0}};
	struct lint_tally tally;

	tally_of(with_new, "new.test", false, "", &tally);
	ck_assert_uint_eq(tally.matches, 2); /* not the address of the other form */
	ck_assert_uint_eq(tally.allows, 1);
	ck_assert_uint_eq(tally.stops, 0);
	ck_assert_uint_eq(tally.example_count, 1);
	ck_assert_str_eq(tally.examples[0], "a@new.test");
	expect_summary(&tally, 412,
		       "matches 2 of the 412 recipients seen in the last 30 days; allows 1 "
		       "address you have been dropping");
	tally_of(with_deny, "example.com", true, "", &tally);
	ck_assert_uint_eq(tally.matches, 3);
	ck_assert_uint_eq(tally.allows, 0);
	ck_assert_uint_eq(tally.stops, 1); /* d was refused before, boss is */
	ck_assert_str_eq(tally.examples[0], "c@example.com");
	expect_summary(&tally, 3,
		       "matches 3 of the 3 recipients seen in the last 30 days; stops 1 "
		       "address that mail has been going to");
	/* Without a scope it is about all of them. */
	tally_of(with_scope, "shop.test", false, "", &tally);
	ck_assert_uint_eq(tally.matches, 1);
	tally_of(with_scope, "shop.test", false, "x", &tally);
	ck_assert_uint_eq(tally.matches, 1);
	ck_assert_uint_eq(tally.allows, 1);
	expect_summary(&(struct lint_tally){.matches = 9, .allows = 2, .stops = 3}, 10,
		       "matches 9 of the 10 recipients seen in the last 30 days; allows 2 addresses"
		       " you have been dropping; stops 3 addresses that mail has been going to");
}
END_TEST

/* A change of many lines is about every address; a few of them are named. */
START_TEST(what_it_means_for_the_list_as_a_whole)
{
	struct whitelist *before = list_of(present);
	struct whitelist *after =
		list_of((const struct list_row[]){{"*", 1, false, NULL, 0}, {NULL}});
	struct lint_case at = {
		.before = whitelist_acquire(before), .after = whitelist_acquire(after), .now = NOW};
	struct lint_tally tally = {.whole = true};

	for (int i = 0; i < LINT_EXAMPLES + 3; i++) {
		char text[40];

		snprintf(text, sizeof(text), "u%d@nowhere.test", i);
		lint_count(&at, text, span_of(""), true, &tally);
	}
	ck_assert_uint_eq(tally.matches, LINT_EXAMPLES + 3);
	ck_assert_uint_eq(tally.allows, LINT_EXAMPLES + 3);
	ck_assert_uint_eq(tally.example_count, LINT_EXAMPLES);
	ck_assert_str_eq(tally.examples[LINT_EXAMPLES - 1], "u4@nowhere.test");
	expect_summary(&tally, 9,
		       "the list allows 8 of the 9 recipients seen in the last 30 days; allows 8 "
		       "addresses you have been dropping");
	whitelist_release(&at.before);
	whitelist_release(&at.after);
	whitelist_free(&before);
	whitelist_free(&after);
}
END_TEST

/* It is one address in how many scopes ever, and counts where one of them lets it go. */
START_TEST(what_the_list_as_a_whole_lets_go)
{
	struct whitelist *list = list_of((const struct list_row[]){
		{"a@x.test", 1, false, "shop", 0}, {"b@x.test", 2, false, NULL, 0}, {NULL}});
	struct lint_case at = {.before = whitelist_acquire(list), .now = NOW};
	struct lint_tally tally = {.whole = true};
	static const struct {
		const char *address, *scope;
	} scoped[] = {{"a@x.test", ""},	   {"a@x.test", "shop"}, {"a@x.test", "z"},
		      {"b@x.test", "one"}, {"b@x.test", "two"},	 {"c@x.test", ""}};

	at.after = at.before;
	for (size_t i = 0; i < sizeof(scoped) / sizeof(scoped[0]); i++)
		lint_count(&at, scoped[i].address, span_of(scoped[i].scope), false, &tally);
	ck_assert_uint_eq(tally.matches, 2);
	expect_summary(&tally, 3, "the list allows 2 of the 3 recipients seen in the last 30 days");
	whitelist_release(&at.before);
	whitelist_free(&list);
}
END_TEST

/* What is looked up by halves must be in order, and written as domains are compared. */
static void expect_sorted(const char *const *list, size_t count)
{
	ck_assert_uint_gt(count, 50);
	for (size_t i = 0; i < count; i++) {
		char ascii[ADDRESS_DOMAIN_MAX + 1];

		ck_assert_int_eq(domain_to_ascii(span_of(list[i]), ascii, NULL), ERR_OK);
		ck_assert_str_eq(ascii, list[i]);
		ck_assert_msg(i == 0 || span_compare(span_of(list[i - 1]), span_of(list[i])) < 0,
			      "%s is not behind %s", list[i], list[i - 1]);
	}
}

START_TEST(the_lists_of_domains_are_in_order)
{
	expect_sorted(domains_public, domains_public_count);
	expect_sorted(domains_registry, domains_registry_count);
}
END_TEST

static void expect_all(const char *const *list, size_t count, const char *want)
{
	struct whitelist *empty = list_of((const struct list_row[]){{NULL}});
	struct pattern pattern;
	struct lint_case at = {.before = whitelist_acquire(empty),
			       .pattern = &pattern,
			       .action = ENTRY_ALLOW,
			       .now = NOW};
	char text[300];

	for (size_t i = 0; i < count; i++) {
		char domain[ADDRESS_DOMAIN_MAX + 2];

		snprintf(domain, sizeof(domain), ".%s", list[i]);
		parse(domain, &pattern);
		warnings_of(&at, text);
		ck_assert_msg(strcmp(text, want) == 0, "%s: %s", list[i], text);
	}
	whitelist_release(&at.before);
	whitelist_free(&empty);
}

START_TEST(each_of_these_domains_is_found)
{
	expect_all(domains_public, domains_public_count, "public-domain");
	expect_all(domains_registry, domains_registry_count, "wide");
}
END_TEST

START_TEST(whoever_denies_is_named)
{
	struct whitelist *list = list_of(present);
	struct pattern pattern;
	struct lint_case at = {.before = whitelist_acquire(list),
			       .pattern = &pattern,
			       .action = ENTRY_ALLOW,
			       .now = NOW};
	struct lint_warning told[LINT_WARNINGS_MAX];

	parse("a@x.denied.test", &pattern);
	ck_assert_uint_eq(lint_warnings(&at, told), 1);
	ck_assert_str_eq(told[0].text, "it allows nothing: .denied.test denies all of it");
	at.action = ENTRY_DENY;
	ck_assert_uint_eq(lint_warnings(&at, told), 1);
	ck_assert_str_eq(told[0].text, ".denied.test denies all of it already");
	at.action = ENTRY_ALLOW;
	parse("a@example.com", &pattern);
	ck_assert_uint_eq(lint_warnings(&at, told), 1);
	ck_assert_str_eq(told[0].text, "example.com allows all of it already");
	whitelist_release(&at.before);
	whitelist_free(&list);
}
END_TEST

UNIT_MAIN("filter/lint", each_of_these_domains_is_found, whoever_denies_is_named,
	  one_pattern_inside_another, inclusion_holds_for_every_short_address, warnings,
	  an_entry_does_not_cover_itself_and_may_be_over, patterns_at_the_limits,
	  what_it_means_for_recipients_seen, what_it_means_for_the_list_as_a_whole,
	  what_the_list_as_a_whole_lets_go, what_is_buried_covers_nothing,
	  the_lists_of_domains_are_in_order)
