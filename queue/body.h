/* queue/body.h - the inside of a message's bytes; private to queue/ (public: queue/message.h) */
#ifndef STAGEPOST_QUEUE_BODY_H
#define STAGEPOST_QUEUE_BODY_H

#include "queue/message.h"

/* The message's number in the database: fixed from the first byte on. */
int64_t body_number(const struct body *body);
/* The last piece, not in the hands of the writer yet, and which chunk it is. Empty when size is 0.
 */
struct span body_last(const struct body *body);
int64_t body_last_sequence(const struct body *body);
/* Some chunks went ahead: a row of `staging` stands for them. */
bool body_is_staged(const struct body *body);
/* The owner lets go of it for good: no more calls of on_room. */
void body_leave(struct body *body);
/* In the writer: why a chunk could not be stored (ERR_OK: all of them are). */
int body_failure(const struct body *body, struct err *why);
void body_drop(struct body *body);

/* In the writer, inside a transaction: one row of `chunk`. */
int chunk_insert(struct store *store, int64_t message, int64_t sequence, struct span data,
		 struct err *why);

#endif
