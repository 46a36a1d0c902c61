/* relay/loop/budget.c - a ceiling on the memory that all sessions hold together */
#include "relay/loop/budget.h"

#include <stdatomic.h>

/* Relaxed: it is a measure, nothing is published by it. */

void budget_init(struct budget *budget, int64_t limit)
{
	atomic_init(&budget->used, 0);
	atomic_init(&budget->limit, limit);
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
