/* relay/mail/compose.h - a message made of texts and files, piece by piece (RFC 2045, 2046, 2183)
 */
#ifndef STAGEPOST_RELAY_MAIL_COMPOSE_H
#define STAGEPOST_RELAY_MAIL_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/span.h"

#define COMPOSE_TYPE_MAX     127
#define COMPOSE_FILENAME_MAX 255
#define COMPOSE_PIECE_MAX    ((size_t)32 * 1024)

struct compose_file {
	struct span filename; /* field_is_text, up to COMPOSE_FILENAME_MAX octets; empty: none */
	const char *type;     /* compose_is_type() */
	struct span base64;   /* compose_is_base64() */
};

/* Borrowed until compose_next has said false. */
struct compose_message {
	/* Whole fields, without MIME-Version and Content-*: those are made here. */
	struct span fields;
	/* UTF-8 with any line ends; data NULL: there is none. Both: one stands for the other. */
	struct span text;
	struct span html;
	const struct compose_file *files;
	size_t file_count;
};

/*
 * "type/subtype", perhaps with one charset ("text/csv; charset=utf-8"). Not
 * multipart/ and message/, which base64 may not hold (RFC 2046 5.1, 5.2.1).
 */
bool compose_is_type(struct span type);
/* The alphabet of RFC 4648 4, padded; blanks and line ends anywhere. */
bool compose_is_base64(struct span text);

/*
 * The message, pulled: each call appends up to COMPOSE_PIECE_MAX octets to
 * `out`, which has that much room; false: that was all, and nothing was
 * appended. Lines end in CRLF and have at most 998 octets; the body is ASCII. A text goes as it is
 * where that can be, else quoted-printable or base64, whichever is shorter.
 * The state lives in the arena.
 */
struct compose;
struct compose *compose_begin(const struct compose_message *message, struct arena *arena);
bool compose_next(struct compose *compose, struct buf *out);

#endif
