/* tests queue/act.c and remove.c: what persons do */
#include <config.h>

#include <stdio.h>
#include <unistd.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static bool allow(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	(void)subject;
	*ruling_out = (struct ruling){"deliver", "allowed by *", 9, 12, NULL, NULL};
	++*(int *)ctx;
	return true;
}

static bool refuse(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	(void)subject;
	*ruling_out = (struct ruling){"drop", "no entry allows it", 0, 12, NULL, NULL};
	++*(int *)ctx;
	return false;
}

START_TEST(hold_release_cancel_retry)
{
	struct arena *arena = arena_new();
	int judged = 0;
	struct act_judge judge = {allow, &judged};
	struct fixture f;
	struct act act = {.reason = "wait for the release"};
	struct message_view view;
	struct claim claim;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 2);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_OK);
	ck_assert_uint_eq(act.changed, 2);
	claim = claim_at(&f, NOW, 10);
	ck_assert_uint_eq(claim.message_count, 0);
	arena_free(&claim.arena);
	view = show(&f, &id, arena);
	ck_assert_int_eq(view.recipients[0].state, STATE_HELD);
	ck_assert_str_eq(view.recipients[0].reason, "wait for the release");
	ck_assert_uint_eq(view.recipients[0].history_count, 2);
	ck_assert_str_eq(view.recipients[0].history[1].event, "held");
	ck_assert_str_eq(view.recipients[0].history[1].actor, "token:test");

	/* Twice is refused: nothing changes. */
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_CONFLICT);
	ck_assert_str_eq(act.job.why.text, "a held recipient can't be held");
	ck_assert_uint_eq(act.refused, 2);

	act = (struct act){.judge = &judge};
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_int_eq(judged, 2);
	view = show(&f, &id, arena);
	ck_assert_int_eq(view.recipients[1].state, STATE_QUEUED);
	ck_assert_str_eq(view.recipients[1].ruling.reason, "allowed by *");
	ck_assert_str_eq(view.recipients[1].reason, "released by token:test");
	ck_assert_int_eq(view.recipients[1].next_attempt_at, NOW + 7);
	ck_assert_str_eq(view.recipients[1].history[0].reason, "allowed by example.com");

	act = (struct act){0};
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_CANCEL, &act), ERR_OK);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_CANCELLED);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RETRY, &act), ERR_CONFLICT);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* DESIGN P1: a person's release is no way around the list. */
START_TEST(release_passes_the_same_check)
{
	int judged = 0;
	struct act_judge judge = {refuse, &judged};
	struct fixture f;
	struct act act = {0};
	struct ulid id;

	fixture_open(&f);
	ck_assert_int_eq(accept_one(f.store, 10, 0, 1, STATE_DROPPED, &id), ERR_OK);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_CONFLICT);
	act.judge = &judge;
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_CONFLICT);
	ck_assert_str_eq(act.job.why.text, "r0@example.com is not allowed: no entry allows it");
	ck_assert_int_eq(judged, 1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DROPPED);
	/* A retry would not judge: it is refused for what the list dropped. */
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RETRY, &act), ERR_CONFLICT);
	judge.judge = allow;
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_QUEUED);
	fixture_remove(&f);
}
END_TEST

START_TEST(only_the_named_recipients)
{
	const char *names[] = {"r1@EXAMPLE.com"};
	const char *wrong_case[] = {"R1@example.com"};
	struct fixture f;
	struct act act = {.addresses = names, .address_count = 1};
	struct ulid id;
	struct ulid unknown = ulid_new(NOW);

	fixture_open(&f);
	id = accept_queued(&f, 3);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_OK);
	ck_assert_uint_eq(act.changed, 1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_QUEUED);
	ck_assert_int_eq(state_of(&f, &id, 1), STATE_HELD);
	act.addresses = wrong_case;
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_NOT_FOUND);
	act = (struct act){0};
	ck_assert_int_eq(act_on(&f, &unknown, TRANSITION_HOLD, &act), ERR_NOT_FOUND);
	fixture_remove(&f);
}
END_TEST

static const struct {
	enum transition act;
	enum transition outcome;
	enum state state;
	size_t history; /* accepted, the wish, the outcome, perhaps how the wish came true */
} wishes[] = {
	{TRANSITION_CANCEL, TRANSITION_DELIVER, STATE_DELIVERED, 3},
	{TRANSITION_CANCEL, TRANSITION_DEFER, STATE_CANCELLED, 4},
	{TRANSITION_CANCEL, TRANSITION_FAIL, STATE_FAILED, 3},
	{TRANSITION_CANCEL, TRANSITION_UNCLAIM, STATE_CANCELLED, 3},
	{TRANSITION_HOLD, TRANSITION_DELIVER, STATE_DELIVERED, 3},
	{TRANSITION_HOLD, TRANSITION_DEFER, STATE_HELD, 4},
	{TRANSITION_HOLD, TRANSITION_UNCLAIM, STATE_HELD, 3},
};

START_TEST(a_wish_in_flight_waits_for_the_outcome)
{
	struct arena *arena = arena_new();
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		struct ulid id = accept_queued(&f, 1);
		struct claimed_recipient claimed = claim_single(&f);
		struct act act = {0};
		struct message_view view;

		ck_assert_int_eq(act_on(&f, &id, wishes[i].act, &act), ERR_OK);
		ck_assert_uint_eq(act.changed, 0);
		ck_assert_uint_eq(act.wished, 1);
		ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERING);
		ck_assert_int_eq(act_on(&f, &id, TRANSITION_RETRY, &act), ERR_CONFLICT);
		ck_assert_uint_eq(settle_as(&f, claimed.id, claimed.lease, wishes[i].outcome), 0);
		view = show(&f, &id, arena);
		ck_assert_msg(view.recipients[0].state == wishes[i].state, "row %zu: %s", i,
			      state_name(view.recipients[0].state));
		ck_assert_int_eq(view.recipients[0].wish, WISH_NONE);
		ck_assert_uint_eq(view.recipients[0].history_count, wishes[i].history);
		ck_assert_int_eq(view.recipients[0].next_attempt_at, 0);
	}
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(wishes_grow_and_can_be_taken_back)
{
	struct fixture f;
	struct act act = {0};
	struct claimed_recipient claimed;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claimed = claim_single(&f);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_CONFLICT);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_OK);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_CANCEL, &act), ERR_OK);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_CONFLICT);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_CANCEL, &act), ERR_OK);
	settle_as(&f, claimed.id, claimed.lease, TRANSITION_DEFER);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_CANCELLED);
	fixture_remove(&f);
}
END_TEST

/* A wish survives the kill that the outcome did not. */
START_TEST(a_wish_is_kept_over_a_restart)
{
	struct fixture f;
	struct act act = {0};
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claim_single(&f);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_CANCEL, &act), ERR_OK);
	fixture_reopen(&f);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_CANCELLED);
	fixture_remove(&f);
}
END_TEST

static int delete_message(struct fixture *f, const struct ulid *id, bool when_settled,
			  bool *wished_out)
{
	struct message_delete request = {
		.message = *id, .when_settled = when_settled, .actor = "token:test", .now = NOW};
	struct err why;
	int code = store_wait(f->store, queue_message_delete, &request.job, &why);

	if (wished_out != NULL)
		*wished_out = request.wished;
	return code;
}

static bool is_gone(struct fixture *f, const struct ulid *id)
{
	struct arena *arena = arena_new();
	struct message_view view;
	int code = queue_message_show(f->reader, id, arena, &view, NULL);

	arena_free(&arena);
	return code == ERR_NOT_FOUND;
}

static void expect_empty(struct fixture *f)
{
	static const char *const tables[] = {"message", "recipient", "history"};
	struct queue_stats stats;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		char sql[64];

		snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", tables[i]);
		ck_assert_int_eq(ask_sql(f->dir, sql), 0);
	}
	store_stats(f->store, &stats);
	ck_assert_int_eq(stats.messages, 0);
	ck_assert_int_eq(stats.bytes, 0);
	for (int i = 1; i < STATE_COUNT; i++)
		ck_assert_int_eq(stats.by_state[i], 0);
	/* Bytes of large messages go bit by bit, soon. */
	for (int i = 0; i < 100; i++) {
		if (ask_sql(f->dir, "SELECT (SELECT count(*) FROM chunk)"
				    " + (SELECT count(*) FROM staging)") == 0)
			return;
		usleep(20000);
	}
	ck_abort_msg("chunks were left behind");
}

START_TEST(delete_removes_everything)
{
	struct fixture f;
	struct ulid small;
	struct ulid large;
	struct ulid again;

	fixture_open(&f);
	small = accept_queued(&f, 2);
	ck_assert_int_eq(accept_one(f.store, 3000000, 0, 1, STATE_QUEUED, &large), ERR_OK);
	ck_assert_int_eq(delete_message(&f, &small, false, NULL), ERR_OK);
	ck_assert_int_eq(delete_message(&f, &large, false, NULL), ERR_OK);
	ck_assert_int_eq(delete_message(&f, &large, false, NULL), ERR_NOT_FOUND);
	expect_empty(&f);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit"), 2);
	/* S268: the numbers of what was deleted do not come back. */
	fixture_reopen(&f);
	again = accept_queued(&f, 1);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT id FROM message"), 3);
	ck_assert_int_eq(check_body(f.reader, &again, 4096, 1), ERR_OK);
	fixture_remove(&f);
}
END_TEST

START_TEST(delete_waits_for_what_is_in_flight)
{
	struct fixture f;
	struct claim claim;
	int64_t ids[2];
	int64_t lease;
	bool wished;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 3);
	claim = claim_at(&f, NOW, 2);
	ids[0] = claim.messages[0].recipients[0].id;
	ids[1] = claim.messages[0].recipients[1].id;
	lease = claim.messages[0].recipients[0].lease;
	arena_free(&claim.arena);
	ck_assert_int_eq(delete_message(&f, &id, false, NULL), ERR_CONFLICT);
	ck_assert_int_eq(state_of(&f, &id, 2), STATE_QUEUED);
	ck_assert_int_eq(delete_message(&f, &id, true, &wished), ERR_OK);
	ck_assert(wished);
	ck_assert_int_eq(state_of(&f, &id, 2), STATE_CANCELLED);
	/* The bytes stay while somebody sends them. */
	ck_assert_uint_eq(settle_as(&f, ids[0], lease, TRANSITION_DELIVER), 0);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERED);
	ck_assert_int_eq(check_body(f.reader, &id, 4096, 1), ERR_OK);
	ck_assert_uint_eq(settle_as(&f, ids[1], lease, TRANSITION_DEFER), 0);
	ck_assert(is_gone(&f, &id));
	expect_empty(&f);
	/* Who asked for it, and then that it was done. */
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action = 'message.delete'"
					" AND actor = 'token:test'"),
			 1);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action = 'message.delete'"
					" AND actor IS NULL AND before IS NOT NULL"),
			 1);
	fixture_remove(&f);
}
END_TEST

START_TEST(a_wished_delete_is_kept_over_a_restart)
{
	struct fixture f;
	struct ulid id;
	bool wished;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claim_single(&f);
	ck_assert_int_eq(delete_message(&f, &id, true, &wished), ERR_OK);
	fixture_reopen(&f);
	ck_assert(is_gone(&f, &id));
	expect_empty(&f);
	fixture_remove(&f);
}
END_TEST

/* S259: no number of the database leads beyond a table of ours. */
START_TEST(S259_a_state_that_is_none)
{
	static const int64_t numbers[] = {0, -1, STATE_COUNT, 99, INT64_MAX, INT64_MIN};
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct act act = {0};
		char sql[128];

		id = accept_as(&f, 2, STATE_HELD);
		snprintf(sql, sizeof(sql), "UPDATE recipient SET state = %lld WHERE id & 65535 = 0",
			 (long long)numbers[i]);
		run_sql(f.dir, sql);
		ck_assert_int_eq(state_of(&f, &id, 0), 0);
		ck_assert_int_eq(state_of(&f, &id, 1), STATE_HELD);
		(void)act_on(&f, &id, TRANSITION_RELEASE, &act);
		(void)act_on(&f, &id, TRANSITION_CANCEL, &act);
		ck_assert_int_eq(state_of(&f, &id, 0), 0);
		ck_assert_int_eq(delete_message(&f, &id, false, NULL), ERR_OK);
		ck_assert(is_gone(&f, &id));
	}
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/act", hold_release_cancel_retry, release_passes_the_same_check,
	  only_the_named_recipients, a_wish_in_flight_waits_for_the_outcome,
	  wishes_grow_and_can_be_taken_back, a_wish_is_kept_over_a_restart,
	  delete_removes_everything, delete_waits_for_what_is_in_flight,
	  a_wished_delete_is_kept_over_a_restart, S259_a_state_that_is_none)
