/* tests cli/table.c and cli/text.c */
#include "cli/table.h"

#include <stdio.h>

#include "cli/text.h"
#include "tests/unit/unit.h"

#define MAX 65536

/* --- text -------------------------------------------------------------------- */

static const struct {
	const char *name;
	const char *text;
	size_t len;
	const char *want;
	size_t width;
} clean_cases[] = {
	{"plain", "alice@example.com", 17, "alice@example.com", 17},
	{"empty", "", 0, "", 0},
	{"colour", "\033[31mred", 8, "\\x1b[31mred", 11},
	{"line ends", "a\r\nb\tc", 6, "a\\r\\nb\\tc", 9},
	{"NUL", "a\0b", 3, "a\\x00b", 6},
	{"DEL", "\x7f", 1, "\\x7f", 4},
	{"CSI of C1",
	 "\xc2\x9b"
	 "31m",
	 5, "\\u{9b}31m", 9},
	{"umlaut",
	 "Gr\xc3\xbc\xc3\x9f"
	 "e",
	 7,
	 "Gr\xc3\xbc\xc3\x9f"
	 "e",
	 5},
	{"half of an umlaut", "a\xc3", 2, "a\\xc3", 5},
	{"latin-1",
	 "Gr\xfc\xdf"
	 "e",
	 5,
	 "Gr\\xfc\\xdf"
	 "e",
	 11},
	{"overlong", "\xc0\xaf", 2, "\\xc0\\xaf", 8},
	{"right to left", "a\xe2\x80\xaeg", 5, "a\\u{202e}g", 10},
	{"line separator", "\xe2\x80\xa8", 3, "\\u{2028}", 8},
	{"invisible", "\xe2\x80\x8b", 3, "\\u{200b}", 8},
	{"tag", "\xf3\xa0\x81\x81", 4, "\\u{e0041}", 9},
	{"wide", "\xe6\x97\xa5\xe6\x9c\xac", 6, "\xe6\x97\xa5\xe6\x9c\xac", 4},
	{"combining", "e\xcc\x81", 3, "e\xcc\x81", 1},
};

START_TEST(nothing_in_mail_moves_the_cursor)
{
	for (size_t i = 0; i < sizeof(clean_cases) / sizeof(clean_cases[0]); i++) {
		struct buf out;

		buf_init(&out, MAX);
		text_clean(&out, span_make(clean_cases[i].text, clean_cases[i].len));
		ck_assert_msg(span_is(buf_span(&out), clean_cases[i].want), "%s: %.*s",
			      clean_cases[i].name, SPAN_ARG(buf_span(&out)));
		ck_assert_msg(text_width(buf_span(&out)) == clean_cases[i].width, "%s: %zu",
			      clean_cases[i].name, text_width(buf_span(&out)));
		buf_release(&out);
	}
}
END_TEST

/* Whatever the bytes: what comes out is UTF-8 without control characters. */
START_TEST(every_byte_comes_out_harmless)
{
	for (int first = 0; first < 256; first++)
		for (int second = 0; second < 256; second++) {
			const char bytes[2] = {(char)first, (char)second};
			bool is_bad = false;
			struct buf out;

			buf_init(&out, MAX);
			text_clean(&out, span_make(bytes, 2));
			for (size_t i = 0; i < out.len; i++)
				is_bad |= (unsigned char)out.data[i] < ' ' || out.data[i] == 127;
			ck_assert_msg(!is_bad && span_is_utf8(buf_span(&out)), "%02x %02x", first,
				      second);
			buf_release(&out);
			second += first < 0x80 ? 16 : 0; /* ASCII stands alone */
		}
}
END_TEST

START_TEST(fronts_are_cut_between_characters)
{
	struct span wide = span_of("a\xe6\x97\xa5z");

	ck_assert_uint_eq(text_front(wide, 0).len, 0);
	ck_assert_uint_eq(text_front(wide, 1).len, 1);
	ck_assert_uint_eq(text_front(wide, 2).len, 1); /* half of a wide one is none of it */
	ck_assert_uint_eq(text_front(wide, 3).len, 4);
	ck_assert_uint_eq(text_front(wide, 99).len, 5);
}
END_TEST

/* Each case runs in a process of its own (check forks): the locale goes with it. */
START_TEST(widths_are_those_of_the_system)
{
	static const struct {
		const char *text;
		size_t rough, want;
	} rows[] = {
		{"\xe6\x97\xa5", 2, 2},		    /* a CJK character */
		{"\xe2\x9b\x94", 1, 2},		    /* no entry: an old one that became an emoji */
		{"\xe3\x81\x8b\xe3\x82\x99", 4, 2}, /* ka, and the mark that makes it ga */
		{"e\xcc\x81", 1, 1},		    /* e, acute */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_uint_eq(text_width(span_of(rows[i].text)), rows[i].rough);
	text_use_utf8();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_uint_eq(text_width(span_of(rows[i].text)), rows[i].want);
	ck_assert_uint_eq(text_front(span_of(rows[2].text), 1).len, 0);
	ck_assert_uint_eq(text_front(span_of(rows[2].text), 2).len, 6);
}
END_TEST

START_TEST(numbers_are_short)
{
	static const struct {
		int64_t value;
		const char *want;
	} sizes[] = {{0, "0"},		 {999, "999"},	 {1000, "0.9k"},	 {1024, "1.0k"},
		     {4813, "4.7k"},	 {10240, "10k"}, {1023 * 1024, "1023k"}, {26214400, "25M"},
		     {1LL << 40, "1.0T"}},
	  durations[] = {{-5, "0s"},	  {999, "0s"},	      {42000, "42s"},
			 {99999, "99s"},  {100000, "1m"},     {5990000, "99m"},
			 {7200000, "2h"}, {172799999, "47h"}, {172800000, "2d"}};
	char text[TEXT_SHORT_SIZE];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		text_size(sizes[i].value, text);
		ck_assert_str_eq(text, sizes[i].want);
	}
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		text_duration(durations[i].value, text);
		ck_assert_str_eq(text, durations[i].want);
	}
}
END_TEST

/* --- table ------------------------------------------------------------------- */

static const char *red_if_bad(const char *cell)
{
	return strcmp(cell, "bad") == 0 ? "31" : NULL;
}

static const struct table_column columns[] = {
	{"ID", false, 0, 0, NULL},
	{"N", true, 0, 2, NULL},
	{"STATE", false, 0, 0, red_if_bad},
	{"TEXT", false, 6, 1, NULL},
};

static struct table *sample(void)
{
	struct table *table = table_new(columns, 4);

	table_add(table, (const char *[]){"first", "1", "good", "a text that is not short"});
	table_add(table, (const char *[]){"second", "22", "bad", "line\nend"});
	table_add(table, (const char *[]){"3", NULL, "", ""});
	return table;
}

static void check_print(size_t width, bool colours, const char *want)
{
	struct table *table = sample();
	struct buf out;

	buf_init(&out, MAX);
	table_print(table, width, colours, &out);
	ck_assert_uint_eq(table_rows(table), 3);
	ck_assert_msg(span_is(buf_span(&out), want), "width %zu:\n%.*s", width,
		      SPAN_ARG(buf_span(&out)));
	buf_release(&out);
	table_free(&table);
	ck_assert_ptr_null(table);
}

START_TEST(without_a_width_nothing_is_cut)
{
	check_print(0, false,
		    "ID       N  STATE  TEXT\n"
		    "first    1  good   a text that is not short\n"
		    "second  22  bad    line\\nend\n"
		    "3\n");
}
END_TEST

START_TEST(long_cells_are_cut_first)
{
	check_print(30, false,
		    "ID       N  STATE  TEXT\n"
		    "first    1  good   a text tha…\n"
		    "second  22  bad    line\\nend\n"
		    "3\n");
}
END_TEST

START_TEST(then_columns_go_by_their_rank)
{
	check_print(22, false,
		    "ID      STATE  TEXT\n"
		    "first   good   a text…\n"
		    "second  bad    line\\n…\n"
		    "3\n");
	check_print(14, false,
		    "ID      STATE\n"
		    "first   good\n"
		    "second  bad\n"
		    "3\n");
}
END_TEST

START_TEST(at_last_the_line_is_cut)
{
	check_print(9, false,
		    "ID\n"
		    "first\n"
		    "second\n"
		    "3\n");
	check_print(4, false,
		    "ID\n"
		    "fir…\n"
		    "sec…\n"
		    "3\n");
}
END_TEST

START_TEST(colours_take_no_room)
{
	check_print(22, true,
		    "\033[1mID\033[0m      \033[1mSTATE\033[0m  \033[1mTEXT\033[0m\n"
		    "first   good   a text…\n"
		    "second  \033[31mbad\033[0m    line\\n…\n"
		    "3\n");
}
END_TEST

/* No line is wider than the terminal, whatever its width and whatever is in the cells. */
START_TEST(no_line_is_ever_too_long)
{
	struct table *table = sample();

	table_add(table, (const char *[]){"\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5", "9", "\033[2J",
					  "e\xcc\x81\xe6\x97\xa5\xff\xff\xff\xff"});
	for (size_t width = 1; width < 60; width++) {
		struct buf out;
		struct span rest;

		buf_init(&out, MAX);
		table_print(table, width, false, &out);
		rest = buf_span(&out);
		while (rest.len > 0) {
			struct span line = span_cut(&rest, '\n');

			ck_assert_msg(text_width(line) <= width, "%zu: \"%.*s\"", width,
				      SPAN_ARG(line));
		}
		buf_release(&out);
	}
	table_free(&table);
}
END_TEST

UNIT_MAIN("cli/table", nothing_in_mail_moves_the_cursor, every_byte_comes_out_harmless,
	  fronts_are_cut_between_characters, widths_are_those_of_the_system, numbers_are_short,
	  without_a_width_nothing_is_cut, long_cells_are_cut_first, then_columns_go_by_their_rank,
	  at_last_the_line_is_cut, colours_take_no_room, no_line_is_ever_too_long)
