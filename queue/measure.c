/* queue/measure.c - what the store has done since its start, and how long that took */
#include "queue/measure.h"

#include <string.h>

#include "base/clock.h"
#include "queue/measuring.h"
#include "queue/writer.h"

const char *const measure_verdicts[MEASURE_VERDICTS] = {"deliver", "drop", "hold", "redirect",
							"reject"};

/* MEASURE_VERDICTS: it is none of them. */
static size_t verdict_number(const char *verdict)
{
	size_t number = 0;

	while (number < MEASURE_VERDICTS &&
	       (verdict == NULL || strcmp(measure_verdicts[number], verdict) != 0))
		number++;
	return number;
}

static void count(_Atomic uint64_t *number, uint64_t more)
{
	if (more > 0)
		atomic_fetch_add_explicit(number, more, memory_order_relaxed);
}

static uint64_t read_count(const _Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

void measuring_accepted(struct measuring *measuring, const struct new_message *message)
{
	struct measured *pending = &measuring->pending;

	pending->messages++;
	pending->bytes += (uint64_t)message->size;
	for (size_t i = 0; i < message->recipient_count; i++) {
		size_t number = verdict_number(message->recipients[i].ruling.verdict);

		if (number < MEASURE_VERDICTS)
			pending->verdicts[number]++;
	}
}

void measuring_rollback(struct measuring *measuring)
{
	memset(&measuring->pending, 0, sizeof(measuring->pending));
}

void measuring_commit(struct measuring *measuring)
{
	const struct measured *pending = &measuring->pending;

	count(&measuring->messages, pending->messages);
	count(&measuring->bytes, pending->bytes);
	for (size_t i = 0; i < MEASURE_VERDICTS; i++)
		count(&measuring->verdicts[i], pending->verdicts[i]);
	measuring_rollback(measuring);
}

void measuring_refused(struct measuring *measuring, const char *verdict)
{
	size_t number = verdict_number(verdict);

	if (number < MEASURE_VERDICTS)
		count(&measuring->verdicts[number], 1);
}

void measuring_checkpoint(struct measuring *measuring, int64_t began_us, bool failed, bool cut)
{
	histogram_add(&measuring->checkpoint, &histogram_prompt, clock_mono_us() - began_us);
	if (failed)
		count(&measuring->checkpoints_failed, 1);
	else if (cut)
		count(&measuring->checkpoints_cut, 1);
}

void store_measure_anew(struct store *store)
{
	struct measuring *measuring = &store->measuring;

	histogram_reset(&measuring->accept);
	histogram_reset(&measuring->commit);
	histogram_reset(&measuring->checkpoint);
	atomic_store(&measuring->checkpoints_cut, 0);
	atomic_store(&measuring->checkpoints_failed, 0);
	atomic_store(&measuring->jobs, 0);
	atomic_store(&measuring->messages, 0);
	atomic_store(&measuring->bytes, 0);
	for (size_t i = 0; i < MEASURE_VERDICTS; i++)
		atomic_store(&measuring->verdicts[i], 0);
	counters_forget_entered(&store->counters);
}

void store_measures(struct store *store, struct store_measures *measures_out)
{
	const struct measuring *measuring = &store->measuring;

	histogram_read(&measuring->accept, &measures_out->accept);
	histogram_read(&measuring->commit, &measures_out->commit);
	histogram_read(&measuring->checkpoint, &measures_out->checkpoint);
	measures_out->checkpoints_cut = read_count(&measuring->checkpoints_cut);
	measures_out->checkpoints_failed = read_count(&measuring->checkpoints_failed);
	measures_out->jobs = read_count(&measuring->jobs);
	measures_out->messages = read_count(&measuring->messages);
	measures_out->bytes = read_count(&measuring->bytes);
	for (size_t i = 0; i < MEASURE_VERDICTS; i++)
		measures_out->verdicts[i] = read_count(&measuring->verdicts[i]);
	counters_entered(&store->counters, measures_out->entered);
}
