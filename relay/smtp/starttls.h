/* relay/smtp/starttls.h - inside of a session: it goes into TLS, at once or by STARTTLS */
#ifndef STAGEPOST_RELAY_SMTP_STARTTLS_H
#define STAGEPOST_RELAY_SMTP_STARTTLS_H

#include "relay/smtp/verb.h"

/* For EHLO. */
bool starttls_is_offered(const struct smtp_session *session);
/* Implicit TLS; goes on with opening_secured. What was read already belongs to it. */
void starttls_begin_implicit(struct smtp_session *session);
/* The stream's handshake is done, or has failed in PHASE_SECURING. */
void starttls_secured(struct smtp_session *session);
void starttls_failed(struct smtp_session *session, const char *why);
/* The scope of the client's certificate by tls_client_scopes, or NULL. */
const char *starttls_scope(const struct smtp_session *session);
/* The session becomes another client's: the certificate is not that client's. */
void starttls_forget_client(struct smtp_session *session);
/* tls_client is `required` and there is no certificate: answered with 530. */
bool starttls_refuses_mail(struct smtp_session *session);

#endif
