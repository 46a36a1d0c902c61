/* tests relay/filter/rule.c and rule_match.c (issue 5, item 5) */
#include "relay/filter/rule_match.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define SPAN(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
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

#define LONG64 "0123456789012345678901234567890123456789012345678901234567890123"
#define LONG255                                                                                    \
	LONG64 LONG64 LONG64 "012345678901234567890123456789012345678901234567890123456789012"
#define LONG256 LONG64 LONG64 LONG64 LONG64
#define TERA	((int64_t)1 << 40)

static size_t words_in(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += *text == ' ';
	return count;
}

START_TEST(mistakes_are_told_by_member)
{
	char notes[1002] = "";
	const struct {
		struct rule rule;
		const char *want;
	} rows[] = {
		{{.action = RULE_DROP}, ""},
		{{.name = "", .action = RULE_DROP}, "name "},
		{{.name = "a b", .action = RULE_DROP}, "name "},
		{{.name = LONG64, .action = RULE_DROP}, "name "},
		{{.name = &LONG64[1], .action = RULE_DROP}, ""},
		{{.name = "!a", .action = RULE_DROP}, "name "},
		{{.name = "a._-9", .action = RULE_DROP, .user = "a\x7f", .min_size = -1},
		 "user min_size "},
		{{.name = "x"}, "action "},
		{{.action = RULE_REDIRECT}, "redirect_to "},
		{{.action = RULE_REDIRECT, .redirect_to = "qa"}, "redirect_to "},
		{{.action = RULE_REDIRECT, .redirect_to = "\"q a\"@x.test"}, "redirect_to "},
		{{.action = RULE_REDIRECT, .redirect_to = "qa@x.test"}, ""},
		{{.action = RULE_REDIRECT, .redirect_to = "q%a@x.test"}, ""},
		{{.action = (enum rule_action)(RULE_TAG + 1)}, "action "},
		{{.action = RULE_DROP, .redirect_to = "qa@x.test"}, "redirect_to "},
		{{.action = RULE_TAG}, "tag "},
		{{.action = RULE_TAG, .tag = "[x] "}, ""},
		{{.action = RULE_TAG, .tag = "  "}, "tag "},
		{{.action = RULE_TAG, .tag = "a\r\nBcc: x@y.test"}, "tag "},
		{{.action = RULE_TAG, .tag = LONG64 LONG64}, "tag "},
		{{.action = RULE_TAG, .tag = &(LONG64 LONG64)[28]}, ""},
		{{.action = RULE_TAG, .tag = &(LONG64 LONG64)[27]}, "tag "},
		{{.action = RULE_TAG, .tag = "\x01x"}, "tag "},
		{{.action = RULE_TAG, .tag = "x~"}, ""},
		{{.action = RULE_TAG, .tag = "x\x7f"}, "tag "},
		{{.action = RULE_TAG, .tag = "x\xc3\xbc"}, "tag "},
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
		{{.action = RULE_DROP, .user = LONG255}, ""},
		{{.action = RULE_DROP, .user = LONG256}, "user "},
		{{.action = RULE_DROP, .listener = LONG255}, ""},
		{{.action = RULE_DROP, .listener = LONG256}, "listener "},
		{{.action = RULE_DROP, .listener = "a\x7f"}, "listener "},
		{{.action = RULE_DROP, .scope = "a b"}, "scope "},
		{{.action = RULE_DROP, .min_size = -1}, "min_size "},
		{{.action = RULE_DROP, .min_size = TERA}, ""},
		{{.action = RULE_DROP, .min_size = TERA + 1}, "min_size "},
		{{.action = RULE_DROP, .max_size = TERA}, ""},
		{{.action = RULE_DROP, .max_size = TERA + 1}, "max_size "},
		{{.action = RULE_DROP, .max_size = -1}, "max_size "},
		{{.action = RULE_DROP, .min_size = 2, .max_size = 1}, "max_size "},
		{{.action = RULE_DROP, .min_size = 2, .max_size = 2}, ""},
		{{.action = RULE_DROP, HEADERS({"", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A:", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({":", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({" A", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A B", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A\x7f", RULE_PRESENT, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"!~", RULE_PRESENT, ""})}, ""},
		{{.action = RULE_DROP, HEADERS({LONG64 "0123456789012", RULE_PRESENT, ""})}, ""},
		{{.action = RULE_DROP, HEADERS({LONG64 "01234567890123", RULE_PRESENT, ""})},
		 "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_PRESENT, ""}, {"", RULE_PRESENT, ""})},
		 "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_PRESENT, "v"})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", (enum rule_match)0, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_GLOB, LONG255})}, ""},
		{{.action = RULE_DROP, HEADERS({"A", RULE_GLOB, ""})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_EXACT, ""})}, ""},
		{{.action = RULE_DROP, HEADERS({"A", RULE_GLOB, LONG256})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", RULE_GLOB, "\xff"})}, "headers "},
		{{.action = RULE_DROP, HEADERS({"A", (enum rule_match)9, ""})}, "headers "},
		{{.action = RULE_DROP, .header_count = RULE_HEADERS_MAX + 1}, "headers "},
		{{.action = RULE_DROP, .note = notes + 1}, ""},
		{{.action = RULE_DROP, .note = notes}, "note "},
	};

	memset(notes, 'n', sizeof(notes) - 1);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule rule = filled(&rows[i].rule);
		char members[200] = "";
		size_t count = rule_check(&rule, note_member, members);

		ck_assert_msg(strcmp(members, rows[i].want) == 0, "row %zu: %s", i, members);
		ck_assert_msg(count == words_in(rows[i].want), "row %zu: %zu", i, count);
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
	ck_assert_str_eq(rule_action_name((enum rule_action)0), "unknown");
	ck_assert_str_eq(rule_action_name((enum rule_action)(RULE_TAG + 1)), "unknown");
	ck_assert_str_eq(rule_match_name((enum rule_match)0), "unknown");
	ck_assert_str_eq(rule_match_name((enum rule_match)(RULE_GLOB + 1)), "unknown");
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
			     "XBroken: other\r\n"
			     "X Broken: x\r\n"
			     "X\x7f\xc3\xa9-Odd: x\r\n"
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
		{{HEADERS({"X-None", RULE_PRESENT, ""}, {"X-Env", RULE_GLOB, "prod*"})}, false},
		/* Others may read this line as a field. */
		{{HEADERS({"XBroken", RULE_PRESENT, ""})}, true},
		{{HEADERS({"XBroken", RULE_ABSENT, ""})},
		 false}, /* the one in front is well formed */
		{{HEADERS({"XBroken", RULE_EXACT, "y"})}, true},
		{{HEADERS({"X-Odd", RULE_PRESENT, ""})}, true},
		{{HEADERS({"X-Odd", RULE_ABSENT, ""})}, true},
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
	struct address odd, null = {.form = ADDRESS_NULL};
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
	ck_assert_int_eq(address_parse(span_of("a%b@x.test"), &odd, &why), ERR_OK);
	t.facts.sender = &odd;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	drop.sender = "x.test";
	publish(&t, &drop, 1);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	deliver[0].headers = NULL;
	deliver[0].header_count = 0;
	deliver[0].sender = "x.test";
	publish(&t, deliver, 1);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"), UNLISTED);
	drop.sender = "other.test";
	publish(&t, &drop, 1);
	t.facts.sender = &null;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	drop.sender = "<>";
	publish(&t, &drop, 1);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	drop = (struct rule){.action = RULE_DROP, .client = "192.0.2.0/24"};
	publish(&t, &drop, 1);
	t.facts.client = "unknown";
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	t.facts.client = "unix";
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.client = NULL;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.client = "\0unknown";
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	/* Nobody is no user. */
	drop = (struct rule){.action = RULE_DROP, .user = "*"};
	publish(&t, &drop, 1);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	t.facts.user = "";
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.user = NULL;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	/* The size while it is not known. */
	drop = (struct rule){.action = RULE_DROP, .min_size = 5000};
	publish(&t, &drop, 1);
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.size = 0;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	t.facts.size = -1;
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
	finish(&t);
}
END_TEST

#define BY_LET "deliver: rule let overrides the whitelist"

/* One rule that overrides: is it sure enough to let the message leave? */
START_TEST(what_is_known_lets_it_leave)
{
	const struct {
		struct rule rule;
		bool leaves;
	} rows[] = {
		{{.sender = "shop.test"}, true},
		{{.sender = "other.test"}, false},
		{{.client = "10.0.0.0/8"}, true},
		{{.user = "*"}, true},
		{{.listener = "*"}, true},
		{{.min_size = 1, .max_size = 1000}, true},
		{{.recipient = "else.test"}, true},
		{{HEADERS({"X-Env", RULE_EXACT, "production"})}, true},
		{{HEADERS({"X-Env", RULE_GLOB, "*"}, {"Subject", RULE_PRESENT, ""})}, true},
		{{HEADERS({"XBroken", RULE_EXACT, "other"})}, true},
		/* In doubt about one of them. */
		{{HEADERS({"XBroken", RULE_EXACT, "x"})}, false},
		{{HEADERS({"X-Odd", RULE_PRESENT, ""}, {"X-Env", RULE_GLOB, "*"})}, false},
		{{HEADERS({"X-Env", RULE_GLOB, "*"}, {"X-Odd", RULE_PRESENT, ""})}, false},
		{{HEADERS({"X-Odd", RULE_ABSENT, ""})}, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule rule = rows[i].rule;
		struct trial t;
		const char *got;

		begin(&t);
		rule.name = "let";
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		publish(&t, &rule, 1);
		t.facts.user = "a";
		got = verdict_on(&t, "x@else.test");
		ck_assert_msg(strcmp(got, rows[i].leaves ? BY_LET : UNLISTED) == 0, "row %zu: %s",
			      i, got);
		finish(&t);
	}
}
END_TEST

/* What nobody asks for need not be known. */
START_TEST(what_a_rule_is_not_about_does_not_matter)
{
	struct rule let = {.name = "let", .action = RULE_DELIVER, .overrides_whitelist = true};
	struct trial t;

	begin(&t);
	publish(&t, &let, 1);
	t.facts = (struct rule_facts){.size = -1};
	ck_assert_str_eq(verdict_on(&t, "x@else.test"), BY_LET);
	finish(&t);
}
END_TEST

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
		struct rule rule = filled(&rows[i].rule);
		struct trial t;

		begin(&t);
		rule.name = rows[i].rule.name;
		rule.action = rows[i].rule.action;
		rule.enabled = true;
		ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 1);
		ck_assert_str_eq(verdict_on(&t, "alice@example.com"), rows[i].want);
		ck_assert_str_ne(verdict_on(&t, "x@else.test"), "deliver: rule r");
		rule.enabled = false;
		ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 1);
		ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
		finish(&t);
	}
}
END_TEST

START_TEST(a_rule_that_is_switched_off_does_nothing)
{
	struct rule rule = filled(&(struct rule){.action = RULE_DROP});
	struct trial t;

	begin(&t);
	rule.enabled = false;
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 0);
	ck_assert(!rules_are_on(t.rules));
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	finish(&t);
}
END_TEST

START_TEST(a_stored_sender_is_read_back)
{
	struct address address;

	ck_assert_ptr_eq(rule_sender("", &address), &address);
	ck_assert_int_eq(address.form, ADDRESS_NULL);
	ck_assert_ptr_eq(rule_sender("app@shop.test", &address), &address);
	ck_assert_str_eq(address.local, "app");
	ck_assert_ptr_null(rule_sender("a", &address));
	ck_assert_ptr_null(rule_sender("not an address", &address));
}
END_TEST

/* Who asks what would be, and says not all of it: what keeps mail may be met, what lets go is not.
 */
START_TEST(what_a_dry_run_does_not_say_is_not_known)
{
	static const struct rule conditions[] = {
		{.client = "10.0.0.0/8"}, {.user = "app-*"}, {.listener = "127.*"}};
	struct trial t;

	begin(&t);
	t.facts.client = t.facts.user = t.facts.listener = NULL;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		struct rule rule = conditions[i];

		rule.action = RULE_DROP;
		publish(&t, &rule, 1);
		t.facts.partial = false;
		ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
		t.facts.partial = true;
		ck_assert_str_eq(verdict_on(&t, "alice@example.com"), BY_RULE);
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		publish(&t, &rule, 1);
		ck_assert_str_eq(verdict_on(&t, "x@else.test"), "drop: no entry allows it");
	}
	t.facts.client = t.facts.user = t.facts.listener = "";
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"), ALLOWED);
	finish(&t);
}
END_TEST

/* It may say anything: what keeps mail is taken to be met, what lets go is not. */
START_TEST(a_word_in_a_charset_that_nobody_knows_is_not_known)
{
	static const char foreign[] = "Subject: re =?x-none?q?other?=\r\nX-Env: a =?b?= c\r\n\r\n";
	static const struct {
		struct rule_header condition;
		bool drops;
		bool leaves;
	} rows[] = {
		{{"Subject", RULE_GLOB, "*invoice*"}, true, false},
		{{"Subject", RULE_EXACT, "invoice"}, true, false},
		{{"Subject", RULE_GLOB, "re *"}, true, true},
		{{"Subject", RULE_PRESENT, ""}, true, true},
		/* No word at all. */
		{{"X-Env", RULE_GLOB, "*invoice*"}, false, false},
		{{"X-Env", RULE_EXACT, "a =?b?= c"}, true, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule rule = {.action = RULE_DROP, HEADERS(rows[i].condition)};
		struct trial t;

		begin(&t);
		t.facts.section = span_make(foreign, sizeof(foreign) - 1);
		publish(&t, &rule, 1);
		ck_assert_str_eq(verdict_on(&t, "alice@example.com"),
				 rows[i].drops ? BY_RULE : ALLOWED);
		rule.name = "let";
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		publish(&t, &rule, 1);
		ck_assert_str_eq(verdict_on(&t, "x@else.test"), rows[i].leaves ? BY_LET : UNLISTED);
		finish(&t);
	}
}
END_TEST

static int64_t thread_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

/* NUL and 8-bit: a rule that keeps mail strikes, one that lets it leave does not. */
START_TEST(values_that_can_be_read_in_two_ways)
{
	static const struct {
		struct span section;
		bool kept, let;
	} rows[] = {
		{SPAN("X-Env: production\r\n"), true, true},
		{SPAN("X-Env:\r\n\t=?utf-8?q?pro?=\r\n =?utf-8?b?ZHVjdGlvbg==?= \r\n"), true, true},
		{SPAN("X-Env: test\r\nx-ENV: production\r\n"), true, true},
		{SPAN("X-Env: test\r\n"), false, false},
		{SPAN("X-Env: t\xc3\xa4"
		      "st\r\n"),
		 false, false},
		{SPAN(""), false, false},
		{SPAN("X-Env: prod\0uction\r\n"), true, false},
		{SPAN("X-Env: production\0\r\n"), true, false},
		{SPAN("X-Env: pro\bduction\r\n"), true, false},
		{SPAN("X-Env: pr\xf6"
		      "duction\r\n"),
		 true, false},
		{SPAN("X-Env: =?x-unknown?q?production?=\r\n"), true, false},
		{SPAN("X-Env: =?utf-8?q?prod=FFuction?=\r\n"), true, false},
		{SPAN("X-Env: =?utf-8?q?production\r\n"), false, false},
		{SPAN("X-Env: \xff"
		      "\r\nX-Env: production\r\n"),
		 true, true},
		{SPAN("X-\0Env: production\r\n"), true, false},
		{SPAN("X-Env\r\n : production\r\n"), true, false},
		{SPAN("X-Env : production\r\n"), true, true},
	};
	static const struct rule_header exact[] = {{"X-Env", RULE_EXACT, " production "}};
	static const struct rule_header glob[] = {{"X-Env", RULE_GLOB, "prod*n"}};
	const struct rule_header *const conditions[] = {exact, glob};

	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct rule rule = {
			.action = RULE_DROP, .headers = conditions[i % 2], .header_count = 1};
		const char *got;
		struct trial t;

		begin(&t);
		t.facts.section = rows[i / 2].section;
		publish(&t, &rule, 1);
		got = verdict_on(&t, "alice@example.com");
		ck_assert_msg(strcmp(got, rows[i / 2].kept ? BY_RULE : ALLOWED) == 0, "row %zu: %s",
			      i / 2, got);
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		publish(&t, &rule, 1);
		got = verdict_on(&t, "x@else.test");
		ck_assert_msg(strcmp(got, rows[i / 2].let
						  ? "deliver: rule r overrides the whitelist"
						  : UNLISTED) == 0,
			      "row %zu: %s", i / 2, got);
		finish(&t);
	}
}
END_TEST

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
	begin(&t);
	rules[7].sender = NULL;
	publish(&t, rules, RULE_ROWS_MAX);
	edition = rules_acquire(t.rules);
	rule_count(rule_match(edition, &t.facts, t.arena), &verdict);
	published_release(&edition);
	/* One is changed, then the first goes: it is found at once, or a place farther on. */
	for (size_t gone = 0; gone < 2; gone++) {
		rules[500].user = "u";
		begun = thread_us();
		publish(&t, &rules[gone], RULE_ROWS_MAX - gone);
		printf("# a change among %d rules: %lld us\n", RULE_ROWS_MAX,
		       (long long)(thread_us() - begun));
		edition = rules_acquire(t.rules);
		rule_view(edition, 7 - gone, &view);
		ck_assert_str_eq(view.rule->name, "n7");
		ck_assert_uint_eq(view.matches, 1);
		published_release(&edition);
	}
	/* From one end to the other. */
	publish(&t, &rules[8], RULE_ROWS_MAX - 8);
	publish(&t, rules, 8);
	edition = rules_acquire(t.rules);
	rule_view(edition, 7, &view);
	ck_assert_uint_eq(view.matches, 0); /* it was away */
	published_release(&edition);
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

START_TEST(where_no_rule_decides_the_policy_does)
{
	struct rule other = {.action = RULE_DROP, .recipient = "third.test"};
	struct trial t;

	begin(&t);
	publish(&t, &other, 1);
	t.policy.default_verdict = VERDICT_HOLD;
	ck_assert_str_eq(verdict_on(&t, "x@else.test"),
			 "hold: no entry allows it, policy.default is hold");
	finish(&t);
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

	begin(&t);
	for (size_t i = 0; i < 4; i++)
		rows[i] = filled(&given[i]);
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
	finish(&t);
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

	begin(&t);
	publish(&t, &rule, 1);
	edition = rules_acquire(t.rules);
	ck_assert_int_eq(address_parse(span_of("no@example.com"), &address, NULL), ERR_OK);
	verdict_explain(t.snapshot, &address, span_of(""), 1, &verdict);
	ck_assert(!rule_decide(rule_match(edition, &t.facts, t.arena), &address, false, &verdict));
	ck_assert_int_eq(verdict.kind, VERDICT_DROP);
	ck_assert_int_eq(verdict.reason, REASON_DENIED);
	ck_assert_ptr_null(verdict.rule);
	published_release(&edition);
	finish(&t);
}
END_TEST

static uint64_t matches_of(struct rules *rules, size_t index)
{
	const struct edition *edition = rules_acquire(rules);
	struct rule_view view;

	rule_view(edition, index, &view);
	published_release(&edition);
	return view.matches;
}

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

	begin(&t);
	ck_assert(!may_override(&t));
	publish(&t, rows, 2);
	ck_assert(may_override(&t));
	publish(&t, &rows[1], 1);
	ck_assert(!may_override(&t));
	rows[0].sender = "other.test";
	publish(&t, rows, 2);
	ck_assert(!may_override(&t));
	finish(&t);
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

	begin(&t);
	publish(&t, rows, 4);
	edition = rules_acquire(t.rules);
	rule_count_tags(rule_match(edition, &t.facts, t.arena));
	published_release(&edition);
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(matches_of(t.rules, i), want[i]);
	finish(&t);
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

	begin(&t);
	ck_assert_int_eq(address_parse(span_of("x@else.test"), &address, NULL), ERR_OK);
	ck_assert(!rules_may_allow(NULL, &t.facts, &address));
	ck_assert(!may_allow(&t, "x@else.test"));
	publish(&t, &let, 1);
	ck_assert(may_allow(&t, "x@else.test"));
	ck_assert(!may_allow(&t, "x@third.test"));
	/* That form leaves only where it is named in full. */
	ck_assert(!may_allow(&t, "x%y@else.test"));
	let.recipient = NULL;
	publish(&t, &let, 1);
	ck_assert(!may_allow(&t, "x%y@else.test"));
	let.recipient = "x%y@else.test";
	publish(&t, &let, 1);
	ck_assert(may_allow(&t, "x%y@else.test"));
	let.sender = "other.test";
	publish(&t, &let, 1);
	ck_assert(!may_allow(&t, "x%y@else.test"));
	let = (struct rule){.action = RULE_DROP};
	publish(&t, &let, 1);
	ck_assert(!may_allow(&t, "x@else.test"));
	finish(&t);
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

	begin(&t);
	expect_tag(&t, NULL, "");
	expect_tag(&t, "[x] ", "[x] ");
	publish(&t, rows, 3);
	expect_tag(&t, NULL, "[a] [c] ");
	expect_tag(&t, "[x] ", "[x] [a] [c] ");
	/* The first still has room, the next one has not. */
	memset(longest, 'x', SUBJECT_TAG_MAX - 4);
	expect_tag(&t, longest, arena_printf(t.arena, "%s[a] ", longest));
	finish(&t);
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

	begin(&t);
	publish(&t, rows, 5);
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
	rows[2] = filled(&(struct rule){.name = "b a d", .action = RULE_TAG});
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

	begin(&t);
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
	ck_assert_str_eq(verdict_on(&t, "alice@example.com"),
			 "redirect: rule kept redirects it to qa@xn--bcher-kva.test");
	/* Also where there is none. */
	rule = filled(&(struct rule){.action = RULE_DROP, .redirect_to = buffers[0]});
	buffers[0][0] = '\0';
	ck_assert_uint_eq(rules_publish(t.rules, PUBLISHED_FROM_STORE, &rule, 1), 0);
	buffers[0][0] = 'x';
	edition = rules_acquire(t.rules);
	rule_view(edition, 0, &view);
	ck_assert_str_eq(view.rule->redirect_to, "");
	published_release(&edition);
	finish(&t);
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

	begin(&t);
	t.facts.header_known = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict verdict = {.rule = rows[i].name};
		const struct edition *edition;

		publish(&t, &rows[i], 1);
		ck_assert_msg(matches_of(t.rules, 0) == 0, "row %zu", i);
		edition = rules_acquire(t.rules);
		rule_count(rule_match(edition, &t.facts, t.arena), &verdict);
		published_release(&edition);
		publish(&t, &rows[i], 1);
		ck_assert_msg(matches_of(t.rules, 0) == 1, "row %zu", i);
	}
	finish(&t);
}
END_TEST

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

/* Of the configuration: rules with 16 conditions each, of which the last lets x@else.test leave. */
static void publish_many(struct trial *t, const struct rule_header *condition, size_t count)
{
	struct rule_header *headers =
		arena_array(t->arena, RULE_HEADERS_MAX, sizeof(struct rule_header));
	struct rule *rows = arena_array(t->arena, count, sizeof(*rows));

	for (size_t i = 0; i < RULE_HEADERS_MAX; i++)
		headers[i] = *condition;
	for (size_t i = 0; i < count; i++)
		rows[i] = filled(&(struct rule){
			.name = arena_printf(t->arena, "n%zu", i),
			.action = RULE_DELIVER,
			.overrides_whitelist = true,
			.recipient = i + 1 < count ? "nobody@third.test" : "else.test",
			/* The first one is about another sender, and costs nothing. */
			.sender = i == 0 ? "other.test" : NULL,
			.headers = headers,
			.header_count = RULE_HEADERS_MAX});
	ck_assert_uint_eq(rules_publish(t->rules, PUBLISHED_FROM_CONFIG, rows, count), 0);
}

/* Each condition costs 4096 octets: 64 rules of 16 are all there is. */
START_TEST(the_last_octet_is_known_and_none_behind_it)
{
	const struct rule cheap = {.name = "cheap",
				   .action = RULE_DELIVER,
				   .overrides_whitelist = true,
				   .recipient = "fourth.test",
				   HEADERS({"A", RULE_PRESENT, ""})};
	char glob[64], value[66], other[4094];
	const struct rule_header conditions[] = {{"A", RULE_GLOB, glob}, {"A", RULE_EXACT, "x"}};
	struct trial t;

	static_assert(RULE_WORK_MAX == 64 * 16 * 4096, "as said above");
	snprintf(glob, sizeof(glob), "*%062d", 0);
	snprintf(value, sizeof(value), "%065d", 0);
	snprintf(other, sizeof(other), "%04093d", 0);
	begin(&t);
	for (size_t i = 0; i < 2; i++) {
		const char *text = i == 0 ? arena_printf(t.arena, "A: %s\r\n\r\n", value)
					  : arena_printf(t.arena, "A: x\r\nA: %s\r\n\r\n", other);

		t.facts.section = span_of(text);
		publish(&t, NULL, 0);
		publish_many(&t, &conditions[i], 65);
		ck_assert_str_eq(verdict_on(&t, "x@else.test"),
				 "deliver: rule n64 overrides the whitelist");
		publish_many(&t, &conditions[i], 66);
		ck_assert_str_eq(verdict_on(&t, "x@else.test"), UNLISTED);
		/* A cheap one behind them; in front of it there is one octet too little. */
		publish(&t, &cheap, 1);
		publish_many(&t, &(struct rule_header){"A", RULE_PRESENT, ""}, 2);
		ck_assert_str_eq(verdict_on(&t, "x@fourth.test"),
				 "deliver: rule cheap overrides the whitelist");
		publish_many(&t, &conditions[i], 64);
		ck_assert_str_eq(verdict_on(&t, "x@fourth.test"),
				 "deliver: rule cheap overrides the whitelist");
		publish_many(&t, &conditions[i], 65);
		ck_assert_str_eq(verdict_on(&t, "x@fourth.test"), UNLISTED);
	}
	finish(&t);
}
END_TEST

/* What did not fit has used up the rest: what lies behind is not known, however cheap. */
START_TEST(what_is_used_up_stays_so)
{
	static struct rule rows[18];
	struct rule_header big[] = {{"B", RULE_GLOB, "*"}};
	struct buf text;
	struct trial t;

	begin(&t);
	buf_init(&text, 1 << 20);
	(void)buf_append_text(&text, "A: x\r\nB: ");
	for (size_t i = 0; i < 240000; i++)
		(void)buf_append_char(&text, i % 900 == 899 ? ' ' : 'b');
	(void)buf_append_text(&text, "\r\n\r\n");
	t.facts.section = buf_span(&text);
	/* 17 of them: more than 4 MiB less 240000 octets, and the 18th does not fit. */
	for (size_t i = 0; i < 18; i++)
		rows[i] = (struct rule){.name = arena_printf(t.arena, "n%zu", i),
					.action = RULE_DELIVER,
					.overrides_whitelist = true,
					.recipient = "nobody@third.test",
					.headers = big,
					.header_count = 1};
	rows[17].headers = (const struct rule_header[]){{"A", RULE_PRESENT, ""}};
	rows[17].recipient = "else.test";
	publish(&t, rows, 18);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"),
			 "deliver: rule n17 overrides the whitelist");
	rows[16].headers = (const struct rule_header[]){{"B", RULE_GLOB, "*b"}};
	publish(&t, rows, 18);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"), UNLISTED);
	buf_release(&text);
	finish(&t);
}
END_TEST

/* As many names asked for as can be, none of them there: chains are short, so all of it is known.
 */
START_TEST(many_names_are_found_without_looking_at_all)
{
	struct rule *rows;
	struct buf text;
	struct trial t;

	begin(&t);
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 900; i++)
		(void)buf_printf(&text, "Field-Number-%d: x\r\n", i);
	t.facts.section = buf_span(&text);
	rows = arena_array(t.arena, RULE_ROWS_MAX, sizeof(*rows));
	for (size_t i = 0; i < RULE_ROWS_MAX; i++) {
		struct rule_header *headers =
			arena_array(t.arena, RULE_HEADERS_MAX, sizeof(*headers));

		for (size_t k = 0; k < RULE_HEADERS_MAX; k++)
			headers[k] = (struct rule_header){
				arena_printf(t.arena, "Field-asked-for-%zu-%zu", i, k), RULE_ABSENT,
				""};
		rows[i] = (struct rule){.name = arena_printf(t.arena, "n%zu", i),
					.action = RULE_DELIVER,
					.overrides_whitelist = true,
					.recipient = i + 1 < RULE_ROWS_MAX ? "nobody@third.test"
									   : "else.test",
					.headers = headers,
					.header_count = RULE_HEADERS_MAX};
	}
	publish(&t, rows, RULE_ROWS_MAX);
	ck_assert_str_eq(verdict_on(&t, "x@else.test"),
			 "deliver: rule n999 overrides the whitelist");
	buf_release(&text);
	finish(&t);
}
END_TEST

UNIT_MAIN("filter/rule", values_that_can_be_read_in_two_ways, a_change_among_many_is_quick,
	  mistakes_are_told_by_member, names, each_condition,
	  what_is_not_known_never_leaves_because_of_that, what_is_known_lets_it_leave,
	  what_a_rule_is_not_about_does_not_matter, a_rule_that_is_switched_off_does_nothing,
	  a_bad_row_that_may_keep_mail_keeps_all, a_stored_sender_is_read_back,
	  what_a_dry_run_does_not_say_is_not_known,
	  a_word_in_a_charset_that_nobody_knows_is_not_known, a_header_over_the_limits_is_not_known,
	  the_first_that_decides_counts, a_rule_only_narrows_unless_it_overrides,
	  what_a_rule_may_allow_later, where_no_rule_decides_the_policy_does, one_rule_alone,
	  whether_any_rule_may_override, each_rule_that_tags_is_counted,
	  no_rule_decides_on_what_is_denied, what_the_rules_in_force_may_allow,
	  tags_stand_behind_that_of_the_policy, the_rule_that_decided_is_counted,
	  editions_are_whole_and_counted, what_is_published_is_kept,
	  a_rule_that_says_something_else_counts_anew, the_work_is_bounded,
	  the_last_octet_is_known_and_none_behind_it, what_is_used_up_stays_so,
	  many_names_are_found_without_looking_at_all)
