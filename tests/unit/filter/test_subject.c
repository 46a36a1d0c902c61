/* tests relay/filter/subject.c, byte for byte: the tag in front (DESIGN 5; CASES S188) */
#include "relay/filter/subject.h"
#include "relay/mail/header.h"
#include "tests/unit/filter/copy.h"

static const struct copy_row tagged[] = {
	{"Subject: hi\r\n", "Subject: [staging] hi\r\n"},
	{"subject \t:hi", "subject: [staging] hi\r\n"},
	{"Subject: Re: [staging] hi\r\n", NULL},
	{"Subject: =?utf-8?b?W3N0YWdpbmddIHg=?=\r\n", NULL},
	{"Subject: [stag\r\n ing] hi\r\n", "Subject: [staging] [stag\r\n ing] hi\r\n"},
	{"Subject: =?utf-8?q?x?=\r\n", "Subject: [staging] =?utf-8?q?x?=\r\n"},
	{"Subject:\r\n folded\r\n", "Subject: [staging]\r\n folded\r\n"},
	{"Subject: \r\n\r\n", "Subject: [staging]\r\n\r\n"},
	{"X: y\r\n\r\n", "Subject: [staging]\r\nX: y\r\n\r\n"},
	{"\r\n", "Subject: [staging]\r\n\r\n"},
	{"", "Subject: [staging]\r\n"},
	/* S188 */
	{"Subject: a\r\nSubject: b\r\n", "Subject: [staging] a\r\nSubject: [staging] b\r\n"},
	/* one that not everybody reads is none */
	{"Subject\r\n : a\r\n", "Subject: [staging]\r\nSubject\r\n : a\r\n"},
	{"Subject: \xff\xfe\r\n", "Subject: [staging] \xff\xfe\r\n"},
	{NULL, NULL},
};

static const struct copy_row tagged_in_words[] = {
	{"Subject: hi\r\n", "Subject: =?utf-8?q?=5Bst=C3=A4ging=5D?= hi\r\n"},
	{"Subject: =?utf-8?q?x?=\r\n",
	 "Subject: =?utf-8?q?=5Bst=C3=A4ging=5D_?= =?utf-8?q?x?=\r\n"},
	{"Subject: [st\xc3\xa4ging] hi\r\n", NULL},
	{"", "Subject: =?utf-8?q?=5Bst=C3=A4ging=5D?=\r\n"},
	{NULL, NULL},
};

static const struct copy_row tagged_with_escape[] = {
	{"Subject: hi\r\n", "Subject: =?utf-8?q?=3D=3F?= hi\r\n"},
	{"Subject:\n hi\n", "Subject: =?utf-8?q?=3D=3F?=\n hi\r\n"},
	{NULL, NULL},
};

static const struct copy_row tagged_short[] = {
	{"Subject: x\r\n", NULL},
	{"Subject: y\r\n", "Subject: xy\r\n"},
	{NULL, NULL},
};

static const struct copy_row tagged_close[] = {
	{"Subject: hi\r\n", "Subject: [x]hi\r\n"},
	{"Subject: =?utf-8?q?x?=\r\n", "Subject: [x] =?utf-8?q?x?=\r\n"},
	{NULL, NULL},
};

START_TEST(subject)
{
	struct copy_how how = {.header_policy = HEADER_POLICY_KEEP, .tag = "[staging] "};

	copy_check_rows(&how, tagged);
	how.header_policy = HEADER_POLICY_DEFANG;
	copy_check_rows(&how, tagged);
	how.tag = "[st\xc3\xa4ging] ";
	copy_check_rows(&how, tagged_in_words);
	how.tag = "[x]";
	copy_check_rows(&how, tagged_close);
	how.tag = "x";
	copy_check_rows(&how, tagged_short);
	how.tag = "=?";
	copy_check_rows(&how, tagged_with_escape);
}
END_TEST

/* A tag of 100 octets in front of a line of 998. */
START_TEST(lines_stay_short)
{
	static const char tag[] = "[0123456789 0123456789 0123456789 0123456789 0123456789 "
				  "0123456789 0123456789 0123456789 012345678] ";
	struct outbound_count count;
	struct buf section, out;
	size_t start = 0;

	buf_init(&section, 4000);
	ck_assert_int_eq(buf_printf(&section,
				    "Subject: %0*d\r\nTo: x@evil.example,%0*d@evil.example"
				    "\r\nCc: x@evil.example,\"%0*d\" <b@ok.example>\r\n",
				    989, 7, 900, 7, 700, 7),
			 ERR_OK);
	copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG, .tag = tag},
		  buf_span(&section), &out, &count);
	ck_assert_uint_eq(count.subjects, 1);
	ck_assert_uint_eq(count.addresses, 2);
	for (size_t i = 0; i < out.len; i++) {
		if (out.data[i] != '\n')
			continue;
		ck_assert_msg(i - 1 - start <= 998, "%zu octets", i - 1 - start);
		ck_assert_uint_gt(i - 1 - start, 0);
		start = i + 1;
	}
	buf_release(&section);
	buf_release(&out);
}
END_TEST

/* However it is cut into encoded words: people see all of it. */
START_TEST(a_tag_of_any_length_is_shown_whole)
{
	for (size_t len = 2; len <= SUBJECT_TAG_MAX; len++) {
		struct buf out, shown, want;
		char tag[SUBJECT_TAG_MAX + 1] = "\xc3\xa4";
		bool is_tagged = false;

		memset(tag + 2, 'a', len - 2);
		buf_init(&out, 2000);
		buf_init(&shown, 2000);
		buf_init(&want, 2000);
		ck_assert_int_eq(subject_tag(tag, span_of("S"), span_of(" hi"), &out, &is_tagged),
				 ERR_OK);
		ck_assert(is_tagged);
		header_decode_display(span_skip(buf_span(&out), 2), &shown);
		ck_assert_int_eq(buf_printf(&want, "%s hi", tag), ERR_OK);
		ck_assert_msg(span_equal(span_trim(buf_span(&shown)), buf_span(&want)), "%s",
			      out.data);
		buf_release(&out);
		buf_release(&shown);
		buf_release(&want);
	}
}
END_TEST

START_TEST(without_room_or_need_nothing_is_written)
{
	struct buf out;
	bool is_tagged = true;

	buf_init(&out, 12);
	ck_assert_int_eq(buf_append_text(&out, "A: b\r\n"), ERR_OK);
	ck_assert_int_eq(subject_tag("[x] ", span_of("S"), span_of(" a [x] b"), &out, &is_tagged),
			 ERR_OK);
	ck_assert(!is_tagged);
	ck_assert_str_eq(out.data, "A: b\r\n");
	ck_assert_int_eq(subject_tag("[x] ", span_of("S"), span_of(" a"), &out, &is_tagged),
			 ERR_LIMIT);
	ck_assert_str_eq(out.data, "A: b\r\n");
	buf_release(&out);
}
END_TEST

UNIT_MAIN("filter/subject", subject, lines_stay_short, a_tag_of_any_length_is_shown_whole,
	  without_room_or_need_nothing_is_written)
