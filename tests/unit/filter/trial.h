/* tests/unit/filter/trial.h - rules on trial: a list, a message, and what is said of a recipient */
#ifndef STAGEPOST_TESTS_UNIT_FILTER_TRIAL_H
#define STAGEPOST_TESTS_UNIT_FILTER_TRIAL_H

#include "relay/filter/judge.h"
#include "relay/filter/rule_match.h"

#define HEADERS(...)                                                                               \
	.headers = (const struct rule_header[]){__VA_ARGS__},                                      \
	.header_count =                                                                            \
		sizeof((const struct rule_header[]){__VA_ARGS__}) / sizeof(struct rule_header)

/* example.com is allowed but for no@; the message is the one above. */
struct trial {
	struct whitelist *list;
	const struct whitelist_snapshot *snapshot;
	struct rules *rules;
	struct arena *arena;
	struct address sender;
	struct rule_facts facts;
	struct policy_options policy;
	bool released;
};

void trial_begin(struct trial *t);
void trial_end(struct trial *t);
/* All of them switched on; what is left out is as usual. */
void trial_publish(struct trial *t, const struct rule *given, size_t count);
/* "deliver: allowed by example.com". */
const char *trial_verdict(struct trial *t, const char *recipient);
/* What is left out is as usual. */
struct rule rule_filled(const struct rule *given);
/* How often the rule at this place has matched. */
uint64_t trial_matches(struct rules *rules, size_t index);
/* Processor time of this thread. */
int64_t trial_thread_us(void);

#define ALLOWED	 "deliver: allowed by example.com"
#define BY_RULE	 "drop: rule r"
#define UNLISTED "drop: no entry allows it"

#endif
