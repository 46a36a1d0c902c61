/* relay/mail/charset.h - bytes of some charset to UTF-8 that is safe to show */
#ifndef STAGEPOST_RELAY_MAIL_CHARSET_H
#define STAGEPOST_RELAY_MAIL_CHARSET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

#define CHARSET_NAME_SIZE (40 + 1) /* RFC 2978 2.3 */

/* Private but for `full`. Between init and release it may hold one open iconv decoder. */
struct charset_writer {
	struct buf *out;
	bool full;	   /* a character did not fit: nothing more is written */
	bool lines;	   /* TAB, CR and LF stay what they are */
	void *decoder;	   /* iconv_t, or NULL */
	const char *name;  /* what `decoder` was opened for; NULL: nothing */
	unsigned openings; /* what a peer may cost us is bounded */
};

void charset_writer_init(struct charset_writer *writer, struct buf *out);
void charset_writer_release(struct charset_writer *writer);

/*
 * Can charset_write convert it? The common ones are built in, iconv does the
 * rest of those in charset_name.h; one writer asks it at most 64 times and then
 * knows no more.
 */
bool charset_is_known(struct charset_writer *writer, struct span charset);

/*
 * Append `bytes`, converted. Always valid UTF-8: TAB becomes a blank, other
 * controls and bytes that the charset does not know become U+FFFD. What is
 * not known writes nothing. Linear time.
 */
void charset_write(struct charset_writer *writer, struct span charset, struct span bytes);

#define CHARSET_HELD_MAX 16

/* A text of one charset that comes in pieces. Private but for writer.full. */
struct charset_stream {
	struct charset_writer writer;
	char charset[CHARSET_NAME_SIZE];
	char held[CHARSET_HELD_MAX]; /* the front of a character that was cut in two */
	size_t held_len;
};

/*
 * Into `out`, which the caller empties in between: always valid UTF-8, whole
 * characters at each call. TAB, CR and LF stay; other controls and what the
 * charset does not know become U+FFFD. Without a charset, with US-ASCII and
 * with one that nobody knows it is read as UTF-8. Text without mistakes is the
 * same however it is cut; where a stateful charset is broken, iconv may go on
 * at another place.
 */
void charset_stream_init(struct charset_stream *stream, struct span charset, struct buf *out);
/* At most CHARSET_GROWTH octets for each of `bytes`, and as many for each held. Linear time. */
#define CHARSET_GROWTH 16
void charset_stream_write(struct charset_stream *stream, struct span bytes);
/* No more bytes; the stream may only be released, which this does. */
void charset_stream_end(struct charset_stream *stream);
/* The same where the rest is not wanted. */
void charset_stream_release(struct charset_stream *stream);

#endif
