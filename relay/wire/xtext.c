/* relay/wire/xtext.c - any bytes inside a parameter value (RFC 3461 4) */
#include "relay/wire/xtext.h"

#include "base/err.h"

static bool is_xchar(char c)
{
	return c >= 33 && c <= 126 && c != '+' && c != '=';
}

int xtext_encode(struct span bytes, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t before = out->len;
	int code = ERR_OK;

	for (size_t i = 0; i < bytes.len && code == ERR_OK; i++) {
		unsigned char c = (unsigned char)bytes.data[i];
		const char coded[] = {'+', digits[c >> 4], digits[c & 15]};

		code = is_xchar(bytes.data[i]) ? buf_append_char(out, bytes.data[i])
					       : buf_append(out, coded, sizeof(coded));
	}
	if (code != ERR_OK)
		buf_truncate(out, before);
	return code;
}

static int hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that stands at text[*at]; moves *at. Negative: ERR_SYNTAX. */
static int decode_one(struct span text, size_t *at)
{
	int high;
	int low;

	if (is_xchar(text.data[*at]))
		return text.data[(*at)++];
	if (text.data[*at] != '+' || text.len - *at < 3)
		return ERR_SYNTAX;
	high = hex_value(text.data[*at + 1]);
	low = hex_value(text.data[*at + 2]);
	if (high < 0 || low < 0 || (high == 0 && low == 0))
		return ERR_SYNTAX;
	*at += 3;
	return high * 16 + low;
}

int xtext_decode(struct span text, struct buf *out)
{
	size_t before = out->len;
	size_t at = 0;
	int code = ERR_OK;

	while (at < text.len && code == ERR_OK) {
		int value = decode_one(text, &at);

		code = value < 0 ? value : buf_append_char(out, (char)value);
	}
	if (code != ERR_OK)
		buf_truncate(out, before);
	return code;
}
