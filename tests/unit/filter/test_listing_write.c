/* tests relay/filter/listing_write.c, and that what it wrote is read back (CASES S163) */
#include "tests/unit/filter/listing.h"

#include "base/mem.h"
#include "tests/unit/filter/draw.h"

/* What spreadsheets, shells and parsers stumble over. */
static const char *draw_text(struct arena *arena)
{
	static const char *const pieces[] = {"\"",
					     "'",
					     "=",
					     "+",
					     "-",
					     "@",
					     ",",
					     ";",
					     "\n",
					     "\t",
					     "\\",
					     "\\n",
					     " ",
					     "#",
					     "!",
					     "=cmd|' /C calc'!A0",
					     "\xc3\xa9",
					     "\xf0\x9f\x98\x80",
					     "\xe2\x80\xae",
					     "a",
					     "deny ",
					     "note=",
					     "{",
					     "]",
					     "//",
					     "%",
					     "<",
					     "</script>",
					     "\xef\xbb\xbf"};
	struct buf text;
	const char *copy;

	if (draw(4) == 0)
		return NULL;
	buf_init(&text, 150);
	for (uint32_t i = draw(8); i > 0; i--)
		(void)buf_append_text(&text, pieces[draw(sizeof(pieces) / sizeof(pieces[0]))]);
	copy = text.len > 0 ? arena_span_dup(arena, buf_span(&text)) : NULL;
	buf_release(&text);
	return copy;
}

static struct entry draw_entry(struct arena *arena, uint32_t number)
{
	static const char *const fronts[] = {"a", "=a",	 "!a",	 "#a",	"+a", "-a",
					     "'", "{a}", "a`$&", "a-*", "",   ".d"};
	static const char *const ends[] = {"@x.test", "@x.test",  "@x.test", "@x.test",
					   "@x.test", "@x.test",  "@x.test", "@x.test",
					   "@x.test", "@.x.test", ".test",   ".test"};
	static const char *const scopes[] = {"", "", "shop", "a.b_c-d"};
	uint32_t shape = draw(sizeof(fronts) / sizeof(fronts[0]));
	struct entry entry = {0};
	struct pattern pattern;
	char text[64];

	snprintf(text, sizeof(text), "%s%u%s", fronts[shape], number, ends[shape]);
	ck_assert_int_eq(pattern_parse(span_of(text), &pattern, NULL), ERR_OK);
	entry.pattern = arena_strdup(arena, pattern.text);
	entry.kind = pattern.kind;
	entry.action = draw(3) == 0 ? ENTRY_DENY : ENTRY_ALLOW;
	entry.scope = scopes[draw(4)];
	entry.note = draw_text(arena);
	entry.owner = draw_text(arena);
	entry.expires_at = draw(3) == 0 ? 1 + (int64_t)draw(2000000000) * 1000 : 0;
	return entry;
}

static void write_all(enum listing_format format, const struct entry *entries, size_t count,
		      struct buf *out)
{
	ck_assert_int_eq(listing_begin(format, out), ERR_OK);
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(listing_write(format, &entries[i], i == 0, out), ERR_OK);
	ck_assert_int_eq(listing_end(format, out), ERR_OK);
}

static const char *given(const char *text)
{
	return text != NULL ? text : "";
}

static void check_same(const struct entry *a, const struct entry *b)
{
	ck_assert_str_eq(a->pattern, b->pattern);
	ck_assert_int_eq(a->kind, b->kind);
	ck_assert_int_eq(a->action, b->action);
	ck_assert_str_eq(a->scope, b->scope);
	ck_assert_str_eq(given(a->note), given(b->note));
	ck_assert_str_eq(given(a->owner), given(b->owner));
	ck_assert_int_eq(a->expires_at, b->expires_at);
}

/* Byte for byte what was read. */
static void write_again(enum listing_format format, const struct listing *listing,
			const struct buf *text)
{
	struct entry *entries = mem_array(listing_count(listing) + 1, sizeof(*entries));
	struct buf again;

	for (size_t i = 0; i < listing_count(listing); i++)
		entries[i] = *listing_entry(listing, i);
	buf_init(&again, 1024 * 1024);
	write_all(format, entries, listing_count(listing), &again);
	ck_assert_uint_eq(again.len, text->len);
	ck_assert_mem_eq(again.data, text->data, text->len);
	buf_release(&again);
	mem_free(entries);
}

START_TEST(export_and_import_are_inverse)
{
	for (int which = LISTING_TEXT; which <= LISTING_JSON; which++) {
		enum listing_format format = (enum listing_format)which;

		for (int round = 0; round < 100; round++) {
			struct arena *arena = arena_new();
			size_t count = draw(40);
			struct entry *entries = arena_array(arena, count + 1, sizeof(*entries));
			struct listing *listing;
			struct told told;
			struct buf text;

			for (size_t i = 0; i < count; i++)
				entries[i] = draw_entry(arena, (uint32_t)i);
			if (round % 3 == 0) {
				entries[count] = (struct entry){
					.pattern = "*",
					.kind = ENTRY_ALL,
					.action = round % 2 == 0 ? ENTRY_ALLOW : ENTRY_DENY,
					.scope = ""};
				count++;
			}
			buf_init(&text, 1024 * 1024);
			write_all(format, entries, count, &text);
			listing = listing_of(format, buf_span(&text), false, &told);
			ck_assert_msg(listing != NULL, "line %zu, column %zu: %s\n%s", told.line,
				      told.column, told.text, text.data);
			ck_assert_uint_eq(listing_count(listing), count);
			for (size_t i = 0; i < count; i++)
				check_same(listing_entry(listing, i), &entries[i]);
			write_again(format, listing, &text);
			listing_free(&listing);
			buf_release(&text);
			arena_free(&arena);
		}
	}
}
END_TEST

/* No more is written than there is to say. */
START_TEST(what_is_written)
{
	static const char *const want[] = {
		[LISTING_TEXT] = "a@x.test\nallow !b@x.test scope=s\ndeny .x.test\n"
				 "* allow_all=yes owner=\"o\"\n",
		[LISTING_CSV] = "\"a@x.test\",\"allow\",\"\",\"\",\"\",\"\",\"\"\r\n"
				"\"!b@x.test\",\"allow\",\"s\",\"\",\"\",\"\",\"\"\r\n"
				"\".x.test\",\"deny\",\"\",\"\",\"\",\"\",\"\"\r\n"
				"\"*\",\"allow\",\"\",\"\",\"o\",\"\",\"yes\"\r\n",
		[LISTING_JSON] =
			"\n  {\"pattern\": \"a@x.test\", \"action\": \"allow\"},"
			"\n  {\"pattern\": \"!b@x.test\", \"action\": \"allow\", \"scope\": \"s\"},"
			"\n  {\"pattern\": \".x.test\", \"action\": \"deny\"},"
			"\n  {\"pattern\": \"*\", \"action\": \"allow\", \"owner\": \"o\", "
			"\"allow_all\": true}",
	};
	static const struct entry rows[] = {
		{.pattern = "a@x.test", .kind = ENTRY_EXACT, .action = ENTRY_ALLOW, .scope = ""},
		{.pattern = "!b@x.test",
		 .kind = ENTRY_EXACT,
		 .action = ENTRY_ALLOW,
		 .scope = "s",
		 .note = ""},
		{.pattern = ".x.test", .kind = ENTRY_SUBDOMAIN, .action = ENTRY_DENY, .scope = ""},
		{.pattern = "*",
		 .kind = ENTRY_ALL,
		 .action = ENTRY_ALLOW,
		 .scope = "",
		 .owner = "o"},
	};

	for (enum listing_format format = LISTING_TEXT; format <= LISTING_JSON; format++) {
		struct buf out;

		buf_init(&out, 100000);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			ck_assert_int_eq(listing_write(format, &rows[i], i == 0, &out), ERR_OK);
		ck_assert_str_eq(out.data, want[format]);
		buf_release(&out);
	}
}
END_TEST

/* However much stands in front: each entry has a size of its own. */
START_TEST(many_entries)
{
	struct entry entry = {
		.pattern = "a@x.test", .kind = ENTRY_EXACT, .action = ENTRY_ALLOW, .scope = ""};
	struct buf out;

	buf_init(&out, 3 * LISTING_WRITTEN_MAX);
	while (out.len < 2 * LISTING_WRITTEN_MAX)
		ck_assert_int_eq(listing_write(LISTING_TEXT, &entry, true, &out), ERR_OK);
	ck_assert_uint_eq(out.len % strlen("a@x.test\n"), 0);
	while (listing_write(LISTING_TEXT, &entry, true, &out) == ERR_OK)
		ck_assert_uint_le(out.len, 2 * LISTING_WRITTEN_MAX + strlen("a@x.test\n"));
	buf_release(&out);
}
END_TEST

/* A row that denies and can't be read denies everything: where the list is read again, too (P1). */
START_TEST(malformed_rows_that_deny_deny_everything)
{
	static const struct entry rows[] = {
		{.pattern = "A@x.test", .kind = ENTRY_EXACT, .action = ENTRY_DENY, .scope = "s"},
		{.pattern = "a b", .kind = ENTRY_EXACT, .action = ENTRY_DENY, .scope = "s"},
		{.pattern = "a@x.test", .kind = ENTRY_DOMAIN, .action = ENTRY_DENY, .scope = "s"},
		{.pattern = "a@x.test",
		 .kind = ENTRY_EXACT,
		 .action = (enum entry_action)7,
		 .scope = "s",
		 .note = "who knows",
		 .expires_at = 5},
	};
	/* A scope that no mail can have: it denies nothing. */
	const struct entry nowhere = {
		.pattern = "a b", .kind = ENTRY_EXACT, .action = ENTRY_DENY, .scope = "s t"};
	size_t count = sizeof(rows) / sizeof(rows[0]);

	for (enum listing_format format = LISTING_TEXT; format <= LISTING_JSON; format++) {
		struct listing *listing;
		struct told told;
		struct buf out;

		buf_init(&out, 100000);
		write_all(format, rows, count, &out);
		listing = listing_of(format, buf_span(&out), false, &told);
		ck_assert_msg(listing != NULL, "%s\n%s", told.text, out.data);
		ck_assert_uint_eq(listing_count(listing), 1);
		ck_assert_int_eq(listing_entry(listing, 0)->kind, ENTRY_ALL);
		ck_assert_int_eq(listing_entry(listing, 0)->action, ENTRY_DENY);
		ck_assert_str_eq(listing_entry(listing, 0)->scope, "s");
		ck_assert_int_eq(listing_entry(listing, 0)->expires_at, 0);
		listing_free(&listing);
		ck_assert_int_eq(listing_write(format, &nowhere, true, &out), ERR_SYNTAX);
		buf_release(&out);
	}
}
END_TEST

/* P1: a scope so long is not kept in force, and a denial without one counts for all. */
START_TEST(a_denial_with_a_scope_without_end)
{
	static char scope[UINT16_MAX + 2];
	const struct entry entry = {
		.pattern = "a b", .kind = ENTRY_EXACT, .action = ENTRY_DENY, .scope = scope};
	struct buf out;

	memset(scope, 's', UINT16_MAX); /* one that is in force, and of no mail */
	buf_init(&out, 100000);
	ck_assert_int_eq(listing_write(LISTING_TEXT, &entry, true, &out), ERR_SYNTAX);
	buf_release(&out);
	memset(scope, 's', sizeof(scope) - 1);
	buf_init(&out, 100000);
	ck_assert_int_eq(listing_write(LISTING_TEXT, &entry, true, &out), ERR_OK);
	ck_assert(span_is(buf_span(&out), "deny *\n"));
	buf_release(&out);
}
END_TEST

/* S163: what a foreign hand put into the table never gets in force by a detour over a file. */
START_TEST(malformed_rows_are_left_out)
{
	static const char *const patterns[] = {
		"a@x.test\nb@y.test", "A@x.test", "a b@x.test",	     "",
		"a@x.test\",\"deny",  "x",	  "a@x.test scope=s"};

	for (int format = LISTING_TEXT; format <= LISTING_JSON; format++)
		for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
			struct entry entry = {.pattern = patterns[i],
					      .kind = ENTRY_EXACT,
					      .action = ENTRY_ALLOW,
					      .scope = ""};
			struct buf out;

			buf_init(&out, 100000);
			ck_assert_int_eq(
				listing_write((enum listing_format)format, &entry, true, &out),
				ERR_SYNTAX);
			ck_assert_uint_eq(out.len, 0);
			entry.pattern = "a@x.test";
			entry.kind = ENTRY_DOMAIN;
			ck_assert_int_eq(
				listing_write((enum listing_format)format, &entry, true, &out),
				ERR_SYNTAX);
			entry.kind = ENTRY_EXACT;
			entry.scope = "a b";
			ck_assert_int_eq(
				listing_write((enum listing_format)format, &entry, true, &out),
				ERR_SYNTAX);
			buf_release(&out);
		}
}
END_TEST

START_TEST(what_no_note_can_hold_is_replaced)
{
	struct entry entry = {.pattern = "a@x.test",
			      .kind = ENTRY_EXACT,
			      .action = ENTRY_ALLOW,
			      .scope = "",
			      .note = "a\r\xff\x7f\x01z\xe0\xa0\x80\xe2",
			      .owner = ""};

	for (int format = LISTING_TEXT; format <= LISTING_JSON; format++) {
		struct listing *listing;
		struct told told;
		struct buf out;

		buf_init(&out, 100000);
		write_all((enum listing_format)format, &entry, 1, &out);
		listing = listing_of((enum listing_format)format, buf_span(&out), false, &told);
		ck_assert_msg(listing != NULL, "%s", told.text);
		ck_assert_str_eq(listing_entry(listing, 0)->note,
				 "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xe0\xa0\x80"
				 "\xef\xbf\xbd");
		listing_free(&listing);
		buf_release(&out);
	}
}
END_TEST

/* S322 */
START_TEST(json_ends_no_script)
{
	struct entry entry = {.pattern = "a@x.test",
			      .kind = ENTRY_EXACT,
			      .action = ENTRY_ALLOW,
			      .scope = "",
			      .note = "</script>\xe2\x80\xa8<",
			      .owner = "<!--"};
	struct buf out;

	buf_init(&out, 100000);
	write_all(LISTING_JSON, &entry, 1, &out);
	ck_assert_uint_eq(span_find(buf_span(&out), '<'), out.len);
	ck_assert_ptr_nonnull(strstr(out.data, "\"\\u003c/script>"));
	buf_release(&out);
}
END_TEST

START_TEST(room_is_told_before_it_ends)
{
	struct entry entry = {
		.pattern = "a@x.test", .kind = ENTRY_EXACT, .action = ENTRY_ALLOW, .scope = ""};
	char *note = mem_zalloc(LISTING_WRITTEN_MAX * 2 + 1);
	struct buf out;

	buf_init(&out, LISTING_WRITTEN_MAX - 1);
	ck_assert_int_eq(listing_write(LISTING_TEXT, &entry, true, &out), ERR_LIMIT);
	buf_release(&out);
	for (size_t len = LISTING_WRITTEN_MAX - 200; len < LISTING_WRITTEN_MAX + 10; len++) {
		int code;

		memset(note, 'x', len);
		note[len] = '\0';
		entry.note = note;
		buf_init(&out, LISTING_WRITTEN_MAX);
		code = listing_write(LISTING_TEXT, &entry, true, &out);
		ck_assert(code == ERR_OK || (code == ERR_SYNTAX && out.len == 0));
		ck_assert(code != ERR_OK || out.data[out.len - 1] == '\n');
		buf_clear(&out);
		entry.action = ENTRY_DENY; /* never left out for its note */
		ck_assert_int_eq(listing_write(LISTING_TEXT, &entry, true, &out), ERR_OK);
		ck_assert(span_starts_fold(buf_span(&out), "deny a@x.test"));
		buf_clear(&out);
		entry.owner = note;
		ck_assert_int_eq(listing_write(LISTING_TEXT, &entry, true, &out), ERR_OK);
		ck_assert(span_is(buf_span(&out), "deny a@x.test\n"));
		entry.owner = NULL;
		entry.action = ENTRY_ALLOW;
		buf_release(&out);
	}
	ck_assert_int_eq(listing_begin(LISTING_MAILDEV, &out), ERR_UNSUPPORTED);
	ck_assert_int_eq(listing_begin(LISTING_MAILPIT, &out), ERR_UNSUPPORTED);
	mem_free(note);
}
END_TEST

UNIT_MAIN("filter/listing write", export_and_import_are_inverse, what_is_written, many_entries,
	  malformed_rows_are_left_out, malformed_rows_that_deny_deny_everything,
	  a_denial_with_a_scope_without_end, what_no_note_can_hold_is_replaced, json_ends_no_script,
	  room_is_told_before_it_ends)
