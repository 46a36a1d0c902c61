/* queue/room.h - is there room, and is the file still the one we opened? private to queue/ */
#ifndef STAGEPOST_QUEUE_ROOM_H
#define STAGEPOST_QUEUE_ROOM_H

#include "queue/writer.h"

/*
 * New mail stops this far before the end, so that what became of the old
 * mail can still be written down: without that, it would go out again.
 */
#define ROOM_RESERVE_BYTES ((int64_t)16 << 20)

/* In the writer, inside a transaction. ERR_FULL when no new mail is taken. */
int room_check(struct store *store, struct err *why);

/*
 * In the writer, before a transaction. ERR_FATAL when the database or its log
 * was removed or replaced: a commit would then go into a file nobody finds again.
 */
int room_check_files(struct store *store, struct err *why);

#endif
