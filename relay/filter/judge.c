/* relay/filter/judge.c - the one judgement of a recipient: list, then policy */
#include "relay/filter/judge.h"

void judge_address(const struct judge_case *at, const struct address *address,
		   struct verdict *verdict_out)
{
	verdict_explain(at->list, address, at->scope, at->now, verdict_out);
	if (at->policy != NULL)
		policy_apply(at->policy, verdict_out);
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
	};
}

enum state judge_state(const struct verdict *verdict)
{
	if (verdict->kind == VERDICT_DELIVER)
		return STATE_QUEUED;
	return verdict->kind == VERDICT_HOLD ? STATE_HELD : STATE_DROPPED;
}
