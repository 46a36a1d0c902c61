/* tests relay/filter/judge.c: list, policy.default and who stands for those that are redirected */
#include "relay/filter/judge.h"

#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define NOW 1800000000000

static const struct list_row rows[] = {
	{"ok.test", 1, false, NULL, 0},		{"qa@team.test", 2, false, "shop", 0},
	{"no@ok.test", 3, true, NULL, 0},	{"late@x.test", 4, false, NULL, NOW - 1},
	{"*@redirect.test", 5, false, NULL, 0}, {NULL, 0, false, NULL, 0},
};

struct row {
	const char *address;
	enum verdict_kind policy;
	bool accepted;
	enum verdict_kind want;
	enum state state;
};

static const struct row judgements[] = {
	{"a@ok.test", VERDICT_REJECT, false, VERDICT_DELIVER, STATE_QUEUED},
	{"a@x.test", VERDICT_DROP, false, VERDICT_DROP, STATE_DROPPED},
	{"a@x.test", VERDICT_HOLD, false, VERDICT_HOLD, STATE_HELD},
	{"a@x.test", VERDICT_HOLD, true, VERDICT_HOLD, STATE_HELD},
	{"a@x.test", VERDICT_REDIRECT, true, VERDICT_REDIRECT, STATE_REDIRECTED},
	{"late@x.test", VERDICT_REDIRECT, false, VERDICT_REDIRECT, STATE_REDIRECTED},
	/* Refused only where somebody can still be told. */
	{"a@x.test", VERDICT_REJECT, false, VERDICT_REJECT, STATE_DROPPED},
	{"a@x.test", VERDICT_REJECT, true, VERDICT_DROP, STATE_DROPPED},
	/* Denied and unsafe: not for anybody else either. */
	{"no@ok.test", VERDICT_REDIRECT, false, VERDICT_DROP, STATE_DROPPED},
	{"no@ok.test", VERDICT_HOLD, false, VERDICT_DROP, STATE_DROPPED},
	{"\"a\"@ok.test", VERDICT_REDIRECT, false, VERDICT_DROP, STATE_DROPPED},
	/* Nobody is redirected to himself. */
	{"qa@team.test", VERDICT_REDIRECT, false, VERDICT_DROP, STATE_DROPPED},
	{"qa@TEAM.test", VERDICT_REDIRECT, true, VERDICT_DROP, STATE_DROPPED},
	{"Qa@team.test", VERDICT_REDIRECT, false, VERDICT_REDIRECT, STATE_REDIRECTED},
};

static struct address address_of(const char *text)
{
	struct address address;
	struct err why;

	ck_assert_msg(address_parse(span_of(text), &address, &why) == ERR_OK, "%s", why.text);
	return address;
}

START_TEST(list_then_policy)
{
	struct whitelist *list = list_of(rows);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

	for (size_t i = 0; i < sizeof(judgements) / sizeof(judgements[0]); i++) {
		const struct row *row = &judgements[i];
		struct policy_options policy = {.default_verdict = row->policy,
						.redirect_to = "qa@team.test"};
		struct judge_case at = {.list = snapshot,
					.policy = &policy,
					.scope = span_of(""),
					.now = NOW,
					.accepted = row->accepted};
		struct address address = address_of(row->address);
		struct verdict verdict;

		judge_address(&at, &address, &verdict);
		ck_assert_msg(verdict.kind == row->want, "row %zu: %s", i,
			      verdict_kind_name(verdict.kind));
		ck_assert_int_eq(judge_state(&verdict), row->state);
		ck_assert_int_eq(verdict.redirect_to != NULL, row->want == VERDICT_REDIRECT);
		/* Without a policy: the list's own word. */
		at.policy = NULL;
		judge_address(&at, &address, &verdict);
		ck_assert_int_eq(verdict.kind == VERDICT_DELIVER, row->want == VERDICT_DELIVER);
		ck_assert_int_ne(verdict.reason, REASON_POLICY);
	}
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* A target that is broken, or nobody, leaves it at a drop. */
START_TEST(a_redirect_needs_an_address)
{
	static const char *const targets[] = {"", NULL, "nobody", "a@b@c.test", "<qa@team.test>"};
	struct whitelist *list = list_of(rows);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct address address = address_of("a@x.test");

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct policy_options policy = {.default_verdict = VERDICT_REDIRECT,
						.redirect_to = targets[i]};
		struct judge_case at = {
			.list = snapshot, .policy = &policy, .scope = span_of(""), .now = NOW};
		struct new_recipient ignored;
		struct arena *arena = arena_new();
		struct verdict verdict;

		judge_address(&at, &address, &verdict);
		ck_assert_msg(verdict.kind == VERDICT_DROP, "target %zu", i);
		ck_assert(!judge_redirect(&at, targets[i], arena, &ignored));
		arena_free(&arena);
	}
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* By the list, in the message's scope, and never by the policy that sent it there (T5, T7). */
START_TEST(the_target_is_judged_itself)
{
	struct whitelist *list = list_of(rows);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct policy_options policy = {.default_verdict = VERDICT_HOLD};
	struct judge_case at = {.list = snapshot, .policy = &policy, .now = NOW};
	struct arena *arena = arena_new();
	struct new_recipient target;

	at.scope = span_of("shop");
	ck_assert(judge_redirect(&at, "qa@team.test", arena, &target));
	ck_assert_str_eq(target.address, "qa@team.test");
	ck_assert_int_eq(target.state, STATE_QUEUED);
	ck_assert_str_eq(target.origin, "redirect");
	ck_assert_str_eq(target.notify, "NEVER");
	ck_assert_int_eq(target.ruling.entry, 2);
	at.scope = span_of("other");
	ck_assert(judge_redirect(&at, "qa@team.test", arena, &target));
	ck_assert_int_eq(target.state, STATE_DROPPED);
	ck_assert_str_eq(target.ruling.verdict, "drop");
	ck_assert_ptr_null(target.ruling.nearest); /* of another scope */
	ck_assert(judge_redirect(&at, "no@ok.test", arena, &target));
	ck_assert_int_eq(target.state, STATE_DROPPED);
	ck_assert(judge_redirect(&at, "\"a\"@redirect.test", arena, &target));
	ck_assert_int_eq(target.state, STATE_DROPPED);
	arena_free(&arena);
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* Only what no entry names, only where the configuration says so, and only what the hook allowed.
 */
START_TEST(a_hook_that_overrides)
{
	static const struct {
		const char *address;
		bool permitted;
		bool overrides;
		enum verdict_kind want;
		enum verdict_reason reason;
	} cases[] = {
		{"a@x.test", true, true, VERDICT_DELIVER, REASON_HOOK},
		{"a@x.test", false, true, VERDICT_HOLD, REASON_POLICY},
		{"a@x.test", true, false, VERDICT_HOLD, REASON_POLICY},
		{"a@ok.test", true, true, VERDICT_DELIVER, REASON_ALLOWED},
		{"no@ok.test", true, true, VERDICT_DROP, REASON_DENIED},
		{"\"a\"@x.test", true, true, VERDICT_DROP, REASON_UNSAFE_FORM},
	};
	struct whitelist *list = list_of(rows);
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_options policy = {.default_verdict = VERDICT_HOLD,
						.hook_overrides = cases[i].overrides};
		struct judge_case at = {.list = snapshot,
					.policy = &policy,
					.scope = span_of(""),
					.now = NOW,
					.permitted = cases[i].permitted};
		struct address address = address_of(cases[i].address);
		struct verdict verdict;

		judge_address(&at, &address, &verdict);
		ck_assert_msg(verdict.kind == cases[i].want, "case %zu: %s", i,
			      verdict_kind_name(verdict.kind));
		ck_assert_int_eq(verdict.reason, cases[i].reason);
	}
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

static enum verdict_kind target_under(enum rule_action action, const char *recipient,
				      const char *target, bool released)
{
	struct whitelist *list = list_of(rows);
	struct rules *rules = rules_new();
	struct arena *arena = arena_new();
	struct rule rule;
	const struct edition *edition;
	struct rule_facts facts = {.header_known = false};
	struct judge_case at = {.scope = span_of("shop"), .now = NOW, .released = released};
	struct address parsed;
	struct verdict verdict;

	rule_init(&rule);
	rule.name = "r";
	rule.action = action;
	rule.redirect_to = action == RULE_REDIRECT ? "a@ok.test" : "";
	rule.recipient = recipient;
	ck_assert_uint_eq(rules_publish(rules, PUBLISHED_FROM_STORE, &rule, 1), 0);
	edition = rules_acquire(rules);
	at.list = whitelist_acquire(list);
	at.rules = rule_match(edition, &facts, arena);
	ck_assert(judge_target(&at, target, &parsed, &verdict));
	whitelist_release(&at.list);
	published_release(&edition);
	rules_free(&rules);
	whitelist_free(&list);
	arena_free(&arena);
	return verdict.kind;
}

/* The target is a recipient too, but one redirect is all there is; nobody has let it go. */
START_TEST(the_target_is_judged_by_the_rules)
{
	ck_assert_int_eq(target_under(RULE_DELIVER, "", "qa@team.test", false), VERDICT_DELIVER);
	ck_assert_int_eq(target_under(RULE_DROP, "x.test", "qa@team.test", false), VERDICT_DELIVER);
	ck_assert_int_eq(target_under(RULE_DROP, "", "qa@team.test", false), VERDICT_DROP);
	ck_assert_int_eq(target_under(RULE_HOLD, "", "qa@team.test", false), VERDICT_HOLD);
	ck_assert_int_eq(target_under(RULE_HOLD, "", "qa@team.test", true), VERDICT_HOLD);
	ck_assert_int_eq(target_under(RULE_REDIRECT, "", "qa@team.test", false), VERDICT_DROP);
	ck_assert_int_eq(target_under(RULE_REDIRECT, "", "a@x.test", false), VERDICT_DROP);
}
END_TEST

UNIT_MAIN("filter/judge", list_then_policy, a_redirect_needs_an_address,
	  the_target_is_judged_itself, a_hook_that_overrides, the_target_is_judged_by_the_rules)
