/* tests/fuzz/fuzz_header.c - relay/mail/header.c and date.c: no byte lost, no byte shown raw */
#include "relay/mail/header.h"

#include "base/err.h"
#include "relay/mail/date.h"
#include "tests/fuzz/fuzz.h"

static void check_display(struct span body, size_t ceiling)
{
	struct buf out;

	buf_init(&out, ceiling);
	header_decode_display(body, &out);
	assert(out.len <= ceiling && span_is_utf8(buf_span(&out)));
	for (size_t i = 0; i < out.len; i++) {
		unsigned char c = (unsigned char)out.data[i];

		assert(c >= 0x20 && c != 0x7f);
		assert(c != 0xc2 || (unsigned char)out.data[i + 1] >= 0xa0);
	}
	buf_release(&out);
}

static void check_unfold(struct span body)
{
	struct buf out;

	buf_init(&out, body.len);
	assert(header_unfold(body, &out) == ERR_OK);
	for (size_t i = 0; i + 1 < out.len; i++)
		assert(out.data[i] != '\r' || out.data[i + 1] != '\n' || body.len > out.len);
	buf_release(&out);
}

static void check_field(const struct header_field *field)
{
	int64_t ms;

	assert(field->raw.len > 0 && fuzz_is_inside(field->name, field->raw));
	assert(fuzz_is_inside(field->body, field->raw));
	assert(span_find(field->name, ':') == field->name.len);
	assert(field->malformed || field->name.len > 0);
	check_display(field->body, field->body.len * 4 + 4);
	check_display(field->body, 7);
	check_unfold(field->body);
	if (date_parse(field->body, &ms, NULL) == ERR_OK)
		/* years 1..9999, a zone of at most 9959 */
		assert(ms >= -62135956740000 && ms <= 253402660740000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span message = span_make((const char *)data, size);
	struct span section = span_first(message, header_section_length(message));
	struct header header;
	struct header_field field;
	size_t at = 0;

	assert(section.len <= size);
	header_init_unlimited(&header, section);
	while (header_next(&header, &field)) {
		assert(field.raw.data == section.data + at);
		at += field.raw.len;
		check_field(&field);
	}
	/* Raw parts put together are the section, but for the empty line. */
	assert(at == section.len || (at + 2 == section.len && memcmp(data + at, "\r\n", 2) == 0));
	assert(section.len == size || at + 2 == section.len);
	assert(!header.over_limit);
	return 0;
}
