/* tests relay/wire/reply.c */
#include "relay/wire/reply.h"

#include "tests/unit/unit.h"

/* S231 and the usual shapes. `text` NULL: an error of `code` is wanted. */
static const struct {
	const char *name;
	const char *wire;
	int code; /* reply code, or a negative err_code */
	const char *enhanced;
	const char *text;
	const char *rest;
} cases[] = {
	{"plain", "250 Ok\r\n", 250, "", "Ok", ""},
	{"code only", "250\r\n", 250, "", "", ""},
	{"code and blank", "250 \r\n", 250, "", "", ""},
	{"bare LF", "250 Ok\n", 250, "", "Ok", ""},
	{"enhanced", "550 5.1.1 no such user\r\n", 550, "5.1.1", "5.1.1 no such user", ""},
	{"enhanced only", "250 2.0.0\r\n", 250, "2.0.0", "2.0.0", ""},
	{"enhanced of another class", "550 2.1.5 hm\r\n", 550, "", "2.1.5 hm", ""},
	{"not quite enhanced", "250 2.1.5x y\r\n", 250, "", "2.1.5x y", ""},
	{"too long a detail", "250 2.1.1234 y\r\n", 250, "", "2.1.1234 y", ""},
	{"no enhanced class 3", "354 3.0.0 go\r\n", 354, "", "3.0.0 go", ""},
	{"lines", "250-a\r\n250-b c\r\n250 d\r\n", 250, "", "a\nb c\nd", ""},
	{"last line without text", "250-a\r\n250\r\n", 250, "", "a\n", ""},
	{"empty first line", "250-\r\n250 b\r\n", 250, "", "\nb", ""},
	{"more behind it", "250 a\r\n250 b\r\n", 250, "", "a", "250 b\r\n"},
	{"CR inside", "250 a\rb\r\n", 250, "", "a\rb", ""},
	{"S231 code 25", "25\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"S231 code 25 and text", "25 ok\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"S231 code 2500", "2500\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"S231 +250", "+250\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"S231 blank first", " 250 ok\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"S231 code changes", "250-a\r\n550 b\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"class 1", "150 x\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"class 6", "650 x\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"empty line", "\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"tab behind the code", "250\tx\r\n", ERR_SYNTAX, NULL, NULL, ""},
	{"HTTP", "HTTP/1.1 400 Bad Request\r\n", ERR_SYNTAX, NULL, NULL, ""},
};

static void check_case(size_t at, size_t piece)
{
	struct reply_parser parser;
	struct span input = span_of(cases[at].wire);
	bool done = false;
	int code = ERR_OK;
	struct err why;
	size_t used = 0;

	reply_parser_init(&parser);
	while (code == ERR_OK && !done && used < input.len) {
		struct span part = span_first(span_skip(input, used), piece);
		size_t had = part.len;

		code = reply_parser_feed(&parser, &part, &done, &why);
		used += had - part.len;
	}
	if (cases[at].text == NULL) {
		ck_assert_msg(code == cases[at].code, "%s: %s", cases[at].name, err_name(code));
		ck_assert(reply_parser_feed(&parser, &input, &done, &why) < 0);
	} else {
		ck_assert_msg(code == ERR_OK && done, "%s: %s", cases[at].name, err_name(code));
		ck_assert_int_eq(parser.reply.code, cases[at].code);
		ck_assert_str_eq(parser.reply.enhanced, cases[at].enhanced);
		ck_assert_msg(span_is(buf_span(&parser.reply.text), cases[at].text), "%s",
			      cases[at].name);
		ck_assert(span_is(span_skip(input, used), cases[at].rest));
	}
	reply_parser_release(&parser);
}

START_TEST(table)
{
	for (size_t at = 0; at < sizeof(cases) / sizeof(cases[0]); at++)
		for (size_t piece = 1; piece < 40; piece++)
			check_case(at, piece);
}
END_TEST

static int feed_text(struct reply_parser *parser, const char *text, bool *done)
{
	struct span input = span_of(text);
	struct err why;

	return reply_parser_feed(parser, &input, done, &why);
}

START_TEST(one_after_another)
{
	struct reply_parser parser;
	struct span input = span_of("220-x\r\n220 y\r\n250 a\r\n354");
	struct err why;
	bool done;

	reply_parser_init(&parser);
	ck_assert(!reply_parser_is_midway(&parser));
	ck_assert_int_eq(reply_parser_feed(&parser, &input, &done, &why), ERR_OK);
	ck_assert(done && parser.reply.code == 220 && parser.reply.lines == 2);
	ck_assert(span_is(reply_line(&parser.reply, 0), "x"));
	ck_assert(span_is(reply_line(&parser.reply, 1), "y"));
	ck_assert_uint_eq(reply_line(&parser.reply, 2).len, 0);
	ck_assert_int_eq(reply_parser_feed(&parser, &input, &done, &why), ERR_OK);
	ck_assert(done && parser.reply.code == 250 && parser.reply.lines == 1);
	ck_assert(!reply_parser_is_midway(&parser));
	ck_assert_int_eq(reply_parser_feed(&parser, &input, &done, &why), ERR_OK);
	ck_assert(!done && reply_parser_is_midway(&parser) && input.len == 0);
	ck_assert_int_eq(feed_text(&parser, "\r\n", &done), ERR_OK);
	ck_assert(done && parser.reply.code == 354);
	reply_parser_release(&parser);
}
END_TEST

/* S231: 4 KiB line, 20 KiB line, 10,000 lines: an error, and no memory beyond the limits. */
START_TEST(limits)
{
	static char line[20001];
	struct reply_parser parser;
	bool done = false;
	int code = ERR_OK;
	int fed;

	memset(line, 'a', sizeof(line) - 1);
	memcpy(line, "250 ", 4);
	reply_parser_init(&parser);
	ck_assert_int_eq(feed_text(&parser, line, &done), ERR_LIMIT);
	reply_parser_release(&parser);

	line[REPLY_LINE_MAX - 2] = '\r';
	line[REPLY_LINE_MAX - 1] = '\n';
	line[REPLY_LINE_MAX] = '\0';
	reply_parser_init(&parser);
	ck_assert_int_eq(feed_text(&parser, line, &done), ERR_OK);
	ck_assert(done);
	line[REPLY_LINE_MAX - 2] = 'a';
	line[REPLY_LINE_MAX - 1] = '\r';
	line[REPLY_LINE_MAX] = '\n';
	line[REPLY_LINE_MAX + 1] = '\0';
	ck_assert_int_eq(feed_text(&parser, line, &done), ERR_LIMIT);
	reply_parser_release(&parser);

	reply_parser_init(&parser);
	for (fed = 0; fed < 10000 && code == ERR_OK; fed++)
		code = feed_text(&parser, "250-\r\n", &done);
	ck_assert_int_eq(code, ERR_LIMIT);
	ck_assert_int_eq(fed, REPLY_LINES_MAX + 1);
	reply_parser_release(&parser);

	reply_parser_init(&parser);
	code = ERR_OK;
	memcpy(line, "250-", 4);
	strcpy(line + 1000, "\r\n");
	for (fed = 0; fed < 10000 && code == ERR_OK; fed++)
		code = feed_text(&parser, line, &done);
	ck_assert_int_eq(code, ERR_LIMIT);
	ck_assert_int_le(fed, REPLY_BYTES_MAX / 1000 + 1);
	reply_parser_release(&parser);
}
END_TEST

/* S231: what is shown of hostile text (OpenSMTPD CVE-2020-8794 began with such a text). */
START_TEST(summary)
{
	struct reply_parser parser;
	const char wire[] = "550-5.1.1 no \x1b]0;x\x07 user\r\n550 5.1.1 \xff\xc2\x9b\xc3\xa9\r\n";
	struct span nul = span_make("250 a\0b\r\n", 9);
	bool done;
	char text[64];
	char small[15];
	struct err why;

	reply_parser_init(&parser);
	ck_assert_int_eq(feed_text(&parser, wire, &done), ERR_OK);
	reply_summary(&parser.reply, text, sizeof(text));
	ck_assert_str_eq(text, "no ?]0;x? user ???\xc3\xa9");
	reply_summary(&parser.reply, small, sizeof(small));
	ck_assert_str_eq(small, "no ?]0;x? user");
	ck_assert_int_eq(reply_parser_feed(&parser, &nul, &done, &why), ERR_OK);
	reply_summary(&parser.reply, text, sizeof(text));
	ck_assert_str_eq(text, "a?b");
	reply_parser_release(&parser);
}
END_TEST

static void check_format(int code, const char *enhanced, const char *text, const char *want)
{
	struct buf out;

	buf_init(&out, 4096);
	ck_assert_int_eq(reply_format(&out, code, enhanced, span_of(text)), ERR_OK);
	ck_assert_str_eq(out.data, want);
	buf_release(&out);
}

START_TEST(format)
{
	struct buf out;
	char longer[1000];

	check_format(250, "2.1.5", "Ok", "250 2.1.5 Ok\r\n");
	check_format(220, "", "host ESMTP", "220 host ESMTP\r\n");
	check_format(250, "", "", "250 \r\n");
	check_format(250, "", "a\nb\nc", "250-a\r\n250-b\r\n250 c\r\n");
	check_format(554, "5.7.1", "a\nb", "554-5.7.1 a\r\n554 5.7.1 b\r\n");
	check_format(501, "5.5.2", "a\rb\x1b\x7f\xc3\xa9", "501 5.5.2 a?b????\r\n");
	memset(longer, 'x', sizeof(longer));
	buf_init(&out, 600);
	ck_assert_int_eq(reply_format(&out, 250, "2.0.0", span_make(longer, sizeof(longer))),
			 ERR_OK);
	ck_assert_uint_eq(out.len, 512);
	ck_assert_int_eq(memcmp(out.data + 510, "\r\n", 2), 0);
	ck_assert_int_eq(reply_format(&out, 250, "",
				      span_of("a\n12345678901234567890"
					      "12345678901234567890"
					      "12345678901234567890"
					      "12345678901234567890")),
			 ERR_LIMIT);
	ck_assert_uint_eq(out.len, 512);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("wire/reply", table, one_after_another, limits, summary, format)
