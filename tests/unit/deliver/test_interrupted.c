/* tests relay/deliver/: people, a stop or a failing store in the middle of a delivery */
#include <config.h> /* usleep */

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/act.h"
#include "tests/unit/deliver/rig.h"
#include "tests/unit/unit.h"

enum action { ACT_CANCEL, ACT_HOLD, ACT_DELETE, ACT_UNLIST };

static void act(struct rig *r, const struct ulid *id, enum action action)
{
	static const char *const nobody[] = {NULL};
	struct act what = {.message = *id, .actor = "test", .now = clock_wall_ms()};
	struct message_delete removal = {.message = *id, .actor = "test", .now = clock_wall_ms()};
	struct err why;

	if (action == ACT_UNLIST) {
		rig_list(r, nobody);
	} else if (action == ACT_DELETE) {
		ck_assert_int_eq(store_wait(r->store, queue_message_delete, &removal.job, &why),
				 ERR_CONFLICT);
	} else {
		what.transition = action == ACT_CANCEL ? TRANSITION_CANCEL : TRANSITION_HOLD;
		ck_assert_int_eq(store_wait(r->store, queue_act, &what.job, &why), ERR_OK);
		ck_assert_uint_eq(what.wished, 1);
	}
}

/* In the middle of DATA: it arrives whole, once, and the true outcome is what is recorded. */
START_TEST(what_people_do_in_mid_data_never_truncates)
{
	static const struct nexthop_step step = {AT_BODY, DO_PAUSE, .bytes = 1000};
	size_t len = 1024 * 1024;
	char *bytes = malloc(len);

	rig_fill_lines(bytes, len);
	for (int action = ACT_CANCEL; action <= ACT_UNLIST; action++) {
		struct rig r;
		struct ulid id;

		id = rig_start_in_body(&r, &step, bytes, len);
		usleep(100000);
		act(&r, &id, (enum action)action);
		nexthop_go(r.hop);
		rig_await(&r, &id, "ann@ok.test", STATE_DELIVERED);
		usleep(100000);
		ck_assert_uint_eq(nexthop_mail_count(r.hop), 1);
		ck_assert_uint_eq(nexthop_mail(r.hop, 0)->len, len + 16);
		rig_stop(&r);
	}
	free(bytes);
}
END_TEST

/* Grace over: the connection closes without a dot, the recipient is due again, nothing was sent. */
START_TEST(stopping_in_mid_data_gives_it_back)
{
	static const struct nexthop_step step = {AT_BODY, DO_PAUSE, .bytes = 1000};
	size_t len = 16 * 1024 * 1024; /* more than the sockets hold */
	char *bytes = malloc(len);
	struct rig r;
	struct ulid id;

	rig_fill_lines(bytes, len);
	id = rig_start_in_body(&r, &step, bytes, len);
	rig_stop_delivery(&r, 200);
	rig_await(&r, &id, "ann@ok.test", STATE_DEFERRED);
	nexthop_go(r.hop);
	usleep(200000);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_stop(&r);
	free(bytes);
}
END_TEST

/* A stranger's write lock keeps the outcome out: stopping waits for its grace, not for ever. */
START_TEST(stopping_does_not_wait_for_a_locked_store)
{
	static const struct nexthop_step step = {AT_DOT, DO_PAUSE};
	char path[128];
	sqlite3 *stranger;
	struct rig r;
	int64_t began;

	rig_start(&r, &step, 1, NULL);
	rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_DOT, 1, RIG_WAIT_MS));
	snprintf(path, sizeof(path), "%s/stagepost.db", r.folder);
	ck_assert_int_eq(sqlite3_open(path, &stranger), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	nexthop_go(r.hop);
	began = clock_mono_ms();
	rig_stop_delivery(&r, 200);
	/* The store's own patience with a lock is 5 s. */
	ck_assert_int_lt(clock_mono_ms() - began, 15000);
	ck_assert_int_eq(sqlite3_close(stranger), SQLITE_OK);
	rig_stop(&r);
}
END_TEST

/* P3: what can't be written down is not sent, or all of it would be sent again after the restart.
 */
START_TEST(a_failed_store_ends_delivery)
{
	static const struct nexthop_step step = {AT_RCPT, DO_PAUSE};
	struct pause change = {.route = "other", .paused = true, .actor = "test"};
	char path[96];
	struct err why;
	struct rig r;

	rig_open(&r, &step, 1, NULL);
	r.route.max_connections = 1;
	rig_deliver(&r);
	for (size_t i = 0; i < 5; i++)
		rig_accept_plain(&r, "ann@ok.test");
	ck_assert(nexthop_wait_stage(r.hop, AT_RCPT, 1, RIG_WAIT_MS));
	snprintf(path, sizeof(path), "%s/stagepost.db", r.folder);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(store_wait(r.store, queue_pause, &change.job, &why), ERR_FATAL);
	usleep(1200000); /* the scheduler looks at least once a second */
	nexthop_go(r.hop);
	usleep(300000);
	ck_assert_uint_eq(nexthop_mail_count(r.hop), 0);
	rig_stop(&r);
}
END_TEST

UNIT_MAIN("deliver/interrupted", what_people_do_in_mid_data_never_truncates,
	  stopping_in_mid_data_gives_it_back, stopping_does_not_wait_for_a_locked_store,
	  a_failed_store_ends_delivery)
