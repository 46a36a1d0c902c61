/* relay/mail/transfer.c - base64 and quoted-printable as they are found, not as they should be */
#include "relay/mail/transfer.h"

#include <assert.h>

#include "base/err.h"

static void put(struct buf *out, const char *data, size_t len)
{
	int code = len > 0 ? buf_append(out, data, len) : ERR_OK;

	assert(code == ERR_OK);
}

enum transfer_encoding transfer_parse(struct span name)
{
	if (span_is_fold(name, "base64"))
		return TRANSFER_BASE64;
	if (span_is_fold(name, "quoted-printable"))
		return TRANSFER_QUOTED;
	return TRANSFER_IDENTITY;
}

void transfer_init(struct transfer *transfer, enum transfer_encoding encoding)
{
	*transfer = (struct transfer){.encoding = encoding};
}

/* --- base64 (RFC 2045 6.8) ----------------------------------------------------------------- */

/* Value + 1; 0: not in the alphabet. */
static const unsigned char digits[256] = {
	['A'] = 1,  ['B'] = 2,	['C'] = 3,  ['D'] = 4,	['E'] = 5,  ['F'] = 6,	['G'] = 7,
	['H'] = 8,  ['I'] = 9,	['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
	['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
	['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
	['/'] = 64,
};

/* Whole groups at the front; returns the octets read. */
static size_t groups_decode(struct span text, char **to)
{
	const unsigned char *in = (const unsigned char *)text.data;
	size_t at = 0;

	for (; at + 4 <= text.len; at += 4) {
		unsigned a = digits[in[at]], b = digits[in[at + 1]];
		unsigned c = digits[in[at + 2]], d = digits[in[at + 3]];
		unsigned group;

		if (a == 0 || b == 0 || c == 0 || d == 0)
			break;
		group = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
		*(*to)++ = (char)(group >> 16);
		*(*to)++ = (char)(group >> 8);
		*(*to)++ = (char)group;
	}
	return at;
}

static void digit_decode(struct transfer *transfer, unsigned value, char **to)
{
	transfer->bits = (transfer->bits << 6 | value) & 0xffffff;
	if (transfer->digits > 0)
		*(*to)++ = (char)(transfer->bits >> (6 - 2 * transfer->digits));
	transfer->digits = (transfer->digits + 1) % 4;
}

static void base64_decode(struct transfer *transfer, struct span text, struct buf *out)
{
	char *from = text.len > 0 && !transfer->over ? buf_reserve(out, text.len) : NULL;
	char *to = from;

	if (from == NULL) {
		assert(text.len == 0 || transfer->over);
		return;
	}
	while (text.len > 0 && !transfer->over) {
		size_t len = transfer->digits == 0 ? groups_decode(text, &to) : 0;
		unsigned value;

		text = span_skip(text, len);
		if (text.len == 0)
			break;
		value = digits[(unsigned char)text.data[0]];
		transfer->over = text.data[0] == '=';
		if (value > 0)
			digit_decode(transfer, value - 1, &to);
		text = span_skip(text, 1);
	}
	buf_fill(out, (size_t)(to - from));
}

/* --- quoted-printable (RFC 2045 6.7) --------------------------------------------------------- */

/*
 * Held back are blanks and a CR, which may be the end of a line, or an `=` and what came of its
 * line or its two digits.
 */
static bool is_escape(const struct transfer *transfer)
{
	return transfer->held_len > 0 && transfer->held[0] == '=';
}

static char held_last(const struct transfer *transfer)
{
	return transfer->held_len > 0 ? transfer->held[transfer->held_len - 1] : '\0';
}

static bool is_half_escape(const struct transfer *transfer)
{
	return is_escape(transfer) && transfer->held_len == 2 &&
	       ascii_hex_value(transfer->held[1]) >= 0;
}

static void let_go(struct transfer *transfer, struct buf *out)
{
	put(out, transfer->held, transfer->held_len);
	transfer->held_len = 0;
}

static void hold(struct transfer *transfer, char c, struct buf *out)
{
	if (transfer->held_len == TRANSFER_HELD_MAX)
		let_go(transfer, out);
	transfer->held[transfer->held_len++] = c;
}

/* Does `c` go with what is held? Then it was dealt with. */
static bool goes_with_held(struct transfer *transfer, char c, struct buf *out)
{
	int value = ascii_hex_value(c);

	if (held_last(transfer) == '\r') {
		if (c != '\n')
			return false;
		if (!is_escape(transfer)) /* blanks before a line end were put there on the way */
			put(out, "\r\n", 2);
		transfer->held_len = 0;
		return true;
	}
	if (is_half_escape(transfer)) {
		char octet;

		if (value < 0)
			return false;
		octet = (char)(ascii_hex_value(transfer->held[1]) << 4 | value);
		transfer->held_len = 0;
		put(out, &octet, 1);
		return true;
	}
	/* The digits stand directly behind their `=`. */
	if (ascii_is_blank(c) || c == '\r' ||
	    (is_escape(transfer) && transfer->held_len == 1 && value >= 0)) {
		hold(transfer, c, out);
		return true;
	}
	return false;
}

static bool is_plain(char c)
{
	return c != '=' && c != ' ' && c != '\t' && c != '\r';
}

static void quoted_decode(struct transfer *transfer, struct span text, struct buf *out)
{
	while (text.len > 0) {
		char c = text.data[0];
		size_t len = 0;

		if (transfer->held_len > 0 && goes_with_held(transfer, c, out)) {
			text = span_skip(text, 1);
			continue;
		}
		let_go(transfer, out);
		while (len < text.len && is_plain(text.data[len]))
			len++;
		put(out, text.data, len);
		text = span_skip(text, len);
		if (text.len > 0)
			hold(transfer, text.data[0], out);
		text = span_skip(text, 1);
	}
}

/* What ends in `=` or blanks is a line that goes on, or white space, and nothing comes. */
static void quoted_end(struct transfer *transfer, struct buf *out)
{
	if (is_half_escape(transfer))
		let_go(transfer, out);
	else if (!is_escape(transfer) && held_last(transfer) == '\r')
		put(out, "\r", 1);
	transfer->held_len = 0;
}

/* --- any ------------------------------------------------------------------------------------- */

void transfer_decode(struct transfer *transfer, struct span bytes, struct buf *out)
{
	switch (transfer->encoding) {
	case TRANSFER_BASE64: base64_decode(transfer, bytes, out); break;
	case TRANSFER_QUOTED: quoted_decode(transfer, bytes, out); break;
	case TRANSFER_IDENTITY: put(out, bytes.data, bytes.len); break;
	}
}

void transfer_end(struct transfer *transfer, struct buf *out)
{
	if (transfer->encoding == TRANSFER_QUOTED)
		quoted_end(transfer, out);
}
