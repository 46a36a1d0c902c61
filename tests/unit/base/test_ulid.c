/* tests base/ulid.c */
#include "base/ulid.h"

#include "base/err.h"
#include "tests/unit/unit.h"

START_TEST(text_and_back)
{
	struct ulid id = {{0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9,
			   0x93, 0x02, 0xbd, 0x5b}};
	char text[ULID_TEXT_SIZE];
	struct ulid back;

	ulid_format(&id, text);
	ck_assert_str_eq(text, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
	ck_assert_int_eq(ulid_parse(span_of(text), &back), ERR_OK);
	ck_assert(ulid_equal(&id, &back));
	ck_assert_int_eq(ulid_parse(span_of("01arz3ndektsv4rrffq69g5fav"), &back), ERR_OK);
	ck_assert(ulid_equal(&id, &back));
	ck_assert_int_eq(ulid_parse(span_of("81ARZ3NDEKTSV4RRFFQ69G5FAV"), &back), ERR_SYNTAX);
	ck_assert_int_eq(ulid_parse(span_of("01ARZ3NDEKTSV4RRFFQ69G5FAU"), &back), ERR_SYNTAX);
	ck_assert_int_eq(ulid_parse(span_of("01ARZ3NDEKTSV4RRFFQ69G5FA"), &back), ERR_SYNTAX);
	ck_assert_int_eq(ulid_time_ms(&id), 0x01563e3ab5d3);
}
END_TEST

START_TEST(always_growing)
{
	struct ulid before = ulid_new(5000);

	for (int i = 0; i < 10000; i++) {
		struct ulid id = ulid_new(i % 100 == 0 ? 4000 : 5000 + i / 1000);

		ck_assert_int_gt(memcmp(id.bytes, before.bytes, 16), 0);
		before = id;
	}
}
END_TEST

UNIT_MAIN("base/ulid", text_and_back, always_growing)
