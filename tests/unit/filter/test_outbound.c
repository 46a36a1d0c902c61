/* tests relay/filter/outbound.c (CASES S177, S191, S192; DESIGN 5) */
#include "relay/filter/outbound.h"

#include <string.h>

#include "base/mem.h"
#include "relay/filter/whitelist.h"
#include "tests/unit/unit.h"

#define RECEIVED "Received: from a by b; now\r\n"

static struct policy_options default_options(void)
{
	struct policy_options options = {.control_headers = policy_control_headers};

	while (policy_control_headers[options.control_header_count] != NULL)
		options.control_header_count++;
	return options;
}

#define TEXT(literal)                                                                              \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

static const struct {
	struct span section;
	struct span want;
	size_t bcc;
	size_t control;
} rows[] = {
	{TEXT(""), TEXT(""), 0, 0},
	{TEXT("\r\n"), TEXT("\r\n"), 0, 0},
	{TEXT("To: a@b\r\n\r\n"), TEXT("To: a@b\r\n\r\n"), 0, 0},
	{TEXT("To: a@b\r\nBcc: c@d\r\nCc: e@f\r\n\r\n"), TEXT("To: a@b\r\nCc: e@f\r\n\r\n"), 1, 0},
	{TEXT("BCC:c@d\r\nTo: x\r\n"), TEXT("To: x\r\n"), 1, 0},
	{TEXT("Bcc: a@b,\r\n c@d,\r\n\te@f\r\nTo: x\r\n\r\n"), TEXT("To: x\r\n\r\n"), 1, 0},
	{TEXT("Bcc: a@b\r\n \r\n c@d\r\nTo: x\r\n\r\n"), TEXT("To: x\r\n\r\n"), 1, 0},
	{TEXT("Bcc: a\r\nBcc: b\r\nResent-Bcc: c\r\n\r\n"), TEXT("\r\n"), 3, 0},
	/* without a last line end */
	{TEXT("To: x\r\nBcc: a@b"), TEXT("To: x\r\n"), 1, 0},
	{TEXT("Bcc:"), TEXT(""), 1, 0},
	{TEXT("Bcc"), TEXT("Bcc"), 0, 0},
	/* obsolete and broken names (RFC 5322 4.5) */
	{TEXT("Bcc : a@b\r\n\r\n"), TEXT("\r\n"), 1, 0},
	{TEXT("Bcc \t : a@b\r\n\r\n"), TEXT("\r\n"), 1, 0},
	{TEXT("Bcc\r\n : a@b\r\n\r\n"), TEXT("\r\n"), 1, 0},
	{TEXT("B\0cc: a@b\r\n\r\n"), TEXT("\r\n"), 1, 0},
	{TEXT("\xef\xbb\xbf"
	      "Bcc: a@b\r\n\r\n"),
	 TEXT("\r\n"), 1, 0},
	{TEXT("Bcc\x0b: a@b\r\n\r\n"), TEXT("\r\n"), 1, 0},
	{TEXT("Resent-Bcc : a@b\r\n\r\n"), TEXT("\r\n"), 1, 0},
	/* behind something broken */
	{TEXT("no colon here\r\nBcc: a@b\r\n\r\n"), TEXT("no colon here\r\n\r\n"), 1, 0},
	{TEXT(": empty name\r\nBcc: a@b\r\n\r\n"), TEXT(": empty name\r\n\r\n"), 1, 0},
	{TEXT(" fold first\r\nBcc: a@b\r\n\r\n"), TEXT(" fold first\r\n\r\n"), 1, 0},
	{TEXT("From x Mon\r\nBcc: a@b\r\n\r\n"), TEXT("From x Mon\r\n\r\n"), 1, 0},
	{TEXT("\xff\xfe: y\r\nBcc: a@b\r\n\r\n"), TEXT("\xff\xfe: y\r\n\r\n"), 1, 0},
	/* line ends that should not be in the store */
	{TEXT("To: x\nBcc: a@b\nCc: y\n\n"), TEXT("To: x\nCc: y\n\n"), 1, 0},
	{TEXT("To: x\rBcc: a@b\r\n\r\n"), TEXT("To: x\r\r\n"), 1, 0},
	{TEXT("To: x\n\nBcc: body\n"), TEXT("To: x\n\nBcc: body\n"), 0, 0},
	{TEXT("To: x\r"), TEXT("To: x\r"), 0, 0},
	/* not these */
	{TEXT("X-Bcc: a\r\nBccx: b\r\nSubject: Bcc: c\r\n Bcc: d\r\n\r\nBcc: body\r\n"),
	 TEXT("X-Bcc: a\r\nBccx: b\r\nSubject: Bcc: c\r\n Bcc: d\r\n\r\nBcc: body\r\n"), 0, 0},
	{TEXT("To: =?x?q?\0\xff?=\r\n\tfolded \r\nDKIM-Signature: a=b;\r\n  c=d\r\n\r\n"),
	 TEXT("To: =?x?q?\0\xff?=\r\n\tfolded \r\nDKIM-Signature: a=b;\r\n  c=d\r\n\r\n"), 0, 0},
	/* provider control fields (PEERS 7.3) */
	{TEXT("X-SMTPAPI: {\"to\": [\"a@b\"]}\r\nTo: x\r\n\r\n"), TEXT("To: x\r\n\r\n"), 0, 1},
	{TEXT("x-mc-bccaddress: a@b\r\nX-MC-Tags: t\r\nX-MCA: kept\r\n\r\n"),
	 TEXT("X-MCA: kept\r\n\r\n"), 0, 2},
	{TEXT("X-MSYS-API : {\r\n \"cc\": []}\r\nX-SES-CONFIGURATION-SET: kept\r\n\r\n"),
	 TEXT("X-SES-CONFIGURATION-SET: kept\r\n\r\n"), 0, 1},
};

START_TEST(removal)
{
	struct policy_options options = default_options();
	const struct outbound_case at = {.policy = &options};
	struct outbound_count count;
	struct buf out;

	buf_init(&out, 4096);
	ck_assert_int_eq(outbound_header(&at, span_of(RECEIVED), rows[_i].section, &out, &count),
			 ERR_OK);
	ck_assert(span_equal(span_first(buf_span(&out), strlen(RECEIVED)), span_of(RECEIVED)));
	ck_assert_msg(span_equal(span_skip(buf_span(&out), strlen(RECEIVED)), rows[_i].want),
		      "row %d gives %.*s", _i, (int)out.len, out.data);
	ck_assert_uint_eq(count.bcc, rows[_i].bcc);
	ck_assert_uint_eq(count.control, rows[_i].control);
	buf_release(&out);
}
END_TEST

/* Past HEADER_FIELDS_MAX and HEADER_BYTES_MAX of relay/mail/header.h removal goes on. */
START_TEST(no_limit_stops_it)
{
	struct policy_options options = default_options();
	const struct outbound_case at = {.policy = &options};
	struct outbound_count count;
	struct buf section;
	struct buf out;

	buf_init(&section, 4 << 20);
	buf_init(&out, 4 << 20);
	for (int i = 0; i < 20000; i++)
		ck_assert_int_eq(buf_printf(&section, "X-%d: 0123456789012345\r\n", i), ERR_OK);
	buf_append_text(&section, "Bcc: a@b\r\n\r\n");
	ck_assert_int_eq(outbound_header(&at, span_make("", 0), buf_span(&section), &out, &count),
			 ERR_OK);
	ck_assert_uint_eq(count.bcc, 1);
	ck_assert_uint_eq(out.len, section.len - strlen("Bcc: a@b\r\n"));
	buf_release(&section);
	buf_release(&out);
}
END_TEST

START_TEST(ceiling)
{
	struct policy_options options = default_options();
	const struct outbound_case at = {.policy = &options};
	struct outbound_count count = {.bcc = 7};
	struct buf out;

	buf_init(&out, 20);
	buf_append_text(&out, "before");
	ck_assert_int_eq(outbound_header(&at, span_of("R: 1\r\n"),
					 span_of("Bcc: x\r\nTo: 12345\r\n\r\n"), &out, &count),
			 ERR_LIMIT);
	ck_assert(span_is(buf_span(&out), "before"));
	ck_assert_uint_eq(count.bcc, 7);
	buf_release(&out);
}
END_TEST

/* Not even what stands in front fits. */
START_TEST(no_room_for_the_front)
{
	struct policy_options options = default_options();
	const struct outbound_case at = {.policy = &options};
	struct outbound_count count = {.bcc = 7};
	struct buf out;

	buf_init(&out, 8);
	ck_assert_int_eq(
		outbound_header(&at, span_of("R: 12345\r\n"), span_of("A: 1\r\n"), &out, &count),
		ERR_LIMIT);
	ck_assert_int_eq(outbound_header(&at, span_of("R: 12345\r\n"), span_of(""), &out, &count),
			 ERR_LIMIT);
	ck_assert_uint_eq(out.len, 0);
	ck_assert_uint_eq(count.bcc, 7);
	buf_release(&out);
}
END_TEST

/* A section is a part of something: behind its end nothing is read. */
START_TEST(nothing_behind_it_is_read)
{
	static const char text[] = "To: x\r\n Bcc: y\r\n";
	struct policy_options options = default_options();
	const struct outbound_case at = {.policy = &options};
	struct outbound_count count;
	struct buf out;

	buf_init(&out, 100);
	for (size_t len = 1; len <= strlen("To: x\r\n"); len++) {
		buf_clear(&out);
		ck_assert_int_eq(
			outbound_header(&at, span_of(""), span_make(text, len), &out, &count),
			ERR_OK);
		ck_assert(span_equal(buf_span(&out), span_make(text, len)));
	}
	buf_release(&out);
}
END_TEST

/* What has no name has none that a list could name, not even by `*`. */
START_TEST(all_names)
{
	static const char *const names[] = {"*"};
	struct policy_options options = {.control_headers = names, .control_header_count = 1};
	const struct outbound_case at = {.policy = &options};
	struct outbound_count count;
	struct buf out;

	buf_init(&out, 4096);
	ck_assert_int_eq(outbound_header(&at, span_of("R: 1\r\n"),
					 span_of("no colon\r\nA: 1\r\n: x\r\nBc: 2\r\n"), &out,
					 &count),
			 ERR_OK);
	ck_assert(span_is(buf_span(&out), "R: 1\r\nno colon\r\n: x\r\n"));
	ck_assert_uint_eq(count.control, 2);
	buf_release(&out);
}
END_TEST

/* What we write in front is ours: it is not looked at, whatever else is renamed. */
START_TEST(the_front_stays)
{
	struct policy_options options = {.header_policy = HEADER_POLICY_STRIP};
	struct whitelist *list = whitelist_new();
	const struct outbound_case at = {
		.policy = &options, .list = whitelist_acquire(list), .header_parsed = true};
	const struct whitelist_snapshot *snapshot = at.list;
	struct outbound_count count;
	struct buf out;

	buf_init(&out, 4096);
	ck_assert_int_eq(outbound_header(&at, span_of("DKIM-Signature: h=to; s=ours\r\n"),
					 span_of("DKIM-Signature: h=to\r\nTo: x@evil.example\r\n"),
					 &out, &count),
			 ERR_OK);
	ck_assert_str_eq(out.data, "DKIM-Signature: h=to; s=ours\r\n"
				   "X-Stagepost-Original-DKIM-Signature: h=to\r\n");
	ck_assert_uint_eq(count.signatures, 1);
	buf_release(&out);
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* A list of one's own replaces the control fields; Bcc goes whatever it says. */
START_TEST(own_list)
{
	static const char *const names[] = {"x-secret-*"};
	struct policy_options options = {.control_headers = names, .control_header_count = 1};
	const struct outbound_case at = {.policy = &options};
	struct outbound_count count;
	struct buf out;

	buf_init(&out, 4096);
	ck_assert_int_eq(outbound_header(&at, span_make("", 0),
					 span_of("X-Secret-A: 1\r\nX-SMTPAPI: 2\r\nBcc: 3\r\n"),
					 &out, &count),
			 ERR_OK);
	ck_assert(span_is(buf_span(&out), "X-SMTPAPI: 2\r\n"));
	ck_assert_uint_eq(count.control, 1);
	ck_assert_uint_eq(count.bcc, 1);
	buf_release(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("filter/outbound");
	TCase *tcase = tcase_create("filter/outbound");
	SRunner *runner;

	tcase_add_loop_test(tcase, removal, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(tcase, no_limit_stops_it);
	tcase_add_test(tcase, ceiling);
	tcase_add_test(tcase, own_list);
	tcase_add_test(tcase, no_room_for_the_front);
	tcase_add_test(tcase, nothing_behind_it_is_read);
	tcase_add_test(tcase, all_names);
	tcase_add_test(tcase, the_front_stays);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	srunner_free(runner);
	return EXIT_SUCCESS;
}
