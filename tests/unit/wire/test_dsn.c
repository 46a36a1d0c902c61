/* tests relay/wire/dsn.c (RFC 3461 4, CASES S042) */
#include "relay/wire/dsn.h"

#include <string.h>

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void check_text(const char *given, const char *got, const char *want)
{
	ck_assert_msg((got == NULL) == (want == NULL), "%s", given);
	if (want != NULL)
		ck_assert_str_eq(got, want);
}

START_TEST(notify)
{
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{"NEVER", "NEVER"},
		{"never", "NEVER"},
		{"SUCCESS", "SUCCESS"},
		{"delay,Failure", "FAILURE,DELAY"},
		{"DELAY,FAILURE,SUCCESS", "SUCCESS,FAILURE,DELAY"},
		{"SUCCESS,SUCCESS", "SUCCESS"},
		{"SUCCESS,DELAY", "SUCCESS,DELAY"},
		{"", NULL},
		{",", NULL},
		{"SUCCESS,", NULL},
		{",SUCCESS", NULL},
		{"SUCCESS,,DELAY", NULL},
		{"NEVER,SUCCESS", NULL},
		{"SUCCESS,NEVER", NULL},
		{"NEVER,", NULL},
		{"SUCCES", NULL},
		{"SUCCESSX", NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		check_text(rows[i].text, dsn_notify_parse(span_of(rows[i].text)), rows[i].want);
	ck_assert_ptr_null(dsn_notify_parse(span_make(NULL, 0)));
	ck_assert_ptr_null(dsn_notify_parse(span_make("NEVER\0", 6)));
}
END_TEST

START_TEST(ret)
{
	check_text("FULL", dsn_ret_parse(span_of("full")), "FULL");
	check_text("HDRS", dsn_ret_parse(span_of("HDRS")), "HDRS");
	check_text("", dsn_ret_parse(span_make(NULL, 0)), NULL);
	check_text("FULL,HDRS", dsn_ret_parse(span_of("FULL,HDRS")), NULL);
}
END_TEST

START_TEST(envid)
{
	static const char *const good[] = {"QQ314159", "a+20b", "a+2Bb", "<x@y>"};
	static const char *const bad[] = {"",	   "a+0D+0AX", "a+0",  "a+zz", "a=b",
					  "a+7Fb", "a+C3+A9",  "a+09", "a b"};
	char text[DSN_ENVID_MAX + 2];

	for (size_t i = 0; i < COUNT(good); i++)
		ck_assert_msg(dsn_envid_is_valid(span_of(good[i])), "%s", good[i]);
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!dsn_envid_is_valid(span_of(bad[i])), "%s", bad[i]);
	memset(text, 'x', sizeof(text));
	ck_assert(dsn_envid_is_valid(span_make(text, 100)));
	ck_assert(!dsn_envid_is_valid(span_make(text, 101)));
	for (size_t i = 0; i < DSN_ENVID_MAX; i += 3)
		memcpy(text + i, "+2B", 3);
	ck_assert(dsn_envid_is_valid(span_make(text, DSN_ENVID_MAX)));
	ck_assert(!dsn_envid_is_valid(span_make(text, DSN_ENVID_MAX + 1)));
}
END_TEST

START_TEST(orcpt)
{
	static const struct {
		const char *text;
		bool ascii; /* without SMTPUTF8 */
		bool utf8;
	} rows[] = {
		{"rfc822;bob@example.com", true, true},
		{"RFC822;bob+2Btag@example.com", true, true},
		{"x400;/c=us", false, false},
		{"x-local;a;b", true, true},
		{"utf-8;b\\x{FC}r@example.com", true, true},
		{"utf-8;b\xc3\xbcr@example.com", false, true},
		{"utf-8;b\xc3r@example.com", false, false},
		{"utf-8;b\xc3\xbc+2Br@example.com", false, false},
		{"rfc822;b\xc3\xbcr@example.com", false, false},
		{"rfc822", false, false},
		{"rfc822;", false, false},
		{";x", false, false},
		{"", false, false},
		{"rfc 822;x", false, false},
		{"rfc822;a+0D+0AX:y", false, false},
		{"rfc822;a+00", false, false},
		{"rfc822;a+C3+BC", false, false},
	};
	char text[DSN_ORCPT_MAX + 2] = "rfc822;";

	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_assert_msg(dsn_orcpt_is_valid(span_of(rows[i].text), false) == rows[i].ascii,
			      "%s", rows[i].text);
		ck_assert_msg(dsn_orcpt_is_valid(span_of(rows[i].text), true) == rows[i].utf8, "%s",
			      rows[i].text);
	}
	memset(text + 7, 'x', sizeof(text) - 7);
	ck_assert(dsn_orcpt_is_valid(span_make(text, DSN_ORCPT_MAX), false));
	ck_assert(!dsn_orcpt_is_valid(span_make(text, DSN_ORCPT_MAX + 1), false));
}
END_TEST

UNIT_MAIN("wire/dsn", notify, ret, envid, orcpt)
