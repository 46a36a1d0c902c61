/* tests relay/filter/tokens.c */
#include "relay/filter/tokens.h"

#include <stdio.h>

#include "tests/unit/unit.h"

/* The document as a string of tokens: {n:s,…}. "!": broken. */
static void spell(struct span text, char *out, size_t size)
{
	static const char marks[] = "{}[]:s0tfn.!";
	struct tokens tokens;
	enum token token;
	size_t len = 0;

	tokens_init(&tokens, text);
	do {
		token = tokens_next(&tokens);
		out[len++] = marks[token];
	} while (token != TOKEN_END && token != TOKEN_BROKEN && len + 1 < size);
	out[len] = '\0';
	if (token == TOKEN_BROKEN) {
		ck_assert(span_starts_fold(span_of(tokens.why.text), "not JSON: "));
		ck_assert_int_eq(tokens_next(&tokens), TOKEN_BROKEN);
	}
	tokens_release(&tokens);
}

START_TEST(documents)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{"[]", "[]."},
		{"{}", "{}."},
		{" \t\r\n[ ] \n", "[]."},
		{"\"x\"", "s."},
		{"-0.5e+10", "0."},
		{"[true,false,null]", "[tfn]."},
		{"{\"a\":1,\"b\":{\"c\":[\"d\",{}]}}", "{:0:{:[s{}]}}."},
		{"[[[[[[[[]]]]]]]]", "[[[[[[[[]]]]]]]]."},
		{"[[[[[[[[[]]]]]]]]]", "[[[[[[[[!"},
		{"", "!"},
		{" ", "!"},
		{"[", "[!"},
		{"[1", "[0!"},
		{"[1,", "[0!"},
		{"[1,]", "[0!"},
		{"[,1]", "[!"},
		{"[1 2]", "[0!"},
		{"[1}", "[0!"},
		{"{\"a\"}", "{!"},
		{"{\"a\":}", "{:!"},
		{"{\"a\":1,}", "{:0!"},
		{"{a:1}", "{!"},
		{"{\"a\":1]", "{:0!"},
		{"[] []", "[]!"},
		{"[]x", "[]!"},
		{"[01]", "[!"},
		{"[-]", "[!"},
		{"[1.]", "[!"},
		{"[1e]", "[!"},
		{"[.5]", "[!"},
		{"[+1]", "[!"},
		{"[tru]", "[!"},
		{"[True]", "[!"},
		{"[\"a]", "[!"},
		{"[\"a\nb\"]", "[!"},
		{"[\"\\x\"]", "[!"},
		{"[\"\\u12\"]", "[!"},
		{"[\"\\ud800\"]", "[!"},
		{"[\"\\udc00\"]", "[!"},
		{"[\"\\ud800\\u0041\"]", "[!"},
		{"[\"\\", "[!"},
		{"[\"\\u00eg\"]", "[!"},
		{"[\"\\u00E9\\uffff\\uD7FF\"]", "[s]."},
		{"[\"\\ud83d\\n\"]", "[!"},
		{"[\"\\ud83d\\u12\"]", "[!"},
		{"[\"\\ud83d\\uffff\"]", "[!"},
		{"[\"\\ud83dx\"]", "[!"},
		{"[1e5,1E-5]", "[00]."},
		{"{\"a", "{!"},
		{"[\"a b\"]", "[s]."},
		{"{\"a\"\n : 1}", "{:0}."},
		{"{a\":1}", "{!"},
		{"{\"a\\u12:1}", "{!"},
		{"[1;2]", "[0!"},
		{"{\"a\":1;\"b\":2}", "{:0!"},
		/* halves of a pair, and what stands beside them (RFC 8259 8.2) */
		{"[\"\\ud7ff\\ue000\"]", "[s]."},
		{"[\"\\ud800\\udc00\\udbff\\udfff\"]", "[s]."},
		{"[\"\\udfff\"]", "[!"},
		{"[\"\\udbff\"]", "[!"},
		{"[\"\\ud800\\udbff\"]", "[!"},
		{"[\"\\ud800\\ue000\"]", "[!"},
		{"[\"\\ud83dxude00\"]", "[!"},
		{"[\"\\ud83d\\xde00\"]", "[!"},
		{"// no\n[]", "!"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[64];

		spell(span_of(cases[i].text), got, sizeof(got));
		ck_assert_msg(strcmp(got, cases[i].want) == 0, "%s: %s, not %s", cases[i].text, got,
			      cases[i].want);
	}
	{
		char got[64];

		spell(span_make("[\0]", 3), got, sizeof(got));
		ck_assert_str_eq(got, "[!");
	}
}
END_TEST

START_TEST(strings)
{
	static const char text[] =
		"\"a\\\"\\\\\\/"
		"\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\u0000z\xc3\xa9\"";
	static const char want[] =
		"a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0z\xc3\xa9";
	struct tokens tokens;

	tokens_init(&tokens, span_of(text));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_STRING);
	ck_assert(span_equal(tokens_text(&tokens), span_make(want, sizeof(want) - 1)));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_END);
	tokens_release(&tokens);
}
END_TEST

/* The first and the last character of each length (RFC 3629 3). */
START_TEST(lengths_of_characters)
{
	static const char text[] = "\"\\u0001\\u007f\\u0080\\u07ff\\u0800\\uffff"
				   "\\ud800\\udc00\\udbff\\udfff\"";
	static const char want[] = "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"
				   "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
	struct tokens tokens;

	tokens_init(&tokens, span_of(text));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_STRING);
	ck_assert(span_is(tokens_text(&tokens), want));
	tokens_release(&tokens);
}
END_TEST

START_TEST(a_number_is_its_own_text)
{
	struct tokens tokens;

	tokens_init(&tokens, span_of("[\"ab\", -12.5]"));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_ARRAY);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_STRING);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_NUMBER);
	ck_assert(span_is(tokens_text(&tokens), "-12.5"));
	tokens_release(&tokens);
}
END_TEST

/* What is wrong inside of a string or a number has its own place. */
START_TEST(places_of_mistakes)
{
	static const struct {
		const char *text;
		size_t column;
	} cases[] = {
		{"\n \"ab\x01\"", 5},
		{"\n  1.x", 5},
		{"\n{\"ab\x01\":1}", 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tokens tokens;
		enum token token;

		tokens_init(&tokens, span_of(cases[i].text));
		do
			token = tokens_next(&tokens);
		while (token != TOKEN_BROKEN && token != TOKEN_END);
		ck_assert_int_eq(token, TOKEN_BROKEN);
		ck_assert_uint_eq(tokens.line, 2);
		ck_assert_uint_eq(tokens.column, cases[i].column);
		tokens_release(&tokens);
	}
}
END_TEST

/* That of a name is where it begins, wherever the colon is. */
START_TEST(the_place_of_a_name)
{
	struct tokens tokens;

	tokens_init(&tokens, span_of("{\n \"n\"\n\n:1}"));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_OBJECT);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_NAME);
	ck_assert(tokens.line == 2 && tokens.column == 2);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_NUMBER);
	ck_assert(tokens.line == 4 && tokens.column == 2);
	tokens_release(&tokens);
}
END_TEST

START_TEST(places)
{
	struct tokens tokens;

	tokens_init(&tokens, span_of("{\n  \"name\": [\n\t1,\n oops]}"));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_OBJECT);
	ck_assert(tokens.line == 1 && tokens.column == 1);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_NAME);
	ck_assert(tokens.line == 2 && tokens.column == 3);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_ARRAY);
	ck_assert(tokens.line == 2 && tokens.column == 11);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_NUMBER);
	ck_assert(tokens.line == 3 && tokens.column == 2);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_BROKEN);
	ck_assert(tokens.line == 4 && tokens.column == 2);
	tokens_release(&tokens);
}
END_TEST

/* However it is written, a string has an end. */
START_TEST(strings_are_not_endless)
{
	static const char *const pieces[] = {"x", "\\n", "\\u0041"};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		char got[16];
		struct buf text;

		buf_init(&text, 10 * TOKENS_TEXT_MAX);
		(void)buf_append_char(&text, '"');
		for (size_t n = 0; n < TOKENS_TEXT_MAX; n++)
			(void)buf_append_text(&text, pieces[i]);
		(void)buf_append_char(&text, '"');
		spell(buf_span(&text), got, sizeof(got));
		ck_assert_str_eq(got, "s.");
		buf_truncate(&text, text.len - 1);
		(void)buf_append_text(&text, pieces[i]);
		(void)buf_append_char(&text, '"');
		spell(buf_span(&text), got, sizeof(got));
		ck_assert_str_eq(got, "!");
		buf_release(&text);
	}
}
END_TEST

START_TEST(skips_whole_values)
{
	struct tokens tokens;

	tokens_init(&tokens, span_of("{\"a\":{\"b\":[1,{}]},\"c\":2}"));
	(void)tokens_next(&tokens);
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_NAME);
	ck_assert(tokens_skip(&tokens, tokens_next(&tokens)));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_NAME);
	ck_assert(span_is(tokens_text(&tokens), "c"));
	ck_assert(tokens_skip(&tokens, tokens_next(&tokens)));
	ck_assert_int_eq(tokens_next(&tokens), TOKEN_OBJECT_END);
	tokens_release(&tokens);
	tokens_init(&tokens, span_of("[[1,"));
	(void)tokens_next(&tokens);
	ck_assert(!tokens_skip(&tokens, tokens_next(&tokens)));
	tokens_release(&tokens);
}
END_TEST

UNIT_MAIN("filter/tokens", documents, strings, lengths_of_characters, a_number_is_its_own_text,
	  places, places_of_mistakes, the_place_of_a_name, strings_are_not_endless,
	  skips_whole_values)
