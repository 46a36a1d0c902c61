/* tests queue/offered.c */
#include <config.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

/* By minute; what is saved adds up, and a day later it is forgotten. */
START_TEST(what_was_offered_lately)
{
	struct offered_slot slots[OFFERED_SLOTS_MAX] = {{1000, 5}, {1001, 7}};
	struct offered offered = {
		.what = OFFERED_SAVE, .now = 1001 * 60000, .slots = slots, .count = 2};
	struct fixture f;

	fixture_open(&f);
	ck_assert_int_eq(store_wait(f.store, queue_offered, &offered.job, NULL), ERR_OK);
	ck_assert_int_eq(store_wait(f.store, queue_offered, &offered.job, NULL), ERR_OK);
	fixture_reopen(&f);
	offered.what = OFFERED_LOAD;
	ck_assert_int_eq(store_wait(f.store, queue_offered, &offered.job, NULL), ERR_OK);
	ck_assert_uint_eq(offered.count, 2);
	ck_assert(slots[0].minute == 1001 && slots[0].recipients == 14);
	ck_assert(slots[1].minute == 1000 && slots[1].recipients == 10);
	slots[0] = (struct offered_slot){1001 + 24 * 60, 1};
	offered.what = OFFERED_SAVE;
	offered.now = slots[0].minute * 60000;
	offered.count = 1;
	ck_assert_int_eq(store_wait(f.store, queue_offered, &offered.job, NULL), ERR_OK);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT sum(recipients) FROM offered"), 15);
	offered.what = OFFERED_CLEAR;
	ck_assert_int_eq(store_wait(f.store, queue_offered, &offered.job, NULL), ERR_OK);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM offered"), 0);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/offered", what_was_offered_lately)
