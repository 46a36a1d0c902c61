/* queue/pauses.h - what stands still, in memory for everybody to ask; private to queue/ */
#ifndef STAGEPOST_QUEUE_PAUSES_H
#define STAGEPOST_QUEUE_PAUSES_H

#include <stdbool.h>

#include "queue/act.h"
#include "queue/db.h"

/* Route names; "" stands for delivery as a whole. Any thread. */
struct pauses;

struct pauses *pauses_new(void);
void pauses_free(struct pauses **pauses);
int pauses_load(struct pauses *pauses, struct db *db, struct err *why);
/* NULL: it goes on. */
void pauses_set(struct pauses *pauses, const char *route, const struct pause_view *view);
/* view_out may be NULL; it is written only when there is one. */
bool pauses_has(struct pauses *pauses, const char *route, struct pause_view *view_out);

#endif
