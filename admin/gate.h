/* admin/gate.h - may this request in: who asks, by what right, and from which page */
#ifndef STAGEPOST_ADMIN_GATE_H
#define STAGEPOST_ADMIN_GATE_H

#include "admin/call.h"

/*
 * Who asks: by the peer on the unix socket, by a bearer token, or by the cookie
 * of a session when there is no Authorization. Then call->cookie is the
 * session's secret, else empty. Again for what lasts: the right to it may have
 * ended. ERR_DENIED, or the store can't be asked; nothing is replied.
 */
int gate_caller(struct call *call, struct caller *caller_out, struct err *why);
/* True: the caller's role and scope will do. False: replied. */
bool gate_may_call(struct call *call);
/* True: nobody else's page makes the browser ask this. False: replied. */
bool gate_is_ours(struct call *call);
/* 401, or 429 when there were too many of that address (CASES S284). */
void gate_refuse_stranger(struct call *call, const struct err *why);

#endif
