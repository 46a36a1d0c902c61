/* queue/screen_inside.h - giving back what a run was asking about; private to queue/ (public:
 * queue/screen.h) */
#ifndef STAGEPOST_QUEUE_SCREEN_INSIDE_H
#define STAGEPOST_QUEUE_SCREEN_INSIDE_H

#include "queue/writer.h"

/* At start, inside a transaction: nobody asks anybody yet, so all of it is to be asked again. */
int screen_give_back_all(struct store *store, struct err *why);

#endif
