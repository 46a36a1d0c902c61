/* tests relay/deliver/route.c, backoff.c and hop.c: the pure parts */
#include "relay/deliver/route.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/backoff.h"
#include "relay/deliver/hop.h"
#include "tests/unit/unit.h"

START_TEST(the_first_match_by_domain_wins)
{
	static const char *const one[] = {"example.com", ".example.com"};
	static const char *const two[] = {".test"};
	static const char *const all[] = {"*"};
	const struct route_options routes[] = {
		{.name = "one", .domains = one, .domain_count = 2},
		{.name = "two", .domains = two, .domain_count = 1},
		{.name = "all", .domains = all, .domain_count = 1},
	};
	static const struct {
		const char *domain;
		size_t count, want;
	} cases[] = {
		{"example.com", 3, 0},
		{"EXAMPLE.Com", 3, 0},
		{"a.b.Example.com", 3, 0},
		{"notexample.com", 3, 2},
		{"example.com.test", 3, 1},
		{"test", 3, 2},
		{".test", 3, 2},
		{"other.org", 2, ROUTE_NONE},
		{"example.com", 0, ROUTE_NONE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(route_match(routes, cases[i].count, span_of(cases[i].domain)) ==
				      cases[i].want,
			      "%s", cases[i].domain);
}
END_TEST

START_TEST(hosts_are_taken_apart)
{
	static const struct {
		const char *text, *name, *port;
	} good[] = {
		{"smtp.example.com:587", "smtp.example.com", "587"},
		{"smtp.example.com", "smtp.example.com", "25"},
		{"127.0.0.1:2526", "127.0.0.1", "2526"},
		{"[::1]:25", "::1", "25"},
		{"[2001:db8::7]", "2001:db8::7", "25"},
		{"unix:/run/dovecot/lmtp", "unix:/run/dovecot/lmtp", ""},
	};
	static const char *const bad[] = {"",	      ":25",	  "a:",	   "a:0",
					  "a:65536",  "a:25x",	  "::1",   "[::1",
					  "[]:25",    "[::1]25",  "a:+25", "a:b:25",
					  "a:00025x", "a:000025", "unix:", "unix:run/lmtp"};
	struct route_host host;
	struct err why;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(route_host_parse(span_of(good[i].text), &host, &why), ERR_OK);
		ck_assert_str_eq(host.name, good[i].name);
		ck_assert_str_eq(host.port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(route_host_parse(span_of(bad[i]), &host, &why) < 0, "%s", bad[i]);
}
END_TEST

/* S224 */
START_TEST(waits_follow_the_schedule_with_jitter)
{
	static const int64_t schedule[] = {60000, 300000, 7200000};
	bool differ = false;

	for (uint32_t random = 0; random < 4000000000U; random += 123456789) {
		int64_t first = backoff_wait_ms(schedule, 3, 1, random);
		int64_t late = backoff_wait_ms(schedule, 3, 50, random);

		ck_assert(first >= 60000 && first <= 72000);
		ck_assert(backoff_wait_ms(schedule, 3, 2, random) >= 300000);
		ck_assert(late >= 7200000 && late <= 8640000);
		differ |= first != 60000;
	}
	ck_assert(differ);
	ck_assert_int_eq(backoff_wait_ms(NULL, 0, 1, 0), 60000);
	ck_assert_int_eq(backoff_wait_ms(schedule, 3, 0, 0), 60000);
}
END_TEST

static void parse_reply(const char *text, struct reply_parser *parser)
{
	struct span input = span_of(text);
	struct err why;
	bool done = false;

	reply_parser_init(parser);
	ck_assert_int_eq(reply_parser_feed(parser, &input, &done, &why), ERR_OK);
	ck_assert(done);
}

/* S244: what is offered and not used by name does not matter, CHUNKING and XUSR among it. */
START_TEST(capabilities_are_read_by_name)
{
	struct reply_parser parser;
	struct hop_caps caps;

	parse_reply("250-PIPELINING.test says DSN\r\n250-CHUNKING\r\n250-XUSR\r\n"
		    "250-pipelining\r\n250-Size 1000\r\n250-DSNX\r\n250-SIZED 5\r\n"
		    "250 8BITMIME\r\n",
		    &parser);
	hop_caps_parse(&parser.reply, &caps);
	ck_assert(caps.pipelining && caps.size && caps.eightbit);
	ck_assert(!caps.dsn && !caps.smtputf8 && !caps.starttls && !caps.enhanced);
	ck_assert_int_eq(caps.size_max, 1000);
	reply_parser_release(&parser);
	parse_reply("250-a\r\n250-SIZE 99999999999999999999999\r\n250 DSN\r\n", &parser);
	hop_caps_parse(&parser.reply, &caps);
	ck_assert(caps.size && caps.size_max == 0 && caps.dsn && !caps.pipelining);
	reply_parser_release(&parser);
}
END_TEST

UNIT_MAIN("deliver/route", the_first_match_by_domain_wins, hosts_are_taken_apart,
	  waits_follow_the_schedule_with_jitter, capabilities_are_read_by_name)
