/* relay/smtp/hold.h - inside of a session: an answer that is held back on demand */
#ifndef STAGEPOST_RELAY_SMTP_HOLD_H
#define STAGEPOST_RELAY_SMTP_HOLD_H

#include "relay/smtp/session_state.h"

/*
 * Until answer->delay_ms has passed nothing of the client is looked at and no
 * deadline of its runs; the connection's end is seen. Then comes the answer
 * (code 0: none), then `then` (NULL: nothing).
 */
void hold_begin(struct smtp_session *session, const struct smtp_answer *answer,
		void (*then)(struct smtp_session *session));
/* The session's clock rang in PHASE_HOLD. */
void hold_end(struct smtp_session *session);
/* The daemon stops: what was held is said now; nothing is begun after it. */
void hold_cut(struct smtp_session *session);
/* The connection is gone. */
void hold_forget(struct smtp_session *session);

#endif
