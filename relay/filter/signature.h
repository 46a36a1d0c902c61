/* relay/filter/signature.h - which signatures a change of the header breaks (RFC 6376, 8617) */
#ifndef STAGEPOST_RELAY_FILTER_SIGNATURE_H
#define STAGEPOST_RELAY_FILTER_SIGNATURE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* Names of fields that were changed, added or taken away. Plain value; bounded. */
struct touched {
	struct buf names; /* in lower case, each with a line end */
	bool all;	  /* too many: take it that every field was */
};

void touched_init(struct touched *touched);
void touched_release(struct touched *touched);
void touched_add(struct touched *touched, struct span name);

/*
 * The DKIM-Signature or ARC-Message-Signature with this body signs a field of such a name, or can't
 * be read. Which of several fields of one name it signs is not looked into.
 */
bool signature_breaks(struct span body, const struct touched *touched);

#define SIGNATURE_NEWEST 1000 /* RFC 8617 4.2.1: there are 50 at most */
/*
 * The i= tag of an ARC-Message-Signature, greater for a newer one. One that
 * can't be read is the newest there is.
 */
unsigned signature_instance(struct span body);

#endif
