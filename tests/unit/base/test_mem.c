/* tests base/mem.c */
#include "base/mem.h"

#include <stdint.h>

#include "tests/unit/unit.h"

START_TEST(arena_pieces_are_apart_and_aligned)
{
	struct arena *arena = arena_new();
	char *pieces[500];

	for (size_t i = 0; i < 500; i++) {
		size_t size = (i * 131) % 9000;

		pieces[i] = arena_zalloc(arena, size);
		ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
		memset(pieces[i], (int)i, size);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t j = 0; j < (i * 131) % 9000; j++)
			ck_assert_int_eq((unsigned char)pieces[i][j], i % 256);
	ck_assert_str_eq(arena_printf(arena, "%d-%s", 5, "x"), "5-x");
	ck_assert_str_eq(arena_strdup(arena, "text"), "text");
	ck_assert_ptr_null(arena_strdup(arena, NULL));
	arena_free(&arena);
	ck_assert_ptr_null(arena);
	arena_free(&arena);
}
END_TEST

UNIT_MAIN("base/mem", arena_pieces_are_apart_and_aligned)
