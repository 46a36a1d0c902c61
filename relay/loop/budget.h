/* relay/loop/budget.h - a ceiling on the memory that all sessions hold together */
#ifndef STAGEPOST_RELAY_LOOP_BUDGET_H
#define STAGEPOST_RELAY_LOOP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Counters only, any thread. Owners ask budget_lets() before they read on, and poll while it says
 * no. What a waiting owner holds is given back at its message's end only: would all of them wait,
 * none would ever come to it. So one at a time is favoured and goes on over the limit.
 */
struct budget {
	_Atomic int64_t used;
	_Atomic int64_t limit;
	_Atomic uintptr_t favoured; /* an owner, or 0 */
	_Atomic int64_t favoured_until_ms;
	int64_t favour_ms; /* how long one turn is: a second. Set before others look on */
};

void budget_init(struct budget *budget, int64_t limit);
void budget_set_limit(struct budget *budget, int64_t limit);
/* Positive: took; negative: gave back. */
void budget_count(struct budget *budget, int64_t bytes);
bool budget_is_over(const struct budget *budget);
/*
 * May this owner (any address that is its own) go on now? Over the limit only who is favoured,
 * for favour_ms; then whoever asks next. There is no line to stand in: one who has waited long may
 * be passed by, so owners limit how long they ask.
 */
bool budget_lets(struct budget *budget, const void *owner);
/* The owner wants nothing more; nothing happens to one that was never let. */
void budget_leave(struct budget *budget, const void *owner);

#endif
