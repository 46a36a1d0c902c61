/* queue/settle.h - giving back what a run left leased; private to queue/ (public: queue/delivery.h)
 */
#ifndef STAGEPOST_QUEUE_SETTLE_H
#define STAGEPOST_QUEUE_SETTLE_H

#include "queue/writer.h"

/* At start, inside a transaction: nobody works on anything yet, so every lease is void. */
int settle_give_back_all(struct store *store, struct err *why);

#endif
