/* tests relay/deliver/: mail in hand, its lease, and what stands still */
#include <config.h> /* usleep */

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/act.h"
#include "queue/delivery.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

/* The one number a statement answers, asked by a stranger. */
static int64_t ask_sql(struct rig *r, const char *sql)
{
	sqlite3_stmt *statement;
	char path[128];
	sqlite3 *db;
	int64_t value;

	snprintf(path, sizeof(path), "%s/stagepost.db", r->folder);
	ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

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
	first = ask_sql(&r, "SELECT lease_until FROM recipient");
	lease = ask_sql(&r, "SELECT lease FROM recipient");
	ck_assert_int_le(first, clock_wall_ms() + 2000);
	while (clock_wall_ms() <= first)
		usleep(50000);
	ck_assert_int_gt(ask_sql(&r, "SELECT lease_until FROM recipient"), clock_wall_ms());
	ck_assert_int_eq(ask_sql(&r, "SELECT lease FROM recipient"), lease);
	claim.now = clock_wall_ms();
	ck_assert_int_eq(store_wait(r.store, queue_claim, &claim.job, &why), ERR_OK);
	ck_assert_uint_eq(claim.message_count, 0);
	arena_free(&claim.arena);
	nexthop_go(r.hop);
	ck_assert_int_eq(rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED)->attempts, 1);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
	ck_assert_int_eq(ask_sql(&r, "SELECT count(*) FROM recipient WHERE lease IS NOT NULL"), 0);
	rig_stop(&r);
}
END_TEST

START_TEST(a_pause_stops_delivery_and_resume_goes_on)
{
	struct pause pause = {.paused = true, .actor = "test"};
	struct err why;
	struct rig r;
	struct ulid id;

	rig_start(&r, NULL, 0, NULL);
	ck_assert_int_eq(store_wait(r.store, queue_pause, &pause.job, &why), ERR_OK);
	id = rig_accept_plain(&r, "ann@ok.test");
	usleep(300000);
	ck_assert_int_eq(rig_recipient(&r, &id, "ann@ok.test")->state, STATE_QUEUED);
	ck_assert_int_eq(nexthop_connections(r.hop), 0);
	pause = (struct pause){.paused = false, .actor = "test"};
	ck_assert_int_eq(store_wait(r.store, queue_pause, &pause.job, &why), ERR_OK);
	rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
	rig_stop(&r);
}
END_TEST

/* The route's pause holds what is in hand already: nothing is sent behind it. */
START_TEST(a_paused_route_sends_nothing)
{
	static const struct nexthop_step step = {AT_DOT, DO_PAUSE};
	struct pause pause = {.route = "default", .paused = true, .actor = "test"};
	struct route_status status;
	struct ulid ids[10];
	struct err why;
	struct rig r;
	int queued = 0;

	rig_open(&r, &step, 1, NULL);
	r.route.max_connections = 1;
	rig_deliver(&r);
	for (size_t i = 0; i < 10; i++)
		ids[i] = rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_DOT, 1, RIG_WAIT_MS));
	ck_assert_int_eq(store_wait(r.store, queue_pause, &pause.job, &why), ERR_OK);
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

UNIT_MAIN("deliver/pause", a_long_delivery_keeps_its_lease,
	  a_pause_stops_delivery_and_resume_goes_on, a_paused_route_sends_nothing)
