/* tests/fuzz/fuzz.h - what every target includes */
#ifndef STAGEPOST_TESTS_FUZZ_FUZZ_H
#define STAGEPOST_TESTS_FUZZ_FUZZ_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* The target. libFuzzer calls it, or replay.c does with every seed; properties are asserted. */
__attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `part` is empty or lies within `whole`. */
static inline bool fuzz_is_inside(struct span part, struct span whole)
{
	return part.len == 0 || (part.data >= whole.data && part.len <= whole.len &&
				 (size_t)(part.data - whole.data) <= whole.len - part.len);
}

#endif
