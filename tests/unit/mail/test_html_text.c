/* tests relay/mail/html_text.c and html_entity.c */
#include "relay/mail/html_text.h"

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define FFFD	    "\xef\xbf\xbd"

static void read_html(struct span bytes, size_t step, struct buf *out)
{
	struct html_text *html = html_text_new();

	while (bytes.len > 0) {
		size_t before = out->len;
		struct span piece = span_first(bytes, step);

		html_text_write(html, piece, out);
		ck_assert_uint_le(out->len - before, 2 * piece.len + HTML_TEXT_HELD_MAX);
		bytes = span_skip(bytes, step);
	}
	html_text_end(html, out);
	html_text_free(&html);
}

/* A line end at the end is left out here. */
START_TEST(text)
{
	static const struct {
		const char *html;
		const char *want;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"  a \r\n b\t\tc  ", "a b c"},
		{"<p>a</p><p>b</p>", "a\r\n\r\nb"},
		{"<div>a</div><div>b</div>", "a\r\nb"},
		{"<div><div>a</div></div>\n<div>b</div>", "a\r\nb"},
		{"a<br>b<BR/>c<br /><br><br>d", "a\r\nb\r\nc\r\n\r\nd"},
		{"a<b>b</b><i>c</i> d", "abc d"},
		{"<ul><li>a<li>b</ul>c", "* a\r\n* b\r\n\r\nc"},
		{"<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>", "a b\r\nc"},
		{"<pre>a  b\r\n  c\n\n\nd</pre> e  f", "a  b\r\n  c\r\n\r\nd\r\n\r\ne f"},
		{"a</pre>b  c", "a\r\n\r\nb c"},
		{"<title>T</title>a<script>x<b>y</script >b<style>p{}</style>c", "abc"},
		{"<script>if (a</b) '</scriptx>' </script/x>a", "a"},
		{"<script>never closed a", ""},
		{"a<!-- b > -- c -->d<!-->e<!--->f<!doctype html>g<?xml ?>h", "adefgh"},
		{"a<!--[if mso]><p>b</p><![endif]-->c<![if x]>d", "acd"},
		{"a<!-- b", "a"},
		{"a < b <3 c<", "a < b <3 c<"},
		{"a</ b>c</>d</", "acd</"},
		{"<a>b</a>", "b"},
		{"<a href=\"https://x.test/?a=1&amp;b=2\">go</a>.",
		 "go <https://x.test/?a=1&b=2>."},
		{"<a class=x HREF=https://x.test/>go</a>", "go <https://x.test/>"},
		{"<a href='https://x.test/'>https://x.test</a>", "https://x.test"},
		{"<a href='mailto:a@b.test'>a@b.test</a>", "a@b.test"},
		{"<a href='#top'>up</a> <a href=''>x</a> <a href>y</a>", "up x y"},
		{"<a href='h:1' href='h:2'>x</a>", "x <h:1>"},
		{"<a href='h:1'>x<a href='h:2'>y</a>", "x <h:1> y <h:2>"},
		{"<a href='h:1'>x", "x <h:1>"},
		{"<a href='java\nscript:\x01x'> </a>y", "<javascript:x>y"},
		{"<a title='>' data-href='no' href=yes:1>x</a>", "x <yes:1>"},
		{"<a href = \"h:1\" >x</a >", "x <h:1>"},
		{"<a/href=h:1>x</a>", "x <h:1>"},
		{"</a href='h:1'>x", "x"},
		{"<a href='h:1'><img alt='logo &amp; name' src=x></a>", "[logo & name] <h:1>"},
		{"<img alt=''><img alt=' '><img>x", "x"},
		{"&amp;&lt;&gt;&quot;&eacute;&euro;&#8364;&#x20AC;&#X41;",
		 "&<>\"\xc3\xa9\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		 "A"},
		{"a&nbsp;&nbsp;b", "a\xc2\xa0\xc2\xa0"
				   "b"},
		{"&#0;&#27;&#xd800;&#1114112;&#99999999;&#x85;", FFFD FFFD FFFD FFFD FFFD FFFD},
		{"a&#10;b&#32;c", "a b c"},
		{"& &; &x &unknown; &#; &#x; &#xg; &waytoolongforaname; &amp",
		 "& &; &x &unknown; &#; &#x; &#xg; &waytoolongforaname; &amp"},
		{"&lt;script&gt;", "<script>"},
		{"\xf0\x9f\x98\x80<p>\xc3\xbc</p>", "\xf0\x9f\x98\x80\r\n\r\n\xc3\xbc"},
		{"<nosuchtagwithalongname>a</nosuchtagwithalongname>b", "ab"},
		{"<p\r\nclass='a>b'\tid=x>c", "c"},
		{"<p class=\"never closed>c", ""},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct span html = span_of(rows[i].html);

		for (size_t step = 1; step <= html.len + 1; step++) {
			struct span want = span_of(rows[i].want);
			struct buf out;

			buf_init(&out, 4096);
			read_html(html, step, &out);
			ck_assert_msg(span_equal(span_first(buf_span(&out), want.len), want),
				      "row %zu by %zu: %.*s", i, step, SPAN_ARG(buf_span(&out)));
			if (want.len > 0)
				ck_assert(span_is(span_skip(buf_span(&out), want.len), "\r\n"));
			else
				ck_assert_uint_eq(out.len, 0);
			buf_release(&out);
		}
	}
}
END_TEST

/* What is longer than is kept is text, or nothing; none of it takes memory. */
START_TEST(long_things)
{
	static const struct {
		const char *before;
		const char *again;
		const char *behind;
		const char *want; /* the end of the text */
	} rows[] = {
		{"<a href='h:", "x", "'>y</a>", "y\r\n"},
		{"<img alt='", "x", "'>y", "y\r\n"},
		{"<", "x", ">y", "y\r\n"},
		{"<p ", "x", "=1>y", "y\r\n"},
		{"<a href='h:1'>", "x", "</a>", "xxx <h:1>\r\n"},
		{"<!--", "-", ">y", "y\r\n"},
		{"", "<p>", "y", "y\r\n"},
		{"", "<pre>", "y", "y\r\n"},
		{"x", "&", "y", "&&&y\r\n"},
		{"", "<a href='h:1'>", "y", "<h:1> y <h:1>\r\n"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf html;
		struct buf out;
		struct span want = span_of(rows[i].want);

		buf_init(&html, 1 << 20);
		buf_init(&out, 4 << 20);
		buf_append_text(&html, rows[i].before);
		while (html.len < 200000)
			buf_append_text(&html, rows[i].again);
		buf_append_text(&html, rows[i].behind);
		read_html(buf_span(&html), 16384, &out);
		ck_assert_msg(span_ends_fold(buf_span(&out), want), "row %zu", i);
		buf_release(&out);
		buf_release(&html);
	}
}
END_TEST

UNIT_MAIN("mail/html_text", text, long_things)
