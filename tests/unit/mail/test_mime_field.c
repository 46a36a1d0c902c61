/* tests relay/mail/mime_field.c */
#include "relay/mail/mime_field.h"

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define FFFD	    "\xef\xbf\xbd"

START_TEST(values)
{
	static const struct {
		const char *body;
		const char *want; /* NULL: none */
	} rows[] = {
		{" text/plain", "text/plain"},
		{"TEXT / Html;x", "text/html"},
		{" (a) text (b)/(c)\r\n plain (d);", "text/plain"},
		{" attachment; filename=x", "attachment"},
		{" base64\r\n", "base64"},
		{" text/", NULL},
		{" /plain", NULL},
		{"", NULL},
		{" \"text/plain\"", NULL},
		{" text/plain/x", "text/plain"},
		{" text\xc3\xa9/plain", "text"},
		{" x-y.z+w/a!b", "x-y.z+w/a!b"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct span rest = span_of(rows[i].body);
		struct buf out;
		int code;

		buf_init(&out, 64);
		code = mime_field_value(&rest, &out);
		ck_assert_msg((code == ERR_OK) == (rows[i].want != NULL), "row %zu", i);
		ck_assert_msg(span_is(buf_span(&out), rows[i].want), "row %zu: %.*s", i,
			      SPAN_ARG(buf_span(&out)));
		if (code != ERR_OK)
			ck_assert(span_is(rest, rows[i].body));
		buf_release(&out);
	}
}
END_TEST

START_TEST(a_value_too_long)
{
	struct span rest = span_of("text/plain");
	struct buf out;

	buf_init(&out, 6);
	ck_assert_int_eq(mime_field_value(&rest, &out), ERR_LIMIT);
	ck_assert_uint_eq(out.len, 0);
	ck_assert_uint_eq(rest.len, 10);
	buf_release(&out);
}
END_TEST

/* `text` is what people see, `bytes` what machines compare; NULL: not there. S200 */
START_TEST(parameters)
{
	static const struct {
		const char *rest;
		const char *text;
		const char *bytes;
	} rows[] = {
		{"; name=a", "a", "a"},
		{";name=a;", "a", "a"},
		{" ; x=y ; NAME = \"a b\" ", "a b", "a b"},
		{"; name=a (comment); x=y", "a", "a"},
		{"; name=(comment) a", "a", "a"},
		{"; name=a b.txt; x=y", "a b.txt", "a b.txt"},
		{"; name=\"a\\\"b\\\\c\"", "a\"b\\c", "a\"b\\c"},
		{"; name=\"a;name=b\"; x", "a;name=b", "a;name=b"},
		{"; x=\"; name=b\"; name=a", "a", "a"},
		{"; x=(; name=b); name=a", "a", "a"},
		{"; name=a; name=b", "a", "a"},
		{"; name=\"a\" junk; x=y", "a", "a"},
		{"; name=\"open", "open", "open"},
		{"; name=\"fol\r\n ded\"", "fol ded", "fol ded"},
		{";\r\n\tname=\r\n a", "a", "a"},
		{"; name=", "", ""},
		{"; name=\"\"", "", ""},
		{"; name", NULL, NULL},
		{"; filename=a", NULL, NULL},
		{"; =a; ;;; name=b", "b", "b"},
		{"name=a", NULL, NULL},
		{"", NULL, NULL},
		{"; name=\"=?utf-8?B?w7w=?=\"", "\xc3\xbc", "=?utf-8?B?w7w=?="},
		{"; name==?utf-8?Q?=C3=BC.txt?=", "\xc3\xbc.txt", "=?utf-8?Q?=C3=BC.txt?="},
		{"; name=\xc3\xbc", "\xc3\xbc", "\xc3\xbc"},
		{"; name=\xfc", FFFD, "\xfc"},
		{"; name=\"a\tb\"", "a b", "a\tb"},
		/* RFC 2231 4 */
		{"; name*=utf-8'de'%C3%BC%20x", "\xc3\xbc x", "\xc3\xbc x"},
		{"; name*=iso-8859-1''%FC", "\xc3\xbc", "\xfc"},
		{"; name*=UTF-8''a%00b%0D%0Ac", "a" FFFD "b" FFFD FFFD "c", NULL},
		{"; name*=x-nobody-knows''a%FC", "a" FFFD, "a\xfc"},
		{"; name*=''%41", "A", "A"},
		{"; name*=%41", "A", "A"},
		{"; name*=\"utf-8''%41\"", "A", "A"},
		{"; name*=utf-8''%4%zz%", "%4%zz%", "%4%zz%"},
		{"; name=plain; name*=utf-8''coded", "coded", "coded"},
		{"; name*=utf-8'only one", "utf-8'only one", "utf-8'only one"},
		/* RFC 2231 3 */
		{"; name*0=a; name*1=\"b c\"; name*2=d", "ab cd", "ab cd"},
		{"; name*1=b; name*0=a", "ab", "ab"},
		{"; name*0=a; name*2=c", "a", "a"},
		{"; name*1=b; name=p", "p", "p"},
		{"; name*0=a; name*0=x; name*1=b", "ab", "ab"},
		{"; name*0*=utf-8''%C3; name*1*=%BC; name*2=%41", "\xc3\xbc%41", "\xc3\xbc%41"},
		{"; name*0=%41; name*1*=%42", "%41B", "%41B"},
		{"; name*0=a; name*64=b; name*2147483648=c; name*99999999999999999999=d", "a", "a"},
		{"; name*x=a; name**=b; name*-1=c", NULL, NULL},
		{"; name*0=..%2f; name*1*=..%2fetc%2fpasswd", "..%2f../etc/passwd",
		 "..%2f../etc/passwd"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;
		int code;

		buf_init(&out, 256);
		code = mime_field_text(span_of(rows[i].rest), "name", &out);
		ck_assert_msg((code == ERR_OK) == (rows[i].text != NULL), "row %zu", i);
		ck_assert_msg(span_is(buf_span(&out), rows[i].text), "row %zu: %.*s", i,
			      SPAN_ARG(buf_span(&out)));
		buf_clear(&out);
		code = mime_field_bytes(span_of(rows[i].rest), "name", &out);
		ck_assert_msg((code == ERR_OK) == (rows[i].text != NULL), "row %zu", i);
		if (rows[i].bytes != NULL)
			ck_assert_msg(span_is(buf_span(&out), rows[i].bytes), "row %zu: %.*s", i,
				      SPAN_ARG(buf_span(&out)));
		buf_release(&out);
	}
}
END_TEST

START_TEST(what_does_not_fit)
{
	struct span rest = span_of("; name=abc\xc3\xbc");
	struct buf out;

	buf_init(&out, 4);
	ck_assert_int_eq(mime_field_text(rest, "name", &out), ERR_OK);
	ck_assert(span_is(buf_span(&out), "abc"));
	buf_clear(&out);
	ck_assert_int_eq(mime_field_bytes(rest, "name", &out), ERR_LIMIT);
	ck_assert_uint_eq(out.len, 0);
	buf_release(&out);
}
END_TEST

/* Each field is as long as a header may be. */
START_TEST(is_linear)
{
	static const char *const parts[] = {"; name*0=a", "; name=\"",	      ";",	  "; a=b",
					    "(",	  "; name*0*=utf-8'", "; name=(", "\\"};

	for (size_t i = 0; i < COUNT(parts); i++) {
		struct buf field;
		struct buf out;

		buf_init(&field, 256 * 1024);
		buf_init(&out, 1024 * 1024);
		while (buf_append_text(&field, parts[i]) == ERR_OK)
			;
		(void)mime_field_text(buf_span(&field), "name", &out);
		ck_assert(span_is_utf8(buf_span(&out)));
		buf_release(&out);
		buf_release(&field);
	}
}
END_TEST

UNIT_MAIN("mail/mime_field", values, a_value_too_long, parameters, what_does_not_fit, is_linear)
