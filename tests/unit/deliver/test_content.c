/* tests relay/deliver/: every octet of a message arrives, past what libesmtp would do to it (P5) */
#include <config.h> /* usleep */

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/deliver/body.h"
#include "relay/filter/outbound.h"
#include "relay/mail/header.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

static void goes_through_exactly(struct rig *r, const char *bytes, size_t len)
{
	static const char received[] = "Received: here\r\n";
	size_t before = nexthop_mail_count(r->hop);
	const struct nexthop_mail *mail;
	struct ulid id = rig_accept_bytes(r, bytes, len);
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
		"To: a@ok.test\r\nTo: b@ok.test\r\nCc: c@ok.test\r\nCc: d@ok.test\r\nSubject: "
		"s\r\nSubject: s\r\n"
		"Reply-To: a@ok.test\r\nReply-To: b@ok.test\r\nDate: x\r\nDate: y\r\nFrom: "
		"a\r\nFrom: b\r\n"
		"Message-Id: <1@ok.test>\r\nMessage-Id: <2@ok.test>\r\nReturn-Path: <a@ok.test>\r\n"
		"Original-Recipient: rfc822;a@ok.test\r\nOriginal-Foo: 1\r\nResent-Reply-To: "
		"q@ok.test\r\n"
		"Disposition-Notification-To: a@ok.test\r\nDisposition-Notification-To: "
		"b@ok.test\r\n"
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
		struct ulid id = rig_accept_bytes(&r, texts[i], strlen(texts[i]));

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
		struct ulid id = rig_accept_bytes(&r, bytes, len);
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
	static const char bytes[] =
		"To: a@ok.test\r\nBcc: secret@x\r\n folded@x\r\nX-SMTPAPI: {}\r\n"
		"\r\nBcc: in the body\r\n";
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, NULL);
	id = rig_accept_bytes(&r, bytes, sizeof(bytes) - 1);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_str_eq(nexthop_mail(r.hop, 0)->data,
			 "Received: here\r\nTo: a@ok.test\r\n\r\nBcc: in the body\r\n");
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
	struct outbound_case at = {.policy = &r->policy,
				   .list = whitelist_acquire(r->list),
				   .now = clock_steady_wall_ms(),
				   .header_parsed = true};
	struct outbound_count count;
	struct buf want;
	struct ulid id;

	buf_init(&want, len + OUTBOUND_HEADER_MAX);
	ck_assert_int_eq(
		outbound_header(&at, span_of("Received: here\r\n"), section, &want, &count),
		ERR_OK);
	whitelist_release(&at.list);
	buf_append(&want, bytes + section.len, len - section.len);
	id = rig_accept_bytes(r, bytes, len);
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

/* --- libesmtp's defects ----------------------------------------------------------------- */

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

	rig_fill_lines(bytes, len);
	id = rig_start_in_body(&r, &step, bytes, len);
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

UNIT_MAIN("deliver/content", every_byte_arrives, sizes_around_every_border_arrive,
	  twenty_five_megabytes_arrive, a_missing_last_line_end_is_added,
	  a_missing_line_end_at_a_cut_is_added, bcc_does_not_leave, the_collected_messages_arrive,
	  a_stall_in_mid_data_leaves_no_hole, chunking_is_never_used,
	  no_capability_changes_the_message)
