/* tests relay/deliver/host.c: whose turn it is, who rests, who is probed */
#include "relay/deliver/host.h"

#include <string.h>

#include "tests/unit/unit.h"

/* Three hosts, in order (failover) or side by side (round-robin). */
struct three {
	struct host hosts[3];
	struct target targets[3];
};

static void three_init(struct three *t, bool in_order)
{
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < 3; i++)
		t->targets[i] = (struct target){&t->hosts[i], in_order ? i : 0};
}

START_TEST(the_first_that_is_well_is_chosen)
{
	struct three t;

	three_init(&t, true);
	t.hosts[0].idle = 5;
	ck_assert_ptr_eq(target_choose(t.targets, 3), &t.hosts[0]);
	host_fail(&t.hosts[0], 0, 100, 0, "refused");
	ck_assert_ptr_eq(target_choose(t.targets, 3), &t.hosts[1]);
	ck_assert_uint_eq(target_best_rank(t.targets, 3), 1);
	host_fail(&t.hosts[1], 0, 100, 0, "refused");
	host_fail(&t.hosts[2], 0, 100, 0, "refused");
	ck_assert_ptr_null(target_choose(t.targets, 3));
	ck_assert_uint_eq(target_best_rank(t.targets, 3), SIZE_MAX);
	ck_assert_ptr_null(target_choose(t.targets, 0));
}
END_TEST

START_TEST(turns_go_round)
{
	struct three t;
	size_t got[3] = {0};

	three_init(&t, false);
	for (int i = 0; i < 30; i++) {
		struct host *host = target_choose(t.targets, 3);

		got[host - t.hosts]++;
		host->given++;
	}
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(got[i], 10);
	t.hosts[0].busy = t.hosts[1].idle = 1;
	ck_assert_ptr_eq(target_choose(t.targets, 3), &t.hosts[2]);
}
END_TEST

START_TEST(rests_double_up_to_a_minute)
{
	static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct host host = {.failures = 0};
	int64_t now = 1000000;

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		host_fail(&host, now, now, 0, "x");
		ck_assert_int_eq(host.rest_until_ms - now, waits[i]);
		ck_assert(host_is_resting(&host, now + waits[i] - 1));
		ck_assert(!host_is_resting(&host, now + waits[i]));
		now += 100000;
	}
	host.failures = 0;
	for (uint32_t random = 0; random < 4000000000U; random += 99999989) {
		host.failures = 0;
		host_fail(&host, now, now, random, "x");
		ck_assert_int_ge(host.rest_until_ms - now, 1000);
		ck_assert_int_le(host.rest_until_ms - now, 1200);
	}
}
END_TEST

/* Four connections meet one outage. */
START_TEST(an_outage_counts_once)
{
	struct host host = {.failures = 0};

	for (int i = 0; i < 4; i++)
		host_fail(&host, 500, 1000 + i, 0, "x");
	ck_assert_int_eq(host.failures, 1);
	host_fail(&host, 3000, 3100, 0, "y");
	ck_assert_int_eq(host.failures, 2);
	ck_assert_str_eq(host.last_error, "y");
}
END_TEST

START_TEST(who_had_trouble_is_probed_by_one_connection)
{
	struct three t;

	three_init(&t, true);
	ck_assert_ptr_null(target_probe(t.targets, 3, 100));
	host_fail(&t.hosts[0], 0, 100, 0, "x");
	ck_assert_ptr_null(target_probe(t.targets, 3, 1099));
	ck_assert_ptr_eq(target_probe(t.targets, 3, 1100), &t.hosts[0]);
	t.hosts[0].opening = 1;
	ck_assert_ptr_null(target_probe(t.targets, 3, 1100));
	t.hosts[0].opening = 0;
	/* What comes after one that is well is not wanted back. */
	host_fail(&t.hosts[2], 0, 100, 0, "x");
	ck_assert_ptr_eq(target_probe(t.targets, 3, 1100), &t.hosts[0]);
	target_recovered(t.targets, 3, &t.hosts[0]);
	ck_assert_ptr_null(target_probe(t.targets, 3, 1100));
	/* All had trouble: the one whose trouble is the longest ago. */
	host_fail(&t.hosts[1], 200, 300, 0, "x");
	host_fail(&t.hosts[0], 400, 500, 0, "x");
	ck_assert_ptr_eq(target_probe(t.targets, 3, 9000), &t.hosts[2]);
}
END_TEST

/* It takes its turn with the others and does not make up for what it missed. */
START_TEST(who_comes_back_takes_its_turn)
{
	struct three t;

	three_init(&t, false);
	t.hosts[1].given = 100;
	t.hosts[2].given = 101;
	host_fail(&t.hosts[0], 0, 100, 0, "x");
	target_recovered(t.targets, 3, &t.hosts[0]);
	ck_assert(host_is_well(&t.hosts[0]));
	ck_assert_uint_eq(t.hosts[0].given, 100);
}
END_TEST

START_TEST(mail_is_not_kept_for_what_was_tried)
{
	struct three t;

	three_init(&t, true);
	for (size_t i = 0; i < 3; i++)
		host_fail(&t.hosts[i], 0, 1000 + (int64_t)i, 0, "x");
	/* It has waited since before the failures: all were tried for it. */
	ck_assert(!target_is_any_usable(t.targets, 3, 60000, 900));
	/* Came later: the first was not tried for it. */
	ck_assert(target_is_any_usable(t.targets, 3, 60000, 1001));
	ck_assert(!target_is_any_usable(t.targets, 3, 1999, 1500));
	ck_assert(!target_is_any_usable(t.targets, 0, 60000, 0));
}
END_TEST

UNIT_MAIN("deliver/host", the_first_that_is_well_is_chosen, turns_go_round,
	  rests_double_up_to_a_minute, an_outage_counts_once,
	  who_had_trouble_is_probed_by_one_connection, who_comes_back_takes_its_turn,
	  mail_is_not_kept_for_what_was_tried)
