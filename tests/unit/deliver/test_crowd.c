/* tests relay/deliver/: much mail at once, of one application or for one route, and the others */
#include <config.h> /* usleep */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/act.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define FLOOD 20000

/*
 * Before delivery starts: `count` messages as accept writes them, of one application
 * (192.0.2.1), a second old, for user1@domain, user2@domain, …
 */
static void flood(struct rig *r, int count, const char *domain)
{
	long long then = clock_wall_ms() - 1000;
	char sql[1600];

	snprintf(sql, sizeof(sql),
		 "PRAGMA synchronous=OFF; BEGIN;"
		 "CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1"
		 " FROM c WHERE i < %d) SELECT i + 1000000 AS i FROM c;"
		 "INSERT INTO message(id, uid, received_at, sender, size, header_size,"
		 " header_parsed, body_8bit, smtputf8, bare_cr, bare_lf, scope, client_address,"
		 " client_port, received_field) SELECT i, randomblob(16), %lld, 'app@flood.test',"
		 " 21, 14, 1, 0, 0, 0, 0, '', '192.0.2.1', 1, 'Received: here' || x'0d0a' FROM n;"
		 "INSERT INTO chunk(id, data) SELECT i << 16, CAST('Subject: n' || x'0d0a0d0a' || "
		 "'hello' ||"
		 " x'0d0a' AS BLOB) FROM n;"
		 "INSERT INTO recipient(id, address, state, accepted_state, due_at, waiting_since,"
		 " updated_at, verdict, verdict_reason, entry, revision, lane) SELECT i << 16,"
		 " 'user' || (i - 1000000) || '@%s', 2, 2, %lld, %lld, %lld, 'deliver', 'allowed',"
		 " 1, 1, 77 << 19 | i %% 5 FROM n; COMMIT",
		 count, then, domain, then, then, then);
	run_sql(r->folder, sql);
}

static int64_t delivered(struct rig *r)
{
	return ask_sql(r->folder, "SELECT count(*) FROM recipient WHERE state = 6");
}

/* A next hop that takes 50 messages a second: the flood would need minutes. */
START_TEST(a_flood_does_not_hold_up_another_application)
{
	static const struct nexthop_step slow = {AT_DOT, DO_DRIP, "250 ok\r\n", .ms = 10};
	struct rig r;

	rig_open(&r, &slow, 1, NULL);
	flood(&r, FLOOD, "ok.test");
	rig_deliver(&r);
	ck_assert(nexthop_wait_stage(r.hop, AT_DOT, 10, RIG_WAIT_MS));
	r.client = "192.0.2.7";
	for (int i = 0; i < 3; i++)
		rig_expect_quick(&r, "ann@ok.test", 2500);
	/* What is in our hands does not grow with the queue. */
	ck_assert_int_le(
		ask_sql(r.folder, "SELECT count(*) FROM recipient WHERE lease IS NOT NULL"), 300);
	ck_assert_int_lt(delivered(&r), FLOOD / 2);
	rig_stop(&r);
}
END_TEST

/* Two routes: ok.test goes to `other`, everything else to r->route. */
static struct route_options routes[2];
static const char *const ok_domains[] = {"ok.test"};

static void two_routes(struct rig *r, const char *const *other)
{
	static const char *const domains[] = {"ok.test", "flood.test", NULL};

	rig_list(r, domains);
	routes[0] = routes[1] = r->route;
	routes[0].name = "other";
	routes[0].domains = ok_domains;
	routes[0].domain_count = 1;
	routes[0].hosts = other;
	r->options.routes = routes;
	r->options.route_count = 2;
}

/*
 * 20,000 for a next hop that is not there cost a claim and a parking each, no attempt
 * and no storm; the mail of the other route, of the same application, leaves at once (S223).
 */
START_TEST(a_dead_route_does_not_hold_up_the_others)
{
	struct nexthop *alive = nexthop_start(NULL, 0, NULL);
	const char *other = nexthop_address(alive);
	static const char *const nobody[] = {"127.0.0.1:1"};
	int64_t end = clock_mono_ms() + 60000;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	two_routes(&r, &other);
	routes[1].hosts = nobody;
	flood(&r, FLOOD, "flood.test");
	r.client = "192.0.2.1";
	rig_deliver(&r);
	for (int i = 0; i < 3; i++)
		rig_expect_quick(&r, "ann@ok.test", 3000);
	while (ask_sql(r.folder, "SELECT count(*) FROM recipient WHERE parked IS NOT NULL") <
	       FLOOD - 20) {
		ck_assert_int_lt(clock_mono_ms(), end);
		usleep(50000);
	}
	rig_expect_quick(&r, "ann@ok.test", 1500);
	/* What was tried, one at a time, and nothing else, has a history. */
	ck_assert_int_lt(ask_sql(r.folder, "SELECT sum(attempts) FROM recipient"), 20);
	ck_assert_int_lt(ask_sql(r.folder, "SELECT count(*) FROM history"), 20);
	ck_assert_int_eq(ask_sql(r.folder,
				 "SELECT count(*) FROM recipient WHERE parked IS NOT NULL AND"
				 " reason NOT LIKE 'waits for route default: the next hop"
				 " rests: %'"),
			 0);
	rig_stop(&r);
	nexthop_stop(&alive);
}
END_TEST

/* It takes connections and then says nothing: its line must not be all we have. */
START_TEST(a_tarpit_does_not_hold_up_the_others)
{
	static const struct nexthop_step tarpit = {AT_RCPT, DO_PAUSE};
	struct nexthop *alive = nexthop_start(NULL, 0, NULL);
	const char *other = nexthop_address(alive);
	struct rig r;

	rig_open(&r, &tarpit, 1, NULL);
	two_routes(&r, &other);
	routes[1].command_timeout_ms = 60000;
	routes[1].max_connections = 2;
	flood(&r, FLOOD, "flood.test");
	rig_deliver(&r);
	ck_assert(nexthop_wait_stage(r.hop, AT_RCPT, 2, RIG_WAIT_MS));
	for (int i = 0; i < 3; i++)
		rig_expect_quick(&r, "ann@ok.test", 5000);
	usleep(2000000); /* all of it is put away by now, or on the way */
	rig_expect_quick(&r, "ann@ok.test", 1500);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	ck_assert_int_le(nexthop_connections(r.hop), 2);
	nexthop_go(r.hop);
	rig_stop(&r);
	nexthop_stop(&alive);
}
END_TEST

/*
 * S242: much waits for a next hop that is away, and it comes back: one connection finds
 * out, then no more than the route may have; the oldest first; nothing twice.
 */
START_TEST(S242_what_waited_for_a_next_hop_drains)
{
	static const struct nexthop_step away = {AT_GREETING, DO_REPLY, "421 away\r\n", .from = 1,
						 .to = 6};
	const int count = 3000;
	struct rig r;

	rig_open(&r, &away, 1, NULL);
	flood(&r, count, "ok.test");
	r.schedule[0] = 1000;
	rig_deliver(&r);
	ck_assert(nexthop_wait_mails(r.hop, (size_t)count, 60000));
	usleep(300000);
	ck_assert_int_eq(delivered(&r), count);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), (size_t)count);
	ck_assert_int_le(nexthop_connections(r.hop), 6 + 8);
	/* Those that were tried while it was away, and no others. */
	ck_assert_int_le(ask_sql(r.folder, "SELECT count(*) FROM recipient WHERE attempts > 1"), 6);
	ck_assert_int_eq(
		ask_sql(r.folder, "SELECT count(*) FROM recipient WHERE parked IS NOT NULL"), 0);
	for (size_t i = 0; i < (size_t)count; i++) {
		int number = 0;

		ck_assert_int_eq(
			sscanf(nexthop_mail(r.hop, i)->rcpt[0], "RCPT TO:<user%d@", &number), 1);
		/* Not behind what is much younger, but for the few that had been tried. */
		ck_assert_msg(number <= (int)i + 600, "%d at place %zu", number, i);
	}
	rig_stop(&r);
}
END_TEST

/* In whosever hands it is at that moment. */
static void wish(struct rig *r, const struct ulid *id, enum transition transition)
{
	struct act act = {
		.transition = transition, .message = *id, .actor = "test", .now = clock_wall_ms()};
	int64_t end = clock_mono_ms() + RIG_WAIT_MS;
	struct err why;

	while (store_wait(r->store, queue_act, &act.job, &why) != ERR_OK) {
		ck_assert_msg(clock_mono_ms() < end, "%s", why.text);
		usleep(1000);
	}
}

START_TEST(people_reach_what_waits_for_a_next_hop)
{
	static const char *const nobody[] = {"127.0.0.1:1"};
	struct ulid first, held, cancelled;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.route.hosts = nobody;
	rig_deliver(&r);
	first = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &first, "ann@ok.test", STATE_DEFERRED);
	held = rig_accept_plain(&r, "ann@ok.test");
	cancelled = rig_accept_plain(&r, "ann@ok.test");
	wish(&r, &held, TRANSITION_HOLD);
	wish(&r, &cancelled, TRANSITION_CANCEL);
	rig_await(&r, &held, "ann@ok.test", STATE_HELD);
	rig_await(&r, &cancelled, "ann@ok.test", STATE_CANCELLED);
	ck_assert_int_eq(ask_sql(r.folder,
				 "SELECT count(*) FROM recipient WHERE parked IS NOT NULL AND"
				 " state NOT IN (2, 4)"),
			 0);
	rig_stop(&r);
}
END_TEST

/* What is in hand is counted in messages: a few for a hundred each leave room for more. */
START_TEST(messages_for_many_leave_room_in_hand)
{
	static const struct nexthop_step wait = {AT_DOT, DO_PAUSE};
	static const char message[] = "Subject: n\r\n\r\nhello\r\n";
	const char *many[RIG_RECIPIENTS_MAX + 1] = {NULL};
	char names[100][24];
	int64_t end = clock_mono_ms() + RIG_WAIT_MS;
	struct ulid last = {{0}};
	struct rig r;

	for (int i = 0; i < 100; i++) {
		snprintf(names[i], sizeof(names[i]), "user%d@ok.test", i);
		many[i] = names[i];
	}
	rig_start(&r, &wait, 1, NULL);
	for (int i = 0; i < 6; i++)
		last = rig_accept(&r, "app@ok.test", many, message, strlen(message));
	while (ask_sql(r.folder, "SELECT count(*) FROM recipient WHERE lease IS NOT NULL") < 600) {
		ck_assert_int_lt(clock_mono_ms(), end);
		usleep(20000);
	}
	nexthop_go(r.hop);
	(void)rig_await(&r, &last, "user99@ok.test", STATE_DELIVERED);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/crowd", a_flood_does_not_hold_up_another_application,
	  a_dead_route_does_not_hold_up_the_others, a_tarpit_does_not_hold_up_the_others,
	  S242_what_waited_for_a_next_hop_drains, people_reach_what_waits_for_a_next_hop,
	  messages_for_many_leave_room_in_hand)
