/* tests relay/deliver/: mail in hand, its lease, and what stands still */
#include <config.h> /* usleep */

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/act.h"
#include "queue/delivery.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

/* Longer than its lease, a delivery is still its worker's: renewed, claimed by nobody else. */
START_TEST(a_long_delivery_keeps_its_lease)
{
	static const struct nexthop_step step = {AT_DOT, DO_PAUSE};
	struct claim claim = {.max_recipients = 10, .lease_ms = 1000};
	int64_t first, lease;
	struct err why;
	struct rig r;
	struct ulid id;

	rig_open(&r, &step, 1, NULL);
	r.lease_ms = 2000;
	r.route.final_reply_timeout_ms = 20000;
	rig_deliver(&r);
	id = rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_DOT, 1, RIG_WAIT_MS));
	first = ask_sql(r.folder, "SELECT lease_until FROM recipient");
	lease = ask_sql(r.folder, "SELECT lease FROM recipient");
	ck_assert_int_le(first, clock_wall_ms() + 2000);
	while (clock_wall_ms() <= first)
		usleep(50000);
	ck_assert_int_gt(ask_sql(r.folder, "SELECT lease_until FROM recipient"), clock_wall_ms());
	ck_assert_int_eq(ask_sql(r.folder, "SELECT lease FROM recipient"), lease);
	claim.now = clock_wall_ms();
	ck_assert_int_eq(store_wait(r.store, queue_claim, &claim.job, &why), ERR_OK);
	ck_assert_uint_eq(claim.message_count, 0);
	arena_free(&claim.arena);
	nexthop_go(r.hop);
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
	ck_assert_int_eq(
		ask_sql(r.folder, "SELECT count(*) FROM recipient WHERE lease IS NOT NULL"), 0);
	rig_stop(&r);
}
END_TEST

static void set_pause(struct rig *r, const char *route, bool paused)
{
	struct pause pause = {.route = route, .paused = paused, .actor = "test"};
	struct err why;

	ck_assert_int_eq(store_wait(r->store, queue_pause, &pause.job, &why), ERR_OK);
}

static int64_t parked(struct rig *r)
{
	return ask_sql(r->folder, "SELECT count(*) FROM recipient WHERE parked IS NOT NULL");
}

/* Until the scheduler has put away what it had in hand for the paused route. */
static void await_parked(struct rig *r, int64_t count)
{
	int64_t end = clock_mono_ms() + RIG_WAIT_MS;

	while (parked(r) != count) {
		ck_assert_int_lt(clock_mono_ms(), end);
		usleep(5000);
	}
}

START_TEST(a_pause_stops_delivery_and_resume_goes_on)
{
	struct rig r;
	struct ulid id;
	int64_t began;

	rig_start(&r, NULL, 0, NULL);
	set_pause(&r, NULL, true);
	id = rig_accept_plain(&r, "ann@ok.test");
	usleep(300000);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->state, STATE_QUEUED);
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	set_pause(&r, NULL, false);
	began = clock_mono_ms();
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	ck_assert_int_lt(clock_mono_ms() - began, 1000);
	rig_stop(&r);
}
END_TEST

/* The route's pause holds what is in hand already: nothing is sent behind it. */
START_TEST(a_paused_route_sends_nothing)
{
	static const struct nexthop_step step = {AT_DOT, DO_PAUSE};
	struct route_status status;
	struct ulid ids[10];
	struct rig r;
	int queued = 0;

	rig_open(&r, &step, 1, NULL);
	r.route.max_connections = 1;
	rig_deliver(&r);
	for (size_t i = 0; i < 10; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_DOT, 1, RIG_WAIT_MS));
	set_pause(&r, "default", true);
	nexthop_go(r.hop);
	rig_await(&r, &ids[0], "ann@ok.test", STATE_DELIVERED);
	for (size_t i = 1; i < 10; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_QUEUED);
	for (size_t i = 1; i < 10; i++)
		queued += rig_recipient(&r, &ids[i], "ann@ok.test")->attempts == 0;
	ck_assert_int_eq(queued, 9);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
	ck_assert_uint_eq(deliver_status(r.deliver, &status, 1), 1);
	ck_assert(status.paused);
	rig_stop(&r);
}
END_TEST

/* It is seen at once, also by a scheduler that has nothing to do; and so is its end. */
START_TEST(a_resumed_route_goes_on_within_a_second)
{
	struct route_status status = {.paused = false};
	int64_t began, changed;
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, NULL);
	usleep(100000);
	set_pause(&r, "default", true);
	began = clock_mono_ms();
	while (deliver_status(r.deliver, &status, 1) == 1 && !status.paused)
		usleep(5000);
	ck_assert_int_lt(clock_mono_ms() - began, 1000);
	id = rig_accept_plain(&r, "ann@ok.test");
	await_parked(&r, 1);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->state, STATE_QUEUED);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->next_attempt_at, 0);
	/* It is put away once and left alone: nobody claims it again. */
	changed = ask_sql(r.folder, "SELECT updated_at FROM recipient");
	usleep(1500000);
	ck_assert_int_eq(ask_sql(r.folder, "SELECT updated_at FROM recipient"), changed);
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	set_pause(&r, "default", false);
	began = clock_mono_ms();
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	ck_assert_int_lt(clock_mono_ms() - began, 1000);
	rig_stop(&r);
}
END_TEST

/* More than one piece of what is made due at a time; none is forgotten, none goes twice. */
START_TEST(all_that_was_parked_comes_back)
{
	const char *many[101] = {NULL};
	char names[100][24];
	struct queue_stats stats = {0};
	struct ulid ids[25];
	struct rig r;

	for (size_t i = 0; i < 100; i++) {
		snprintf(names[i], sizeof(names[i]), "u%zu@ok.test", i);
		many[i] = names[i];
	}
	rig_open(&r, NULL, 0, NULL);
	set_pause(&r, "default", true);
	rig_deliver(&r);
	for (size_t i = 0; i < 25; i++)
		ids[i] = rig_accept(&r, "", many, "a: b\r\n\r\n", 8);
	await_parked(&r, 2500);
	set_pause(&r, "default", false);
	for (size_t i = 0; i < 25; i++)
		rig_await(&r, &ids[i], "u99@ok.test", STATE_DELIVERED);
	for (int i = 0; i < 1000 && stats.by_state[STATE_DELIVERED] < 2500; i++) {
		usleep(10000);
		store_stats(r.store, &stats);
	}
	ck_assert_int_eq(stats.by_state[STATE_DELIVERED], 2500);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 25);
	ck_assert_int_eq(parked(&r), 0);
	rig_stop(&r);
}
END_TEST

/* Pause and resume as fast as it goes, mail all the while: nothing stays behind. */
START_TEST(quick_changes_leave_nothing_parked)
{
	struct ulid ids[200];
	struct rig r;

	rig_start(&r, NULL, 0, NULL);
	for (size_t i = 0; i < 200; i++) {
		set_pause(&r, "default", i % 2 == 0);
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	}
	for (size_t i = 0; i < 200; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 200);
	rig_stop(&r);
}
END_TEST

/* A second route goes on beside it, and the first one's mail stays where it is. */
START_TEST(a_paused_route_does_not_touch_the_others)
{
	static const char *const domains[] = {"ok.test", "fast.test", NULL};
	static const char *const fast_domains[] = {"fast.test"};
	struct route_options routes[2];
	struct ulid slow, fast;
	struct rig r;

	rig_open(&r, NULL, 0, NULL);
	rig_list(&r, domains);
	routes[0] = routes[1] = r.route;
	routes[0].name = "fast";
	routes[0].domains = fast_domains;
	r.options.routes = routes;
	r.options.route_count = 2;
	set_pause(&r, "default", true);
	rig_deliver(&r);
	slow = rig_accept_plain(&r, "ann@ok.test");
	fast = rig_accept_plain(&r, "bob@fast.test");
	rig_await(&r, &fast, "bob@fast.test", STATE_DELIVERED);
	await_parked(&r, 1);
	/* The other's resume makes all of it due; what still stands still is put away again. */
	set_pause(&r, "fast", true);
	usleep(100000);
	set_pause(&r, "fast", false);
	fast = rig_accept_plain(&r, "bob@fast.test");
	rig_await(&r, &fast, "bob@fast.test", STATE_DELIVERED);
	await_parked(&r, 1);
	ck_assert_int_eq(rig_recipient(&r, &slow, "ann@ok.test")->attempts, 0);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 2);
	rig_stop(&r);
}
END_TEST

/* The paused route is no more, by a reload or while the daemon was down: another one takes it. */
START_TEST(mail_of_a_route_that_is_gone_is_not_parked_for_ever)
{
	for (int restart = 0; restart < 2; restart++) {
		struct delivery_options next;
		struct route_options route;
		struct rig r;
		struct ulid id;

		rig_open(&r, NULL, 0, NULL);
		set_pause(&r, "default", true);
		rig_deliver(&r);
		id = rig_accept_plain(&r, "ann@ok.test");
		await_parked(&r, 1);
		route = r.route;
		route.name = "renamed";
		next = r.options;
		next.routes = &route;
		if (restart) {
			rig_stop_delivery(&r, 1000);
			r.options = next;
			rig_deliver(&r);
		} else {
			deliver_reload(r.deliver, &next, NULL, NULL);
		}
		ck_assert_str_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->route,
				 "renamed");
		rig_stop(&r);
	}
}
END_TEST

UNIT_MAIN("deliver/pause", a_long_delivery_keeps_its_lease,
	  a_pause_stops_delivery_and_resume_goes_on, a_paused_route_sends_nothing,
	  a_resumed_route_goes_on_within_a_second, all_that_was_parked_comes_back,
	  quick_changes_leave_nothing_parked, a_paused_route_does_not_touch_the_others,
	  mail_of_a_route_that_is_gone_is_not_parked_for_ever)
