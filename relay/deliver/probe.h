/* relay/deliver/probe.h - a message that nobody allowed, sent as far as the wire guard (P1) */
#ifndef STAGEPOST_RELAY_DELIVER_PROBE_H
#define STAGEPOST_RELAY_DELIVER_PROBE_H

#include "base/err.h"
#include "queue/delivery.h"
#include "queue/store.h"
#include "relay/deliver/deliver.h"
#include "relay/filter/rule.h"
#include "relay/filter/whitelist.h"
#include "relay/loop/loop.h"

struct probe_env {
	struct store *store;
	struct whitelist *whitelist;
	struct rules *rules; /* NULL: there are none */
	struct loop *loop;   /* running */
	const struct delivery_options *options;
};

/*
 * One attempt, made like any other: the one recipient of the message is
 * judged; whatever was said, a worker and libesmtp offer it, and the wire
 * guard is all that stands between them and the next hop. That is a trap: a
 * socketpair, so nothing reaches a network. No route is used.
 *
 * ERR_OK: the judgement and the guard both said no, and no RCPT came through.
 * ERR_UNSAFE: one of them let it pass, or the guard was not reached; `why`
 * says which. Any other code: the attempt could not be made. Blocks, for
 * milliseconds as a rule. Delivery need not have been started.
 */
int probe_run(const struct probe_env *env, const struct claimed_message *message, struct err *why);

#endif
