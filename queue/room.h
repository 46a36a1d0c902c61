/* queue/room.h - is there room, and is the file still the one we opened? private to queue/ (public:
 * queue/space.h) */
#ifndef STAGEPOST_QUEUE_ROOM_H
#define STAGEPOST_QUEUE_ROOM_H

#include "queue/writer.h"

/*
 * New mail stops this far before the end, so that what became of the old
 * mail can still be written down: without that, it would go out again.
 */
#define ROOM_RESERVE_BYTES ((int64_t)16 << 20)

/* In the writer, inside a transaction. ERR_FULL when nothing new is taken. */
int room_check(struct store *store, struct err *why);
/* The same for one more message: there may be too many of them (retention.max_messages). */
int room_check_messages(struct store *store, struct err *why);

/*
 * In the writer, before a transaction. ERR_FATAL when the database or its log
 * was removed or replaced: a commit would then go into a file nobody finds again.
 */
int room_check_files(struct store *store, struct err *why);

/* Between transactions: what store_space and store_room tell, looked at anew from time to time. */
void room_look(struct store *store);
/* Now, whenever it was looked at last. */
void room_look_now(struct store *store);
/* Of the database: what is not free, in octets. */
int room_ask_used(struct store *store, int64_t *used_out, struct err *why);
/* What stands in the log, and not in the database yet. */
int64_t room_log_waiting(const struct store *store);
/* Of the disk: what may be taken, in octets; below 0 when the reserve is touched. INT64_MAX: not
 * known. */
int64_t room_of_disk(struct store *store);

#endif
