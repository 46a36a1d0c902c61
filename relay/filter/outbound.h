/* relay/filter/outbound.h - the header section of the copy that leaves (DESIGN P5, 5) */
#ifndef STAGEPOST_RELAY_FILTER_OUTBOUND_H
#define STAGEPOST_RELAY_FILTER_OUTBOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "relay/filter/let_out.h"
#include "relay/filter/policy.h"
#include "relay/filter/whitelist.h"

/* In front of the names of fields that carry what a rewritten one said. */
#define OUTBOUND_ORIGINAL "X-Stagepost-Original-"

/*
 * A longer header section is not rewritten in memory, nor one that grows
 * beyond the other: a person must look. Whatever is within the limits of
 * relay/mail/header.h stays within these.
 */
#define OUTBOUND_SECTION_MAX (2 * 1024 * 1024)
#define OUTBOUND_HEADER_MAX  (8 * 1024 * 1024)

/* What decides about the copy. */
struct outbound_case {
	const struct policy_options *policy;
	/*
	 * The list in force. NULL: only Bcc and control fields go, whatever the
	 * policy; for a message that is quoted in another.
	 */
	const struct whitelist_snapshot *list;
	/* Who gets this message without an entry of the list; NULL: nobody. */
	const struct let_out *let_out;
	struct span scope;
	int64_t now;	    /* clock_steady_wall_ms() */
	bool header_parsed; /* false: no address field of it is believed (DESIGN 4.8) */
};

struct outbound_count {
	size_t bcc;	   /* Bcc and Resent-Bcc fields removed */
	size_t control;	   /* provider control fields removed */
	size_t addresses;  /* fields that the header policy rewrote or removed */
	size_t subjects;   /* that got policy.subject_tag */
	size_t signatures; /* DKIM-Signature and ARC-* fields that this broke, and that were renamed
			    */
};

static inline void outbound_count_add(struct outbound_count *to, const struct outbound_count *one)
{
	to->bcc += one->bcc;
	to->control += one->control;
	to->addresses += one->addresses;
	to->subjects += one->subjects;
	to->signatures += one->signatures;
}

/*
 * Add `front` (fields of our own, as they are) and then the header section `section` (as stored,
 * with its empty line if it had one) to `out`, without Bcc, Resent-Bcc and control fields, with
 * the header policy applied and the subject tagged (DESIGN 5). Every other byte stays; from the
 * first empty line on nothing is looked at. Returns ERR_OK, or ERR_LIMIT (out's ceiling; out is as
 * before).
 *
 * Fail closed: there is no limit on size or number of fields; a field goes,
 * or is rewritten, when any lenient reader might take its name for one of
 * these (blanks, controls or 8-bit bytes in it, a fold before the colon), with
 * all its folded lines. A line without a colon ends nothing and stays.
 *
 * With defang a field that is rewritten is followed by an X-Stagepost-Original-
 * field with its body as it was; strip leaves nothing behind. When
 * no address field and no subject was changed, signatures are left alone.
 */
int outbound_header(const struct outbound_case *at, struct span front, struct span section,
		    struct buf *out, struct outbound_count *count_out);

#endif
