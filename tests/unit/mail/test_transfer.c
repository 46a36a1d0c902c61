/* tests relay/mail/transfer.c */
#include "relay/mail/transfer.h"

#include "base/err.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static void decode(enum transfer_encoding encoding, struct span bytes, size_t step, struct buf *out)
{
	struct transfer transfer;

	transfer_init(&transfer, encoding);
	while (bytes.len > 0) {
		transfer_decode(&transfer, span_first(bytes, step), out);
		bytes = span_skip(bytes, step);
	}
	transfer_end(&transfer, out);
}

static void check(enum transfer_encoding encoding, struct span in, struct span want, size_t row)
{
	for (size_t step = 1; step <= in.len + 1; step++) {
		struct buf out;

		buf_init(&out, in.len + TRANSFER_HELD_MAX);
		decode(encoding, in, step, &out);
		ck_assert_msg(span_equal(buf_span(&out), want), "row %zu by %zu: %.*s", row, step,
			      SPAN_ARG(buf_span(&out)));
		buf_release(&out);
	}
}

START_TEST(names)
{
	ck_assert_int_eq(transfer_parse(span_of("BASE64")), TRANSFER_BASE64);
	ck_assert_int_eq(transfer_parse(span_of("Quoted-Printable")), TRANSFER_QUOTED);
	ck_assert_int_eq(transfer_parse(span_of("8bit")), TRANSFER_IDENTITY);
	ck_assert_int_eq(transfer_parse(span_of("base 64")), TRANSFER_IDENTITY);
	ck_assert_int_eq(transfer_parse(span_of("")), TRANSFER_IDENTITY);
}
END_TEST

/* S199 */
START_TEST(base64)
{
	static const struct {
		struct span in;
		struct span want;
	} rows[] = {
		{BYTES(""), BYTES("")},
		{BYTES("aGVsbG8="), BYTES("hello")},
		{BYTES("aGVs\r\nbG8=\r\n"), BYTES("hello")},
		{BYTES("aGVsbG8"), BYTES("hello")},
		{BYTES("aA=="), BYTES("h")},
		{BYTES("a"), BYTES("")},
		{BYTES("aGVsbG8=aGVsbG8="), BYTES("hello")},
		{BYTES("aGVsbG8=\r\n--\r\nA footer of a list\r\n"), BYTES("hello")},
		{BYTES("!!!! ==== \x00\xff aGVs"), BYTES("")},
		{BYTES("!!!! \x00\xff aG?Vs"), BYTES("hel")},
		{BYTES("a G\tV\0s"), BYTES("hel")},
		{BYTES("AP/+"), BYTES("\0\xff\xfe")},
		{BYTES("-_AP"), BYTES("\0")},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		check(TRANSFER_BASE64, rows[i].in, rows[i].want, i);
}
END_TEST

START_TEST(quoted_printable)
{
	static const struct {
		struct span in;
		struct span want;
	} rows[] = {
		{BYTES(""), BYTES("")},
		{BYTES("a b\tc\r\nd"), BYTES("a b\tc\r\nd")},
		{BYTES("=41=6a=6A"), BYTES("Ajj")},
		{BYTES("a=\r\nb"), BYTES("ab")},
		{BYTES("a= \t\r\nb"), BYTES("ab")},
		{BYTES("a \t \r\nb"), BYTES("a\r\nb")},
		{BYTES("a=20\r\nb"), BYTES("a \r\nb")},
		{BYTES("a  "), BYTES("a")},
		{BYTES("a="), BYTES("a")},
		{BYTES("a= "), BYTES("a")},
		{BYTES("a=4"), BYTES("a=4")},
		{BYTES("a=ZZ=\r\n=\r\n=="), BYTES("a=ZZ=")},
		{BYTES("=4=41"), BYTES("=4A")},
		{BYTES("==41"), BYTES("=A")},
		{BYTES("= 41"), BYTES("= 41")},
		{BYTES("=4 1"), BYTES("=4 1")},
		{BYTES("=0D=0A"), BYTES("\r\n")},
		{BYTES("=00\xff\0"), BYTES("\0\xff\0")},
		{BYTES("a\rb"), BYTES("a\rb")},
		{BYTES("a\nb"), BYTES("a\nb")},
		{BYTES("a \r\r\nb"), BYTES("a \r\r\nb")},
		{BYTES("a=\rb"), BYTES("a=\rb")},
		{BYTES("a\r"), BYTES("a\r")},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		check(TRANSFER_QUOTED, rows[i].in, rows[i].want, i);
}
END_TEST

/* More blanks than are held: nobody's line is that long, and they are text. */
START_TEST(many_blanks)
{
	char text[1000];
	struct buf out;

	memset(text, ' ', sizeof(text));
	text[0] = 'a';
	text[sizeof(text) - 1] = 'b';
	check(TRANSFER_QUOTED, span_make(text, sizeof(text)), span_make(text, sizeof(text)), 0);
	buf_init(&out, 2000);
	decode(TRANSFER_QUOTED, span_make(text, sizeof(text) - 1), 7, &out);
	ck_assert_uint_le(out.len, sizeof(text) - 1);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("mail/transfer", names, base64, quoted_printable, many_blanks)
