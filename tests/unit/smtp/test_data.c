/* tests relay/smtp/data.c */
#include "relay/smtp/data.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <stdio.h>

/* What came out of one DATA, cut into pieces by `cut`. */
struct outcome {
	struct buf message;
	struct span rest;
	bool ended;
	struct smtp_data_facts facts;
};

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245U + 12345U;
	return *seed >> 16;
}

/* piece > 0: that many octets at a time; 0: random lengths from *seed. */
static void run(struct span wire, size_t piece, unsigned *seed, struct outcome *out)
{
	struct data data;
	size_t at = 0;

	buf_init(&out->message, 1 << 20);
	out->ended = false;
	data_init(&data, DATA_DOTTED);
	while (at < wire.len && !out->ended) {
		size_t len = piece > 0 ? piece : 1 + next_random(seed) % 5;
		struct span part = span_first(span_skip(wire, at), len);
		size_t had = part.len;
		struct span bytes;
		enum data_step step;

		while ((step = data_next(&data, &part, &bytes)) == DATA_PIECE)
			ck_assert_int_eq(buf_append_span(&out->message, bytes), ERR_OK);
		out->ended = step == DATA_END;
		at += had - part.len;
	}
	out->rest = span_skip(wire, at);
	out->facts = data.facts;
	ck_assert_int_eq(out->facts.size, (int64_t)out->message.len);
}

/* The reference: one octet at a time over the whole input, nothing clever. */
static void model(struct span in, struct buf *message, struct span *rest, bool *ended, int *bare)
{
	bool start = true;

	*ended = false;
	*bare = 0;
	for (size_t i = 0; i < in.len; i++) {
		char c = in.data[i];
		char next = i + 1 < in.len ? in.data[i + 1] : '\0';

		if (start && in.len - i >= 3 && memcmp(in.data + i, ".\r\n", 3) == 0) {
			*ended = true;
			*rest = span_skip(in, i + 3);
			return;
		}
		if (start && c == '.') {
			start = false;
			continue;
		}
		start = false;
		if (c == '\r' && next == '\n') {
			buf_append(message, "\r\n", 2);
			start = true;
			i++;
		} else if (c == '\r' || c == '\n') {
			buf_append(message, "\r\n", 2);
			++*bare;
		} else {
			buf_append_char(message, c);
		}
	}
	*rest = span_make(NULL, 0);
}

#define TAIL "MAIL FROM:<a@x>\r\nRCPT TO:<real@evil.example>\r\nDATA\r\nx"
/* Everything before `end` is one message; what the client wanted smuggled is text in it. */
static const struct {
	const char *id;
	struct span wire;
	struct span message;
	const char *rest;
	int cr;
	int lf;
} cases[] = {
#define B(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
	{"S001", B("a\n.\n" TAIL "\r\n.\r\n"), B("a\r\n.\r\n" TAIL "\r\n"), "", 0, 2},
	{"S002", B("a\n.\r\n" TAIL "\r\n.\r\n"), B("a\r\n.\r\n" TAIL "\r\n"), "", 0, 1},
	{"S003", B("a\r\n.\n" TAIL "\r\n.\r\n"), B("a\r\n\r\n" TAIL "\r\n"), "", 0, 1},
	{"S004", B("a\r.\r" TAIL "\r\n.\r\n"), B("a\r\n.\r\n" TAIL "\r\n"), "", 2, 0},
	{"S005a", B("a\r.\n" TAIL "\r\n.\r\n"), B("a\r\n.\r\n" TAIL "\r\n"), "", 1, 1},
	{"S005b", B("a\n.\r" TAIL "\r\n.\r\n"), B("a\r\n.\r\n" TAIL "\r\n"), "", 1, 1},
	{"S005c", B("a\r\n.\r" TAIL "\r\n.\r\n"), B("a\r\n\r\n" TAIL "\r\n"), "", 1, 0},
	{"S006", B("a\r.\r\n" TAIL "\r\n.\r\n"), B("a\r\n.\r\n" TAIL "\r\n"), "", 1, 0},
	{"S007a", B("a\r\n.\r\r\n" TAIL "\r\n.\r\n"), B("a\r\n\r\n\r\n" TAIL "\r\n"), "", 1, 0},
	{"S007b", B("a\r\r\n.\r\r\n" TAIL "\r\n.\r\n"), B("a\r\n\r\n\r\n\r\n" TAIL "\r\n"), "", 2,
	 0},
	{"S008", B("a\r\n\0.\r\n" TAIL "\r\n.\r\n"), B("a\r\n\0.\r\n" TAIL "\r\n"), "", 0, 0},
	{"S009", B("a\r\n.\0\r\n" TAIL "\r\n.\r\n"), B("a\r\n\0\r\n" TAIL "\r\n"), "", 0, 0},
	{"S011", B("a\r\n..\r\nb\r\n.\r\n"), B("a\r\n.\r\nb\r\n"), "", 0, 0},
	{"S012", B(".\r\n"), B(""), "", 0, 0},
	{"S017", B("a\r\n.\r\nMAIL FROM:<b@x>\r\n"), B("a\r\n"), "MAIL FROM:<b@x>\r\n", 0, 0},
	{"S018", B("..\r\n...\r\n..a\r\nb\r\n.\r\n"), B(".\r\n..\r\n.a\r\nb\r\n"), "", 0, 0},
	{"dot that nobody stuffed", B(".a\r\n.\r\n"), B("a\r\n"), "", 0, 0},
	{"empty lines", B("\r\n\r\n.\r\n"), B("\r\n\r\n"), "", 0, 0},
	{"CR CR LF", B("a\r\r\n.\r\n"), B("a\r\n\r\n"), "", 1, 0},
	{"LF first", B("\n.\r\n.\r\n"), B("\r\n.\r\n"), "", 0, 1},
	{"8-bit", B("\xff\xfe\xe9\r\n.\r\n"), B("\xff\xfe\xe9\r\n"), "", 0, 0},
};

START_TEST(end_of_data)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece < 100; piece++) {
			struct outcome out;

			run(cases[i].wire, piece, NULL, &out);
			ck_assert_msg(out.ended, "%s in pieces of %zu", cases[i].id, piece);
			ck_assert_msg(span_equal(buf_span(&out.message), cases[i].message),
				      "%s in pieces of %zu", cases[i].id, piece);
			ck_assert_msg(span_is(out.rest, cases[i].rest), "%s", cases[i].id);
			ck_assert_int_eq(out.facts.bare_cr, cases[i].cr);
			ck_assert_int_eq(out.facts.bare_lf, cases[i].lf);
			buf_release(&out.message);
		}
}
END_TEST

/* Random bytes from a small alphabet, randomly cut: the machine and the model agree. */
START_TEST(against_the_model)
{
	static const char alphabet[] = "..\r\r\n\n\r\n.a\0\xe9";
	unsigned seed = 20261121;

	for (int round = 0; round < 20000; round++) {
		char bytes[64];
		size_t len = 1 + next_random(&seed) % sizeof(bytes);
		struct span wire = {bytes, len};
		struct span rest;
		struct buf want;
		struct outcome out;
		bool ended;
		int bare;

		for (size_t i = 0; i < len; i++)
			bytes[i] = alphabet[next_random(&seed) % (sizeof(alphabet) - 1)];
		/* Octets whose meaning hangs on what comes next are left out of the comparison. */
		while (wire.len > 0 && wire.data[wire.len - 1] != 'a')
			if (wire.len >= 5 && memcmp(wire.data + wire.len - 5, "\r\n.\r\n", 5) == 0)
				break;
			else
				wire.len--;
		buf_init(&want, 1000);
		model(wire, &want, &rest, &ended, &bare);
		run(wire, 0, &seed, &out);
		ck_assert_int_eq(out.ended, ended);
		ck_assert(span_equal(buf_span(&out.message), buf_span(&want)));
		ck_assert(span_equal(out.rest, rest));
		ck_assert_int_eq(out.facts.bare_cr + out.facts.bare_lf, bare);
		buf_release(&want);
		buf_release(&out.message);
	}
}
END_TEST

/* BDAT: dots mean nothing; every way to cut gives the same (RFC 3030). */
START_TEST(chunked)
{
	static const struct {
		struct span wire;
		const char *message;
		int cr;
		int lf;
	} rows[] = {
		{B(".\r\n"), ".\r\n", 0, 0},
		{B("a\r\n.\r\n..b\r\n"), "a\r\n.\r\n..b\r\n", 0, 0},
		{B("a\rb\nc\r\nd"), "a\r\nb\r\nc\r\nd", 1, 1},
		{B("a\r"), "a\r\n", 1, 0},
		{B("\r\r\n\n"), "\r\n\r\n\r\n", 1, 1},
		{B(""), "", 0, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t piece = 1; piece < 16; piece++) {
			struct span rest = rows[i].wire;
			struct span bytes;
			struct data data;
			struct buf out;

			buf_init(&out, 1000);
			data_init(&data, DATA_CHUNKED);
			while (rest.len > 0) {
				struct span part = span_first(rest, piece);

				rest = span_skip(rest, part.len);
				while (data_next(&data, &part, &bytes) == DATA_PIECE)
					buf_append_span(&out, bytes);
				ck_assert_uint_eq(part.len, 0);
			}
			if (data_end(&data, &bytes))
				buf_append_span(&out, bytes);
			ck_assert(span_is(buf_span(&out), rows[i].message));
			ck_assert_int_eq(data.facts.bare_cr, rows[i].cr);
			ck_assert_int_eq(data.facts.bare_lf, rows[i].lf);
			ck_assert_int_eq(data.facts.size, (int64_t)out.len);
			buf_release(&out);
		}
}
END_TEST

START_TEST(facts)
{
	struct outcome out;
	struct span wire = span_make("12345\r\n.123456789\r\n\0\r\n.\r\n", 26);

	run(wire, 7, NULL, &out);
	ck_assert(out.ended && out.facts.has_nul && !out.facts.has_8bit);
	ck_assert_int_eq(out.facts.longest_line, 9);
	buf_release(&out.message);
	run(span_of("abc\xc3\xa9\r\n.\r\n"), 1, NULL, &out);
	ck_assert(out.ended && !out.facts.has_nul && out.facts.has_8bit);
	ck_assert_int_eq(out.facts.longest_line, 5);
	buf_release(&out.message);
}
END_TEST

/* Ordinary mail goes through in long runs: not one piece a line. */
START_TEST(long_runs)
{
	enum { LINES = 100000, LEN = 78 };
	char *wire = mem_alloc(LINES * LEN);
	struct span input = {wire, LINES * LEN};
	struct span piece;
	struct data data;
	int64_t start;
	size_t pieces = 0;

	for (int i = 0; i < LINES; i++) {
		memset(wire + i * LEN, 'x', LEN - 2);
		memcpy(wire + i * LEN + LEN - 2, "\r\n", 2);
	}
	data_init(&data, DATA_DOTTED);
	start = clock_mono_us();
	while (data_next(&data, &input, &piece) == DATA_PIECE)
		pieces++;
	printf("# %d bytes in %lld us\n", LINES * LEN, (long long)(clock_mono_us() - start));
	ck_assert_uint_eq(pieces, 1);
	ck_assert_int_eq(data.facts.size, LINES * LEN);
	mem_free(wire);
}
END_TEST

UNIT_MAIN("smtp/data", end_of_data, against_the_model, chunked, facts, long_runs)
