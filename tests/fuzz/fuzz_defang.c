/*
 * tests/fuzz/fuzz_defang.c - relay/filter/outbound.c with the header policy: no address that the
 * list does not allow survives in a field that was rewritten, however leniently one looks; what was
 * written is a list again; doing it twice changes nothing; nothing grows without bound.
 */
#include <config.h> /* memmem */

#include <string.h>

#include "relay/filter/outbound.h"

#include "relay/filter/pattern.h"
#include "relay/mail/address_list.h"
#include "relay/mail/header.h"
#include "tests/fuzz/fuzz.h"

#define ROOM (16u << 20)

enum { STRIP = 1, OVER_LIMIT = 2, TAG = 4 };

/* Allows everybody at ok.example, and alice@allowed.example. Made once. */
static struct whitelist *the_list(void)
{
	static const char *const patterns[] = {"ok.example", "alice@allowed.example"};
	static struct whitelist *list;
	size_t bad;

	if (list != NULL)
		return list;
	list = whitelist_new();
	whitelist_load_begin(list);
	for (size_t i = 0; i < 2; i++) {
		struct pattern pattern;
		struct entry entry = {.id = (int64_t)i + 1, .action = ENTRY_ALLOW, .scope = ""};

		assert(pattern_parse(span_of(patterns[i]), &pattern, NULL) == ERR_OK);
		entry.pattern = pattern.text;
		entry.kind = pattern.kind;
		whitelist_load_add(list, &entry);
	}
	whitelist_load_end(list, 1, &bad);
	return list;
}

static bool is_one_of(struct span local, struct span domain)
{
	return span_is_fold(domain, "blocked.invalid") || span_is_fold(domain, "ok.example") ||
	       (span_is_fold(domain, "allowed.example") && span_is_fold(local, "alice"));
}

static bool is_address_byte(char c)
{
	return c != '\0' && strchr(" \t\r\n<>()[],;:\"\\@&?", c) == NULL;
}

/* Every `@` with what stands around it. */
static void scan(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		size_t from = i, to = i + 1;

		if (text.data[i] != '@')
			continue;
		while (from > 0 && is_address_byte(text.data[from - 1]))
			from--;
		while (to < text.len && is_address_byte(text.data[to]))
			to++;
		assert(is_one_of(span_make(text.data + from, i - from),
				 span_make(text.data + i + 1, to - i - 1)));
	}
}

static int nibble(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, ascii_lower(c)) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* What hides an `@`: "=40" behind "=?" of an encoded word, "%40" in a URI. */
static void unescape(struct span text, bool is_uri, struct buf *out)
{
	bool hides = is_uri;

	buf_clear(out);
	for (size_t i = 0; i < text.len; i++) {
		int high = i + 2 < text.len ? nibble(text.data[i + 1]) : -1;
		int low = i + 2 < text.len ? nibble(text.data[i + 2]) : -1;

		hides = hides ||
			(text.data[i] == '=' && i + 1 < text.len && text.data[i + 1] == '?');
		if (hides && text.data[i] == (is_uri ? '%' : '=') && high == 4 && low == 0) {
			buf_append_char(out, '@');
			i += 2;
		} else {
			buf_append_char(out, text.data[i]);
		}
	}
}

static void scan_all(struct span text, bool is_uri)
{
	struct buf other;

	scan(text);
	buf_init(&other, 4 * text.len + 4);
	header_decode_display(text, &other);
	scan(buf_span(&other));
	unescape(text, is_uri, &other);
	scan(buf_span(&other));
	buf_release(&other);
}

/* It is a list, and of the right addresses. */
static void check_list(struct span body)
{
	struct address_list list;
	struct address_item item;

	address_list_init(&list, body);
	while (address_list_next(&list, &item)) {
		assert(item.kind != ADDRESS_ITEM_BROKEN);
		if (item.kind == ADDRESS_ITEM_MAILBOX)
			assert(is_one_of(item.local, item.domain));
	}
	address_list_release(&list);
}

/* Of List-* only what is a mailto: matters. */
static void check_uris(struct span body)
{
	struct buf text;

	buf_init(&text, body.len + 1);
	assert(header_unfold(body, &text) == ERR_OK);
	body = buf_span(&text);
	while (body.len > 0) {
		struct span uri = span_skip(body, span_find(body, '<') + 1);

		uri = span_first(uri, span_find(uri, '>'));
		if (span_starts_fold(uri, "mailto:"))
			scan_all(uri, true);
		body = span_skip(body, span_find(body, '<') + 1);
	}
	buf_release(&text);
}

static bool is_covered(struct span name)
{
	static const char *const names[] = {"to",
					    "cc",
					    "reply-to",
					    "sender",
					    "resent-to",
					    "resent-cc",
					    "resent-sender",
					    "resent-reply-to",
					    "apparently-to",
					    "mail-followup-to",
					    "mail-reply-to",
					    "errors-to",
					    "disposition-notification-to",
					    "return-receipt-to"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_is_fold(name, names[i]))
			return true;
	return false;
}

static void check_lines(struct span raw)
{
	while (raw.len > 0) {
		size_t end = span_find(raw, '\n');

		assert(end >= 1 && end < raw.len && raw.data[end - 1] == '\r');
		assert(end - 1 <= 998);
		raw = span_skip(raw, end + 1);
	}
}

/* All that is new in `out`. */
static void check_fields(struct span section, struct span out)
{
	struct header header;
	struct header_field field;

	header_init_unlimited(&header, out);
	while (header_next(&header, &field)) {
		bool is_list = span_starts_fold(field.name, "list-");

		if (section.len > 0 &&
		    memmem(section.data, section.len, field.raw.data, field.raw.len) != NULL)
			continue;
		if (field.malformed)
			continue;
		if (is_covered(field.name) || is_list)
			check_lines(field.raw);
		if (is_list)
			check_uris(field.body);
		if (!is_covered(field.name))
			continue;
		assert(span_is_ascii(field.raw));
		scan_all(field.body, false);
		check_list(field.body);
	}
}

/* What is at and behind the first empty line. */
static struct span tail_of(struct span text)
{
	if (text.len >= 2 && memcmp(text.data, "\r\n", 2) == 0)
		return text;
	for (size_t i = 0; i + 4 <= text.len; i++)
		if (memcmp(text.data + i, "\r\n\r\n", 4) == 0)
			return span_skip(text, i + 2);
	return span_skip(text, text.len);
}

static void run(unsigned flags, struct span section, struct buf *out)
{
	const struct policy_options policy = {
		.header_policy = (flags & STRIP) != 0 ? HEADER_POLICY_STRIP : HEADER_POLICY_DEFANG,
		.subject_tag = (flags & TAG) != 0 ? "[\xc3\xbc] " : ""};
	struct outbound_case at = {.policy = &policy,
				   .list = whitelist_acquire(the_list()),
				   .scope = span_of(""),
				   .now = 1,
				   .header_parsed = (flags & OVER_LIMIT) == 0};
	struct outbound_count count;

	buf_init(out, ROOM);
	assert(outbound_header(&at, span_of(""), section, out, &count) == ERR_OK);
	whitelist_release(&at.list);
}

/* Flags, then the section; a line feed stands for a line end, as the store has no others. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned flags = size > 0 ? data[0] : 0;
	struct buf section, out, again;
	struct span tail;

	buf_init(&section, 2 * size + 1);
	for (size_t i = 1; i < size; i++) {
		if (data[i] == '\n')
			buf_append_text(&section, "\r\n");
		else if (data[i] != '\r')
			buf_append_char(&section, (char)data[i]);
	}
	run(flags, buf_span(&section), &out);
	assert(out.len <= 32 * section.len + 256);
	tail = tail_of(buf_span(&section));
	assert(span_equal(tail, tail_of(buf_span(&out))));
	check_fields(buf_span(&section), buf_span(&out));
	run(flags & ~(unsigned)OVER_LIMIT, buf_span(&out), &again);
	assert(span_equal(buf_span(&out), buf_span(&again)));
	buf_release(&section);
	buf_release(&out);
	buf_release(&again);
	return 0;
}
