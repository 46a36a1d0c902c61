/* tests relay/filter/defang.c, byte for byte (DESIGN 5; CASES S179, S188, S191-S194, S203) */
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

UNIT_MAIN("filter/defang", defang, scope_of_the_message, nul)
