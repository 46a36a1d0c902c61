/* relay/selftest.h - at each start: mail that nobody allowed is shown not to leave (P1) */
#ifndef STAGEPOST_RELAY_SELFTEST_H
#define STAGEPOST_RELAY_SELFTEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "queue/store.h"
#include "relay/deliver/deliver.h"
#include "relay/filter/policy.h"
#include "relay/filter/whitelist.h"
#include "relay/loop/loop.h"

struct selftest_env {
	struct store *store;
	struct whitelist *whitelist;
	struct rules *rules; /* NULL: there are none */
	struct loop *loop;   /* running */
	const struct policy_options *policy;
	const struct delivery_options *delivery;
	const char *const *scopes; /* of the listeners; "" is tried too */
	size_t scope_count;
};

/*
 * A probe to the reserved domain (relay/filter/reserved.h) goes the way of all
 * mail: judged, by each rule too (as if it met what the rule asks), accepted into the store,
 * claimed, judged, given to a worker and libesmtp, up to the wire guard. At each of the three it
 * must be stopped, and it is sent on to the next all the same. Before any route is used and before
 * anything listens; afterwards it is gone from the store. Where that has no room the probe does
 * without it.
 *
 * ERR_UNSAFE: it would leave, or nobody can say; the daemon must not run.
 * Any other failure is one of the store. *ms_out is how long it took.
 */
int selftest_run(const struct selftest_env *env, int64_t *ms_out, struct err *why);

#endif
