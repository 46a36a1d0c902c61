/* tests relay/mail/field.c: whatever a caller's text holds, one field comes out, and it says the
 * same */
#include <config.h>

#include "relay/mail/field.h"

#include "base/err.h"
#include "relay/mail/address_list.h"
#include "relay/mail/header.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct {
	const char *text;
	bool good;
} texts[] = {
	{"", true},
	{"plain", true},
	{"tab\tinside", true},
	{"Gr\xc3\xbc\xc3\x9f"
	 "e",
	 true},
	{"=?utf-8?q?x?=", true},
	{"line\nend", false},
	{"line\r\nBcc: a@b.example", false},
	{"\r", false},
	{"\x0b", false},
	{"\x7f", false},
	{"\x1b[2J", false},
	{"\xc2\x85", false},	 /* NEL */
	{"\xe2\x80\xa8", false}, /* LINE SEPARATOR */
	{"\xe2\x80\xa9", false}, /* PARAGRAPH SEPARATOR */
	{"\xe2\x80\xa7", true},
	{"\xc2\xa0", true},
	{"\xff", false},
	{"\xc0\x8a", false}, /* an overlong line end */
};

START_TEST(what_may_come_in)
{
	for (size_t i = 0; i < COUNT(texts); i++)
		ck_assert_msg(field_is_text(span_of(texts[i].text)) == texts[i].good, "%zu: %s", i,
			      texts[i].text);
}
END_TEST

START_TEST(what_has_a_nul_or_is_too_long)
{
	static char large[FIELD_TEXT_MAX + 1];

	ck_assert(!field_is_text(span_make("a\0b", 3)));
	memset(large, 'x', sizeof(large));
	ck_assert(field_is_text(span_make(large, FIELD_TEXT_MAX)));
	ck_assert(!field_is_text(span_make(large, FIELD_TEXT_MAX + 1)));
}
END_TEST

START_TEST(field_names)
{
	char name[FIELD_NAME_MAX + 2];

	ck_assert(field_is_name(span_of("X-A!~")));
	ck_assert(!field_is_name(span_of("")));
	ck_assert(!field_is_name(span_of("A:")));
	ck_assert(!field_is_name(span_of("A B")));
	ck_assert(!field_is_name(span_of("A\n")));
	ck_assert(!field_is_name(span_of("\xc3\xa4")));
	memset(name, 'x', sizeof(name));
	ck_assert(field_is_name(span_make(name, FIELD_NAME_MAX)));
	ck_assert(!field_is_name(span_make(name, FIELD_NAME_MAX + 1)));
}
END_TEST

/* The only field of `section`, and no line of it longer than a reader has to take. */
static struct header_field only_field(const struct buf *section)
{
	struct header header;
	struct header_field field;
	struct header_field more;
	struct span rest = buf_span(section);

	header_init(&header, rest);
	ck_assert(header_next(&header, &field) && !field.malformed);
	ck_assert_msg(!header_next(&header, &more), "%s", section->data);
	while (rest.len > 0) {
		struct span line = span_cut(&rest, '\n');

		ck_assert_msg(line.len <= FOLD_LINE_MAX + 1, "%zu octets", line.len);
		ck_assert_uint_gt(span_trim(line).len, 0);
	}
	return field;
}

static void check_text(struct span text)
{
	struct fold fold;
	struct buf section;
	struct buf shown;
	struct buf want;

	buf_init(&section, (size_t)1 << 20);
	buf_init(&shown, (size_t)1 << 20);
	buf_init(&want, (size_t)1 << 20);
	fold_begin(&fold, &section, "", span_of("X-A"));
	field_text(&fold, text);
	ck_assert_int_eq(fold_end(&fold), ERR_OK);
	ck_assert(span_is_ascii(buf_span(&section)));
	header_decode_display(only_field(&section).body, &shown);
	for (size_t i = 0; i < text.len; i++) /* as people are shown it */
		buf_append_char(&want, text.data[i] == '\t' ? ' ' : text.data[i]);
	ck_assert_msg(span_equal(span_trim(buf_span(&shown)), span_trim(buf_span(&want))),
		      "%.*s became %s", SPAN_ARG(text), section.data);
	buf_release(&section);
	buf_release(&shown);
	buf_release(&want);
}

START_TEST(texts_come_out_as_they_went_in)
{
	for (size_t i = 0; i < COUNT(texts); i++)
		if (texts[i].good)
			check_text(span_of(texts[i].text));
}
END_TEST

/* Random texts of the pieces that matter, and long ones. */
START_TEST(any_text)
{
	static const char *const pieces[] = {
		"a",
		" ",
		"  ",
		"\t",
		"=?",
		"?=",
		"=?utf-8?q?=0A?=",
		"\xc3\xa9",
		"\xe2\x82\xac",
		":",
		",",
		"word",
		"\"",
		"\\",
		"(",
		"\xf0\x9f\x98\x80",
		"=0D=0A",
		"Bcc: x@y.example",
	};
	uint32_t state = 1;
	char text[3000];

	for (int round = 0; round < 3000; round++) {
		size_t len = 0;
		int count = round % 60;

		while (count-- > 0) {
			const char *piece;

			state = state * 1664525 + 1013904223;
			piece = pieces[(state >> 16) % COUNT(pieces)];
			memcpy(text + len, piece, strlen(piece));
			len += strlen(piece);
		}
		check_text(span_make(text, len));
	}
	memset(text, 'x', sizeof(text));
	check_text(span_make(text, sizeof(text)));
}
END_TEST

static void check_mailbox(const char *name, const char *mailbox)
{
	struct address address;
	struct address_list list;
	struct address_item item;
	struct fold fold;
	struct buf section;
	struct buf shown;
	char text[ADDRESS_TEXT_SIZE];

	ck_assert_int_eq(address_parse(span_of(mailbox), &address, NULL), ERR_OK);
	buf_init(&section, 10000);
	buf_init(&shown, 10000);
	fold_begin(&fold, &section, "", span_of("To"));
	field_mailbox(&fold, span_of(name), &address);
	fold_join(&fold, ",");
	field_mailbox(&fold, span_of(name), &address);
	ck_assert_int_eq(fold_end(&fold), ERR_OK);
	address_list_init(&list, only_field(&section).body);
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(address_list_next(&list, &item) && item.kind == ADDRESS_ITEM_MAILBOX,
			      "%s", section.data);
		buf_clear(&shown);
		header_decode_display(item.display, &shown);
		ck_assert_msg(span_is(buf_span(&shown), name), "%s became %s", name, section.data);
		ck_assert_int_eq(address_item_address(&item, &address, NULL), ERR_OK);
		address_format(&address, text);
		ck_assert_str_eq(text, mailbox);
	}
	ck_assert_msg(!address_list_next(&list, &item), "%s", section.data);
	address_list_release(&list);
	buf_release(&section);
	buf_release(&shown);
}

START_TEST(mailboxes)
{
	static const char *const names[] = {
		"",
		"Alice",
		"Alice B. Carol",
		"Shop, Inc.",
		"a@b.example",
		"\"quoted\" \\ back",
		"(no comment)",
		"<evil@example.com>, x",
		"Gr\xc3\xbc\xc3\x9f"
		"e, K\xc3\xb6ln",
		"=?utf-8?q?x?=",
		"two  blanks",
		"a very long name that has many words and does not end before the line would be "
		"longer than any line may usually be",
		"averylongnamewithoutanyblankthatdoesnotendbeforethelinewouldbelongerthanusualwhich"
		"istoolongforaquotedstring,too",
	};
	static const char *const addresses[] = {"a@b.example", "\"a b\"@c.example",
						"\"a,b@c\"@[127.0.0.1]", "x!y@b"};

	for (size_t i = 0; i < COUNT(names); i++)
		for (size_t j = 0; j < COUNT(addresses); j++)
			check_mailbox(names[i], addresses[j]);
}
END_TEST

UNIT_MAIN("mail/field", what_may_come_in, what_has_a_nul_or_is_too_long, field_names,
	  texts_come_out_as_they_went_in, any_text, mailboxes)
