/* queue/pick.h - the messages and recipients that are asked for, newest first; private to queue/ */
#ifndef STAGEPOST_QUEUE_PICK_H
#define STAGEPOST_QUEUE_PICK_H

#include "queue/connection.h"
#include "queue/walk.h"

/* One look at the queue, in one transaction of its reader. */
struct pick {
	struct store_reader *reader;
	struct arena *arena; /* its own */
	struct match match;
	struct walk walk;
	bool of_recipients; /* who fits is asked of the message's recipients afterwards */
	unsigned open;	    /* words that are in no text of the last message, but its recipients' */
};

/* `below`: message numbers, 0: from the newest. pick_end in any case. */
int pick_begin(struct pick *pick, struct store_reader *reader, const struct recipient_query *query,
	       int64_t below, struct err *why);
void pick_end(struct pick *pick);
/* The next one that fits; 0: none, or time is up (pick_is_late). */
int pick_message(struct pick *pick, int64_t *message_out, struct err *why);
bool pick_is_late(const struct pick *pick);
/* Messages that have not been looked at have lower numbers. */
int64_t pick_below(const struct pick *pick);
/* Those recipients of the last one that fit, with numbers below `below`, highest first: at most
 * `max`. */
int pick_recipients(struct pick *pick, int64_t message, int64_t below, size_t max, int64_t *ids_out,
		    size_t *count_out, struct err *why);

#endif
