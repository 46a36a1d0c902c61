/* tests relay/mail/html_frame.c */
#include "relay/mail/html_frame.h"

#include "tests/unit/unit.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* "known" is replaced, everything else stays. */
static void show(struct span bytes, size_t step, struct buf *out)
{
	struct html_frame frame;

	html_frame_init(&frame);
	while (bytes.len > 0) {
		struct span piece = span_first(bytes, step);
		size_t before = out->len;

		while (html_frame_next(&frame, &piece, out)) {
			if (span_is(buf_span(&frame.id), "known"))
				buf_append_text(out, "DATA");
			else
				buf_printf(out, "cid:%.*s", SPAN_ARG(buf_span(&frame.id)));
		}
		ck_assert_uint_le(out->len - before, 2 * step + HTML_FRAME_HELD_MAX);
		bytes = span_skip(bytes, step);
	}
	html_frame_end(&frame, out);
	html_frame_release(&frame);
}

/* S291 */
START_TEST(frames)
{
	static const struct {
		const char *html;
		const char *want; /* NULL: as it is */
	} rows[] = {
		{"", NULL},
		{"<p>a</p><script>x</script><svg onload=x><base href=y>", NULL},
		{"<link rel=preconnect href=//x.test>", "<link-x rel=preconnect href=//x.test>"},
		{"<LINK/rel=x><<link><lin<link", "<LINK-x/rel=x><<link-x><lin<link-x"},
		{"<l<link>", "<l<link-x>"},
		{"< link></link><alink><lin><framd><ifram></iframe>", NULL},
		{"<iframe src=//x.test><IFrame/x><frame><frameset>",
		 "<iframe-x src=//x.test><IFrame-x/x><frame-x><frame-xset>"},
		{"<noframes><xiframe><<iframe", "<noframes><xiframe><<iframe-x"},
		{"<img src=\"cid:known\">", "<img src=\"DATA\">"},
		{"<img src=\"CID:known\"><img src='cid:known'>",
		 "<img src=\"DATA\"><img src='DATA'>"},
		{"<img src=cid:known><img src= cid:known >", "<img src=DATA><img src= DATA >"},
		{"<td style=\"background: url(cid:known) \">",
		 "<td style=\"background: url(DATA) \">"},
		{"<img src=\"cid:other\">", NULL},
		{"<img src=\"cid:known2\"><img src=\"cid:\"><img alt=\"acid:known\">", NULL},
		{"<p>see (cid:known)</p>", NULL},
		{"cid:known", NULL},
		{"<img src=\"cid:known", NULL},
		{"<img src=\"cid", NULL},
		{"<img src=\"ccid:known\"><img src=\"ci cid:known\">",
		 "<img src=\"ccid:known\"><img src=\"ci DATA\">"},
		{"<img src=\"cid:a<link>", "<img src=\"cid:a<link-x>"},
		{"<img src=\"cid:known cid:known\">", "<img src=\"DATA DATA\">"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *want = rows[i].want != NULL ? rows[i].want : rows[i].html;

		for (size_t step = 1; step <= strlen(rows[i].html) + 1; step++) {
			struct buf out;

			buf_init(&out, 8192);
			show(span_of(rows[i].html), step, &out);
			ck_assert_msg(span_is(buf_span(&out), want), "row %zu by %zu: %.*s", i,
				      step, SPAN_ARG(buf_span(&out)));
			buf_release(&out);
		}
	}
}
END_TEST

START_TEST(a_long_id)
{
	struct buf html;
	struct buf out;

	buf_init(&html, 10000);
	buf_init(&out, 20000);
	buf_append_text(&html, "<img src=\"cid:");
	while (html.len < 5000)
		buf_append_text(&html, "x");
	buf_append_text(&html, "\"><link>");
	show(buf_span(&html), 100, &out);
	ck_assert_uint_eq(out.len, html.len + 2);
	ck_assert(span_ends_fold(buf_span(&out), span_of("x\"><link-x>")));
	buf_release(&html);
	buf_release(&out);
}
END_TEST

UNIT_MAIN("mail/html_frame", frames, a_long_id)
