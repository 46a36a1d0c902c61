/* tests base/buf.c */
#include "base/buf.h"

#include "base/err.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

START_TEST(ceiling_is_exact)
{
	struct buf buf;

	buf_init(&buf, 5);
	ck_assert_int_eq(buf_append_text(&buf, "abcde"), ERR_OK);
	ck_assert_int_eq(buf_append_char(&buf, 'f'), ERR_LIMIT);
	ck_assert_str_eq(buf.data, "abcde");
	buf_consume(&buf, 1);
	ck_assert_int_eq(buf_append_char(&buf, 'f'), ERR_OK);
	ck_assert_str_eq(buf.data, "bcdef");
	ck_assert_int_eq(buf_printf(&buf, "%d", 7), ERR_LIMIT);
	buf_release(&buf);
}
END_TEST

START_TEST(consume_and_append_keep_the_stream)
{
	struct buf buf;
	unsigned put = 0;
	unsigned got = 0;

	buf_init(&buf, 1000);
	for (int turn = 0; turn < 20000; turn++) {
		for (int i = 0; i < turn % 37 && buf.len < 900; i++)
			buf_append_char(&buf, (char)(put++ % 251));
		for (size_t i = 0; i < buf.len && i < (size_t)(turn % 31); i++)
			ck_assert_int_eq((unsigned char)buf.data[i], (got + i) % 251);
		got += (unsigned)(buf.len < (size_t)(turn % 31) ? buf.len : (size_t)(turn % 31));
		buf_consume(&buf, (size_t)(turn % 31));
		if (turn % 97 == 0)
			buf_shrink(&buf);
	}
	ck_assert_uint_eq(put - got, buf.len);
	buf_release(&buf);
}
END_TEST

START_TEST(take_gives_a_c_string)
{
	struct buf buf;
	size_t len;
	char *text;

	buf_init(&buf, 100);
	text = buf_take(&buf, &len);
	ck_assert_str_eq(text, "");
	mem_free(text);
	buf_append_text(&buf, "xxhello");
	buf_consume(&buf, 2);
	text = buf_take(&buf, &len);
	ck_assert_str_eq(text, "hello");
	ck_assert_uint_eq(len, 5);
	ck_assert_uint_eq(buf.len, 0);
	mem_free(text);
}
END_TEST

START_TEST(reserve_and_fill)
{
	struct buf buf;
	char *room;

	buf_init(&buf, 16);
	ck_assert_ptr_null(buf_reserve(&buf, 17));
	room = buf_reserve(&buf, 16);
	memcpy(room, "0123456789abcdef", 16);
	buf_fill(&buf, 16);
	ck_assert_str_eq(buf.data, "0123456789abcdef");
	buf_truncate(&buf, 3);
	ck_assert_str_eq(buf.data, "012");
	buf_clear(&buf);
	ck_assert_uint_eq(buf.len, 0);
	buf_release(&buf);
}
END_TEST

UNIT_MAIN("base/buf", ceiling_is_exact, consume_and_append_keep_the_stream, take_gives_a_c_string,
	  reserve_and_fill)
