/* relay/mail/header.h - the header section of a message, field by field (RFC 5322 2.2, 3.6, 4) */
#ifndef STAGEPOST_RELAY_MAIL_HEADER_H
#define STAGEPOST_RELAY_MAIL_HEADER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

#define HEADER_BYTES_MAX  (256 * 1024)
#define HEADER_FIELDS_MAX 1000 /* per message */

/*
 * One field as it stands in the message. All spans point into the message:
 * nothing is copied. Concatenating `raw` of every field gives the header
 * section back byte for byte.
 */
struct header_field {
	struct span raw;  /* name, colon, value and every folded line, with its line ends */
	struct span name; /* without blanks around it; empty when there is no colon */
	struct span body; /* behind the colon, folds included, without the last line end; all of
			     it when there is no colon */
	/*
	 * No colon, a name that is empty or holds anything but 33..126, a fold
	 * before the colon or before any field. What others may read as the
	 * name is given all the same, so that a filter can fail closed.
	 */
	bool malformed;
};

/* Pulled: call header_next until it says false. Linear time, no allocation. */
struct header {
	struct span rest;  /* private */
	size_t room;	   /* private: bytes that may still be parsed */
	size_t fields_max; /* private */
	size_t fields;	   /* seen so far */
	bool over_limit;   /* a limit was met: the rest was not parsed */
};

/*
 * The length of the header section of `message` (CRLF line ends) including
 * the empty line that ends it; message.len when there is none.
 */
size_t header_section_length(struct span message);

/* `section` as measured by header_section_length (or a part of a message that holds it). */
void header_init(struct header *header, struct span section);
/* The same without limits, for what must look at every field (still linear time). */
void header_init_unlimited(struct header *header, struct span section);
/* False at the end, at the empty line, or at a limit (then over_limit is set). */
bool header_next(struct header *header, struct header_field *field_out);

/*
 * The first well-formed field of that name (ASCII case-insensitive); false
 * when there is none within the limits.
 */
bool header_find(struct span section, const char *name, struct header_field *field_out);

/*
 * Append `body` unfolded (RFC 5322 2.2.3): line ends go, the blanks that
 * follow stay. Returns ERR_OK or ERR_LIMIT (out's ceiling; nothing appended).
 */
int header_unfold(struct span body, struct buf *out);

/*
 * For people: append `body` unfolded, without blanks at either end, encoded
 * words decoded (RFC 2047), always valid UTF-8; TAB becomes a blank, CR, LF,
 * NUL, other controls and what the charset does not know become U+FFFD. An
 * encoded word in an unknown charset stays as it is written. Never fails:
 * what does not fit under out's ceiling is cut at a character.
 */
void header_decode_display(struct span body, struct buf *out);

#endif
