/* relay/deliver/login.h - the AUTH phase of a connection to a next hop (RFC 4954); loop thread only
 */
#ifndef STAGEPOST_RELAY_DELIVER_LOGIN_H
#define STAGEPOST_RELAY_DELIVER_LOGIN_H

#include <stdbool.h>

#include "relay/wire/reply.h"

struct uplink;
struct login;

/* The route logs in and this connection has not. */
bool login_is_wanted(const struct uplink *u);
/*
 * EHLO was answered: fetch the secret, say AUTH. Ends in prologue_next(), with u->logged_in; or in
 * prologue_failed(): this host does not do; or, where the credentials were refused,
 * in uplink_opened(ERR_DENIED) with no other host tried: it would refuse them too, and lock the
 * account. There is no way from here to MAIL without a login.
 */
void login_begin(struct uplink *u);
void login_on_reply(struct uplink *u, const struct reply *reply);

/*
 * A part of the uplink is with the keyring: whoever wants to end the uplink, or this connection,
 * has to wait until it is back.
 */
bool login_is_away(const struct uplink *u);
/* Nobody waits for it any more: a command that has not begun is not run. */
void login_hurry(struct uplink *u);
/* The connection failed meanwhile: prologue_failed() is called once it is back. */
void login_note_failure(struct uplink *u, int code, const char *why);
/* The connection is over. Not while it is away. NULL is fine. */
void login_free(struct login **login);

#endif
