/* relay/smtp/auth_ask.h - inside of a login: somebody else is asked whether it is right */
#ifndef STAGEPOST_RELAY_SMTP_AUTH_ASK_H
#define STAGEPOST_RELAY_SMTP_AUTH_ASK_H

#include "base/buf.h"
#include "relay/smtp/session_state.h"
#include "relay/wire/login.h"

/* What is asked. Embedded; one exchange. */
struct auth_ask {
	struct login_ask ask; /* first */
	struct loop *loop;
	struct loop_task told; /* runs there with the answer */
	struct buf user, password, salt;
};

/* Is it so for logins of this session? */
bool auth_ask_is_on(const struct smtp_session *session);
bool auth_ask_can(const struct smtp_session *session, enum sasl_mechanism mechanism);

void auth_ask_init(struct auth_ask *ask);
/* Wipes. */
void auth_ask_release(struct auth_ask *ask);
/* What the client says: name and password. False: too long. */
bool auth_ask_take(struct auth_ask *ask, struct span user, struct span password);
/* CRAM-MD5: "user digest" in answer to `salt`. False: that is no such answer. */
bool auth_ask_take_cram(struct auth_ask *ask, struct span response);
/* Ask. `told` runs in the session's loop, never within this call. */
void auth_ask_send(struct auth_ask *ask, struct smtp_session *session,
		   enum sasl_mechanism mechanism, void (*told)(struct loop_task *task));

#endif
