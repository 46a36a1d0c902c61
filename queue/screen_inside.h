/* queue/screen_inside.h - giving back what a run was asking about, and forgetting logins; private
 * to queue/ (public: queue/screen.h) */
#ifndef STAGEPOST_QUEUE_SCREEN_INSIDE_H
#define STAGEPOST_QUEUE_SCREEN_INSIDE_H

#include <assert.h>

#include "queue/message.h"
#include "queue/state.h"
#include "queue/writer.h"

/*
 * In every UPDATE that gives a recipient a new state, which is `state`: once it
 * is final the hook's login is gone, and with it what it was good for. Whoever
 * tries it again has the hook asked again.
 */
#define LOGIN_ENDS(state)                                                                          \
	" hop = CASE WHEN login IS NOT NULL AND " state " >= 6 THEN NULL ELSE hop END,"            \
	" login = CASE WHEN " state " >= 6 THEN NULL ELSE login END"
#define PERMIT_ENDS(state)                                                                         \
	" permit = CASE WHEN login IS NOT NULL AND " state " >= 6 THEN 0 ELSE permit END"
static_assert(STATE_DELIVERED == 6 && PERMIT_NONE == 0, "as the texts above have it");

/* At start, inside a transaction: nobody asks anybody yet, so all of it is to be asked again. */
int screen_give_back_all(struct store *store, struct err *why);

#endif
