/* tests queue/line.c: which jobs share the next transaction */
#include "queue/line.h"

#include "queue/writer.h"
#include "tests/unit/unit.h"

#define KIB	   1024
#define CHUNK	   (256 * KIB)
#define BYTES_MAX  ((int64_t)4 << 20)
#define JOBS_COUNT 12

/* A job that says of itself what it is. */
struct sample {
	struct store_job job;
	char name;
	int64_t bytes;
	bool bulk;
};

static int64_t weigh(const struct store_job *job)
{
	return ((const struct sample *)job)->bytes;
}

static bool is_bulk(const struct store_job *job)
{
	return ((const struct sample *)job)->bulk;
}

static const struct store_verb verb = {.name = "sample", .weight = weigh, .is_bulk = is_bulk};
static const struct store_verb plain = {.name = "plain"};

/* Upper case: bulk, a chunk each; digits: no weight and no opinion; else small, a KiB. */
static void put(struct line *line, struct sample *samples, const char *names)
{
	for (size_t i = 0; names[i] != '\0'; i++) {
		struct sample *s = &samples[i];

		*s = (struct sample){.name = names[i], .job.submitted_us = (int64_t)(100 + i)};
		s->bulk = names[i] >= 'A' && names[i] <= 'Z';
		s->bytes = s->bulk ? CHUNK : KIB;
		s->job.verb = names[i] < 'A' ? &plain : &verb;
		s->job.item.next = names[i + 1] != '\0' ? &samples[i + 1].job.item : NULL;
	}
	line_put(line, &samples[0].job.item);
}

static void take(struct line *line, size_t jobs_max, int64_t bytes_max, const char *want)
{
	static struct batch batch;
	char got[JOBS_COUNT + 1] = "";

	line_take(line, jobs_max, bytes_max, &batch);
	for (size_t i = 0; i < batch.count; i++)
		got[i] = ((const struct sample *)batch.jobs[i])->name;
	ck_assert_str_eq(got, want);
}

/* P6: two chunks a transaction, whatever else of the large message waits. */
START_TEST(small_jobs_do_not_wait_for_all_of_a_large_message)
{
	struct sample first[JOBS_COUNT], later[JOBS_COUNT];
	struct line line = {NULL};

	put(&line, first, "ABCDE");
	take(&line, 256, BYTES_MAX, "AB");
	put(&line, later, "a1");
	ck_assert(line_has_small(&line));
	take(&line, 256, BYTES_MAX, "a1CD");
	ck_assert(!line_has_small(&line));
	take(&line, 256, BYTES_MAX, "E");
	ck_assert(line_is_empty(&line));
}
END_TEST

START_TEST(small_jobs_do_not_stop_a_large_message)
{
	struct sample samples[JOBS_COUNT];
	struct line line = {NULL};

	put(&line, samples, "abcABdef");
	take(&line, 2, BYTES_MAX, "abA");
	take(&line, 2, BYTES_MAX, "cdB");
	take(&line, 2, BYTES_MAX, "ef");
	ck_assert(line_is_empty(&line));
}
END_TEST

START_TEST(bytes_limit_a_transaction)
{
	struct sample samples[JOBS_COUNT];
	struct line line = {NULL};

	put(&line, samples, "abcd");
	take(&line, 256, 2 * KIB, "ab");
	take(&line, 256, 1, "c");
	take(&line, 256, 1, "d");
}
END_TEST

START_TEST(the_oldest_job_tells_how_long_the_writer_is_behind)
{
	static struct batch batch;
	struct sample samples[JOBS_COUNT];
	struct line line = {NULL};

	put(&line, samples, "Aab");
	line_take(&line, 256, BYTES_MAX, &batch);
	ck_assert_int_eq(batch.submitted_us, 100);
	ck_assert_int_eq(batch.bulk_bytes, CHUNK);
	ck_assert_uint_eq(batch.count, 3);
}
END_TEST

UNIT_MAIN("queue/line", small_jobs_do_not_wait_for_all_of_a_large_message,
	  small_jobs_do_not_stop_a_large_message, bytes_limit_a_transaction,
	  the_oldest_job_tells_how_long_the_writer_is_behind)
