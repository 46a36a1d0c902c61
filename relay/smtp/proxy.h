/* relay/smtp/proxy.h - inside of a session: the PROXY header in front of everything else
 *
 * On a listener with proxy_protocol each connection begins with a header, or it is closed: none is
 * guessed at, and none is believed from anybody else. Which check is about which address:
 *
 *   the proxy's (the socket's peer)     the client's (the header's source)
 *   `trusted`, at accept: closed        `networks`, when the header is there: 554
 *   max_connections, at accept          max_connections_per_client, likewise: 421
 *                                       everything later: XCLIENT's `trusted`, the log, Received
 *
 * A header without addresses (LOCAL, UNKNOWN, UNSPEC, or a family that is not TCP's) says that the
 * proxy itself is the client: `trusted` has admitted it, so `networks` is not asked; it counts as
 * one client. smtp_client.via says whose word it was, and what the header tells of the client's
 * TLS; that TLS is not ours, so it never makes Received say ESMTPS nor satisfies `auth`.
 */
#ifndef STAGEPOST_RELAY_SMTP_PROXY_H
#define STAGEPOST_RELAY_SMTP_PROXY_H

#include "relay/smtp/session_state.h"

/* Wait for the header; goes on with opening_admitted. */
void proxy_begin(struct smtp_session *session);
/* In PHASE_PROXY, something came. False: nothing more can be done now. */
bool proxy_step(struct smtp_session *session);
/* In PHASE_PROXY, there will be no header: closed without a word, with this in the log. */
void proxy_refuse(struct smtp_session *session, const char *reason);

#endif
