/* relay/mail/lexer.c - folds, comments, quoted strings, literals, atoms */
#include "relay/mail/lexer.h"

#include <assert.h>

#include "base/err.h"

/* The ceiling of `out` is the length of the field: pieces of it always fit. */
static void put(struct buf *out, const char *data, size_t len)
{
	int code = out != NULL ? buf_append(out, data, len) : ERR_OK;

	assert(code == ERR_OK);
}

bool lexer_at(struct span rest, char c)
{
	return rest.len > 0 && rest.data[0] == c;
}

bool lexer_take(struct span *rest, char c)
{
	if (!lexer_at(*rest, c))
		return false;
	*rest = span_skip(*rest, 1);
	return true;
}

static bool is_line_byte(char c)
{
	return c == '\r' || c == '\n';
}

/* At a CR or LF: take one line end; true when it folds (RFC 5322 2.2.3). */
static bool line_end_take(struct span *rest)
{
	bool lf;

	lexer_take(rest, '\r');
	lf = lexer_take(rest, '\n');
	return lf && (rest->len == 0 || ascii_is_blank(rest->data[0]));
}

/* ctext, qtext and dtext with their obsolete controls are all but NUL and line bytes (4.1). */
static bool is_text(char c)
{
	return c != '\0' && !is_line_byte(c);
}

/* Nesting is counted, not recursed into: 10,000 levels cost 10,000 bytes of reading (S196). */
static bool comment_take(struct span *rest)
{
	size_t depth = 0;
	bool good = true;

	do {
		char c;

		if (rest->len == 0)
			return false;
		c = rest->data[0];
		if (is_line_byte(c)) {
			good = line_end_take(rest) && good;
			continue;
		}
		good = good && is_text(c);
		if (c == '\\')
			*rest = span_skip(*rest, 1);
		else if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
		*rest = span_skip(*rest, 1);
	} while (depth > 0);
	return good;
}

bool lexer_cfws(struct span *rest)
{
	bool good = true;

	while (rest->len > 0) {
		char c = rest->data[0];

		if (ascii_is_blank(c))
			*rest = span_skip(*rest, 1);
		else if (is_line_byte(c))
			good = line_end_take(rest) && good;
		else if (c == '(')
			good = comment_take(rest) && good;
		else
			break;
	}
	return good;
}

/* The bytes up to the closing `end`, which is taken; a literal may hold no second `[`. */
static bool enclosed_take(struct span *rest, char end, struct buf *out)
{
	bool good = true;

	while (rest->len > 0 && rest->data[0] != end) {
		char c = rest->data[0];

		if (is_line_byte(c)) {
			good = line_end_take(rest) && good;
			continue;
		}
		if (c == '\\') {
			*rest = span_skip(*rest, 1);
			if (rest->len == 0)
				return false;
			c = rest->data[0]; /* obs-qp: any byte, but it may not cut a fold in two */
			good = good && !(c == '\r' && rest->len > 1 && rest->data[1] == '\n');
		} else {
			good = good && is_text(c) && !(end == ']' && c == '[');
		}
		put(out, &c, 1);
		*rest = span_skip(*rest, 1);
	}
	return lexer_take(rest, end) && good;
}

bool lexer_quoted(struct span *rest, struct buf *out)
{
	bool open = lexer_take(rest, '"');

	return enclosed_take(rest, '"', out) && open;
}

bool lexer_literal(struct span *rest, struct buf *out)
{
	bool open = lexer_take(rest, '[');
	bool good;

	put(out, "[", 1);
	good = enclosed_take(rest, ']', out);
	if (good)
		put(out, "]", 1);
	return good && open;
}

static bool is_atext(char c)
{
	return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

struct span lexer_atom(struct span *rest)
{
	struct span atom;
	size_t len = 0;

	while (len < rest->len && is_atext(rest->data[len]))
		len++;
	atom = span_first(*rest, len);
	*rest = span_skip(*rest, len);
	return atom;
}
