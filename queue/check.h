/* queue/check.h - is the database whole? A long look for a person, a short one at every start */
#ifndef STAGEPOST_QUEUE_CHECK_H
#define STAGEPOST_QUEUE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "queue/reader.h"

struct check {
	const char *data_dir;
	const char *file; /* instead of it: a copy that nobody uses (queue/backup.h); or NULL */
	/* One sentence a problem; may be called many times. */
	void (*on_problem)(void *ctx, const char *sentence);
	/* May be NULL: so many looks of `total` are done. A look at all pages is one of them. */
	void (*on_step)(void *ctx, int64_t done, int64_t total);
	void *ctx;

	bool in_use;		  /* set: a daemon holds the directory */
	int64_t problems;	  /* set */
	int64_t steps, looks;	  /* its own: done of so many */
	struct queue_stats stats; /* set where the database could be read at all */
};

/*
 * Everything SQLite can say of its pages, and what our tables say of each
 * other. Reads only: neither the database nor its log is written to or made.
 * Beside a daemon each table is read for itself, so that its log is not held
 * for the whole time. ERR_OK when the look came to its end, whatever it found,
 * also when the file could not be read for being damaged; ERR_NOT_FOUND
 * without a database; ERR_STALE when a daemon started meanwhile and what was
 * found may be due to that; else as store_reader_open_offline.
 */
int queue_check(struct check *check, struct err *why);

#endif
