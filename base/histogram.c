/* base/histogram.c - how long things took: counted by size class, for charts */
#include "base/histogram.h"

#define MS 1000
#define S  ((int64_t)1000 * MS)

const struct histogram_scale histogram_prompt = {{250, 500, 1 * MS, 2500, 5 * MS, 10 * MS, 25 * MS,
						  50 * MS, 100 * MS, 250 * MS, 500 * MS, 1 * S,
						  2500 * MS, 5 * S, 10 * S}};

const struct histogram_scale histogram_patient = {{10 * MS, 50 * MS, 250 * MS, 1 * S, 5 * S, 15 * S,
						   60 * S, 300 * S, 900 * S, 1800 * S, 3600 * S,
						   7200 * S, 21600 * S, 86400 * S, 172800 * S}};

/* Most values are small, and there are few bounds: from the first one on. */
static size_t class_of(const struct histogram_scale *scale, int64_t value_us)
{
	size_t at = 0;

	while (at < HISTOGRAM_BOUNDS && value_us > scale->bounds_us[at])
		at++;
	return at;
}

void histogram_add(struct histogram *histogram, const struct histogram_scale *scale,
		   int64_t value_us)
{
	if (value_us < 0)
		value_us = 0;
	atomic_fetch_add_explicit(&histogram->counts[class_of(scale, value_us)], 1,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_us, (uint64_t)value_us, memory_order_relaxed);
}

void histogram_read(const struct histogram *histogram, struct histogram_view *view_out)
{
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		view_out->counts[i] =
			atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
	view_out->sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
}

void histogram_reset(struct histogram *histogram)
{
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		atomic_store(&histogram->counts[i], 0);
	atomic_store(&histogram->sum_us, 0);
}

void histogram_view_add(struct histogram_view *view, const struct histogram_scale *scale,
			int64_t value_us)
{
	if (value_us < 0)
		value_us = 0;
	view->counts[class_of(scale, value_us)]++;
	view->sum_us += (uint64_t)value_us;
}
