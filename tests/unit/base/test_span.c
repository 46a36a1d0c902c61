/* tests base/span.c and base/err.c */
#include "base/span.h"

#include "base/err.h"
#include "tests/unit/unit.h"

START_TEST(numbers)
{
	static const struct {
		const char *text;
		int code;
		uint64_t value;
	} rows[] = {
		{"0", ERR_OK, 0},
		{"007", ERR_OK, 7},
		{"1000", ERR_OK, 1000},
		{"1001", ERR_LIMIT, 0},
		{"18446744073709551616", ERR_LIMIT, 0},
		{"99999999999999999999999", ERR_LIMIT, 0},
		{"", ERR_SYNTAX, 0},
		{"-1", ERR_SYNTAX, 0},
		{"+5", ERR_SYNTAX, 0},
		{" 5", ERR_SYNTAX, 0},
		{"5 ", ERR_SYNTAX, 0},
		{"0x10", ERR_SYNTAX, 0},
		{"1e3", ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 42;

		ck_assert_int_eq(span_to_u64(span_of(rows[i].text), 1000, &value), rows[i].code);
		ck_assert_uint_eq(value, rows[i].code == ERR_OK ? rows[i].value : 42);
	}
	{
		uint64_t value;

		ck_assert_int_eq(span_to_u64(span_of("18446744073709551615"), UINT64_MAX, &value),
				 0);
		ck_assert_uint_eq(value, UINT64_MAX);
	}
}
END_TEST

START_TEST(cutting)
{
	struct span rest = span_of("a,,b");

	ck_assert(span_is(span_cut(&rest, ','), "a"));
	ck_assert(span_is(span_cut(&rest, ','), ""));
	ck_assert(span_is(span_cut(&rest, ','), "b"));
	ck_assert_ptr_null(rest.data);
	ck_assert(span_is(span_trim(span_of(" \t x y\r\n")), "x y"));
	ck_assert_uint_eq(span_find_last(span_of("a@b@c"), '@'), 3);
	ck_assert_uint_eq(span_find(span_make(NULL, 0), 'x'), 0);
}
END_TEST

START_TEST(folding_is_ascii_only)
{
	ck_assert(span_is_fold(span_of("MAIL"), "mail"));
	ck_assert(!span_is_fold(span_of("\xc4"), "\xe4"));
	ck_assert(!span_is_fold(span_of("["), "{"));
	ck_assert(!span_equal(span_make("a\0b", 3), span_make("a\0c", 3)));
	ck_assert(span_starts_fold(span_of("Mail From:"), "MAIL FROM:"));
	ck_assert(span_ends_fold(span_of("x.Example.COM"), span_of(".example.com")));
	ck_assert_int_lt(span_compare(span_of("a"), span_of("ab")), 0);
}
END_TEST

START_TEST(utf8)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool valid;
	} rows[] = {
		{"abc", 3, true},
		{"", 0, true},
		{"\0", 1, true},
		{"\xc3\xa9", 2, true},
		{"\xe9", 1, false},
		{"\xc0\xae", 2, false},
		{"\xe0\x80\xaf", 3, false},
		{"\xed\xa0\x80", 3, false},
		{"\xf4\x90\x80\x80", 4, false},
		{"\xf0\x9f\x98\x80", 4, true},
		{"\xf0\x9f\x98", 3, false},
		{"\x80", 1, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(span_is_utf8(span_make(rows[i].bytes, rows[i].len)) == rows[i].valid,
			      "row %zu", i);
	ck_assert(!span_is_ascii(span_make("a\0", 2)));
	ck_assert(!span_is_ascii(span_of("\x80")));
}
END_TEST

START_TEST(eight_bits)
{
	char text[40];

	memset(text, 0x7f, sizeof(text));
	ck_assert(!span_has_8bit(span_make(text, 0)));
	for (size_t len = 0; len < sizeof(text); len++) {
		ck_assert(!span_has_8bit(span_make(text, sizeof(text))));
		text[len] = (char)0x80;
		ck_assert(span_has_8bit(span_make(text, sizeof(text))));
		ck_assert(span_has_8bit(span_make(text, len + 1)));
		ck_assert(!span_has_8bit(span_make(text, len)));
		text[len] = '\0';
	}
}
END_TEST

START_TEST(err_sentences)
{
	struct err why;

	ck_assert_int_eq(err_set(&why, ERR_LIMIT, "%d is too many", 7), ERR_LIMIT);
	ck_assert_int_eq(err_prefix(&why, ERR_LIMIT, "line %d", 3), ERR_LIMIT);
	ck_assert_str_eq(why.text, "line 3: 7 is too many");
	ck_assert_int_eq(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
	ck_assert_str_eq(err_name(ERR_UNSUPPORTED), "unsupported");
	ck_assert_str_eq(err_name(-99), "unknown");
}
END_TEST

UNIT_MAIN("base/span", numbers, cutting, folding_is_ascii_only, utf8, eight_bits, err_sentences)
