/* queue/proof.h - rows and files that still are what was written here; private to queue/ */
#ifndef STAGEPOST_QUEUE_PROOF_H
#define STAGEPOST_QUEUE_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/db.h"

/*
 * A byte that changes by itself inside an address leaves a page in order, and
 * another address that a pattern may allow (P1). So each recipient carries a
 * number made of its own number, its address and the database's identity; it
 * guards against accidents, not against people. NULL in a row from before there was one.
 */
int64_t proof_of(int64_t database, int64_t recipient, const char *address);
/* The same for a piece of content. */
int64_t proof_of_chunk(int64_t database, int64_t chunk, struct span data);

/* Which database this is, and how often its log began anew. */
struct identity {
	int64_t database; /* 0: not known */
	int64_t log;
};

int identity_read(struct db *db, struct identity *identity_out, struct err *why);
/*
 * The same from the file alone, as if there were no log; unknown when it can't
 * be read. Opens and closes the file, so only before the connection that counts (DESIGN 4.2).
 */
struct identity identity_of_file(const char *path);
/*
 * The log was begun on top of this file, or the one before it was. SQLite
 * would put any log on any file: one that was left beside a copy that is brought back,
 * for example, and make one database of two. ERR_FATAL with the way out.
 */
int identity_check(const struct identity *file, const struct identity *both, struct err *why);

/* In a transaction that changes something: the first one behind a complete checkpoint. */
int identity_begin_log(struct db *db, struct err *why);

#endif
