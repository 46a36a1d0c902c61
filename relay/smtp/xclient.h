/* relay/smtp/xclient.h - inside of a session: a trusted peer tells who its client is
 *
 * XCLIENT and XFORWARD: on a listener with xclient, said by an address in `trusted` (behind a PROXY
 * header: the address that the header gave). Others get 550, and EHLO does not offer it to them;
 * without xclient it is a command not offered here.
 *
 * XCLIENT makes the session that of another client, as Postfix's does:
 *  - All of a command counts or nothing of it does. The answer to a good one is the banner again
 *    (220): no EHLO, no login; TLS stays. HELO= stands for EHLO or HELO, by PROTO= (for LHLO where
 *    LMTP is spoken): then MAIL may follow at once.
 *  - HELO, PROTO and LOGIN are those of the last XCLIENT: left out they are forgotten. NAME, ADDR
 *    and PORT stay until another one changes them; a name that was looked up, and the port of the
 *    connection, go with its address.
 *  - `networks` is asked again, with the new address: 554 instead of the banner. ADDR=[UNAVAILABLE]
 *    is in no network but ::/0. So is `trusted`: who has named an untrusted client can't change it
 *    any more.
 *  - The census is not: the connection counts as the one who opened it, to its end.
 *  - LOGIN= is who has logged in: for `auth`, for Received and for the message. A user of the
 *    users file comes with its scope.
 *
 * XFORWARD changes nothing but what is written down about one message: a line in Received and in
 * the log. It ends with the transaction it comes before.
 */
#ifndef STAGEPOST_RELAY_SMTP_XCLIENT_H
#define STAGEPOST_RELAY_SMTP_XCLIENT_H

#include "relay/smtp/session_state.h"

/* For EHLO: this client may say XCLIENT and XFORWARD now. */
bool xclient_is_offered(const struct smtp_session *session);
void verb_xclient(struct smtp_session *session, struct span argument);
void verb_xforward(struct smtp_session *session, struct span argument);

/*
 * What XFORWARD has told since the last transaction, for people: "spike.example [192.0.2.7]:50001
 * helo=spike proto=ESMTP ident=4Xyz source=REMOTE"; NULL for nothing. Valid until xforward_forget.
 */
const char *xforward_text(const struct smtp_session *session);
void xforward_forget(struct smtp_session *session);

#endif
