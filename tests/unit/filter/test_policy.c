/* tests relay/filter/policy.c (CASES S173) */
#include "relay/filter/judge.h"
#include "relay/filter/policy.h"

#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

START_TEST(default_verdict)
{
	static const struct {
		enum verdict_kind policy;
		const char *redirect_to;
		enum verdict_reason reason;
		enum verdict_kind want;
		enum verdict_reason want_reason;
	} rows[] = {
		{VERDICT_DROP, "", REASON_NOT_LISTED, VERDICT_DROP, REASON_NOT_LISTED},
		{VERDICT_HOLD, "", REASON_NOT_LISTED, VERDICT_HOLD, REASON_POLICY},
		{VERDICT_HOLD, "", REASON_EMPTY_LIST, VERDICT_HOLD, REASON_POLICY},
		{VERDICT_REJECT, "", REASON_EXPIRED, VERDICT_REJECT, REASON_POLICY},
		{VERDICT_REJECT, "", REASON_UNSAFE_FORM, VERDICT_DROP, REASON_UNSAFE_FORM},
		{VERDICT_HOLD, "", REASON_DENIED, VERDICT_DROP, REASON_DENIED},
		{VERDICT_REDIRECT, "qa@x.test", REASON_NOT_LISTED, VERDICT_REDIRECT, REASON_POLICY},
		{VERDICT_REDIRECT, "", REASON_NOT_LISTED, VERDICT_DROP, REASON_NOT_LISTED},
		{VERDICT_REDIRECT, NULL, REASON_NOT_LISTED, VERDICT_DROP, REASON_NOT_LISTED},
		{VERDICT_DELIVER, "", REASON_NOT_LISTED, VERDICT_DROP, REASON_NOT_LISTED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_options options = {.default_verdict = rows[i].policy,
						 .redirect_to = rows[i].redirect_to};
		struct verdict verdict = {.kind = VERDICT_DROP, .reason = rows[i].reason};

		policy_apply(&options, &verdict);
		ck_assert_msg(verdict.kind == rows[i].want, "row %zu", i);
		ck_assert_msg(verdict.reason == rows[i].want_reason, "row %zu", i);
	}
}
END_TEST

START_TEST(an_allowed_one_is_left_alone)
{
	struct policy_options options = {.default_verdict = VERDICT_HOLD};
	struct verdict verdict = {.kind = VERDICT_DELIVER, .reason = REASON_ALLOWED};

	policy_apply(&options, &verdict);
	ck_assert_int_eq(verdict.kind, VERDICT_DELIVER);
}
END_TEST

START_TEST(sender)
{
	static const struct {
		const char *sender; /* a path */
		const char *bounce_to;
		const char *want;
		bool replaced;
	} rows[] = {
		{"<>", "bounces@ok.test", "", false},
		{"<user@ok.test>", "bounces@ok.test", "user@ok.test", false},
		{"<User@OK.test>", "", "User@OK.test", false},
		{"<app@senders.test>", "", "app@senders.test", false}, /* delivery.senders */
		{"<app@second.test>", "", "app@second.test", false},
		{"<app@behind.test>", "", "", true}, /* stands behind them, and is none */
		{"<customer@evil.example>", "bounces@ok.test", "bounces@ok.test", true},
		{"<customer@evil.example>", "app@senders.test", "app@senders.test", true},
		{"<customer@evil.example>", "", "", true},
		{"<customer@evil.example>", NULL, "", true},
		{"<customer@evil.example>", "bounces@not.test", "", true},
		{"<customer@evil.example>", "not an address", "", true},
		{"<no@ok.test>", "", "", true},	     /* denied by the list */
		{"<no@senders.test>", "", "", true}, /* deny wins over delivery.senders */
		{"<a%b@senders.test>", "", "", true},
		{"<\"a b\"@ok.test>", "", "", true},
		{"<user@[127.0.0.1]>", "", "", true},
	};
	struct whitelist *list =
		list_of((const struct list_row[]){{"ok.test", .id = 1},
						  {"no@ok.test", .id = 2, .deny = true},
						  {"no@senders.test", .id = 3, .deny = true},
						  {NULL}});
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct pattern senders[3];
	struct err why;

	ck_assert_int_eq(pattern_parse(span_of("senders.test"), &senders[0], &why), ERR_OK);
	ck_assert_int_eq(pattern_parse(span_of("second.test"), &senders[1], &why), ERR_OK);
	ck_assert_int_eq(pattern_parse(span_of("behind.test"), &senders[2], &why), ERR_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_options options = {
			.senders = senders, .sender_count = 2, .bounce_to = rows[i].bounce_to};
		struct address from;
		struct address out;
		char text[ADDRESS_TEXT_SIZE];
		bool replaced = !rows[i].replaced;

		ck_assert_int_eq(address_parse_path(span_of(rows[i].sender), ADDRESS_REVERSE_PATH,
						    &from, &why),
				 ERR_OK);
		policy_sender(&options, snapshot, &from, span_of(""), 1000, &out, &replaced);
		address_format(&out, text);
		ck_assert_str_eq(text, rows[i].want);
		ck_assert_msg(replaced == rows[i].replaced, "row %zu", i);
		ck_assert((out.form == ADDRESS_NULL) == (text[0] == '\0'));
	}
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* policy.hook: who is asked about, and what it may turn round; nothing else is. */
START_TEST(the_hook)
{
	static const struct {
		enum verdict_kind kind;
		enum verdict_reason reason;
		bool unlisted;
	} rows[] = {
		{VERDICT_DELIVER, REASON_ALLOWED, false},
		{VERDICT_DELIVER, REASON_HOOK, false},
		{VERDICT_DELIVER, REASON_NOT_LISTED, false},
		{VERDICT_DROP, REASON_NOT_LISTED, true},
		{VERDICT_DROP, REASON_EMPTY_LIST, true},
		{VERDICT_DROP, REASON_EXPIRED, true},
		{VERDICT_HOLD, REASON_POLICY, true},
		{VERDICT_DROP, REASON_DENIED, false},
		{VERDICT_DROP, REASON_UNSAFE_FORM, false},
		{VERDICT_DROP, REASON_RESERVED, false},
		{VERDICT_HOLD, REASON_RULE, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct verdict verdict = {.kind = rows[i].kind, .reason = rows[i].reason};
		bool leaves = rows[i].kind == VERDICT_DELIVER;
		struct policy_options off = {.hook_overrides = true};
		struct policy_options narrow = {.screening = true, .default_verdict = VERDICT_HOLD};
		struct policy_options wide = {
			.screening = true, .hook_overrides = true, .default_verdict = VERDICT_HOLD};

		ck_assert_msg(verdict_is_unlisted(&verdict) == rows[i].unlisted, "row %zu", i);
		ck_assert(!policy_screens(NULL, &verdict) && !policy_screens(&off, &verdict));
		ck_assert_int_eq(policy_screens(&narrow, &verdict), leaves);
		ck_assert_int_eq(policy_screens(&wide, &verdict), leaves || rows[i].unlisted);
		/* The hook's word comes first where it may override, else policy.default does. */
		policy_apply(&wide, &verdict);
		ck_assert_int_eq(verdict.kind, rows[i].kind);
		policy_apply(&narrow, &verdict);
		ck_assert_int_eq(verdict.kind, rows[i].unlisted ? VERDICT_HOLD : rows[i].kind);
	}
}
END_TEST

/* What it permits is looked at once more: only what no entry names, and while it may override. */
START_TEST(what_the_hook_permits)
{
	static const struct {
		const char *address;
		bool permitted, overrides, leaves;
	} rows[] = {
		{"a@ok.test", false, false, true}, {"a@x.test", false, true, false},
		{"a@x.test", true, false, false},  {"a@x.test", true, true, true},
		{"no@ok.test", true, true, false}, {"\"a\"@x.test", true, true, false},
		{"a@ok.test", true, true, true},
	};
	struct whitelist *list = list_of((const struct list_row[]){
		{"ok.test", .id = 1}, {"no@ok.test", .id = 2, .deny = true}, {NULL}});

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_options policy = {.screening = true,
						.hook_overrides = rows[i].overrides};
		struct judge_case at = {.list = whitelist_acquire(list),
					.policy = &policy,
					.permitted = rows[i].permitted};
		struct address address;
		struct verdict verdict;

		ck_assert_int_eq(address_parse(span_of(rows[i].address), &address, NULL), ERR_OK);
		judge_address(&at, &address, &verdict);
		ck_assert_msg((verdict.kind == VERDICT_DELIVER) == rows[i].leaves, "row %zu", i);
		whitelist_release(&at.list);
	}
	whitelist_free(&list);
}
END_TEST

UNIT_MAIN("filter/policy", the_hook, what_the_hook_permits, default_verdict,
	  an_allowed_one_is_left_alone, sender)
