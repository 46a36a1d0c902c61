/*
 * tests/flow/doctored.c - parts of the relay that say yes to everything, put in the place of the
 * real ones by the linker (--wrap): the self-test must notice. STAGEPOST_DOCTORED names the part.
 */
#include <stdlib.h>
#include <string.h>

#include "relay/deliver/job.h"
#include "relay/filter/judge.h"
#include "relay/filter/rule_match.h"

bool __real_job_judge_again(const struct judge_case *at, struct job_recipient *recipient);
bool __wrap_job_judge_again(const struct judge_case *at, struct job_recipient *recipient);
bool __real_job_judge(const struct judge_case *at, const struct claimed_recipient *claimed,
		      struct job_recipient *out);
bool __wrap_job_judge(const struct judge_case *at, const struct claimed_recipient *claimed,
		      struct job_recipient *out);
void __real_judge_address(const struct judge_case *at, const struct address *address,
			  struct verdict *verdict_out);
void __wrap_judge_address(const struct judge_case *at, const struct address *address,
			  struct verdict *verdict_out);
bool __real_rule_decide(const struct rule_matches *matches, const struct address *recipient,
			bool released, struct verdict *verdict);
bool __wrap_rule_decide(const struct rule_matches *matches, const struct address *recipient,
			bool released, struct verdict *verdict);

static bool is_doctored(const char *part)
{
	const char *parts = getenv("STAGEPOST_DOCTORED");

	return parts != NULL && strstr(parts, part) != NULL;
}

bool __wrap_job_judge_again(const struct judge_case *at, struct job_recipient *recipient)
{
	return is_doctored("guard") || __real_job_judge_again(at, recipient);
}

bool __wrap_job_judge(const struct judge_case *at, const struct claimed_recipient *claimed,
		      struct job_recipient *out)
{
	return __real_job_judge(at, claimed, out) || is_doctored("attempt");
}

void __wrap_judge_address(const struct judge_case *at, const struct address *address,
			  struct verdict *verdict_out)
{
	__real_judge_address(at, address, verdict_out);
	if (is_doctored("acceptance"))
		verdict_out->kind = VERDICT_DELIVER;
}

/* As if a rule could override what no entry could allow. */
bool __wrap_rule_decide(const struct rule_matches *matches, const struct address *recipient,
			bool released, struct verdict *verdict)
{
	if (is_doctored("rules") && verdict->reason == REASON_RESERVED)
		verdict->reason = REASON_NOT_LISTED;
	return __real_rule_decide(matches, recipient, released, verdict);
}
