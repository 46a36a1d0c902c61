/* relay/mail/encode.c - a Content-Transfer-Encoding, written piece by piece */
#include "relay/mail/encode.h"

#include <assert.h>

#define LINE_MAX_7BIT 998 /* RFC 5322 2.1.1 */
#define LINE_USUAL    76  /* RFC 2045 6.7 (5), 6.8 */

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* --- choosing -----------------------------------------------------------------------------------
 */

static bool is_line_byte(char c)
{
	return c == '\r' || c == '\n';
}

/*
 * Lines that are safe as they are: printable ASCII and TAB, not too long, not
 * "From " (which mbox would change), no blank at an end (which some cut).
 */
static bool is_7bit(struct span text)
{
	size_t start = 0;

	for (size_t i = 0; i <= text.len; i++) {
		struct span line = span_make(text.data + start, i - start);

		if (i < text.len && !is_line_byte(text.data[i])) {
			unsigned char c = (unsigned char)text.data[i];

			if ((c < ' ' && c != '\t') || c >= 127)
				return false;
			continue;
		}
		if (line.len > LINE_MAX_7BIT || span_is(span_first(line, 5), "From ") ||
		    (line.len > 0 && ascii_is_blank(line.data[line.len - 1])))
			return false;
		start = i + 1;
	}
	return true;
}

enum encode_kind encode_choose(struct span text)
{
	size_t costly = 0;

	if (text.len == 0 || is_7bit(text))
		return ENCODE_7BIT;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		costly += c >= 127 || c == '=' || (c < ' ' && c != '\t' && !is_line_byte((char)c));
	}
	/* two octets more for each, against one for three of all */
	return costly > text.len / 6 ? ENCODE_BASE64 : ENCODE_QUOTED;
}

const char *encode_name(enum encode_kind kind)
{
	switch (kind) {
	case ENCODE_7BIT: return "7bit";
	case ENCODE_QUOTED: return "quoted-printable";
	case ENCODE_BASE64:
	case ENCODE_WRAP: break;
	}
	return "base64";
}

void encode_init(struct encode *encode, enum encode_kind kind, struct span bytes)
{
	*encode = (struct encode){.kind = kind, .rest = bytes};
}

/* --- one step each: at most ENCODE_STEP_MAX octets
 * ------------------------------------------------- */

/* CRLF, CR or LF off the front. */
static bool take_line_end(struct span *rest)
{
	size_t len = 0;

	if (rest->len > 0 && rest->data[0] == '\r')
		len++;
	if (rest->len > len && rest->data[len] == '\n')
		len++;
	*rest = span_skip(*rest, len);
	return len > 0;
}

static void put(struct buf *out, const char *text, size_t len)
{
	int code = buf_append(out, text, len);

	assert(code == 0); /* the caller's room */
}

static char take(struct encode *e)
{
	char c = e->rest.data[0];

	e->rest = span_skip(e->rest, 1);
	return c;
}

static void step_7bit(struct encode *e, struct buf *out)
{
	if (take_line_end(&e->rest))
		put(out, "\r\n", 2);
	else
		(void)buf_append_char(out, take(e));
}

/* Blanks in front of a line end, and what gateways or mbox would change at the front of a line. */
static bool must_quote(const struct encode *e)
{
	char c = e->rest.data[0];
	bool ends = e->rest.len == 1 || is_line_byte(e->rest.data[1]);

	if (ascii_is_blank(c))
		return ends;
	if (e->column == 0 && (c == '.' || span_is(span_first(e->rest, 5), "From ")))
		return true;
	return (unsigned char)c < ' ' || (unsigned char)c >= 127 || c == '=';
}

static void step_quoted(struct encode *e, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	bool quote;
	size_t cost;

	if (take_line_end(&e->rest)) {
		put(out, "\r\n", 2);
		e->column = 0;
		return;
	}
	quote = must_quote(e);
	cost = quote ? 3 : 1;
	if (e->column + cost > LINE_USUAL - 1) { /* the last one is for the soft line end */
		put(out, "=\r\n", 3);
		e->column = 0;
		quote = must_quote(e);
		cost = quote ? 3 : 1;
	}
	if (quote) {
		unsigned char c = (unsigned char)take(e);
		const char text[3] = {'=', digits[c >> 4], digits[c & 15]};

		put(out, text, sizeof(text));
	} else {
		(void)buf_append_char(out, take(e));
	}
	e->column += cost;
}

static void put_wrapped(struct encode *e, const char *digits, size_t len, struct buf *out)
{
	if (e->column == LINE_USUAL) {
		put(out, "\r\n", 2);
		e->column = 0;
	}
	put(out, digits, len);
	e->column += len;
}

static void put_group(struct encode *e, struct buf *out)
{
	unsigned char *held = e->held;
	char text[4] = {'=', '=', '=', '='};

	for (size_t i = e->held_len; i < 3; i++)
		held[i] = 0;
	text[0] = base64_digits[held[0] >> 2];
	text[1] = base64_digits[(held[0] & 3) << 4 | held[1] >> 4];
	if (e->held_len > 1)
		text[2] = base64_digits[(held[1] & 15) << 2 | held[2] >> 6];
	if (e->held_len > 2)
		text[3] = base64_digits[held[2] & 63];
	put_wrapped(e, text, sizeof(text), out);
	e->held_len = 0;
}

static void hold(struct encode *e, char c, struct buf *out)
{
	e->held[e->held_len++] = (unsigned char)c;
	if (e->held_len == 3)
		put_group(e, out);
}

static void step_base64(struct encode *e, struct buf *out)
{
	if (take_line_end(&e->rest)) {
		hold(e, '\r', out);
		hold(e, '\n', out);
	} else {
		hold(e, take(e), out);
	}
}

static void step_wrap(struct encode *e, struct buf *out)
{
	char c = take(e);

	if (!ascii_is_blank(c) && !is_line_byte(c))
		put_wrapped(e, &c, 1, out);
}

bool encode_next(struct encode *encode, size_t room, struct buf *out)
{
	size_t begun = out->len;

	assert(room >= ENCODE_STEP_MAX);
	while (encode->rest.len > 0 && room - (out->len - begun) >= ENCODE_STEP_MAX) {
		switch (encode->kind) {
		case ENCODE_7BIT: step_7bit(encode, out); break;
		case ENCODE_QUOTED: step_quoted(encode, out); break;
		case ENCODE_BASE64: step_base64(encode, out); break;
		case ENCODE_WRAP: step_wrap(encode, out); break;
		}
	}
	if (encode->rest.len > 0 || room - (out->len - begun) < ENCODE_STEP_MAX)
		return false;
	if (encode->held_len > 0)
		put_group(encode, out);
	return true;
}
