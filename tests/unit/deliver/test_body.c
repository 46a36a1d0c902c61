/* tests relay/deliver/body.c: dots, counting, and lines that are cut and joined (CASES S201) */
#include "relay/deliver/body.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define MAX  BODY_LINE_MAX
#define ROOM ((size_t)5 * MAX)

/* All of `wire` in pieces: what is passed on is appended to `out` (may be NULL). What is left. */
static struct span scan_all(struct body_scan *scan, struct span wire, size_t piece, struct buf *out)
{
	size_t at = 0, fed = 0, drop, take;

	while (!scan->ended && fed < wire.len) {
		fed = fed + piece < wire.len ? fed + piece : wire.len;
		do {
			struct span input = span_make(wire.data + at, fed - at);

			/* Without ck_assert: it makes a system call, and pieces are many. */
			if (body_scan_take(scan, input, &drop, &take) < 0 ||
			    drop + take > input.len)
				ck_abort_msg("at %zu of %zu", at, wire.len);
			if (out != NULL && take > 0)
				buf_append(out, input.data + drop, take);
			at += drop + take;
		} while (drop + take > 0);
	}
	return span_skip(wire, at);
}

/* However it comes, the same octets are counted and the same end is found. */
START_TEST(body_scan_counts_and_finds_the_end)
{
	static const char wire[] = "..dot\r\nline\r\n...\r\n\r\n..\r\nlast\r\n.\r\n";
	const int64_t want = (int64_t)strlen(".dot\r\nline\r\n..\r\n\r\n.\r\nlast\r\n");

	for (size_t piece = 1; piece < sizeof(wire); piece++) {
		struct body_scan scan;
		struct span rest;

		body_scan_init(&scan);
		rest = scan_all(&scan, span_of(wire), piece, NULL);
		ck_assert(scan.ended);
		ck_assert_int_eq(scan.octets, want);
		ck_assert(span_is(rest, ".\r\n"));
	}
}
END_TEST

START_TEST(body_scan_refuses_a_lone_dot)
{
	struct body_scan scan;
	size_t drop, take;

	body_scan_init(&scan);
	ck_assert_int_eq(body_scan_take(&scan, span_of("a\r\n.b\r\n"), &drop, &take), ERR_SYNTAX);
	body_scan_init(&scan);
	/* .LF is not the end either: it never comes from libesmtp */
	ck_assert_int_eq(body_scan_take(&scan, span_of("a\r\n.\n\r\n"), &drop, &take), ERR_SYNTAX);
}
END_TEST

START_TEST(stuffing_is_the_reverse_of_the_scan)
{
	static const char header[] = ".a: 1\r\nb: .\r\n..c\r\n.\r\nd\r\n\r\n";

	for (size_t room = 2; room < 40; room++) {
		struct body_scan scan;
		struct buf all;
		size_t at = 0, drop, take;

		buf_init(&all, 1000);
		while (at < sizeof(header) - 1)
			body_stuff(span_of(header), &at, room, &all);
		ck_assert_str_eq(all.data, "..a: 1\r\nb: .\r\n...c\r\n..\r\nd\r\n\r\n");
		body_scan_init(&scan);
		ck_assert_int_eq(body_scan_take(&scan, buf_span(&all), &drop, &take), ERR_OK);
		ck_assert_uint_eq(take, all.len);
		ck_assert_uint_eq(drop, 0);
		ck_assert_int_eq(scan.octets, sizeof(header) - 1);
		buf_release(&all);
	}
}
END_TEST

/* --- long lines ------------------------------------------------------------------------------ */

/* `count` of c, then `tail`. */
struct line {
	char c;
	size_t count;
	const char *tail;
};
/* How many line ends are put in, and where the first one is. */
struct cut_case {
	struct line lines[3];
	size_t cuts, first;
};

static const struct cut_case cut_cases[] = {
	{{{'x', 10, "\r\n"}}, 0, 0},
	{{{'x', MAX - 2, "\r\n"}}, 0, 0},
	/* the CR is the octet at the limit: it stays with its LF */
	{{{'x', MAX - 1, "\r\n"}}, 0, 0},
	{{{'.', MAX - 1, "\r\n"}, {'.', 1, "\r\n"}}, 0, 0},
	/* the line end begins at the cut */
	{{{'x', MAX, "\r\n"}}, 1, MAX},
	{{{'x', MAX, "\r\n.\r\n..\r\n"}}, 1, MAX},
	/* text behind the cut */
	{{{'x', MAX + 1, "\r\n"}}, 1, MAX},
	{{{'x', 2 * MAX - 1, "\r\n"}}, 1, MAX},
	{{{'x', 2 * MAX, "\r\n"}}, 2, MAX},
	{{{'x', 2 * MAX + 1, "\r\n"}}, 2, MAX},
	/* a dot behind the cut, two, and nothing but dots */
	{{{'x', MAX, ".\r\n"}}, 1, MAX},
	{{{'x', MAX, "..\r\n"}}, 1, MAX},
	{{{'x', MAX, ".y\r\n.\r\n"}}, 1, MAX},
	{{{'x', MAX - 1, ".\r\n.\r\n"}}, 1, MAX},
	{{{'.', MAX, "\r\n.\r\n"}}, 1, MAX},
	{{{'.', 3 * MAX + 5, "\r\n"}}, 3, MAX},
	/* counted from the last line end */
	{{{'a', 100, "\r\n"}, {'.', MAX + 1, "\r\n"}, {'b', MAX - 1, "\r\n"}}, 1, 102 + MAX},
	/* CRs without LF, which no stored message has, are passed by too */
	{{{'x', MAX - 1, "\r\r\r.z\r\n"}}, 1, MAX + 3},
	/* NULs are octets like others */
	{{{'\0', MAX + 1, "\r\n"}}, 1, MAX},
};

static void build(const struct cut_case *row, struct buf *body)
{
	for (size_t i = 0; i < 3; i++) {
		for (size_t n = 0; n < row->lines[i].count; n++)
			buf_append_char(body, row->lines[i].c);
		if (row->lines[i].tail != NULL)
			buf_append_text(body, row->lines[i].tail);
	}
}

/* What the worker hands out of it when it reads in pieces. Returns the number of cuts. */
static size_t cut(struct span body, size_t piece, struct buf *out, size_t *first_out)
{
	size_t line = 0, cuts = 0;

	for (size_t at = 0; at < body.len;) {
		size_t take;
		enum body_line_end end =
			body_line_take(&line, span_first(span_skip(body, at), piece), &take);

		if (take == 0)
			ck_abort_msg("no progress at %zu", at);
		buf_append(out, body.data + at, take);
		at += take;
		if (end != BODY_LINE_CUT)
			continue;
		if (cuts++ == 0)
			*first_out = at;
		buf_append_text(out, "\r\n");
	}
	return cuts;
}

static void stuff(struct span text, struct buf *out)
{
	size_t at = 0;

	while (at < text.len)
		body_stuff(text, &at, 1000, out);
}

static void check_cut(size_t index, size_t piece)
{
	const struct cut_case *row = &cut_cases[index];
	struct buf body, shown, wire, want, got;
	struct body_scan scan;
	size_t first = 0, cuts;

	buf_init(&body, ROOM);
	buf_init(&shown, ROOM);
	buf_init(&wire, ROOM);
	buf_init(&want, ROOM);
	buf_init(&got, ROOM);
	build(row, &body);
	cuts = cut(buf_span(&body), piece, &shown, &first);
	ck_assert_msg(cuts == row->cuts && first == row->first, "%zu/%zu: %zu cuts, %zu", index,
		      piece, cuts, first);
	stuff(buf_span(&shown), &wire);
	buf_append_text(&wire, ".\r\n");
	stuff(buf_span(&body), &want);
	body_scan_init(&scan);
	ck_assert_msg(span_is(scan_all(&scan, buf_span(&wire), piece, &got), ".\r\n"), "%zu/%zu",
		      index, piece);
	ck_assert(scan.ended);
	ck_assert_int_eq(scan.octets, body.len);
	ck_assert_msg(span_equal(buf_span(&got), buf_span(&want)), "%zu/%zu", index, piece);
	buf_release(&body);
	buf_release(&shown);
	buf_release(&wire);
	buf_release(&want);
	buf_release(&got);
}

/* S201: what leaves is the body with its own dots doubled, wherever lines were cut. */
START_TEST(cut_lines_are_joined_again)
{
	static const size_t pieces[] = {1,	 2,	  3,	   5,	    MAX - 1, MAX,
					MAX + 1, MAX + 2, MAX + 3, MAX + 4, 5 * MAX};

	for (size_t i = 0; i < sizeof(cut_cases) / sizeof(cut_cases[0]); i++)
		for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++)
			check_cut(i, pieces[p]);
}
END_TEST

/* Behind a cut: anything but the line end that was put in, and a dot that was not doubled. */
START_TEST(a_cut_that_is_none_is_refused)
{
	static const char *const tails[] = {"xx", "\n\r", "\rx", "..", "\r\n.x", "\r\n.\r\n"};
	char wire[MAX + 10];

	memset(wire, 'x', MAX);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		struct body_scan scan;
		size_t len = strlen(tails[i]), drop, take;
		struct span rest;
		int code;

		memcpy(wire + MAX, tails[i], len);
		body_scan_init(&scan);
		ck_assert_int_eq(body_scan_take(&scan, span_make(wire, MAX + len), &drop, &take),
				 ERR_OK);
		ck_assert_uint_eq(drop, 0);
		ck_assert_uint_eq(take, MAX);
		rest = span_make(wire + take, len);
		code = body_scan_take(&scan, rest, &drop, &take);
		ck_assert_msg(code == ERR_SYNTAX, "%zu", i);
	}
}
END_TEST

UNIT_MAIN("deliver/body", body_scan_counts_and_finds_the_end, body_scan_refuses_a_lone_dot,
	  stuffing_is_the_reverse_of_the_scan, cut_lines_are_joined_again,
	  a_cut_that_is_none_is_refused)
