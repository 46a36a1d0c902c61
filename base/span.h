/* base/span.h - a borrowed run of bytes, looked at and never owned */
#ifndef STAGEPOST_BASE_SPAN_H
#define STAGEPOST_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* May hold NUL bytes and is not NUL-terminated. {NULL, 0} is the empty span. */
struct span {
	const char *data;
	size_t len;
};

static inline struct span span_make(const char *data, size_t len)
{
	return (struct span){data, len};
}

/* The C string without its NUL; NULL gives the empty span. */
static inline struct span span_of(const char *text)
{
	return (struct span){text, text != NULL ? strlen(text) : 0};
}

/* For printf("%.*s", SPAN_ARG(s)). */
#define SPAN_ARG(s) (int)(s).len, ((s).data != NULL ? (s).data : "")

/* ASCII only, whatever the locale: bytes above 127 are left alone. */
static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || ascii_is_alpha(c);
}
/* Of a hexadecimal digit, either case; -1: it is none. */
static inline int ascii_hex_value(char c)
{
	c = ascii_lower(c);
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
/* Space or TAB: the WSP of RFC 5234. */
static inline bool ascii_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool span_equal(struct span a, struct span b);
/* Equal without regard to ASCII case. */
bool span_equal_fold(struct span a, struct span b);
bool span_is(struct span a, const char *text);
bool span_is_fold(struct span a, const char *text);
bool span_starts_fold(struct span a, const char *prefix);
bool span_ends_fold(struct span a, struct span suffix);
/* Memory order: negative, 0 or positive. */
int span_compare(struct span a, struct span b);

/* `from` may be past the end (gives the empty span). */
struct span span_skip(struct span s, size_t from);
struct span span_first(struct span s, size_t len);
/* Without blanks, CR and LF at either end. */
struct span span_trim(struct span s);
/* Index of `c`, or s.len when it is not there. */
size_t span_find(struct span s, char c);
size_t span_find_last(struct span s, char c);
/*
 * Cut the run up to `separator` off the front of *rest and return it; the
 * separator is dropped. At the end *rest becomes {NULL, 0}.
 */
struct span span_cut(struct span *rest, char separator);

/*
 * Decimal digits only, no sign, no blank, at most `max`. Returns ERR_OK,
 * ERR_SYNTAX, or ERR_LIMIT when the number is larger (however long it is).
 */
int span_to_u64(struct span s, uint64_t max, uint64_t *value_out);

/* Every byte is 1..127. */
bool span_is_ascii(struct span s);
/* Valid UTF-8 (no overlong forms, no surrogates, at most U+10FFFF). NUL is allowed. */
bool span_is_utf8(struct span s);
/* An octet above 127 is in it. */
bool span_has_8bit(struct span s);

#endif
