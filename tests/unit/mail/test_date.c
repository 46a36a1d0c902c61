/* tests relay/mail/date.c */
#include "relay/mail/date.h"

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

/* The seconds agree with date(1). */
START_TEST(dates)
{
	static const struct {
		struct span text;
		int code;
		int64_t seconds;
	} rows[] = {
		{BYTES("Thu, 01 Jan 1970 00:00:00 +0000"), ERR_OK, 0},
		{BYTES("Fri, 21 Nov 1997 09:55:06 -0600"), ERR_OK, 880127706},
		{BYTES(" Fri, 21 Nov 1997\r\n 09(comment):   55  :  06 -0600 (CST)"), ERR_OK,
		 880127706},
		{BYTES("21 Nov 97 09:55:06 GMT"), ERR_OK, 880106106},
		{BYTES("21 Nov 97 09:55:06 EST"), ERR_OK, 880124106},
		{BYTES("21 nov 97 09:55:06 pdt"), ERR_OK, 880131306},
		{BYTES("21 Nov 97 09:55:06 Z"), ERR_OK, 880106106},
		{BYTES("21 Nov 97 09:55:06 A"), ERR_OK, 880106106}, /* 4.3: like -0000 */
		{BYTES("21 Nov 97 09:55:06 CEST"), ERR_OK, 880106106},
		{BYTES("21 Nov 097 09:55:06 GMT"), ERR_OK, 880106106},
		{BYTES("1 Jan 49 00:00 UT"), ERR_OK, 2493072000},
		{BYTES("1 Jan 50 00:00 UT"), ERR_OK, -631152000},
		{BYTES("Tue, 29 Feb 2000 12:00:00 +0530"), ERR_OK, 951805800},
		{BYTES("1 Jul 2003 10:52 +0200"), ERR_OK, 1057049520},
		{BYTES("31 Dec 2016 23:59:60 +0000"), ERR_OK, 1483228800},
		{BYTES("31 Dec 9999 23:59:59 -0000"), ERR_OK, 253402300799},
		{BYTES("1 Jan 0001 00:00:00 +0000"), ERR_OK, -62135596800},
		{BYTES("Mon, 21 Nov 1997 09:55:06 -0600"), ERR_OK, 880127706}, /* was a Friday */
		{BYTES(""), ERR_SYNTAX, 0},
		{BYTES("\xff"), ERR_SYNTAX, 0}, /* S207 */
		{BYTES("1 Jan 99999 00:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 0000 00:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("29 Feb 1900 00:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("31 Apr 2000 00:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("0 Apr 2000 00:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("1 Foo 2000 00:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("Foo, 1 Jan 2000 00:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("Fri 21 Nov 1997 09:55:06 -0600"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 24:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:60:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:61 +0000"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 1:00:00 +0000"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:00"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:00 +00"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:00 +0060"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:00 + 0000"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:00 +0000 x"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:00 +0000 (open"), ERR_SYNTAX, 0},
		{BYTES("1 Jan 2000 00:00:00\0+0000"), ERR_SYNTAX, 0},
		{BYTES("2000-01-01T00:00:00Z"), ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t ms = 42;
		struct err why = {""};
		int code = date_parse(rows[i].text, &ms, &why);

		ck_assert_msg(code == rows[i].code, "%.*s: %s", SPAN_ARG(rows[i].text), why.text);
		ck_assert_msg(ms == (code == ERR_OK ? rows[i].seconds * 1000 : 42), "%.*s: %lld",
			      SPAN_ARG(rows[i].text), (long long)ms);
	}
}
END_TEST

UNIT_MAIN("mail/date", dates)
