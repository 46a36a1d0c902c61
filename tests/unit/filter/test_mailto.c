/* tests relay/filter/mailto.c, byte for byte: the List- fields of RFC 2369 (DESIGN 5) */
#include <string.h>

#include "tests/unit/filter/copy.h"

static const struct copy_row rows[] = {
	{"List-Unsubscribe: <mailto:leave@evil.example?subject=x>, <https://evil.example/u>\r\n",
	 "List-Unsubscribe: <mailto:leave=evil.example@blocked.invalid>,\r\n"
	 " <https://evil.example/u>\r\n"
	 "X-Stagepost-Original-List-Unsubscribe: <mailto:leave@evil.example?subject=x>, "
	 "<https://evil.example/u>\r\n"},
	{"List-Post: <mai\r\n lto:a%40ok.example,b%40evil.example?x=y&amp;C%63=c@ok.example>, "
	 "NO\r\n",
	 "List-Post: <mailto:a@ok.example,b=evil.example@blocked.invalid,c@ok.example>,\r\n NO\r\n"
	 "X-Stagepost-Original-List-Post: <mai\r\n "
	 "lto:a%40ok.example,b%40evil.example?x=y&amp;C%63=c@ok.example>, NO\r\n"},
	{"List-Help: <mailto:a%b@odd.example>, <MAILTO:?bcc=\"x\"@y>, "
	 "<URL:mailto:b@ok.example>\r\n",
	 "List-Help: <mailto:a%b@odd.example>,\r\n"
	 " <mailto:6e0416293cb4083779b8645c61216906@blocked.invalid>,\r\n"
	 " <mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <mailto:a%b@odd.example>, <MAILTO:?bcc=\"x\"@y>, "
	 "<URL:mailto:b@ok.example>\r\n"},
	{"List-Help: <mailto:a%b@odd.example,x@evil.example>\r\n",
	 "List-Help: <mailto:a%25b@odd.example,x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <mailto:a%b@odd.example,x@evil.example>\r\n"},
	{"List-Help: <mailto:no%4address%zz>, <mailto:?to=b@ok.example&cc=c@evil.example>\r\n",
	 "List-Help: <mailto:unreadable@blocked.invalid>,\r\n"
	 " <mailto:b@ok.example,c=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <mailto:no%4address%zz>, "
	 "<mailto:?to=b@ok.example&cc=c@evil.example>\r\n"},
	{"List-Help: <https://\xc3\xbc.example/\xe2\x80\xa6\x7f\t>, <mailto:x@evil.example>\r\n",
	 "List-Help: <https://\xc3\xbc.example/\xe2\x80\xa6\x7f>, "
	 "<mailto:x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <https://\xc3\xbc.example/\xe2\x80\xa6\x7f\t>, "
	 "<mailto:x@evil.example>\r\n"},
	{"List-Help: (<mailto:b@ok.example>\r\nList-Help: <mailto:b@ok.example\r\n",
	 "List-Help: <mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: (<mailto:b@ok.example>\r\n"
	 "List-Help: <mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <mailto:b@ok.example\r\n"},
	{"List-Owner: mailto:x@ok.example\r\n",
	 "List-Owner: <mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Owner: mailto:x@ok.example\r\n"},
	{"List-Help: <https://e.example/<mailto:x@evil.example>\r\n",
	 "List-Help: <mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <https://e.example/<mailto:x@evil.example>\r\n"},
	/* The names of its fields are read as leniently as those of a header. */
	{"List-Post: <mailto:b@ok.example?b%20cc%00=x@evil.example>\r\n",
	 "List-Post: <mailto:b@ok.example,x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Post: <mailto:b@ok.example?b%20cc%00=x@evil.example>\r\n"},
	{"List-Post: <mailto:b@ok.example?t%C3%A9o%7f=x@evil.example>\r\n",
	 "List-Post: <mailto:b@ok.example,x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Post: <mailto:b@ok.example?t%C3%A9o%7f=x@evil.example>\r\n"},
	/* All of it is allowed: it stays as it is. */
	{"List-Post: <mailto:b@ok.example>, <mailto:%61@ok.exampl%65?to=b@ok.example>\r\n", NULL},
	{"List-Help: <mailto:%61@ok.exampl%65>, <mailto:x@evil.example>\r\n",
	 "List-Help: <mailto:%61@ok.exampl%65>, <mailto:x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <mailto:%61@ok.exampl%65>, <mailto:x@evil.example>\r\n"},
	/* What is not there is not read: neither behind a `%` nor behind an address. */
	{"List-Help: <https://e.example/4141414141414141>, <mailto:b@ok.example%>\r\n",
	 "List-Help: <https://e.example/4141414141414141>,\r\n "
	 "<mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <https://e.example/4141414141414141>, "
	 "<mailto:b@ok.example%>\r\n"},
	{"List-Help: <mailto:x>\r\n", "List-Help: <mailto:unreadable@blocked.invalid>\r\n"
				      "X-Stagepost-Original-List-Help: <mailto:x>\r\n"},
	/* No comma between them; a word of one letter. */
	{"List-Help: <https://e.example/><mailto:x@evil.example>\r\n",
	 "List-Help: <https://e.example/>, <mailto:x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <https://e.example/><mailto:x@evil.example>\r\n"},
	{"List-Help: N, <mailto:x@evil.example>\r\n",
	 "List-Help: N, <mailto:x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: N, <mailto:x@evil.example>\r\n"},
	{NULL, NULL},
};

START_TEST(defanged)
{
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG}, rows);
}
END_TEST

/* No piece of an address stands alone on a line, however long its list is. */
START_TEST(long_uris)
{
	static const char *const uris[][2] = {
		{"", "List-Post: <mailto:unreadable@blocked.invalid>,\r\n <mailto:b=evil.example@"},
		{"x@evil.example,",
		 "List-Post: <mailto:unreadable@blocked.invalid>,\r\n <mailto:b=evil.example@"},
	};

	for (size_t i = 0; i < 2; i++) {
		struct outbound_count count;
		struct buf section, out;

		buf_init(&section, 8000);
		buf_printf(&section, "List-Post: <mailto:%s", uris[i][0]);
		for (int j = 0; j < 70; j++)
			buf_append_text(&section, j > 0 ? ",b@ok.example" : "b@ok.example");
		buf_append_text(&section, ">, <mailto:b@evil.example>\r\n");
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG},
			  buf_span(&section), &out, &count);
		ck_assert_msg(span_starts_fold(buf_span(&out), uris[i][1]), "%.*s", (int)out.len,
			      out.data);
		buf_release(&out);
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP},
			  buf_span(&section), &out, &count);
		ck_assert_uint_eq(out.len, 0);
		buf_release(&out);
		buf_release(&section);
	}
}
END_TEST

/* `front`, then `x` until there are `len` octets, then `end`: the field in front of one that leaks.
 */
static void copy_long(const char *front, size_t len, const char *end, struct buf *out)
{
	struct outbound_count count;
	struct buf section;

	buf_init(&section, 8000);
	buf_append_text(&section, "List-Help: <");
	buf_append_text(&section, front);
	while (section.len < strlen("List-Help: <") + len - strlen(end))
		buf_append_char(&section, 'x');
	buf_printf(&section, "%s>, <mailto:x@evil.example>\r\n", end);
	copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP}, buf_span(&section), out,
		  &count);
	buf_release(&section);
}

/* Up to 900 octets with the brackets are written in one piece. */
START_TEST(as_long_as_can_be)
{
	for (size_t len = 897; len <= 900; len++) {
		struct buf out;

		copy_long("mailto:", len, "@ok.example", &out);
		ck_assert_uint_eq(out.len, 0); /* so long a local part is no address */
		buf_release(&out);
		copy_long("mailto:b@ok.example?subject=", len, "", &out);
		if (len <= 898)
			ck_assert_uint_eq(out.len, strlen("List-Help: <>\r\n") + len + 2);
		else
			ck_assert_uint_eq(out.len, 0);
		buf_release(&out);
	}
}
END_TEST

/* RFC 5322 2.1.1: no line of more than 998 octets, and no piece shorter than need be. */
START_TEST(lines_of_a_long_link)
{
	struct buf out;
	struct span rest, line;

	copy_long("https://e.example/", 1500, "", &out);
	rest = buf_span(&out);
	line = span_cut(&rest, '\n');
	ck_assert(span_is(line, "List-Help:\r"));
	line = span_cut(&rest, '\n');
	ck_assert_uint_eq(line.len, 998 + 1);
	buf_release(&out);
}
END_TEST

/* A fold inside the brackets is none of the URI's (RFC 2369 2). */
START_TEST(long_link)
{
	struct outbound_count count;
	struct buf section, out;

	buf_init(&section, 8000);
	buf_printf(&section, "List-Help: <https://e.example/%0*d>, <mailto:x@evil.example>\r\n",
		   1500, 7);
	copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP}, buf_span(&section),
		  &out, &count);
	ck_assert(span_starts_fold(buf_span(&out), "List-Help:\r\n <https://e.example/000"));
	ck_assert_uint_eq(out.len, strlen("List-Help:\r\n <https://e.example/>\r\n \r\n") + 1500);
	buf_release(&out);
	buf_release(&section);
}
END_TEST

UNIT_MAIN("filter/mailto", defanged, long_uris, as_long_as_can_be, lines_of_a_long_link, long_link)
