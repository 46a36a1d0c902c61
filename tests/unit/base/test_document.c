/* tests base/document.c */
#include "base/document.h"

#include <stdio.h>

#include "base/buf.h"
#include "tests/unit/unit.h"

struct seen {
	struct buf text;
	struct arena *arena;
	struct document_node *root;
	int code;
	bool cut;
};

/* One line per mistake: "line:column sentence". */
static void on_mistake(void *ctx, const char *source, struct document_mark mark,
		       const char *sentence)
{
	struct seen *seen = ctx;

	ck_assert_str_eq(source, "t.yaml");
	buf_printf(&seen->text, "%zu:%zu %s\n", mark.line, mark.column, sentence);
}

static void on_cut(void *ctx)
{
	struct seen *seen = ctx;

	seen->cut = true;
}

static void seen_parse(struct seen *seen, struct span text)
{
	static const struct document_ops ops = {.on_mistake = on_mistake, .on_cut = on_cut};

	buf_init(&seen->text, 8192);
	seen->cut = false;
	seen->arena = arena_new();
	seen->code = document_parse(text, "t.yaml", seen->arena, &ops, seen, &seen->root);
	ck_assert_ptr_nonnull(seen->root);
	ck_assert_int_eq(seen->code == ERR_OK, seen->text.len == 0);
}

static void seen_release(struct seen *seen)
{
	buf_release(&seen->text);
	arena_free(&seen->arena);
}

START_TEST(tree_with_marks)
{
	struct seen seen;
	struct document_node *list;
	struct document_node *item;

	seen_parse(&seen, span_of("a: 1\nb:\n  - x: 'q'\n    y: [1, \"2\"]\n  - plain text\n"));
	ck_assert_int_eq(seen.code, ERR_OK);
	item = document_find(seen.root, span_of("a"));
	ck_assert(span_is(item->text, "1") && item->plain);
	ck_assert_uint_eq(item->mark.line, 1);
	ck_assert_uint_eq(item->mark.column, 4);
	list = document_find(seen.root, span_of("b"));
	ck_assert_int_eq(list->kind, DOCUMENT_SEQUENCE);
	ck_assert_uint_eq(document_count(list), 2);
	item = document_find(document_item(list, 0), span_of("x"));
	ck_assert(span_is(item->text, "q") && !item->plain);
	ck_assert_uint_eq(item->key_mark.line, 3);
	ck_assert_uint_eq(item->key_mark.column, 5);
	item = document_item(document_find(document_item(list, 0), span_of("y")), 1);
	ck_assert(span_is(item->text, "2") && !item->plain);
	ck_assert(span_is(document_item(list, 1)->text, "plain text"));
	ck_assert_ptr_null(document_item(list, 2));
	ck_assert_ptr_null(document_find(list, span_of("a")));
	ck_assert_ptr_null(document_find(seen.root, span_of("c")));
	seen_release(&seen);
}
END_TEST

START_TEST(empty_texts)
{
	static const char *const texts[] = {NULL, "", "\n", "# only a comment\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct seen seen;

		seen_parse(&seen, span_of(texts[i]));
		ck_assert_int_eq(seen.code, ERR_OK);
		ck_assert_int_eq(seen.root->kind, DOCUMENT_MAPPING);
		ck_assert_ptr_null(seen.root->first);
		seen_release(&seen);
	}
}
END_TEST

START_TEST(mistakes_have_places)
{
	static const struct {
		const char *text;
		const char *want; /* the start of each line */
		int code;
	} rows[] = {
		{"a: 1\nb: 2\na: 3\n", "3:1 \"a\" was given before, in line 1, column 1\n",
		 ERR_SYNTAX},
		{"x:\n  a: 1\n  a: 2\n  a: 3\n",
		 "3:3 \"a\" was given before, in line 2, column 3\n"
		 "4:3 \"a\" was given before, in line 2, column 3\n",
		 ERR_SYNTAX},
		{"a: &n 1\nb: *n\n",
		 "1:4 anchors (&name) are not supported\n"
		 "2:4 aliases (*name) are not supported; quote a value that begins with *\n",
		 ERR_SYNTAX},
		{"domains: [*]\n", "1:11 a value that begins with * needs quotes\n", ERR_SYNTAX},
		{"*a : b\nc: d\n",
		 "1:1 aliases (*name) are not supported; quote a value that begins with *\n",
		 ERR_SYNTAX},
		{"a: !!int 3\nb: !x [1]\nc: !y {d: e}\n",
		 "1:4 tags (!name) are not supported\n"
		 "2:4 tags (!name) are not supported\n"
		 "3:4 tags (!name) are not supported\n",
		 ERR_SYNTAX},
		{"a: 1\n---\nb: 2\n", "2:1 only one document is allowed in a file\n", ERR_SYNTAX},
		{"<<: {a: 1}\n", "1:1 merge keys (<<) are not supported\n", ERR_SYNTAX},
		{"{a: b}: c\n", "1:1 a key must be a plain name\n", ERR_SYNTAX},
		{"a: \"x\\0y\"\n", "1:4 a NUL character is not allowed\n", ERR_SYNTAX},
		{"a: [1, 2\nb: 3\n", "2:", ERR_SYNTAX},
		{"a: 1\n\tb: 2\n", "2:", ERR_SYNTAX},
		{"a: 'open\n", "2:1 ", ERR_SYNTAX},
		{"a: b: c\n", "1:5 ", ERR_SYNTAX},
		{"a: 1\na: \xff\xfe\n", "1:1 the text is not UTF-8 at octet 8", ERR_SYNTAX},
		{"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "1:17 nested too deeply\n", ERR_LIMIT},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seen seen;
		size_t len = strlen(rows[i].want);

		seen_parse(&seen, span_of(rows[i].text));
		ck_assert_msg(strncmp(seen.text.data, rows[i].want, len) == 0, "row %zu: %s", i,
			      seen.text.data);
		/* A row that ends in a line end says all there is. */
		if (rows[i].want[len - 1] == '\n')
			ck_assert_msg(seen.text.len == len, "row %zu: %s", i, seen.text.data);
		ck_assert_int_eq(seen.code, rows[i].code);
		seen_release(&seen);
	}
}
END_TEST

START_TEST(reading_goes_on_or_is_cut)
{
	struct seen seen;

	seen_parse(&seen, span_of("a: 1\na: {b: 2}\nc: 3\n"));
	ck_assert(span_is(document_find(seen.root, span_of("a"))->text, "1"));
	ck_assert(span_is(document_find(seen.root, span_of("c"))->text, "3"));
	ck_assert_uint_eq(document_count(seen.root), 2);
	ck_assert(!seen.cut);
	seen_release(&seen);
	seen_parse(&seen, span_of("a: 1\nb: [2\nc: 3\n"));
	ck_assert(seen.cut);
	ck_assert(span_is(document_find(seen.root, span_of("a"))->text, "1"));
	seen_release(&seen);
}
END_TEST

START_TEST(ceilings)
{
	struct buf text;
	struct seen seen;

	buf_init(&text, 4 << 20);
	for (size_t i = 0; i <= DOCUMENT_MAX_NODES; i++)
		buf_append_text(&text, "- a\n");
	seen_parse(&seen, buf_span(&text));
	ck_assert_int_eq(seen.code, ERR_LIMIT);
	ck_assert_uint_eq(document_count(seen.root), DOCUMENT_MAX_NODES - 1);
	seen_release(&seen);
	while (text.len <= DOCUMENT_MAX_BYTES)
		buf_append_text(&text, "# a comment that only takes room ..............\n");
	seen_parse(&seen, buf_span(&text));
	ck_assert_int_eq(seen.code, ERR_LIMIT);
	ck_assert_str_eq(seen.text.data, "1:1 the file is over 1 MiB\n");
	seen_release(&seen);
	buf_release(&text);
}
END_TEST

/* Every prefix of a document is either fine or a mistake, and never more than that. */
START_TEST(truncated_anywhere)
{
	static const char text[] = "a: {b: [1, 'x', \"y\\n\"], c: >\n  d}\ne:\n- |\n  f\n- g: h\n";

	for (size_t len = 0; len < sizeof(text); len++) {
		struct seen seen;
		char *copy = mem_span_dup(span_make(text, len));

		seen_parse(&seen, span_make(copy, len));
		mem_free(copy);
		seen_release(&seen);
	}
}
END_TEST

START_TEST(trees_by_hand)
{
	struct arena *arena = arena_new();
	struct document_node *list = document_new(arena, DOCUMENT_SEQUENCE, "-o");
	struct document_node *first = document_new(arena, DOCUMENT_SCALAR, "-o");
	struct document_node *value = document_new(arena, DOCUMENT_MAPPING, "x");

	document_append(list, span_make(NULL, 0), first);
	document_append(list, span_make(NULL, 0), document_new(arena, DOCUMENT_SCALAR, "-o"));
	document_replace(first, value);
	ck_assert_uint_eq(document_count(list), 2);
	ck_assert_int_eq(document_item(list, 0)->kind, DOCUMENT_MAPPING);
	ck_assert_str_eq(document_item(list, 0)->source, "x");
	ck_assert_str_eq(document_kind_name(DOCUMENT_SEQUENCE), "a list");
	arena_free(&arena);
}
END_TEST

UNIT_MAIN("base/document", tree_with_marks, empty_texts, mistakes_have_places,
	  reading_goes_on_or_is_cut, ceilings, truncated_anywhere, trees_by_hand)
