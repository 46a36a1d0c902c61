/* relay/mail/encoded_word.c - recognising and undoing RFC 2047 encoded words */
#include "relay/mail/encoded_word.h"

#include <assert.h>

#include "base/err.h"
#include "relay/mail/transfer.h"

#define CHARSET_NAME_MAX 40 /* RFC 2978 2.3 */

/* token of RFC 2047 2: no blanks, controls or especials; `*` ends it for RFC 2231. */
static bool is_token(char c)
{
	return c > ' ' && c < 127 && strchr("()<>@,;:\"/[]?.=", c) == NULL;
}

/* The run up to the next `?`, which is cut off with it; false when there is none. */
static bool part_cut(struct span *rest, struct span *part_out)
{
	size_t end = span_find(*rest, '?');

	if (end == rest->len)
		return false;
	*part_out = span_first(*rest, end);
	*rest = span_skip(*rest, end + 1);
	return true;
}

static bool charset_is_valid(struct span charset)
{
	for (size_t i = 0; i < charset.len; i++)
		if (!is_token(charset.data[i]) && charset.data[i] != '.' && charset.data[i] != ':')
			return false;
	return charset.len > 0 && charset.len <= CHARSET_NAME_MAX;
}

bool encoded_word_parse(struct span text, struct encoded_word *word_out)
{
	struct encoded_word word;
	struct span rest = span_skip(text, 2);
	struct span encoding;

	if (text.len < 2 || text.data[0] != '=' || text.data[1] != '?' ||
	    !part_cut(&rest, &word.charset) || !part_cut(&rest, &encoding) ||
	    !part_cut(&rest, &word.text) || rest.len == 0 || rest.data[0] != '=')
		return false;
	word.charset = span_first(word.charset, span_find(word.charset, '*'));
	word.base64 = span_is_fold(encoding, "b");
	if (!charset_is_valid(word.charset) || (!word.base64 && !span_is_fold(encoding, "q")))
		return false;
	word.length = text.len - rest.len + 1;
	*word_out = word;
	return true;
}

static size_t q_decode(struct span text, char *to)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		int high = i + 2 < text.len ? ascii_hex_value(text.data[i + 1]) : -1;
		int low = i + 2 < text.len ? ascii_hex_value(text.data[i + 2]) : -1;

		if (c == '=' && high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		to[len++] = c;
	}
	return len;
}

static void q_append(struct span text, struct buf *out)
{
	char *to = buf_reserve(out, text.len);

	assert(to != NULL);
	buf_fill(out, q_decode(text, to));
}

void encoded_word_append(const struct encoded_word *word, struct buf *out)
{
	struct transfer base64;

	if (!word->base64) {
		q_append(word->text, out);
		return;
	}
	transfer_init(&base64, TRANSFER_BASE64);
	transfer_decode(&base64, word->text, out);
}

/* What a phrase allows unencoded, the narrowest place of all (RFC 2047 5 (3)). */
static bool is_q_safe(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("!*+-/", c) != NULL);
}

/* How many octets the character at the front of `text` has. */
static size_t character_length(struct span text)
{
	size_t len = 1;

	while (len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80)
		len++;
	return len;
}

static size_t q_length(struct span text)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++)
		len += is_q_safe(text.data[i]) || text.data[i] == ' ' ? 1 : 3;
	return len;
}

static char *q_encode(struct span text, char *to)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (is_q_safe(text.data[i])) {
			*to++ = text.data[i];
		} else if (c == ' ') {
			*to++ = '_';
		} else {
			*to++ = '=';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 0xf];
		}
	}
	return to;
}

size_t encoded_word_format(struct span text, char word_out[ENCODED_WORD_SIZE])
{
	static const char front[] = "=?utf-8?q?";
	size_t room = ENCODED_WORD_SIZE - sizeof(front) - strlen("?=");
	size_t len = 0;
	char *to = word_out + sizeof(front) - 1;

	assert(text.len > 0);
	while (len < text.len) {
		struct span character = span_skip(text, len);
		size_t cost;

		character = span_first(character, character_length(character));
		cost = q_length(character);
		if (cost > room)
			break;
		room -= cost;
		len += character.len;
	}
	assert(len > 0); /* a character of UTF-8 is at most 4 octets: 12 of 63 */
	memcpy(word_out, front, sizeof(front) - 1);
	to = q_encode(span_first(text, len), to);
	memcpy(to, "?=", sizeof("?="));
	return len;
}
