/* relay/smtp/auth.h - inside of a session: who the client is by its own word and proof (RFC 4954)
 */
#ifndef STAGEPOST_RELAY_SMTP_AUTH_H
#define STAGEPOST_RELAY_SMTP_AUTH_H

#include "relay/smtp/verb.h"

/*
 * A line of an exchange: 12,288 octets of base64 (RFC 4954 4), and around
 * them "AUTH ", a mechanism and the line end.
 */
#define AUTH_BASE64_MAX 12288
#define AUTH_LINE_MAX	(AUTH_BASE64_MAX + 64)

/* EHLO: is any mechanism offered now, and which. */
bool auth_is_offered(const struct smtp_session *session);
void auth_add_mechanisms(const struct smtp_session *session, struct buf *out);

/* Does this line, or the front of one, hold a secret? */
bool auth_is_command(struct span line);
/* AUTH. The phase is PHASE_AUTH or PHASE_CHECK until the exchange is over. */
void verb_auth(struct smtp_session *session, struct span argument);
/* PHASE_AUTH: the client's next line, without its line end. */
void auth_take_line(struct smtp_session *session, struct span line);
/* PHASE_CHECK: the session's clock rang. */
void auth_on_clock(struct smtp_session *session);
/* Forget the exchange, if one is under way; one that a thread works on, as soon as it is done. */
void auth_drop(struct smtp_session *session);

/* MAIL: true when it was refused for want of a login. */
bool auth_refuses_mail(struct smtp_session *session);
/*
 * The session has adopted a new version: who is no longer in its users file, or
 * was never checked where it is asked for now, is logged out; a scope is read anew.
 */
void auth_renew(struct smtp_session *session);
/* STARTTLS, XCLIENT: whoever had logged in has not. */
void auth_forget(struct smtp_session *session);
/*
 * XCLIENT: somebody trusted has let this user in ("" for nobody). A user of
 * the users file comes with its scope, any other without one.
 */
void auth_take_word(struct smtp_session *session, const char *user);

#endif
