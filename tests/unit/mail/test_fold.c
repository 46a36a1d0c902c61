/* tests relay/mail/fold.c, and the writing of encoded words (RFC 5322 2.1.1, RFC 2047 2) */
#include "relay/mail/fold.h"

#include <string.h>

#include "base/err.h"
#include "relay/mail/encoded_word.h"
#include "relay/mail/header.h"
#include "tests/unit/unit.h"

#define A100                                                                                       \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                                       \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A900 A100 A100 A100 A100 A100 A100 A100 A100 A100
#define A93                                                                                        \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaa"

#define B100                                                                                       \
	"                                                  "                                       \
	"                                                  "
#define BLANKS B100 B100 B100 B100 B100 B100

#define X9  "\x80\x80\x80\x80\x80\x80\x80\x80\x80"
#define X90 X9 X9 X9 X9 X9 X9 X9 X9 X9 X9

static const struct {
	const char *body;
	const char *want; /* behind "X-Y:" */
} bodies[] = {
	{"", "\r\n"},
	{" a\r\n b", " a\r\n b\r\n"},
	{" a\r\n \r\n b", " a\r\n \r\n b\r\n"},
	/* 998 octets with the name: as it is */
	{" " A900 A93, " " A900 A93 "\r\n"},
	/* one more: at a blank, also the first */
	{" " A900 A93 "b", "\r\n " A900 A93 "b\r\n"},
	{" b " A900 A93, " b\r\n " A900 A93 "\r\n"},
	{" " A900 " c " A93, " " A900 " c\r\n " A93 "\r\n"},
	/* blanks at the end would make a line of blanks alone */
	{" " A900 A93 "  ", " " A900 A93 "\r\n"},
	{" " A900 A93 " \r\n b", " " A900 A93 "\r\n b\r\n"},
	/* no blank */
	{A900 A100, A900 A93 "a\r\n aaaaaa\r\n"},
	{" a\r\n   " A900 A100 "b", " a\r\n " A900 A93 "aaaa\r\n aaab\r\n"},
	{" a \r\n  " A900 "  " A100, " a \r\n " A900 " \r\n " A100 "\r\n"},
	{"\n" A900 A100 A900 "  \nb", "\n" A900 A93 "aaaaa\r\n aa" A900 "\nb\r\n"},
	{" " A900 A93 " ", " " A900 A93 "\r\n"},
	{BLANKS BLANKS, "\r\n"},
	{" x\r\n" BLANKS BLANKS "y", " x\r\n y\r\n"},
	{A900 X90 X9 "\x80", A900 X90 "\x80\r\n " X9 "\r\n"},
	/* not inside a character */
	{A900 A93 "\xc3\xbc", A900 A93 "\r\n \xc3\xbc\r\n"},
};

START_TEST(lines)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct fold fold;
		struct buf out;

		buf_init(&out, 4096);
		fold_begin(&fold, &out, "X-", span_of("Y"));
		fold_body(&fold, span_of(bodies[i].body));
		ck_assert_int_eq(fold_end(&fold), ERR_OK);
		ck_assert_msg(span_is(span_skip(buf_span(&out), 4), bodies[i].want),
			      "row %zu:\n%.*s", i, (int)out.len, out.data);
		buf_release(&out);
	}
}
END_TEST

START_TEST(words)
{
	struct fold fold;
	struct buf out;

	buf_init(&out, 200);
	fold_begin(&fold, &out, "", span_of("To"));
	fold_word(&fold, span_of(A100));
	fold_join(&fold, ",");
	fold_word(&fold, span_of("b"));
	fold_word(&fold, span_of("c"));
	ck_assert_int_eq(fold_end(&fold), ERR_OK);
	ck_assert(span_is(buf_span(&out), "To:\r\n " A100 ",\r\n b c\r\n"));
	buf_release(&out);
}
END_TEST

START_TEST(ceiling)
{
	struct fold fold;
	struct buf out;

	buf_init(&out, 10);
	fold_begin(&fold, &out, "", span_of("To"));
	fold_word(&fold, span_of("0123456789"));
	fold_word(&fold, span_of("0"));
	ck_assert_int_eq(fold_end(&fold), ERR_LIMIT);
	buf_release(&out);
}
END_TEST

static const struct {
	const char *text;
	const char *want;
	size_t length;
} encoded[] = {
	{"a b_c", "=?utf-8?q?a_b=5Fc?=", 5},
	{"=?x?", "=?utf-8?q?=3D=3Fx=3F?=", 4},
	{"\xc3\xbc\xf0\x9f\x98\x80", "=?utf-8?q?=C3=BC=F0=9F=98=80?=", 6},
	/* 63 octets have room for five of twelve, three of one */
	{"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
	 "abc\xf0\x9f\x98\x80",
	 "=?utf-8?q?=F0=9F=98=80=F0=9F=98=80=F0=9F=98=80=F0=9F=98=80=F0=9F=98=80abc?=", 23},
	{"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
	 "abcd",
	 "=?utf-8?q?=F0=9F=98=80=F0=9F=98=80=F0=9F=98=80=F0=9F=98=80=F0=9F=98=80abc?=", 23},
};

START_TEST(encoded_words)
{
	for (size_t i = 0; i < sizeof(encoded) / sizeof(encoded[0]); i++) {
		char word[ENCODED_WORD_SIZE];
		struct buf shown;

		ck_assert_uint_eq(encoded_word_format(span_of(encoded[i].text), word),
				  encoded[i].length);
		ck_assert_str_eq(word, encoded[i].want);
		buf_init(&shown, 200);
		header_decode_display(span_of(word), &shown);
		ck_assert(span_equal(buf_span(&shown),
				     span_first(span_of(encoded[i].text), encoded[i].length)));
		buf_release(&shown);
	}
}
END_TEST

UNIT_MAIN("mail/fold", lines, words, ceiling, encoded_words)
