/* tests relay/deliver/rate.c, alone and in front of a next hop */
#include <config.h> /* usleep */

#include "relay/deliver/rate.h"

#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

/* How many go from `from_ms` for `ms`, when one is always waiting. */
static int64_t count(struct rate *rate, int64_t from_ms, int64_t ms)
{
	int64_t went = 0;

	for (int64_t now = from_ms; now < from_ms + ms; now++)
		while (rate_wait_ms(rate, now) == 0) {
			rate_take(rate, now);
			went++;
		}
	return went;
}

START_TEST(so_many_a_second)
{
	static const struct {
		int64_t thousandths, ms, want;
	} cases[] = {
		{1000, 10000, 10}, {500, 20000, 10},   {100, 60000, 6},
		{2500, 10000, 25}, {50000, 2000, 100}, {1, 2000000, 2},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rate rate;
		int64_t went;

		rate_init(&rate, cases[i].thousandths, 777);
		went = count(&rate, 777, cases[i].ms);
		ck_assert_int_ge(went, cases[i].want - 1);
		ck_assert_int_le(went, cases[i].want + 1);
	}
}
END_TEST

/* A quiet night saves up a second's worth, no more. */
START_TEST(little_is_saved_up)
{
	struct rate rate;

	rate_init(&rate, 10000, 0);
	ck_assert_int_eq(count(&rate, 100000000, 1), 10);
	rate_init(&rate, 500, 0);
	ck_assert_int_eq(count(&rate, 100000000, 1), 1);
	ck_assert_int_eq(rate_wait_ms(&rate, 100000000), 2000);
}
END_TEST

START_TEST(limits_change)
{
	struct rate rate;

	rate_init(&rate, 0, 0);
	ck_assert_int_eq(rate_wait_ms(&rate, 0), 0);
	rate_take(&rate, 0);
	rate_change(&rate, 1000, 5);
	ck_assert_int_eq(count(&rate, 5, 1), 1);
	rate_change(&rate, 100000, 6);
	ck_assert_int_eq(rate_wait_ms(&rate, 6), 10);
	rate_change(&rate, 0, 7);
	ck_assert_int_eq(rate_wait_ms(&rate, 7), 0);
	/* The clock never runs backwards; if it did, nothing would come of it. */
	rate_init(&rate, 1000, 1000);
	rate_take(&rate, 1000);
	ck_assert_int_eq(rate_wait_ms(&rate, 0), 1000);
}
END_TEST

START_TEST(a_route_keeps_to_its_rate)
{
	struct ulid ids[21];
	struct rig r;
	int64_t began;

	rig_open(&r, NULL, 0, NULL);
	r.route.rate_thousandths = 20000;
	for (size_t i = 0; i < 21; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	began = clock_mono_ms();
	rig_deliver(&r);
	for (size_t i = 0; i < 21; i++)
		ck_assert_int_eq(rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED)->attempts,
				 1);
	ck_assert_int_ge(clock_mono_ms() - began, 900);
	ck_assert_int_le(clock_mono_ms() - began, 6000);
	rig_stop(&r);
}
END_TEST

/* A message that is tried again stands in front, and was counted; the one behind it was not. */
START_TEST(a_dead_connection_does_not_let_the_next_message_pass)
{
	/* Slow at first, so that there are two connections and both are used. */
	static const struct nexthop_step steps[] = {
		{AT_DOT, DO_DRIP, "250 ok\r\n", .from = 1, .to = 2, .ms = 20},
		{AT_MAIL, DO_DROP, .from = 3, .to = 3, .used = true},
	};
	struct ulid ids[5];
	struct rig r;
	int64_t began;

	rig_open(&r, steps, 2, NULL);
	r.route.rate_thousandths = 2000;
	r.route.max_connections = 2;
	for (size_t i = 0; i < 2; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	rig_deliver(&r);
	for (size_t i = 0; i < 2; i++)
		rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED);
	usleep(1100000); /* two are saved up */
	began = clock_mono_ms();
	for (size_t i = 2; i < 5; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	for (size_t i = 2; i < 5; i++)
		ck_assert_int_eq(rig_await(&r, &ids[i], "ann@ok.test", STATE_DELIVERED)->attempts,
				 1);
	ck_assert_int_ge(clock_mono_ms() - began, 400);
	/* Six when the third one met the dead connection, as it does most of the time. */
	ck_assert_int_ge(nexthop_reached(r.hop, AT_MAIL), 5);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/rate", so_many_a_second, little_is_saved_up, limits_change,
	  a_route_keeps_to_its_rate, a_dead_connection_does_not_let_the_next_message_pass)
