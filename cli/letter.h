/* cli/letter.h - a message as programs hand it to sendmail: any line ends, perhaps no header */
#ifndef STAGEPOST_CLI_LETTER_H
#define STAGEPOST_CLI_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "cli/addressees.h"

#define LETTER_MAX ((size_t)256 * 1024 * 1024)

/* Read once, then looked at. Line ends are CRLF, the last line has one. */
struct letter {
	struct buf text;
	/*
	 * Of `text`: the well-formed fields at its front, and what comes behind
	 * the header. A first line that is no field begins the body, whether an
	 * empty line stands there or not.
	 */
	struct span fields;
	struct span body;
	bool has_8bit;
};

/*
 * To the end of `in`, or with `dot_ends` to a line of a single dot. An mbox
 * line ("From …") at the front is dropped. ERR_IO, ERR_LIMIT (LETTER_MAX).
 */
int letter_read(FILE *in, bool dot_ends, struct letter *letter_out, struct err *why);
void letter_release(struct letter *letter);

/*
 * Whom the header names: Resent-To, -Cc and -Bcc where there is one of them,
 * else To, Cc and Bcc. As addressees_add.
 */
int letter_addressees(const struct letter *letter, const char *domain,
		      struct addressees *addressees, struct err *why);

/* What is added where it is missing. */
struct letter_author {
	const char *name;	       /* valid for field_text, "" for none */
	const struct address *mailbox; /* printable */
	const char *domain;	       /* of a Message-ID */
};
/*
 * The header to send, up to and including the empty line: From, Date and
 * Message-ID where there are none, then the fields as they are, but for Bcc
 * and Resent-Bcc with `strip_bcc`. ERR_LIMIT: out's ceiling.
 */
int letter_header(const struct letter *letter, const struct letter_author *author, bool strip_bcc,
		  struct buf *out);

#endif
