/* queue/line.c - jobs in front of the writer: small ones before the pieces of large messages */
#include "queue/line.h"

#include <assert.h>

#include "queue/writer.h"

/* More makes the next small message wait longer; less makes more commits of a large one. */
#define BULK_BYTES_MAX ((int64_t)512 * 1024)

static void push(struct channel_item **first, struct channel_item **last, struct channel_item *item)
{
	item->next = NULL;
	if (*first == NULL)
		*first = item;
	else
		(*last)->next = item;
	*last = item;
}

static struct store_job *pop(struct channel_item **first)
{
	struct store_job *job = (struct store_job *)*first;

	*first = (*first)->next;
	return job;
}

void line_put(struct line *line, struct channel_item *chain)
{
	while (chain != NULL) {
		struct store_job *job = (struct store_job *)chain;

		chain = chain->next;
		if (job->verb->is_bulk != NULL && job->verb->is_bulk(job))
			push(&line->bulk_first, &line->bulk_last, &job->item);
		else
			push(&line->small_first, &line->small_last, &job->item);
	}
}

bool line_is_empty(const struct line *line)
{
	return line->small_first == NULL && line->bulk_first == NULL;
}

bool line_has_small(const struct line *line)
{
	return line->small_first != NULL;
}

static int64_t add(struct batch *batch, struct store_job *job)
{
	if (batch->count == 0 || job->submitted_us < batch->submitted_us)
		batch->submitted_us = job->submitted_us;
	batch->jobs[batch->count++] = job;
	return store_job_weight(job);
}

void line_take(struct line *line, size_t jobs_max, int64_t bytes_max, struct batch *batch_out)
{
	int64_t bytes = 0;

	assert(!line_is_empty(line) && jobs_max <= LINE_JOBS_MAX);
	batch_out->count = 0;
	batch_out->bulk_bytes = 0;
	while (line->small_first != NULL && batch_out->count < jobs_max && bytes < bytes_max)
		bytes += add(batch_out, pop(&line->small_first));
	if (line->bulk_first != NULL)
		do
			batch_out->bulk_bytes += add(batch_out, pop(&line->bulk_first));
		while (line->bulk_first != NULL && batch_out->count < jobs_max &&
		       batch_out->bulk_bytes < BULK_BYTES_MAX);
}
