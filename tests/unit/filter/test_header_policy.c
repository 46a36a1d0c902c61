/* tests relay/filter/outbound.c with defang.c, mailto.c, subject.c and signature.c, byte for byte
 * (DESIGN 5; CASES S177, S179, S188, S191-S194, S196, S203; traps T1, T2) */
#include "relay/filter/outbound.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

#define NOW  1000000
#define ROOM (16u << 20)

static const struct list_row list_rows[] = {
	{"ok.example", 1, false, NULL, 0},
	{"alice@allowed.example", 2, false, NULL, 0},
	{"bad@ok.example", 3, true, NULL, 0},
	{"shop.example", 4, false, "shop", 0},
	{"old@expired.example", 5, false, NULL, NOW - 1},
	{"a%b@odd.example", 6, false, NULL, 0},
	{NULL, 0, false, NULL, 0},
};

struct how {
	enum header_policy header_policy;
	const char *tag;
	const char *scope;
	bool over_limit;
};

struct row {
	const char *section;
	const char *want; /* NULL: as it is */
};

/* The copy of `section`; out is new. */
static void copy(const struct how *how, struct span section, struct buf *out,
		 struct outbound_count *count_out)
{
	const struct policy_options policy = {.header_policy = how->header_policy,
					      .subject_tag = how->tag};
	struct whitelist *list = list_of(list_rows);
	struct outbound_case at = {.policy = &policy,
				   .list = whitelist_acquire(list),
				   .scope = span_of(how->scope),
				   .now = NOW,
				   .header_parsed = !how->over_limit};

	buf_init(out, ROOM);
	ck_assert_int_eq(outbound_header(&at, span_of(""), section, out, count_out), ERR_OK);
	whitelist_release(&at.list);
	whitelist_free(&list);
}

static void check_row(const struct how *how, const struct row *row)
{
	const char *want = row->want != NULL ? row->want : row->section;
	struct outbound_count count;
	struct buf out, again;

	copy(how, span_of(row->section), &out, &count);
	ck_assert_msg(span_is(buf_span(&out), want), "of\n%s\ncame\n%.*s\nnot\n%s", row->section,
		      (int)out.len, out.data, want);
	ck_assert_msg((count.addresses + count.subjects > 0) == (row->want != NULL), "%s",
		      row->section);
	/* A second relay changes nothing any more. */
	copy(how, buf_span(&out), &again, &count);
	ck_assert_msg(span_is(buf_span(&again), want), "again\n%.*s\nnot\n%s", (int)again.len,
		      again.data, want);
	buf_release(&out);
	buf_release(&again);
}

static void check_rows(const struct how *how, const struct row *rows)
{
	for (; rows->section != NULL; rows++)
		check_row(how, rows);
}

/* --- nothing to do ------------------------------------------------------------------------ */

/* P5: all allowed, or nothing that the policy covers. */
static const struct row untouched[] = {
	{"", NULL},
	{"\r\n", NULL},
	{"\n", NULL},
	{"X: y\r", NULL},
	{"To: alice@allowed.example\r\n\r\n", NULL},
	{"To:ALICE@Allowed.Example\r\n\r\n", NULL},
	{"to : \"A, B\" (c@d.example (e)) <b@ok.example>\r\n\t, g:c@ok.example;,\r\n"
	 " d @ ok . example\r\n",
	 NULL},
	{"To: undisclosed-recipients:;\r\nCc:\r\nReply-To: \r\n \r\n", NULL},
	{"To: a%b@odd.example\r\n", NULL},
	{"To: =?utf-8?q?J=C3=BCrgen?= <j@ok.example>, J\xc3\xbcrgen <k@ok.example>\r\n", NULL},
	/* an accepted risk, and what is no address field */
	{"From: boss@evil.example\r\nReturn-Path: <a@evil.example>\r\n"
	 "Resent-From: b@evil.example\r\nX-To: c@evil.example\r\n"
	 "Received: from x for <d@evil.example>\r\nSubject: e@evil.example\r\nTo f@evil.example\r\n"
	 "DKIM-Signature: h=to\r\n",
	 NULL},
	{"List-Id: news <news.evil.example>\r\n"
	 "List-Unsubscribe: <https://evil.example/?m=a@b.example>\r\nList-Post: NO (closed)\r\n"
	 "List-Help: <mailto:help@ok.example?subject=x@evil.example>,\r\n"
	 " <mailto:alice%40allowed.example>\r\n",
	 NULL},
	/* what a relay before us wrote */
	{"To: \"bob (blocked)\" <bob=evil.example@blocked.invalid>, x@BLOCKED.invalid\r\n", NULL},
	{NULL, NULL},
};

START_TEST(all_allowed)
{
	check_rows(&(struct how){.header_policy = HEADER_POLICY_DEFANG}, untouched);
	check_rows(&(struct how){.header_policy = HEADER_POLICY_STRIP}, untouched);
	check_rows(&(struct how){.header_policy = HEADER_POLICY_KEEP}, untouched);
}
END_TEST

static const struct row kept[] = {
	{"To: x@evil.example, garbage\r\nCc\r\n : y@evil.example\r\n"
	 "List-Post: <mailto:z@evil.example>\r\nDKIM-Signature: h=to:subject\r\n\r\n",
	 NULL},
	{NULL, NULL},
};

START_TEST(keep)
{
	check_rows(&(struct how){.header_policy = HEADER_POLICY_KEEP}, kept);
	check_rows(&(struct how){.header_policy = HEADER_POLICY_KEEP, .over_limit = true}, kept);
}
END_TEST

/* --- defang -------------------------------------------------------------------------------- */

#define OF_TO	   "X-Stagepost-Original-To:"
#define UNREADABLE " \"unreadable (blocked)\" <unreadable@blocked.invalid>\r\n"

static const struct row defanged[] = {
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
	/* RFC 2369 */
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
	{"List-Help: <https://\xc3\xbc.example/\x7f\t>, <mailto:x@evil.example>\r\n",
	 "List-Help: <https://\xc3\xbc.example/\x7f>, <mailto:x=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Help: <https://\xc3\xbc.example/\x7f\t>, "
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
	/* signatures: only those that sign what was changed, or say nothing of it */
	{"DKIM-Signature: v=1; h=From:\r\n To; b=x\r\nTo: A <a@evil.example>\r\n"
	 "DKIM-Signature: v=1; h=from : subject; b=y\r\nDKIM-Signature: v=1; b=z\r\n",
	 "X-Stagepost-Original-DKIM-Signature: v=1; h=From:\r\n To; b=x\r\n"
	 "To: \"A (blocked)\" <a=evil.example@blocked.invalid>\r\n" OF_TO " A <a@evil.example>\r\n"
	 "DKIM-Signature: v=1; h=from : subject; b=y\r\n"
	 "X-Stagepost-Original-DKIM-Signature: v=1; b=z\r\n"},
	{"DKIM-Signature: h=dkim-signature\r\nDKIM-Signature: h=cc\r\nCc: A <a@evil.example>\r\n",
	 "X-Stagepost-Original-DKIM-Signature: h=dkim-signature\r\n"
	 "X-Stagepost-Original-DKIM-Signature: h=cc\r\n"
	 "Cc: \"A (blocked)\" <a=evil.example@blocked.invalid>\r\n"
	 "X-Stagepost-Original-Cc: A <a@evil.example>\r\n"},
	{NULL, NULL},
};

START_TEST(defang)
{
	check_rows(&(struct how){.header_policy = HEADER_POLICY_DEFANG}, defanged);
}
END_TEST

static const struct row of_shop[] = {
	{"To: S <s@shop.example>\r\n", NULL},
	{NULL, NULL},
};

START_TEST(scope_of_the_message)
{
	check_rows(&(struct how){.header_policy = HEADER_POLICY_DEFANG, .scope = "shop"}, of_shop);
}
END_TEST

/* DESIGN 4.8: what was not parsed is not believed. */
static const struct row over_limit[] = {
	{"To: b@ok.example\r\nList-Post: <mailto:b@ok.example>\r\nList-Id: x\r\n",
	 "To:" UNREADABLE OF_TO " b@ok.example\r\n"
	 "List-Post: <mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Post: <mailto:b@ok.example>\r\nList-Id: x\r\n"},
	{NULL, NULL},
};

START_TEST(header_over_the_limits)
{
	struct how how = {.header_policy = HEADER_POLICY_DEFANG, .over_limit = true};
	struct outbound_count count;
	struct buf out;

	copy(&how, span_of(over_limit[0].section), &out, &count);
	ck_assert_msg(span_is(buf_span(&out), over_limit[0].want), "%.*s", (int)out.len, out.data);
	ck_assert_uint_eq(count.addresses, 2);
	buf_release(&out);
	how.header_policy = HEADER_POLICY_STRIP;
	copy(&how, span_of(over_limit[0].section), &out, &count);
	ck_assert_msg(span_is(buf_span(&out), "List-Id: x\r\n"), "%.*s", (int)out.len, out.data);
	buf_release(&out);
}
END_TEST

/* Each field of DESIGN 5, in any case. */
START_TEST(every_field)
{
	static const char *const names[] = {"to",
					    "CC",
					    "Reply-To",
					    "Sender",
					    "Resent-To",
					    "Resent-Cc",
					    "Resent-Sender",
					    "Resent-Reply-To",
					    "Apparently-To",
					    "Mail-Followup-To",
					    "Mail-Reply-To",
					    "Errors-To",
					    "Disposition-Notification-To",
					    "Return-Receipt-To"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char section[200], original[200];
		struct outbound_count count;
		struct buf out;

		snprintf(section, sizeof(section), "%s: x@evil.example\r\n", names[i]);
		snprintf(original, sizeof(original),
			 "\r\nX-Stagepost-Original-%s: x@evil.example\r\n", names[i]);
		copy(&(struct how){.header_policy = HEADER_POLICY_DEFANG}, span_of(section), &out,
		     &count);
		ck_assert_uint_eq(count.addresses, 1);
		ck_assert_msg(span_ends_fold(buf_span(&out), span_of(original)), "%s", out.data);
		out.data[out.len - strlen(original)] = '\0';
		ck_assert_ptr_null(strstr(out.data, "x@evil.example"));
		ck_assert_ptr_nonnull(strstr(out.data, "<x=evil.example@blocked.invalid>"));
		buf_release(&out);
		copy(&(struct how){.header_policy = HEADER_POLICY_STRIP}, span_of(section), &out,
		     &count);
		ck_assert_uint_eq(out.len, 0);
		buf_release(&out);
	}
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

	copy(&(struct how){.header_policy = HEADER_POLICY_DEFANG},
	     span_make(section, sizeof(section) - 1), &out, &count);
	ck_assert(span_equal(buf_span(&out), span_make(want, sizeof(want) - 1)));
	buf_release(&out);
}
END_TEST

/* --- strip --------------------------------------------------------------------------------- */

static const struct row stripped[] = {
	{"To: alice@allowed.example, bob@evil.example\r\n", "To: alice@allowed.example\r\n"},
	{"To: bob@evil.example\r\nCc: x@ok.example\r\n", "Cc: x@ok.example\r\n"},
	{"To: g: bob@evil.example;, h: a@ok.example, b@evil.example;, e:;\r\n",
	 "To: \"h\": a@ok.example;, \"e\":;\r\n"},
	{"To: e:;, b@evil.example\r\n", "To: \"e\":;\r\n"},
	{"To: garbage\r\n\r\n", "\r\n"},
	{"List-Unsubscribe: <mailto:x@evil.example>, <https://e.example/>\r\n",
	 "List-Unsubscribe: <https://e.example/>\r\n"},
	{"List-Post: <mailto:x@evil.example>\r\n", ""},
	{"DKIM-Signature: h=to\r\nTo: x@evil.example\r\n",
	 "X-Stagepost-Original-DKIM-Signature: h=to\r\n"},
	{NULL, NULL},
};

START_TEST(strip)
{
	check_rows(&(struct how){.header_policy = HEADER_POLICY_STRIP}, stripped);
}
END_TEST

/* --- the subject --------------------------------------------------------------------------- */

static const struct row tagged[] = {
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

static const struct row tagged_in_words[] = {
	{"Subject: hi\r\n", "Subject: =?utf-8?q?=5Bst=C3=A4ging=5D?= hi\r\n"},
	{"Subject: =?utf-8?q?x?=\r\n",
	 "Subject: =?utf-8?q?=5Bst=C3=A4ging=5D_?= =?utf-8?q?x?=\r\n"},
	{"Subject: [st\xc3\xa4ging] hi\r\n", NULL},
	{"", "Subject: =?utf-8?q?=5Bst=C3=A4ging=5D?=\r\n"},
	{NULL, NULL},
};

static const struct row tagged_with_escape[] = {
	{"Subject: hi\r\n", "Subject: =?utf-8?q?=3D=3F?= hi\r\n"},
	{"Subject:\n hi\n", "Subject: =?utf-8?q?=3D=3F?=\n hi\r\n"},
	{NULL, NULL},
};

static const struct row tagged_close[] = {
	{"Subject: hi\r\n", "Subject: [x]hi\r\n"},
	{"Subject: =?utf-8?q?x?=\r\n", "Subject: [x] =?utf-8?q?x?=\r\n"},
	{NULL, NULL},
};

static const struct row tagged_and_signed[] = {
	{"DKIM-Signature: h=subject\r\nDKIM-Signature: h=to\r\nSubject: x\r\n",
	 "X-Stagepost-Original-DKIM-Signature: h=subject\r\nDKIM-Signature: h=to\r\n"
	 "Subject: [staging] x\r\n"},
	{NULL, NULL},
};

START_TEST(subject)
{
	struct how how = {.header_policy = HEADER_POLICY_KEEP, .tag = "[staging] "};

	check_rows(&how, tagged);
	how.header_policy = HEADER_POLICY_DEFANG;
	check_rows(&how, tagged);
	check_rows(&how, tagged_and_signed);
	how.tag = "[st\xc3\xa4ging] ";
	check_rows(&how, tagged_in_words);
	how.tag = "[x]";
	check_rows(&how, tagged_close);
	how.tag = "=?";
	check_rows(&how, tagged_with_escape);
	how.tag = "";
	check_rows(&how, untouched);
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
	copy(&(struct how){.header_policy = HEADER_POLICY_DEFANG, .tag = tag}, buf_span(&section),
	     &out, &count);
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

/* No piece of an address stands alone on a line, however long its list is. */
START_TEST(long_uris)
{
	static const char *const rows[][2] = {
		{"", "List-Post: <mailto:unreadable@blocked.invalid>,\r\n <mailto:b=evil.example@"},
		{"x@evil.example,",
		 "List-Post: <mailto:unreadable@blocked.invalid>,\r\n <mailto:b=evil.example@"},
	};

	for (size_t i = 0; i < 2; i++) {
		struct outbound_count count;
		struct buf section, out;

		buf_init(&section, 8000);
		buf_printf(&section, "List-Post: <mailto:%s", rows[i][0]);
		for (int j = 0; j < 70; j++)
			buf_append_text(&section, j > 0 ? ",b@ok.example" : "b@ok.example");
		buf_append_text(&section, ">, <mailto:b@evil.example>\r\n");
		copy(&(struct how){.header_policy = HEADER_POLICY_DEFANG}, buf_span(&section), &out,
		     &count);
		ck_assert_msg(span_starts_fold(buf_span(&out), rows[i][1]), "%.*s", (int)out.len,
			      out.data);
		buf_release(&out);
		copy(&(struct how){.header_policy = HEADER_POLICY_STRIP}, buf_span(&section), &out,
		     &count);
		ck_assert_uint_eq(out.len, 0);
		buf_release(&out);
		buf_release(&section);
	}
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
	copy(&(struct how){.header_policy = HEADER_POLICY_STRIP}, buf_span(&section), &out, &count);
	ck_assert(span_starts_fold(buf_span(&out), "List-Help:\r\n <https://e.example/000"));
	ck_assert_uint_eq(out.len, strlen("List-Help:\r\n <https://e.example/>\r\n \r\n") + 1500);
	buf_release(&out);
	buf_release(&section);
}
END_TEST

/* More names than anybody looks through: then every signature is taken to be broken. */
START_TEST(very_many_changes)
{
	static const char signature[] = "DKIM-Signature: h=subject\r\n";
	struct outbound_count count;
	struct buf section, out;

	for (int kind = 0; kind < 3; kind++) {
		buf_init(&section, 200000);
		if (kind < 2)
			buf_append_text(&section, signature);
		if (kind == 0)
			for (int i = 0; i < 500; i++)
				buf_printf(&section, "List-%d: <mailto:x@evil.example>\r\n", i);
		else if (kind == 1)
			buf_printf(&section, "List-%0*d: <mailto:x@evil.example>\r\n", 300, 7);
		else
			buf_printf(&section, "To: x@evil.example\r\nDKIM-Signature: h=%0*d\r\n",
				   70000, 7);
		copy(&(struct how){.header_policy = HEADER_POLICY_STRIP}, buf_span(&section), &out,
		     &count);
		ck_assert_uint_eq(count.signatures, 1);
		ck_assert(span_starts_fold(buf_span(&out), "X-Stagepost-Original-DKIM-Signature:"));
		buf_release(&section);
		buf_release(&out);
	}
}
END_TEST

/* --- bounds -------------------------------------------------------------------------------- */

/* The worst that is within the limits of relay/mail/header.h still fits; in no time (S196). */
START_TEST(worst_case_fits)
{
	static const char *const items[] = {"a@b,", "%@a,", "\"?\"@b,", "=?=@b,", "(((())))@,"};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		struct outbound_count count;
		struct buf section, out;

		buf_init(&section, 256 * 1024);
		buf_append_text(&section, "To: ");
		while (buf_append_text(&section, items[i]) == ERR_OK)
			;
		copy(&(struct how){.header_policy = HEADER_POLICY_DEFANG}, buf_span(&section), &out,
		     &count);
		ck_assert_uint_eq(count.addresses, 1);
		ck_assert_uint_lt(out.len, OUTBOUND_HEADER_MAX - 65536);
		buf_release(&section);
		buf_release(&out);
	}
}
END_TEST

static void fill_to_the_ceiling(const char *section)
{
	const struct policy_options policy = {.subject_tag = "[x] "};
	struct whitelist *list = list_of(list_rows);
	struct outbound_case at = {
		.policy = &policy, .list = whitelist_acquire(list), .header_parsed = true};
	struct outbound_count count = {.bcc = 7};
	size_t max = 0;
	int code;

	do {
		struct buf out;

		buf_init(&out, 6 + max++);
		buf_append_text(&out, "before");
		code = outbound_header(&at, span_of("R: 1\r\n"), span_of(section), &out, &count);
		ck_assert(code == ERR_OK || code == ERR_LIMIT);
		if (code != ERR_OK) {
			ck_assert(span_is(buf_span(&out), "before"));
			ck_assert_uint_eq(count.bcc, 7);
		}
		buf_release(&out);
	} while (code != ERR_OK && max < 2000);
	ck_assert_uint_lt(max, 2000);
	ck_assert_uint_eq(count.signatures, 1);
	whitelist_release(&at.list);
	whitelist_free(&list);
}

START_TEST(ceiling_leaves_all_as_it_was)
{
	fill_to_the_ceiling("To: x@evil.example\r\nSubject: x\r\nDKIM-Signature: h=to\r\n"
			    "List-Post: <mailto:a@evil.example>\r\n\r\n");
	fill_to_the_ceiling("DKIM-Signature: h=to\r\nTo: x@evil.example\r\n\r\n");
}
END_TEST

UNIT_MAIN("filter/header policy", all_allowed, keep, defang, scope_of_the_message,
	  header_over_the_limits, every_field, nul, strip, subject, lines_stay_short, long_uris,
	  long_link, very_many_changes, worst_case_fits, ceiling_leaves_all_as_it_was)
