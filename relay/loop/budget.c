/* relay/loop/budget.c - a ceiling on the memory that all sessions hold together */
#include "relay/loop/budget.h"

#include <stdatomic.h>

#include "base/clock.h"

#define FAVOUR_MS 1000

/*
 * Relaxed: it is a measure, nothing is published by it. Who sees the favoured one's name beside
 * another's time lets one piece too many or too few through, no more.
 */

void budget_init(struct budget *budget, int64_t limit)
{
	atomic_init(&budget->used, 0);
	atomic_init(&budget->limit, limit);
	atomic_init(&budget->favoured, 0);
	atomic_init(&budget->favoured_until_ms, 0);
	budget->favour_ms = FAVOUR_MS;
}

void budget_set_limit(struct budget *budget, int64_t limit)
{
	atomic_store_explicit(&budget->limit, limit, memory_order_relaxed);
}

void budget_count(struct budget *budget, int64_t bytes)
{
	atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed);
}

bool budget_is_over(const struct budget *budget)
{
	return atomic_load_explicit(&budget->used, memory_order_relaxed) >
	       atomic_load_explicit(&budget->limit, memory_order_relaxed);
}

void budget_leave(struct budget *budget, const void *owner)
{
	uintptr_t leaving = (uintptr_t)owner;

	(void)atomic_compare_exchange_strong_explicit(&budget->favoured, &leaving, 0,
						      memory_order_relaxed, memory_order_relaxed);
}

bool budget_lets(struct budget *budget, const void *owner)
{
	uintptr_t asking = (uintptr_t)owner;
	uintptr_t favoured;
	int64_t now;

	if (!budget_is_over(budget))
		return true;
	favoured = atomic_load_explicit(&budget->favoured, memory_order_relaxed);
	now = clock_mono_ms();
	if (favoured != 0 &&
	    now < atomic_load_explicit(&budget->favoured_until_ms, memory_order_relaxed))
		return favoured == asking;
	if (favoured == asking) {
		/* Whoever asks next is as good: it may be the same one. */
		budget_leave(budget, owner);
		return false;
	}
	/* Two who meet here may both set the time, only one the name. */
	atomic_store_explicit(&budget->favoured_until_ms, now + budget->favour_ms,
			      memory_order_relaxed);
	return atomic_compare_exchange_strong_explicit(&budget->favoured, &favoured, asking,
						       memory_order_relaxed, memory_order_relaxed);
}
