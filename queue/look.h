/* queue/look.h - the short look at the database before it is used; private to queue/ */
#ifndef STAGEPOST_QUEUE_LOOK_H
#define STAGEPOST_QUEUE_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/db.h"
#include "queue/proof.h"

/* How the files were found, before SQLite touched them. */
struct look {
	int64_t bytes;	      /* database and log */
	bool was_killed;      /* the log is not empty: the last run did not come to its end */
	struct identity file; /* then: what the database says of itself without it */
};

void look_at_files(const char *data_dir, struct look *look_out);
/*
 * ERR_FATAL when pages are damaged or are of two databases, with a sentence that names the way out.
 * Reads the whole file only where that takes a fraction of a second; the
 * whitelist always, because it decides what leaves.
 */
int look_at_pages(struct db *db, const struct look *look, struct err *why);

#endif
