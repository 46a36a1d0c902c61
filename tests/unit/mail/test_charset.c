/* tests relay/mail/charset.c: a text that comes in pieces (words of a header: test_header.c);
 * charset_name.c */
#include "relay/mail/charset.h"

#include <time.h>

#include "base/err.h"
#include "relay/mail/charset_name.h"
#include "relay/mail/header.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
#define FFFD "\xef\xbf\xbd"

static void convert(const char *charset, struct span bytes, size_t step, struct buf *out)
{
	struct charset_stream stream;

	charset_stream_init(&stream, span_of(charset), out);
	while (bytes.len > 0) {
		charset_stream_write(&stream, span_first(bytes, step));
		ck_assert(span_is_utf8(buf_span(out)));
		bytes = span_skip(bytes, step);
	}
	charset_stream_end(&stream);
}

START_TEST(pieces)
{
	static const struct {
		const char *charset;
		struct span bytes;
		const char *want;
	} rows[] = {
		{"utf-8", BYTES("a\tb\r\nc"), "a\tb\r\nc"},
		{"utf-8", BYTES("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"),
		 "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"utf-8", BYTES("a\xe2\x82"), "a" FFFD FFFD},
		{"utf-8",
		 BYTES("\xe2\x82"
		       "a\xf0\x9f\x98"
		       "b\xff\xc0\x80"),
		 FFFD FFFD "a" FFFD FFFD FFFD "b" FFFD FFFD FFFD},
		{"utf-8", BYTES("\xed\xa0\x80\xf4\x90\x80\x80"),
		 FFFD FFFD FFFD FFFD FFFD FFFD FFFD},
		{"utf-8", BYTES("a\0\x1b\x7f\xc2\x85\f"), "a" FFFD FFFD FFFD FFFD FFFD},
		{"", BYTES("\xc3\xbc\xfc"), "\xc3\xbc" FFFD},
		{NULL, BYTES("x"), "x"},
		{"US-ASCII", BYTES("\xc3\xbc"), "\xc3\xbc"},
		{"x-nobody-knows", BYTES("a\xfc\xc3\xbc"), "a" FFFD "\xc3\xbc"},
		{"../../etc/passwd", BYTES("a"), "a"},
		{"utf-8//TRANSLIT", BYTES("a\xc3\xbc"), "a\xc3\xbc"},
		{"iso-8859-1", BYTES("\xfc\r\n\xe9"), "\xc3\xbc\r\n\xc3\xa9"},
		{"windows-1252", BYTES("\x80\x81"), "\xe2\x82\xac" FFFD},
		{"koi8-r", BYTES("\xf0\xd2\n"), "\xd0\x9f\xd1\x80\n"},
		{"iso-2022-jp", BYTES("a\x1b$B$3$s\x1b(Bb\r\n"),
		 "a\xe3\x81\x93\xe3\x82\x93"
		 "b\r\n"},
		{"shift_jis", BYTES("\x82\xb1\x82\xf1"), "\xe3\x81\x93\xe3\x82\x93"},
		{"gb2312", BYTES("\xc4\xe3\xba\xc3"), "\xe4\xbd\xa0\xe5\xa5\xbd"},
		{"gb18030",
		 BYTES("\x81\x30\x81\x30"
		       "a"),
		 FFFD "a"},
		{"utf-16",
		 BYTES("\xff\xfe"
		       "a\0\xfc\0"),
		 "a\xc3\xbc"},
		{"utf-16be", BYTES("\xd8\x3d\xde\x00"), "\xf0\x9f\x98\x80"},
		{"utf-7", BYTES("a+APw-b"),
		 "a\xc3\xbc"
		 "b"},
		{"big5", BYTES("\xa7\x41\xa6\x6e"), "\xe4\xbd\xa0\xe5\xa5\xbd"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		for (size_t step = 1; step <= rows[i].bytes.len; step++) {
			struct buf out;

			buf_init(&out, 4096);
			convert(rows[i].charset, rows[i].bytes, step, &out);
			ck_assert_msg(span_is(buf_span(&out), rows[i].want), "row %zu by %zu: %.*s",
				      i, step, SPAN_ARG(buf_span(&out)));
			buf_release(&out);
		}
	}
}
END_TEST

/* Some of iconv's have characters of one octet that become several of many. */
START_TEST(growth)
{
	static const char *const charsets[] = {"utf-8",	       "TSCII",		"BIG5-HKSCS",
					       "EUC-JISX0213", "iso-2022-jp-3", "utf-7",
					       "ARMSCII-8",    "x-nobody"};
	char bytes[4096];
	unsigned seed = 1;

	for (size_t i = 0; i < COUNT(charsets); i++) {
		struct charset_stream stream;
		struct buf out;

		for (size_t n = 0; n < sizeof(bytes); n++) {
			seed = seed * 1103515245 + 12345;
			bytes[n] = (char)(seed >> 16 | (i % 2 == 0 ? 0x80 : 0));
		}
		buf_init(&out, CHARSET_GROWTH * (sizeof(bytes) + CHARSET_HELD_MAX));
		charset_stream_init(&stream, span_of(charsets[i]), &out);
		charset_stream_write(&stream, span_make(bytes, sizeof(bytes)));
		ck_assert(!stream.writer.full);
		charset_stream_end(&stream);
		ck_assert(span_is_utf8(buf_span(&out)));
		ck_assert_uint_gt(out.len, sizeof(bytes) / 4);
		buf_release(&out);
	}
}
END_TEST

START_TEST(names)
{
	static const struct {
		const char *given;
		const char *want;
	} rows[] = {
		{"ISO-8859-2", "ISO-8859-2"},
		{"iso8859_2", "ISO-8859-2"},
		{"ISO_8859-2:1987", "ISO-8859-2"},
		{"iso-8859-8-i", "ISO-8859-8"},
		{"Windows-1251", "CP1251"},
		{"cp1251", "CP1251"},
		{"KOI8-R", "KOI8-R"},
		{"gb2312", "GB18030"},
		{"x-sjis", "CP932"},
		{"ks_c_5601-1987", "UHC"},
		{"arabic", "ISO-8859-6"},
		{"xxbig5", "BIG5"},
		{"xxbig6", NULL},
		{"", NULL},
		{":", NULL},
		{"ibm037", NULL},
		{"//translit", NULL},
		{"koi8-r//translit", NULL},
		{"../koi8-r", NULL},
		{"koi8-r-----------------------------------------------------------------",
		 "KOI8-R"},
		{"koi8rkoi8rkoi8rkoi8rkoi8rkoi8rkoi8rkoi8r", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *found = charset_name_find(span_of(rows[i].given));

		ck_assert_msg((found == NULL) == (rows[i].want == NULL) &&
				      (found == NULL || strcmp(found, rows[i].want) == 0),
			      "row %zu: %s", i, found);
	}
	ck_assert_ptr_null(charset_name_find(span_make("koi8\0r", 6)));
}
END_TEST

static double decode_rounds(struct span word, struct buf *out)
{
	clock_t began = clock();

	for (size_t i = 0; i < 500; i++) {
		buf_clear(out);
		header_decode_display(word, out);
	}
	return (double)(clock() - began) / CLOCKS_PER_SEC;
}

/* Whoever writes each word in another charset makes nobody load modules all day. */
START_TEST(held)
{
	struct charset_hold *hold = charset_hold_new();
	struct buf out;
	double took;

	buf_init(&out, 4096);
	took = decode_rounds(span_of("=?koi8-r?Q?a?= =?big5?Q?a?= =?euc-jp?Q?a?= =?cp1250?Q?a?= "
				     "=?utf-16be?Q?=00a?= =?iso-8859-7?Q?a?= =?cp850?Q?a?="),
			     &out);
	ck_assert(span_is(buf_span(&out), "aaaaaaa"));
	ck_assert_msg(took < 0.15, "%.3f s", took); /* 0.4 without */
	charset_hold_free(&hold);
	ck_assert_ptr_null(hold);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("mail/charset", pieces, growth, names, held)
