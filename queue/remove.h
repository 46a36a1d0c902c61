/* queue/remove.h - taking a message out of the store; private to queue/ */
#ifndef STAGEPOST_QUEUE_REMOVE_H
#define STAGEPOST_QUEUE_REMOVE_H

#include "queue/writer.h"

/* In the writer, inside a transaction: some recipient of the message is in a worker's hands. */
int message_is_delivering(struct store *store, int64_t number, bool *delivering_out,
			  struct err *why);
/*
 * Everything of it: recipients, history, row and bytes, with an audit line.
 * Bytes of more than a chunk are handed to the sweeper. Nothing may be delivering.
 */
int message_remove(struct store *store, int64_t number, const char *actor, int64_t now,
		   struct err *why);
/*
 * The same without the line: it is one of many. *bytes_out: octets of content
 * that went. *whole_out false: it has many recipients, only the first of them
 * went, and the rest is for the next transaction.
 */
int message_forget(struct store *store, int64_t number, int64_t *bytes_out, bool *whole_out,
		   struct err *why);
/* Only the content. Nobody may be waiting for it (queue/finished.h). */
int message_empty(struct store *store, int64_t number, int64_t now, int64_t *bytes_out,
		  struct err *why);

#endif
