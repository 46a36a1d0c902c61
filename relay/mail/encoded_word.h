/* relay/mail/encoded_word.h - one =?charset?encoding?text?= (RFC 2047 2, RFC 2231 5) */
#ifndef STAGEPOST_RELAY_MAIL_ENCODED_WORD_H
#define STAGEPOST_RELAY_MAIL_ENCODED_WORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

/* Spans point into the text that was parsed. */
struct encoded_word {
	struct span charset; /* without a language suffix */
	struct span text;    /* still encoded */
	bool base64;	     /* "B", else "Q" */
	size_t length;	     /* of the whole word */
};

/*
 * Does `text` begin with an encoded word? Longer words than the 75 octets of
 * RFC 2047 are taken: they exist. Looks no further than the fourth `?`.
 */
bool encoded_word_parse(struct span text, struct encoded_word *word_out);

/*
 * Append the decoded bytes, never more than there were encoded. Broken
 * base64 gives what could be read; a broken `=XX` stays as it is.
 */
void encoded_word_append(const struct encoded_word *word, struct buf *out);

#define ENCODED_WORD_SIZE (75 + 1)
/*
 * The other way: as one word, at most 75 octets, what of `text` (valid UTF-8,
 * not empty) has room in it, in whole characters. The result may stand
 * anywhere an encoded word may (RFC 2047 5). Returns how many octets of `text`
 * it holds, at least one character.
 */
size_t encoded_word_format(struct span text, char word_out[ENCODED_WORD_SIZE]);

#endif
