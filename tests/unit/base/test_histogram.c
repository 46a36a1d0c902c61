/* tests base/histogram.c */
#include "base/histogram.h"

#include <pthread.h>

#include "tests/unit/unit.h"

static size_t only_class(const struct histogram_view *view)
{
	size_t found = SIZE_MAX;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		if (view->counts[i] > 0) {
			ck_assert_uint_eq(found, SIZE_MAX);
			found = i;
		}
	return found;
}

/* Prometheus: a bucket holds what is less than or equal to its bound. */
START_TEST(a_value_is_in_the_first_bucket_that_holds_it)
{
	static const struct {
		int64_t us;
		size_t want;
	} cases[] = {{-5, 0},	 {0, 0},	 {250, 0},	 {251, 1},	 {50000, 7},
		     {50001, 8}, {10000000, 14}, {10000001, 15}, {INT64_MAX, 15}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct histogram histogram = {0};
		struct histogram_view view, plain = {0};

		histogram_add(&histogram, &histogram_prompt, cases[i].us);
		histogram_read(&histogram, &view);
		ck_assert_uint_eq(only_class(&view), cases[i].want);
		ck_assert_uint_eq(view.sum_us, cases[i].us > 0 ? (uint64_t)cases[i].us : 0);
		histogram_view_add(&plain, &histogram_prompt, cases[i].us);
		ck_assert_uint_eq(only_class(&plain), cases[i].want);
		ck_assert_uint_eq(plain.sum_us, view.sum_us);
		histogram_reset(&histogram);
		histogram_read(&histogram, &view);
		ck_assert_uint_eq(only_class(&view), SIZE_MAX);
		ck_assert_uint_eq(view.sum_us, 0);
	}
}
END_TEST

START_TEST(bounds_rise)
{
	static const struct histogram_scale *const scales[] = {&histogram_prompt,
							       &histogram_patient};

	for (size_t s = 0; s < 2; s++)
		for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
			ck_assert_int_gt(scales[s]->bounds_us[i],
					 i > 0 ? scales[s]->bounds_us[i - 1] : 0);
}
END_TEST

#define THREADS 4
#define VALUES	50000

static void *add_many(void *arg)
{
	for (int i = 0; i < VALUES; i++)
		histogram_add(arg, &histogram_prompt, i % 3000);
	return NULL;
}

START_TEST(nothing_is_lost_between_threads)
{
	struct histogram histogram = {0};
	struct histogram_view view;
	pthread_t threads[THREADS];
	uint64_t count = 0, sum = 0;

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_many, &histogram), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < VALUES; i++)
		sum += (uint64_t)(i % 3000);
	histogram_read(&histogram, &view);
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		count += view.counts[i];
	ck_assert_uint_eq(count, (uint64_t)THREADS * VALUES);
	ck_assert_uint_eq(view.sum_us, THREADS * sum);
}
END_TEST

UNIT_MAIN("base/histogram", a_value_is_in_the_first_bucket_that_holds_it, bounds_rise,
	  nothing_is_lost_between_threads)
