/* tests relay/filter/rule.c: what a rule may say (issue 5, item 5) */
#include "relay/filter/rule.h"

#include <assert.h>
#include <stdio.h>

#include "relay/filter/judge.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/filter/trial.h"
#include "tests/unit/unit.h"

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
		struct rule rule = rule_filled(&rows[i].rule);
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

UNIT_MAIN("filter/rule", mistakes_are_told_by_member, names, a_stored_sender_is_read_back)
