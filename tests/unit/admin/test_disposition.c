/* tests admin/disposition.c */
#include "admin/disposition.h"

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define TEN	    "abcdefghij"
#define FIFTY	    TEN TEN TEN TEN TEN

/* S200, S290, S292: what a file is called on somebody's disk. */
START_TEST(names)
{
	static const struct {
		const char *filename;
		const char *want; /* behind "attachment; filename=" */
	} rows[] = {
		{"a.txt", "\"a.txt\""},
		{"a b;c=d,e'.txt", "\"a b;c=d,e'.txt\""},
		{NULL, "\"part-2.1.pdf\""},
		{"", "\"part-2.1.pdf\""},
		{" . ", "\"part-2.1.pdf\""},
		{"...", "\"_\""},
		{"../../etc/passwd", "\"_._.._etc_passwd\""},
		{"C:\\x\\y.exe", "\"C__x_y.exe\""},
		{".bashrc", "\"_bashrc\""},
		{"a\"b\\c.txt", "\"a_b_c.txt\""},
		{"<script>alert(1)</script>.html", "\"_script_alert(1)__script_.html\""},
		{"a\r\nSet-Cookie: x", "\"a__Set-Cookie_ x\""},
		{"a.txt. . ", "\"a.txt\""},
		{"100%41.txt", "\"100_41.txt\"; filename*=UTF-8''100%2541.txt"},
		{"n\xc3\xbc.txt", "\"n_.txt\"; filename*=UTF-8''n%C3%BC.txt"},
		{"\xe2\x82\xac \xf0\x9f\x98\x80",
		 "\"_ _\"; filename*=UTF-8''%E2%82%AC%20%F0%9F%98%80"},
		{"gpj\xe2\x80\xae.exe", "\"gpj_.exe\""}, /* U+202E */
		{"\xe2\x80\xa8\xef\xbb\xbf\xef\xbf\xbd\xe2\x81\xa0\xe2\x80\x8bx", "\"_____x\""},
		{"\xe2\x80\xa7\xe2\x81\xb0\xef\xbf\xbc",
		 "\"___\"; filename*=UTF-8''%E2%80%A7%E2%81%B0%EF%BF%BC"},
		{FIFTY FIFTY FIFTY TEN ".tar.gz", "\"" FIFTY FIFTY TEN TEN TEN TEN "abcdefg.gz\""},
		{FIFTY FIFTY FIFTY TEN, "\"" FIFTY FIFTY FIFTY "\""},
		{"x." FIFTY FIFTY FIFTY, "\"x\""},
	};
	struct mime_part part = {.number = "2.1", .type = "application/pdf"};

	for (size_t i = 0; i < COUNT(rows); i++) {
		static const char front[] = "attachment; filename=";
		struct buf out;

		buf_init(&out, DISPOSITION_MAX);
		part.filename = rows[i].filename;
		disposition_write(&part, &out);
		ck_assert(span_starts_fold(buf_span(&out), front));
		ck_assert_msg(span_is(span_skip(buf_span(&out), sizeof(front) - 1), rows[i].want),
			      "row %zu: %s", i, out.data);
		buf_release(&out);
	}
}
END_TEST

/* The longest there can be: a limit of octets cuts no character. */
START_TEST(the_longest)
{
	struct mime_part part = {.number = "1", .type = "x/y"};
	struct buf name;
	struct buf out;

	buf_init(&name, MIME_TEXT_MAX);
	while (buf_append_text(&name, "\xe2\x82\xac") == 0)
		;
	part.filename = name.data;
	buf_init(&out, DISPOSITION_MAX);
	disposition_write(&part, &out);
	ck_assert(span_ends_fold(buf_span(&out), span_of("%E2%82%AC")));
	ck_assert_uint_eq(out.len, 21 + 52 + 19 + 50 * 9);
	buf_release(&out);
	buf_release(&name);
	part.filename = NULL;
	buf_init(&out, DISPOSITION_MAX);
	disposition_write(&part, &out);
	ck_assert_str_eq(out.data, "attachment; filename=\"part-1.bin\"");
	buf_release(&out);
}
END_TEST

UNIT_MAIN("admin/disposition", names, the_longest)
