/* tests admin/value.c */
#include "admin/value.h"

#include <stdio.h>

#include "tests/unit/unit.h"

/* CASES S307: a cursor that was forged, cut, or made for another list is refused. */
START_TEST(cursors)
{
	static const int64_t ids[] = {0, 1, 255, 256, 2147483648, 9007199254740992, INT64_MAX};
	char text[CURSOR_TEXT_SIZE];
	int64_t back;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		cursor_format_id(CURSOR_WHITELIST, ids[i], text);
		ck_assert_int_eq(cursor_parse_id(CURSOR_WHITELIST, span_of(text), &back, NULL),
				 ERR_OK);
		ck_assert_int_eq(back, ids[i]);
		ck_assert_int_eq(cursor_parse_id(CURSOR_AUDIT, span_of(text), &back, NULL),
				 ERR_SYNTAX);
	}
	cursor_format_id(CURSOR_MESSAGES, 4711, text);
	for (size_t i = 0; i < strlen(text); i++) {
		char bad[CURSOR_TEXT_SIZE];

		memcpy(bad, text, sizeof(bad));
		bad[i] = bad[i] == '0' ? '1' : '0';
		ck_assert_int_eq(cursor_parse_id(CURSOR_MESSAGES, span_of(bad), &back, NULL),
				 ERR_SYNTAX);
		ck_assert_int_eq(cursor_parse_id(CURSOR_MESSAGES, span_make(text, i), &back, NULL),
				 ERR_SYNTAX);
	}
}
END_TEST

UNIT_MAIN("admin/value", cursors)
