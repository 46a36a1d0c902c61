/* relay/mail/lexer.h - the lexical pieces of structured fields (RFC 5322 3.2, 4.1) */
#ifndef STAGEPOST_RELAY_MAIL_LEXER_H
#define STAGEPOST_RELAY_MAIL_LEXER_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * Each takes its piece off the front of *rest, whole, even where it is
 * malformed, and then says false: what comes behind is never read as if it
 * stood inside. No recursion, linear time. A CRLF or LF counts as a fold when
 * a blank or nothing follows. 8-bit bytes are text everywhere.
 */

/* Blanks, folds and comments (nested); none is fine. */
bool lexer_cfws(struct span *rest);
/* At a `"`. The content, unquoted and unfolded, is appended to `out` (NULL: not). */
bool lexer_quoted(struct span *rest, struct buf *out);
/* At a `[`. The literal with its brackets, pairs undone and folds dropped, is appended to `out`. */
bool lexer_literal(struct span *rest, struct buf *out);
/* The run of atext at the front; empty when there is none. */
struct span lexer_atom(struct span *rest);
/* Is `c` the first byte? */
bool lexer_at(struct span rest, char c);
/* Take `c` off the front if it is there. */
bool lexer_take(struct span *rest, char c);

#endif
