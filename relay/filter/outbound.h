/* relay/filter/outbound.h - the header section of the copy that leaves (DESIGN P5, 5) */
#ifndef STAGEPOST_RELAY_FILTER_OUTBOUND_H
#define STAGEPOST_RELAY_FILTER_OUTBOUND_H

#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "relay/filter/policy.h"

struct outbound_count {
	size_t bcc;	/* Bcc and Resent-Bcc fields removed */
	size_t control; /* provider control fields removed */
};

/*
 * Write `received_field` and then the header section `section` (as stored,
 * with its empty line if it had one) without Bcc, Resent-Bcc and control
 * fields. Every other byte stays. Returns ERR_OK or ERR_LIMIT (out's ceiling).
 * A section over the header limits is passed through field by field all the
 * same: removal never stops at a limit (fail closed).
 */
int outbound_header(const struct policy_options *options, struct span received_field,
		    struct span section, struct buf *out, struct outbound_count *count_out);

#endif
