/* relay/smtp/verb.h - inside of a session: what the verbs of the table in verb.c do, file by file
 */
#ifndef STAGEPOST_RELAY_SMTP_VERB_H
#define STAGEPOST_RELAY_SMTP_VERB_H

#include "relay/smtp/session_state.h"

/*
 * An act runs when stage and argument are right. It answers, and it may end
 * the connection: session->stream is NULL then.
 */

/* ehlo.c */
void verb_helo(struct smtp_session *session, struct span argument);
void verb_ehlo(struct smtp_session *session, struct span argument);

/* starttls.c */
void verb_starttls(struct smtp_session *session, struct span argument);

/* help.c */
void verb_help(struct smtp_session *session, struct span argument);

/* transaction.c */
void verb_mail(struct smtp_session *session, struct span argument);
void verb_rcpt(struct smtp_session *session, struct span argument);
void verb_data(struct smtp_session *session, struct span argument);
/*
 * Input that waits behind a DATA which gets no 354 is a message sent without
 * leave: it must never run as commands.
 */
void verb_close_on_content(struct smtp_session *session);

/* chunk.c */
/* In any stage: the octets behind it are taken before an answer is given (RFC 3030 2). */
void verb_bdat(struct smtp_session *session, struct span argument);
/* A BDAT that can't be read. */
void verb_hang_up_on_content(struct smtp_session *session);

#endif
