/* relay/filter/policy.h - policy.default, the envelope sender rule (DESIGN 4.7), pure functions */
#ifndef STAGEPOST_RELAY_FILTER_POLICY_H
#define STAGEPOST_RELAY_FILTER_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "relay/filter/pattern.h"
#include "relay/filter/whitelist.h"

enum header_policy { HEADER_POLICY_DEFANG, HEADER_POLICY_KEEP, HEADER_POLICY_STRIP };

/* From `policy:` and parts of `delivery:`. Owned by the configuration, const for everybody else. */
struct policy_options {
	enum verdict_kind
		default_verdict; /* for what no entry allows: DROP, HOLD, REJECT, REDIRECT */
	const char *redirect_to; /* as address_format() prints it; "" or NULL: none */
	enum header_policy header_policy;
	const char *const
		*control_headers; /* names or globs ("X-MC-*"), always removed from what leaves */
	size_t control_header_count;
	const char *subject_tag;
	const struct pattern *senders; /* delivery.senders */
	size_t sender_count;
	const char *bounce_to; /* "" = <> */
	/* policy.hook has a url: what the list allows waits in state screening until the hook
	 * allows it too. */
	bool screening;
	/* …, and so does what no entry names, instead of default_verdict */
	bool hook_overrides;
	/* the hook may choose the next hop of a recipient (allow_route) */
	bool hook_routes;
};

/* The built-in control_headers list, for a configuration that has none. NULL-terminated. */
extern const char *const policy_control_headers[];

/* No entry names it: neither denied nor unsafe. */
bool verdict_is_unlisted(const struct verdict *verdict);

/* The policy hook is to be asked about a recipient with this verdict (of the list, or with
 * policy_apply). */
bool policy_screens(const struct policy_options *options, const struct verdict *verdict);

/*
 * Turn "no entry allows it" (not listed, empty list, expired) into what
 * policy.default says; denied and unsafe forms stay dropped: what an entry
 * denies, or nobody may be sent in that form, is not for somebody else to get
 * either. A redirect without redirect_to stays a drop, and so does what the
 * hook may still allow (hook_overrides).
 */
void policy_apply(const struct policy_options *options, struct verdict *verdict);

/*
 * The reverse-path that may leave: the sender itself when it is <>, or the
 * list or delivery.senders allows it (a deny entry of the list wins over
 * both); else bounce_to (itself checked: when neither allows it, <>).
 * *replaced_out tells.
 */
void policy_sender(const struct policy_options *options, const struct whitelist_snapshot *snapshot,
		   const struct address *sender, struct span scope, int64_t now,
		   struct address *sender_out, bool *replaced_out);

#endif
