/* tests relay/filter/outbound.c with signature.c, byte for byte: what each header policy leaves
 * (DESIGN 5; CASES S196; traps T1, T2); the fields: test_defang.c, test_mailto.c, test_subject.c */
#include "relay/filter/outbound.h"

#include <stdio.h>
#include <string.h>

#include "relay/filter/signature.h"
#include "tests/unit/filter/copy.h"

/* --- nothing to do ------------------------------------------------------------------------ */

/* P5: all allowed, or nothing that the policy covers. */
static const struct copy_row untouched[] = {
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
	{"To:\r\nCc:\nReply-To:\r", NULL},
	/* an accepted risk, and what is no address field */
	{"From: boss@evil.example\r\nReturn-Path: <a@evil.example>\r\n"
	 "X-To: c@evil.example\r\n"
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
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG}, untouched);
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG, .tag = ""},
			untouched);
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP}, untouched);
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_KEEP}, untouched);
}
END_TEST

static const struct copy_row kept[] = {
	{"To: x@evil.example, garbage\r\nCc\r\n : y@evil.example\r\n"
	 "List-Post: <mailto:z@evil.example>\r\nDKIM-Signature: h=to:subject\r\n\r\n",
	 NULL},
	{NULL, NULL},
};

START_TEST(keep)
{
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_KEEP}, kept);
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_KEEP, .over_limit = true},
			kept);
}
END_TEST

/* DESIGN 4.8: what was not parsed is not believed. */
static const struct copy_row over_limit[] = {
	{"To: b@ok.example\r\nList-Post: <mailto:b@ok.example>\r\nList-Id: x\r\n",
	 "To:" UNREADABLE OF_TO " b@ok.example\r\n"
	 "List-Post: <mailto:unreadable@blocked.invalid>\r\n"
	 "X-Stagepost-Original-List-Post: <mailto:b@ok.example>\r\nList-Id: x\r\n"},
	{NULL, NULL},
};

START_TEST(header_over_the_limits)
{
	struct copy_how how = {.header_policy = HEADER_POLICY_DEFANG, .over_limit = true};
	struct outbound_count count;
	struct buf out;

	copy_make(&how, span_of(over_limit[0].section), &out, &count);
	ck_assert_msg(span_is(buf_span(&out), over_limit[0].want), "%.*s", (int)out.len, out.data);
	ck_assert_uint_eq(count.addresses, 2);
	buf_release(&out);
	how.header_policy = HEADER_POLICY_STRIP;
	copy_make(&how, span_of(over_limit[0].section), &out, &count);
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
					    "Resent-FROM",
					    "Resent-To",
					    "Resent-Cc",
					    "Resent-Sender",
					    "Resent-Reply-To",
					    "Apparently-To",
					    "Mail-Followup-To",
					    "Mail-Reply-To",
					    "Errors-To",
					    "Disposition-Notification-To",
					    "Return-Receipt-To",
					    "Read-Receipt-To",
					    "x-confirm-reading-to"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char section[200], original[200];
		struct outbound_count count;
		struct buf out;

		snprintf(section, sizeof(section), "%s: x@evil.example\r\n", names[i]);
		snprintf(original, sizeof(original),
			 "\r\nX-Stagepost-Original-%s: x@evil.example\r\n", names[i]);
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG},
			  span_of(section), &out, &count);
		ck_assert_uint_eq(count.addresses, 1);
		ck_assert_msg(span_ends_fold(buf_span(&out), span_of(original)), "%s", out.data);
		out.data[out.len - strlen(original)] = '\0';
		ck_assert_ptr_null(strstr(out.data, "x@evil.example"));
		ck_assert_ptr_nonnull(strstr(out.data, "<x=evil.example@blocked.invalid>"));
		buf_release(&out);
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP},
			  span_of(section), &out, &count);
		ck_assert_uint_eq(out.len, 0);
		buf_release(&out);
	}
}
END_TEST

/* --- strip --------------------------------------------------------------------------------- */

static const struct copy_row stripped[] = {
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
	copy_check_rows(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP}, stripped);
}
END_TEST

/* --- signatures ---------------------------------------------------------------------------- */

/* Only those that sign what was changed, or say nothing of it. */
static const struct copy_row signed_and_defanged[] = {
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

#define ARC1(h)	 "ARC-Seal: i=1; cv=none\r\nARC-Message-Signature: i=1; h=" h "\r\n" RESULTS1
#define RESULTS1 "ARC-Authentication-Results: i=1; x\r\n"
#define OF_ARC1(h)                                                                                 \
	"X-Stagepost-Original-ARC-Seal: i=1; cv=none\r\n"                                          \
	"X-Stagepost-Original-ARC-Message-Signature: i=1; h=" h "\r\n"                             \
	"X-Stagepost-Original-ARC-Authentication-Results: i=1; x\r\n"
#define CC "Cc: a@evil.example\r\n"
#define OF_CC                                                                                      \
	"Cc: \"a at evil.example (blocked)\" <a=evil.example@blocked.invalid>\r\n"                 \
	"X-Stagepost-Original-Cc: a@evil.example\r\n"

/* RFC 8617 5.2: the newest signature of the message decides, and a chain goes whole. */
static const struct copy_row chains[] = {
	{ARC1("from:cc") CC, OF_ARC1("from:cc") OF_CC},
	{ARC1("from:to") CC, ARC1("from:to") OF_CC},
	/* The newest holds, whatever became of those before it, in any order. */
	{"ARC-Message-Signature: a=x; i = 2 ; h=from\r\n" ARC1("cc") CC,
	 "ARC-Message-Signature: a=x; i = 2 ; h=from\r\n" ARC1("cc") OF_CC},
	{ARC1("cc") "arc-message-signature: h=from; i=10\r\n" CC,
	 ARC1("cc") "arc-message-signature: h=from; i=10\r\n" OF_CC},
	{ARC1("from") "ARC-Message-Signature: i=2;\r\n h=from :\r\n cc\r\n" CC,
	 OF_ARC1("from") "X-Stagepost-Original-ARC-Message-Signature: i=2;\r\n h=from :\r\n "
			 "cc\r\n" OF_CC},
	/* What can't be read, or is there twice, is not believed to hold. */
	{ARC1("from") "ARC-Message-Signature: i=x; h=cc\r\n" CC,
	 OF_ARC1("from") "X-Stagepost-Original-ARC-Message-Signature: i=x; h=cc\r\n" OF_CC},
	{ARC1("from") "ARC-Message-Signature: h=cc\r\n" CC,
	 OF_ARC1("from") "X-Stagepost-Original-ARC-Message-Signature: h=cc\r\n" OF_CC},
	{ARC1("cc") "ARC-Message-Signature: i=1; h=from\r\n" CC,
	 OF_ARC1("cc") "X-Stagepost-Original-ARC-Message-Signature: i=1; h=from\r\n" OF_CC},
	{ARC1("from") "ARC-Message-Signature: i=1; h=cc\r\n" CC,
	 OF_ARC1("from") "X-Stagepost-Original-ARC-Message-Signature: i=1; h=cc\r\n" OF_CC},
	/* A chain without a signature of the message says nothing of it. */
	{"ARC-Seal: i=1\r\n" CC, "ARC-Seal: i=1\r\n" OF_CC},
	/* One signs the other. */
	{ARC1("cc") "DKIM-Signature: h=dkim-signature\r\n" CC,
	 OF_ARC1("cc") "DKIM-Signature: h=dkim-signature\r\n" OF_CC},
	{"DKIM-Signature: h=arc-authentication-results\r\n" ARC1("cc") CC,
	 "X-Stagepost-Original-DKIM-Signature: h=arc-authentication-results\r\n" OF_ARC1("cc")
		 OF_CC},
	/* What is taken away was signed, too. */
	{"Bcc: x@y.example\r\nDKIM-Signature: h=bcc\r\n" CC,
	 "X-Stagepost-Original-DKIM-Signature: h=bcc\r\n" OF_CC},
	{"DKIM-Signature: h=cc\r\n" ARC1("from:dkim-signature") CC,
	 "X-Stagepost-Original-DKIM-Signature: h=cc\r\n" OF_ARC1("from:dkim-signature") OF_CC},
	{"DKIM-Signature: h=from:arc-seal\r\n" ARC1("cc") CC,
	 "X-Stagepost-Original-DKIM-Signature: h=from:arc-seal\r\n" OF_ARC1("cc") OF_CC},
	{"DKIM-Signature: h=from\r\n" ARC1("cc") CC,
	 "DKIM-Signature: h=from\r\n" OF_ARC1("cc") OF_CC},
	/* Nothing was changed. */
	{ARC1("from:cc") "Cc: x@ok.example\r\n", NULL},
	{NULL, NULL},
};

static const struct copy_row tagged_and_signed[] = {
	{"DKIM-Signature: h=subject\r\nDKIM-Signature: h=to\r\nSubject: x\r\n",
	 "X-Stagepost-Original-DKIM-Signature: h=subject\r\nDKIM-Signature: h=to\r\n"
	 "Subject: [staging] x\r\n"},
	{"Subject:\r\n", "Subject: [staging]\r\n"},
	{"Subject:\n", "Subject: [staging]\r\n"},
	/* Tagged already: nothing has changed. */
	{"DKIM-Signature: h=subject\r\nSubject: [staging] x\r\n", NULL},
	/* One that is missing comes in front. */
	{"DKIM-Signature: h=subject\r\nTo: b@ok.example\r\n\r\n",
	 "Subject: [staging]\r\nX-Stagepost-Original-DKIM-Signature: h=subject\r\n"
	 "To: b@ok.example\r\n\r\n"},
	{NULL, NULL},
};

START_TEST(signatures)
{
	struct copy_how how = {.header_policy = HEADER_POLICY_DEFANG};

	copy_check_rows(&how, signed_and_defanged);
	copy_check_rows(&how, chains);
	how.tag = "[staging] ";
	copy_check_rows(&how, tagged_and_signed);
}
END_TEST

static bool breaks(const char *name, struct span body)
{
	struct touched touched;
	bool broken;

	touched_init(&touched);
	touched_add(&touched, span_of(name));
	broken = signature_breaks(body, &touched);
	touched_release(&touched);
	return broken;
}

/* What is not looked through any more is taken to be broken: to the octet. */
START_TEST(signatures_at_the_limits)
{
	static char text[2 + 65536 + 1];
	char name[256 + 2] = "";

	ck_assert(breaks("x", span_of("h=x")));
	ck_assert(breaks("x", span_of("a=b; h = y : X")));
	ck_assert(!breaks("x", span_of("h=y")));
	ck_assert(!breaks("x", span_of("h=xx; b=x")));
	ck_assert(breaks("x", span_of("b=x")));
	memset(text, 'a', sizeof(text));
	memcpy(text, "h=", 2);
	ck_assert(!breaks("x", span_make(text, sizeof(text) - 1)));
	ck_assert(breaks("x", span_make(text, sizeof(text))));
	memset(name, 'a', 256);
	ck_assert(!breaks(name, span_of("h=y")));
	name[256] = 'a';
	ck_assert(breaks(name, span_of("h=y")));
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
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_STRIP},
			  buf_span(&section), &out, &count);
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
		copy_make(&(struct copy_how){.header_policy = HEADER_POLICY_DEFANG},
			  buf_span(&section), &out, &count);
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
	struct whitelist *list = list_of(copy_list_rows);
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

UNIT_MAIN("filter/header policy", all_allowed, keep, header_over_the_limits, every_field, strip,
	  signatures, signatures_at_the_limits, very_many_changes, worst_case_fits,
	  ceiling_leaves_all_as_it_was)
