/* tests relay/mail/ over the collected messages: whole header sections as they occur */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>

#include "base/err.h"
#include "relay/mail/address_list.h"
#include "relay/mail/date.h"
#include "relay/mail/header.h"
#include "tests/unit/unit.h"

#define MESSAGE_MAX (64 * 1024 * 1024)

struct counts {
	size_t messages;
	size_t fields;
	size_t malformed;
	size_t lists;
	size_t broken_lists;
	size_t mailboxes;
	size_t dates;
	size_t bad_dates;
};

/* With the line ends a stored message has: a bare CR or LF is CRLF (DESIGN P5). */
static void message_read(FILE *file, struct buf *out)
{
	int before = 0;
	int c;

	while ((c = getc(file)) != EOF) {
		if (c == '\n' && before != '\r')
			buf_append_char(out, '\r');
		else if (before == '\r' && c != '\n')
			buf_append_char(out, '\n');
		buf_append_char(out, (char)c);
		before = c;
	}
}

static bool is_address_field(struct span name)
{
	static const char *const names[] = {"From", "To", "Cc", "Bcc", "Reply-To", "Sender"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is_fold(name, names[i]))
			return true;
	return false;
}

static void list_check(struct span body, struct counts *counts)
{
	struct address_list list;
	struct address_item item;
	bool broken = false;

	address_list_init(&list, body);
	while (address_list_next(&list, &item)) {
		broken = broken || item.kind == ADDRESS_ITEM_BROKEN;
		counts->mailboxes += item.kind == ADDRESS_ITEM_MAILBOX;
		ck_assert(item.source.len == 0 ||
			  (item.source.data >= body.data &&
			   item.source.data + item.source.len <= body.data + body.len));
	}
	address_list_release(&list);
	counts->lists++;
	counts->broken_lists += broken;
}

static void field_check(const struct header_field *field, struct counts *counts)
{
	int64_t ms;
	struct buf display;

	counts->fields++;
	counts->malformed += field->malformed;
	buf_init(&display, field->body.len * 4 + 4);
	header_decode_display(field->body, &display);
	ck_assert(span_is_utf8(buf_span(&display)));
	ck_assert(span_find(buf_span(&display), '\n') == display.len);
	buf_release(&display);
	if (is_address_field(field->name))
		list_check(field->body, counts);
	if (span_is_fold(field->name, "Date")) {
		counts->dates++;
		counts->bad_dates += date_parse(field->body, &ms, NULL) != ERR_OK;
	}
}

static void message_check(struct span message, struct counts *counts)
{
	struct span section = span_first(message, header_section_length(message));
	struct header header;
	struct header_field field;
	size_t at = 0;

	header_init(&header, section);
	while (header_next(&header, &field)) {
		ck_assert_ptr_eq(field.raw.data, section.data + at);
		at += field.raw.len;
		field_check(&field, counts);
	}
	ck_assert(header.over_limit || at == section.len || at + 2 == section.len);
	counts->messages++;
}

START_TEST(header_sections)
{
	const char *folder = getenv("STAGEPOST_CORPORA");
	struct counts counts = {0};
	char path[4096];
	char line[8192];
	FILE *manifest;

	snprintf(path, sizeof(path), "%s/eml/MANIFEST.tsv", folder != NULL ? folder : ".");
	manifest = fopen(path, "r");
	if (manifest == NULL) {
		printf("# skipped: no eml/MANIFEST.tsv in $STAGEPOST_CORPORA\n");
		return;
	}
	while (fgets(line, sizeof(line), manifest) != NULL) {
		struct buf message;
		FILE *file;

		line[strcspn(line, "\t\r\n")] = '\0';
		snprintf(path, sizeof(path), "%s/eml/%.2000s", folder, line);
		file = fopen(path, "rb");
		if (file == NULL)
			continue;
		buf_init(&message, MESSAGE_MAX);
		message_read(file, &message);
		fclose(file);
		message_check(buf_span(&message), &counts);
		buf_release(&message);
	}
	fclose(manifest);
	printf("# eml: %zu messages, %zu fields, %zu malformed\n", counts.messages, counts.fields,
	       counts.malformed);
	printf("# eml: %zu address fields, %zu of them broken, %zu mailboxes\n", counts.lists,
	       counts.broken_lists, counts.mailboxes);
	printf("# eml: %zu dates, %zu not by the grammar\n", counts.dates, counts.bad_dates);
	ck_assert_uint_gt(counts.messages, 300);
	ck_assert_uint_gt(counts.mailboxes, 500);
	ck_assert_uint_lt(counts.broken_lists * 5, counts.lists);
	ck_assert_uint_lt(counts.bad_dates * 5, counts.dates);
}
END_TEST

UNIT_MAIN("mail/eml", header_sections)
