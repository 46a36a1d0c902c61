/* tests relay/deliver/pool.c: a route with several hosts, and which of them gets the mail */
#include <config.h> /* usleep */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

static void deliver_one(struct rig *r)
{
	ck_assert_int_eq(rig_send(r, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
}

/* The first that answers gets it, in the first attempt; nobody asks those that come behind. */
START_TEST(the_next_host_is_tried)
{
	static const struct nexthop_step closed = {AT_GREETING, DO_REPLY, "421 closed\r\n"};
	const char *hosts[4] = {"127.0.0.1:1"};
	struct nexthop *refusing = nexthop_start(&closed, 1, NULL);
	struct nexthop *last = nexthop_start(NULL, 0, NULL);
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	hosts[1] = nexthop_address(refusing);
	hosts[2] = r.host;
	hosts[3] = nexthop_address(last);
	r.route.hosts = hosts;
	r.route.host_count = 4;
	rig_deliver(&r);
	for (int i = 0; i < 5; i++)
		deliver_one(&r);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 5);
	ck_assert_int_eq(nexthop_connections(refusing), 1);
	ck_assert_int_eq(nexthop_connections(last), 0);
	rig_stop(&r);
	nexthop_stop(&refusing);
	nexthop_stop(&last);
}
END_TEST

/* None does: the reason names each of them. */
START_TEST(all_hosts_are_tried_before_mail_is_put_off)
{
	static const struct nexthop_step closed = {AT_GREETING, DO_REPLY, "421 closed\r\n"};
	const char *hosts[2] = {"127.0.0.1:1"};
	const struct recipient_view *view;
	struct rig r;

	rig_open(&r, &closed, 1, NULL);
	hosts[1] = r.host;
	r.route.hosts = hosts;
	r.route.host_count = 2;
	rig_deliver(&r);
	view = rig_send(&r, "ann@ok.test", STATE_DEFERRED);
	ck_assert_msg(strstr(view->reason, "127.0.0.1:1: ") != NULL, "%s", view->reason);
	ck_assert_msg(strstr(view->reason, "421 closed") != NULL, "%s", view->reason);
	rig_stop(&r);
}
END_TEST

/* It had trouble, rested, and gets mail again while the second one serves. */
START_TEST(the_first_host_comes_back)
{
	static const struct nexthop_step closed = {AT_GREETING, DO_REPLY, "421 closed\r\n",
						   .from = 1, .to = 1};
	struct nexthop *first = nexthop_start(&closed, 1, NULL);
	const char *hosts[2];
	int64_t end;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	hosts[0] = nexthop_address(first);
	hosts[1] = r.host;
	r.route.hosts = hosts;
	r.route.host_count = 2;
	rig_deliver(&r);
	deliver_one(&r);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
	end = clock_mono_ms() + RIG_WAIT_MS;
	while (nexthop_mail_count(first) < 3) {
		ck_assert_int_lt(clock_mono_ms(), end);
		deliver_one(&r);
		usleep(50000);
	}
	ck_assert_int_le(nexthop_connections(first), 3);
	rig_stop(&r);
	nexthop_stop(&first);
}
END_TEST

/* By turns, though one connection would be enough for all of them. */
START_TEST(round_robin_spreads_evenly)
{
	struct nexthop *second = nexthop_start(NULL, 0, NULL);
	const char *hosts[2];
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	hosts[0] = r.host;
	hosts[1] = nexthop_address(second);
	r.route.hosts = hosts;
	r.route.host_count = 2;
	r.route.balance = ROUTE_ROUND_ROBIN;
	rig_deliver(&r);
	for (int i = 0; i < 20; i++)
		deliver_one(&r);
	ck_assert_uint_ge(nexthop_mail_count(r.hop), 8);
	ck_assert_uint_ge(nexthop_mail_count(second), 8);
	ck_assert_uint_eq(nexthop_mail_count(second) + nexthop_mail_count(r.hop), 20);
	rig_stop(&r);
	nexthop_stop(&second);
}
END_TEST

/* S229: while it is found out again and again that it is one, the other host has all the mail. */
START_TEST(a_black_hole_is_waited_for_once)
{
	const char *hosts[2];
	char address[32];
	struct black_hole hole;
	int64_t began;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	black_hole_open(&hole, "127.0.0.1", 0);
	snprintf(address, sizeof(address), "127.0.0.1:%d", hole.port);
	hosts[0] = address;
	hosts[1] = r.host;
	r.route.hosts = hosts;
	r.route.host_count = 2;
	r.route.connect_timeout_ms = 1500;
	rig_deliver(&r);
	began = clock_mono_ms();
	deliver_one(&r);
	ck_assert_int_ge(clock_mono_ms() - began, 1400);
	began = clock_mono_ms();
	while (clock_mono_ms() - began < 3000) {
		int64_t start = clock_mono_ms();

		deliver_one(&r);
		ck_assert_int_lt(clock_mono_ms() - start, 1000);
	}
	rig_stop(&r);
	black_hole_close(&hole);
}
END_TEST

UNIT_MAIN("deliver/several_hosts", the_next_host_is_tried,
	  all_hosts_are_tried_before_mail_is_put_off, the_first_host_comes_back,
	  round_robin_spreads_evenly, a_black_hole_is_waited_for_once)
