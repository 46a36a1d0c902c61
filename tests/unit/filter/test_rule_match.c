/* tests relay/filter/rule_match.c: what a rule is about, and what is not known of it */
#include "relay/filter/rule_match.h"

#include <assert.h>
#include <stdio.h>

#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/filter/trial.h"
#include "tests/unit/unit.h"

#define SPAN(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

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

		trial_begin(&t);
		rule.action = RULE_DROP;
		trial_publish(&t, &rule, 1);
		got = trial_verdict(&t, "alice@example.com");
		ck_assert_msg(strcmp(got, rows[i].strikes ? BY_RULE : ALLOWED) == 0, "row %zu: %s",
			      i, got);
		trial_end(&t);
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

	trial_begin(&t);
	trial_publish(&t, deliver, 1);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
			 "deliver: rule let overrides the whitelist");
	t.facts.header_known = false;
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"), UNLISTED);
	trial_publish(&t, &drop, 1);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	t.facts.header_known = true;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	/* A sender that patterns are not about, one that can't be read, a client nobody knows. */
	ck_assert_int_eq(address_parse(span_of("\"a b\"@x.test"), &odd, &why), ERR_OK);
	drop = (struct rule){.action = RULE_DROP, .sender = "other.test"};
	trial_publish(&t, &drop, 1);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	t.facts.sender = &odd;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	t.facts.sender = NULL;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	ck_assert_int_eq(address_parse(span_of("a%b@x.test"), &odd, &why), ERR_OK);
	t.facts.sender = &odd;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	drop.sender = "x.test";
	trial_publish(&t, &drop, 1);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	deliver[0].headers = NULL;
	deliver[0].header_count = 0;
	deliver[0].sender = "x.test";
	trial_publish(&t, deliver, 1);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"), UNLISTED);
	drop.sender = "other.test";
	trial_publish(&t, &drop, 1);
	t.facts.sender = &null;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	drop.sender = "<>";
	trial_publish(&t, &drop, 1);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	drop = (struct rule){.action = RULE_DROP, .client = "192.0.2.0/24"};
	trial_publish(&t, &drop, 1);
	t.facts.client = "unknown";
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	t.facts.client = "unix";
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	t.facts.client = NULL;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	t.facts.client = "\0unknown";
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	/* Nobody is no user. */
	drop = (struct rule){.action = RULE_DROP, .user = "*"};
	trial_publish(&t, &drop, 1);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	t.facts.user = "";
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	t.facts.user = NULL;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	/* The size while it is not known. */
	drop = (struct rule){.action = RULE_DROP, .min_size = 5000};
	trial_publish(&t, &drop, 1);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	t.facts.size = 0;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	t.facts.size = -1;
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	trial_end(&t);
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

		trial_begin(&t);
		rule.name = "let";
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		trial_publish(&t, &rule, 1);
		t.facts.user = "a";
		got = trial_verdict(&t, "x@else.test");
		ck_assert_msg(strcmp(got, rows[i].leaves ? BY_LET : UNLISTED) == 0, "row %zu: %s",
			      i, got);
		trial_end(&t);
	}
}
END_TEST

/* What nobody asks for need not be known. */
START_TEST(what_a_rule_is_not_about_does_not_matter)
{
	struct rule let = {.name = "let", .action = RULE_DELIVER, .overrides_whitelist = true};
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, &let, 1);
	t.facts = (struct rule_facts){.size = -1};
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"), BY_LET);
	trial_end(&t);
}
END_TEST

/* Who asks what would be, and says not all of it: what keeps mail may be met, what lets go is not.
 */
START_TEST(what_a_dry_run_does_not_say_is_not_known)
{
	static const struct rule conditions[] = {
		{.client = "10.0.0.0/8"}, {.user = "app-*"}, {.listener = "127.*"}};
	struct trial t;

	trial_begin(&t);
	t.facts.client = t.facts.user = t.facts.listener = NULL;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		struct rule rule = conditions[i];

		rule.action = RULE_DROP;
		trial_publish(&t, &rule, 1);
		t.facts.partial = false;
		ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
		t.facts.partial = true;
		ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		trial_publish(&t, &rule, 1);
		ck_assert_str_eq(trial_verdict(&t, "x@else.test"), "drop: no entry allows it");
	}
	t.facts.client = t.facts.user = t.facts.listener = "";
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	trial_end(&t);
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

		trial_begin(&t);
		t.facts.section = span_make(foreign, sizeof(foreign) - 1);
		trial_publish(&t, &rule, 1);
		ck_assert_str_eq(trial_verdict(&t, "alice@example.com"),
				 rows[i].drops ? BY_RULE : ALLOWED);
		rule.name = "let";
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		trial_publish(&t, &rule, 1);
		ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
				 rows[i].leaves ? BY_LET : UNLISTED);
		trial_end(&t);
	}
}
END_TEST

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

		trial_begin(&t);
		t.facts.section = rows[i / 2].section;
		trial_publish(&t, &rule, 1);
		got = trial_verdict(&t, "alice@example.com");
		ck_assert_msg(strcmp(got, rows[i / 2].kept ? BY_RULE : ALLOWED) == 0, "row %zu: %s",
			      i / 2, got);
		rule.action = RULE_DELIVER;
		rule.overrides_whitelist = true;
		trial_publish(&t, &rule, 1);
		got = trial_verdict(&t, "x@else.test");
		ck_assert_msg(strcmp(got, rows[i / 2].let
						  ? "deliver: rule r overrides the whitelist"
						  : UNLISTED) == 0,
			      "row %zu: %s", i / 2, got);
		trial_end(&t);
	}
}
END_TEST

START_TEST(a_header_over_the_limits_is_not_known)
{
	struct rule drop = {.action = RULE_DROP, HEADERS({"X-None", RULE_PRESENT, ""})};
	struct buf text;
	struct trial t;

	trial_begin(&t);
	trial_publish(&t, &drop, 1);
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 1200; i++)
		(void)buf_append_text(&text, "A: b\r\n");
	t.facts.section = buf_span(&text);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), BY_RULE);
	buf_truncate(&text, 900 * 6);
	t.facts.section = buf_span(&text);
	ck_assert_str_eq(trial_verdict(&t, "alice@example.com"), ALLOWED);
	buf_release(&text);
	trial_end(&t);
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
	trial_begin(&t);
	trial_publish(&t, rules, RULE_ROWS_MAX);
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 240; i++) {
		(void)buf_append_text(&text, "A: ");
		for (int k = 0; k < 1000; k++)
			(void)buf_append_char(&text, 'a');
		(void)buf_append_text(&text, "\r\n");
	}
	t.facts.section = buf_span(&text);
	begun = trial_thread_us();
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"), UNLISTED);
	printf("# %d rules on a header of %zu octets: %lld us\n", RULE_ROWS_MAX, text.len,
	       (long long)(trial_thread_us() - begun));
	/* Sanitizers and slow machines included: without a bound it would be minutes. */
	ck_assert_int_lt(trial_thread_us() - begun, 3000000);
	/* What lies behind is not known: rules that keep mail strike. */
	for (size_t i = 0; i < RULE_ROWS_MAX; i++) {
		rules[i].action = RULE_DROP;
		rules[i].overrides_whitelist = false;
	}
	trial_publish(&t, rules, RULE_ROWS_MAX);
	ck_assert_int_eq(strncmp(trial_verdict(&t, "alice@example.com"), "drop: rule n", 12), 0);
	buf_release(&text);
	trial_end(&t);
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
		rows[i] = rule_filled(&(struct rule){
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
	trial_begin(&t);
	for (size_t i = 0; i < 2; i++) {
		const char *text = i == 0 ? arena_printf(t.arena, "A: %s\r\n\r\n", value)
					  : arena_printf(t.arena, "A: x\r\nA: %s\r\n\r\n", other);

		t.facts.section = span_of(text);
		trial_publish(&t, NULL, 0);
		publish_many(&t, &conditions[i], 65);
		ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
				 "deliver: rule n64 overrides the whitelist");
		publish_many(&t, &conditions[i], 66);
		ck_assert_str_eq(trial_verdict(&t, "x@else.test"), UNLISTED);
		/* A cheap one behind them; in front of it there is one octet too little. */
		trial_publish(&t, &cheap, 1);
		publish_many(&t, &(struct rule_header){"A", RULE_PRESENT, ""}, 2);
		ck_assert_str_eq(trial_verdict(&t, "x@fourth.test"),
				 "deliver: rule cheap overrides the whitelist");
		publish_many(&t, &conditions[i], 64);
		ck_assert_str_eq(trial_verdict(&t, "x@fourth.test"),
				 "deliver: rule cheap overrides the whitelist");
		publish_many(&t, &conditions[i], 65);
		ck_assert_str_eq(trial_verdict(&t, "x@fourth.test"), UNLISTED);
	}
	trial_end(&t);
}
END_TEST

/* What did not fit has used up the rest: what lies behind is not known, however cheap. */
START_TEST(what_is_used_up_stays_so)
{
	static struct rule rows[18];
	struct rule_header big[] = {{"B", RULE_GLOB, "*"}};
	struct buf text;
	struct trial t;

	trial_begin(&t);
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
	trial_publish(&t, rows, 18);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
			 "deliver: rule n17 overrides the whitelist");
	rows[16].headers = (const struct rule_header[]){{"B", RULE_GLOB, "*b"}};
	trial_publish(&t, rows, 18);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"), UNLISTED);
	buf_release(&text);
	trial_end(&t);
}
END_TEST

/* As many names asked for as can be, none of them there: chains are short, so all of it is known.
 */
START_TEST(many_names_are_found_without_looking_at_all)
{
	struct rule *rows;
	struct buf text;
	struct trial t;

	trial_begin(&t);
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
	trial_publish(&t, rows, RULE_ROWS_MAX);
	ck_assert_str_eq(trial_verdict(&t, "x@else.test"),
			 "deliver: rule n999 overrides the whitelist");
	buf_release(&text);
	trial_end(&t);
}
END_TEST

UNIT_MAIN("filter/rule_match", each_condition, what_is_not_known_never_leaves_because_of_that,
	  what_is_known_lets_it_leave, what_a_rule_is_not_about_does_not_matter,
	  what_a_dry_run_does_not_say_is_not_known,
	  a_word_in_a_charset_that_nobody_knows_is_not_known, values_that_can_be_read_in_two_ways,
	  a_header_over_the_limits_is_not_known, the_work_is_bounded,
	  the_last_octet_is_known_and_none_behind_it, what_is_used_up_stays_so,
	  many_names_are_found_without_looking_at_all)
