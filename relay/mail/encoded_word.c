/* relay/mail/encoded_word.c - recognising and undoing RFC 2047 encoded words */
#include "relay/mail/encoded_word.h"

#include <assert.h>

#include "base/err.h"

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

static int hex_value(char c)
{
	c = ascii_lower(c);
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t q_decode(struct span text, char *to)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		int high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
		int low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;

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

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 2045 6.8: what is not in the alphabet is skipped, and the first `=` ends it. */
static size_t base64_decode(struct span text, char *to)
{
	unsigned bits = 0;
	unsigned count = 0;
	size_t len = 0;

	for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
		int value = base64_value(text.data[i]);

		if (value < 0)
			continue;
		bits = (bits << 6 | (unsigned)value) & 0xffff;
		count += 6;
		if (count >= 8) {
			count -= 8;
			to[len++] = (char)(unsigned char)(bits >> count);
		}
	}
	return len;
}

void encoded_word_append(const struct encoded_word *word, struct buf *out)
{
	char *to = buf_reserve(out, word->text.len);

	assert(to != NULL);
	buf_fill(out, word->base64 ? base64_decode(word->text, to) : q_decode(word->text, to));
}
