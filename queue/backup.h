/* queue/backup.h - a copy of the database, made while it is in use or while it is not */
#ifndef STAGEPOST_QUEUE_BACKUP_H
#define STAGEPOST_QUEUE_BACKUP_H

#include <stdint.h>

#include "queue/store.h"

/*
 * The copy holds everything: mail, the list, tokens, the trail, as of one
 * moment. In it delivery is paused, and says why: what waits there may have
 * left long ago when it is brought back. For the same reason what webhooks are
 * to be told are dead letters there.
 */

enum backup_state { BACKUP_NONE, BACKUP_COPYING, BACKUP_READY, BACKUP_FAILED };

struct backup_status {
	enum backup_state state;
	int64_t done_bytes; /* copied so far */
	int64_t total_bytes;
	int64_t began_at;
	int64_t ended_at; /* 0: not yet */
	struct err why;	  /* of a failure */
};

/*
 * Beside the running store. The writer copies a megabyte at a time between
 * its commits, so no reader holds the log back and nobody writes beside it
 * (DESIGN 4.2). The copy is in the data directory (0600) until it is ended; one
 * that is ready and that nobody ends goes after an hour. ERR_OK: it has
 * begun, and a copy that was ready is gone; ERR_CONFLICT: one is being made; ERR_FULL: no room.
 */
struct backup_request {
	struct store_job job; /* first */
	const char *actor;
	int64_t now;
};
void queue_backup_begin(struct store *store, struct store_job *job);
/* Stop it, or remove the copy. ERR_NOT_FOUND: there is none. */
void queue_backup_end(struct store *store, struct store_job *job);

/* Any thread. */
void store_backup(struct store *store, struct backup_status *status_out);
/* The copy that is ready, for reading; the caller closes it. ERR_NOT_FOUND, ERR_IO. */
int store_backup_open(struct store *store, int *fd_out, int64_t *size_out, struct err *why);

/*
 * Without a daemon (the tool): into the file `path`, which is empty. `progress` may be NULL. As
 * store_reader_open_offline; ERR_FULL.
 */
struct backup_offline {
	const char *data_dir;
	const char *path;
	void (*progress)(void *ctx, int64_t done_bytes, int64_t total_bytes);
	void *ctx;
};
int backup_offline(const struct backup_offline *offline, struct err *why);

#endif
