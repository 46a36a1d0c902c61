/* relay/smtp/fixups.h - what a submission server adds where it is missing (RFC 6409 8) */
#ifndef STAGEPOST_RELAY_SMTP_FIXUPS_H
#define STAGEPOST_RELAY_SMTP_FIXUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

struct fixups {
	struct span section; /* the header section as stored, CRLF line ends */
	const char *id;	     /* the message's ULID */
	const char *hostname;
	int64_t received_at;
	bool added_message_id; /* out */
};

/*
 * Append what goes in front of the section: Date and Message-ID where it has
 * none. The header ends, as it does for most readers, at the first line that
 * is no field. Where that is the very first line an empty line is appended
 * too, or the message's own first line would continue our last one. ERR_LIMIT
 * at out's ceiling. Pure.
 */
int fixups_format(struct fixups *fixups, struct buf *out);

#endif
