/* queue/migrate.h - bring the database file to the present schema; private to queue/ */
#ifndef STAGEPOST_QUEUE_MIGRATE_H
#define STAGEPOST_QUEUE_MIGRATE_H

#include "queue/db.h"

/*
 * Is this file ours, and of which version? ERR_UNSUPPORTED: of another
 * program, or newer than this one. Reads only: a refused file stays as it was.
 * An empty file has version 0.
 */
int migrate_check(struct db *db, int64_t *version_out, struct err *why);

/* What can't be set later (page size, auto_vacuum), then every step from `version` on, each in one
 * transaction. */
int migrate_run(struct db *db, int64_t version, struct err *why);

#endif
