/* tests relay/mail/compose.c and relay/mail/encode.c: what is made can be read back, however it is
 * pulled */
#include <config.h>

#include "relay/mail/compose.h"

#include <stdio.h>

#include "base/err.h"
#include "relay/mail/encode.h"
#include "relay/mail/header.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define ROOM	    ((size_t)4 << 20)

/* --- what a reader makes of it: its own, simple, decoders ---------------------------------------
 */

static void decode_quoted(struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] != '=') {
			buf_append_char(out, text.data[i]);
		} else if (text.data[i + 1] == '\r') {
			i += 2;
		} else {
			buf_append_char(out, (char)(ascii_hex_value(text.data[i + 1]) << 4 |
						    ascii_hex_value(text.data[i + 2])));
			i += 2;
		}
	}
}

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

static void decode_base64(struct span text, struct buf *out)
{
	unsigned bits = 0;
	int count = 0;

	for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
		if (base64_value(text.data[i]) < 0) {
			ck_assert_msg(strchr("\r\n", text.data[i]) != NULL, "'%c'", text.data[i]);
			continue;
		}
		bits = bits << 6 | (unsigned)base64_value(text.data[i]);
		count += 6;
		if (count >= 8) {
			count -= 8;
			buf_append_char(out, (char)(bits >> count & 255));
		}
	}
}

/* Line ends as the encoders make them. */
static void canonical(struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c != '\r' && c != '\n') {
			buf_append_char(out, c);
			continue;
		}
		buf_append(out, "\r\n", 2);
		if (c == '\r' && i + 1 < text.len && text.data[i + 1] == '\n')
			i++;
	}
}

static void check_lines(struct span text, size_t max)
{
	while (text.len > 0) {
		size_t lf = span_find(text, '\n');
		struct span line = span_first(text, lf);

		if (lf < text.len) {
			ck_assert(line.len > 0 && line.data[line.len - 1] == '\r');
			line.len--;
		}
		ck_assert_msg(line.len <= max, "%zu octets", line.len);
		ck_assert_uint_eq(span_find(line, '\r'), line.len);
		text = span_skip(text, lf + 1);
	}
}

/* --- encodings
 * ------------------------------------------------------------------------------------ */

static void encode_all(enum encode_kind kind, struct span text, size_t room, struct buf *out)
{
	struct encode encode;

	encode_init(&encode, kind, text);
	for (;;) {
		size_t before = out->len;
		bool done = encode_next(&encode, room, out);

		ck_assert_uint_le(out->len - before, room);
		if (done)
			return;
		ck_assert_uint_gt(out->len, before);
	}
}

static void check_encoding(enum encode_kind kind, struct span text)
{
	static const size_t rooms[] = {ENCODE_STEP_MAX, 17, 100, ROOM};
	struct buf want;
	struct buf first;
	struct buf coded;
	struct buf got;

	buf_init(&want, ROOM);
	buf_init(&first, ROOM);
	buf_init(&coded, ROOM);
	buf_init(&got, ROOM);
	canonical(text, &want);
	encode_all(kind, text, ROOM, &first);
	for (size_t i = 0; i < COUNT(rooms); i++) {
		buf_clear(&coded);
		encode_all(kind, text, rooms[i], &coded);
		ck_assert(span_equal(buf_span(&coded), buf_span(&first)));
	}
	if (kind == ENCODE_7BIT)
		buf_append_span(&got, buf_span(&first));
	else if (kind == ENCODE_QUOTED)
		decode_quoted(buf_span(&first), &got);
	else
		decode_base64(buf_span(&first), &got);
	if (kind != ENCODE_7BIT)
		check_lines(buf_span(&first), 76);
	ck_assert_msg(span_equal(buf_span(&got), buf_span(&want)), "%d: %.*s became %s", (int)kind,
		      SPAN_ARG(text), first.data != NULL ? first.data : "");
	ck_assert(kind == ENCODE_7BIT || span_is_ascii(buf_span(&first)));
	buf_release(&want);
	buf_release(&first);
	buf_release(&coded);
	buf_release(&got);
}

static const struct {
	const char *text;
	enum encode_kind choice;
} texts[] = {
	{"", ENCODE_7BIT},
	{"x", ENCODE_7BIT},
	{"one\ntwo\r\nthree\r\r\n\n", ENCODE_7BIT},
	{"tab\tinside", ENCODE_7BIT},
	{".\n..\n", ENCODE_7BIT},
	{"From here", ENCODE_QUOTED},
	{"x\nFrom here\n", ENCODE_QUOTED},
	{"x From here\n", ENCODE_7BIT},
	{"blank at the end \nx", ENCODE_QUOTED},
	{"tab at the end\t", ENCODE_QUOTED},
	{"a control \x01 in a text that is long enough", ENCODE_QUOTED},
	{"\x01", ENCODE_BASE64},
	{"one \xc3\xa9 in a text that is long enough", ENCODE_QUOTED},
	{"\xc3\xa9\xc3\xa9", ENCODE_BASE64},
	{"1 = 1, and so on, and so on, \x7f", ENCODE_QUOTED},
};

START_TEST(choices)
{
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct span text = span_of(texts[i].text);

		ck_assert_msg(encode_choose(text) == texts[i].choice, "%zu: %s", i, texts[i].text);
		check_encoding(texts[i].choice, text);
		check_encoding(ENCODE_QUOTED, text);
		check_encoding(ENCODE_BASE64, text);
	}
}
END_TEST

/* A line of 998 octets is the longest that may go as it is. */
START_TEST(long_lines)
{
	char line[2000];

	memset(line, 'x', sizeof(line));
	ck_assert_int_eq(encode_choose(span_make(line, 998)), ENCODE_7BIT);
	ck_assert_int_eq(encode_choose(span_make(line, 999)), ENCODE_QUOTED);
	line[998] = '\n';
	ck_assert_int_eq(encode_choose(span_make(line, 1997)), ENCODE_7BIT);
	check_encoding(ENCODE_7BIT, span_make(line, 1997));
	check_encoding(ENCODE_QUOTED, span_make(line, sizeof(line)));
}
END_TEST

START_TEST(any_bytes)
{
	uint32_t state = 7;
	char text[700];

	for (int round = 0; round < 2000; round++) {
		static const char usual[] = "ab \t\r\n.=F\xc3\xa9\x01";
		size_t len = (size_t)round % sizeof(text);

		for (size_t i = 0; i < len; i++) {
			state = state * 1664525 + 1013904223;
			text[i] = usual[(state >> 16) % (sizeof(usual) - 1)];
		}
		check_encoding(ENCODE_QUOTED, span_make(text, len));
		check_encoding(ENCODE_BASE64, span_make(text, len));
		check_encoding(encode_choose(span_make(text, len)), span_make(text, len));
	}
}
END_TEST

START_TEST(wrapping)
{
	struct buf out;

	buf_init(&out, 1000);
	encode_all(ENCODE_WRAP, span_of("QUJD\r\n REVG\tR0g=\n"), 100, &out);
	ck_assert(span_is(buf_span(&out), "QUJDREVGR0g="));
	buf_clear(&out);
	encode_all(ENCODE_WRAP,
		   span_of("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
			   "AAAAAAAAAAAAAAAAAAAA"),
		   16, &out);
	ck_assert_uint_eq(out.len, 80 + 2);
	ck_assert_uint_eq(span_find(buf_span(&out), '\r'), 76);
	buf_release(&out);
}
END_TEST

/* --- what may come in
 * ------------------------------------------------------------------------------- */

START_TEST(types)
{
	static const struct {
		const char *type;
		bool good;
	} rows[] = {
		{"text/plain", true},
		{"application/vnd.ms-excel.sheet+x", true},
		{"text/csv; charset=utf-8", true},
		{"text/csv;charset=utf-8", true},
		{"TEXT/CSV; CHARSET=x", true},
		{"", false},
		{"text", false},
		{"/plain", false},
		{"text/", false},
		{"text/plain;", false},
		{"text/plain; name=x", false},
		{"text/plain; charset=", false},
		{"text/plain; charset=\"x\"", false},
		{"text/plain; charset=x; a=b", false},
		{"text/plain\r\nX: y", false},
		{"text /plain", false},
		{"t\xc3\xa4xt/plain", false},
		{"multipart/mixed", false},
		{"Message/rfc822", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		ck_assert_msg(compose_is_type(span_of(rows[i].type)) == rows[i].good, "%s",
			      rows[i].type);
}
END_TEST

START_TEST(base64)
{
	static const struct {
		const char *text;
		bool good;
	} rows[] = {
		{"", true},	     {"QUJD", true},  {"QUI=", true},  {"QQ==", true},
		{"QU\r\nJD", true},  {"QQ= =", true}, {"QUJ", false},  {"Q===", false},
		{"QQ==QQ==", false}, {"=", false},    {"====", false}, {"QUJ!", false},
		{"QU-_", false},     {"QQ=A", false},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		ck_assert_msg(compose_is_base64(span_of(rows[i].text)) == rows[i].good, "%s",
			      rows[i].text);
}
END_TEST

/* --- messages
 * ----------------------------------------------------------------------------------------- */

static void pull(const struct compose_message *message, struct buf *out)
{
	struct arena *arena = arena_new();
	struct compose *compose = compose_begin(message, arena);
	struct buf piece;

	buf_init(&piece, COMPOSE_PIECE_MAX);
	while (compose_next(compose, &piece)) {
		buf_append_span(out, buf_span(&piece));
		buf_clear(&piece);
	}
	ck_assert_uint_eq(piece.len, 0);
	buf_release(&piece);
	arena_free(&arena);
}

static bool holds(const struct buf *text, const char *part)
{
	return text->data != NULL && strstr(text->data, part) != NULL;
}

static size_t count(const struct buf *text, const char *part)
{
	size_t found = 0;

	for (const char *at = text->data; (at = strstr(at, part)) != NULL; at += strlen(part))
		found++;
	return found;
}

START_TEST(one_text)
{
	struct compose_message message = {.fields = span_of("Subject: x\r\n"),
					  .text = span_of("hello\nworld")};
	struct buf out;

	buf_init(&out, ROOM);
	pull(&message, &out);
	ck_assert_str_eq(out.data, "Subject: x\r\nMIME-Version: 1.0\r\n"
				   "Content-Type: text/plain; charset=us-ascii\r\n"
				   "Content-Transfer-Encoding: 7bit\r\n\r\nhello\r\nworld\r\n");
	buf_clear(&out);
	message = (struct compose_message){.fields = span_of("Subject: x\r\n")};
	pull(&message, &out);
	ck_assert_str_eq(out.data, "Subject: x\r\nMIME-Version: 1.0\r\n"
				   "Content-Type: text/plain; charset=us-ascii\r\n"
				   "Content-Transfer-Encoding: 7bit\r\n\r\n");
	buf_clear(&out);
	message.html = span_of("\xc3\xa9");
	pull(&message, &out);
	ck_assert_str_eq(out.data, "Subject: x\r\nMIME-Version: 1.0\r\n"
				   "Content-Type: text/html; charset=utf-8\r\n"
				   "Content-Transfer-Encoding: base64\r\n\r\nw6k=\r\n");
	buf_release(&out);
}
END_TEST

START_TEST(both_texts_and_files)
{
	const struct compose_file files[] = {
		{.filename = span_of("a \"b\".txt"),
		 .type = "text/plain",
		 .base64 = span_of("QUJD")},
		{.filename = span_of("\xc3\xa9"), .type = "a/b", .base64 = span_of("")},
		{.filename = {NULL, 0}, .type = "a/b", .base64 = span_of("QQ==")},
	};
	const struct compose_message message = {.fields = span_of("Subject: x\r\n"),
						.text = span_of("hello\n"),
						.html = span_of("<p>hello"),
						.files = files,
						.file_count = COUNT(files)};
	struct buf out;

	buf_init(&out, ROOM);
	pull(&message, &out);
	check_lines(buf_span(&out), 78);
	ck_assert_uint_eq(count(&out, "\r\nContent-Type: "), 7);
	ck_assert_uint_eq(count(&out, "\r\n--=_"), 5 + 3);
	ck_assert(holds(&out, "Content-Disposition: attachment; filename=\"a \\\"b\\\".txt\"\r\n"));
	ck_assert(holds(&out, "attachment; filename*=utf-8''%C3%A9\r\n"));
	ck_assert(holds(&out, "Content-Disposition: attachment\r\n"
			      "Content-Transfer-Encoding: base64\r\n\r\nQQ==\r\n--"));
	ck_assert(holds(&out, "\r\n\r\nhello\r\n\r\n--"));
	ck_assert(span_is(span_skip(buf_span(&out), out.len - 4), "--\r\n"));
	buf_release(&out);
}
END_TEST

/* More than one piece of it. */
START_TEST(large_ones)
{
	size_t len = 400000;
	char *base64_text = mem_alloc(len);
	const struct compose_file file = {.type = "a/b", .base64 = span_make(base64_text, len)};
	const struct compose_message message = {.fields = span_of("Subject: x\r\n"),
						.text = span_of("x"),
						.files = &file,
						.file_count = 1};
	struct buf out;

	memset(base64_text, 'A', len);
	buf_init(&out, ROOM);
	pull(&message, &out);
	check_lines(buf_span(&out), 78);
	ck_assert_uint_gt(out.len, len + len / 76 * 2);
	mem_free(base64_text);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("mail/compose", choices, long_lines, any_bytes, wrapping, types, base64, one_text,
	  both_texts_and_files, large_ones)
