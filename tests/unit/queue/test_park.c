/* tests how mail is parked under a name and comes back: queue/settle.c, queue/pause.c */
#include <config.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define EXPIRY (NOW + 1000)

/* Claim one recipient and put it away under `name`. */
static int64_t park(struct fixture *f, const char *name)
{
	struct claim claim = claim_at(f, NOW, 1);
	struct settlement settlement = {.outcome = TRANSITION_UNCLAIM,
					.next_attempt_at = EXPIRY,
					.parked = name,
					.reason = "waits for its route"};
	struct settle settle = {.now = NOW + 5, .settlements = &settlement, .count = 1};
	struct err why;

	ck_assert_uint_eq(claim.message_count, 1);
	settlement.recipient = claim.messages[0].recipients[0].id;
	settlement.lease = claim.messages[0].recipients[0].lease;
	ck_assert_int_eq(store_wait(f->store, queue_settle, &settle.job, &why), ERR_OK);
	arena_free(&claim.arena);
	return settlement.recipient;
}

static size_t unpark_as(struct fixture *f, struct unpark *unpark)
{
	struct err why;

	unpark->now = NOW + 50;
	ck_assert_int_eq(store_wait(f->store, queue_unpark, &unpark->job, &why), ERR_OK);
	return unpark->unparked;
}

static size_t unpark(struct fixture *f, size_t max)
{
	struct unpark unpark = {.parked = "default", .max = max};

	return unpark_as(f, &unpark);
}

/* How many messages a claim at that time finds. */
static size_t due_at(struct fixture *f, int64_t now)
{
	struct claim claim = claim_at(f, now, 100);
	size_t found = claim.message_count;

	arena_free(&claim.arena);
	return found;
}

START_TEST(what_is_parked_waits_until_it_is_unparked)
{
	struct arena *arena = arena_new();
	struct message_view view;
	struct claim claim;
	struct fixture f;
	struct ulid id;
	int before;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	park(&f, "default");
	claim = claim_at(&f, EXPIRY - 1, 1);
	ck_assert_uint_eq(claim.message_count, 0);
	ck_assert_int_eq(claim.next_due_at, EXPIRY); /* the scheduler may sleep */
	arena_free(&claim.arena);
	view = show(&f, &id, arena);
	ck_assert_int_eq(view.recipients[0].state, STATE_QUEUED);
	ck_assert_int_eq(view.recipients[0].next_attempt_at, 0);
	ck_assert_int_eq(view.recipients[0].attempts, 0);
	ck_assert_str_eq(view.recipients[0].reason, "waits for its route");
	ck_assert_uint_eq(view.recipients[0].history_count, 1);
	/* over a restart too */
	fixture_reopen(&f);
	ck_assert_uint_eq(due_at(&f, EXPIRY - 1), 0);
	before = f.watch.due;
	ck_assert_uint_eq(unpark(&f, 10), 1);
	ck_assert_uint_eq(unpark(&f, 10), 0);
	ck_assert_int_eq(f.watch.due, before + 1);
	ck_assert_uint_eq(due_at(&f, NOW + 50), 1);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* Delivery looks at its age then, whatever it waits for. */
START_TEST(what_is_parked_is_claimed_at_its_expiry)
{
	struct claim claim;
	struct fixture f;

	fixture_open(&f);
	accept_queued(&f, 1);
	park(&f, "default");
	claim = claim_at(&f, EXPIRY, 1);
	ck_assert_uint_eq(claim.message_count, 1);
	ck_assert_int_eq(claim.messages[0].recipients[0].waiting_since, NOW);
	ck_assert_str_eq(claim.messages[0].recipients[0].last_reason, "waits for its route");
	settle_as(&f, claim.messages[0].recipients[0].id, claim.messages[0].recipients[0].lease,
		  TRANSITION_DEFER);
	arena_free(&claim.arena);
	ck_assert_uint_eq(unpark(&f, 10), 0);
	fixture_remove(&f);
}
END_TEST

START_TEST(people_reach_what_is_parked)
{
	static const struct {
		enum transition transition;
		enum state state;
		size_t due;
	} acts[] = {
		{TRANSITION_HOLD, STATE_HELD, 0},
		{TRANSITION_CANCEL, STATE_CANCELLED, 0},
		{TRANSITION_RETRY, STATE_QUEUED, 1},
	};

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		struct act act = {0};
		struct fixture f;
		struct ulid id;

		fixture_open(&f);
		id = accept_queued(&f, 1);
		park(&f, "default");
		ck_assert_int_eq(act_on(&f, &id, acts[i].transition, &act), ERR_OK);
		ck_assert_int_eq(state_of(&f, &id, 0), acts[i].state);
		ck_assert_uint_eq(unpark(&f, 10), 0);
		ck_assert_uint_eq(due_at(&f, EXPIRY + 7), acts[i].due);
		fixture_remove(&f);
	}
}
END_TEST

/* A hold that was wished in the meantime wins, and there is nothing to come back. */
START_TEST(a_wish_wins_over_the_parking)
{
	struct settlement settlement = {.outcome = TRANSITION_UNCLAIM,
					.next_attempt_at = EXPIRY,
					.parked = "default",
					.reason = "waits for its route"};
	struct settle settle = {.now = NOW + 5, .settlements = &settlement, .count = 1};
	struct claimed_recipient claimed;
	struct act act = {0};
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claimed = claim_single(&f);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_HOLD, &act), ERR_OK);
	settlement.recipient = claimed.id;
	settlement.lease = claimed.lease;
	ck_assert_int_eq(store_wait(f.store, queue_settle, &settle.job, NULL), ERR_OK);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_HELD);
	ck_assert_uint_eq(unpark(&f, 10), 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient WHERE parked IS NOT NULL"
					" OR due_at IS NOT NULL OR reason LIKE 'waits%'"),
			 0);
	fixture_remove(&f);
}
END_TEST

/* Those of routes that are no more, and only those. */
START_TEST(what_is_parked_under_other_names_comes_back)
{
	static const char *const keep[] = {"b", "d"};
	static const char *const names[] = {"a", "b", "c", "c", "d", "e"};
	struct unpark others = {.keep = keep, .keep_count = 2, .max = 3};
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		accept_queued(&f, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		park(&f, names[i]);
	ck_assert_uint_eq(unpark_as(&f, &others), 3);
	ck_assert_uint_eq(unpark_as(&f, &others), 1);
	ck_assert_uint_eq(unpark_as(&f, &others), 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient WHERE parked IN ('b',"
					" 'd') AND due_at > 0"),
			 2);
	ck_assert_uint_eq(due_at(&f, NOW + 50), 4);
	fixture_remove(&f);
}
END_TEST

START_TEST(parked_mail_comes_back_in_pieces_and_in_order)
{
	int64_t ids[5];
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < 5; i++)
		accept_queued(&f, 1);
	for (size_t i = 0; i < 5; i++)
		ids[i] = park(&f, "default");
	ck_assert_uint_eq(unpark(&f, 2), 2);
	for (size_t i = 0; i < 2; i++) {
		struct claim claim = claim_at(&f, NOW + 50, 1);

		ck_assert_uint_eq(claim.message_count, 1);
		ck_assert_int_eq(claim.messages[0].recipients[0].id, ids[i]);
		arena_free(&claim.arena);
	}
	ck_assert_uint_eq(due_at(&f, NOW + 50), 0);
	ck_assert_uint_eq(unpark(&f, 2), 2);
	ck_assert_uint_eq(unpark(&f, 2), 1);
	ck_assert_uint_eq(due_at(&f, NOW + 50), 3);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/park", what_is_parked_waits_until_it_is_unparked,
	  what_is_parked_is_claimed_at_its_expiry, people_reach_what_is_parked,
	  a_wish_wins_over_the_parking, what_is_parked_under_other_names_comes_back,
	  parked_mail_comes_back_in_pieces_and_in_order)
