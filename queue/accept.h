/* queue/accept.h - storing a message as a part of another verb; private to queue/ (public:
 * queue/message.h) */
#ifndef STAGEPOST_QUEUE_ACCEPT_H
#define STAGEPOST_QUEUE_ACCEPT_H

#include "queue/message.h"

/* In the writer, inside a transaction: message, recipients, the bytes that have not gone ahead. */
int accept_store(struct store *store, const struct new_message *message, const struct body *body,
		 struct err *why);

#endif
