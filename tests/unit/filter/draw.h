/* tests/unit/filter/draw.h - random numbers that are the same ones in every run */
#ifndef STAGEPOST_TESTS_UNIT_FILTER_DRAW_H
#define STAGEPOST_TESTS_UNIT_FILTER_DRAW_H

#include <stdint.h>

static uint64_t draw_state = 88172645463325252u; /* fixed: a failure can be repeated */

static inline uint32_t draw(uint32_t below)
{
	draw_state ^= draw_state << 13;
	draw_state ^= draw_state >> 7;
	draw_state ^= draw_state << 17;
	return (uint32_t)(draw_state >> 33) % below;
}

#endif
