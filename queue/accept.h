/* queue/accept.h - storing a message as a part of another verb; private to queue/ (public:
 * queue/message.h) */
#ifndef STAGEPOST_QUEUE_ACCEPT_H
#define STAGEPOST_QUEUE_ACCEPT_H

#include "queue/message.h"

/* In the writer, inside a transaction: message, recipients, the bytes that have not gone ahead. */
int accept_store(struct store *store, const struct new_message *message, const struct body *body,
		 struct err *why);
/* One recipient, counted, and due when it is queued; its time of waiting begins `now`. */
int recipient_insert(struct store *store, int64_t id, int64_t lane, int64_t now,
		     const struct new_recipient *recipient, struct err *why);

#endif
