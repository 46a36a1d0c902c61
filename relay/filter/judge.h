/* relay/filter/judge.h - the one judgement of a recipient, for every way in and out (DESIGN P1) */
#ifndef STAGEPOST_RELAY_FILTER_JUDGE_H
#define STAGEPOST_RELAY_FILTER_JUDGE_H

#include <stdint.h>

#include "base/mem.h"
#include "base/span.h"
#include "queue/message.h"
#include "queue/state.h"
#include "relay/filter/policy.h"
#include "relay/filter/rule_match.h"
#include "relay/filter/whitelist.h"

/*
 * Acceptance, reports, release, delivery, the dry run and redirects all ask
 * here, so that none of them can be kinder than another. Pure: everything that
 * decides is in the case. Any thread.
 */
struct judge_case {
	const struct whitelist_snapshot *list;
	const struct policy_options *policy; /* NULL: the list's word, without policy.default */
	struct span scope;
	int64_t now;   /* clock_steady_wall_ms() */
	bool accepted; /* too late to refuse: what would be rejected is dropped */
	/* the hook has allowed what no entry names: it counts while policy.hook_overrides says so
	 */
	bool permitted;
	const struct rule_matches *rules; /* of the message; NULL: there are no rules */
	bool released; /* a person let it go: rules that hold have been answered */
	/*
	 * Who is told may see all scopes. What is kept of a message of some scope is read by
	 * who is limited to it, and names no entry of another.
	 */
	bool sees_scopes;
};

/*
 * List, rules, policy. With the nearest miss where it is not allowed, as
 * verdict_explain. Nobody is redirected to himself: a target that is not allowed is dropped.
 * verdict.redirect_to lives as long as the policy and the rules.
 */
void judge_address(const struct judge_case *at, const struct address *address,
		   struct verdict *verdict_out);
/*
 * Who would stand for what is redirected to `redirect_to`: by the word of the
 * list, in the message's scope, deliver or drop. False: the text is no address.
 */
bool judge_target(const struct judge_case *at, const char *redirect_to, struct address *target_out,
		  struct verdict *verdict_out);

/* As it is kept beside the recipient; strings in `arena`. */
struct ruling judge_ruling(const struct verdict *verdict, struct arena *arena);
/* The state a recipient begins in. What is not clearly allowed does not leave. */
enum state judge_state(const struct verdict *verdict);
/* The recipient as it is stored: its address printed again, its state, its ruling. */
struct new_recipient judge_recipient(const struct address *address, const struct verdict *verdict,
				     struct arena *arena);
/*
 * The recipient that stands for those that are redirected to `redirect_to`,
 * judged by judge_target: queued, or dropped with the reason. The sender never
 * named it, so nothing is reported of it. False as there.
 */
bool judge_redirect(const struct judge_case *at, const char *redirect_to, struct arena *arena,
		    struct new_recipient *out);

#endif
