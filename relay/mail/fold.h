/* relay/mail/fold.h - writing a header field, folded (RFC 5322 2.1.1, 2.2.3) */
#ifndef STAGEPOST_RELAY_MAIL_FOLD_H
#define STAGEPOST_RELAY_MAIL_FOLD_H

#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

#define FOLD_LINE_USUAL 78  /* octets of a line, where words allow it */
#define FOLD_LINE_MAX	998 /* whatever is written */

/*
 * One field on its way into `out`. The calls below do nothing any more once
 * `code` is not ERR_OK; nobody has to look before the end. Plain value.
 */
struct fold {
	struct buf *out;
	size_t column; /* octets on the line under way */
	int code;      /* ERR_OK, or ERR_LIMIT: the ceiling of `out` */
};

/* "Name:". A name of at most 900 octets. */
void fold_begin(struct fold *fold, struct buf *out, const char *prefix, struct span name);
/* A blank, or a fold where the line would grow too long, then the word: at most 900 octets, no line
 * end in it. */
void fold_word(struct fold *fold, struct span word);
/* Directly behind what is there: a few octets, such as a comma. */
void fold_join(struct fold *fold, const char *text);
/*
 * The body of another field as it is, folds and all, behind the colon. Only a
 * line that is longer than FOLD_LINE_MAX is folded once more, at a blank where
 * there is one.
 */
void fold_body(struct fold *fold, struct span body);
/* The last line end. Returns `code`. */
int fold_end(struct fold *fold);

#endif
