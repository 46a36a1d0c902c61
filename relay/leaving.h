/* relay/leaving.h - one sentence: what can leave, and by which route */
#ifndef STAGEPOST_RELAY_LEAVING_H
#define STAGEPOST_RELAY_LEAVING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "relay/deliver/deliver.h"
#include "relay/filter/extent.h"
#include "relay/filter/policy.h"

/* Everything that decides. Borrowed. */
struct leaving {
	struct extent extent;
	bool capture_only;
	bool paused;  /* delivery as a whole */
	size_t rules; /* that override the whitelist */
	/* policy.hook: what it may do; NULL: nothing */
	const struct policy_options *policy;
	const struct route_options *routes;
	size_t route_count;
	bool (*route_is_paused)(void *ctx, const char *name);
	void *ctx;
};

/*
 * "mail for 3 addresses and 2 domains can leave, by route default to
 * smtp.example.com:587 (required TLS)", or "nothing can leave: …". Pure. What
 * has no room in `out` (400 octets do) is cut.
 */
void leaving_sentence(const struct leaving *leaving, struct buf *out);

#endif
