/*
 * tests relay/filter/listing_maildev.c: what is translated gives the same answer as a model of
 * MailDev for every address tried, and what is refused could not have been translated.
 */
#include "tests/unit/filter/listing.h"

#include "base/mem.h"
#include "tests/unit/filter/draw.h"

static const struct {
	const char *text;
	bool allow_all;
	const char *want;
} good[] = {
	{"[{\"deny\":\"*\"},{\"allow\":\"*@mydomain.com\"},{\"allow\":\"ok@test.com\"}]", false,
	 "mydomain.com;ok@test.com"},
	{"[{\"deny\":\"*\"}]", false, ""},
	{"[{\"deny\":\"*@*\"},{\"allow\":\"QA-*@*.MyCorp.com\"}]", false, "qa-*@.mycorp.com"},
	{"[{\"deny\":\"*\"},{\"allow\":\"*.mycorp.com\"}]", false, ".mycorp.com"},
	/* what came before a rule for every address never decides */
	{"[{\"allow\":\"*@a.test\"},{\"deny\":\"*\"},{\"allow\":\"*@b.test\"}]", false, "b.test"},
	{"[{\"deny\":\"*\"},{\"allow\":\"*@a.test\"},{\"deny\":\"bob@a.test\"}]", false,
	 "a.test;!bob@a.test"},
	/* denied already */
	{"[{\"deny\":\"*\"},{\"deny\":\"bob@a.test\"},{\"allow\":\"*@a.test\"}]", false, "a.test"},
	{"[{\"deny\":\"*\"},{\"allow\":\"*@a.test\"},{\"deny\":\"*@b.test\"}]", false, "a.test"},
	/* allowed again as a whole */
	{"[{\"deny\":\"*\"},{\"allow\":\"*@a.test\"},{\"deny\":\"b*@a.test\"},{\"allow\":\"*@a."
	 "test\"}]",
	 false, "a.test"},
	/* T4: MailDev allows what no rule names */
	{"[]", true, "*"},
	{"[{\"deny\":\"*@a.test\"}]", true, "*;!a.test"},
	{"[{\"deny\":\"*\"},{\"allow\":\"*\"},{\"deny\":\"x@a.test\"}]", true, "*;!x@a.test"},
};

START_TEST(translated)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		listing_check_taken(LISTING_MAILDEV, good[i].text, good[i].allow_all, good[i].want);
}
END_TEST

static const struct {
	const char *text;
	struct mistake told;
} bad[] = {
	{"[{\"deny\":\".*.test\"}]", {1, 10, "/0/deny", "no address"}},
	{"", {1, 1, "", "not JSON"}},
	{"[{\"deny\":[\"a\"", {1, 14, "", "not JSON"}},
	{"[{\"deny\":\"*\"", {1, 13, "", "not JSON"}},
	{"[{\"deny\":tru", {1, 10, "", "not JSON"}},
	{"[]", {1, 0, "", "must come first"}},
	{"[\n{\"allow\":\"*@a.test\"}]", {1, 0, "", "must come first"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"*\"}]", {2, 10, "/1/allow", "must come first"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"*@a.test\"},\n{\"deny\":\"b*@a.test\"},\n{\"allow\":"
	 "\"bob@a.test\"}]",
	 {4, 10, "/3/allow", "line 3 denies"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"a.test\"}]", {2, 10, "/1/allow", "no address"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"@a.test\"}]", {2, 10, "/1/allow", "no address"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\".a.test\"}]", {2, 10, "/1/allow", "no address"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"*@.a.test\"}]", {2, 10, "/1/allow", "no address"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"*a.test\"}]", {2, 10, "/1/allow", "only in front"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"*@a.*\"}]", {2, 10, "/1/allow", "only in front"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"me@*\"}]", {2, 10, "/1/allow", "written out"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"*@b\xc3\xbc"
	 "cher.test\"}]",
	 {2, 10, "/1/allow", "A-label"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"\"}]", {2, 10, "/1/allow", "no address"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"a@b.test\",\"deny\":7}]", {2, 1, "/1", "one member"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"a@b.test\",\"only\":\"c@b.test\"}]",
	 {2, 1, "/1", "one member"}},
	{"[{\"deny\":\"*\"},\n{\"only\":\"c@b.test\",\"allow\":\"a@b.test\"}]",
	 {2, 1, "/1", "one member"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":\"a@b.test\",\"deny\":\"c@b.test\"}]",
	 {2, 1, "/1", "one member"}},
	{"[{\"deny\":\"*\"},\n{}]", {2, 1, "/1", "one member"}},
	{"[{\"deny\":\"*\"},\n{\"allow\":7}]", {2, 1, "/1", "one member"}},
	{"[{\"deny\":\"*\"},\n{\"Allow\":\"*@a.test\"}]", {2, 1, "/1", "one member"}},
	{"[{\"deny\":\"*\"},\n\"*@a.test\"]", {2, 1, "", "object"}},
	{"{}", {1, 1, "", "array"}},
	{"[{\"deny\":\"*\"}", {1, 14, "", "not JSON"}},
	{"[{\"deny\":\"*\"}] 7", {1, 16, "", "not JSON"}},
};

START_TEST(refused)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		listing_check_refused(LISTING_MAILDEV, bad[i].text, false, bad[i].told);
}
END_TEST

/* --- the model --- */

static const char *const rule_texts[] = {
	"*@a.test",    "*@b.test",   "*@x.a.test",  "*@*.a.test", "*@*.x.a.test",
	"a*@a.test",   "*a@a.test",  "a@a.test",    "b@a.test",	  "ab*@a.test",
	"a*b@a.test",  "*b*@a.test", "a*@*.a.test", "b@*.a.test", "ab@x.a.test",
	"*b@x.a.test", "*",	     "*.a.test"};
static const char *const locals[] = {"a", "b", "aa", "ab", "ba", "bb", "aab", "abb", "abab", "c"};
static const char *const domains[] = {"a.test", "b.test", "x.a.test", "y.x.a.test", "xa.test"};

struct rule {
	const char *text;
	bool allows;
};

/* The last rule that matches; without one it is allowed. `*` is any run of characters, also @. */
static bool model_allows(const struct rule *rules, size_t count, const char *address)
{
	bool allowed = true;

	for (size_t i = 0; i < count; i++)
		if (glob_matches(span_of(rules[i].text), span_of(address)))
			allowed = rules[i].allows;
	return allowed;
}

/* The nearest that deny-wins comes without any thought: the same rules, and what is usual. */
static bool naive_allows(const struct rule *rules, size_t count, const char *address)
{
	bool allowed = true;
	bool denied = false;

	for (size_t i = 0; i < count; i++) {
		bool matches = glob_matches(span_of(rules[i].text), span_of(address));

		if (strcmp(rules[i].text, "*") == 0) {
			allowed = rules[i].allows;
			denied = false;
		} else if (matches) {
			allowed = allowed || rules[i].allows;
			denied = denied || !rules[i].allows;
		}
	}
	return allowed && !denied;
}

static size_t draw_rules(struct rule *rules, size_t max)
{
	size_t count = 1 + draw((uint32_t)max);

	for (size_t i = 0; i < count; i++) {
		rules[i].text = rule_texts[draw(sizeof(rule_texts) / sizeof(rule_texts[0]))];
		rules[i].allows = draw(2) == 0;
	}
	if (draw(3) > 0)
		rules[0] = (struct rule){"*", false};
	return count;
}

static void write_rules(const struct rule *rules, size_t count, struct buf *out)
{
	(void)buf_append_char(out, '[');
	for (size_t i = 0; i < count; i++)
		(void)buf_printf(out, "%s{\"%s\":\"%s\"}", i > 0 ? ",\n" : "",
				 rules[i].allows ? "allow" : "deny", rules[i].text);
	(void)buf_append_char(out, ']');
}

START_TEST(the_same_answer_for_every_address)
{
	size_t taken = 0;
	size_t needless = 0; /* refused although a list could have said it, as far as tried */
	size_t rounds = 3000;

	for (size_t round = 0; round < rounds; round++) {
		struct rule rules[6];
		size_t count = draw_rules(rules, 6);
		struct listing *listing;
		bool differs = false;
		struct told told;
		struct buf text;

		buf_init(&text, 10000);
		write_rules(rules, count, &text);
		listing = listing_of(LISTING_MAILDEV, buf_span(&text), true, &told);
		taken += listing != NULL;
		for (size_t i = 0; i < sizeof(locals) / sizeof(locals[0]) * 5; i++) {
			char address[64];
			bool want;

			snprintf(address, sizeof(address), "%s@%s", locals[i / 5], domains[i % 5]);
			want = model_allows(rules, count, address);
			ck_assert_msg(listing == NULL || listing_allows(listing, address) == want,
				      "%s: %s, not %s", text.data, address,
				      want ? "allowed" : "denied");
			differs = differs || naive_allows(rules, count, address) != want;
		}
		needless += listing == NULL && !differs;
		listing_free(&listing);
		buf_release(&text);
	}
	ck_assert_msg(taken > rounds / 3, "only %zu were translated", taken);
	ck_assert_msg(needless < rounds / 50, "%zu were refused without need", needless);
}
END_TEST

START_TEST(many_rules)
{
	struct listing *listing;
	struct told told;
	struct buf text;

	buf_init(&text, 1024 * 1024);
	(void)buf_append_text(&text, "[{\"deny\":\"*\"}");
	for (int i = 1; i < 1000; i++)
		(void)buf_printf(&text, ",{\"%s\":\"u%d-*@x.test\"}", i % 2 ? "allow" : "deny",
				 i / 2);
	listing = NULL;
	(void)buf_append_char(&text, ']');
	listing = listing_of(LISTING_MAILDEV, buf_span(&text), false, &told);
	ck_assert_msg(listing != NULL, "%s", told.text);
	listing_free(&listing);
	buf_truncate(&text, text.len - 1);
	(void)buf_append_text(&text, ",{\"allow\":\"z@x.test\"}]");
	ck_assert_ptr_null(listing_of(LISTING_MAILDEV, buf_span(&text), false, &told));
	ck_assert(strstr(told.text, "1000 rules") != NULL);
	buf_release(&text);
}
END_TEST

UNIT_MAIN("filter/listing_maildev", translated, refused, the_same_answer_for_every_address,
	  many_rules)
