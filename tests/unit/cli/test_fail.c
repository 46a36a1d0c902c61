/* tests cli/fail.c */
#include "cli/fail.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static struct address address_of(const char *text)
{
	struct address address;

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	return address;
}

static int code_for(const char *spec, enum fail_stage stage, const char *recipient)
{
	struct fail *fail = fail_new();
	struct address address = {0};
	struct err why = {""};
	int code;

	ck_assert_msg(fail_add(fail, spec, &why) == ERR_OK, "%s: %s", spec, why.text);
	if (recipient != NULL)
		address = address_of(recipient);
	code = fail_find(fail, stage, recipient != NULL ? &address : NULL);
	fail_free(&fail);
	ck_assert_ptr_null(fail);
	return code;
}

START_TEST(rules_are_found)
{
	static const struct {
		const char *spec;
		enum fail_stage stage;
		const char *recipient;
		int want;
	} cases[] = {
		{"bob@example.com=550", FAIL_RCPT, "bob@example.com", 550},
		{"bob@example.com=550", FAIL_RCPT, "Bob@Example.COM", 550},
		{"bob@example.com=550", FAIL_RCPT, "bobby@example.com", 0},
		{"bob@example.com=550", FAIL_END, NULL, 0},
		{"a=b@example.com=421", FAIL_RCPT, "a=b@example.com", 421},
		{"@example.com=451", FAIL_RCPT, "x@EXAMPLE.com", 451},
		{"@example.com=451", FAIL_RCPT, "x@sub.example.com", 0},
		{"*=450", FAIL_RCPT, "anybody@anywhere.example", 450},
		{"*=450", FAIL_MAIL, NULL, 0},
		{"MAIL=451", FAIL_MAIL, NULL, 451},
		{"DATA=554", FAIL_DATA, NULL, 554},
		{"END=452", FAIL_END, NULL, 452},
		{"END=452", FAIL_DATA, NULL, 0},
		{"a@b.example=550,*=450", FAIL_RCPT, "a@b.example", 550},
		{"*=450,a@b.example=550", FAIL_RCPT, "a@b.example", 450},
		{"a@b.example=550,END=452,@c.example=451", FAIL_RCPT, "x@c.example", 451},
		{"a@b.example=400", FAIL_RCPT, "a@b.example", 400},
		{"a@b.example=599", FAIL_RCPT, "a@b.example", 599},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(code_for(cases[i].spec, cases[i].stage, cases[i].recipient) ==
				      cases[i].want,
			      "%s", cases[i].spec);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
	static const char *const bad[] = {
		"",
		"bob",
		"bob=550",
		"bob@example.com",
		"bob@example.com=",
		"bob@example.com=250",
		"bob@example.com=5",
		"bob@example.com=5500",
		"bob@example.com=abc",
		"=550",
		"@=550",
		"@a@b=550",
		"mail=451",
		"a@b.example=550,",
		",a@b.example=550",
		"a b@c.example=550",
		"a@b.example=600",
		"a@b.example=399",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fail *fail = fail_new();
		struct err why = {""};

		ck_assert_msg(fail_add(fail, bad[i], &why) == ERR_SYNTAX, "\"%s\"", bad[i]);
		ck_assert_str_ne(why.text, "");
		fail_free(&fail);
	}
}
END_TEST

UNIT_MAIN("cli/fail", rules_are_found, what_makes_no_sense_is_refused)
