/* queue/folder.h - the data directory: made, judged and locked; private to queue/ */
#ifndef STAGEPOST_QUEUE_FOLDER_H
#define STAGEPOST_QUEUE_FOLDER_H

#include <stdbool.h>

#include "base/err.h"

#define FOLDER_DATABASE "stagepost.db"
#define FOLDER_LOCK	"lock"

/*
 * Make it (0700) when it is missing. ERR_UNSUPPORTED on a network file
 * system, and when the database is a link or has a second name: its lock and
 * its log would then not be where the other user of it looks.
 */
int folder_prepare(const char *data_dir, struct err *why);

/*
 * Take the lock file, write our process id into it. ERR_BUSY with the
 * holder's id. The database itself is never opened for this: closing it would
 * drop SQLite's own locks (DESIGN 4.2). ERR_FATAL when the database is gone
 * (folder_note_database): an empty one must not take its place unasked (S257).
 */
int folder_lock(const char *data_dir, int *fd_out, struct err *why);
/* From now on there is a database here; the lock file remembers. */
int folder_note_database(const char *data_dir, int fd, struct err *why);
void folder_unlock(int fd);
/* Somebody holds the lock now. */
bool folder_is_locked(const char *data_dir);

/* A new file's name survives a power cut only when its directory was synced. */
int folder_sync(const char *data_dir, struct err *why);

/* data_dir/name, for mem_free. */
char *folder_path(const char *data_dir, const char *name);

#endif
