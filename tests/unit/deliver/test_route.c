/* tests relay/deliver/route.c, backoff.c, hop.c and body.c: the pure parts */
#include "relay/deliver/route.h"

#include <stdio.h>

#include "base/buf.h"
#include "relay/deliver/backoff.h"
#include "relay/deliver/body.h"
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
	};
	static const char *const bad[] = {"",	   ":25",    "a:",	 "a:0",	    "a:65536",
					  "a:25x", "::1",    "[::1",	 "[]:25",   "[::1]25",
					  "a:+25", "a:b:25", "a:00025x", "a:000025"};
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

/* However it is cut, the same octets are counted and the same end is found. */
START_TEST(body_scan_counts_and_finds_the_end)
{
	static const char wire[] = "..dot\r\nline\r\n...\r\n\r\n..\r\nlast\r\n.\r\n";
	const int64_t want = (int64_t)strlen(".dot\r\nline\r\n..\r\n\r\n.\r\nlast\r\n");

	for (size_t piece = 1; piece < sizeof(wire); piece++) {
		struct body_scan scan;
		size_t take, at = 0, fed = 0;

		body_scan_init(&scan);
		while (!scan.ended) {
			ck_assert_uint_lt(fed, sizeof(wire) - 1);
			fed = fed + piece < sizeof(wire) - 1 ? fed + piece : sizeof(wire) - 1;
			ck_assert_int_eq(
				body_scan_take(&scan, span_make(wire + at, fed - at), &take),
				ERR_OK);
			at += take;
		}
		ck_assert_int_eq(scan.octets, want);
		ck_assert_str_eq(wire + at, ".\r\n");
	}
}
END_TEST

START_TEST(body_scan_refuses_a_lone_dot)
{
	struct body_scan scan;
	size_t take;

	body_scan_init(&scan);
	ck_assert_int_eq(body_scan_take(&scan, span_of("a\r\n.b\r\n"), &take), ERR_SYNTAX);
	body_scan_init(&scan);
	/* .LF is not the end either: it never comes from libesmtp */
	ck_assert_int_eq(body_scan_take(&scan, span_of("a\r\n.\n\r\n"), &take), ERR_SYNTAX);
}
END_TEST

START_TEST(stuffing_is_the_reverse_of_the_scan)
{
	static const char header[] = ".a: 1\r\nb: .\r\n..c\r\n.\r\nd\r\n\r\n";

	for (size_t room = 2; room < 40; room++) {
		struct body_scan scan;
		struct buf all;
		size_t at = 0, take;

		buf_init(&all, 1000);
		while (at < sizeof(header) - 1)
			body_stuff(span_of(header), &at, room, &all);
		ck_assert_str_eq(all.data, "..a: 1\r\nb: .\r\n...c\r\n..\r\nd\r\n\r\n");
		body_scan_init(&scan);
		ck_assert_int_eq(body_scan_take(&scan, buf_span(&all), &take), ERR_OK);
		ck_assert_uint_eq(take, all.len);
		ck_assert_int_eq(scan.octets, sizeof(header) - 1);
		buf_release(&all);
	}
}
END_TEST

UNIT_MAIN("deliver/route", the_first_match_by_domain_wins, hosts_are_taken_apart,
	  waits_follow_the_schedule_with_jitter, capabilities_are_read_by_name,
	  body_scan_counts_and_finds_the_end, body_scan_refuses_a_lone_dot,
	  stuffing_is_the_reverse_of_the_scan)
