/* relay/deliver/job_rules.c - what the rules in force say of a message on its way */
#include "relay/deliver/job_rules.h"

#include "base/mem.h"

/* What a stored message says of itself, but for its header. `sender` is filled. */
static struct rule_facts facts_of(const struct claimed_message *message, struct address *sender)
{
	return (struct rule_facts){.sender = rule_sender(message->sender, sender),
				   .client = message->client_address,
				   .user = message->user,
				   .listener = message->listener,
				   .scope = message->scope,
				   .size = message->size};
}

/* The number first: whatever is read afterwards is at least as new. */
static const struct edition *in_force(struct rules *rules, uint64_t *number_out)
{
	const struct edition *edition;

	*number_out = rules != NULL ? rules_number(rules) : 0;
	if (rules == NULL || !rules_are_on(rules))
		return NULL;
	edition = rules_acquire(rules);
	*number_out = edition->number;
	return edition;
}

void job_rules_prepare(struct job_rules *job_rules, struct rules *rules,
		       const struct claimed_message *message, struct span section)
{
	struct address sender;
	struct rule_facts facts = facts_of(message, &sender);

	job_rules_release(job_rules);
	job_rules->edition = in_force(rules, &job_rules->number);
	if (job_rules->edition == NULL)
		return;
	facts.header_known = message->header_parsed;
	facts.section = section;
	job_rules->arena = arena_new();
	job_rules->matches = rule_match(job_rules->edition, &facts, job_rules->arena);
}

void job_rules_release(struct job_rules *job_rules)
{
	if (job_rules->edition != NULL)
		published_release(&job_rules->edition);
	arena_free(&job_rules->arena);
	*job_rules = (struct job_rules){.number = 0};
}

bool job_rules_hold(const struct job_rules *job_rules, struct rules *rules)
{
	return rules == NULL || rules_number(rules) == job_rules->number;
}

struct policy_options job_rules_policy(struct job_rules *job_rules,
				       const struct policy_options *policy)
{
	return job_rules->matches == NULL
		       ? *policy
		       : rule_policy(job_rules->matches, policy, job_rules->arena);
}

bool job_rules_may_allow(struct rules *rules, const struct claimed_message *message,
			 const struct address *recipient)
{
	struct address sender;
	struct rule_facts facts = facts_of(message, &sender);

	return rules_may_allow(rules, &facts, recipient);
}
