/* tests relay/mail/header.c, encoded_word.c and charset.c */
#include "relay/mail/header.h"

#include "base/err.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
#define FFFD "\xef\xbf\xbd"

START_TEST(section_lengths)
{
	static const struct {
		struct span message;
		size_t length;
	} rows[] = {
		{BYTES(""), 0}, /* S202: nothing at all */
		{BYTES("\r\n"), 2},
		{BYTES("\r\nbody\r\n"), 2},
		{BYTES("A: b\r\n"), 6},
		{BYTES("A: b"), 4},
		{BYTES("A: b\r\n\r\nbody\r\n\r\n"), 8},
		{BYTES("A: b\r\n c\r\n\r\n"), 12},
		{BYTES("A: b\r\n \r\n\r\nx"), 11}, /* S191: a line of blanks is a fold */
		{BYTES("A: b\n\nbody\r\n"), 12},   /* a bare LF ends no line */
		{BYTES("A: b\r\r\n\r\nx"), 9},
		{BYTES("\n\r\n\r\n"), 5},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		ck_assert_msg(header_section_length(rows[i].message) == rows[i].length,
			      "row %zu: %zu", i, header_section_length(rows[i].message));
}
END_TEST

/* S191, S192: what a line is taken for; `name` NULL ends the section. */
START_TEST(fields)
{
	static const struct {
		struct span section;
		struct {
			const char *name;
			const char *body;
			bool malformed;
		} want[4];
	} rows[] = {
		{BYTES("A: b\r\nC:d\r\n\r\nbody: no\r\n"), {{"A", " b", false}, {"C", "d", false}}},
		{BYTES("A: b\r\n\tc\r\n  d\r\nE:\r\n\r\n"),
		 {{"A", " b\r\n\tc\r\n  d", false}, {"E", "", false}}},
		{BYTES("A : b\r\n"), {{"A", " b", false}}},
		{BYTES("A\t :b"), {{"A", "b", false}}},
		{BYTES(": b\r\n"), {{"", " b", true}}},
		{BYTES("no colon\r\nA:b\r\n"), {{"", "no colon", true}, {"A", "b", false}}},
		{BYTES("A b: c\r\n"), {{"A b", " c", true}}},
		{BYTES("\xc3\xa9: c\r\n"), {{"\xc3\xa9", " c", true}}},
		{BYTES(" Bcc: x\r\nA:b\r\n"), {{"Bcc", " x", true}, {"A", "b", false}}},
		{BYTES("Bcc\r\n : x\r\nA:b\r\n"), {{"Bcc", " x", true}, {"A", "b", false}}},
		{BYTES("A: b\r\n \r\n\t\r\nC: d\r\n"),
		 {{"A", " b\r\n \r\n\t", false}, {"C", " d", false}}},
		{BYTES("From x@y Mon\r\nA: 1:2\r\n"),
		 {{"", "From x@y Mon", true}, {"A", " 1:2", false}}},
		{BYTES("\xef\xbb\xbf"
		       "A: b\r\n"),
		 {{"\xef\xbb\xbf"
		   "A",
		   " b", true}}},
		{BYTES("A: b\nBcc: c\r\n"), {{"A", " b\nBcc: c", false}}},
		{BYTES("A: b\r"), {{"A", " b\r", false}}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct header header;
		struct header_field field;
		size_t n = 0;

		header_init(&header, rows[i].section);
		for (; header_next(&header, &field); n++) {
			ck_assert_uint_lt(n, 4);
			ck_assert_msg(rows[i].want[n].name != NULL, "row %zu: too many", i);
			ck_assert_msg(span_is(field.name, rows[i].want[n].name), "row %zu: %.*s", i,
				      SPAN_ARG(field.name));
			ck_assert_msg(span_is(field.body, rows[i].want[n].body), "row %zu: %.*s", i,
				      SPAN_ARG(field.body));
			ck_assert_msg(field.malformed == rows[i].want[n].malformed, "row %zu", i);
		}
		ck_assert_msg(n == 4 || rows[i].want[n].name == NULL, "row %zu: too few", i);
		ck_assert(!header.over_limit);
	}
}
END_TEST

/* Every byte of a section is in exactly one field, but for the empty line. */
START_TEST(raw_parts_make_the_section)
{
	struct span section = span_of("A: b\r\n c\r\nx\r\nD:\r\n\r\n");
	struct span rest = section;
	struct header header;
	struct header_field field;

	header_init(&header, section);
	while (header_next(&header, &field)) {
		ck_assert_ptr_eq(field.raw.data, rest.data);
		rest = span_skip(rest, field.raw.len);
	}
	ck_assert(span_is(rest, "\r\n"));
}
END_TEST

static size_t count_fields(struct header *header)
{
	struct header_field field;
	size_t n = 0;

	while (header_next(header, &field))
		n++;
	return n;
}

START_TEST(limits)
{
	struct header header;
	struct buf section;

	buf_init(&section, 1024 * 1024);
	for (size_t i = 0; i < HEADER_FIELDS_MAX; i++)
		buf_append_text(&section, "A: b\r\n");
	header_init(&header, buf_span(&section));
	ck_assert_uint_eq(count_fields(&header), HEADER_FIELDS_MAX);
	ck_assert(!header.over_limit);

	buf_append_text(&section, "Bcc: c\r\n");
	header_init(&header, buf_span(&section));
	ck_assert_uint_eq(count_fields(&header), HEADER_FIELDS_MAX);
	ck_assert(header.over_limit);
	header_init_unlimited(&header, buf_span(&section));
	ck_assert_uint_eq(count_fields(&header), HEADER_FIELDS_MAX + 1);
	ck_assert(!header.over_limit);

	buf_clear(&section);
	buf_append_text(&section, "A: b\r\nB: ");
	while (section.len < HEADER_BYTES_MAX + 1)
		buf_append_text(&section, "x\r\n ");
	header_init(&header, buf_span(&section));
	ck_assert_uint_eq(count_fields(&header), 1);
	ck_assert(header.over_limit);
	buf_release(&section);
}
END_TEST

START_TEST(finding)
{
	struct span section = span_of("subject: one\r\nX: y\r\nSUBJECT: two\r\n\r\nTo: body\r\n");
	struct header_field field;

	ck_assert(header_find(section, "Subject", &field));
	ck_assert(span_is(field.body, " one"));
	ck_assert(!header_find(section, "To", &field));
	ck_assert(!header_find(section, "Subj", &field));
	ck_assert(!header_find(span_of(" To: x\r\n"), "To", &field));
}
END_TEST

START_TEST(unfolding)
{
	struct buf out;

	buf_init(&out, 16);
	ck_assert_int_eq(header_unfold(span_of(" a\r\n\tb\r\n  c"), &out), ERR_OK);
	ck_assert(span_is(buf_span(&out), " a\tb  c"));
	ck_assert_int_eq(header_unfold(span_of("0123456789"), &out), ERR_LIMIT);
	ck_assert_uint_eq(out.len, 7);
	buf_release(&out);
}
END_TEST

/* S194, S195 */
START_TEST(display)
{
	static const struct {
		struct span body;
		const char *want;
	} rows[] = {
		{BYTES(" plain  text \r\n"), "plain  text"},
		{BYTES(" a\r\n\tb\r\n c"), "a b c"},
		{BYTES(""), ""},
		{BYTES("=?utf-8?q?J=C3=BCrgen_M?="), "J\xc3\xbcrgen M"},
		{BYTES("=?UTF-8?B?SsO8cmdlbg==?="), "J\xc3\xbcrgen"},
		{BYTES("=?us-ascii*en?Q?a=3Fb?= c"), "a?b c"},
		{BYTES("=?iso-8859-1?Q?a?= =?utf-8?Q?b?=\r\n =?iso-8859-1?Q?=E9?="), "ab\xc3\xa9"},
		{BYTES("x =?iso-8859-1?Q?a?= y =?iso-8859-1?Q?b?= z"), "x a y b z"},
		{BYTES("=?utf-8?Q?=C3?= =?utf-8?Q?=BC?="), "\xc3\xbc"}, /* cut in the middle */
		{BYTES("=?utf-8?Q?=C3?= =?iso-8859-1?Q?=BC?="), FFFD "\xc2\xbc"},
		{BYTES("=?iso-8859-15?Q?=A4=BC?="), "\xe2\x82\xac\xc5\x92"},
		{BYTES("=?windows-1252?Q?=80=81=E9?="), "\xe2\x82\xac" FFFD "\xc3\xa9"},
		{BYTES("=?iso-8859-1?Q?=80?="), FFFD},
		{BYTES("=?us-ascii?Q?=E9?="), FFFD},
		{BYTES("=?koi8-r?B?8NLJ18XU?="),
		 "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
		{BYTES("=?ISO-2022-JP?B?GyRCJDMbKEI=?="), "\xe3\x81\x93"},
		{BYTES("=?gb2312?B?xOO6ww==?="), "\xe4\xbd\xa0\xe5\xa5\xbd"},
		{BYTES("=?euc-jp?Q?=A4?="), FFFD},
		{BYTES("=?no-such-set?Q?a?= b"), "=?no-such-set?Q?a?= b"},
		{BYTES("=?utf-8//TRANSLIT?Q?a?="), "=?utf-8//TRANSLIT?Q?a?="},
		{BYTES("=?utf-8?X?a?="), "=?utf-8?X?a?="},
		{BYTES("=?utf-8?Q?a"), "=?utf-8?Q?a"},
		{BYTES("=?utf-8?Q?a?"), "=?utf-8?Q?a?"},
		{BYTES("=?"), "=?"},
		{BYTES("=?utf-8?Q?\?="), ""},
		{BYTES("a==?utf-8?Q?b?=="), "a=b="},
		{BYTES("=?utf-8?Q?=?="), "="},
		{BYTES("=?utf-8?Q?=4?="), "=4"},
		{BYTES("=?utf-8?Q?=ZZ=41?="), "=ZZA"},
		{BYTES("=?utf-8?B?QU!JD?="), "ABC"},
		{BYTES("=?utf-8?B?QQ?="), "A"},
		{BYTES("=?utf-8?B?Q?="), ""},
		{BYTES("=?utf-8?b?DQpCY2M6IHg=?="), FFFD FFFD "Bcc: x"},
		{BYTES("=?utf-8?q?a=0D=0ABcc:_x=00?="), "a" FFFD FFFD "Bcc: x" FFFD},
		{BYTES("=?utf-8?q?=3Cscript=3E?="), "<script>"},
		{BYTES("a\0b\rc\nd\x7f\x1b"), "a" FFFD "b" FFFD "c" FFFD "d" FFFD FFFD},
		{BYTES("\xc2\x85x"), FFFD "x"},
		{BYTES("\xe9t\xe9"), FFFD "t" FFFD},
		{BYTES("\xf0\x9f\x98\x80 \xed\xa0\x80"), "\xf0\x9f\x98\x80 " FFFD FFFD FFFD},
		{BYTES("=?utf-16be?B?ANwAAA==?="), "\xc3\x9c" FFFD},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;

		buf_init(&out, 4096);
		header_decode_display(rows[i].body, &out);
		ck_assert_msg(span_is(buf_span(&out), rows[i].want), "row %zu: %.*s", i,
			      SPAN_ARG(buf_span(&out)));
		buf_release(&out);
	}
}
END_TEST

START_TEST(display_is_cut_at_a_character)
{
	struct buf out;

	buf_init(&out, 4);
	header_decode_display(span_of("abc\xc3\xbcz"), &out);
	ck_assert(span_is(buf_span(&out), "abc"));
	buf_clear(&out);
	header_decode_display(span_of("=?koi8-r?B?8NLJ18XU?="), &out);
	ck_assert(span_is(buf_span(&out), "\xd0\x9f\xd1\x80"));
	buf_release(&out);
}
END_TEST

/* A field of 256 KiB that changes an iconv charset with every word, and one of open words. */
START_TEST(display_is_linear)
{
	static const char *const parts[] = {"=?koi8-r?Q?a?= =?cp866?Q?a?= ", "=?utf-8?Q?a",
					    "=?=?=?", "=?x-nothing?Q?a?= ", "="};

	for (size_t i = 0; i < COUNT(parts); i++) {
		struct buf body;
		struct buf out;

		buf_init(&body, HEADER_BYTES_MAX);
		buf_init(&out, HEADER_BYTES_MAX * 4);
		while (buf_append_text(&body, parts[i]) == ERR_OK)
			;
		header_decode_display(buf_span(&body), &out);
		ck_assert(span_is_utf8(buf_span(&out)));
		ck_assert_uint_gt(out.len, 64);
		buf_release(&out);
		buf_release(&body);
	}
}
END_TEST

UNIT_MAIN("mail/header", section_lengths, fields, raw_parts_make_the_section, limits, finding,
	  unfolding, display, display_is_cut_at_a_character, display_is_linear)
