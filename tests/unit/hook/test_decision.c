/* tests relay/hook/decision.c, and which URLs relay/hook/request.c takes */
#include "relay/hook/decision.h"

#include "relay/hook/hook.h"
#include "tests/unit/unit.h"

START_TEST(text_for_people)
{
	char out[8];
	struct decision d = {.kind = DECISION_DROP, .hop = "x:1"};

	decision_clean(span_of("a\x1b\x7f"), out, sizeof(out));
	ck_assert_str_eq(out, "a??");
	decision_clean(span_of("abcdef\xc3\xa9"), out, sizeof(out)); /* cut inside a character */
	ck_assert_str_eq(out, "abcdef");
	decision_clean(span_of("\xc3\xa9"), out, sizeof(out));
	ck_assert_str_eq(out, "\xc3\xa9");
	decision_none(&d, "%s", "why\r\n");
	ck_assert_int_eq(d.kind, DECISION_NONE);
	ck_assert_str_eq(d.hop, "");
	ck_assert_str_eq(d.reason, "the policy hook: why??");
}
END_TEST

START_TEST(long_text_is_cut)
{
	struct decision d = {.kind = DECISION_DROP};
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	decision_say(&d, "%s", text);
	ck_assert_uint_le(strlen(d.reason), sizeof(d.reason) - 1);
	ck_assert_uint_gt(strlen(d.reason), 300);
}
END_TEST

START_TEST(urls)
{
	static const struct {
		const char *url;
		int want;
	} rows[] = {
		{"http://127.0.0.1:9000/auth.php?a=b", ERR_OK},
		{"https://hook.test/", ERR_OK},
		{"http://[::1]:80/", ERR_OK},
		{"unix:/run/hook:/auth", ERR_OK},
		{"unix:/run/hook", ERR_OK},
		{"unix:run/hook", ERR_SYNTAX},
		{"unix:/run/hook:auth", ERR_SYNTAX},
		{"hook.test/auth", ERR_SYNTAX},
		{"file:///etc/passwd", ERR_SYNTAX},
		{"http://a b/", ERR_SYNTAX},
		{"http://", ERR_SYNTAX},
	};
	struct err why;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(hook_check_url(span_of(rows[i].url), &why) == rows[i].want, "%s",
			      rows[i].url);
}
END_TEST

UNIT_MAIN("hook/decision", text_for_people, long_text_is_cut, urls)
