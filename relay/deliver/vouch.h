/* relay/deliver/vouch.h - the next hop is told of the original client: PROXY and XCLIENT; private
 * to the uplink */
#ifndef STAGEPOST_RELAY_DELIVER_VOUCH_H
#define STAGEPOST_RELAY_DELIVER_VOUCH_H

#include <stdbool.h>

#include "relay/deliver/uplink_inside.h"

/*
 * Connected: the PROXY header in front of everything, where the route has one.
 * Who is not known is not made up: v2 says LOCAL, and v1 names the two ends of
 * this connection, since Postfix hangs up on UNKNOWN.
 */
void vouch_header(struct uplink *u);

/*
 * XCLIENT behind EHLO, with what it offers, once a connection. Behind its 220
 * comes EHLO again. A next hop that does not offer it, or refuses, gets no
 * mail: the route says that it is to be told.
 */
bool vouch_is_wanted(const struct uplink *u);
void vouch_begin(struct uplink *u);
void vouch_on_reply(struct uplink *u, const struct reply *reply);
/* The name behind EHLO once XCLIENT was said: the client's; NULL: our own. */
const char *vouch_hello(const struct uplink *u);

#endif
