/* tests relay/filter/listing_mailpit.c, listing_regex.c; tests/flow/test_listing.py holds what is
 * translated against another engine of regular expressions */
#include "tests/unit/filter/listing.h"

static const struct {
	const char *text;
	const char *want;
} good[] = {
	{"allowed-recipients: \"@x[.]test$\"", "x.test"},
	{"\n  \n# only this\n", ""},
	/* PEERS 3: as their documentation has them, dots escaped and ends closed */
	{"@example\\.com$", "example.com"},
	{"(user1@host1\\.com|@host2\\.com)$", "*user1@host1.com;host2.com"},
	{"^(.*)@localhost\\.localdomain$", "localhost.localdomain"},
	{"^internal-.*@example\\.(com|fr)$", "internal-*@example.com;internal-*@example.fr"},
	{"^alice@example\\.com$", "alice@example.com"},
	{"\\Aalice@example\\.com\\z", "alice@example.com"},
	{"^(?:a|b)(?:1|2)@x\\.test$", "a1@x.test;a2@x.test;b1@x.test;b2@x.test"},
	{"^a@x\\.test$|^b@x\\.test$", "a@x.test;b@x.test"},
	{"^(a@x\\.test|b@x\\.test)$", "a@x.test;b@x.test"},
	{"^a(|b|c)@x\\.test$", "a@x.test;ab@x.test;ac@x.test"},
	{"^[^@]+@x\\.test$", "x.test"},
	{"^.+@x[.]test$", "x.test"},
	{".*?@x\\.test$", "x.test"},
	{"@.*\\.x\\.test$", ".x.test"},
	{"@[^@]+\\.x\\.test$", ".x.test"},
	{"\\.x\\.test$", ".x.test"},
	{"^.+\\.x\\.test$", ".x.test"},
	{"^qa-.*@.+\\.x\\.test$", "qa-*@.x.test"},
	{"\\+tag@x\\.test$", "*+tag@x.test"},
	{"^a\\+b@x-y\\.test$", "a+b@x-y.test"},
	{"^root@localhost$", "root@localhost"},
	{"(?i)^Alice@Example\\.COM$", "alice@example.com"},
	{"^.*$", "*"},
	{".+", "*"},
	{"a@x\\.test$|^", "*a@x.test;*"},
	{"allowed-recipients: '@x\\.test$'\n# no more\nblocked-recipients: ^bob@x\\.test$\n",
	 "x.test;!bob@x.test"},
	{"  smtp-relay-matching: \"^it's@x\\\\.test$\"", "it's@x.test"},
	{"MP_SMTP_RELAY_MATCHING='^it''s@x\\.test$'", "it's@x.test"},
	{"allowed_recipients = @x\\.test$\r\ndenied_recipients=^b@x\\.test$", "x.test;!b@x.test"},
	{"@a\\.test$\n@b\\.test$", "a.test;b.test"},
	{"^=a@x\\.test$", "=a@x.test"},
	/* many groups, none inside another */
	{"^(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)(l)(m)(n)(o)(p)(q)(r)@x\\.test$",
	 "abcdefghijklmnopqr@x.test"},
};

START_TEST(translated)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		listing_check_taken(LISTING_MAILPIT, good[i].text, true, good[i].want);
}
END_TEST

/* S151, T11, T15: what would match more, or something else, than an entry is refused by name. */
static const struct {
	const char *text;
	struct mistake told;
} bad[] = {
	{"allowed-recipients: 'a'b'", {1, 21, "", "does not end"}},
	{"allowed-recipients: \"@x\\\\.test\"", {1, 21, "", "$ is missing"}},
	{"allowed-recipients: \"a\\\".b\"", {1, 21, "", "not escaped"}},
	{"^A*@x\\.test$", {1, 2, "", "capital letter"}},
	{"^(0|1|2|3|4|5|6|7|8|9)(0|1|2|3|4|5|6|7|8|9)(0|1|2|3|4|5|6|7|8|9)@x\\.test$|^b@x\\.test$",
	 {1, 86, "", "more than 1000"}},
	{"^a\x7f"
	 "@x\\.test$",
	 {1, 3, "", "stand in an address"}},
	{"^[^@]@x\\.test$", {1, 2, "", "class"}},
	{"^[^a]@x\\.test$", {1, 2, "", "class"}},
	{"^[]]@x\\.test$", {1, 2, "", "class"}},
	{"^[\\d]@x\\.test$", {1, 2, "", "class"}},
	{"^[^@]?@x\\.test$", {1, 2, "", "class"}},
	{"a^@x\\.test$", {1, 1, "", "only at the ends"}},
	{"\\.x\\.test", {1, 1, "", "$ is missing"}},
	{"^.*\\.x.*\\.test$", {1, 1, "", "middle of a name"}},
	{"@.+.+\\.x\\.test$", {1, 1, "", "at least one"}},
	{"^(.*)@localhost.localdomain$", {1, 16, "", "not escaped"}},
	{"internal-.*@example.(com|fr)$", {1, 20, "", "not escaped"}},
	{"# so\n@example\\.com", {2, 1, "", "$ is missing"}},
	{"^admin@", {1, 1, "", "$ is missing"}},
	{"example\\.com$", {1, 1, "", "middle of a name"}},
	{"@.*example\\.com$", {1, 1, "", "a dot is missing"}},
	{"@\\.example\\.com$", {1, 1, "", "no domain begins"}},
	{"@$", {1, 1, "", "no domain begins"}},
	{"^@example\\.com$", {1, 1, "", "nothing stands before"}},
	{"^a@b@example\\.com$", {1, 1, "", "two @"}},
	{"^[^@]*$", {1, 1, "", "no @"}},
	{"^[^@]*\\.example\\.com$", {1, 1, "", "no @"}},
	{"@a.*\\.example\\.com$", {1, 1, "", "only in front"}},
	{"^qa-.+@example\\.com$", {1, 1, "", "at least one"}},
	{"^.+.+@example\\.com$", {1, 1, "", "at least one"}},
	{"^[^@]+[^@]+.+$", {1, 1, "", "at least one"}},
	{"^Alice@example\\.com$", {1, 2, "", "capital letter"}},
	{"^a\\d@example\\.com$", {1, 3, "", "escape"}},
	{"^a\\", {1, 3, "", "escape"}},
	{"^[a-z]+@example\\.com$", {1, 2, "", "class"}},
	{"^a?b@example\\.com$", {1, 3, "", "repetition"}},
	{"^ab*@example\\.com$", {1, 4, "", "repetition"}},
	{"^a{2}@example\\.com$", {1, 3, "", "repetition"}},
	{"^(a+)+@example\\.com$", {1, 4, "", "repetition"}},
	{"^(ab)+@example\\.com$", {1, 6, "", "repeated group"}},
	{"*@example\\.com$", {1, 1, "", "nothing stands before"}},
	{".**@example\\.com$", {1, 3, "", "repetition of a repetition", 1}},
	{"^(?P<n>a)@example\\.com$", {1, 2, "", "groups", 1}},
	{"^(?s)a@example\\.com$", {1, 2, "", "groups"}},
	{"^(a@example\\.com$", {1, 2, "", "not closed"}},
	{"^a)@example\\.com)$", {1, 3, "", "not opened", 1}},
	{"^a@ex$ample\\.com$", {1, 1, "", "only at the ends"}},
	{"^a b@example\\.com$", {1, 3, "", "stand in an address"}},
	{"^\xc3\xa9@example\\.com$", {1, 2, "", "stand in an address"}},
	{"^a\\*@example\\.com$", {1, 4, "", "with *"}},
	{"(?i)", {1, 5, "", "empty"}},
	{"allowed-recipients:", {1, 1, "", "missing"}},
	{"allowed-recipients: ''", {1, 22, "", "empty"}},
	{"allowed-recipients: 'a", {1, 21, "", "does not end", 1}},
	{"a = x", {1, 1, "", "neither a setting", 1}},
	{"^.*a$", {1, 1, "", "middle of a name", 1}},
	{"allowed-recipients: \"@x\\.test$\"", {1, 21, "", "are escapes"}},
	{"smtp-relay-all: true", {1, 1, "", "setting"}},
	{"allowed-recipients: @a\\.test$\nsmtp-relay-matching: @b\\.test$", {2, 1, "", "line 1"}},
	{"allowed_recipients = 'x@a.test$'", {1, 26, "", "not escaped"}},
	{"^(((((((((((((((((a)))))))))))))))))@x\\.test$", {1, 18, "", "too many groups"}},
	{"^(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)(a|b|c|d)@x\\.test$", {1, 47, "", "more than 1000"}},
};

START_TEST(refused)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		listing_check_refused(LISTING_MAILPIT, bad[i].text, true, bad[i].told);
}
END_TEST

START_TEST(lines_are_not_endless)
{
	char text[4098];
	struct told told;

	memset(text, '.', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	listing_check_refused(LISTING_MAILPIT, text, true,
			      (struct mistake){1, 0, "", "longer than 4096 octets", 1});
	text[4096] = '\0'; /* looked at, and refused for what it says */
	ck_assert_ptr_null(listing_of(LISTING_MAILPIT, span_of(text), true, &told));
	ck_assert_ptr_null(strstr(told.text, "octets"));
}
END_TEST

START_TEST(all_takes_saying_so)
{
	struct told told;

	ck_assert_ptr_null(listing_of(LISTING_MAILPIT, span_of(".*"), false, &told));
	ck_assert(strstr(told.text, "allow_all") != NULL);
}
END_TEST

/* S151: 64 KiB of it, and what other engines never come back from. */
START_TEST(long_ones_end_soon)
{
	struct told told;
	struct buf text;

	buf_init(&text, 100000);
	for (int i = 0; i < 1000; i++)
		(void)buf_append_text(&text, "(a|b)");
	ck_assert_ptr_null(listing_of(LISTING_MAILPIT, buf_span(&text), false, &told));
	buf_clear(&text);
	for (int i = 0; i < 500; i++)
		(void)buf_append_char(&text, 'a');
	ck_assert_ptr_null(listing_of(LISTING_MAILPIT, buf_span(&text), false, &told));
	ck_assert(strstr(told.text, "longer than an address") != NULL);
	while (text.len < 65536)
		(void)buf_append_char(&text, '(');
	ck_assert_ptr_null(listing_of(LISTING_MAILPIT, buf_span(&text), false, &told));
	ck_assert(strstr(told.text, "octets") != NULL);
	buf_release(&text);
}
END_TEST

UNIT_MAIN("filter/listing_mailpit", translated, lines_are_not_endless, refused, all_takes_saying_so,
	  long_ones_end_soon)
