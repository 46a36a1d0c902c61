/* relay/mail/transfer.h - undoing a Content-Transfer-Encoding, piece by piece (RFC 2045 6) */
#ifndef STAGEPOST_RELAY_MAIL_TRANSFER_H
#define STAGEPOST_RELAY_MAIL_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

enum transfer_encoding {
	TRANSFER_IDENTITY, /* 7bit, 8bit, binary; and what nobody knows: its bytes as they are */
	TRANSFER_BASE64,
	TRANSFER_QUOTED /* quoted-printable */
};

#define TRANSFER_HELD_MAX 80

/* A decoder on its way through a body. A plain value. All private. */
struct transfer {
	enum transfer_encoding encoding;
	bool over; /* base64: the padding has come */
	unsigned bits;
	unsigned digits;
	char held[TRANSFER_HELD_MAX]; /* quoted-printable: what only the next octets explain */
	size_t held_len;
};

enum transfer_encoding transfer_parse(struct span name);

void transfer_init(struct transfer *transfer, enum transfer_encoding encoding);
/*
 * Append what `bytes` decode to, at most bytes.len + TRANSFER_HELD_MAX octets:
 * `out` has the room. The same bytes give the same octets however they are cut.
 *
 * Never fails. base64: what is not in the alphabet is skipped, the first `=`
 * ends it. quoted-printable: blanks at the end of a line go, a broken `=XX`
 * stays as it is written.
 */
void transfer_decode(struct transfer *transfer, struct span bytes, struct buf *out);
/* No more bytes: append what was held back, at most TRANSFER_HELD_MAX octets. */
void transfer_end(struct transfer *transfer, struct buf *out);

#endif
