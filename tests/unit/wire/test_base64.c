/* tests relay/wire/base64.c */
#include "relay/wire/base64.h"

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* RFC 4648 10, and bytes that need the last letters of the alphabet. */
static const struct {
	struct span bytes;
	const char *text;
} pairs[] = {
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
	{B(""), ""},
	{B("f"), "Zg=="},
	{B("fo"), "Zm8="},
	{B("foo"), "Zm9v"},
	{B("foob"), "Zm9vYg=="},
	{B("fooba"), "Zm9vYmE="},
	{B("foobar"), "Zm9vYmFy"},
	{B("\0u\0p"), "AHUAcA=="},
	{B("\xff\xef\xbe"), "/+++"},
};

START_TEST(both_ways)
{
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct buf text;
		struct buf bytes;

		buf_init(&text, 100);
		buf_init(&bytes, 100);
		ck_assert_int_eq(base64_encode(pairs[i].bytes, &text), ERR_OK);
		ck_assert(span_is(buf_span(&text), pairs[i].text));
		ck_assert_int_eq(base64_decode(span_of(pairs[i].text), &bytes), ERR_OK);
		ck_assert(span_equal(buf_span(&bytes), pairs[i].bytes));
		buf_release(&text);
		buf_release(&bytes);
	}
}
END_TEST

/* S060 */
START_TEST(refused)
{
	static const struct span rows[] = {
		B("="),	       B("===="),  B("A"),	  B("AA"),	   B("AAA"),  B("A==="),
		B("AA=A"),     B("=AAA"),  B("AA==AAAA"), B("Zh=="),	   B("Zm9="), B("Zm 9"),
		B(" Zm9v"),    B("Zm9v "), B("Zm9v\n"),	  B("Zm9_"),	   B("Zm-v"), B("Zm9\0"),
		B("Zm9v===="), B("*"),	   B("Zm9*"),	  B("\xc3\xa9=="),
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf bytes;

		buf_init(&bytes, 100);
		buf_append_text(&bytes, "kept");
		ck_assert_msg(base64_decode(rows[i], &bytes) == ERR_SYNTAX, "row %zu", i);
		ck_assert(span_is(buf_span(&bytes), "kept"));
		buf_release(&bytes);
	}
}
END_TEST

START_TEST(ceilings)
{
	struct buf out;

	buf_init(&out, 3);
	ck_assert_int_eq(base64_encode(span_of("x"), &out), ERR_LIMIT);
	ck_assert_int_eq(base64_decode(span_of("Zm9vYg=="), &out), ERR_LIMIT);
	ck_assert_int_eq(base64_decode(span_of("Zm9v"), &out), ERR_OK);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("wire/base64", both_ways, refused, ceilings)
