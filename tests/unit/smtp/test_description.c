/* tests relay/smtp/description.c: where a header ends, and what of it is stored */
#include <config.h>

#include "relay/smtp/description.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static int64_t end_of(const char *text, size_t len, size_t step)
{
	struct header_end end = {.size = 0};

	for (size_t at = 0; at < len; at += step)
		header_end_look(&end, span_make(text + at, len - at < step ? len - at : step));
	return end.size;
}

/* Wherever the pieces are cut. */
START_TEST(end_of_header)
{
	static const struct {
		const char *text;
		int64_t want;
	} rows[] = {
		{"", 0},
		{"\r\n", 2},
		{"\r\nbody\r\n\r\n", 2},
		{"A: b\r\n", 0},
		{"A: b\r\n\r", 0},
		{"A: b\r\n\r\n", 8},
		{"A: b\r\n\r\n\r\nbody\r\n", 8},
		{"A: b\r\n c\r\n \r\nD: e\r\n\r\nx", 21},
		{"x\r\n\r\n", 5},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		for (size_t step = 1; step <= strlen(rows[i].text); step++)
			ck_assert_msg(end_of(rows[i].text, strlen(rows[i].text), step) ==
					      rows[i].want,
				      "row %zu in pieces of %zu", i, step);
}
END_TEST

/* `size` may be more than there is of it: then it counts as not read. */
static size_t read_part(struct arena *arena, const char *text, int64_t size, bool utf8,
			struct new_message *message)
{
	const struct description description = {.arena = arena, .smtputf8 = utf8};

	*message = (struct new_message){.size = 0};
	return description_read(&description, span_of(text), size, message);
}

START_TEST(what_it_says)
{
	static const char text[] = "Received: a\r\nsubject: one\r\n two\r\nRECEIVED: b\r\n"
				   "Subject: other\r\nMessage-ID:\r\n <a@b>\r\n\r\nReceived: c\r\n";
	int64_t size = strstr(text, "\r\n\r\n") + 4 - text;
	struct arena *arena = arena_new();
	struct new_message message;

	ck_assert_uint_eq(read_part(arena, text, size, true, &message), 2);
	ck_assert_str_eq(message.subject, "one two");
	ck_assert_str_eq(message.message_id, "<a@b>");
	ck_assert_int_eq(message.header_size, size);
	ck_assert(message.header_parsed && !message.smtputf8);
	ck_assert_uint_eq(read_part(arena, text, (int64_t)sizeof(text), true, &message), 2);
	ck_assert(!message.header_parsed && message.smtputf8);
	ck_assert_uint_eq(read_part(arena, "\r\n", 2, false, &message), 0);
	ck_assert(message.header_parsed && message.subject == NULL && message.message_id == NULL);
	arena_free(&arena);
}
END_TEST

/* RFC 6531 3.4: needed for what the header holds, not for what MAIL or the body says. */
START_TEST(smtputf8_is_needed)
{
	static const char eight[] = "Subject: Gr\xc3\xbc\xc3\x9f\x65\r\n\r\n";
	static const char seven[] = "Subject: x\r\n\r\n\xc3\xbc";
	struct arena *arena = arena_new();
	struct new_message message;

	(void)read_part(arena, eight, (int64_t)strlen(eight), true, &message);
	ck_assert(message.smtputf8);
	(void)read_part(arena, eight, (int64_t)strlen(eight), false, &message);
	ck_assert(!message.smtputf8);
	(void)read_part(arena, seven, (int64_t)strlen(seven) - 2, true, &message);
	ck_assert(!message.smtputf8);
	arena_free(&arena);
}
END_TEST

UNIT_MAIN("smtp/description", end_of_header, what_it_says, smtputf8_is_needed)
