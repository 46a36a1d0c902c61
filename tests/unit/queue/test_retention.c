/* tests queue/sweep.c, queue/finished.c, queue/remove.c: what goes by itself, and what never does
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/backup.h"
#include "queue/check.h"
#include "queue/retention.h"
#include "queue/space.h"
#include "queue/token.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define DAY ((int64_t)86400000)

static void tell_problem(void *ctx, const char *sentence)
{
	(void)ctx;
	printf("# %s\n", sentence);
}

/* As `stagepost dbcheck` beside the store. */
static void expect_whole(struct fixture *f)
{
	struct check check = {.data_dir = f->dir, .on_problem = tell_problem};
	struct err why = {""};

	ck_assert_msg(queue_check(&check, &why) == ERR_OK, "%s", why.text);
	ck_assert_int_eq(check.problems, 0);
}

static void open_with(struct fixture *f, const struct retention_options *retention)
{
	fixture_open(f);
	f->options.retention = retention;
	fixture_reopen(f);
}

static void set_retention(struct fixture *f, const struct retention_options *retention)
{
	struct retention_set set = {.options = *retention};

	ck_assert_int_eq(store_wait(f->store, queue_retention_set, &set.job, NULL), ERR_OK);
}

static struct retention_numbers removed(struct fixture *f)
{
	struct retention_status status;

	store_retention(f->store, &status);
	return status.removed;
}

/* Until so much has gone; the test's own limit of time ends it otherwise. */
static void wait_removed(struct fixture *f, int64_t contents, int64_t messages)
{
	struct retention_numbers numbers = removed(f);

	while (numbers.contents < contents || numbers.messages < messages) {
		usleep(5000);
		numbers = removed(f);
	}
	ck_assert_int_eq(numbers.contents, contents);
	ck_assert_int_eq(numbers.messages, messages);
}

/* All that is to go has gone: one more message, which goes in the same transaction, did. */
static void let_it_look(struct fixture *f, const struct retention_options *retention)
{
	struct retention_options now = *retention;
	struct ulid id = accept_as(f, 1, STATE_DROPPED);

	now.dropped_ms = now.dropped_ms > 0 ? now.dropped_ms : 1;
	run_sql(f->dir, "UPDATE finished SET at = 1 WHERE message = (SELECT max(id) FROM message)");
	set_retention(f, &now);
	while (check_body(f->reader, &id, 4096, 1) == ERR_OK)
		usleep(5000);
}

static int64_t kinds_of(struct fixture *f, const struct ulid *id)
{
	char sql[200] = "SELECT coalesce((SELECT kinds FROM finished WHERE message ="
			" (SELECT id FROM message WHERE hex(uid) = '";

	for (size_t i = 0; i < sizeof(id->bytes); i++)
		snprintf(sql + strlen(sql), 3, "%02X", id->bytes[i]);
	snprintf(sql + strlen(sql), 20, "')), 0)");
	return ask_sql(f->dir, sql);
}

static void settle_all(struct fixture *f, enum transition outcome)
{
	struct claim claim = claim_at(f, NOW + 1000, 100);

	for (size_t i = 0; i < claim.messages[0].recipient_count; i++)
		settle_as(f, claim.messages[0].recipients[i].id,
			  claim.messages[0].recipients[i].lease, outcome);
	arena_free(&claim.arena);
}

/* A message that was delivered just now. */
static struct ulid accept_delivered(struct fixture *f)
{
	struct ulid id = accept_queued(f, 1);

	settle_all(f, TRANSITION_DELIVER);
	return id;
}

static bool judge_yes(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	(void)ctx;
	(void)subject;
	*ruling_out = (struct ruling){.verdict = "deliver", .reason = "yes"};
	return true;
}

/* --- which messages are done with ------------------------------------------------------------ */

START_TEST(each_end_is_noted_and_each_way_back)
{
	const struct act_judge judge = {.judge = judge_yes};
	struct act act = {.judge = &judge};
	struct fixture f;
	struct ulid dropped, held, failed, mixed;

	fixture_open(&f);
	dropped = accept_as(&f, 2, STATE_DROPPED);
	ck_assert_int_eq(kinds_of(&f, &dropped), 2);
	held = accept_as(&f, 2, STATE_HELD);
	ck_assert_int_eq(kinds_of(&f, &held), 0);
	ck_assert_int_eq(act_on(&f, &held, TRANSITION_CANCEL, &act), ERR_OK);
	ck_assert_int_eq(kinds_of(&f, &held), 2);
	failed = accept_queued(&f, 3);
	settle_all(&f, TRANSITION_FAIL);
	ck_assert_int_eq(kinds_of(&f, &failed), 4);
	ck_assert_int_eq(act_on(&f, &failed, TRANSITION_RETRY, &act), ERR_OK);
	ck_assert_int_eq(kinds_of(&f, &failed), 0);
	settle_all(&f, TRANSITION_DEFER);
	ck_assert_int_eq(kinds_of(&f, &failed), 0);
	ck_assert_int_eq(act_on(&f, &failed, TRANSITION_CANCEL, &act), ERR_OK);
	ck_assert_int_eq(kinds_of(&f, &failed), 2);
	mixed = accept_queued(&f, 3);
	expect_whole(&f);
	{
		struct claim claim = claim_at(&f, NOW, 100);
		struct claimed_recipient *r = claim.messages[0].recipients;

		settle_as(&f, r[2].id, r[2].lease, TRANSITION_DELIVER);
		settle_as(&f, r[0].id, r[0].lease, TRANSITION_FAIL);
		ck_assert_int_eq(kinds_of(&f, &mixed), 0);
		settle_as(&f, r[1].id, r[1].lease, TRANSITION_DROP);
		arena_free(&claim.arena);
	}
	ck_assert_int_eq(kinds_of(&f, &mixed), 7);
	ck_assert_int_eq(act_on(&f, &dropped, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_int_eq(kinds_of(&f, &dropped), 0);
	expect_whole(&f);
	fixture_reopen(&f);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

START_TEST(a_redirect_leads_to_who_stands_for_it)
{
	const struct act_judge judge = {.judge = judge_yes};
	struct act act = {.judge = &judge, .to = "qa@team.test"};
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_as(&f, 2, STATE_DROPPED);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_int_eq(kinds_of(&f, &id), 0);
	{
		struct claim claim = claim_at(&f, NOW + 1000, 100);

		settle_as(&f, claim.messages[0].recipients[0].id,
			  claim.messages[0].recipients[0].lease, TRANSITION_FAIL);
		arena_free(&claim.arena);
	}
	ck_assert_int_eq(kinds_of(&f, &id), 1 + 4);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

/* Those of a message that has thousands end a hundred at a time. */
START_TEST(many_recipients_are_looked_at_once_each)
{
	enum { MANY = 3000 };
	struct fixture f;
	struct ulid id;
	int64_t started;

	fixture_open(&f);
	id = accept_queued(&f, MANY);
	started = clock_mono_ms();
	for (int left = MANY; left > 0;) {
		struct claim claim = claim_at(&f, NOW, 100);
		struct settlement settlements[100];
		struct settle settle = {.now = NOW, .settlements = settlements};

		ck_assert_int_eq(kinds_of(&f, &id), 0);
		for (; settle.count < claim.messages[0].recipient_count; settle.count++)
			settlements[settle.count] = (struct settlement){
				.recipient = claim.messages[0].recipients[settle.count].id,
				.lease = claim.messages[0].recipients[settle.count].lease,
				.outcome = TRANSITION_DELIVER,
				.reason = "ok"};
		ck_assert_int_eq(store_wait(f.store, queue_settle, &settle.job, NULL), ERR_OK);
		left -= (int)settle.count;
		arena_free(&claim.arena);
	}
	printf("# %d recipients in %lld ms\n", MANY, (long long)(clock_mono_ms() - started));
	ck_assert_int_eq(kinds_of(&f, &id), 1);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

/* --- ages ------------------------------------------------------------------------------------ */

START_TEST(content_goes_first_and_the_rest_later)
{
	const struct retention_options ages = {.delivered_ms = 7 * DAY,
					       .dropped_ms = 3 * DAY,
					       .failed_ms = 30 * DAY,
					       .metadata_ms = 90 * DAY};
	const struct act_judge judge = {.judge = judge_yes};
	struct act act = {.judge = &judge};
	struct queue_stats before, after;
	struct arena *arena = arena_new();
	struct message_view view;
	struct fixture f;
	struct ulid dropped, delivered;
	char sql[200];

	open_with(&f, &ages);
	delivered = accept_delivered(&f);
	dropped = accept_as(&f, 1, STATE_DROPPED);
	store_stats(f.store, &before);
	/* Four days old: that is the end for what was dropped. */
	snprintf(sql, sizeof(sql), "UPDATE finished SET at = %lld",
		 (long long)(clock_wall_ms() - 4 * DAY));
	fixture_close(&f);
	run_sql(f.dir, sql);
	fixture_reopen(&f);
	wait_removed(&f, 1, 0);
	ck_assert_int_eq(check_body(f.reader, &dropped, 4096, 1), ERR_NOT_FOUND);
	ck_assert_int_eq(check_body(f.reader, &delivered, 4096, 1), ERR_OK);
	view = show(&f, &dropped, arena);
	ck_assert_int_gt(view.m.removed_at, clock_wall_ms() - 60000);
	ck_assert_int_eq(view.recipients[0].state, STATE_DROPPED);
	ck_assert_str_eq(view.m.subject, "Hello");
	store_stats(f.store, &after);
	ck_assert_int_eq(after.messages, before.messages);
	ck_assert_int_eq(after.bytes, before.bytes - 4096);
	/* There is nothing to be sent any more. */
	ck_assert_int_eq(act_on(&f, &dropped, TRANSITION_RELEASE, &act), ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(act.job.why.text, "content"));
	expect_whole(&f);
	/* A hundred days: nothing of either is left. */
	snprintf(sql, sizeof(sql), "UPDATE finished SET at = %lld",
		 (long long)(clock_wall_ms() - 100 * DAY));
	fixture_close(&f);
	run_sql(f.dir, sql);
	fixture_reopen(&f);
	wait_removed(&f, 0, 2);
	store_stats(f.store, &after);
	ck_assert_int_eq(after.messages, 0);
	ck_assert_int_eq(after.bytes, 0);
	ck_assert_int_eq(after.by_state[STATE_DELIVERED] + after.by_state[STATE_DROPPED], 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT (SELECT count(*) FROM chunk)"
					" + (SELECT count(*) FROM recipient)"
					" + (SELECT count(*) FROM history)"
					" + (SELECT count(*) FROM finished)"),
			 0);
	expect_whole(&f);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* By whatever time: it is not done with. */
START_TEST(what_waits_never_goes)
{
	const struct retention_options ages = {
		.delivered_ms = 1, .dropped_ms = 1, .failed_ms = 1, .metadata_ms = 1};
	struct fixture f;
	struct ulid ids[3];

	open_with(&f, &ages);
	ids[0] = accept_as(&f, 2, STATE_HELD);
	ids[1] = accept_as(&f, 2, STATE_SCREENING);
	ids[2] = accept_queued(&f, 1);
	fixture_close(&f);
	run_sql(f.dir, "UPDATE message SET received_at = 1;"
		       "UPDATE recipient SET updated_at = 1, waiting_since = 1");
	fixture_reopen(&f);
	let_it_look(&f, &ages);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(check_body(f.reader, &ids[i], 4096, 1), ERR_OK);
	/* Not even when somebody wrote into the table by hand. */
	fixture_close(&f);
	run_sql(f.dir, "INSERT INTO finished SELECT id, 1, 1 FROM message");
	fixture_reopen(&f);
	let_it_look(&f, &ages);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(check_body(f.reader, &ids[i], 4096, 1), ERR_OK);
	expect_whole(&f);
	/* With a worker: not either; and after that it does. */
	{
		struct claimed_recipient claimed = claim_single(&f);

		let_it_look(&f, &ages);
		ck_assert_int_eq(check_body(f.reader, &ids[2], 4096, 1), ERR_OK);
		ck_assert_uint_eq(settle_as(&f, claimed.id, claimed.lease, TRANSITION_DELIVER), 0);
	}
	run_sql(f.dir, "UPDATE finished SET at = 1");
	let_it_look(&f, &ages);
	ck_assert_int_eq(check_body(f.reader, &ids[2], 4096, 1), ERR_NOT_FOUND);
	fixture_remove(&f);
}
END_TEST

START_TEST(the_longest_age_of_its_recipients_counts)
{
	const struct retention_options ages = {.delivered_ms = DAY, .failed_ms = 10 * DAY};
	struct retention_options longer = ages;
	struct fixture f;
	struct ulid id;
	char sql[200];

	open_with(&f, &ages);
	id = accept_queued(&f, 2);
	{
		struct claim claim = claim_at(&f, NOW, 100);
		struct claimed_recipient *r = claim.messages[0].recipients;

		settle_as(&f, r[0].id, r[0].lease, TRANSITION_FAIL);
		settle_as(&f, r[1].id, r[1].lease, TRANSITION_DELIVER);
		arena_free(&claim.arena);
	}
	snprintf(sql, sizeof(sql), "UPDATE finished SET at = %lld",
		 (long long)(clock_wall_ms() - 5 * DAY));
	run_sql(f.dir, sql);
	let_it_look(&f, &ages);
	ck_assert_int_eq(check_body(f.reader, &id, 4096, 1), ERR_OK);
	/* Off is for ever. */
	longer.failed_ms = 0;
	snprintf(sql, sizeof(sql), "UPDATE finished SET at = %lld WHERE kinds = 5",
		 (long long)(clock_wall_ms() - 500 * DAY));
	set_retention(&f, &longer);
	run_sql(f.dir, sql);
	let_it_look(&f, &longer);
	ck_assert_int_eq(check_body(f.reader, &id, 4096, 1), ERR_OK);
	set_retention(&f, &ages);
	while (check_body(f.reader, &id, 4096, 1) == ERR_OK)
		usleep(5000);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

/* A message of many pieces goes piece by piece, also over a restart. */
START_TEST(large_content_goes_in_pieces)
{
	const struct retention_options ages = {.dropped_ms = 1};
	struct queue_stats stats;
	struct fixture f;

	open_with(&f, &ages);
	ck_assert_int_eq(accept_one(f.store, 9 << 20, 3, 1, STATE_DROPPED, NULL), ERR_OK);
	run_sql(f.dir, "UPDATE finished SET at = 1");
	wait_removed(&f, 1, 0);
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.bytes, 0);
	fixture_reopen(&f);
	while (ask_sql(f.dir, "SELECT count(*) FROM chunk") > 0)
		usleep(5000);
	while (ask_sql(f.dir, "SELECT count(*) FROM staging") > 0)
		usleep(5000);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

START_TEST(many_recipients_go_in_pieces)
{
	enum { MANY = 3500 };
	const struct retention_options ages = {.dropped_ms = 1, .metadata_ms = 1};
	struct queue_stats stats;
	struct fixture f;

	open_with(&f, &ages);
	accept_as(&f, MANY, STATE_DROPPED);
	run_sql(f.dir, "UPDATE finished SET at = 1");
	wait_removed(&f, 0, 1);
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.messages, 0);
	ck_assert_int_eq(stats.by_state[STATE_DROPPED], 0);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

static bool take_audit(void *ctx, const struct audit_row *audit)
{
	char *text = ctx;

	if (strcmp(audit->action, "retention.sweep") == 0)
		sprintf(text + strlen(text), "%s %s;", audit->actor, audit->after);
	return true;
}

static void count_swept(void *ctx, const struct retention_numbers *numbers)
{
	struct watch *watch = ctx;

	watch->due += (int)numbers->messages;
}

/* One line for all of a sweep; what comes in the hour after it waits for the next, or the end. */
START_TEST(the_trail_tells_of_it)
{
	const struct retention_options none = {.max_messages = 0};
	const struct retention_options cap = {.max_messages = 2};
	char text[1000] = "";
	struct fixture f;

	fixture_open_with(&f, &(struct store_options){.on_swept = count_swept});
	f.options.ctx = &f.watch;
	f.options.retention = &none;
	fixture_reopen(&f);
	for (int i = 0; i < 12; i++)
		accept_as(&f, 1, STATE_DROPPED);
	set_retention(&f, &cap);
	wait_removed(&f, 0, 10);
	while (f.watch.due < 10)
		usleep(5000);
	ck_assert_int_eq(queue_audit_list(f.reader, 0, 50, take_audit, text, NULL), ERR_OK);
	ck_assert_str_eq(text, "retention {\"contents\":0,\"messages\":10,\"bytes\":40960};");
	accept_as(&f, 1, STATE_DROPPED);
	wait_removed(&f, 0, 11);
	fixture_reopen(&f);
	text[0] = '\0';
	ck_assert_int_eq(queue_audit_list(f.reader, 0, 50, take_audit, text, NULL), ERR_OK);
	ck_assert_str_eq(text, "retention {\"contents\":0,\"messages\":1,\"bytes\":4096};"
			       "retention {\"contents\":0,\"messages\":10,\"bytes\":40960};");
	ck_assert_int_eq(f.watch.due, 11);
	fixture_remove(&f);
}
END_TEST

/* --- caps --------------------------------------------------------------------------------------
 */

START_TEST(S279_too_many_messages)
{
	const struct retention_options cap = {.max_messages = 10};
	struct store_space space;
	struct queue_stats stats;
	struct fixture f;
	struct ulid first, last;
	struct err why;

	open_with(&f, &cap);
	first = accept_as(&f, 1, STATE_HELD);
	for (int i = 0; i < 29; i++)
		last = accept_as(&f, 1, STATE_DROPPED);
	wait_removed(&f, 0, 20);
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.messages, 10);
	/* The oldest went, but not what waits. */
	ck_assert_int_eq(check_body(f.reader, &first, 4096, 1), ERR_OK);
	ck_assert_int_eq(check_body(f.reader, &last, 4096, 1), ERR_OK);
	/* Nothing but what waits is left: then it is full. */
	for (int i = 0; i < 9; i++)
		accept_as(&f, 1, STATE_HELD);
	wait_removed(&f, 0, 29);
	ck_assert_int_eq(accept_one(f.store, 100, 0, 1, STATE_HELD, NULL), ERR_FULL);
	do {
		usleep(5000);
		store_space(f.store, &space);
	} while (space.full != SPACE_MESSAGES);
	ck_assert_int_eq(store_room(f.store, 1, &why), ERR_FULL);
	ck_assert_ptr_nonnull(strstr(why.text, "retention.max_messages"));
	/* Room made is room at once. */
	{
		struct message_delete request = {.message = first, .now = NOW};

		ck_assert_int_eq(store_wait(f.store, queue_message_delete, &request.job, NULL),
				 ERR_OK);
	}
	ck_assert_int_eq(accept_one(f.store, 100, 0, 1, STATE_HELD, NULL), ERR_OK);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

START_TEST(S279_too_many_bytes)
{
	const struct retention_options cap = {.max_bytes = 4 << 20, .headroom_bytes = 1 << 20};
	struct store_space space;
	struct fixture f;
	struct ulid oldest, held;
	struct err why;
	int code = ERR_OK;

	open_with(&f, &cap);
	held = accept_as(&f, 1, STATE_HELD);
	ck_assert_int_eq(accept_one(f.store, 100000, 7, 1, STATE_DROPPED, &oldest), ERR_OK);
	/* Five times what there is room for. */
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(accept_one(f.store, 100000, 0, 1, STATE_DROPPED, NULL), ERR_OK);
	ck_assert_int_eq(check_body(f.reader, &oldest, 100000, 7), ERR_NOT_FOUND);
	ck_assert_int_eq(check_body(f.reader, &held, 4096, 1), ERR_OK);
	store_space(f.store, &space);
	ck_assert_int_eq(space.max_bytes, 4 << 20);
	ck_assert_int_le(space.database_bytes - space.unused_bytes, 4 << 20);
	/* What waits stays, up to the very cap. */
	while (code == ERR_OK)
		code = accept_one(f.store, 100000, 0, 1, STATE_HELD, NULL);
	ck_assert_int_eq(code, ERR_FULL);
	do {
		usleep(5000);
		store_space(f.store, &space);
	} while (space.full != SPACE_BYTES);
	ck_assert_int_eq(store_room(f.store, -1, &why), ERR_FULL);
	ck_assert_ptr_nonnull(strstr(why.text, "retention.max_bytes"));
	{
		struct queue_stats stats;

		store_stats(f.store, &stats);
		ck_assert_int_eq(stats.by_state[STATE_DROPPED], 0);
		ck_assert_int_gt(stats.by_state[STATE_HELD], 30);
	}
	ck_assert_int_eq(check_body(f.reader, &held, 4096, 1), ERR_OK);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

START_TEST(S255_room_for_a_size)
{
	const struct retention_options cap = {.max_bytes = 8 << 20};
	struct fixture f;
	struct err why;

	open_with(&f, &cap);
	ck_assert_int_eq(store_room(f.store, -1, &why), ERR_OK);
	ck_assert_int_eq(store_room(f.store, 0, &why), ERR_OK);
	ck_assert_int_eq(store_room(f.store, 4 << 20, &why), ERR_OK);
	ck_assert_int_eq(store_room(f.store, 6 << 20, &why), ERR_FULL);
	ck_assert_ptr_nonnull(strstr(why.text, "6291456"));
	fixture_remove(&f);
}
END_TEST

/* --- room is given back --------------------------------------------------------------------------
 */

START_TEST(S266_the_file_shrinks)
{
	const struct retention_options none = {.max_bytes = 0};
	const struct retention_options ages = {.dropped_ms = 1, .metadata_ms = 1};
	struct store_space space;
	struct fixture f;
	int64_t most;

	open_with(&f, &none);
	for (int i = 0; i < 400; i++)
		ck_assert_int_eq(accept_one(f.store, 60000, 0, 1, STATE_DROPPED, NULL), ERR_OK);
	do {
		usleep(5000);
		store_space(f.store, &space);
	} while (space.database_bytes < 20 << 20);
	most = space.database_bytes;
	run_sql(f.dir, "UPDATE finished SET at = 1");
	set_retention(&f, &ages);
	wait_removed(&f, 0, 400);
	do {
		usleep(5000);
		store_space(f.store, &space);
	} while (space.database_bytes > most / 4);
	ck_assert_int_lt(space.log_bytes, 66 << 20);
	expect_whole(&f);
	fixture_remove(&f);
}
END_TEST

/* --- clocks
 * --------------------------------------------------------------------------------------- */

/* Times of a clock that was ahead do not keep mail until it says so again. */
START_TEST(S276_times_that_lie_ahead)
{
	const struct retention_options ages = {.dropped_ms = 1};
	struct fixture f;
	struct ulid id;

	open_with(&f, NULL);
	id = accept_as(&f, 1, STATE_DROPPED);
	run_sql(f.dir, "UPDATE finished SET at = 9000000000000;"
		       "INSERT INTO meta VALUES('clock', 8999999999999)");
	f.options.retention = &ages;
	fixture_reopen(&f);
	wait_removed(&f, 1, 0);
	ck_assert_int_eq(check_body(f.reader, &id, 4096, 1), ERR_NOT_FOUND);
	fixture_remove(&f);
}
END_TEST

/* Mail that was here before retention was has a day more. */
START_TEST(the_first_day)
{
	const struct retention_options ages = {.dropped_ms = 1};
	struct retention_status status;
	struct fixture f;
	struct ulid id;

	open_with(&f, NULL);
	id = accept_as(&f, 1, STATE_DROPPED);
	run_sql(f.dir, "UPDATE finished SET at = 1");
	f.options.retention = &ages;
	fixture_reopen(&f);
	store_retention(f.store, &status);
	ck_assert_int_gt(status.waits_ms, DAY - 60000);
	usleep(300000);
	ck_assert_int_eq(check_body(f.reader, &id, 4096, 1), ERR_OK);
	fixture_remove(&f);
}
END_TEST

static void path_of(const struct fixture *f, const char *name, char path_out[128])
{
	snprintf(path_out, 128, "%s/%s", f->dir, name);
}

/* A backup takes the place of the database, as a person does it. */
static void go_back(struct fixture *f)
{
	static const char *const rests[] = {"stagepost.db", "stagepost.db-wal", "stagepost.db-shm"};
	struct backup_request request = {.actor = "test", .now = NOW};
	struct backup_status status;
	char copy[128], path[128];

	ck_assert_int_eq(store_wait(f->store, queue_backup_begin, &request.job, NULL), ERR_OK);
	do {
		usleep(5000);
		store_backup(f->store, &status);
	} while (status.state == BACKUP_COPYING);
	ck_assert_int_eq(status.state, BACKUP_READY);
	path_of(f, ".backup-under-way.db", path);
	path_of(f, "copy", copy);
	ck_assert_int_eq(link(path, copy), 0);
	fixture_close(f);
	for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
		path_of(f, rests[i], path);
		unlink(path);
	}
	path_of(f, "stagepost.db", path);
	ck_assert_int_eq(rename(copy, path), 0);
}

/* Mail of a backup that is as old as that: somebody brings it back to look at it. */
START_TEST(a_copy_that_is_brought_back)
{
	const struct retention_options never = {.dropped_ms = 36500 * DAY};
	const struct retention_options ages = {.dropped_ms = 1};
	struct retention_status status;
	struct fixture f;
	struct ulid id;

	open_with(&f, &never);
	id = accept_as(&f, 1, STATE_DROPPED);
	run_sql(f.dir, "UPDATE finished SET at = 1");
	while (ask_sql(f.dir, "SELECT count(*) FROM meta WHERE name = 'clock'") == 0)
		usleep(5000);
	go_back(&f);
	f.options.retention = &ages;
	fixture_reopen(&f);
	store_retention(f.store, &status);
	ck_assert_int_gt(status.waits_ms, DAY - 60000);
	usleep(300000);
	ck_assert_int_eq(check_body(f.reader, &id, 4096, 1), ERR_OK);
	fixture_remove(&f);
}
END_TEST

/* The machine was off for long, or its clock is wrong: who knows. Nothing goes for its age yet. */
START_TEST(S276_a_start_much_later)
{
	const struct retention_options ages = {.dropped_ms = 1};
	struct retention_status status;
	struct fixture f;
	struct ulid id;
	char sql[200];

	open_with(&f, &ages);
	fixture_close(&f);
	snprintf(sql, sizeof(sql), "UPDATE meta SET value = %lld WHERE name = 'clock'",
		 (long long)(clock_wall_ms() - 100 * DAY));
	run_sql(f.dir, sql);
	fixture_reopen(&f);
	id = accept_as(&f, 1, STATE_DROPPED);
	run_sql(f.dir, "UPDATE finished SET at = 1");
	store_retention(f.store, &status);
	ck_assert_int_gt(status.waits_ms, DAY - 60000);
	ck_assert_int_le(status.waits_ms, DAY);
	usleep(300000);
	ck_assert_int_eq(removed(&f).contents, 0);
	ck_assert_int_eq(check_body(f.reader, &id, 4096, 1), ERR_OK);
	/* The start after it is as any other. */
	fixture_reopen(&f);
	wait_removed(&f, 1, 0);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/retention", each_end_is_noted_and_each_way_back,
	  a_redirect_leads_to_who_stands_for_it, many_recipients_are_looked_at_once_each,
	  content_goes_first_and_the_rest_later, what_waits_never_goes,
	  the_longest_age_of_its_recipients_counts, large_content_goes_in_pieces,
	  many_recipients_go_in_pieces, the_trail_tells_of_it, S279_too_many_messages,
	  S279_too_many_bytes, S255_room_for_a_size, S266_the_file_shrinks,
	  S276_times_that_lie_ahead, the_first_day, a_copy_that_is_brought_back,
	  S276_a_start_much_later)
