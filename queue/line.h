/* queue/line.h - jobs in front of the writer: small ones before the pieces of large messages;
 * private to queue/ */
#ifndef STAGEPOST_QUEUE_LINE_H
#define STAGEPOST_QUEUE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "queue/store.h"

#define LINE_JOBS_MAX 1024 /* of one transaction */

/*
 * Two queues, each in the order the jobs came. A chunk that goes ahead, and
 * whatever comes after chunks of its message, is bulk: a small message waits
 * for a piece of somebody's large one, not for all of it (DESIGN P6).
 */
struct line {
	struct channel_item *small_first, *small_last;
	struct channel_item *bulk_first, *bulk_last;
};

/* The jobs of one transaction, in the order they run. */
struct batch {
	struct store_job *jobs[LINE_JOBS_MAX + 1];
	size_t count;
	int64_t bulk_bytes;
	int64_t submitted_us; /* the oldest */
};

/* Takes a chain as channel_take_all gives it. */
void line_put(struct line *line, struct channel_item *chain);
bool line_is_empty(const struct line *line);
bool line_has_small(const struct line *line);
/*
 * Take the next transaction's jobs: small ones up to `jobs_max` and
 * `bytes_max`, and a limited piece of the bulk, at least one job, so that
 * neither stops the other. The line is not empty.
 */
void line_take(struct line *line, size_t jobs_max, int64_t bytes_max, struct batch *batch_out);

#endif
