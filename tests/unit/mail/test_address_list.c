/* tests relay/mail/address_list.c and lexer.c */
#define _POSIX_C_SOURCE 200809L
#include "relay/mail/address_list.h"

#include <time.h>

#include "tests/unit/mail/corpora.h"
#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BYTES(text)                                                                                \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static bool is_inside(struct span part, struct span whole)
{
	return part.len == 0 ||
	       (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

/* The spec alone must be the same address again, or the spans are good for nothing. */
static void expect_spec(const struct address_item *item)
{
	struct address_list list;
	struct address_item again;

	address_list_init(&list, item->spec);
	if (item->route) { /* a route is grammar only between angle brackets */
		address_list_release(&list);
		return;
	}
	ck_assert(address_list_next(&list, &again));
	ck_assert_int_eq(again.kind, ADDRESS_ITEM_MAILBOX);
	ck_assert(span_equal(again.local, item->local));
	ck_assert(span_equal(again.domain, item->domain));
	ck_assert(span_equal(again.spec, item->spec));
	ck_assert(!address_list_next(&list, &again));
	address_list_release(&list);
}

/* "local@domain" of each mailbox, "name:" of each group, "!" for what is broken. */
static void summarize(struct span field, struct buf *out)
{
	struct address_list list;
	struct address_item item;
	const char *past = field.data;

	address_list_init(&list, field);
	while (address_list_next(&list, &item)) {
		ck_assert(is_inside(item.source, field));
		ck_assert(item.source.len == 0 || item.source.data >= past);
		ck_assert(is_inside(item.spec, item.source));
		past = item.source.len > 0 ? item.source.data + item.source.len : past;
		if (out->len > 0)
			buf_append_text(out, " | ");
		if (item.display.len > 0)
			buf_printf(out, "%.*s ", SPAN_ARG(item.display));
		if (item.kind == ADDRESS_ITEM_BROKEN)
			buf_append_char(out, '!');
		else if (item.kind == ADDRESS_ITEM_GROUP)
			buf_append_char(out, ':');
		else {
			buf_printf(out, "%s<%.*s@%.*s>", item.in_group ? "+" : "",
				   SPAN_ARG(item.local), SPAN_ARG(item.domain));
			expect_spec(&item);
		}
	}
	ck_assert(!address_list_next(&list, &item));
	address_list_release(&list);
}

START_TEST(lists)
{
	static const struct {
		struct span field;
		const char *want;
	} rows[] = {
		{BYTES("a@b"), "<a@b>"},
		{BYTES(" a@b ,\r\n\tC <c@d>"), "<a@b> | C <c@d>"},
		{BYTES("\"Last, First\" <a@b>, (c) x@y (d)"), "Last, First <a@b> | <x@y>"},
		{BYTES("\"a \\\"q\\\" b\"<a@b>"), "a \"q\" b <a@b>"},
		{BYTES("John  (x) Q.\tPublic <a@b>"), "John Q. Public <a@b>"},
		{BYTES("=?utf-8?q?J=C3=BC?= =?utf-8?q?r?= <a@b>"),
		 "=?utf-8?q?J=C3=BC?= =?utf-8?q?r?= <a@b>"},
		{BYTES("J\xfcrgen <a@b>"), "J\xfcrgen <a@b>"}, /* S195 */
		{BYTES("j\xc3\xbc@b"), "<j\xc3\xbc@b>"},
		{BYTES("j\xfc@b"), "!"},
		{BYTES("\"a@b\"@c"), "<a@b@c>"},
		{BYTES("\"a\" . b @ c . d"), "<a.b@c.d>"},
		{BYTES("a@[127.0.0.1]"), "<a@[127.0.0.1]>"},
		{BYTES("<@r,@s:a@b>, X <,@r,:a@b>"), "<a@b> | X <a@b>"},
		{BYTES(",, a@b,,c@d,"), "<a@b> | <c@d>"},
		{BYTES(""), ""},
		{BYTES(" \r\n "), ""},
		{BYTES("(nobody)"), "!"},
		{BYTES(",,"), "!"},
		/* S193 */
		{BYTES("undisclosed-recipients:;"), "undisclosed-recipients :"},
		{BYTES("g: a@x, b@y;"), "g : | +<a@x> | +<b@y>"},
		{BYTES("g:,a@x,,;, c@d"), "g : | +<a@x> | <c@d>"},
		{BYTES("g: a@x"), "g : | +<a@x> | !"},
		{BYTES("g: a@x; b@y, c@d"), "g : | +<a@x> | ! | <c@d>"},
		{BYTES("g: h: a@x;, b@y;"), "g : | ! | !"},
		{BYTES("g: a@x;;"), "g : | +<a@x> | !"},
		{BYTES("g: a@x; (open"), "g : | +<a@x> | !"},
		{BYTES(":;"), "!"},
		/* what others read addresses out of */
		{BYTES("a@b; c@d"), "!"},
		{BYTES("a@b <c@d>"), "!"},
		{BYTES("<a@b>, c@d <e@f> g, h@i"), "<a@b> | ! | <h@i>"},
		{BYTES("<a@b> <c@d>"), "!"},
		{BYTES("<a@b, c@d>, e@f"), "! | <e@f>"},
		{BYTES("<a@b, c@d, e@f"), "!"},
		{BYTES("\"a, b@c, d@e"), "!"},
		{BYTES("\"a\0, b@c, \" <d@e>, f@g"), "! | <f@g>"},
		{BYTES("(a, b@c, d@e"), "!"},
		{BYTES("a@b (c, d@e"), "!"},
		{BYTES("a@b@c"), "!"},
		{BYTES("a b@c"), "!"},
		{BYTES("a@b c"), "!"},
		{BYTES("<>"), "!"},
		{BYTES("a"), "!"},
		{BYTES("a@"), "!"},
		{BYTES("@a"), "!"},
		{BYTES("a.@b"), "!"},
		{BYTES("a..b@c"), "!"},
		{BYTES("a@b."), "!"},
		{BYTES("a@b\r\nBcc: c@d"), "!"},
		{BYTES("a@b\rc"), "!"},
		{BYTES("\"a\r\nb\"@c"), "!"},
		{BYTES("a@b,\r\nc@d"), "<a@b> | !"},
		{BYTES("<@r@s:a@b>"), "!"},
		{BYTES(". A <a@b>"), "!"},
		{BYTES(". : a@b;"), "!"},
		{BYTES("a\0@b"), "!"},
		{BYTES("=?utf-8?q?a=40b=2C?= c@d"), "!"},
		{BYTES("mailto:a@b"), "mailto : | +<a@b> | !"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out;

		buf_init(&out, 4096);
		summarize(rows[i].field, &out);
		ck_assert_msg(span_is(buf_span(&out), rows[i].want), "row %zu: %.*s", i,
			      SPAN_ARG(buf_span(&out)));
		buf_release(&out);
	}
}
END_TEST

/* Cutting the spec out and putting another address in must leave the rest as it was. */
START_TEST(spec_is_what_to_replace)
{
	static const struct {
		const char *field;
		const char *want;
	} rows[] = {
		{"a@b", "X"},
		{" (c) a . b @ (d) e (f) ", " (c) X (f) "},
		{"N <a@b> (c)", "N <X> (c)"},
		{"N <(c) @r,@s : \"a\"@[1.2.3.4] (d)>", "N <(c) X (d)>"},
		{"\"a@b\" <c@d>", "\"a@b\" <X>"},
		{"g: a@b;", "g: X;"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct span field = span_of(rows[i].field);
		struct address_list list;
		struct address_item item;
		struct buf out;
		size_t at = 0;

		buf_init(&out, 4096);
		address_list_init(&list, field);
		while (address_list_next(&list, &item)) {
			if (item.kind != ADDRESS_ITEM_MAILBOX)
				continue;
			buf_append(&out, field.data + at,
				   (size_t)(item.spec.data - field.data) - at);
			buf_append_char(&out, 'X');
			at = (size_t)(item.spec.data - field.data) + item.spec.len;
		}
		buf_append_span(&out, span_skip(field, at));
		ck_assert_msg(span_is(buf_span(&out), rows[i].want), "row %zu: %.*s", i,
			      SPAN_ARG(buf_span(&out)));
		address_list_release(&list);
		buf_release(&out);
	}
}
END_TEST

/* The source of what is broken is all that was passed over. */
START_TEST(broken_sources)
{
	static const struct {
		const char *field;
		const char *source; /* of the last item */
	} rows[] = {
		{" (nobody)", " (nobody)"},
		{"a@b, c d@e f ,", " c d@e f "},
		{"g: a@b", ""},
		{"g:; x, y", " y"},
		{"g:; x", "x"},
		{"<a@b, \"c", "<a@b, \"c"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct address_list list;
		struct address_item item = {.kind = ADDRESS_ITEM_MAILBOX};

		address_list_init(&list, span_of(rows[i].field));
		while (address_list_next(&list, &item))
			;
		ck_assert_int_eq(item.kind, ADDRESS_ITEM_BROKEN);
		ck_assert_msg(span_is(item.source, rows[i].source), "row %zu: %.*s", i,
			      SPAN_ARG(item.source));
		address_list_release(&list);
	}
}
END_TEST

START_TEST(as_envelope_address)
{
	static const struct {
		const char *field;
		int code;
		enum address_form form;
		const char *print;
	} rows[] = {
		{"N <a.b@c.test>", ERR_OK, ADDRESS_PLAIN, "a.b@c.test"},
		{"a . b @ c . test", ERR_OK, ADDRESS_PLAIN, "a.b@c.test"},
		{"\"a\"@c.test", ERR_OK, ADDRESS_UNSAFE, "a@c.test"},
		{"<@r:a@c.test>", ERR_OK, ADDRESS_UNSAFE, "a@c.test"},
		{"\"a@b\"@c.test", ERR_OK, ADDRESS_UNSAFE, "\"a@b\"@c.test"},
		{"\"a\\\\b\\\"\"@c.test", ERR_OK, ADDRESS_UNSAFE, "\"a\\\\b\\\"\"@c.test"},
		{"\"a..b\"@c.test", ERR_OK, ADDRESS_UNSAFE, "\"a..b\"@c.test"},
		{"\"\"@c.test", ERR_OK, ADDRESS_UNSAFE, "\"\"@c.test"},
		{"a%b@c.test", ERR_OK, ADDRESS_LISTED_ONLY, "a%b@c.test"},
		{"a@b$.test", ERR_SYNTAX, ADDRESS_NULL, NULL},
		{"\"a\\\r\"@c.test", ERR_SYNTAX, ADDRESS_NULL, NULL},
		{"a@[nonsense]", ERR_SYNTAX, ADDRESS_NULL, NULL},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct address_list list;
		struct address_item item;
		struct address address;
		char text[ADDRESS_TEXT_SIZE];

		address_list_init(&list, span_of(rows[i].field));
		ck_assert(address_list_next(&list, &item));
		ck_assert_int_eq(address_item_address(&item, &address, NULL), rows[i].code);
		if (rows[i].code == ERR_OK) {
			address_format(&address, text);
			ck_assert_str_eq(text, rows[i].print);
			ck_assert_msg(address.form == rows[i].form, "row %zu", i);
		}
		address_list_release(&list);
	}
}
END_TEST

/* S196: each in at most a second; measured and printed. */
static void expect_quick(const char *name, const char *part, size_t count, const char *end,
			 size_t mailboxes)
{
	struct timespec start;
	struct timespec stop;
	struct address_list list;
	struct address_item item;
	struct buf field;
	size_t found = 0;
	double seconds;

	buf_init(&field, 16 * 1024 * 1024);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(buf_append_text(&field, part), ERR_OK);
	buf_append_text(&field, end);
	clock_gettime(CLOCK_MONOTONIC, &start);
	address_list_init(&list, buf_span(&field));
	while (address_list_next(&list, &item))
		found += item.kind == ADDRESS_ITEM_MAILBOX;
	address_list_release(&list);
	clock_gettime(CLOCK_MONOTONIC, &stop);
	seconds =
		(double)(stop.tv_sec - start.tv_sec) + (double)(stop.tv_nsec - start.tv_nsec) / 1e9;
	printf("# S196 %s: %zu bytes, %.1f ms\n", name, field.len, seconds * 1e3);
	ck_assert_uint_eq(found, mailboxes);
	ck_assert_msg(seconds <= 1.0, "%s took %.3f s", name, seconds);
	buf_release(&field);
}

START_TEST(hostile_sizes)
{
	expect_quick("100,000 addresses", "N <user@example.test>, ", 100000, "", 100000);
	expect_quick("nested comments, closed by nothing", "(", 10000, "a@b", 0);
	expect_quick("quoted string without end", "0123456789abcdef", 65536, "", 0);
	expect_quick("open quoted string", "\"aaaaaaaaaaaaaaa", 65536, "", 0);
	expect_quick("open angle brackets", "<", 1024 * 1024, "", 0);
	expect_quick("groups in groups", "g:", 512 * 1024, "a@b;", 0);
	expect_quick("dots", ".", 1024 * 1024, "", 0);
	expect_quick("at signs", "@", 1024 * 1024, "", 0);
	expect_quick("commas", ",", 1024 * 1024, "a@b", 1);
	expect_quick("route", "@a,", 256 * 1024, "", 0);
	expect_quick("brackets", "[", 1024 * 1024, "", 0);
	expect_quick("backslashes", "\\", 1024 * 1024, "", 0);
	expect_quick("folds", "\r\n ", 256 * 1024, "a@b", 1);
}
END_TEST

START_TEST(nested_comments)
{
	struct buf field;

	buf_init(&field, 65536);
	for (size_t i = 0; i < 10000; i++)
		buf_append_char(&field, '(');
	for (size_t i = 0; i < 10000; i++)
		buf_append_char(&field, ')');
	buf_append_text(&field, "a@b");
	{
		struct buf out;

		buf_init(&out, 64);
		summarize(buf_span(&field), &out);
		ck_assert(span_is(buf_span(&out), "<a@b>"));
		buf_release(&out);
	}
	buf_release(&field);
}
END_TEST

struct tally {
	size_t pass;
	size_t fail;
	size_t display; /* of the passed: display names alike too */
};

static bool same_text(const json_t *row, const char *key, struct span got)
{
	const json_t *want = json_object_get(row, key);

	if (!json_is_string(want))
		return got.len == 0;
	return span_equal(got, span_make(json_string_value(want), json_string_length(want)));
}

/* A valid or obsolete row: the same addresses, in the same groups, and nothing broken. */
static bool row_agrees(const struct corpus *corpus, bool *display_out)
{
	const json_t *want = json_object_get(corpus->row, "expect");
	struct address_list list;
	struct address_item item;
	struct buf group;
	size_t found = 0;
	bool same = true;

	*display_out = true;
	buf_init(&group, corpus->input.len + 1);
	address_list_init(&list, corpus->input);
	while (address_list_next(&list, &item)) {
		const json_t *mailbox = json_array_get(want, found);

		if (item.kind == ADDRESS_ITEM_GROUP) {
			buf_clear(&group);
			buf_append_span(&group, item.display);
			continue;
		}
		found++;
		same = same && item.kind == ADDRESS_ITEM_MAILBOX &&
		       same_text(mailbox, "local", item.local) &&
		       same_text(mailbox, "domain", item.domain) &&
		       json_is_string(json_object_get(mailbox, "group")) == item.in_group;
		*display_out = *display_out && same_text(mailbox, "display", item.display) &&
			       (!item.in_group || same_text(mailbox, "group", buf_span(&group)));
		if (item.kind == ADDRESS_ITEM_MAILBOX)
			expect_spec(&item);
	}
	address_list_release(&list);
	buf_release(&group);
	return same && found == json_array_size(want);
}

/* An invalid row: something is broken, and what is not broken stands there literally. */
static bool row_is_flagged(const struct corpus *corpus)
{
	struct address_list list;
	struct address_item item;
	bool broken = false;

	address_list_init(&list, corpus->input);
	while (address_list_next(&list, &item)) {
		broken = broken || item.kind == ADDRESS_ITEM_BROKEN;
		ck_assert_msg(is_inside(item.source, corpus->input), "%s", corpus->id);
		if (item.kind == ADDRESS_ITEM_MAILBOX)
			expect_spec(&item);
	}
	address_list_release(&list);
	return broken;
}

START_TEST(corpus_lists)
{
	static const char *const kinds[] = {"valid", "obs", "invalid"};
	struct tally tallies[3][3] = {0}; /* kind, level A B C */
	struct corpus corpus;
	size_t rows = 0;

	if (!corpus_open(&corpus, "gold-address-list.jsonl"))
		return;
	for (; corpus_next(&corpus); rows++) {
		size_t level = (size_t)(corpus_text(&corpus, "level")[0] - 'A');
		size_t kind = 0;
		struct tally *tally;
		bool display = true;
		bool pass;

		while (strcmp(corpus_text(&corpus, "rfc"), kinds[kind]) != 0)
			ck_assert_uint_lt(++kind, 3);
		ck_assert_uint_lt(level, 3);
		tally = &tallies[kind][level];
		pass = kind == 2 ? row_is_flagged(&corpus) : row_agrees(&corpus, &display);
		*(pass ? &tally->pass : &tally->fail) += 1;
		tally->display += pass && display;
		if (!pass || !display)
			printf("# %s %s: %s\n", corpus.id, corpus_text(&corpus, "level"),
			       pass ? "display differs" : "differs");
		ck_assert_msg(pass || level > 0, "%s (level A)", corpus.id);
	}
	for (size_t kind = 0; kind < 3; kind++)
		for (size_t level = 0; level < 3; level++)
			printf("# gold-address-list %s %c: %zu pass, %zu differ, %zu display\n",
			       kinds[kind], (char)('A' + level), tallies[kind][level].pass,
			       tallies[kind][level].fail, tallies[kind][level].display);
	ck_assert_uint_gt(rows, 900);
}
END_TEST

UNIT_MAIN("mail/address_list", lists, spec_is_what_to_replace, broken_sources, as_envelope_address,
	  hostile_sizes, nested_comments, corpus_lists)
