/* relay/filter/judge.c - the one judgement of a recipient: list, then rules, then policy */
#include "relay/filter/judge.h"

static bool parse(const char *text, struct address *address_out)
{
	struct err ignored;

	return text != NULL && address_parse(span_of(text), address_out, &ignored) == ERR_OK;
}

static void explain(const struct judge_case *at, const struct address *address,
		    struct verdict *verdict_out)
{
	if (at->sees_scopes || at->scope.len == 0)
		verdict_explain(at->list, address, at->scope, at->now, verdict_out);
	else
		verdict_explain_within(at->list, address, at->scope, at->now, verdict_out);
}

/* A redirect needs somebody else. */
static bool has_target(const struct verdict *verdict, const struct address *address)
{
	struct address target;

	return parse(verdict->redirect_to, &target) && !address_equal(&target, address);
}

void judge_address(const struct judge_case *at, const struct address *address,
		   struct verdict *verdict_out)
{
	struct verdict verdict;

	explain(at, address, verdict_out);
	if (at->rules != NULL && rule_decide(at->rules, address, at->released, verdict_out))
		return;
	if (at->policy == NULL)
		return;
	if (at->permitted && at->policy->hook_overrides && verdict_is_unlisted(verdict_out)) {
		verdict_out->kind = VERDICT_DELIVER;
		verdict_out->reason = REASON_HOOK;
		return;
	}
	verdict = *verdict_out;
	policy_apply(at->policy, &verdict);
	if ((verdict.kind == VERDICT_REJECT && at->accepted) ||
	    (verdict.kind == VERDICT_REDIRECT && !has_target(&verdict, address)))
		return;
	*verdict_out = verdict;
}

bool judge_target(const struct judge_case *at, const char *redirect_to, struct address *target_out,
		  struct verdict *verdict_out)
{
	if (!parse(redirect_to, target_out))
		return false;
	explain(at, target_out, verdict_out);
	if (at->rules != NULL && rule_decide(at->rules, target_out, false, verdict_out) &&
	    verdict_out->kind == VERDICT_REDIRECT)
		verdict_out->kind = VERDICT_DROP;
	return true;
}

struct ruling judge_ruling(const struct verdict *verdict, struct arena *arena)
{
	char sentence[2 * ADDRESS_TEXT_SIZE];

	verdict_sentence(verdict, sentence, sizeof(sentence));
	return (struct ruling){
		.verdict = verdict_kind_name(verdict->kind),
		.reason = arena_strdup(arena, sentence),
		.entry = verdict->entry,
		.revision = verdict->revision,
		.nearest = verdict->nearest[0] != '\0' ? arena_strdup(arena, verdict->nearest)
						       : NULL,
		.redirect_to = arena_strdup(arena, verdict->redirect_to),
		.rule = arena_strdup(arena, verdict->rule),
	};
}

enum state judge_state(const struct verdict *verdict)
{
	switch (verdict->kind) {
	case VERDICT_DELIVER: return STATE_QUEUED;
	case VERDICT_HOLD: return STATE_HELD;
	case VERDICT_REDIRECT: return STATE_REDIRECTED;
	case VERDICT_DROP:
	case VERDICT_REJECT: break;
	}
	return STATE_DROPPED;
}

struct new_recipient judge_recipient(const struct address *address, const struct verdict *verdict,
				     struct arena *arena)
{
	char text[ADDRESS_TEXT_SIZE];

	address_format(address, text);
	return (struct new_recipient){.address = arena_strdup(arena, text),
				      .state = judge_state(verdict),
				      .ruling = judge_ruling(verdict, arena)};
}

bool judge_redirect(const struct judge_case *at, const char *redirect_to, struct arena *arena,
		    struct new_recipient *out)
{
	struct address target;
	struct verdict verdict;

	if (!judge_target(at, redirect_to, &target, &verdict))
		return false;
	*out = judge_recipient(&target, &verdict, arena);
	out->notify = "NEVER";
	out->origin = "redirect";
	return true;
}
