/* relay/loop/budget.h - a ceiling on the memory that all sessions hold together */
#ifndef STAGEPOST_RELAY_LOOP_BUDGET_H
#define STAGEPOST_RELAY_LOOP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* Counters only, any thread. Owners ask budget_is_over() before they read on, and poll while it is.
 */
struct budget {
	_Atomic int64_t used;
	_Atomic int64_t limit;
};

void budget_init(struct budget *budget, int64_t limit);
void budget_set_limit(struct budget *budget, int64_t limit);
/* Positive: took; negative: gave back. */
void budget_count(struct budget *budget, int64_t bytes);
bool budget_is_over(const struct budget *budget);

#endif
