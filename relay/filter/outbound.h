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
 * Add `front` (fields of our own, as they are) and then the header section `section` (as stored,
 * with its empty line if it had one) to `out`, without Bcc, Resent-Bcc and control fields. Every
 * other byte stays; from the first empty line on nothing is looked at. Returns ERR_OK, or ERR_LIMIT
 * (out's ceiling; out is as before).
 *
 * Fail closed: there is no limit on size or number of fields; a field goes
 * when any lenient reader might take its name for one of these (blanks,
 * controls or 8-bit bytes in it, a fold before the colon), with all its
 * folded lines. A line without a colon ends nothing and stays.
 */
int outbound_header(const struct policy_options *options, struct span front, struct span section,
		    struct buf *out, struct outbound_count *count_out);

#endif
