/*
 * tests/flow/fail_alloc.c - memory that ends on demand: preloaded by test_no_memory.py
 *
 * While the number is above 0 each allocation of the process takes one off;
 * the one that reaches 0 fails.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tests/flow/preload.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static _Atomic long *countdown;

__attribute__((constructor)) static void begin(void)
{
	countdown = preload_number();
}

static bool is_to_fail(void)
{
	if (countdown == NULL || atomic_load_explicit(countdown, memory_order_relaxed) <= 0)
		return false;
	if (atomic_fetch_sub(countdown, 1) != 1)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return is_to_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return is_to_fail() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return is_to_fail() ? NULL : __libc_realloc(old, size);
}
