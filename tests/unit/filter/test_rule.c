/* tests relay/filter/rule.c and rule_match.c (issue 5, item 5) */
#include "relay/filter/rule_match.h"

#include <stdio.h>
#include <time.h>

#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define HEADERS(...)                                                                               \
	.headers = (const struct rule_header[]){__VA_ARGS__},                                      \
	.header_count =                                                                            \
		sizeof((const struct rule_header[]){__VA_ARGS__}) / sizeof(struct rule_header)

/* What is left out is as usual. */
static struct rule filled(const struct rule *given)
{
	struct rule rule;

	rule_init(&rule);
	rule.action = given->action;
	rule.overrides_whitelist = given->overrides_whitelist;
	rule.min_size = given->min_size;
	rule.max_size = given->max_size;
	rule.headers = given->headers;
	rule.header_count = given->header_count;
	rule.name = given->name != NULL ? given->name : "r";
	rule.redirect_to = given->redirect_to != NULL ? given->redirect_to : "";
	rule.tag = given->tag != NULL ? given->tag : "";
	rule.sender = given->sender != NULL ? given->sender : "";
	rule.recipient = given->recipient != NULL ? given->recipient : "";
	rule.client = given->client != NULL ? given->client : "";
	rule.user = given->user != NULL ? given->user : "";
	rule.listener = given->listener != NULL ? given->listener : "";
	rule.scope = given->scope != NULL ? given->scope : "";
	rule.note = given->note != NULL ? given->note : "";
	return rule;
}

/* --- mistakes ------------------------------------------------------------------------------ */

static void note_member(void *ctx, const char *member, const char *sentence)
{
	char *members = ctx;
	size_t len = strlen(members);

	ck_assert_uint_gt(strlen(sentence), 5);
	snprintf(members + len, 200 - len, "%s ", member);
}

#define LONG64	"0123456789012345678901234567890123456789012345678901234567890123"
#define LONG256 LONG64 LONG64 LONG64 LONG64

START_TEST(mistakes_are_told_by_member)
{
	const struct {
		struct rule rule;
		const char *want;
	} rows[] = {
		{{.action = RULE_DROP}, ""},
		{{.name = "", .action = RULE_DROP}, "name "},
		{{.name = "a b", .action = RULE_DROP}, "name "},
		{{.name = LONG64, .action = RULE_DROP}, "name "},
		{{.name = "x"}, "action "},
		{{.action = RULE_REDIRECT}, "redirect_to "},
		{{.action = RULE_REDIRECT, .redirect_to = "qa"}, "redirect_to "},
		{{.action = RULE_REDIRECT, .redirect_to = "\"q a\"@x.test"}, "redirect_to "},
		{{.action = RULE_REDIRECT, .redirect_to = "qa@x.test"}, ""},
		{{.action = RULE_DROP, .redirect_to = "qa@x.test"}, "redirect_to "},
		{{.action = RULE_TAG}, "tag "},
		{{.action = RULE_TAG, .tag = "[x] "}, ""},
		{{.action = RULE_TAG, .tag = "  "}, "tag "},
		{{.action = RULE_TAG, .tag = "a\r\nBcc: x@y.test"}, "tag "},
		{{.action = RULE_TAG, .tag = LONG64 LONG64}, "tag "},
		{{.action = RULE_TAG, .tag = "x", .recipient = "x.test"}, "recipient "},
		{{.action = RULE_HOLD, .tag = "x"}, "tag "},
		{{.action = RULE_DROP, .overrides_whitelist = true}, "overrides_whitelist "},
		{{.action = RULE_DELIVER, .overrides_whitelist = true}, ""},
		{{.action = RULE_DROP, .recipient = "a b"}, "recipient "},
		{{.action = RULE_DROP, .recipient = "<>"}, "recipient "},
		{{.action = RULE_DROP, .sender = "<>"}, ""},
		{{.action = RULE_DROP, .sender = "x.test."}, "sender "},
		{{.action = RULE_DROP, .client = "10.1.0.0/8"}, "client "},
		{{.action = RULE_DROP, .client = "::1"}, ""},
		{{.action = RULE_DROP, .user = "a\x01"}, "user "},
		{{.action = RULE_DROP, .listener = LONG256}, "listener "},
		{{.action = RULE_DROP, .scope = "a b"}, "scope "},
		{{.action = RULE_DROP, .min_size = -1}, "min_size "},
		{{.action = RULE_DROP, .min_size = 2, .max_size = 1}, "max_size "},
		{{.action = RULE_DROP, HEADERS({"", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A:", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_PRESENT, "v"})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_GLOB, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_EXACT, ""})}, ""},
		{{.action = RULE_DROP, HEADERS({"A", RULE_GLOB, LONG256})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_GLOB, "\xff"})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", (enum rule_match)9, ""})}, "headers "},
		{{.action = RULE_DROP, .header_count = RULE_HEADERS_MAX + 1}, "headers "},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule rule = filled(&rows[i].rule);
		char members[200] = "";
		size_t count = rule_check(&rule, note_member, members);

		ck_assert_msg(strcmp(members, rows[i].want) == 0, "row %zu: %s", i, members);
		ck_assert_msg((count > 0) == (rows[i].want[0] != '\0'), "row %zu", i);
	}
}
END_TEST

START_TEST(names)
{
	enum rule_action action;
	enum rule_match match;

	for (int i = RULE_DELIVER; i <= RULE_TAG; i++) {
		const char *name = rule_action_name((enum rule_action)i);

		ck_assert_int_eq(rule_action_parse(span_of(name), &action), ERR_OK);
		ck_assert_int_eq(action, i);
	}
	for (int i = RULE_PRESENT; i <= RULE_GLOB; i++) {
		const char *name = rule_match_name((enum rule_match)i);

		ck_assert_int_eq(rule_match_parse(span_of(name), &match), ERR_OK);
		ck_assert_int_eq(match, i);
	}
	ck_assert_int_eq(rule_action_parse(span_of("reject"), &action), ERR_NOT_FOUND);
	ck_assert_int_eq(rule_match_parse(span_of(""), &match), ERR_NOT_FOUND);
}
END_TEST

/* --- what they decide ------------------------------------------------------------------------ */

static const char header[] = "Subject: =?utf-8?q?Your_invoice?=\r\n 42\r\n"
			     "X-Env:   production  \r\n"
			     "List-Id: <a.test>\r\n"
			     "List-Id: second\r\n"
			     "X-Empty:\r\n"
			     "X Broken: x\r\n"
			     "\r\n";

/* example.com is allowed but for no@; the message is the one above. */
struct trial {
	struct whitelist *list;
	const struct whitelist_snapshot *snapshot;
	struct rules *rules;
	struct arena *arena;
	struct address sender;
	struct rule_facts facts;
	struct policy_options policy;
	bool released;
};

static void begin(struct trial *t)
{
	struct err why;

	*t = (struct trial){.rules = rules_new(), .arena = arena_new()};
	t->list = list_of((const struct list_row[]){{"example.com", .id = 1},
						    {"no@example.com", .id = 2, .deny = true},
						    {"a%b@special.test", .id = 3},
						    {NULL}});
	t->snapshot = whitelist_acquire(t->list);
	ck_assert_int_eq(address_parse(span_of("app@shop.test"), &t->sender, &why), ERR_OK);
	t->facts = (struct rule_facts){.sender = &t->sender,
				       .client = "10.1.2.3",
				       .user = "app-7",
				       .listener = "127.0.0.1:2525",
				       .scope = "shop",
				       .size = 1000,
				       .header_known = true,
				       .section = span_make(header, sizeof(header) - 1)};
	t->policy = (struct policy_options){.default_verdict = VERDICT_DROP, .redirect_to = ""};
}

static void finish(struct trial *t)
{
	whitelist_release(&t->snapshot);
	whitelist_free(&t->list);
	rules_free(&t->rules);
	arena_free(&t->arena);
}

static void publish(struct trial *t, const struct rule *given, size_t count)
{
	struct rule *rows = arena_array(t->arena, count + 1, sizeof(*rows));

	for (size_t i = 0; i < count; i++) {
		rows[i] = filled(&given[i]);
		rows[i].enabled = true;
	}
	ck_assert_uint_eq(rules_publish(t->rules, PUBLISHED_FROM_STORE, rows, count), 0);
}

/* "deliver: allowed by example.com". */
static const char *verdict_on(struct trial *t, const char *recipient)
{
	const struct edition *edition = rules_acquire(t->rules);
	struct judge_case at = {.list = t->snapshot,
				.policy = &t->policy,
				.scope = span_of(t->facts.scope),
				.now = 1,
				.rules = rule_match(edition, &t->facts, t->arena),
				.released = t->released};
	char sentence[500];
	struct address address;
	struct verdict verdict;
	struct err why;
	const char *text;

	ck_assert_int_eq(address_parse(span_of(recipient), &address, &why), ERR_OK);
	judge_address(&at, &address, &verdict);
	verdict_sentence(&verdict, sentence, sizeof(sentence));
	text = arena_printf(t->arena, "%s: %s", verdict_kind_name(verdict.kind), sentence);
	published_release(&edition);
	return text;
}

#define ALLOWED	 "deliver: allowed by example.com"
#define BY_RULE	 "drop: rule r"
#define UNLISTED "drop: no entry allows it"

/* One rule that drops: does it strike? */
START_TEST(each_condition)
{
	const struct {
		struct rule rule;
		bool strikes;
	} rows[] = {
		{{.name = "r"}, true},
		{{.recipient = "example.com"}, true},
		{{.recipient = "bob@example.com"}, false},
		{{.sender = "shop.test"}, true},
		{{.sender = "other.test"}, false},
		{{.sender = "<>"}, false},
		{{.client = "10.0.0.0/8"}, true},
		{{.client = "192.168.0.0/16"}, false},
		{{.user = "app-*"}, true},
		{{.user = "web-*"}, false},
		{{.listener = "*:2525"}, true},
		{{.listener = "*:25"}, false},
		{{.scope = "shop"}, true},
		{{.scope = "sho"}, false},
		{{.min_size = 1000}, true},
		{{.min_size = 1001}, false},
		{{.max_size = 1000}, true},
		{{.max_size = 999}, false},
		{{HEADERS({"subject", RULE_PRESENT, ""})}, true},
		{{HEADERS({"X-None", RULE_PRESENT, ""})}, false},
		{{HEADERS({"X-None", RULE_ABSENT, ""})}, true},
		{{HEADERS({"Subject", RULE_ABSENT, ""})}, false},
		{{HEADERS({"Subject", RULE_GLOB, "*INVOICE*"})}, true},
		{{HEADERS({"Subject", RULE_EXACT, "Your invoice 42"})}, true},
		{{HEADERS({"Subject", RULE_EXACT, "your invoice 42"})}, false},
		{{HEADERS({"Subject", RULE_GLOB, "invoice"})}, false},
		{{HEADERS({"X-Env", RULE_EXACT, "production"})}, true},
		{{HEADERS({"X-Env", RULE_EXACT, "prod"})}, false},
		{{HEADERS({"List-Id", RULE_EXACT, "second"})}, true},
		{{HEADERS({"List-Id", RULE_EXACT, "<a.test>"})}, true},
		{{HEADERS({"List-Id", RULE_EXACT, "third"})}, false},
		{{HEADERS({"X-Empty", RULE_EXACT, ""})}, true},
		{{HEADERS({"X-Empty", RULE_PRESENT, ""})}, true},
		{{HEADERS({"X-Empty", RULE_GLOB, "?"})}, false},
		/* All of them. */
		{{.sender = "shop.test", HEADERS({"X-Env", RULE_GLOB, "prod*"})}, true},
		{{.sender = "other.test", HEADERS({"X-Env", RULE_GLOB, "prod*"})}, false},
		{{HEADERS({"X-Env", RULE_GLOB, "prod*"}, {"X-None", RULE_PRESENT, ""})}, false},
		/* Others may read this line as a field. */
		{{HEADERS({"XBroken", RULE_PRESENT, ""})}, true},
		{{HEADERS({"XBroken", RULE_ABSENT, ""})}, true},
		{{HEADERS({"XBroken", RULE_EXACT, "y"})}, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule rule = rows[i].rule;
		struct trial t;
		const char *got;

		begin(&t);
		rule.action = RULE_DROP;
		publish(&t, &rule, 1);
		got = verdict_on(&t, "alice@example.com");
		ck_assert_msg(strcmp(got, rows[i].strikes ? BY_RULE : ALLOWED) == 0, "row %zu: %s",
			      i, got);
		finish(&t);
	}
}
END_TEST

/* In doubt rules that keep mail strike and rules that let it leave do not. */
START_TEST(what_is_not_known_never_leaves_because_of_that)
{
	static const struct rule_header any[] = {{"X-None", RULE_ABSENT, ""}};
	static const struct rule_header none[] = {{"X-None", RULE_PRESENT, ""}};
	struct rule drop = {.action = RULE_DROP, .headers = none, .header_count = 1};
	struct rule deliver[] = {{.name = "let",
				  .action = RULE_DELIVER,
				  .overrides_whitelist = true,
				  .headers = any,
				  .header_count = 1}};
	struct address odd;
	struct err why;
	struct trial t;

	begin(&t);
	publish(&t, deliver, 1);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"),
			 "deliver: rule let overrides the whitelist");
	t.facts.header_known = false;
	ck_assert_str_eq(verdict_on(&t, "x@else.test"), UNLISTED);
	publish(&t, &drop, 1);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	t.facts.header_known = true;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	/* A sender that patterns are not about, one that can't be read, a client nobody knows. */
	ck_assert_int_eq(address_parse(span_of("\"a b\"@x.test"), &odd, &why), ERR_OK);
	drop = (struct rule){.action = RULE_DROP, .sender = "other.test"};
	publish(&t, &drop, 1);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.sender = &odd;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	t.facts.sender = NULL;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	drop = (struct rule){.action = RULE_DROP, .client = "192.0.2.0/24"};
	publish(&t, &drop, 1);
	t.facts.client = "unknown";
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	t.facts.client = "unix";
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.client = NULL;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	/* The size while it is not known. */
	drop = (struct rule){.action = RULE_DROP, .min_size = 5000};
	publish(&t, &drop, 1);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.size = -1;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	finish(&t);
}
END_TEST

START_TEST(a_header_over_the_limits_is_not_known)
{
	struct rule drop = {.action = RULE_DROP, HEADERS({"X-None", RULE_PRESENT, ""})};
	struct buf text;
	struct trial t;

	begin(&t);
	publish(&t, &drop, 1);
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 1200; i++)
		(void)buf_append_text(&text, "A: b\r\n");
	t.facts.section = buf_span(&text);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	buf_truncate(&text, 900 * 6);
	t.facts.section = buf_span(&text);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	buf_release(&text);
	finish(&t);
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

	begin(&t);
	publish(&t, rows, sizeof(rows) / sizeof(rows[0]));
	ck_assert_str_eq(verdict_on(&t, "bob@example.com"), "drop: rule other");
	ck_assert_str_eq(verdict_on(&t, "hans@example.com"), "hold: rule keep");
	ck_assert_str_eq(verdict_on(&t, "lisa@example.com"),
			 "deliver: allowed by example.com, rule let");
	ck_assert_str_eq(verdict_on(&t, "quentin@example.com"),
			 "redirect: rule qa redirects it to QA@Example.COM");
	/* Nobody is redirected to himself: the next rules decide. */
	ck_assert_str_eq(verdict_on(&t, "QA@example.com"), "drop: rule last");
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), "drop: rule last");
	/* A person has let it go: what holds was answered, the next rules are asked. */
	t.released = true;
	ck_assert_str_eq(verdict_on(&t, "hans@example.com"), "drop: rule last");
	/* Tags are the message's. */
	edition = rules_acquire(t.rules);
	buf_init(&tags, 100);
	rule_tags(rule_match(edition, &t.facts, t.arena), &tags);
	ck_assert_str_eq(tags.data, "[a] [b] ");
	buf_release(&tags);
	published_release(&edition);
	finish(&t);
}
END_TEST

START_TEST(a_rule_only_narrows_unless_it_overrides)
{
	struct rule let = {.name = "let", .action = RULE_DELIVER};
	struct rule hold = {.name = "keep", .action = RULE_HOLD};
	struct trial t;

	begin(&t);
	publish(&t, &let, 1);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"), UNLISTED);
	ck_assert_str_eq(verdict_on(&t, "no@example.com"), "drop: denied by no@example.com");
	t.policy.default_verdict = VERDICT_HOLD;
	ck_assert_str_eq(verdict_on(&t, "x@else.test"),
			 "hold: no entry allows it, policy.default is hold");
	/* What no entry allows can be kept in another way; what is denied stays so. */
	t.policy.default_verdict = VERDICT_DROP;
	publish(&t, &hold, 1);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"), "hold: rule keep");
	ck_assert_str_eq(verdict_on(&t, "no@example.com"), "drop: denied by no@example.com");
	ck_assert_str_eq(verdict_on(&t, "\"a b\"@example.com"), "drop: unsafe address form");
	let.overrides_whitelist = true;
	publish(&t, &let, 1);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"),
			 "deliver: rule let overrides the whitelist");
	ck_assert_str_eq(verdict_on(&t, "no@example.com"), "drop: denied by no@example.com");
	ck_assert_str_eq(verdict_on(&t, "\"a b\"@example.com"), "drop: unsafe address form");
	ck_assert_str_eq(verdict_on(&t, "x@[127.0.0.1]"), "drop: unsafe address form");
	/* As with entries: what is no plain address must be named in full. */
	ck_assert_str_eq(verdict_on(&t, "x%y@else.test"), UNLISTED);
	let.recipient = "else.test";
	publish(&t, &let, 1);
	ck_assert_str_eq(verdict_on(&t, "x%y@else.test"), UNLISTED);
	let.recipient = "x%y@else.test";
	publish(&t, &let, 1);
	ck_assert_str_eq(verdict_on(&t, "x%y@else.test"),
			 "deliver: rule let overrides the whitelist");
	ck_assert_str_eq(verdict_on(&t, "z@else.test"), UNLISTED);
	finish(&t);
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

	begin(&t);
	t.facts.header_known = false;
	t.facts.size = -1;
	publish(&t, rows, 2);
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
	finish(&t);
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

	begin(&t);
	ck_assert(!rules_are_on(t.rules));
	number = rules_number(t.rules);
	publish(&t, &first, 1);
	ck_assert(rules_are_on(t.rules));
	ck_assert_uint_gt(rules_number(t.rules), number);
	old = rules_acquire(t.rules);
	rule_count(rule_match(old, &t.facts, t.arena), &verdict);
	rows[0] = filled(&first);
	rows[1] = filled(&(struct rule){.name = "config", .action = RULE_HOLD});
	rows[2] = filled(&(struct rule){.name = "b a d", .action = RULE_HOLD});
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
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), "hold: rule config");
	finish(&t);
}
END_TEST

static int64_t thread_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* As many rules as there may be, and a header that is as bad as it gets: the loop goes on. */
START_TEST(the_work_is_bounded)
{
	static char named[RULE_ROWS_MAX][16];
	static struct rule rules[RULE_ROWS_MAX];
	static struct rule_header headers[RULE_HEADERS_MAX];
	struct buf text;
	struct trial t;
	int64_t begun;

	for (size_t i = 0; i < RULE_HEADERS_MAX; i++)
		headers[i] = (struct rule_header){
			"A", RULE_GLOB,
			i + 1 < RULE_HEADERS_MAX ? "*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa*"
						 : "*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab*"};
	for (size_t i = 0; i < RULE_ROWS_MAX; i++) {
		snprintf(named[i], sizeof(named[i]), "n%zu", i);
		rules[i] = (struct rule){.name = named[i],
					 .action = RULE_DELIVER,
					 .overrides_whitelist = true,
					 .headers = headers,
					 .header_count = RULE_HEADERS_MAX};
	}
	begin(&t);
	publish(&t, rules, RULE_ROWS_MAX);
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 240; i++) {
		(void)buf_append_text(&text, "A: ");
		for (int k = 0; k < 1000; k++)
			(void)buf_append_char(&text, 'a');
		(void)buf_append_text(&text, "\r\n");
	}
	t.facts.section = buf_span(&text);
	begun = thread_us();
	ck_assert_str_eq(verdict_on(&t, "x@else.test"), UNLISTED);
	printf("# %d rules on a header of %zu octets: %lld us\n", RULE_ROWS_MAX, text.len,
	       (long long)(thread_us() - begun));
	/* Sanitizers and slow machines included: without a bound it would be minutes. */
	ck_assert_int_lt(thread_us() - begun, 3000000);
	/* What lies behind is not known: rules that keep mail strike. */
	for (size_t i = 0; i < RULE_ROWS_MAX; i++) {
		rules[i].action = RULE_DROP;
		rules[i].overrides_whitelist = false;
	}
	publish(&t, rules, RULE_ROWS_MAX);
	ck_assert_int_eq(strncmp(verdict_on(&t, "alice@example.com"), "drop: rule n", 12), 0);
	buf_release(&text);
	finish(&t);
}
END_TEST

UNIT_MAIN("filter/rule", mistakes_are_told_by_member, names, each_condition,
	  what_is_not_known_never_leaves_because_of_that, a_header_over_the_limits_is_not_known,
	  the_first_that_decides_counts, a_rule_only_narrows_unless_it_overrides,
	  what_a_rule_may_allow_later, editions_are_whole_and_counted, the_work_is_bounded)
