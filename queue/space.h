/* queue/space.h - how much room there is: of the disk, and of what retention allows */
#ifndef STAGEPOST_QUEUE_SPACE_H
#define STAGEPOST_QUEUE_SPACE_H

#include <stdint.h>

#include "queue/store.h"

/* Why no new mail is taken. */
enum space_limit {
	SPACE_THERE,   /* it is */
	SPACE_DISK,    /* the disk is full, but for what the outcome of old mail needs */
	SPACE_BYTES,   /* retention.max_bytes, and nothing of it may go */
	SPACE_MESSAGES /* the same of retention.max_messages */
};

struct store_space {
	int64_t database_bytes;	   /* the file */
	int64_t unused_bytes;	   /* in it: given back in time, or used again */
	int64_t log_bytes;	   /* the file of its log */
	int64_t log_waiting_bytes; /* of it not in the database yet: the next checkpoint's */
	int64_t disk_free_bytes;   /* for us, where they are; -1: not known */
	int64_t max_bytes;	   /* retention's caps; 0: none */
	int64_t max_messages;
	enum space_limit full;
};
/* As the writer saw it last, some seconds ago at most. Any thread; asks neither disk nor database.
 */
void store_space(struct store *store, struct store_space *space_out);

/*
 * Would a message of so many octets (-1: nobody knows) be taken now? ERR_OK,
 * or ERR_FULL with a sentence. The same way as above: accepting looks again, and exactly.
 */
int store_room(struct store *store, int64_t size, struct err *why);

#endif
