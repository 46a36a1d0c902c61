/* relay/wire/base64.c - base64 in its one canonical form (RFC 4648 4) */
#include "relay/wire/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(struct span bytes, struct buf *out)
{
	size_t len = (bytes.len + 2) / 3 * 4;
	char *to = buf_reserve(out, len);

	if (to == NULL)
		return ERR_LIMIT;
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		unsigned group = (unsigned)(unsigned char)bytes.data[i] << 16;

		group |= left > 1 ? (unsigned)(unsigned char)bytes.data[i + 1] << 8 : 0;
		group |= left > 2 ? (unsigned)(unsigned char)bytes.data[i + 2] : 0;
		*to++ = alphabet[group >> 18];
		*to++ = alphabet[group >> 12 & 63];
		*to++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
		*to++ = left > 2 ? alphabet[group & 63] : '=';
	}
	buf_fill(out, len);
	return ERR_OK;
}

/* 0..63, or 64 for what is no digit of base64. */
static unsigned value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : 64;
}

/* Up to two of them, at the very end. */
static size_t count_padding(struct span text)
{
	size_t count = 0;

	while (count < 2 && count < text.len && text.data[text.len - 1 - count] == '=')
		count++;
	return count;
}

/* One group of four, `digits` of them real: digits - 1 bytes. False: it is none. */
static bool decode_group(const char *from, size_t digits, char *to)
{
	unsigned group = 0;

	for (size_t i = 0; i < 4; i++) {
		unsigned value = i < digits ? value_of(from[i]) : 0;

		if (value > 63)
			return false;
		group = group << 6 | value;
	}
	for (size_t i = 0; i + 1 < digits; i++)
		to[i] = (char)(group >> (16 - 8 * i) & 0xff);
	return digits == 4 || (group & (digits == 3 ? 0xffU : 0xffffU)) == 0;
}

int base64_decode(struct span text, struct buf *out)
{
	size_t padding = count_padding(text);
	size_t len = text.len / 4 * 3 - padding;
	char *to;

	if (text.len % 4 != 0)
		return ERR_SYNTAX;
	if (text.len == 0)
		return ERR_OK;
	to = buf_reserve(out, len);
	if (to == NULL)
		return ERR_LIMIT;
	for (size_t i = 0; i < text.len; i += 4)
		if (!decode_group(text.data + i, i + 4 == text.len ? 4 - padding : 4,
				  to + i / 4 * 3))
			return ERR_SYNTAX;
	buf_fill(out, len);
	return ERR_OK;
}
