/* relay/hook/nginx.h - the question as nginx's auth_http puts it, and how it reads the answer */
#ifndef STAGEPOST_RELAY_HOOK_NGINX_H
#define STAGEPOST_RELAY_HOOK_NGINX_H

#include "base/buf.h"
#include "relay/hook/decision.h"
#include "relay/hook/hook.h"

#define NGINX_REQUEST_MAX (64 * 1024)

/*
 * The header lines behind Host, about the one recipient of `question`, in
 * nginx's order and spelling, each but the last with its CRLF; those of the
 * configuration come behind them, and X-Relay-* behind those. No byte of
 * somebody's ends a line (CVE-2026-28753). `for_key`: without what differs
 * each time and decides nothing. ERR_OK or ERR_LIMIT.
 */
int nginx_write(const struct question *question, const struct hook_options *options, bool for_key,
		struct buf *out);

/*
 * The answer's header section, status line and all; only its fields count. As
 * nginx, but: OK without a server allows it, and Auth-Error-Code 4yz, or an answer that is none,
 * decides nothing.
 */
void nginx_read(struct span head, bool allow_route, struct decision *decision_out);

/* The same about a login (MTA 1.2): there is no message yet, and nothing of ours comes behind it.
 */
int nginx_write_login(const struct login_question *question, const struct hook_options *options,
		      struct buf *out);
/*
 * True: it wants to be asked again, after *wait_ms_out. False: *answer_out is
 * filled. What allows a recipient allows a login, but for the next hop.
 */
bool nginx_read_login(struct span head, struct login_answer *answer_out, int64_t *wait_ms_out);

#endif
