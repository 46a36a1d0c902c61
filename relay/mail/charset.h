/* relay/mail/charset.h - bytes of some charset to UTF-8 that is safe to show */
#ifndef STAGEPOST_RELAY_MAIL_CHARSET_H
#define STAGEPOST_RELAY_MAIL_CHARSET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* Private but for `full`. Between init and release it may hold one open iconv decoder. */
struct charset_writer {
	struct buf *out;
	bool full;	   /* a character did not fit: nothing more is written */
	void *decoder;	   /* iconv_t, or NULL */
	char name[41];	   /* what `decoder` was opened for, folded */
	unsigned openings; /* what a peer may cost us is bounded */
};

void charset_writer_init(struct charset_writer *writer, struct buf *out);
void charset_writer_release(struct charset_writer *writer);

/*
 * Can charset_write convert it? The common ones are built in, iconv knows the
 * rest; one writer asks iconv at most 64 times and then knows no more.
 */
bool charset_is_known(struct charset_writer *writer, struct span charset);

/*
 * Append `bytes`, converted. Always valid UTF-8: TAB becomes a blank, other
 * controls and bytes that the charset does not know become U+FFFD. What is
 * not known writes nothing. Linear time.
 */
void charset_write(struct charset_writer *writer, struct span charset, struct span bytes);

#endif
