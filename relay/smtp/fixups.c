/* relay/smtp/fixups.c - what a submission server adds where it is missing (RFC 6409 8) */
#include "relay/smtp/fixups.h"

#include "base/clock.h"
#include "base/err.h"
#include "relay/mail/header.h"

struct seen {
	bool date;
	bool message_id;
	bool headless; /* no field stands in front of the first line that is none */
};

/* A line of the mbox format that some programs leave in front of the header. */
static bool is_mbox_line(struct span raw)
{
	return span_is(span_first(raw, 5), "From ") || span_is(span_first(raw, 6), ">From ");
}

static struct seen look(struct span section)
{
	struct seen seen = {.headless = false};
	struct header header;
	struct header_field field;

	header_init(&header, section);
	while (header_next(&header, &field)) {
		bool first = header.fields == 1;

		if (first && is_mbox_line(field.raw))
			continue;
		if (field.malformed) {
			seen.headless = first;
			break;
		}
		seen.date |= span_is_fold(field.name, "Date");
		seen.message_id |= span_is_fold(field.name, "Message-ID");
	}
	return seen;
}

int fixups_format(struct fixups *fixups, struct buf *out)
{
	struct seen seen = look(fixups->section);
	char date[CLOCK_RFC5322_SIZE];
	int code = ERR_OK;

	fixups->added_message_id = !seen.message_id;
	clock_format_rfc5322(fixups->received_at, date);
	if (!seen.date)
		code = buf_printf(out, "Date: %s\r\n", date);
	if (code == ERR_OK && !seen.message_id)
		code = buf_printf(out, "Message-ID: <%s@%s>\r\n", fixups->id, fixups->hostname);
	if (code == ERR_OK && seen.headless)
		code = buf_append_text(out, "\r\n");
	return code;
}
