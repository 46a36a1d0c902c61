/* tests relay/wire/parameter.c and relay/wire/xtext.c */
#include "relay/wire/parameter.h"

#include "relay/wire/xtext.h"
#include "tests/unit/unit.h"

/* `want`: keyword[=value] in brackets each; "!" where it fails. */
static const struct {
	const char *text;
	const char *want;
} lists[] = {
	{"", ""},
	{"   ", ""},
	{"SIZE=10", "[SIZE=10]"},
	{" SIZE=10  BODY=8BITMIME ", "[SIZE=10][BODY=8BITMIME]"},
	{"SMTPUTF8", "[SMTPUTF8]"},
	{"X-1=<a@b>", "[X-1=<a@b>]"},
	{"SIZE=", "!"},
	{"=5", "!"},
	{"-a=5", "!"},
	{"A_B=5", "!"},
	{"A==", "!"},
	{"A=b=c", "!"},
	{"A=b\tc", "!"},
	{"A=b\xc3\xa9", "[A=b\xc3\xa9]"},
	{"A=b\xe9", "!"},
	{"\xc3\xa9=b", "!"},
	{"A=1 !x", "[A=1]!"},
	{"A=\x7f", "!"},
};

START_TEST(parameters)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct span rest = span_of(lists[i].text);
		struct parameter p;
		struct err why;
		struct buf got;
		int code;

		buf_init(&got, 1000);
		buf_append_text(&got, "");
		while ((code = parameter_next(&rest, &p, &why)) == ERR_OK)
			buf_printf(&got, "[%.*s%s%.*s]", SPAN_ARG(p.keyword),
				   p.has_value ? "=" : "", SPAN_ARG(p.value));
		if (code != ERR_NOT_FOUND)
			buf_append_char(&got, '!');
		ck_assert_str_eq(got.data, lists[i].want);
		buf_release(&got);
	}
}
END_TEST

START_TEST(nul_is_no_end)
{
	struct span rest = span_make("A=1\0 B=2", 8);
	struct parameter p;
	struct err why;

	ck_assert_int_eq(parameter_next(&rest, &p, &why), ERR_SYNTAX);
}
END_TEST

static const struct {
	const char *coded;
	const char *plain; /* NULL: ERR_SYNTAX */
} texts[] = {
	{"us+20er", "us er"},
	{"a+3Db", "a=b"},
	{"+C3+A9", "\xc3\xa9"},
	{"+2B", "+"},
	{"", ""},
	{"<a@b>", "<a@b>"},
	{"ab+0D+0Acd", "ab\r\ncd"},
	/* S041, S042 */
	{"a+ZZ", NULL},
	{"a+0", NULL},
	{"a+", NULL},
	{"a+0d", NULL},
	{"a=b", NULL},
	{"a b", NULL},
	{"a+00b", NULL},
	{"\xc3\xa9", NULL},
	{"a\x7f", NULL},
};

START_TEST(xtext)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct buf out;
		struct buf back;

		buf_init(&out, 100);
		buf_init(&back, 100);
		buf_append_text(&out, "=");
		if (texts[i].plain == NULL) {
			ck_assert_int_eq(xtext_decode(span_of(texts[i].coded), &out), ERR_SYNTAX);
			ck_assert_str_eq(out.data, "=");
		} else {
			ck_assert_int_eq(xtext_decode(span_of(texts[i].coded), &out), ERR_OK);
			ck_assert_str_eq(out.data + 1, texts[i].plain);
			ck_assert_int_eq(xtext_encode(span_skip(buf_span(&out), 1), &back), ERR_OK);
			ck_assert(span_is(buf_span(&back), texts[i].coded));
		}
		buf_release(&out);
		buf_release(&back);
	}
}
END_TEST

UNIT_MAIN("wire/parameter", parameters, nul_is_no_end, xtext)
