/* relay/mail/encode.h - a Content-Transfer-Encoding, written piece by piece (RFC 2045 6) */
#ifndef STAGEPOST_RELAY_MAIL_ENCODE_H
#define STAGEPOST_RELAY_MAIL_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

enum encode_kind {
	ENCODE_7BIT,   /* as it is, line ends made CRLF; see encode_choose */
	ENCODE_QUOTED, /* quoted-printable; line ends are line ends */
	ENCODE_BASE64, /* the same octets as ENCODE_7BIT would give, in lines of 76 */
	ENCODE_WRAP    /* it is base64 already: in lines of 76, without other blanks */
};

/* A plain value on its way through `rest`. All private. */
struct encode {
	enum encode_kind kind;
	struct span rest;
	size_t column;
	unsigned char held[3]; /* base64: what makes no group yet */
	size_t held_len;
	bool over;
};

/* The least room that encode_next wants. */
#define ENCODE_STEP_MAX 16

/* For a text: 7bit where that is possible, else the shorter of the other two. */
enum encode_kind encode_choose(struct span text);
/* "7bit", "quoted-printable", "base64". */
const char *encode_name(enum encode_kind kind);

/* `bytes` is borrowed until encode_next has said true. */
void encode_init(struct encode *encode, enum encode_kind kind, struct span bytes);
/*
 * Append at most `room` octets, at least ENCODE_STEP_MAX, for which `out` has
 * room. True: that was the last of it. The result has no line of more than 76
 * octets, but for ENCODE_7BIT, and ends in the middle of a line when the text does.
 */
bool encode_next(struct encode *encode, size_t room, struct buf *out);

#endif
