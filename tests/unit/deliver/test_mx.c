/* tests relay/deliver/mx.c, dns.c and lookup.c: the hosts of a domain, and mail to them */
#include <config.h> /* usleep */

#include "relay/deliver/mx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/deliver/dns.h"
#include "tests/unit/deliver/nameserver.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

#define ROWS(rows) rows, sizeof(rows) / sizeof(rows[0])

/* --- questions and answers ---------------------------------------------------------------- */

static int ask(struct nameserver *names, const char *domain, struct mx_list *list, struct err *why)
{
	static unsigned char bytes[DNS_ANSWER_MAX];
	const char *address = nameserver_address(names);
	struct dns_servers servers = {&address, 1};
	size_t len;
	int code = dns_ask(&servers, domain, DNS_MX, bytes, &len, why);

	if (code < 0)
		return code;
	if (len == 0) {
		mx_implicit(domain, list);
		return ERR_OK;
	}
	return mx_parse(bytes, len, domain, "relay.test", list, why);
}

static const struct nameserver_row answers[] = {
	{"three.test", "MX", NAME_HAS, "30 c.ok.test", 100},
	{"three.test", "MX", NAME_HAS, "10 a.ok.test", 200},
	{"three.test", "MX", NAME_HAS, "20 B.ok.test", 300},
	{"equal.test", "MX", NAME_HAS, "10 a.ok.test", 100},
	{"equal.test", "MX", NAME_HAS, "10 b.ok.test", 100},
	{"equal.test", "MX", NAME_HAS, "10 a.ok.test", 100},
	{"null.test", "MX", NAME_HAS, "0 .", 100},
	{"notnull.test", "MX", NAME_HAS, "0 .", 100},
	{"notnull.test", "MX", NAME_HAS, "10 a.ok.test", 100},
	{"ours.test", "MX", NAME_HAS, "5 a.ok.test", 100},
	{"ours.test", "MX", NAME_HAS, "10 Relay.Test", 100},
	{"ours.test", "MX", NAME_HAS, "10 b.ok.test", 100},
	{"ours.test", "MX", NAME_HAS, "20 c.ok.test", 100},
	{"onlyours.test", "MX", NAME_HAS, "10 relay.test", 100},
	{"numeric.test", "MX", NAME_HAS, "10 192.0.2.1", 100},
	{"gone.test", "*", NAME_UNKNOWN, NULL, 0},
	{"broken.test", "*", NAME_FAILS, NULL, 0},
	{"garbage.test", "MX", NAME_GARBAGE, NULL, 0},
	{"many.test", "MX", NAME_MANY, "2000", 0},
	{"loop.test", "CNAME", NAME_HAS, "loop2.test", 100},
	{"loop2.test", "CNAME", NAME_HAS, "loop.test", 100},
};

START_TEST(hosts_come_in_order)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct nameserver *names = nameserver_start(ROWS(answers), v6 == 1);
		struct mx_list list;
		struct err why;

		ck_assert_int_eq(ask(names, "three.test", &list, &why), ERR_OK);
		ck_assert_uint_eq(list.count, 3);
		ck_assert_str_eq(list.hosts[0].name, "a.ok.test");
		ck_assert_str_eq(list.hosts[1].name, "B.ok.test");
		ck_assert_str_eq(list.hosts[2].name, "c.ok.test");
		ck_assert_uint_eq(list.ttl_s, 100);
		ck_assert(!list.is_null && !list.is_ours && !list.is_implicit);
		nameserver_stop(&names);
	}
}
END_TEST

START_TEST(what_there_is_beside_hosts)
{
	static const struct {
		const char *domain;
		size_t count;
		bool is_null, is_ours, is_implicit;
		const char *first;
	} cases[] = {
		{"null.test", 0, true, false, false, NULL},
		{"notnull.test", 1, false, false, false, "a.ok.test"},
		{"ours.test", 1, false, true, false, "a.ok.test"},
		{"onlyours.test", 0, false, true, false, NULL},
		{"numeric.test", 0, false, false, false, NULL},
		{"nothing.test", 1, false, false, true, "nothing.test"},
		{"loop.test", 1, false, false, true, "loop.test"},
		{"garbage.test", 1, false, false, true, "garbage.test"},
	};
	struct nameserver *names = nameserver_start(ROWS(answers), false);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mx_list list;
		struct err why;

		ck_assert_msg(ask(names, cases[i].domain, &list, &why) == ERR_OK, "%s",
			      cases[i].domain);
		ck_assert_msg(list.count == cases[i].count, "%s", cases[i].domain);
		ck_assert_msg(list.is_null == cases[i].is_null, "%s", cases[i].domain);
		ck_assert_msg(list.is_ours == cases[i].is_ours, "%s", cases[i].domain);
		ck_assert_msg(list.is_implicit == cases[i].is_implicit, "%s", cases[i].domain);
		if (cases[i].first != NULL)
			ck_assert_str_eq(list.hosts[0].name, cases[i].first);
	}
	nameserver_stop(&names);
}
END_TEST

/* RFC 5321 5.1: equals in no order, and one that is named twice once. */
START_TEST(equals_are_in_no_order)
{
	struct nameserver *names = nameserver_start(ROWS(answers), false);
	bool first[2] = {false, false};

	for (int i = 0; i < 60; i++) {
		struct mx_list list;
		struct err why;

		ck_assert_int_eq(ask(names, "equal.test", &list, &why), ERR_OK);
		ck_assert_uint_eq(list.count, 2);
		first[list.hosts[0].name[0] == 'b'] = true;
	}
	ck_assert(first[0] && first[1]);
	nameserver_stop(&names);
}
END_TEST

/* S230: the best is the last of 2,000, by TCP. */
START_TEST(two_thousand_records)
{
	struct nameserver *names = nameserver_start(ROWS(answers), false);
	struct mx_list list;
	struct err why;

	ck_assert_int_eq(ask(names, "many.test", &list, &why), ERR_OK);
	ck_assert_uint_eq(list.count, MX_HOSTS_MAX);
	ck_assert_str_eq(list.hosts[0].name, "m1999.ok.test");
	nameserver_stop(&names);
}
END_TEST

START_TEST(no_answer_is_told)
{
	struct nameserver *names = nameserver_start(ROWS(answers), false);
	struct mx_list list;
	struct err why;

	ck_assert_int_eq(ask(names, "gone.test", &list, &why), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(why.text, "NXDOMAIN"));
	ck_assert_int_eq(ask(names, "broken.test", &list, &why), ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(why.text, "broken.test"));
	nameserver_stop(&names);
}
END_TEST

/* Any bytes: nothing is read beyond them. */
START_TEST(cut_answers_do_no_harm)
{
	static const unsigned char whole[] = "\x12\x34\x81\x80\0\1\0\2\0\0\0\0"
					     "\2ok\4test\0\0\17\0\1"
					     "\xc0\x0c\0\17\0\1\0\0\0\x3c\0\6\0\12\1a\xc0\x0c"
					     "\xc0\x0c\0\17\0\1\0\0\0\x3c\0\4\0\24\xc0\x0c";
	size_t len = sizeof(whole) - 1;
	struct mx_list list;
	struct err why;

	ck_assert_int_eq(mx_parse(whole, len, "ok.test", "relay.test", &list, &why), ERR_OK);
	ck_assert_uint_eq(list.count, 2);
	ck_assert_str_eq(list.hosts[0].name, "a.ok.test");
	ck_assert_str_eq(list.hosts[1].name, "ok.test");
	for (size_t cut = 0; cut < len; cut++) {
		unsigned char *bytes = mem_alloc(cut + 1);

		memcpy(bytes, whole, cut);
		bytes = mem_realloc(bytes, cut > 0 ? cut : 1);
		(void)mx_parse(bytes, cut, "ok.test", "relay.test", &list, &why);
		for (size_t i = 0; i < cut; i++) {
			unsigned char kept = bytes[i];

			bytes[i] = 0xff;
			(void)mx_parse(bytes, cut, "ok.test", "relay.test", &list, &why);
			bytes[i] = 0xc0;
			(void)mx_parse(bytes, cut, "ok.test", "relay.test", &list, &why);
			bytes[i] = kept;
		}
		mem_free(bytes);
	}
}
END_TEST

START_TEST(name_servers_are_numeric)
{
	static const char *const good[] = {"127.0.0.1", "127.0.0.1:5353", "[::1]", "[::1]:53"};
	static const char *const bad[] = {"", "localhost", "localhost:53", "127.0.0.1:x", "[::1"};
	struct sockaddr_storage server;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(dns_server_parse(good[i], &server), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!dns_server_parse(bad[i], &server), "%s", bad[i]);
}
END_TEST

/* --- mail --------------------------------------------------------------------------------- */

static const struct nameserver_row domains[] = {
	{"one.test", "MX", NAME_HAS, "10 dead.one.test", 3600},
	{"one.test", "MX", NAME_HAS, "20 live.one.test", 3600},
	{"dead.one.test", "A", NAME_HAS, "127.0.0.77", 3600},
	{"live.one.test", "A", NAME_HAS, "127.0.0.1", 3600},
	{"two.test", "MX", NAME_HAS, "10 live.one.test", 3600},
	{"plain.test", "A", NAME_HAS, "127.0.0.1", 3600},
	{"null.test", "MX", NAME_HAS, "0 .", 3600},
	{"ours.test", "MX", NAME_HAS, "10 relay.test", 3600},
	{"self.test", "MX", NAME_HAS, "10 me.self.test", 3600},
	{"self.test", "MX", NAME_HAS, "20 live.one.test", 3600},
	{"me.self.test", "A", NAME_HAS, "127.0.0.1", 3600},
	{"gone.test", "*", NAME_UNKNOWN, NULL, 0},
	{"broken.test", "*", NAME_FAILS, NULL, 0},
	{"slow.test", "*", NAME_SILENT, NULL, 0},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"holes.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"nearly.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"nearly.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"nearly.test", "A", NAME_HAS, "127.0.0.9", 3600},
	{"nearly.test", "A", NAME_HAS, "127.0.0.1", 3600},
};

struct mx_rig {
	struct rig rig;
	struct nameserver *names;
	const char *server;
	char hosts_text[16];
	const char *hosts[2];
};

/* The next hop's port stands for 25; the list allows everybody at *.test. */
static void mx_open(struct mx_rig *m, const struct nexthop_step *steps, size_t step_count,
		    const struct nameserver_row *rows, size_t count)
{
	static const char *const allowed[] = {
		"one.test",   "two.test",  "null.test",	  "ours.test",	"gone.test",   "slow.test",
		"plain.test", "self.test", "broken.test", "holes.test", "nearly.test", NULL};
	struct rig *r = &m->rig;

	memset(m, 0, sizeof(*m));
	rig_open(r, steps, step_count, NULL);
	rig_list(r, allowed);
	m->names = nameserver_start(rows, count, false);
	m->server = nameserver_address(m->names);
	snprintf(m->hosts_text, sizeof(m->hosts_text), "mx%s", strchr(r->host, ':'));
	m->hosts[0] = m->hosts_text;
	r->route.hosts = m->hosts;
	r->options.dns = (struct dns_servers){&m->server, 1};
}

/* The usual domains, and delivery at once. */
static void mx_start(struct mx_rig *m)
{
	mx_open(m, NULL, 0, ROWS(domains));
	rig_deliver(&m->rig);
}

static void mx_close(struct mx_rig *m)
{
	rig_stop(&m->rig);
	nameserver_stop(&m->names);
}

/* One message for several domains: each gets its own, from the best host that answers. */
START_TEST(mail_goes_to_the_hosts_of_its_domain)
{
	static const char *const to[] = {"a@one.test", "b@two.test", "c@One.test", "d@plain.test",
					 NULL};
	struct ulid id;
	struct mx_rig m;

	mx_start(&m);
	for (int round = 0; round < 3; round++) {
		id = rig_accept(&m.rig, "s@one.test", to, "a: b\r\n\r\nx\r\n", 11);
		for (size_t i = 0; to[i] != NULL; i++)
			ck_assert_int_eq(rig_await(&m.rig, &id, to[i], STATE_DELIVERED)->attempts,
					 1);
	}
	ck_assert_uint_eq(nexthop_mail_count(m.rig.hop), 9);
	for (size_t i = 0; i < 9; i++)
		ck_assert_uint_le(nexthop_mail(m.rig.hop, i)->rcpt_count, 2);
	/* Kept for as long as they are good. */
	ck_assert_int_eq(nameserver_asked(m.names, "two.test"), 1);
	mx_close(&m);
}
END_TEST

/* RFC 7505: at once, for good, and nobody is asked for an address. */
START_TEST(a_null_mx_takes_no_mail)
{
	struct mx_rig m;

	mx_start(&m);
	rig_expect(&m.rig, "ann@null.test", STATE_FAILED, "null MX");
	ck_assert_int_eq(nexthop_connections(m.rig.hop), 0);
	mx_close(&m);
}
END_TEST

START_TEST(a_domain_whose_host_we_are_is_refused)
{
	struct mx_rig m;

	mx_start(&m);
	rig_expect(&m.rig, "ann@ours.test", STATE_FAILED, "loop");
	mx_close(&m);
}
END_TEST

/* By its address, under another name: what ranks behind it is not tried (RFC 5321 5.1). */
START_TEST(our_own_address_is_found_at_connect)
{
	struct mx_rig m;

	mx_open(&m, NULL, 0, ROWS(domains));
	m.rig.own = true;
	rig_deliver(&m.rig);
	rig_expect(&m.rig, "ann@self.test", STATE_FAILED, "loop");
	ck_assert_int_eq(nexthop_connections(m.rig.hop), 0);
	mx_close(&m);
}
END_TEST

/* S230: NXDOMAIN and SERVFAIL may be a mistake of today: later, with the reason. */
START_TEST(what_is_not_found_is_put_off)
{
	struct mx_rig m;

	mx_start(&m);
	rig_expect(&m.rig, "ann@gone.test", STATE_DEFERRED, "NXDOMAIN");
	rig_expect(&m.rig, "ann@broken.test", STATE_DEFERRED, "broken.test");
	mx_close(&m);
}
END_TEST

/* S230: name servers that never answer hold up that domain only. */
START_TEST(a_silent_name_server_holds_up_nobody_else)
{
	struct mx_rig m;
	struct ulid slow;
	int64_t began;

	mx_start(&m);
	slow = rig_accept_plain(&m.rig, "ann@slow.test");
	ck_assert(rig_recipient(&m.rig, &slow, "ann@slow.test") != NULL);
	usleep(100000);
	began = clock_mono_ms();
	for (int i = 0; i < 5; i++) {
		rig_send(&m.rig, "ann@two.test", STATE_DELIVERED);
	}
	ck_assert_int_lt(clock_mono_ms() - began, 3000);
	ck_assert(strstr(rig_await(&m.rig, &slow, "ann@slow.test", STATE_DEFERRED)->reason,
			 "slow.test") != NULL);
	mx_close(&m);
}
END_TEST

#define SILENT 40

/* A stop waits for the question that each thread has asked, not for all that wait behind it. */
START_TEST(a_stop_does_not_wait_for_silent_name_servers)
{
	static char names[SILENT][16], addresses[SILENT][24];
	const char *list[SILENT + 1] = {NULL}, *to[SILENT + 1] = {NULL};
	struct nameserver_row rows[SILENT];
	struct mx_rig m;
	int64_t began;

	for (int i = 0; i < SILENT; i++) {
		snprintf(names[i], sizeof(names[i]), "d%d.test", i);
		snprintf(addresses[i], sizeof(addresses[i]), "ann@d%d.test", i);
		list[i] = names[i];
		to[i] = addresses[i];
		rows[i] = (struct nameserver_row){names[i], "*", NAME_SILENT, NULL, 0};
	}
	mx_open(&m, NULL, 0, rows, SILENT);
	rig_list(&m.rig, list);
	rig_deliver(&m.rig);
	(void)rig_accept(&m.rig, "s@d0.test", to, "a: b\r\n\r\nx\r\n", 11);
	while (nameserver_asked(m.names, ".test") < 4)
		usleep(10000);
	began = clock_mono_ms();
	rig_stop_delivery(&m.rig, 1000);
	/* Two tries of 3 s; five in a row would be 30 s. */
	ck_assert_int_lt(clock_mono_ms() - began, 10000);
	mx_close(&m);
}
END_TEST

/* More than there is room for in our hands, for a domain that takes nothing: others go past it. */
START_TEST(a_crowd_for_a_silent_domain_holds_up_nobody_else)
{
	struct mx_rig m;

	mx_open(&m, NULL, 0, ROWS(domains));
	for (int i = 0; i < 600; i++)
		rig_accept_plain(&m.rig, "ann@slow.test");
	rig_deliver(&m.rig);
	usleep(300000);
	m.rig.client = "192.0.2.7";
	rig_expect_quick(&m.rig, "ann@two.test", 4000);
	mx_close(&m);
}
END_TEST

/* Its next hop says good day, and then nothing for minutes. */
START_TEST(a_crowd_for_a_tarpit_holds_up_nobody_else)
{
	static const struct nexthop_step step = {AT_RCPT, DO_STALL, .match = "one.test"};
	struct mx_rig m;

	mx_open(&m, &step, 1, ROWS(domains));
	m.rig.route.command_timeout_ms = 60000;
	for (int i = 0; i < 600; i++)
		rig_accept_plain(&m.rig, "ann@one.test");
	rig_deliver(&m.rig);
	ck_assert(nexthop_wait_stage(m.rig.hop, AT_RCPT, 1, RIG_WAIT_MS));
	m.rig.client = "192.0.2.7";
	for (int i = 0; i < 3; i++)
		rig_expect_quick(&m.rig, "ann@two.test", 4000);
	ck_assert_int_eq(nexthop_reached(m.rig.hop, AT_RCPT), 4);
	mx_close(&m);
}
END_TEST

/* Hosts behind "mx:" are for domains that can't be looked up. */
START_TEST(a_host_behind_mx_is_the_last_resort)
{
	struct mx_rig m;

	mx_open(&m, NULL, 0, ROWS(domains));
	m.hosts[1] = m.rig.host;
	m.rig.route.host_count = 2;
	rig_deliver(&m.rig);
	ck_assert_int_eq(rig_send(&m.rig, "ann@gone.test", STATE_DELIVERED)->attempts, 1);
	mx_close(&m);
}
END_TEST

/*
 * S229: 8 addresses that never answer take no longer than two would, hold one
 * connection, and the others' mail goes on.
 */
START_TEST(black_holes_are_bounded)
{
	const struct recipient_view *view;
	struct ulid ids[10], last;
	struct black_hole hole;
	struct mx_rig m;
	int64_t began;

	mx_open(&m, NULL, 0, ROWS(domains));
	black_hole_open(&hole, "127.0.0.9", atoi(strchr(m.rig.host, ':') + 1));
	m.rig.route.connect_timeout_ms = 1000;
	m.rig.route.max_connections = 2;
	rig_deliver(&m.rig);
	began = clock_mono_ms();
	for (size_t i = 0; i < 10; i++)
		ids[i] = rig_accept_plain(&m.rig, "ann@holes.test");
	usleep(100000);
	for (int i = 0; i < 5; i++) {
		last = rig_accept_plain(&m.rig, "ann@two.test");
		rig_await(&m.rig, &last, "ann@two.test", STATE_DELIVERED);
	}
	ck_assert_int_lt(clock_mono_ms() - began, 1500);
	view = rig_await(&m.rig, &ids[0], "ann@holes.test", STATE_DEFERRED);
	ck_assert_msg(strstr(view->reason, "holes.test[127.0.0.9]") != NULL, "%s", view->reason);
	ck_assert_int_ge(clock_mono_ms() - began, 1800);
	ck_assert_int_lt(clock_mono_ms() - began, 4000);
	/* One of four answers, the last. */
	last = rig_accept_plain(&m.rig, "ann@nearly.test");
	ck_assert_int_eq(rig_await(&m.rig, &last, "ann@nearly.test", STATE_DELIVERED)->attempts, 1);
	mx_close(&m);
	black_hole_close(&hole);
}
END_TEST

UNIT_MAIN("deliver/mx", hosts_come_in_order, what_there_is_beside_hosts, equals_are_in_no_order,
	  two_thousand_records, no_answer_is_told, cut_answers_do_no_harm, name_servers_are_numeric,
	  mail_goes_to_the_hosts_of_its_domain, a_null_mx_takes_no_mail,
	  a_domain_whose_host_we_are_is_refused, our_own_address_is_found_at_connect,
	  what_is_not_found_is_put_off, a_silent_name_server_holds_up_nobody_else,
	  a_stop_does_not_wait_for_silent_name_servers, a_host_behind_mx_is_the_last_resort,
	  black_holes_are_bounded, a_crowd_for_a_silent_domain_holds_up_nobody_else,
	  a_crowd_for_a_tarpit_holds_up_nobody_else)
