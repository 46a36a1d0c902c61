/* tests queue/act_step.c, acting.c: what is done to many, and a release that reaches nobody twice
 */
#include <config.h>

#include <stdio.h>

#include "queue/news.h"
#include "queue/writer.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

/* Says yes to everything that begins as ctx says; NULL: to everything. */
static bool judge_prefix(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	bool yes = ctx == NULL || strncmp(subject->address, ctx, strlen(ctx)) == 0;

	ck_assert_int_gt(subject->recipient, 0);
	*ruling_out = (struct ruling){.verdict = yes ? "deliver" : "drop",
				      .reason = yes ? "allowed by *" : "no entry allows it",
				      .entry = yes ? 9 : 0,
				      .revision = 12};
	return yes;
}

static struct act_step step_on(struct fixture *f, enum transition transition,
			       const struct recipient_query *query, const struct act_judge *judge,
			       int64_t *ids)
{
	struct act_step step = {.transition = transition,
				.actor = "token:test",
				.now = NOW + 7,
				.judge = judge,
				.recipients = ids};

	ck_assert_int_eq(queue_recipient_ids(f->reader, query, ids, &step.count, NULL), ERR_OK);
	return step;
}

static void run(struct fixture *f, struct act_step *step)
{
	struct err why = {""};
	int code = store_wait(f->store, queue_act_step, &step->job, &why);

	ck_assert_msg(code == ERR_OK, "%s", why.text);
}

START_TEST(by_filter_and_each_once)
{
	struct recipient_query query = {.message = {.state = STATE_DROPPED}, .limit = 5};
	struct act_judge judge = {judge_prefix, NULL};
	struct queue_stats stats;
	struct act_step step;
	struct fixture f;
	int64_t ids[ACT_STEP_MAX];
	int64_t count = 0;

	fixture_open(&f);
	accept_as(&f, 4, STATE_DROPPED);
	accept_as(&f, 3, STATE_DROPPED);
	accept_as(&f, 2, STATE_QUEUED);
	ck_assert_int_eq(queue_recipient_count(f.reader, &query, &count, NULL), ERR_OK);
	ck_assert_int_eq(count, 7);

	/* A page cuts a message: the next one goes on behind it. */
	step = step_on(&f, TRANSITION_RELEASE, &query, &judge, ids);
	ck_assert_uint_eq(step.count, 5);
	step.about = "{\"state\":\"dropped\"}";
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 5);
	step.about = NULL;
	/* The same numbers again: nobody is released twice. */
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 0);
	ck_assert_uint_eq(step.refused, 5);
	ck_assert_str_eq(step.refusal.text, "a queued recipient can't be released");
	step.states = 1U << STATE_DROPPED | 1U << STATE_HELD;
	run(&f, &step);
	ck_assert_uint_eq(step.refused, 0);
	ck_assert_uint_eq(step.passed, 5);
	query.before_id = ids[4];
	step = step_on(&f, TRANSITION_RELEASE, &query, &judge, ids);
	ck_assert_uint_eq(step.count, 2);
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 2);
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.by_state[STATE_DROPPED], 0);
	ck_assert_int_eq(stats.by_state[STATE_QUEUED], 9);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action ="
					" 'recipients.release' AND json_extract(after, '$.state')"
					" = 'dropped' AND actor = 'token:test'"),
			 1);
	fixture_remove(&f);
}
END_TEST

/* Tried: what is told is what then happens, and nothing of it happened before. */
START_TEST(a_try_tells_what_will_be)
{
	static const char sql_marks[] =
		"SELECT total(events) + 1000 * count(*) + 10000 * (SELECT count(*) FROM audit) +"
		" 100000 * (SELECT count(*) FROM history) FROM recipient";
	struct recipient_query query = {.message = {.state = STATE_DROPPED}, .limit = 100};
	struct act_judge judge = {judge_prefix, NULL};
	struct queue_stats before, after;
	uint64_t entered[STATE_COUNT], entered_after[STATE_COUNT];
	char only[] = "r1@";
	struct act_step step;
	struct fixture f;
	int64_t ids[ACT_STEP_MAX];
	uint64_t told;

	fixture_open(&f);
	accept_as(&f, 3, STATE_DROPPED);
	accept_as(&f, 2, STATE_DROPPED);
	fixture_close(&f);
	/* Two of the first message are one mailbox: the second would be refused. */
	run_sql(f.dir, "UPDATE recipient SET address = 'r1@EXAMPLE.com'"
		       " WHERE address = 'r2@example.com'");
	fixture_reopen(&f);
	for (int to = 0; to < 2; to++) {
		const int64_t marks = ask_sql(f.dir, sql_marks);

		judge.ctx = to == 1 ? NULL : only;
		step = step_on(&f, TRANSITION_RELEASE, &query, &judge, ids);
		step.about = "{}";
		step.to = to == 1 ? "qa@team.test" : NULL;
		step.dry = true;
		store_stats(f.store, &before);
		counters_entered(&f.store->counters, entered);
		told = bus_end(store_news(f.store));
		run(&f, &step);
		ck_assert_uint_eq(bus_end(store_news(f.store)), told);
		counters_entered(&f.store->counters, entered_after);
		ck_assert(memcmp(entered, entered_after, sizeof(entered)) == 0);
		ck_assert_uint_eq(step.changed, to == 1 ? 3 : 2);
		ck_assert_uint_eq(step.refused, to == 1 ? 0 : 3);
		store_stats(f.store, &after);
		ck_assert(memcmp(&before, &after, sizeof(before)) == 0);
		ck_assert_int_eq(ask_sql(f.dir, sql_marks), marks);
		step.dry = false;
		run(&f, &step);
		ck_assert_uint_eq(step.changed, to == 1 ? 3 : 2);
		ck_assert_uint_eq(step.refused, to == 1 ? 0 : 3);
	}
	fixture_remove(&f);
}
END_TEST

/* P1: judged in the writer, one by one; who is refused does not keep the others. */
START_TEST(the_list_is_asked_for_each)
{
	struct recipient_query query = {.message = {.state = STATE_DROPPED}, .limit = 100};
	char only[] = "r1@";
	struct act_judge judge = {judge_prefix, only};
	struct act_step step;
	struct fixture f;
	struct ulid id;
	int64_t ids[ACT_STEP_MAX];

	fixture_open(&f);
	id = accept_as(&f, 3, STATE_DROPPED);
	step = step_on(&f, TRANSITION_RELEASE, &query, NULL, ids);
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 0);
	ck_assert_str_eq(step.refusal.text, "a release needs a judgement");
	step.judge = &judge;
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 1);
	ck_assert_uint_eq(step.refused, 2);
	ck_assert_str_eq(step.refusal.text, "r2@example.com is not allowed: no entry allows it");
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DROPPED);
	ck_assert_int_eq(state_of(&f, &id, 1), STATE_QUEUED);
	/* What an entry lets go is all that is wanted: the others are none of its business. */
	judge.ctx = NULL;
	step.entry = 8;
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 0);
	ck_assert_uint_eq(step.passed, 2);
	step.entry = 9;
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 2);
	fixture_remove(&f);
}
END_TEST

START_TEST(hold_retry_and_cancel)
{
	struct recipient_query query = {.states = 1U << STATE_QUEUED | 1U << STATE_DELIVERING,
					.limit = 100};
	struct claim claim;
	struct act_step step;
	struct fixture f;
	struct ulid id;
	int64_t ids[ACT_STEP_MAX];

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claim = claim_at(&f, NOW, 10);
	accept_queued(&f, 2);
	step = step_on(&f, TRANSITION_HOLD, &query, NULL, ids);
	ck_assert_uint_eq(step.count, 3);
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 2);
	ck_assert_uint_eq(step.wished, 1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERING);
	arena_free(&claim.arena);
	/* One that is gone is passed by. */
	ids[1] = 4711;
	step.transition = TRANSITION_CANCEL;
	run(&f, &step);
	ck_assert_uint_eq(step.changed, 1);
	ck_assert_uint_eq(step.wished, 1);
	ck_assert_uint_eq(step.passed, 1);
	fixture_remove(&f);
}
END_TEST

START_TEST(filters_of_the_page)
{
	struct recipient_query query = {.limit = 100};
	struct fixture f;
	int64_t ids[100];
	size_t count = 0;

	fixture_open(&f);
	accept_as(&f, 2, STATE_DROPPED);
	accept_as(&f, 3, STATE_HELD);
	accept_queued(&f, 1);
	query.states = 1U << STATE_DROPPED | 1U << STATE_HELD;
	ck_assert_int_eq(queue_recipient_ids(f.reader, &query, ids, &count, NULL), ERR_OK);
	ck_assert_uint_eq(count, 5);
	ck_assert_int_gt(ids[0], ids[4]);
	query.reason = "NO entry";
	ck_assert_int_eq(queue_recipient_ids(f.reader, &query, ids, &count, NULL), ERR_OK);
	ck_assert_uint_eq(count, 2);
	query.message.state = STATE_HELD;
	ck_assert_int_eq(queue_recipient_ids(f.reader, &query, ids, &count, NULL), ERR_OK);
	ck_assert_uint_eq(count, 0);
	query = (struct recipient_query){.message = {.from = "app@", .since = NOW + 1}, .limit = 9};
	ck_assert_int_eq(queue_recipient_ids(f.reader, &query, ids, &count, NULL), ERR_OK);
	ck_assert_uint_eq(count, 0);
	fixture_remove(&f);
}
END_TEST

/* S156: what an entry let through and a worker has now; not what the hook is asked about. */
START_TEST(in_flight_by_entry)
{
	struct claim claim;
	struct fixture f;
	int64_t count = -1;

	fixture_open(&f);
	accept_queued(&f, 2);
	accept_queued(&f, 1);
	ck_assert_int_eq(queue_in_flight(f.reader, 7, &count, NULL), ERR_OK);
	ck_assert_int_eq(count, 0);
	claim = claim_at(&f, NOW, 10);
	ck_assert_int_eq(queue_in_flight(f.reader, 7, &count, NULL), ERR_OK);
	ck_assert_int_eq(count, 3);
	ck_assert_int_eq(queue_in_flight(f.reader, 8, &count, NULL), ERR_OK);
	ck_assert_int_eq(count, 0);
	settle_as(&f, claim.messages[1].recipients[0].id, claim.messages[1].recipients[0].lease,
		  TRANSITION_DELIVER);
	arena_free(&claim.arena);
	run_sql(f.dir, "UPDATE recipient SET state = 1 WHERE id = 65536");
	ck_assert_int_eq(queue_in_flight(f.reader, 7, &count, NULL), ERR_OK);
	ck_assert_int_eq(count, 1);
	fixture_remove(&f);
}
END_TEST

/* --- release to somebody else ------------------------------------------------------------ */

static int release_to(struct fixture *f, const struct ulid *id, const char *to, struct act *act)
{
	static struct act_judge judge = {judge_prefix, NULL};

	*act = (struct act){.judge = &judge, .to = to};
	return act_on(f, id, TRANSITION_RELEASE, act);
}

/* A store with one message, whose three dropped recipients are released to `to`. */
static struct message_view release_three(struct fixture *f, const char *to, struct ulid *id_out,
					 struct arena *arena)
{
	struct act act;

	fixture_open(f);
	*id_out = accept_as(f, 3, STATE_DROPPED);
	ck_assert_int_eq(release_to(f, id_out, to, &act), ERR_OK);
	ck_assert_uint_eq(act.changed, 3);
	return show(f, id_out, arena);
}

START_TEST(one_copy_for_all_of_a_message)
{
	struct arena *arena = arena_new();
	struct message_view view;
	struct fixture f;
	struct act act;
	struct ulid id;

	view = release_three(&f, "qa@team.test", &id, arena);
	ck_assert_uint_eq(view.recipient_count, 4);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(view.recipients[i].state, STATE_REDIRECTED);
		ck_assert_str_eq(view.recipients[i].ruling.redirect_to, "qa@team.test");
		ck_assert_str_eq(view.recipients[i].reason,
				 "released to qa@team.test by token:test");
	}
	ck_assert_str_eq(view.recipients[3].address, "qa@team.test");
	ck_assert_int_eq(view.recipients[3].state, STATE_QUEUED);
	ck_assert_str_eq(view.recipients[3].origin, "release");
	ck_assert_str_eq(view.recipients[3].notify, "NEVER");
	ck_assert_int_eq(view.recipients[3].next_attempt_at, NOW + 7);
	ck_assert_uint_eq(view.recipients[3].history_count, 1);
	ck_assert_str_eq(view.recipients[3].history[0].event, "added");
	ck_assert_str_eq(view.recipients[3].history[0].actor, "token:test");
	/* They are done: asking again changes nothing. */
	ck_assert_int_eq(release_to(&f, &id, "qa@team.test", &act), ERR_CONFLICT);
	ck_assert_uint_eq(show(&f, &id, arena).recipient_count, 4);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* Exactly once: not to who has it, whatever row it came by, and not beside who is about to. */
START_TEST(nobody_gets_it_twice)
{
	const char *first[] = {"r0@example.com"}, *second[] = {"r1@example.com"};
	struct act_judge judge = {judge_prefix, NULL};
	struct arena *arena = arena_new();
	struct claim claim;
	struct message_view view;
	struct fixture f;
	struct act act;
	struct ulid id;

	fixture_open(&f);
	id = accept_as(&f, 3, STATE_DROPPED);
	act = (struct act){
		.judge = &judge, .to = "QA@Team.test", .addresses = first, .address_count = 1};
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	/* On its way: it stands for the next one too. */
	act.addresses = second;
	act.to = "QA@team.TEST";
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_uint_eq(show(&f, &id, arena).recipient_count, 4);
	claim = claim_at(&f, NOW + 10, 10);
	ck_assert_uint_eq(claim.message_count, 1);
	settle_as(&f, claim.messages[0].recipients[0].id, claim.messages[0].recipients[0].lease,
		  TRANSITION_DELIVER);
	arena_free(&claim.arena);
	ck_assert_int_eq(release_to(&f, &id, "QA@team.test", &act), ERR_CONFLICT);
	view = show(&f, &id, arena);
	ck_assert_uint_eq(view.recipient_count, 4);
	ck_assert_int_eq(view.recipients[2].state, STATE_DROPPED);
	/* Another local part is another mailbox. */
	ck_assert_int_eq(release_to(&f, &id, "qa@team.test", &act), ERR_OK);
	ck_assert_uint_eq(show(&f, &id, arena).recipient_count, 5);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* A recipient of the message itself is released, and stands for the others. */
START_TEST(to_one_of_its_own)
{
	struct arena *arena = arena_new();
	struct message_view view;
	struct fixture f;
	struct ulid id;

	view = release_three(&f, "r1@EXAMPLE.com", &id, arena);
	ck_assert_uint_eq(view.recipient_count, 3);
	ck_assert_int_eq(view.recipients[0].state, STATE_REDIRECTED);
	ck_assert_int_eq(view.recipients[1].state, STATE_QUEUED);
	ck_assert_int_eq(view.recipients[2].state, STATE_REDIRECTED);
	ck_assert_uint_eq(view.recipients[1].history_count, 2);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(a_target_that_is_not_allowed)
{
	char only[] = "r0@";
	struct act_judge judge = {judge_prefix, only};
	struct act act = {.judge = &judge, .to = "qa@team.test"};
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_as(&f, 2, STATE_DROPPED);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_CONFLICT);
	ck_assert_str_eq(act.job.why.text, "qa@team.test is not allowed: no entry allows it");
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DROPPED);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient"), 2);
	fixture_remove(&f);
}
END_TEST

/* The same mailbox in two rows: behind a source route, and without it. */
START_TEST(a_twin_is_seen)
{
	const char *name[] = {"r1@example.com"};
	struct act_judge judge = {judge_prefix, NULL};
	struct act act = {.judge = &judge, .addresses = name, .address_count = 1};
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_as(&f, 3, STATE_DROPPED);
	fixture_close(&f);
	run_sql(f.dir, "UPDATE recipient SET state = 6,"
		       " address = 'r1@EXAMPLE.com' WHERE address = 'r2@example.com'");
	fixture_reopen(&f);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_CONFLICT);
	ck_assert_str_eq(act.job.why.text, "r1@example.com gets it already");
	/* Nor is it released to it in the place of another one. */
	ck_assert_int_eq(release_to(&f, &id, "r1@example.com", &act), ERR_CONFLICT);
	ck_assert_str_eq(act.job.why.text, "r1@example.com has it already");
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DROPPED);
	ck_assert_int_eq(state_of(&f, &id, 1), STATE_DROPPED);
	fixture_remove(&f);
}
END_TEST

/* Both at once: one of them goes. */
START_TEST(of_twins_one_is_released)
{
	struct act_judge judge = {judge_prefix, NULL};
	struct act act = {.judge = &judge};
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_as(&f, 3, STATE_DROPPED);
	fixture_close(&f);
	run_sql(f.dir, "UPDATE recipient SET address = 'r1@EXAMPLE.com'"
		       " WHERE address = 'r2@example.com'");
	fixture_reopen(&f);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_uint_eq(act.changed, 2);
	ck_assert_uint_eq(act.refused, 1);
	ck_assert_int_eq(state_of(&f, &id, 1), STATE_QUEUED);
	ck_assert_int_eq(state_of(&f, &id, 2), STATE_DROPPED);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/act_step", by_filter_and_each_once, a_try_tells_what_will_be,
	  the_list_is_asked_for_each, hold_retry_and_cancel, filters_of_the_page,
	  in_flight_by_entry, one_copy_for_all_of_a_message, nobody_gets_it_twice,
	  to_one_of_its_own, a_target_that_is_not_allowed, a_twin_is_seen, of_twins_one_is_released)
