/* tests queue/redirect.c and settle.c: who stands for recipients that are redirected */
#include <config.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static const struct ruling elsewhere = {.verdict = "redirect",
					.reason = "no entry allows it, policy.default is redirect",
					.revision = 8,
					.redirect_to = "qa@team.test"};

static struct new_recipient target(enum state state)
{
	return (struct new_recipient){.address = "qa@team.test",
				      .state = state,
				      .ruling = {.verdict = "deliver", .reason = "allowed by x"},
				      .notify = "NEVER",
				      .origin = "redirect"};
}

/* Settles all that is claimed as redirected to `to`; NULL: to nobody. */
static void redirect_all(struct fixture *f, const struct claim *claim,
			 const struct new_recipient *to)
{
	struct settlement settlements[16];
	struct settle settle = {.now = NOW + 5, .settlements = settlements};
	struct err why = {""};

	for (size_t m = 0; m < claim->message_count; m++)
		for (size_t i = 0; i < claim->messages[m].recipient_count; i++) {
			const struct claimed_recipient *one = &claim->messages[m].recipients[i];

			settlements[settle.count++] =
				(struct settlement){.recipient = one->id,
						    .lease = one->lease,
						    .outcome = TRANSITION_REDIRECT,
						    .reason = "whitelist changed",
						    .ruling = &elsewhere,
						    .redirect = to};
		}
	ck_assert_msg(store_wait(f->store, queue_settle, &settle.job, &why) == ERR_OK, "%s",
		      why.text);
}

START_TEST(one_stands_for_all_of_a_message)
{
	struct new_recipient to = target(STATE_QUEUED);
	struct arena *arena = arena_new();
	struct queue_stats stats;
	struct message_view view;
	struct claim claim;
	struct ulid first, second;
	struct fixture f;

	fixture_open(&f);
	first = accept_queued(&f, 3);
	second = accept_queued(&f, 1);
	claim = claim_at(&f, NOW, 10);
	redirect_all(&f, &claim, &to);
	arena_free(&claim.arena);
	view = show(&f, &first, arena);
	ck_assert_uint_eq(view.recipient_count, 4);
	ck_assert_int_eq(view.recipients[2].state, STATE_REDIRECTED);
	ck_assert_str_eq(view.recipients[2].ruling.redirect_to, "qa@team.test");
	ck_assert_str_eq(view.recipients[2].ruling.verdict, "redirect");
	ck_assert_str_eq(view.recipients[2].reason, "whitelist changed");
	ck_assert_int_eq(view.recipients[3].state, STATE_QUEUED);
	ck_assert_str_eq(view.recipients[3].origin, "redirect");
	ck_assert_str_eq(view.recipients[3].history[0].event, "added");
	ck_assert_int_eq(view.recipients[3].history[0].at, NOW + 5);
	ck_assert_uint_eq(show(&f, &second, arena).recipient_count, 2);
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.by_state[STATE_REDIRECTED], 4);
	ck_assert_int_eq(stats.by_state[STATE_QUEUED], 2);
	/* They can be claimed, and their addresses are proved (queue/proof.h). */
	claim = claim_at(&f, NOW + 6, 10);
	ck_assert_uint_eq(claim.message_count, 2);
	ck_assert_str_eq(claim.messages[0].recipients[0].address, "qa@team.test");
	/* Redirected once more, to the same: there is nobody new. */
	redirect_all(&f, &claim, &to);
	arena_free(&claim.arena);
	ck_assert_uint_eq(show(&f, &first, arena).recipient_count, 4);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(a_mailbox_that_is_there_is_not_added)
{
	struct new_recipient to = target(STATE_QUEUED);
	struct arena *arena = arena_new();
	struct message_view view;
	struct claim claim;
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 2);
	to.address = "r1@EXAMPLE.com";
	claim = claim_at(&f, NOW, 10);
	claim.messages[0].recipient_count = 1;
	redirect_all(&f, &claim, &to);
	arena_free(&claim.arena);
	view = show(&f, &id, arena);
	ck_assert_uint_eq(view.recipient_count, 2);
	ck_assert_int_eq(view.recipients[0].state, STATE_REDIRECTED);
	ck_assert_int_eq(view.recipients[1].state, STATE_DELIVERING);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* Nobody stands for it: it must not look as if somebody did. */
START_TEST(without_anybody_it_is_dropped)
{
	struct claim claim;
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claim = claim_at(&f, NOW, 10);
	redirect_all(&f, &claim, NULL);
	arena_free(&claim.arena);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DROPPED);
	fixture_remove(&f);
}
END_TEST

START_TEST(no_room_for_another)
{
	struct new_recipient to = target(STATE_QUEUED);
	struct claim claim;
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claim = claim_at(&f, NOW, 10);
	run_sql(f.dir, "INSERT INTO recipient(id, address, state, accepted_state, waiting_since,"
		       " updated_at, verdict) SELECT (id | 65535), 'x@y.test', 8, 8, 0, 0, 'drop'"
		       " FROM recipient");
	redirect_all(&f, &claim, &to);
	arena_free(&claim.arena);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DROPPED);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient"), 2);
	fixture_remove(&f);
}
END_TEST

static const struct {
	enum transition wish;
	enum state state;
} wishes[] = {{TRANSITION_HOLD, STATE_HELD}, {TRANSITION_CANCEL, STATE_CANCELLED}};

/* Nothing was sent yet: a person's wish is heard, and nobody else gets it. */
START_TEST(a_wish_comes_first)
{
	struct new_recipient to = target(STATE_QUEUED);
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		struct ulid id = accept_queued(&f, 1);
		struct claim claim = claim_at(&f, NOW, 10);
		struct act act = {0};

		ck_assert_int_eq(act_on(&f, &id, wishes[i].wish, &act), ERR_OK);
		redirect_all(&f, &claim, &to);
		arena_free(&claim.arena);
		ck_assert_int_eq(state_of(&f, &id, 0), wishes[i].state);
	}
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient"), 2);
	fixture_remove(&f);
}
END_TEST

/* One commit: after a kill it is redirected and somebody stands for it, or neither. */
START_TEST(it_is_kept_over_a_restart)
{
	struct new_recipient to = target(STATE_QUEUED);
	struct claim claim;
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 1);
	claim = claim_at(&f, NOW, 10);
	redirect_all(&f, &claim, &to);
	arena_free(&claim.arena);
	fixture_reopen(&f);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_REDIRECTED);
	claim = claim_at(&f, NOW + 6, 10);
	ck_assert_uint_eq(claim.message_count, 1);
	ck_assert_str_eq(claim.messages[0].recipients[0].address, "qa@team.test");
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/redirect", one_stands_for_all_of_a_message, a_mailbox_that_is_there_is_not_added,
	  without_anybody_it_is_dropped, no_room_for_another, a_wish_comes_first,
	  it_is_kept_over_a_restart)
