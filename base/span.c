/* base/span.c - a borrowed run of bytes, looked at and never owned */
#include "base/span.h"

#include "base/err.h"

bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool span_equal_fold(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
			return false;
	return true;
}

bool span_is(struct span a, const char *text)
{
	return span_equal(a, span_of(text));
}

bool span_is_fold(struct span a, const char *text)
{
	return span_equal_fold(a, span_of(text));
}

bool span_starts_fold(struct span a, const char *prefix)
{
	struct span p = span_of(prefix);

	return a.len >= p.len && span_equal_fold(span_first(a, p.len), p);
}

bool span_ends_fold(struct span a, struct span suffix)
{
	return a.len >= suffix.len && span_equal_fold(span_skip(a, a.len - suffix.len), suffix);
}

int span_compare(struct span a, struct span b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common > 0 ? memcmp(a.data, b.data, common) : 0;

	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

struct span span_skip(struct span s, size_t from)
{
	if (from >= s.len)
		return span_make(NULL, 0);
	return span_make(s.data + from, s.len - from);
}

struct span span_first(struct span s, size_t len)
{
	return span_make(s.data, len < s.len ? len : s.len);
}

static bool is_space(char c)
{
	return ascii_is_blank(c) || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
	while (s.len > 0 && is_space(s.data[0]))
		s = span_skip(s, 1);
	while (s.len > 0 && is_space(s.data[s.len - 1]))
		s.len--;
	return s;
}

size_t span_find(struct span s, char c)
{
	const char *at = s.len > 0 ? memchr(s.data, c, s.len) : NULL;

	return at != NULL ? (size_t)(at - s.data) : s.len;
}

size_t span_find_last(struct span s, char c)
{
	for (size_t i = s.len; i > 0; i--)
		if (s.data[i - 1] == c)
			return i - 1;
	return s.len;
}

struct span span_cut(struct span *rest, char separator)
{
	size_t at = span_find(*rest, separator);
	struct span head = span_first(*rest, at);

	*rest = span_skip(*rest, at + 1);
	return head;
}

int span_to_u64(struct span s, uint64_t max, uint64_t *value_out)
{
	uint64_t value = 0;
	bool over = false;

	if (s.len == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		uint64_t digit;

		if (!ascii_is_digit(s.data[i]))
			return ERR_SYNTAX;
		digit = (uint64_t)(s.data[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			over = true;
		else
			value = value * 10 + digit;
	}
	if (over || value > max)
		return ERR_LIMIT;
	*value_out = value;
	return ERR_OK;
}

bool span_is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] <= 0)
			return false;
	return true;
}

/* Length of the well-formed sequence at s[0], or 0. Unicode 15, table 3-7. */
static size_t utf8_length(struct span s)
{
	const unsigned char *b = (const unsigned char *)s.data;
	unsigned char low = 0x80;
	unsigned char high = 0xbf;
	size_t len;

	if (b[0] < 0x80)
		return 1;
	if (b[0] >= 0xc2 && b[0] <= 0xdf) {
		len = 2;
	} else if (b[0] >= 0xe0 && b[0] <= 0xef) {
		len = 3;
		low = b[0] == 0xe0 ? 0xa0 : 0x80;
		high = b[0] == 0xed ? 0x9f : 0xbf;
	} else if (b[0] >= 0xf0 && b[0] <= 0xf4) {
		len = 4;
		low = b[0] == 0xf0 ? 0x90 : 0x80;
		high = b[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (s.len < len || b[1] < low || b[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (b[i] < 0x80 || b[i] > 0xbf)
			return 0;
	return len;
}

bool span_has_8bit(struct span s)
{
	uint64_t seen = 0;
	size_t i = 0;

	for (; i + 8 <= s.len; i += 8) {
		uint64_t word;

		memcpy(&word, s.data + i, 8);
		seen |= word;
	}
	for (; i < s.len; i++)
		seen |= (unsigned char)s.data[i];
	return (seen & UINT64_C(0x8080808080808080)) != 0;
}

bool span_is_utf8(struct span s)
{
	while (s.len > 0) {
		size_t len = utf8_length(s);

		if (len == 0)
			return false;
		s = span_skip(s, len);
	}
	return true;
}
