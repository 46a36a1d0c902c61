/* tests relay/smtp/fixups.c (RFC 6409 8) */
#include "relay/smtp/fixups.h"

#include <string.h>

#include "base/err.h"
#include "relay/mail/header.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define AT	    1795256430456
#define DATE	    "Date: Sat, 21 Nov 2026 10:20:30 +0000\r\n"
#define ID	    "Message-ID: <01J@relay.test>\r\n"

static bool format(struct span section, struct buf *out)
{
	struct fixups fixups = {
		.section = section, .id = "01J", .hostname = "relay.test", .received_at = AT};

	ck_assert_int_eq(fixups_format(&fixups, out), ERR_OK);
	return fixups.added_message_id;
}

START_TEST(shapes)
{
	static const struct {
		const char *section;
		const char *want;
	} rows[] = {
		{"Date: x\r\nMessage-ID: <a@b>\r\n\r\n", ""},
		{"date :x\r\nMESSAGE-ID:\r\n\r\n", ""},
		{"Subject: x\r\n\r\n", DATE ID},
		{"Subject: x\r\n\r\nDate: x\r\nMessage-ID: y\r\n", DATE ID},
		{"Message-ID: <a@b>\r\n\r\n", DATE},
		{"Date: x\r\n\r\n", ID},
		{"X-Date: x\r\nResent-Date: x\r\nResent-Message-ID: y\r\n\r\n", DATE ID},
		/* no header, or an unfinished one */
		{"", DATE ID},
		{"\r\n", DATE ID},
		{"Subject: x\r\n", DATE ID},
		{"Subject: x", DATE ID},
		/* the first line is none of a header: it must not continue ours */
		{"Hello world\r\n", DATE ID "\r\n"},
		{" Hello: world\r\n\r\n", DATE ID "\r\n"},
		{"\tHello\r\n", DATE ID "\r\n"},
		{": x\r\n", DATE ID "\r\n"},
		{"Two words: x\r\n", DATE ID "\r\n"},
		{"Hello\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\n", DATE ID "\r\n"},
		/* a header that breaks off ends there */
		{"Subject: x\r\nHello\r\nDate: x\r\n\r\n", DATE ID},
		{"Date: x\r\nHello\r\nMessage-ID: <a@b>\r\n\r\n", ID},
		/* what mbox leaves in front is passed over */
		{"From a@b Sat Nov 21 10:20:30 2026\r\nDate: x\r\n\r\n", ID},
		{">From a@b Sat Nov 21 10:20:30 2026\r\nMessage-ID: y\r\n\r\n", DATE},
		{"From a@b\r\n", DATE ID},
		{"From: a@b\r\n\r\n", DATE ID},
		{"from me\r\n", DATE ID "\r\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;
		bool added;

		buf_init(&out, 1000);
		buf_append_text(&out, "");
		added = format(span_of(rows[i].section), &out);
		ck_assert_msg(span_is(buf_span(&out), rows[i].want), "%zu %s: %.*s", i,
			      rows[i].section, (int)out.len, out.data);
		ck_assert(added == (strstr(rows[i].want, "Message-ID") != NULL));
		buf_release(&out);
	}
}
END_TEST

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245U + 12345U;
	return *seed >> 16;
}

/* How many of each stand in the header as a strict reader sees it. */
static void count(struct span section, int *dates, int *ids)
{
	struct header header;
	struct header_field field;

	header_init(&header, section);
	while (header_next(&header, &field) && !field.malformed) {
		*dates += span_is_fold(field.name, "Date");
		*ids += span_is_fold(field.name, "Message-ID");
	}
}

/* Whatever comes: behind ours the message has both, ours stand alone, and it is all still there. */
START_TEST(nothing_breaks)
{
	static const char *const parts[] = {
		"Date: x", "Message-ID: <a@b>", "Subject: y", "\r\n", "\r\n",
		" ",	   "no field",		"\r",	      ":",    "\xff",
		"From "};
	unsigned seed = 20261121;

	for (int round = 0; round < 20000; round++) {
		struct buf section;
		struct buf whole;
		size_t front;
		int dates = 0;
		int ids = 0;

		buf_init(&section, 1000);
		buf_init(&whole, 2000);
		for (unsigned i = next_random(&seed) % 8; i > 0; i--)
			buf_append_text(&section, parts[next_random(&seed) % COUNT(parts)]);
		format(buf_span(&section), &whole);
		front = whole.len;
		ck_assert(front == 0 || memcmp(whole.data + front - 2, "\r\n", 2) == 0);
		buf_append_span(&whole, buf_span(&section));
		count(buf_span(&whole), &dates, &ids);
		/* Fields of a client that says one twice are its own. */
		if (front == strlen(DATE ID) || front == strlen(DATE ID "\r\n"))
			ck_assert(dates == 1 && ids == 1);
		else if (section.len == 0 || section.data[0] != 'F')
			ck_assert(dates >= 1 && ids >= 1);
		buf_release(&section);
		buf_release(&whole);
	}
}
END_TEST

UNIT_MAIN("smtp/fixups", shapes, nothing_breaks)
