/* tests relay/deliver/bounce.c: what of the original message goes back with the report */
#include "relay/deliver/bounce.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/deliver/bounce_sample.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In a report as in any copy that leaves (DESIGN 5), whole or header only. */
START_TEST(hidden_recipients_stay_hidden)
{
	static const char text[] = "Bcc: real@evil.example,\r\n more@evil.example\r\n"
				   "To: bob@example.com\r\nX-Hidden: x@evil.example\r\n"
				   "resent-bcc : y@evil.example\r\n\r\nBcc: in the body\r\n";
	static const char *const shown[] = {"\r\n\r\nTo: bob@example.com\r\n", NULL};
	static const char *const whole[] = {"\r\n\r\nTo: bob@example.com\r\n\r\n"
					    "Bcc: in the body\r\n",
					    NULL};
	static const char *const absent[] = {"evil.example", "X-Hidden", NULL};
	struct bounce bounce = bounce_sample();

	bounce_sample_original(&bounce, text, sizeof(text) - 1, strlen("Bcc: in the body\r\n"));
	bounce_sample_expect(&bounce, whole, absent);
	bounce.ret = "HDRS";
	bounce_sample_expect(&bounce, shown, absent);
}
END_TEST

START_TEST(eight_bit_bytes_of_the_original)
{
	static const char text[] = "Subject: \xff\r\n\r\n\xe4\r\n";
	struct bounce bounce = bounce_sample();
	struct bounce_facts facts;

	bounce_sample_original(&bounce, text, sizeof(text) - 1, strlen("\xe4\r\n"));
	bounce_sample_expect(
		&bounce,
		(const char *const[]){"Content-Type: message/rfc822\r\n"
				      "Content-Transfer-Encoding: 8bit\r\n\r\nSubject: \xff\r\n",
				      "charset=us-ascii\r\n\r\n", NULL},
		(const char *const[]){"global", NULL});
	mem_free(bounce_sample_text(&bounce, &facts));
	ck_assert(facts.has_8bit && !facts.smtputf8);
}
END_TEST

static char *filled(size_t len, size_t line)
{
	char *text = mem_zalloc(len + 1);

	for (size_t i = 0; i < len; i++)
		text[i] = i % line == line - 2 ? '\r' : i % line == line - 1 ? '\n' : 'a';
	memcpy(text, "a: b\r\n\r\n", 8);
	return text;
}

/* Large, with long lines or with NUL: the header alone goes back, and never too much of it. */
START_TEST(only_what_can_stand_in_a_message_goes_back)
{
	static const struct {
		size_t len;
		size_t line;
		int64_t header_size;
		bool nul;
		const char *type;
	} rows[] = {
		{BOUNCE_ORIGINAL_MAX, 64, 8, false, "message/rfc822"},
		{BOUNCE_ORIGINAL_MAX + 64, 64, 8, false, "text/rfc822-headers"},
		{8000, 1000, 8, false, "message/rfc822"},
		{8000, 2000, 8, false, "text/rfc822-headers"},
		{640, 64, 8, true, "text/rfc822-headers"},
		{200000, 64, 199000, false, "text/rfc822-headers"},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text = filled(rows[i].len, rows[i].line);
		struct bounce bounce = bounce_sample();
		struct bounce_facts facts;
		char type[64];
		char *report;

		if (rows[i].nul)
			text[100] = '\0';
		bounce.head = span_make(text, rows[i].len);
		bounce.size = (int64_t)rows[i].len;
		bounce.header_size = rows[i].header_size;
		report = bounce_sample_text(&bounce, &facts);
		snprintf(type, sizeof(type), "Content-Type: %s\r\n\r\na: b\r\n", rows[i].type);
		ck_assert_msg(strstr(report, type) != NULL, "row %zu", i);
		ck_assert_uint_lt(strlen(report), BOUNCE_ORIGINAL_MAX + 2500);
		mem_free(report);
		mem_free(text);
	}
}
END_TEST

/* An original with nothing that could go back, and one that is empty. */
START_TEST(without_an_original)
{
	struct bounce bounce = bounce_sample();

	bounce.head = span_make("\0\r\n", 3);
	bounce.size = bounce.header_size = 3;
	bounce_sample_expect(&bounce, (const char *const[]){"message/delivery-status", NULL},
			     (const char *const[]){"rfc822-headers", "message/rfc822", NULL});
	bounce.head = span_make(NULL, 0);
	bounce.size = bounce.header_size = 0;
	bounce_sample_expect(&bounce, (const char *const[]){"message/delivery-status", NULL},
			     (const char *const[]){"rfc822-headers", "message/rfc822", NULL});
}
END_TEST

/* 100 of the longest. */
START_TEST(the_ceiling_is_high_enough)
{
	static struct bounce_recipient many[100];
	char local[65], address[330], text[260], reason[400], orcpt[500];
	struct bounce bounce = bounce_sample();
	struct bounce_facts facts;
	char *large = filled(BOUNCE_ORIGINAL_MAX, 64);

	memset(local, 'l', 64);
	local[64] = '\0';
	memset(text, 't', 255);
	text[255] = '\0';
	memset(reason, 'r', 399);
	reason[399] = '\0';
	memset(orcpt, 'o', 499);
	memcpy(orcpt, "rfc822;", 7);
	orcpt[499] = '\0';
	snprintf(address, sizeof(address), "%s@%.253s", local, reason);
	for (size_t i = 0; i < 100; i++)
		many[i] = (struct bounce_recipient){.action = BOUNCE_FAILED,
						    .address = address,
						    .orcpt = orcpt,
						    .reply_code = 550,
						    .reply_enhanced = "5.123.123",
						    .reply_text = text,
						    .remote = address,
						    .reason = reason};
	bounce.recipients = many;
	bounce.recipient_count = 100;
	bounce.head = span_make(large, BOUNCE_ORIGINAL_MAX);
	bounce.size = BOUNCE_ORIGINAL_MAX;
	bounce.header_size = 8;
	mem_free(bounce_sample_text(&bounce, &facts));
	mem_free(large);
}
END_TEST

UNIT_MAIN("deliver/bounce_original", hidden_recipients_stay_hidden, eight_bit_bytes_of_the_original,
	  only_what_can_stand_in_a_message_goes_back, without_an_original,
	  the_ceiling_is_high_enough)
