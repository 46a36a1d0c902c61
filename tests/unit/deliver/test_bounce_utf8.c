/* tests relay/deliver/bounce.c: reports with addresses and replies in UTF-8 (RFC 6533) */
#include "relay/deliver/bounce.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/deliver/bounce_sample.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* RFC 6533 */
START_TEST(utf8_has_a_form_of_its_own)
{
	static const char text[] = "Subject: gr\xc3\xbc\xc3\x9f\x65\r\n\r\nbody\r\n";
	struct bounce bounce = bounce_sample();
	struct bounce_recipient r = bounce_sample_bob;
	struct bounce_facts facts;

	bounce.recipients = &r;
	bounce.smtputf8 = true;
	bounce_sample_original(&bounce, text, sizeof(text) - 1, strlen("body\r\n"));
	r.address = "gr\xc3\xbc\xc3\x9f\x65@x.test";
	r.orcpt = "utf-8;gr\xc3\xbc@x.test";
	r.reply_text = "unbekannt: gr\xc3\xbc\xc3\x9f\x65";
	bounce_sample_expect(
		&bounce,
		(const char *const[]){
			"Content-Type: message/global-delivery-status\r\n"
			"Content-Transfer-Encoding: 8bit\r\n\r\n",
			"\r\nFinal-Recipient: utf-8; gr\xc3\xbc\xc3\x9f\x65@x.test\r\n",
			"\r\nOriginal-Recipient: utf-8;gr\xc3\xbc@x.test\r\n",
			"550 5.1.1 unbekannt: gr\xc3\xbc\xc3\x9f\x65\r\n",
			"text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
			"Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n",
			"boundary=", "\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", NULL},
		(const char *const[]){"message/delivery-status", "message/rfc822", NULL});
	mem_free(bounce_sample_text(&bounce, &facts));
	ck_assert(facts.has_8bit && !facts.smtputf8);
	bounce.ret = "HDRS";
	bounce_sample_expect(&bounce, (const char *const[]){"message/global-headers", NULL},
			     (const char *const[]){"rfc822-headers", NULL});
	bounce.sender = "\xc3\xa4pp@shop.test";
	bounce_sample_expect(&bounce,
			     (const char *const[]){"\r\nTo: <\xc3\xa4pp@shop.test>\r\n", NULL},
			     (const char *const[]){NULL});
	mem_free(bounce_sample_text(&bounce, &facts));
	ck_assert(facts.has_8bit && facts.smtputf8);
	/* A sender in UTF-8 alone needs it, too. */
	bounce = bounce_sample();
	bounce.sender = "\xc3\xa4pp@shop.test";
	bounce_sample_expect(&bounce, (const char *const[]){"message/global\r\n", NULL},
			     (const char *const[]){"message/rfc822", NULL});
}
END_TEST

/* RFC 6533 3: programs that know nothing of UTF-8 get ASCII, and it says the same. */
START_TEST(utf8_addresses_have_an_ascii_form)
{
	static const struct {
		const char *address;
		const char *there;
	} rows[] = {
		{"gr\xc3\xbc\xc3\x9f\x65@x.test", "utf-8; gr\\x{FC}\\x{DF}e@x.test\r\n"},
		{"\xe2\x82\xac@x.test", "utf-8; \\x{20AC}@x.test\r\n"},
		{"\xf0\x9f\x93\xac+a=b\\c@x.test",
		 "utf-8; \\x{1F4EC}\\x{2B}a\\x{3D}b\\x{5C}c@x.test\r\n"},
		{"\"\xc3\xbc\r\n x\"@x.test",
		 "utf-8; \"\\x{FC}\\x{0D}\\x{0A}\\x{20}x\"@x.test\r\n"},
		{"bob+tag@x.test", "rfc822; bob+tag@x.test\r\n"},
		{"\xff@x.test", "utf-8; ?@x.test\r\n"},
	};
	struct bounce bounce = bounce_sample();
	struct bounce_facts facts;

	bounce.smtputf8 = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct bounce_recipient r = bounce_sample_bob;

		bounce.recipients = &r;
		r.address = rows[i].address;
		r.orcpt = "utf-8;gr\xc3\xbc\\x{2B}@x.test";
		bounce_sample_expect(
			&bounce,
			(const char *const[]){
				rows[i].there, "message/delivery-status", "message/rfc822\r\n\r\n",
				"charset=us-ascii",
				"Original-Recipient: utf-8;gr\\x{FC}\\x{2B}@x.test\r\n", NULL},
			(const char *const[]){"8bit", "\xc3", "global", NULL});
		mem_free(bounce_sample_text(&bounce, &facts));
		ck_assert(!facts.has_8bit && !facts.smtputf8);
	}
}
END_TEST

UNIT_MAIN("deliver/bounce_utf8", utf8_has_a_form_of_its_own, utf8_addresses_have_an_ascii_form)
