/* tests relay/deliver/ as a whole: store to next hop, libesmtp in between */
#include <config.h> /* memmem */

#include "relay/deliver/deliver.h"

#include <glob.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/act.h"
#include "queue/delivery.h"
#include "relay/filter/outbound.h"
#include "relay/mail/header.h"
#include "relay/deliver/body.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

static const char *const ann[] = {"ann@ok.test", NULL};

/* A row of the tables below: a script and what becomes of the one recipient. */
struct row {
	const char *name;
	struct nexthop_step step;
	enum state want;
	int want_reply;
	/* EITHER: a short message is all out, with its dot, before a drop can be noticed. */
	enum { SURE, DOUBT, EITHER } want_doubt;
};

/* A message of `len` octets, a multiple of 64. */
static void fill_lines(char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : (char)('a' + i / 64 % 26);
	memcpy(bytes, "a: b\r\n\r\n", 8);
}

static int in_doubt_of(struct rig *r)
{
	/* Claimed again far in the future, a recipient tells how often it was in doubt. */
	struct claim claim = {
		.now = clock_wall_ms() + 864000000, .max_recipients = 10, .lease_ms = 1000};
	struct err why;
	int in_doubt = -1;

	ck_assert_int_eq(store_wait(r->store, queue_claim, &claim.job, &why), ERR_OK);
	if (claim.message_count > 0)
		in_doubt = claim.messages[0].recipients[0].in_doubt;
	arena_free(&claim.arena);
	return in_doubt;
}

static void play(const struct row *row)
{
	struct rig r;
	struct ulid id;
	const struct recipient_view *view;

	rig_open(&r, &row->step, 1, NULL);
	r.route.command_timeout_ms = 500;
	r.route.final_reply_timeout_ms = 500;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	view = rig_await(&r, &id, "ann@ok.test", row->want);
	ck_assert_msg(view->reply_code == row->want_reply, "%s: reply %d", row->name,
		      view->reply_code);
	ck_assert_msg(view->attempts == 1, "%s: %d attempts", row->name, view->attempts);
	ck_assert_msg(view->reason != NULL && view->reason[0] != '\0', "%s", row->name);
	rig_stop_delivery(&r, 1000);
	if (row->want == STATE_DEFERRED && row->want_doubt != EITHER)
		ck_assert_msg(in_doubt_of(&r) == (row->want_doubt == DOUBT), "%s: doubt",
			      row->name);
	rig_stop(&r);
}

START_TEST(one_plain_message_goes_through)
{
	struct rig r;
	struct ulid id;
	const struct recipient_view *view;
	const struct nexthop_mail *mail;
	struct entry_hits hits[4];

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept_plain(&r, "ann@ok.test");
	view = rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(view->reply_code, 250);
	ck_assert_str_eq(view->route, "default");
	/* the entry that let it go, in the ruling and in its hit counter */
	ck_assert_int_eq(view->ruling.entry, 1);
	ck_assert_uint_eq(whitelist_take_hits(r.list, hits, 4), 1);
	ck_assert_int_eq(hits[0].id, 1);
	ck_assert_int_eq(hits[0].hits, 1);
	mail = nexthop_mail(r.hop, 0);
	ck_assert_str_eq(mail->rcpt[0], "RCPT TO:<ann@ok.test>");
	ck_assert_str_eq(mail->data, "Received: here\r\nSubject: test\r\n\r\nhello\r\n");
	rig_stop(&r);
}
END_TEST

START_TEST(the_last_reply_decides)
{
	static const struct row rows[] = {
		{"S213 550 after the dot",
		 {AT_DOT, DO_REPLY, "550 5.7.1 no\r\n"},
		 STATE_FAILED,
		 550,
		 SURE},
		{"S214 451 after the dot",
		 {AT_DOT, DO_REPLY, "451 later\r\n"},
		 STATE_DEFERRED,
		 451,
		 SURE},
		{"S215 drop after 354", {AT_BODY, DO_DROP}, STATE_DEFERRED, 0, EITHER},
		{"S217 drop after the dot", {AT_DOT, DO_DROP}, STATE_DEFERRED, 0, DOUBT},
		{"S217 silence after the dot", {AT_DOT, DO_STALL}, STATE_DEFERRED, 0, DOUBT},
		{"S223 421 at the greeting",
		 {AT_GREETING, DO_REPLY, "421 no\r\n"},
		 STATE_DEFERRED,
		 0,
		 SURE},
		{"S223 421 at EHLO", {AT_EHLO, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 0, SURE},
		{"S223 421 at MAIL", {AT_MAIL, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 421, SURE},
		{"S223 421 at RCPT", {AT_RCPT, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 421, SURE},
		{"S223 421 at DATA", {AT_DATA, DO_REPLY, "421 no\r\n"}, STATE_DEFERRED, 421, SURE},
		{"S223 421 after the dot",
		 {AT_DOT, DO_REPLY, "421 no\r\n"},
		 STATE_DEFERRED,
		 421,
		 SURE},
		{"S225 550 at MAIL", {AT_MAIL, DO_REPLY, "550 spf\r\n"}, STATE_FAILED, 550, SURE},
		{"S225 530 at MAIL",
		 {AT_MAIL, DO_REPLY, "530 auth\r\n"},
		 STATE_DEFERRED,
		 530,
		 SURE},
		{"S240 reset after 354", {AT_BODY, DO_RESET}, STATE_DEFERRED, 0, EITHER},
		{"drop at MAIL", {AT_MAIL, DO_DROP}, STATE_DEFERRED, 0, SURE},
		{"drop at RCPT", {AT_RCPT, DO_DROP}, STATE_DEFERRED, 0, SURE},
		{"stall at RCPT", {AT_RCPT, DO_STALL}, STATE_DEFERRED, 0, SURE},
		{"stall at DATA", {AT_DATA, DO_STALL}, STATE_DEFERRED, 0, SURE},
		/* libesmtp alone calls both of these 250 */
		{"250 for DATA", {AT_DATA, DO_REPLY, "250 ok\r\n"}, STATE_DEFERRED, 0, SURE},
		{"unsolicited 250",
		 {AT_RCPT, DO_REPLY, "250 a\r\n250 b\r\n250 c\r\n"},
		 STATE_DEFERRED,
		 0,
		 SURE},
		/* libesmtp alone takes this for a protocol error after the message was kept */
		{"250 without text", {AT_DOT, DO_REPLY, "250\r\n"}, STATE_DELIVERED, 250, SURE},
		{"HTTP",
		 {AT_GREETING, DO_REPLY, "HTTP/1.1 400 Bad\r\n\r\n"},
		 STATE_DEFERRED,
		 0,
		 SURE},
		{"pause, then well",
		 {AT_DOT, DO_DRIP, "250 2.0.0 ok\r\n", .ms = 10},
		 STATE_DELIVERED,
		 250,
		 SURE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		play(&rows[i]);
}
END_TEST

/* S215, S216, S240: the message is too long to be out before the next hop acts. No doubt then. */
START_TEST(breaking_in_mid_data_is_no_doubt)
{
	static const struct nexthop_step steps[] = {
		{AT_BODY, DO_DROP, .bytes = 50000},
		{AT_BODY, DO_RESET, .bytes = 50000},
		{AT_BODY, DO_STALL, .bytes = 50000},
		{AT_BODY, DO_REPLY, "451 full\r\n", .bytes = 50000},
	};
	size_t len = 16 * 1024 * 1024;
	char *bytes = malloc(len);

	fill_lines(bytes, len);
	for (size_t i = 0; i < 4; i++) {
		struct rig r;
		struct ulid id;

		rig_open(&r, &steps[i], 1, NULL);
		rig_deliver(&r);
		id = rig_accept(&r, "", ann, bytes, len);
		ck_assert(nexthop_wait_stage(r.hop, AT_BODY, 1, RIG_WAIT_MS));
		/* The stalling one is stopped: its rate is judged after minutes only. */
		if (steps[i].act == DO_STALL)
			rig_stop_delivery(&r, 500);
		rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED);
		if (r.deliver != NULL)
			rig_stop_delivery(&r, 1000);
		ck_assert_int_eq(in_doubt_of(&r), 0);
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
		rig_stop(&r);
	}
	free(bytes);
}
END_TEST

/* S221, and S222's second half: each its own state, no second copy for those who have one. */
START_TEST(each_recipient_has_its_own_outcome)
{
	static const char *const all[] = {"a@ok.test", "b@ok.test", "c@ok.test",
					  "d@ok.test", "e@ok.test", NULL};
	static const struct nexthop_step steps[] = {
		{AT_RCPT, DO_REPLY, "550 5.1.1 unknown\r\n", .match = "b@"},
		{AT_RCPT, DO_REPLY, "450 4.2.1 later\r\n", .match = "c@", .from = 1, .to = 3},
		{AT_RCPT, DO_REPLY, "252 maybe\r\n", .match = "d@"},
		{AT_RCPT, DO_REPLY, "552 full\r\n", .match = "e@"},
	};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	struct rig r;
	struct ulid id;

	rig_open(&r, steps, 4, NULL);
	r.schedule[0] = 100;
	rig_deliver(&r);
	id = rig_accept(&r, "", all, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "a@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "c@ok.test", STATE_DELIVERED);
	ck_assert_str_eq(rig_await(&r, &id, "b@ok.test", STATE_FAILED)->reply_enhanced, "5.1.1");
	rig_await(&r, &id, "d@ok.test", STATE_DELIVERED);
	rig_await(&r, &id, "e@ok.test", STATE_FAILED);
	ck_assert_int_eq(rig_recipient(&r, &id, "c@ok.test")->attempts, 2);
	ck_assert_int_eq(rig_recipient(&r, &id, "a@ok.test")->attempts, 1);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 2);
	ck_assert_uint_eq(nexthop_mail(r.hop, 1)->rcpt_count, 1);
	ck_assert_str_eq(nexthop_mail(r.hop, 1)->rcpt[0], "RCPT TO:<c@ok.test>");
	rig_stop(&r);
}
END_TEST

/* What comes with the 354 ends the job before libesmtp has heard of it: it has to hear it still. */
START_TEST(more_than_a_354_in_one_packet)
{
	static const char *const all[] = {"a@ok.test", "b@ok.test", "c@ok.test", "d@ok.test", NULL};
	static const struct nexthop_step step = {AT_DATA, DO_REPLY, "354 go\r\n250 what\r\n",
						 .from = 1, .to = 2};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	struct ulid ids[2];
	size_t copies = 0;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	for (size_t i = 0; i < 2; i++)
		ids[i] = rig_accept(&r, "", all, bytes, sizeof(bytes) - 1);
	r.schedule[0] = 100;
	rig_deliver(&r);
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < 4; k++)
			rig_await(&r, &ids[i], all[k], STATE_DELIVERED);
	/* Each once; those of one message may be tried again one by one. */
	for (size_t i = 0; i < nexthop_mail_count(r.hop); i++)
		copies += nexthop_mail(r.hop, i)->rcpt_count;
	ck_assert_uint_eq(copies, 8);
	rig_stop(&r);
}
END_TEST

/* S155: allowed when accepted, not any more when it is sent. */
START_TEST(an_entry_removed_stops_queued_mail)
{
	static const char *const two[] = {"ann@ok.test", "bob@gone.test", NULL};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	const struct recipient_view *view;
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept(&r, "", two, bytes, sizeof(bytes) - 1);
	view = rig_await(&r, &id, "bob@gone.test", STATE_DROPPED);
	ck_assert_msg(strncmp(view->reason, "whitelist changed: ", 19) == 0, "%s", view->reason);
	ck_assert_str_eq(view->ruling.verdict, "drop");
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert(!nexthop_saw(r.hop, "gone.test"));
	rig_stop(&r);
}
END_TEST

/* S156: removed while the recipient waits for its second attempt. */
START_TEST(an_entry_removed_between_attempts_stops_the_second)
{
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 later\r\n", .from = 1,
						 .to = 1};
	static const char *const nobody[] = {NULL};
	struct rig r;
	struct ulid id;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 700;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED);
	rig_list(&r, nobody);
	rig_await(&r, &id, "ann@ok.test", STATE_DROPPED);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_RCPT), 1);
	rig_stop(&r);
}
END_TEST

/* S094, S095 and their like, put into the store behind the parser's back. */
START_TEST(what_is_not_one_plain_address_is_never_offered)
{
	static const char *const texts[] = {
		"user@ok.test>\r\nRCPT TO:<real@ok.test",
		"user@ok.test> NOTIFY=NEVER ORCPT=x",
		"user@ok.test\n",
		" user@ok.test",
		"user@ok.test,real@ok.test",
		"<user@ok.test>",
		"\"user\"@ok.test",
		"@ok.test:user@ok.test",
		"user@[127.0.0.1]",
		"user@ok.test.",
		"user",
	};
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	const char *list[sizeof(texts) / sizeof(texts[0]) + 1] = {NULL};
	struct rig r;
	struct ulid id;

	memcpy(list, texts, sizeof(texts));
	rig_start(&r, NULL, 0, NULL);
	id = rig_accept(&r, "", list, bytes, sizeof(bytes) - 1);
	for (size_t i = 0; list[i] != NULL; i++)
		rig_await(&r, &id, list[i], STATE_DROPPED);
	ck_assert(!nexthop_saw(r.hop, "RCPT"));
	rig_stop(&r);
}
END_TEST

/* The sender is replaced unless the list allows it (DESIGN 4.7). */
START_TEST(the_sender_passes_the_same_filter)
{
	static const char bytes[] = "a: b\r\n\r\nx\r\n";
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, "PIPELINING\nDSN");
	id = rig_accept(&r, "customer@real.test", ann, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	id = rig_accept(&r, "me@ok.test", ann, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->mail, "MAIL FROM:<>");
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->rcpt[0], "RCPT TO:<ann@ok.test> NOTIFY=NEVER");
	ck_assert_str_eq(nexthop_mail(r.hop, 1)->mail, "MAIL FROM:<me@ok.test>");
	ck_assert_str_eq(nexthop_mail(r.hop, 1)->rcpt[0], "RCPT TO:<ann@ok.test>");
	ck_assert(!nexthop_saw(r.hop, "real.test"));
	rig_stop(&r);
}
END_TEST

/* --- content (P5) --------------------------------------------------------------------- */

static void goes_through_exactly(struct rig *r, const char *bytes, size_t len)
{
	static const char received[] = "Received: here\r\n";
	size_t before = nexthop_mail_count(r->hop);
	const struct nexthop_mail *mail;
	struct ulid id = rig_accept(r, "", ann, bytes, len);
	size_t front = sizeof(received) - 1;

	rig_await(r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_uint_eq(nexthop_mail_count(r->hop), before + 1);
	mail = nexthop_mail(r->hop, before);
	ck_assert_uint_eq(mail->len, front + len);
	ck_assert_int_eq(memcmp(mail->data, received, front), 0);
	ck_assert_int_eq(memcmp(mail->data + front, bytes, len), 0);
}

/* What libesmtp would add, drop, reorder or read wrongly, and what a body may hold. */
START_TEST(every_byte_arrives)
{
	static const char *const texts[] = {
		"a: b\r\n\r\nplain\r\n",
		/* no Date, no From, no Message-Id; duplicates; fields that libesmtp drops */
		"To: a@x\r\nTo: b@x\r\nCc: c@x\r\nCc: d@x\r\nSubject: s\r\nSubject: s\r\n"
		"Reply-To: a@x\r\nReply-To: b@x\r\nDate: x\r\nDate: y\r\nFrom: a\r\nFrom: b\r\n"
		"Message-Id: <1@x>\r\nMessage-Id: <2@x>\r\nReturn-Path: <a@x>\r\n"
		"Original-Recipient: rfc822;a@x\r\nOriginal-Foo: 1\r\nResent-Reply-To: q@x\r\n"
		"Disposition-Notification-To: a@x\r\nDisposition-Notification-To: b@x\r\n"
		"\r\nbody\r\n",
		/* names that make its header hash read past the end */
		"Touh: 1\r\nDategu: 2\r\nFrommt: 3\r\n\r\nx\r\n",
		/* dot lines, in the header too */
		".\r\n..\r\n.a: b\r\n\r\n.\r\n..\r\n...\r\n.a\r\n\r\n.\r\n",
		/* header only, body only, nothing at all */
		"Subject: only\r\n",
		"Subject: only\r\n\r\n",
		"\r\nbody\r\n",
		"\r\n",
		/* folds, 8-bit, mbox, no colon, odd blanks */
		"From me Mon\r\nSubject: a\r\n b\r\n\tc\r\nno colon here\r\nX\xff\xfe: \xc3\xa4\r\n"
		"Date : old\r\n\r\n>From x\r\n\xe4\xf6\xfc\r\n",
		"a: b\r\n\r\n\r\n\r\n\r\n",
		"a: b\r\n\r\nQUIT\r\nRSET\r\nMAIL FROM:<x@y>\r\n",
	};
	static const char nul[] = "a: b\0c\r\n\r\nx\0y\0\r\n\0\r\n";
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		goes_through_exactly(&r, texts[i], strlen(texts[i]));
	goes_through_exactly(&r, nul, sizeof(nul) - 1);
	rig_stop(&r);
}
END_TEST

/* S201 among them: lines are cut for libesmtp behind 4096 octets and joined again. */
START_TEST(sizes_around_every_border_arrive)
{
	static const size_t sizes[] = {1,     2,      997,    998,    1000,   2046,   2047,
				       2048,  2049,   4094,   4095,   4096,   4097,   4098,
				       8191,  8192,   8193,   16383,  16384,  16385,  65535,
				       65536, 262130, 262143, 262144, 262145, 524288, 700001};
	static char bytes[800000];
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t at = (size_t)sprintf(bytes, "a: b\r\n\r\n");

		/* one line of dots, as long as it gets */
		memset(bytes + at, '.', sizes[i]);
		memcpy(bytes + at + sizes[i], "\r\n", 2);
		goes_through_exactly(&r, bytes, at + sizes[i] + 2);
	}
	rig_stop(&r);
}
END_TEST

START_TEST(twenty_five_megabytes_arrive)
{
	size_t len = 25 * 1024 * 1024;
	char *bytes = malloc(len);
	uint32_t x = 1;
	struct rig r;

	memcpy(bytes, "a: b\r\n\r\n", 8);
	for (size_t i = 8; i < len; i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (char)(x >> 24);
		if (bytes[i] == '\r' || bytes[i] == '\n')
			bytes[i] = '.';
		if (i % 79 == 78)
			memcpy(bytes + i - 1, "\r\n", 2);
	}
	memcpy(bytes + len - 2, "\r\n", 2);
	rig_open(&r, NULL, 0, NULL);
	r.route.final_reply_timeout_ms = RIG_WAIT_MS; /* its reader is slow under a sanitizer */
	rig_deliver(&r);
	goes_through_exactly(&r, bytes, len);
	rig_stop(&r);
	free(bytes);
}
END_TEST

/* An API may hand in a message whose last line has no end: SMTP needs one. */
START_TEST(a_missing_last_line_end_is_added)
{
	static const char *const texts[] = {"a: b\r\n\r\nno end", "a: b"};
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	for (size_t i = 0; i < 2; i++) {
		char want[100];
		struct ulid id = rig_accept(&r, "", ann, texts[i], strlen(texts[i]));

		rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
		snprintf(want, sizeof(want), "Received: here\r\n%s\r\n", texts[i]);
		ck_assert_str_eq(nexthop_mail(r.hop, i)->data, want);
	}
	rig_stop(&r);
}
END_TEST

/* S201: the same where the last line ends at a cut, or one octet beside it. */
START_TEST(a_missing_line_end_at_a_cut_is_added)
{
	static char bytes[8 + 2 * BODY_LINE_MAX];
	static const size_t sizes[] = {BODY_LINE_MAX - 1, BODY_LINE_MAX, BODY_LINE_MAX + 1,
				       2 * BODY_LINE_MAX};
	struct rig r;

	memset(bytes, '.', sizeof(bytes));
	memcpy(bytes, "a: b\r\n\r\n", 8);
	rig_start(&r, NULL, 0, NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t len = 8 + sizes[i];
		struct ulid id = rig_accept(&r, "", ann, bytes, len);
		const struct nexthop_mail *mail;

		rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
		mail = nexthop_mail(r.hop, i);
		ck_assert_uint_eq(mail->len, 16 + len + 2);
		ck_assert_int_eq(memcmp(mail->data + 16, bytes, len), 0);
		ck_assert_str_eq(mail->data + 16 + len, "\r\n");
	}
	rig_stop(&r);
}
END_TEST

/* Bcc and control fields never leave, whatever else holds. */
START_TEST(bcc_does_not_leave)
{
	static const char bytes[] = "To: a@x\r\nBcc: secret@x\r\n folded@x\r\nX-SMTPAPI: {}\r\n"
				    "\r\nBcc: in the body\r\n";
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept(&r, "", ann, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->data,
			 "Received: here\r\nTo: a@x\r\n\r\nBcc: in the body\r\n");
	rig_stop(&r);
}
END_TEST

/* CRLF everywhere and at the end, as the front door stores it. */
static char *canonical(const char *path, size_t *len_out)
{
	FILE *file = fopen(path, "rb");
	char *bytes = NULL;
	size_t len = 0, room = 0;
	int c, last = 0;

	ck_assert_ptr_nonnull(file);
	while ((c = getc(file)) != EOF) {
		if (len + 4 > room)
			bytes = realloc(bytes, room = room * 2 + 4096);
		if (c == '\n' || last == '\r') {
			if (last != '\r')
				bytes[len++] = '\r';
			if (last == '\r' && c != '\n') {
				bytes[len++] = '\n';
				bytes[len++] = (char)c;
			} else {
				bytes[len++] = '\n';
			}
		} else {
			bytes[len++] = (char)c;
		}
		last = c;
	}
	fclose(file);
	if (len < 2 || bytes[len - 1] != '\n') {
		bytes = realloc(bytes, len + 4);
		if (last != '\r')
			bytes[len++] = '\r';
		bytes[len++] = '\n';
	}
	*len_out = len;
	return bytes;
}

/* What must arrive: the header as outbound_header writes it, then the body as it is. */
static void eml_goes_through(struct rig *r, const char *path)
{
	size_t before = nexthop_mail_count(r->hop), len;
	char *bytes = canonical(path, &len);
	struct span section = span_make(bytes, header_section_length(span_make(bytes, len)));
	const struct nexthop_mail *mail;
	struct outbound_count count;
	struct buf want;
	struct ulid id;

	buf_init(&want, len + section.len + 100);
	ck_assert_int_eq(
		outbound_header(&r->policy, span_of("Received: here\r\n"), section, &want, &count),
		ERR_OK);
	buf_append(&want, bytes + section.len, len - section.len);
	id = rig_accept(r, "", ann, bytes, len);
	rig_await(r, &id, "ann@ok.test", STATE_DELIVERED);
	mail = nexthop_mail(r->hop, before);
	ck_assert_msg(mail->len == want.len && memcmp(mail->data, want.data, want.len) == 0, "%s",
		      path);
	buf_release(&want);
	free(bytes);
}

START_TEST(the_collected_messages_arrive)
{
	const char *corpora = getenv("STAGEPOST_CORPORA");
	char pattern[1024];
	glob_t found;
	struct rig r;

	snprintf(pattern, sizeof(pattern), "%s/eml/*/*.eml", corpora != NULL ? corpora : "");
	if (glob(pattern, 0, NULL, &found) != 0) {
		fprintf(stderr, "# no corpora: the collected messages were not sent\n");
		return;
	}
	rig_start(&r, NULL, 0, NULL);
	for (size_t i = 0; i < found.gl_pathc; i++)
		eml_goes_through(&r, found.gl_pathv[i]);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), found.gl_pathc);
	globfree(&found);
	rig_stop(&r);
}
END_TEST

/* --- libesmtp's defects (issue 2, item 8) ------------------------------------------------ */

/*
 * LIBESMTP 0.2: a next hop that stalls in the middle makes libesmtp alone drop
 * a piece of the message and go on. Here: whole, or not at all.
 */
START_TEST(a_stall_in_mid_data_leaves_no_hole)
{
	static const struct nexthop_step step = {AT_BODY, DO_PAUSE, .bytes = 100000};
	size_t len = 8 * 1024 * 1024;
	char *bytes = malloc(len);
	struct rig r;
	struct ulid id;

	fill_lines(bytes, len);
	rig_start(&r, &step, 1, NULL);
	id = rig_accept(&r, "", ann, bytes, len);
	ck_assert(nexthop_wait_stage(r.hop, AT_BODY, 1, RIG_WAIT_MS));
	usleep(2500000);
	nexthop_go(r.hop);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_uint_eq(nexthop_mail(r.hop, 0)->len, len + 16);
	ck_assert_int_eq(memcmp(nexthop_mail(r.hop, 0)->data + 16, bytes, len), 0);
	rig_stop(&r);
	free(bytes);
}
END_TEST

/* LIBESMTP 0.8: CHUNKING is offered, and DATA is used all the same. S244 */
START_TEST(chunking_is_never_used)
{
	struct rig r;

	rig_start(&r, NULL, 0,
		  "PIPELINING\nCHUNKING\nBINARYMIME\n8BITMIME\nDSN\nXUSR\nSIZE\n"
		  "ENHANCEDSTATUSCODES\nDELIVERBY\nAUTH PLAIN LOGIN\nSTARTTLS\nETRN\nSMTPUTF8");
	goes_through_exactly(&r, "a: b\r\n\r\nx\r\n", 11);
	ck_assert(!nexthop_saw(r.hop, "BDAT"));
	ck_assert(!nexthop_saw(r.hop, "XUSR"));
	ck_assert(!nexthop_saw(r.hop, "AUTH"));
	rig_stop(&r);
}
END_TEST

/* S244 in short: each capability alone gives the same recipients and the same body. */
START_TEST(no_capability_changes_the_message)
{
	static const char *const offers[] = {
		"",	    "PIPELINING",	   "SIZE",	     "8BITMIME", "DSN", "CHUNKING",
		"SMTPUTF8", "ENHANCEDSTATUSCODES", "PIPELINING\nDSN"};

	for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++) {
		struct rig r;

		rig_start(&r, NULL, 0, offers[i]);
		goes_through_exactly(&r, "a: b\r\n\r\n.\r\n\xff\r\n", 14);
		ck_assert_uint_eq(nexthop_mail(r.hop, 0)->rcpt_count, 1);
		rig_stop(&r);
	}
}
END_TEST

/* --- people act while it is being sent ------------------------------------------------------ */

enum action { ACT_CANCEL, ACT_HOLD, ACT_DELETE, ACT_UNLIST };

static void act(struct rig *r, const struct ulid *id, enum action action)
{
	static const char *const nobody[] = {NULL};
	struct act what = {.message = *id, .actor = "test", .now = clock_wall_ms()};
	struct message_delete removal = {.message = *id, .actor = "test", .now = clock_wall_ms()};
	struct err why;

	if (action == ACT_UNLIST) {
		rig_list(r, nobody);
	} else if (action == ACT_DELETE) {
		ck_assert_int_eq(store_wait(r->store, queue_message_delete, &removal.job, &why),
				 ERR_CONFLICT);
	} else {
		what.transition = action == ACT_CANCEL ? TRANSITION_CANCEL : TRANSITION_HOLD;
		ck_assert_int_eq(store_wait(r->store, queue_act, &what.job, &why), ERR_OK);
		ck_assert_uint_eq(what.wished, 1);
	}
}

/* In the middle of DATA: it arrives whole, once, and the true outcome is what is recorded. */
START_TEST(what_people_do_in_mid_data_never_truncates)
{
	static const struct nexthop_step step = {AT_BODY, DO_PAUSE, .bytes = 1000};
	size_t len = 1024 * 1024;
	char *bytes = malloc(len);

	fill_lines(bytes, len);
	for (int action = ACT_CANCEL; action <= ACT_UNLIST; action++) {
		struct rig r;
		struct ulid id;

		rig_start(&r, &step, 1, NULL);
		id = rig_accept(&r, "", ann, bytes, len);
		ck_assert(nexthop_wait_stage(r.hop, AT_BODY, 1, RIG_WAIT_MS));
		usleep(100000);
		act(&r, &id, (enum action)action);
		nexthop_go(r.hop);
		rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
		usleep(100000);
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
		ck_assert_uint_eq(nexthop_mail(r.hop, 0)->len, len + 16);
		rig_stop(&r);
	}
	free(bytes);
}
END_TEST

START_TEST(an_unanswered_dot_is_held_the_third_time)
{
	static const struct nexthop_step step = {AT_DOT, DO_DROP};
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 10;
	rig_deliver(&r);
	rig_expect(&r, "ann@ok.test", STATE_HELD, "held");
	ck_assert_int_eq(nexthop_reached(r.hop, AT_DOT), 3);
	rig_stop(&r);
}
END_TEST

/* --- routes, stopping
 * --------------------------------------------------------------------- */

START_TEST(no_route_is_said)
{
	static const char *const domains[] = {"other.test"}, *const all[] = {"*"};
	struct delivery_options other, next;
	const struct recipient_view *view;
	struct route_options route;
	struct rig r;
	struct ulid id;

	rig_open(&r, NULL, 0, NULL);
	r.route.domains = domains;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	for (int i = 0; i < RIG_WAIT_MS / 10; i++) {
		view = rig_recipient(&r, &id, "ann@ok.test");
		if (strcmp(view->reason, "no route for ok.test") == 0)
			break;
		usleep(10000);
	}
	ck_assert_str_eq(view->reason, "no route for ok.test");
	ck_assert_int_eq(view->state, STATE_QUEUED);
	ck_assert_int_eq(view->attempts, 0);
	ck_assert_int_eq(view->next_attempt_at, 0);
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	/* Options that bring one take it along, those that do not leave it. */
	other = r.options;
	deliver_reload(r.deliver, &other, NULL, NULL);
	usleep(200000);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->state, STATE_QUEUED);
	route = r.route;
	route.domains = all;
	next = r.options;
	next.routes = &route;
	deliver_reload(r.deliver, &next, NULL, NULL);
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	rig_stop(&r);
}
END_TEST

START_TEST(our_own_listener_is_refused)
{
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.own = true;
	rig_deliver(&r);
	rig_expect(&r, "ann@ok.test", STATE_DEFERRED, "loop");
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	rig_stop(&r);
}
END_TEST

START_TEST(capture_only_connects_to_nobody)
{
	struct rig r;
	struct ulid id;

	rig_open(&r, NULL, 0, NULL);
	r.options.capture_only = true;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	usleep(300000);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->state, STATE_QUEUED);
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	rig_stop(&r);
}
END_TEST

/* Grace over: the connection closes without a dot, the recipient is due again, nothing was sent. */
START_TEST(stopping_in_mid_data_gives_it_back)
{
	static const struct nexthop_step step = {AT_BODY, DO_PAUSE, .bytes = 1000};
	size_t len = 16 * 1024 * 1024; /* more than the sockets hold */
	char *bytes = malloc(len);
	struct rig r;
	struct ulid id;

	fill_lines(bytes, len);
	rig_start(&r, &step, 1, NULL);
	id = rig_accept(&r, "", ann, bytes, len);
	ck_assert(nexthop_wait_stage(r.hop, AT_BODY, 1, RIG_WAIT_MS));
	rig_stop_delivery(&r, 200);
	rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED);
	nexthop_go(r.hop);
	usleep(200000);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_stop(&r);
	free(bytes);
}
END_TEST

/* A stranger's write lock keeps the outcome out: stopping waits for its grace, not for ever. */
START_TEST(stopping_does_not_wait_for_a_locked_store)
{
	static const struct nexthop_step step = {AT_DOT, DO_PAUSE};
	char path[128];
	sqlite3 *stranger;
	struct rig r;
	int64_t began;

	rig_start(&r, &step, 1, NULL);
	rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_DOT, 1, RIG_WAIT_MS));
	snprintf(path, sizeof(path), "%s/stagepost.db", r.folder);
	ck_assert_int_eq(sqlite3_open(path, &stranger), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	nexthop_go(r.hop);
	began = clock_mono_ms();
	rig_stop_delivery(&r, 200);
	/* The store's own patience with a lock is 5 s. */
	ck_assert_int_lt(clock_mono_ms() - began, 15000);
	ck_assert_int_eq(sqlite3_close(stranger), SQLITE_OK);
	rig_stop(&r);
}
END_TEST

/* P6 between routes: a tarpit keeps its own mail waiting, not that of the others. */
START_TEST(a_slow_route_does_not_hold_up_the_others)
{
	static const struct nexthop_step step = {AT_RCPT, DO_PAUSE};
	static const char *const domains[] = {"ok.test", "fast.test", NULL};
	static const char *const fast_domains[] = {"fast.test"};
	const char *many[101] = {NULL};
	char names[100][24];
	struct route_options routes[2];
	struct nexthop *fast = nexthop_start(NULL, 0, NULL);
	const char *fast_host = nexthop_address(fast);
	struct queue_stats stats = {0};
	struct ulid id;
	struct rig r;

	for (size_t i = 0; i < 100; i++) {
		snprintf(names[i], sizeof(names[i]), "u%zu@ok.test", i);
		many[i] = names[i];
	}
	rig_open(&r, &step, 1, NULL);
	rig_list(&r, domains);
	r.route.max_connections = 1;
	r.route.command_timeout_ms = 60000;
	routes[0] = routes[1] = r.route;
	routes[0].name = "fast";
	routes[0].domains = fast_domains;
	routes[0].hosts = &fast_host;
	r.options.routes = routes;
	r.options.route_count = 2;
	for (size_t i = 0; i < 5; i++)
		rig_accept(&r, "", many, "a: b\r\n\r\n", 8);
	rig_deliver(&r);
	ck_assert(nexthop_wait_stage(r.hop, AT_RCPT, 1, RIG_WAIT_MS));
	for (int i = 0; i < 500 && stats.by_state[STATE_DELIVERING] < 200; i++) {
		usleep(10000);
		store_stats(r.store, &stats);
	}
	ck_assert_int_ge(stats.by_state[STATE_DELIVERING], 200);
	id = rig_accept_plain(&r, "ann@fast.test");
	rig_await(&r, &id, "ann@fast.test", STATE_DELIVERED);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	nexthop_go(r.hop);
	rig_stop(&r);
	nexthop_stop(&fast);
}
END_TEST

/* P3: what can't be written down is not sent, or all of it would be sent again after the restart.
 */
START_TEST(a_failed_store_ends_delivery)
{
	static const struct nexthop_step step = {AT_RCPT, DO_PAUSE};
	struct pause change = {.route = "other", .paused = true, .actor = "test"};
	char path[96];
	struct err why;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.route.max_connections = 1;
	rig_deliver(&r);
	for (size_t i = 0; i < 5; i++)
		rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_RCPT, 1, RIG_WAIT_MS));
	snprintf(path, sizeof(path), "%s/stagepost.db", r.folder);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(store_wait(r.store, queue_pause, &change.job, &why), ERR_FATAL);
	usleep(1200000); /* the scheduler looks at least once a second */
	nexthop_go(r.hop);
	usleep(300000);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_stop(&r);
}
END_TEST

static void count_one(void *ctx)
{
	__atomic_add_fetch((int *)ctx, 1, __ATOMIC_SEQ_CST);
}

START_TEST(a_reload_takes_over_for_the_next_message)
{
	struct delivery_options next;
	struct route_options route;
	struct rig r;
	struct ulid id;
	int ended = 0;

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	route = r.route;
	route.name = "renamed";
	next = r.options;
	next.routes = &route;
	deliver_reload(r.deliver, &next, count_one, &ended);
	for (int i = 0; i < 1000 && __atomic_load_n(&ended, __ATOMIC_SEQ_CST) == 0; i++)
		usleep(5000);
	ck_assert_int_eq(__atomic_load_n(&ended, __ATOMIC_SEQ_CST), 1);
	memset(&r.route, 0, sizeof(r.route));
	id = rig_accept_plain(&r, "ann@ok.test");
	ck_assert_str_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->route, "renamed");
	rig_stop(&r);
}
END_TEST

START_TEST(too_old_mail_expires)
{
	struct rig r;
	struct ulid id;
	static const struct nexthop_step step = {AT_RCPT, DO_REPLY, "450 never\r\n"};

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 50;
	r.options.expire_after_ms = 400;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &id, "ann@ok.test", STATE_EXPIRED);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/deliver", more_than_a_354_in_one_packet, one_plain_message_goes_through,
	  the_last_reply_decides, breaking_in_mid_data_is_no_doubt,
	  each_recipient_has_its_own_outcome, an_entry_removed_stops_queued_mail,
	  an_entry_removed_between_attempts_stops_the_second,
	  what_is_not_one_plain_address_is_never_offered, the_sender_passes_the_same_filter,
	  every_byte_arrives, sizes_around_every_border_arrive, twenty_five_megabytes_arrive,
	  a_missing_last_line_end_is_added, a_missing_line_end_at_a_cut_is_added,
	  bcc_does_not_leave, the_collected_messages_arrive, a_stall_in_mid_data_leaves_no_hole,
	  chunking_is_never_used, no_capability_changes_the_message,
	  what_people_do_in_mid_data_never_truncates, an_unanswered_dot_is_held_the_third_time,
	  no_route_is_said, our_own_listener_is_refused, capture_only_connects_to_nobody,
	  stopping_in_mid_data_gives_it_back, stopping_does_not_wait_for_a_locked_store,
	  a_slow_route_does_not_hold_up_the_others, a_failed_store_ends_delivery,
	  a_reload_takes_over_for_the_next_message, too_old_mail_expires)
