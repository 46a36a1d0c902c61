/* base/histogram.h - how long things took: counted by size class, for charts */
#ifndef STAGEPOST_BASE_HISTOGRAM_H
#define STAGEPOST_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 15

/* Rising; a value belongs to the first bound that it does not exceed, or behind the last. */
struct histogram_scale {
	int64_t bounds_us[HISTOGRAM_BOUNDS];
};

/*
 * A quarter of a millisecond to ten seconds, some two steps to each doubling or tripling: a sync
 * of a good disk is under the first, 50 ms is what an answer of the API may take, and after a
 * second the relay calls itself behind.
 */
extern const struct histogram_scale histogram_prompt;
/*
 * Ten milliseconds to two days: what an attempt takes, then the steps of
 * delivery.schedule and delivery.expire_after as they are unless somebody sets them.
 */
extern const struct histogram_scale histogram_patient;

/*
 * Any thread adds and any thread reads: two relaxed additions, no lock. Embedded; zeroed is
 * empty. Who reads needs the scale that was added with.
 */
struct histogram {
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1];
	_Atomic uint64_t sum_us;
};

/* Copied at one moment, but for values that are added meanwhile. */
struct histogram_view {
	uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* each value in one of them */
	uint64_t sum_us;
};

/* Below 0, which a clock that is set makes possible, counts as 0. */
void histogram_add(struct histogram *histogram, const struct histogram_scale *scale,
		   int64_t value_us);
void histogram_read(const struct histogram *histogram, struct histogram_view *view_out);
void histogram_reset(struct histogram *histogram);
/* The same as histogram_add, where one thread has the numbers to itself. */
void histogram_view_add(struct histogram_view *view, const struct histogram_scale *scale,
			int64_t value_us);

#endif
