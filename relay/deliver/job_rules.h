/* relay/deliver/job_rules.h - what the rules in force say of a message on its way */
#ifndef STAGEPOST_RELAY_DELIVER_JOB_RULES_H
#define STAGEPOST_RELAY_DELIVER_JOB_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/delivery.h"
#include "relay/filter/policy.h"
#include "relay/filter/rule_match.h"

/*
 * Worked out by the worker, who reads the header, before it says MAIL; the
 * wire guard asks it while the edition is still in force. In a job, which
 * keeps it until its outcomes are stored: rulings borrow from it.
 */
struct job_rules {
	uint64_t number;	       /* of the edition it is from */
	const struct edition *edition; /* held; NULL: no rule was enabled */
	const struct rule_matches *matches;
	struct arena *arena; /* of the matches */
};

/* `rules` may be NULL: there are none. `section` is the header as stored. */
void job_rules_prepare(struct job_rules *job_rules, struct rules *rules,
		       const struct claimed_message *message, struct span section);
void job_rules_release(struct job_rules *job_rules);
/* Any thread. What they said is what they say now. */
bool job_rules_hold(const struct job_rules *job_rules, struct rules *rules);
/*
 * The policy for the copy that leaves: with the tags of the rules behind that of `policy`, as
 * far as there is room for them (SUBJECT_TAG_MAX).
 */
struct policy_options job_rules_policy(struct job_rules *job_rules,
				       const struct policy_options *policy);

/*
 * Before the header is read: a rule that overrides the whitelist may let the
 * recipient have the message.
 */
bool job_rules_may_allow(struct rules *rules, const struct claimed_message *message,
			 const struct address *recipient);

#endif
