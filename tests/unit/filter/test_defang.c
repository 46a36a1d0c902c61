/* tests relay/filter/defang.c, byte for byte (DESIGN 5; CASES S179, S188, S191-S194, S203) */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <string.h>

#include "relay/filter/defang.h"
#include "tests/unit/filter/copy.h"

static const struct copy_row defanged[] = {
	{"To: Bob <bob@evil.example>\r\n\r\n",
	 "To: \"Bob (blocked)\" <bob=evil.example@blocked.invalid>\r\n" OF_TO
	 " Bob <bob@evil.example>\r\n\r\n"},
	{"to : bob@evil.example",
	 "to: \"bob at evil.example (blocked)\" <bob=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-to: bob@evil.example\r\n"},
	/* S179: what is allowed beside it stays as it is written */
	{"Cc: alice@allowed.example, Bob <bob@evil.example>, \"C, D\" <c@ok.example>\r\n",
	 "Cc: alice@allowed.example, \"Bob (blocked)\" <bob=evil.example@blocked.invalid>,\r\n"
	 " \"C, D\" <c@ok.example>\r\n"
	 "X-Stagepost-Original-Cc: alice@allowed.example, Bob <bob@evil.example>, \"C, D\" "
	 "<c@ok.example>\r\n"},
	/* S188: two of them */
	{"To: a@evil.example\r\nTo: b@ok.example\r\nTo: c@evil.example\r\n",
	 "To: \"a at evil.example (blocked)\" <a=evil.example@blocked.invalid>\r\n" OF_TO
	 " a@evil.example\r\nTo: b@ok.example\r\n"
	 "To: \"c at evil.example (blocked)\" <c=evil.example@blocked.invalid>\r\n" OF_TO
	 " c@evil.example\r\n"},
	/* S193 */
	{"To: Team: bob@evil.example, a@ok.example;, x@ok.example\r\n",
	 "To: \"Team\": \"bob at evil.example (blocked)\" <bob=evil.example@blocked.invalid>,\r\n"
	 " a@ok.example;, x@ok.example\r\n" OF_TO
	 " Team: bob@evil.example, a@ok.example;, x@ok.example\r\n"},
	{"To: empty:;, \"a@b\": c@evil.example;\r\n",
	 "To: \"empty\":;, \"a at b\": \"c at evil.example (blocked)\"\r\n"
	 " <c=evil.example@blocked.invalid>;\r\n" OF_TO " empty:;, \"a@b\": c@evil.example;\r\n"},
	{"To: =?utf-8?q?=C3=BC?=: c@evil.example;\r\n",
	 "To: =?utf-8?q?=C3=BC?= : \"c at evil.example (blocked)\"\r\n"
	 " <c=evil.example@blocked.invalid>;\r\n" OF_TO " =?utf-8?q?=C3=BC?=: c@evil.example;\r\n"},
	{"To: g: a@ok.example, h: b@ok.example;;\r\n",
	 "To:" UNREADABLE OF_TO " g: a@ok.example, h: b@ok.example;;\r\n"},
	/* S191, comments */
	{"To: (x@y.example)\r\n Bob (z) <bob@\r\n\tevil.example>\r\n",
	 "To: \"Bob (blocked)\" <bob=evil.example@blocked.invalid>\r\n" OF_TO
	 " (x@y.example)\r\n Bob (z) <bob@\r\n\tevil.example>\r\n"},
	/* S194 */
	{"To: =?iso-8859-1?q?J=FCrgen?= <j@evil.example>\r\n",
	 "To: =?utf-8?q?J=C3=BCrgen_=28blocked=29?= <j=evil.example@blocked.invalid>\r\n" OF_TO
	 " =?iso-8859-1?q?J=FCrgen?= <j@evil.example>\r\n"},
	{"To: =?utf-8?q?x=40evil.example=0D=0ABcc=3A_y?= <b@ok.example>, J <j@evil.example>\r\n",
	 "To: =?utf-8?q?x_at_evil=2Eexample=EF=BF=BD=EF=BF=BDBcc=3A_y?= <b@ok.example>,\r\n"
	 " \"J (blocked)\" <j=evil.example@blocked.invalid>\r\n" OF_TO
	 " =?utf-8?q?x=40evil.example=0D=0ABcc=3A_y?= <b@ok.example>, J <j@evil.example>\r\n"},
	{"To: =?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3D40y=3F=3D?= <j@evil.example>\r\n",
	 "To: \"= ?utf-8?q?x= 40y?= (blocked)\" <j=evil.example@blocked.invalid>\r\n" OF_TO
	 " =?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3D40y=3F=3D?= <j@evil.example>\r\n"},
	/* a name that is an address, also of one that may stay */
	{"To: \"x@evil.example\" <b@ok.example>, c@evil.example\r\n",
	 "To: \"x at evil.example\" <b@ok.example>, \"c at evil.example (blocked)\"\r\n"
	 " <c=evil.example@blocked.invalid>\r\n" OF_TO
	 " \"x@evil.example\" <b@ok.example>, c@evil.example\r\n"},
	{"To: \"say \\\"hi\\\" \\\\\" <b@evil.example>\r\n",
	 "To: \"say \\\"hi\\\" \\\\ (blocked)\" <b=evil.example@blocked.invalid>\r\n" OF_TO
	 " \"say \\\"hi\\\" \\\\\" <b@evil.example>\r\n"},
	{"To: d @ ok . example, <@r.example:e@ok.example>\r\n",
	 "To: <d@ok.example>, \"e at ok.example (blocked)\" "
	 "<e=ok.example@blocked.invalid>\r\n" OF_TO
	 " d @ ok . example, <@r.example:e@ok.example>\r\n"},
	{"To: \"x\xef\xbc\xa0y\xef\xb9\xabz \xef\xbd\xa0\" <b@evil.example>\r\n",
	 "To: =?utf-8?q?x_at_y_at_z_=EF=BD=A0_=28blocked=29?=\r\n"
	 " <b=evil.example@blocked.invalid>\r\n" OF_TO
	 " \"x\xef\xbc\xa0y\xef\xb9\xabz \xef\xbd\xa0\" <b@evil.example>\r\n"},
	{"To: \"\": c@evil.example;, d@ok . example\r\n",
	 "To: \"group\": \"c at evil.example (blocked)\" <c=evil.example@blocked.invalid>;,\r\n"
	 " <d@ok.example>\r\n" OF_TO " \"\": c@evil.example;, d@ok . example\r\n"},
	{"To: L <l@[192.0.2.1]>, \"a b\"@blocked.invalid, A <a%b@blocked.invalid>\r\n",
	 "To: \"L (blocked)\" <100ee943439d436f449aedff2846a14e@blocked.invalid>,\r\n"
	 " \"a b at blocked.invalid (blocked)\"\r\n"
	 " <4578928b21dace0314b2c3166dbc4bd7@blocked.invalid>, \"A (blocked)\"\r\n"
	 " <0764ef852e186abd66e4b5331a43b38b@blocked.invalid>\r\n" OF_TO
	 " L <l@[192.0.2.1]>, \"a b\"@blocked.invalid, A <a%b@blocked.invalid>\r\n"},
	{"To: X <x.y-z_+'~@evil.example>, =40 <b@ok.example>, \"x\x7f\ty\" <c@ok.example>\r\n",
	 "To: \"X (blocked)\" <x.y-z_+'~=evil.example@blocked.invalid>, \"= 40\"\r\n"
	 " <b@ok.example>, =?utf-8?q?x=EF=BF=BD_y?= <c@ok.example>\r\n" OF_TO
	 " X <x.y-z_+'~@evil.example>, =40 <b@ok.example>, \"x\x7f\ty\" <c@ok.example>\r\n"},
	/* denied, another scope, expired; a form that is never delivered */
	{"To: bad@ok.example\r\n",
	 "To: \"bad at ok.example (blocked)\" <bad=ok.example@blocked.invalid>\r\n" OF_TO
	 " bad@ok.example\r\n"},
	{"To: S <s@shop.example>\r\nCc: O <old@expired.example>\r\n",
	 "To: \"S (blocked)\" <s=shop.example@blocked.invalid>\r\n" OF_TO " S <s@shop.example>\r\n"
	 "Cc: \"O (blocked)\" <old=expired.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-Cc: O <old@expired.example>\r\n"},
	{"To: J <\"john doe\"@evil.example>\r\n",
	 "To: \"J (blocked)\" <3bf60e8afb21acf06f44b3fd8969ffcc@blocked.invalid>\r\n" OF_TO
	 " J <\"john doe\"@evil.example>\r\n"},
	{"To: J <A%b@Evil.example>\r\n",
	 "To: \"J (blocked)\" <cd457f40c6923ade6dfe9c9170b761fa@blocked.invalid>\r\n" OF_TO
	 " J <A%b@Evil.example>\r\n"},
	{"To: J <j=x@evil.example>, K <k@40.example>\r\n",
	 "To: \"J (blocked)\" <239eb91fb24fda2dfaf9474fa72977a6@blocked.invalid>,\r\n"
	 " \"K (blocked)\" <c99ec9f24b656eaa295d3b242483b652@blocked.invalid>\r\n" OF_TO
	 " J <j=x@evil.example>, K <k@40.example>\r\n"},
	{"To: J <bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb@evil.example.test>\r\n",
	 "To: \"J (blocked)\" <d69830e4daa0721e5fde31fffe372889@blocked.invalid>\r\n" OF_TO
	 " J <bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb@evil.example.test>\r\n"},
	/* one octet of no charset in front; a name of one letter; an escape that is not in front */
	{"To: \xfc <b@ok.example>, a~b <c@evil.example>\r\n",
	 "To: =?utf-8?q?=EF=BF=BD?= <b@ok.example>, \"a~b (blocked)\"\r\n"
	 " <c=evil.example@blocked.invalid>\r\n" OF_TO
	 " \xfc <b@ok.example>, a~b <c@evil.example>\r\n"},
	{"To: \"x\" (y@z) <b@ok.example>, J =?utf-8?q?x=40y.example?= <b@ok.example>,\r\n"
	 " c@evil.example\r\n",
	 "To: \"x\" <b@ok.example>, \"J x at y.example\" <b@ok.example>,\r\n"
	 " \"c at evil.example (blocked)\" <c=evil.example@blocked.invalid>\r\n" OF_TO
	 " \"x\" (y@z) <b@ok.example>, J =?utf-8?q?x=40y.example?= <b@ok.example>,\r\n"
	 " c@evil.example\r\n"},
	{"To: \"x\xef\xbc\xa0\" <b@evil.example>\r\n",
	 "To: \"x at  (blocked)\" <b=evil.example@blocked.invalid>\r\n" OF_TO
	 " \"x\xef\xbc\xa0\" <b@evil.example>\r\n"},
	/* nobody's syntax: neutralised whole */
	{"To: not an address\r\n", "To:" UNREADABLE OF_TO " not an address\r\n"},
	{"To: b@ok.example c@ok.example\r\n",
	 "To:" UNREADABLE OF_TO " b@ok.example c@ok.example\r\n"},
	{"To: root\r\n", "To:" UNREADABLE OF_TO " root\r\n"},
	{"To: \"open <b@ok.example>\r\n", "To:" UNREADABLE OF_TO " \"open <b@ok.example>\r\n"},
	{"Cc: =?utf-8?q?bob=40evil.example?=\r\n",
	 "Cc:" UNREADABLE "X-Stagepost-Original-Cc: =?utf-8?q?bob=40evil.example?=\r\n"},
	{"To\x7f: b@ok.example\r\n", "To:" UNREADABLE OF_TO " b@ok.example\r\n"},
	/* a name that not everybody reads the same way (S192, S203) */
	{"To\r\n : b@ok.example\r\n", "To:" UNREADABLE OF_TO " b@ok.example\r\n"},
	{" To: b@ok.example\r\n", "To:" UNREADABLE OF_TO " b@ok.example\r\n"},
	{"\xef\xbb\xbfTo: b@ok.example\r\n", "To:" UNREADABLE OF_TO " b@ok.example\r\n"},
	{NULL, NULL},
};

START_TEST(defang)
{
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG}, defanged);
}
END_TEST

static const struct copy_row of_shop[] = {
	{"To: S <s@shop.example>\r\n", NULL},
	{NULL, NULL},
};

START_TEST(scope_of_the_message)
{
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG, .scope = "shop"},
			of_shop);
}
END_TEST

/* A NUL in the name, and in a display name. */
START_TEST(nul)
{
	static const char section[] = "T\0o: b@ok.example\r\nCc: a\0b <c@ok.example>\r\n";
	static const char want[] = "To:" UNREADABLE OF_TO " b@ok.example\r\n"
				   "Cc:" UNREADABLE
				   "X-Stagepost-Original-Cc: a\0b <c@ok.example>\r\n";
	struct outbound_count count;
	struct buf out;

	copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG},
		  span_make(section, sizeof(section) - 1), &out, &count);
	ck_assert(span_equal(buf_span(&out), span_make(want, sizeof(want) - 1)));
	buf_release(&out);
}
END_TEST

/* What becomes of an address, by its octets: its own text, or a hash. */
START_TEST(texts)
{
	static const struct {
		const char *local;
		const char *domain;
		bool plain;
	} cases[] = {
		{"bob", "evil.example", true},
		{".bob", "evil.example", false},
		{"bob.", "evil.example", false},
		{"b..b", "evil.example", false},
		{"", "evil.example", false},
		{"bob", "", false},
		{"bob", ".evil.example", false},
		{"bob", "40.example", false},
		/* RFC 5321 4.5.3.1.1: 64 octets with the `=` */
		{"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "evil.example", true},
		{"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "evil.example", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char got[DEFANG_TEXT_SIZE], want[300];

		snprintf(want, sizeof(want), "%s=%s@blocked.invalid", cases[i].local,
			 cases[i].domain);
		defang_text(span_of(cases[i].local), span_of(cases[i].domain), got);
		ck_assert_msg((strcmp(got, want) == 0) == cases[i].plain, "%zu: %s", i, got);
		if (!cases[i].plain)
			ck_assert_uint_eq(strspn(got, "0123456789abcdef"), 32);
	}
}
END_TEST

/* What is at DEFANG_DOMAIN already stays, if it is what we would write. */
START_TEST(what_was_blocked_before)
{
	static const struct {
		const char *address;
		bool allowed;
	} cases[] = {
		{"a=b.example@blocked.invalid", true},	  {"a@Blocked.Invalid", true},
		{"a=%b.example@blocked.invalid", false},  {"a=.b.example@blocked.invalid", false},
		{"a%c=b.example@blocked.invalid", false},
	};
	struct whitelist *list = list_of(copy_list_rows);
	struct defang at = {.list = whitelist_acquire(list), .now = COPY_NOW};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address address;

		ck_assert_int_eq(address_parse(span_of(cases[i].address), &address, NULL), ERR_OK);
		ck_assert_msg(defang_allows(&at, &address) == cases[i].allowed, "%s",
			      cases[i].address);
	}
	whitelist_release(&at.list);
	whitelist_free(&list);
}
END_TEST

/* `section` with `count` times `c` in the place of its `%`. */
static void check_names(const char *front, char c, const char *behind, const char *shown,
			const char *last)
{
	for (size_t count = 1; count <= 90; count++) {
		struct outbound_count counts;
		struct buf section, out;
		struct span line;
		size_t seen = 0;

		buf_init(&section, 1000);
		buf_append_text(&section, front);
		for (size_t i = 0; i < count; i++)
			buf_append_char(&section, c);
		buf_append_text(&section, behind);
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG},
			  buf_span(&section), &out, &counts);
		line = span_first(buf_span(&out),
				  (size_t)((char *)memmem(out.data, out.len, OF_TO, strlen(OF_TO)) -
					   out.data));
		for (size_t i = 0; i < line.len; i++)
			seen += span_starts_fold(span_skip(line, i), shown) ? 1 : 0;
		ck_assert_msg(memmem(line.data, line.len, last, strlen(last)) != NULL, "%.*s",
			      SPAN_ARG(line));
		ck_assert_msg(seen == count, "%zu of %zu: %.*s", seen, count, SPAN_ARG(line));
		buf_release(&out);
		buf_release(&section);
	}
}

/* Nothing of a name is lost, wherever its encoded words end and however it grows. */
START_TEST(all_of_a_name)
{
	check_names("To: \xc3\xbc", 'z', " <x@evil.example>\r\n", "z", "=29?=");
	check_names("To: \"", '@', "\" <b@ok.example>, X <x@evil.example>\r\n", " at ", " at \"");
}
END_TEST

/* Up to 600 octets an allowed item is copied as it is written; else its name is cut. */
START_TEST(long_items)
{
	for (size_t len = 600; len <= 601; len++) {
		struct outbound_count count;
		struct buf section, out;
		char item[700];

		snprintf(item, sizeof(item), "\"%0*d\" <b@ok.example>",
			 (int)(len - strlen("\"\" <b@ok.example>")), 7);
		ck_assert_uint_eq(strlen(item), len);
		buf_init(&section, 1000);
		buf_printf(&section, "To: %s, x@evil.example\r\n", item);
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP},
			  buf_span(&section), &out, &count);
		ck_assert_int_eq(memmem(out.data, out.len, item, len) != NULL, len == 600);
		buf_release(&out);
		buf_release(&section);
	}
}
END_TEST

/* What does not fit leaves everything as it was. */
START_TEST(no_room)
{
	struct whitelist *list = list_of(copy_list_rows);
	struct defang at = {.list = whitelist_acquire(list), .now = COPY_NOW};
	enum defang_fate fate = DEFANG_REMOVED;
	struct buf out;

	buf_init(&out, 20);
	buf_append_text(&out, "abc");
	ck_assert_int_eq(
		defang_addresses(&at, span_of("To"), span_of(" x@evil.example"), true, &out, &fate),
		ERR_LIMIT);
	ck_assert_int_eq(fate, DEFANG_REMOVED);
	ck_assert_str_eq(out.data, "abc");
	ck_assert_int_eq(
		defang_addresses(&at, span_of("To"), span_of(" b@ok.example"), true, &out, &fate),
		ERR_OK);
	ck_assert_int_eq(fate, DEFANG_AS_IS);
	ck_assert_str_eq(out.data, "abc");
	fate = DEFANG_REMOVED;
	ck_assert_int_eq(defang_mailto(&at, span_of("List-Post"),
				       span_of(" <mailto:x@evil.example>"), true, &out, &fate),
			 ERR_LIMIT);
	ck_assert_int_eq(fate, DEFANG_REMOVED);
	ck_assert_str_eq(out.data, "abc");
	buf_release(&out);
	whitelist_release(&at.list);
	whitelist_free(&list);
}
END_TEST

UNIT_MAIN("filter/defang", texts, what_was_blocked_before, all_of_a_name, long_items, no_room,
	  defang, scope_of_the_message, nul)
