/* relay/filter/tokens.h - JSON (RFC 8259), pulled piece by piece, each with the place it stands at
 */
#ifndef STAGEPOST_RELAY_FILTER_TOKENS_H
#define STAGEPOST_RELAY_FILTER_TOKENS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

#define TOKENS_DEPTH_MAX 8
#define TOKENS_TEXT_MAX	 ((size_t)64 * 1024) /* octets of one string */

enum token {
	TOKEN_OBJECT,
	TOKEN_OBJECT_END,
	TOKEN_ARRAY,
	TOKEN_ARRAY_END,
	TOKEN_NAME, /* of a member; its value follows */
	TOKEN_STRING,
	TOKEN_NUMBER, /* its text is tokens_text() */
	TOKEN_TRUE,
	TOKEN_FALSE,
	TOKEN_NULL,
	TOKEN_END,   /* of the document, with nothing behind it */
	TOKEN_BROKEN /* not JSON, or beyond a limit: `why` says what; it stays so */
};

/* Members are private but for line, column and why. */
struct tokens {
	size_t line;   /* of the token given last, from 1 */
	size_t column; /* in octets, from 1 */
	struct err why;

	struct span text;
	size_t at;
	size_t line_at; /* where the present line begins */
	size_t present_line;
	struct buf string;
	bool in_object[TOKENS_DEPTH_MAX];
	size_t depth;
	enum { WANT_VALUE, WANT_FIRST, WANT_MORE, WANT_END } want;
	bool broken;
};

/* `text` is UTF-8 and outlives it. */
void tokens_init(struct tokens *tokens, struct span text);
void tokens_release(struct tokens *tokens);
enum token tokens_next(struct tokens *tokens);
/* Of a name, string or number, decoded; until the next token. May hold NUL. */
struct span tokens_text(const struct tokens *tokens);
/* Pass over one whole value, whose first token was `first`. False: it is broken. */
bool tokens_skip(struct tokens *tokens, enum token first);

#endif
