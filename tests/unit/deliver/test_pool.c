/* tests relay/deliver/pool.c: connections dialled, used again, found dead, rested */
#include <config.h> /* usleep */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

/* Four messages on four connections at once, which stay in the pool. The script has AT_DOT pause.
 */
static void fill_pool(struct rig *r)
{
	struct ulid ids[4];

	for (size_t i = 0; i < 4; i++)
		ids[i] = rig_accept_plain(r, "ann@ok.test");
	rig_deliver(r);
	ck_assert(nexthop_wait_stage(r->hop, AT_DOT, 4, RIG_WAIT_MS));
	nexthop_go(r->hop);
	for (size_t i = 0; i < 4; i++)
		rig_await(r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(nexthop_connections(r->hop), 4);
}

START_TEST(connections_are_used_again_and_limited)
{
	struct ulid ids[60];
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	r.route.max_connections = 2;
	rig_deliver(&r);
	for (size_t i = 0; i < 60; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	for (size_t i = 0; i < 60; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_le(nexthop_connections(r.hop), 2);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 60);
	rig_stop(&r);
}
END_TEST

/* A pooled connection that the next hop closes costs no attempt. */
START_TEST(a_stale_connection_is_dialled_again_without_an_attempt)
{
	static const struct nexthop_step steps[] = {
		{AT_MAIL, DO_DROP, .from = 2, .to = 2},
		{AT_MAIL, DO_REPLY, "421 enough\r\n", .from = 4, .to = 4},
	};
	struct rig r;

	rig_open(&r, steps, 2, NULL);
	r.route.max_connections = 1;
	rig_deliver(&r);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(rig_send(&r, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	}
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 4);
	rig_stop(&r);
}
END_TEST

/* S226: one that always breaks the connection does not stand in the others' way. */
START_TEST(a_poison_message_does_not_block_the_others)
{
	static const struct nexthop_step step = {AT_RCPT, DO_DROP, .match = "poison"};
	struct ulid ids[40], poison;
	struct rig r;

	rig_start(&r, &step, 1, NULL);
	poison = rig_accept_plain(&r, "poison@ok.test");
	for (size_t i = 0; i < 40; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	for (size_t i = 0; i < 40; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(rig_await(&r, &poison, "poison@ok.test", STATE_DEFERRED)->attempts, 1);
	rig_stop(&r);
}
END_TEST

/* Four messages that end so, and one more: nobody rests in between. */
static void check_no_outage(const struct nexthop_step *steps, size_t count, enum state state)
{
	int64_t since = clock_mono_ms();
	struct ulid id;
	struct rig r;

	rig_open(&r, steps, count, NULL);
	r.route.max_connections = 1;
	rig_deliver(&r);
	for (int i = 0; i < 4; i++) {
		id = rig_accept_plain(&r, "bad@ok.test");
		rig_await(&r, &id, "bad@ok.test", state);
	}
	id = rig_accept_plain(&r, "ann@ok.test");
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	/* The rests would be of 1, 2, 4 and 8 s. */
	ck_assert_int_lt(clock_mono_ms() - since, 6000);
	rig_stop(&r);
}

/* It has said all there is to say: to hang up then, or not to know RSET, is no outage. */
START_TEST(an_end_behind_the_last_reply_is_no_outage)
{
	static const struct nexthop_step refusals[][2] = {
		{{AT_RCPT, DO_REPLY, "550 5.1.1 nobody\r\n", .match = "bad"}, {AT_RSET, DO_DROP}},
		{{AT_RCPT, DO_REPLY, "550 5.1.1 nobody\r\n", .match = "bad"},
		 {AT_RSET, DO_REPLY, "502 what\r\n"}},
	};
	static const struct nexthop_step more = {AT_DOT, DO_REPLY, "250 ok\r\n250 and more\r\n",
						 .from = 1, .to = 4};

	check_no_outage(refusals[0], 2, STATE_FAILED);
	check_no_outage(refusals[1], 2, STATE_FAILED);
	check_no_outage(&more, 1, STATE_DELIVERED);
}
END_TEST

/* S223: a next hop that is down is probed, not hammered; what only waits for it is not tried. */
START_TEST(a_dead_next_hop_is_not_hammered)
{
	static const struct nexthop_step step = {AT_GREETING, DO_REPLY, "421 closed\r\n"};
	struct route_status status;
	struct ulid ids[30];
	size_t tried = 0;
	struct rig r;

	rig_start(&r, &step, 1, NULL);
	for (size_t i = 0; i < 30; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &ids[0], "ann@ok.test", STATE_DEFERRED);
	usleep(300000);
	for (size_t i = 0; i < 30; i++) {
		const struct recipient_view *view = rig_recipient(&r, &ids[i], "ann@ok.test");

		tried += view->attempts > 0 ? 1 : 0;
		if (view->attempts > 0)
			continue;
		ck_assert_int_eq(view->state, STATE_QUEUED);
		ck_assert_msg(strstr(view->reason,
				     "waits for route default: the next hop rests:") != NULL,
			      "%s", view->reason);
		ck_assert_msg(strstr(view->reason, "421 closed") != NULL, "%s", view->reason);
	}
	ck_assert_uint_ge(tried, 1);
	ck_assert_uint_le(tried, 8);
	ck_assert_int_le(nexthop_connections(r.hop), 8);
	ck_assert_uint_eq(deliver_status(r.deliver, &status, 1), 1);
	ck_assert_msg(strstr(status.last_error, "421 closed") != NULL, "%s", status.last_error);
	rig_stop(&r);
}
END_TEST

/* All that are in the pool died, each is found out only when it is used: one try, then a new one.
 */
START_TEST(a_pool_of_dead_connections_costs_no_attempt)
{
	static const struct nexthop_step deaths[] = {
		{AT_MAIL, DO_DROP, .used = true},
		{AT_MAIL, DO_RESET, .used = true},
		{AT_MAIL, DO_REPLY, "421 enough\r\n", .used = true},
	};

	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		struct nexthop_step steps[2] = {{AT_DOT, DO_PAUSE}, deaths[i]};
		struct rig r;

		rig_open(&r, steps, 2, NULL);
		fill_pool(&r);
		ck_assert_int_eq(rig_send(&r, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_MAIL), 6);
		ck_assert_int_eq(nexthop_connections(r.hop), 5);
		rig_stop(&r);
	}
}
END_TEST

/* A firewall between us forgot the connection: nothing comes any more. */
START_TEST(a_pooled_connection_that_went_silent_costs_no_attempt)
{
	static const struct nexthop_step step = {AT_MAIL, DO_STALL, .used = true};
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.route.max_connections = 1;
	r.route.command_timeout_ms = 500;
	rig_deliver(&r);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(rig_send(&r, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	}
	ck_assert_int_eq(nexthop_connections(r.hop), 2);
	rig_stop(&r);
}
END_TEST

/* One message a connection, and then 421: with four at once every job meets several of them. */
START_TEST(a_next_hop_that_takes_one_message_a_connection_gets_them_all)
{
	static const struct nexthop_step step = {AT_MAIL, DO_REPLY, "421 one each\r\n",
						 .used = true};
	struct ulid ids[60];
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	for (size_t i = 0; i < 60; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	rig_deliver(&r);
	for (size_t i = 0; i < 60; i++)
		ck_assert_int_eq(rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED)->attempts,
				 1);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 60);
	rig_stop(&r);
}
END_TEST

/* The options change while a job finds its connection dead: the new version takes it, untried. */
START_TEST(a_dead_connection_under_old_options_costs_no_attempt)
{
	static const struct nexthop_step step = {AT_MAIL, DO_STALL, .used = true};
	struct delivery_options next;
	struct rig r;
	struct ulid id;

	rig_open(&r, &step, 1, NULL);
	r.route.max_connections = 1;
	r.route.command_timeout_ms = 1000;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	id = rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_MAIL, 2, RIG_WAIT_MS));
	next = r.options;
	deliver_reload(r.deliver, &next, NULL, NULL);
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	rig_stop(&r);
}
END_TEST

/* --- trouble ------------------------------------------------------------------------------ */

/* Four dials fail at once: the route rests a second, as for one, not eight. */
START_TEST(an_outage_counts_once_however_many_notice)
{
	static const struct nexthop_step step = {AT_GREETING, DO_REPLY, "421 closed\r\n", .from = 1,
						 .to = 4};
	struct ulid ids[4];
	struct rig r;
	int64_t began;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 100;
	for (size_t i = 0; i < 4; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	began = clock_mono_ms();
	rig_deliver(&r);
	ck_assert(nexthop_wait_stage(r.hop, AT_GREETING, 4, RIG_WAIT_MS));
	for (size_t i = 0; i < 4; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_ge(clock_mono_ms() - began, 1000);
	ck_assert_int_lt(clock_mono_ms() - began, 4000);
	rig_stop(&r);
}
END_TEST

/* Four connections die under their jobs at once: the same. */
START_TEST(connections_that_die_together_count_once)
{
	static const struct nexthop_step step = {AT_RCPT, DO_DROP, .from = 1, .to = 4};
	struct ulid ids[4];
	struct rig r;
	int64_t began;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 100;
	for (size_t i = 0; i < 4; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	began = clock_mono_ms();
	rig_deliver(&r);
	for (size_t i = 0; i < 4; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(nexthop_reached(r.hop, AT_RCPT), 8);
	ck_assert_int_ge(clock_mono_ms() - began, 1000);
	ck_assert_int_lt(clock_mono_ms() - began, 4000);
	rig_stop(&r);
}
END_TEST

/* A second outage is a second one: the rest doubles. */
START_TEST(the_rest_grows_with_each_outage)
{
	static const struct nexthop_step step = {AT_GREETING, DO_REPLY, "421 closed\r\n", .from = 1,
						 .to = 2};
	struct rig r;
	int64_t began;

	rig_open(&r, &step, 1, NULL);
	r.schedule[0] = 100;
	began = clock_mono_ms();
	rig_deliver(&r);
	rig_send(&r, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_ge(clock_mono_ms() - began, 3000);
	ck_assert_int_eq(nexthop_connections(r.hop), 3);
	rig_stop(&r);
}
END_TEST

/* --- source_address ----------------------------------------------------------------------- */

START_TEST(the_source_address_is_where_we_come_from)
{
	static const char *const sources[] = {"", "127.0.0.2", "127.9.8.7"};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct rig r;
		char peer[16];

		rig_open(&r, NULL, 0, NULL);
		r.route.source_address = sources[i];
		rig_deliver(&r);
		rig_send(&r, "ann@ok.test", STATE_DELIVERED);
		nexthop_peer(r.hop, peer);
		ck_assert_str_eq(peer, i == 0 ? "127.0.0.1" : sources[i]);
		rig_stop(&r);
	}
}
END_TEST

/* Not from another one then: who asks for an address may have a rule behind it. */
START_TEST(a_source_address_that_is_not_ours_means_no_mail)
{
	static const char *const sources[] = {"192.0.2.77", "::1", "mail.ok.test"};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct recipient_view *view;
		struct rig r;

		rig_open(&r, NULL, 0, NULL);
		r.route.source_address = sources[i];
		rig_deliver(&r);
		view = rig_send(&r, "ann@ok.test", STATE_DEFERRED);
		ck_assert_msg(strstr(view->reason, r.host) != NULL, "%s", view->reason);
		ck_assert_msg(strstr(view->reason, "source") != NULL, "%s", view->reason);
		ck_assert_int_eq(nexthop_connections(r.hop), 0);
		rig_stop(&r);
	}
}
END_TEST

/* --- one original client a connection ------------------------------------------------------- */

/* Connections are used again, but never for another client; an idle one makes room (DESIGN 4.4). */
START_TEST(no_connection_serves_two_clients)
{
	static const char *const clients[] = {"192.0.2.1", "192.0.2.2", "192.0.2.1"};
	struct rig r;

	rig_open(&r, NULL, 0, "PIPELINING\nXCLIENT NAME ADDR PORT PROTO HELO");
	r.route.xclient = true;
	r.route.max_connections = 1;
	rig_deliver(&r);
	for (size_t i = 0; i < 3; i++) {
		r.client = clients[i];
		for (int k = 0; k < 3; k++)
			ck_assert_int_eq(rig_send(&r, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
		ck_assert_int_eq(nexthop_connections(r.hop), (int)i + 1);
		ck_assert_int_eq(nexthop_reached(r.hop, AT_XCLIENT), (int)i + 1);
	}
	ck_assert(nexthop_saw(r.hop, "ADDR=192.0.2.1"));
	ck_assert(nexthop_saw(r.hop, "ADDR=192.0.2.2"));
	rig_stop(&r);
}
END_TEST

/* Many clients at once share what the route has. */
START_TEST(clients_take_turns)
{
	char addresses[40][16];
	struct ulid ids[40];
	struct rig r;

	rig_open(&r, NULL, 0, "PIPELINING\nXCLIENT NAME ADDR PORT PROTO HELO");
	r.route.xclient = true;
	r.route.max_connections = 2;
	for (int i = 0; i < 40; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "192.0.2.%d", i + 1);
		r.client = addresses[i];
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	}
	rig_deliver(&r);
	for (int i = 0; i < 40; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_eq(nexthop_connections(r.hop), 40);
	rig_stop(&r);
}
END_TEST

/*
 * One application's flood: the others have their turn with the connections that
 * there are, and that is the next one.
 */
START_TEST(a_busy_client_makes_room)
{
	static const struct nexthop_step slow = {AT_DOT, DO_DRIP, "250 2.0.0 Ok\r\n", .ms = 6};
	struct ulid ids[60], other;
	struct rig r;
	size_t waiting = 0;

	rig_open(&r, &slow, 1, "PIPELINING\nXCLIENT NAME ADDR PORT PROTO HELO");
	r.route.xclient = true;
	r.route.max_connections = 1;
	r.client = "192.0.2.1";
	for (size_t i = 0; i < 60; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	r.client = "192.0.2.2";
	other = rig_accept_plain(&r, "bob@ok.test");
	rig_deliver(&r);
	rig_await(&r, &other, "bob@ok.test", STATE_DELIVERED);
	for (size_t i = 0; i < 60; i++)
		waiting += rig_recipient(&r, &ids[i], "ann@ok.test")->state != STATE_DELIVERED;
	ck_assert_uint_ge(waiting, 25);
	for (size_t i = 0; i < 60; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/pool", connections_are_used_again_and_limited,
	  a_stale_connection_is_dialled_again_without_an_attempt,
	  a_poison_message_does_not_block_the_others, an_end_behind_the_last_reply_is_no_outage,
	  a_dead_next_hop_is_not_hammered, a_pool_of_dead_connections_costs_no_attempt,
	  a_pooled_connection_that_went_silent_costs_no_attempt,
	  a_next_hop_that_takes_one_message_a_connection_gets_them_all,
	  a_dead_connection_under_old_options_costs_no_attempt,
	  an_outage_counts_once_however_many_notice, connections_that_die_together_count_once,
	  the_rest_grows_with_each_outage, the_source_address_is_where_we_come_from,
	  a_source_address_that_is_not_ours_means_no_mail, no_connection_serves_two_clients,
	  clients_take_turns, a_busy_client_makes_room)
