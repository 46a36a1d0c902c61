/* tests relay/filter/let_out.c: whom the header of one message may name by a rule */
#include "relay/filter/let_out.h"

#include "relay/filter/defang.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

static const struct list_row listed[] = {
	{"ok.test", .id = 1}, {"no@else.test", .id = 2, .deny = true}, {NULL}};

struct trial {
	struct whitelist *list;
	const struct whitelist_snapshot *snapshot;
	struct rules *rules;
	const struct edition *edition;
	struct arena *arena;
	struct judge_case at;
};

/* Rules that hold mail with X-Look and let out to else.test, for a message with this header. */
static void begin(struct trial *t, const char *section)
{
	static const struct rule_header look[] = {{"X-Look", RULE_PRESENT, ""}};
	static const struct rule_header pass[] = {{"X-Pass", RULE_PRESENT, ""}};
	struct rule rules[2];
	struct rule_facts facts = {.header_known = true, .section = span_of(section)};

	*t = (struct trial){.list = list_of(listed), .rules = rules_new(), .arena = arena_new()};
	rule_init(&rules[0]);
	rules[0].name = "look";
	rules[0].action = RULE_HOLD;
	rules[0].headers = look;
	rules[0].header_count = 1;
	rule_init(&rules[1]);
	rules[1].name = "pass";
	rules[1].action = RULE_DELIVER;
	rules[1].overrides_whitelist = true;
	rules[1].recipient = "else.test";
	rules[1].headers = pass;
	rules[1].header_count = 1;
	ck_assert_uint_eq(rules_publish(t->rules, PUBLISHED_FROM_STORE, rules, 2), 0);
	t->edition = rules_acquire(t->rules);
	t->snapshot = whitelist_acquire(t->list);
	t->at = (struct judge_case){.list = t->snapshot,
				    .scope = span_of(""),
				    .now = 1,
				    .permitted = true,
				    .rules = rule_match(t->edition, &facts, t->arena)};
}

static void finish(struct trial *t)
{
	published_release(&t->edition);
	rules_free(&t->rules);
	whitelist_release(&t->snapshot);
	whitelist_free(&t->list);
	arena_free(&t->arena);
}

static bool holds(const struct let_out *set, const char *text)
{
	struct address address;
	struct err why;

	ck_assert_msg(address_parse(span_of(text), &address, &why) == ERR_OK, "%s", why.text);
	return let_out_holds(set, &address);
}

/* May a header name it? */
static bool names(const struct trial *t, const struct let_out *set, const char *text)
{
	const struct defang at = {
		.list = t->snapshot, .let_out = set, .scope = span_of(""), .now = 1};
	struct address address;

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	return defang_allows(&at, &address);
}

START_TEST(that_very_mailbox)
{
	static const struct addressee rows[] = {
		{"zoe@else.test", false}, {"bob@else.test", false}, {"alice@ok.test", false},
		{"no@else.test", false},  {"not one", false},	    {"x@third.test", false},
		{"not one", false},	  {"a%b@else.test", false}, {"\"q\"@else.test", false},
		{"Ann@ELSE.test", false}};
	const struct let_out *set;
	struct address routed;
	struct trial t;

	begin(&t, "X-Pass: 1\r\n");
	ck_assert(let_out_may_be(t.at.rules));
	set = let_out_find(&t.at, rows, sizeof(rows) / sizeof(rows[0]), t.arena);
	ck_assert(holds(set, "zoe@else.test") && holds(set, "bob@Else.TEST"));
	ck_assert(holds(set, "Ann@else.test"));
	/* Another mailbox, one the list speaks about, one of no safe form. */
	ck_assert(!holds(set, "Bob@else.test") && !holds(set, "ann@else.test"));
	ck_assert(!holds(set, "carl@else.test") && !holds(set, "bob@third.test"));
	ck_assert(!holds(set, "alice@ok.test") && !holds(set, "no@else.test"));
	ck_assert(!holds(set, "\"q\"@else.test") && !holds(set, "a%b@else.test"));
	ck_assert(!holds(set, "x@third.test") && !holds(set, "postmaster"));
	routed = (struct address){.local = "bob",
				  .domain = "else.test",
				  .source_route = true,
				  .form = ADDRESS_UNSAFE};
	ck_assert(!let_out_holds(set, &routed));
	ck_assert(!holds(NULL, "bob@else.test"));
	ck_assert_ptr_null(let_out_find(&t.at, &rows[2], 3, t.arena));
	/* So the header may: but nobody whom the list denies. */
	ck_assert(names(&t, set, "bob@else.test") && names(&t, set, "alice@ok.test"));
	ck_assert(!names(&t, set, "carl@else.test") && !names(&t, set, "no@else.test"));
	ck_assert(!names(&t, NULL, "bob@else.test"));
	finish(&t);
}
END_TEST

/* A rule that holds comes first, but for who was let go by a person. */
START_TEST(as_the_rules_say_of_each)
{
	static const struct addressee rows[] = {{"bob@else.test", false}, {"ann@else.test", true}};
	const struct let_out *set;
	struct trial t;

	begin(&t, "X-Look: 1\r\nX-Pass: 1\r\n");
	set = let_out_find(&t.at, rows, 2, t.arena);
	ck_assert(holds(set, "ann@else.test") && !holds(set, "bob@else.test"));
	finish(&t);
}
END_TEST

/* Whom the hook or policy.default let go is not named. */
START_TEST(by_a_rule_alone)
{
	static const struct addressee rows[] = {{"x@third.test", true}, {"bob@else.test", false}};
	const struct policy_options policy = {.hook_overrides = true};
	const struct let_out *set;
	struct verdict verdict;
	struct address address;
	struct trial t;

	begin(&t, "X-Pass: 1\r\n");
	t.at.policy = &policy;
	ck_assert_int_eq(address_parse(span_of("x@third.test"), &address, NULL), ERR_OK);
	judge_address(&t.at, &address, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DELIVER);
	set = let_out_find(&t.at, rows, 2, t.arena);
	ck_assert(holds(set, "bob@else.test") && !holds(set, "x@third.test"));
	ck_assert_ptr_null(let_out_find(&t.at, rows, 1, t.arena));
	finish(&t);
}
END_TEST

START_TEST(only_when_the_rule_is_met)
{
	static const struct addressee rows[] = {{"bob@else.test", true}};
	struct trial t;

	ck_assert(!let_out_may_be(NULL));
	begin(&t, "X-Look: 1\r\n");
	ck_assert(!let_out_may_be(t.at.rules));
	ck_assert_ptr_null(let_out_find(&t.at, rows, 1, t.arena));
	finish(&t);
	/* Somebody may read that as X-Pass; nothing is let out by a maybe. */
	begin(&t, "X-Pa ss: 1\r\n");
	ck_assert_ptr_null(let_out_find(&t.at, rows, 1, t.arena));
	finish(&t);
}
END_TEST

UNIT_MAIN("filter/let_out", that_very_mailbox, as_the_rules_say_of_each, by_a_rule_alone,
	  only_when_the_rule_is_met)
