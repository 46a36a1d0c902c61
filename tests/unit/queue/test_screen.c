/* tests queue/screen.c: what the policy hook is asked about, and what comes of it (C14, DESIGN P1)
 */
#include "queue/screen.h"

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static struct screen_claim ask_at(struct fixture *f, int64_t now, size_t max)
{
	struct screen_claim claim = {.now = now, .max_recipients = max};
	struct err why = {""};
	int code = store_wait(f->store, queue_screen_claim, &claim.job, &why);

	ck_assert_msg(code == ERR_OK, "%s", why.text);
	return claim;
}

/* The one recipient there is; its strings die here. */
static struct screened_recipient ask_single(struct fixture *f, int64_t now)
{
	struct screen_claim claim = ask_at(f, now, 10);
	struct screened_recipient recipient;

	ck_assert_uint_eq(claim.message_count, 1);
	ck_assert_uint_eq(claim.messages[0].recipient_count, 1);
	recipient = claim.messages[0].recipients[0];
	recipient.address = recipient.command = NULL;
	arena_free(&claim.arena);
	return recipient;
}

/* A new store whose only recipient is being asked about. */
static struct screened_recipient open_asked(struct fixture *f, struct ulid *id_out)
{
	fixture_open(f);
	*id_out = accept_as(f, 1, STATE_SCREENING);
	return ask_single(f, NOW);
}

static size_t asked_at(struct fixture *f, int64_t now)
{
	struct screen_claim claim = ask_at(f, now, 10);
	size_t count = claim.message_count;

	arena_free(&claim.arena);
	return count;
}

static size_t answer(struct fixture *f, const struct screened_recipient *recipient,
		     struct screen_outcome outcome)
{
	struct screen_settle settle = {.now = NOW + 5, .outcomes = &outcome, .count = 1};
	struct err why = {""};
	int code;

	outcome.recipient = recipient->id;
	outcome.lease = recipient->lease;
	code = store_wait(f->store, queue_screen_settle, &settle.job, &why);
	ck_assert_msg(code == ERR_OK, "%s", why.text);
	return settle.lost;
}

/* Closes the store. */
static void check_and_remove(struct fixture *f)
{
	fixture_reopen(f);
	ck_assert_int_eq(ask_sql(f->dir, "SELECT count(*) FROM recipient WHERE (ask_at IS NOT NULL)"
					 " <> (state = 1) OR lease IS NOT NULL"),
			 0);
	fixture_remove(f);
}

START_TEST(delivery_never_sees_it)
{
	struct fixture f;
	struct ulid id;
	struct screen_claim asked;

	fixture_open(&f);
	id = accept_as(&f, 3, STATE_SCREENING);
	ck_assert_int_eq(claim_nothing(&f, NOW + 1000000), INT64_MAX);
	/* Due from the time it was given; then whole, with everything about it. */
	asked = ask_at(&f, NOW - 1, 1);
	ck_assert_uint_eq(asked.message_count, 0);
	ck_assert_int_eq(asked.next_at, NOW);
	arena_free(&asked.arena);
	asked = ask_at(&f, NOW, 1);
	ck_assert_uint_eq(asked.message_count, 1);
	ck_assert_int_eq(asked.next_at, INT64_MAX);
	ck_assert(ulid_equal(&asked.messages[0].m.id, &id));
	ck_assert_str_eq(asked.messages[0].m.sender, "app@example.org");
	ck_assert_uint_eq(asked.messages[0].m.recipient_count, 3);
	ck_assert_uint_eq(asked.messages[0].recipient_count, 3);
	ck_assert_str_eq(asked.messages[0].recipients[2].address, "r2@example.com");
	ck_assert_uint_eq(asked.messages[0].recipients[2].index, 2);
	arena_free(&asked.arena);
	/* Under a lease: not asked twice, and still not for delivery. */
	ck_assert_uint_eq(asked_at(&f, NOW + 1000000), 0);
	claim_nothing(&f, NOW + 1000000);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_SCREENING);
	check_and_remove(&f);
}
END_TEST

START_TEST(yes_lets_it_go)
{
	struct fixture f;
	struct ulid id;
	struct screened_recipient recipient;
	struct claim claim;
	struct queue_stats stats;

	recipient = open_asked(&f, &id);
	ck_assert_uint_eq(answer(&f, &recipient,
				 (struct screen_outcome){.outcome = TRANSITION_SCREEN,
							 .permit = PERMIT_ALLOWED,
							 .hop = "192.0.2.1:25",
							 .reason = "yes"}),
			  0);
	claim = claim_at(&f, NOW + 10, 10);
	ck_assert_uint_eq(claim.message_count, 1);
	ck_assert_int_eq(claim.messages[0].recipients[0].permit, PERMIT_ALLOWED);
	ck_assert_str_eq(claim.messages[0].recipients[0].hop, "192.0.2.1:25");
	arena_free(&claim.arena);
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.by_state[STATE_SCREENING], 0);
	ck_assert_int_eq(stats.by_state[STATE_DELIVERING], 1);
	/* The same answer once more is late. */
	ck_assert_uint_eq(
		answer(&f, &recipient,
		       (struct screen_outcome){.outcome = TRANSITION_DROP, .reason = "no"}),
		1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERING);
	check_and_remove(&f);
}
END_TEST

START_TEST(no_is_kept_with_its_reason)
{
	struct fixture f;
	struct arena *arena = arena_new();
	struct ulid id;
	struct screened_recipient recipient;
	struct message_view view;

	recipient = open_asked(&f, &id);
	answer(&f, &recipient,
	       (struct screen_outcome){
		       .outcome = TRANSITION_DROP, .verdict = "drop", .reason = "the hook: no"});
	view = show(&f, &id, arena);
	ck_assert_int_eq(view.recipients[0].state, STATE_DROPPED);
	ck_assert_str_eq(view.recipients[0].reason, "the hook: no");
	ck_assert_str_eq(view.recipients[0].ruling.verdict, "drop");
	ck_assert_int_eq(view.recipients[0].ruling.entry, 7); /* what the list said stays known */
	ck_assert_str_eq(view.recipients[0].history[0].event, "accepted");
	ck_assert_str_eq(view.recipients[0].history[0].reason, "allowed by example.com");
	ck_assert_str_eq(view.recipients[0].history[1].event, "dropped");
	arena_free(&arena);
	check_and_remove(&f);
}
END_TEST

/* C6: neither delivered nor lost; C3 counts what was asked in vain. */
START_TEST(no_decision_waits)
{
	struct fixture f;
	struct ulid id;
	struct screened_recipient recipient;
	struct screen_outcome undecided = {.outcome = TRANSITION_UNCLAIM,
					   .ask_at = NOW + 60000,
					   .in_vain = true,
					   .kind = "hook",
					   .reason = "timeout"};

	recipient = open_asked(&f, &id);
	ck_assert_int_eq(recipient.asked, 0);
	answer(&f, &recipient, undecided);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_SCREENING);
	ck_assert_uint_eq(asked_at(&f, NOW + 59999), 0);
	recipient = ask_single(&f, NOW + 60000);
	ck_assert_int_eq(recipient.asked, 1);
	undecided.in_vain = false; /* nobody was there to be asked */
	undecided.ask_at = NOW + 70000;
	answer(&f, &recipient, undecided);
	recipient = ask_single(&f, NOW + 70000);
	ck_assert_int_eq(recipient.asked, 1);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM history WHERE event = 'undecided'"),
			 1);
	check_and_remove(&f);
}
END_TEST

START_TEST(redirect_adds_one)
{
	struct fixture f;
	struct arena *arena = arena_new();
	struct ulid id;
	struct screen_claim asked;
	struct message_view view;
	struct new_recipient qa = {.address = "qa@example.com",
				   .state = STATE_QUEUED,
				   .origin = "redirect",
				   .permit = PERMIT_ALLOWED,
				   .ruling = {.verdict = "deliver", .reason = "allowed"}};

	fixture_open(&f);
	id = accept_as(&f, 2, STATE_SCREENING);
	asked = ask_at(&f, NOW, 10);
	for (size_t i = 0; i < 2; i++)
		answer(&f, &asked.messages[0].recipients[i],
		       (struct screen_outcome){.outcome = TRANSITION_REDIRECT,
					       .verdict = "redirect",
					       .reason = "to qa",
					       .redirect = &qa});
	arena_free(&asked.arena);
	view = show(&f, &id, arena);
	ck_assert_uint_eq(view.recipient_count, 3);
	ck_assert_int_eq(view.recipients[0].state, STATE_REDIRECTED);
	ck_assert_int_eq(view.recipients[1].state, STATE_REDIRECTED);
	ck_assert_str_eq(view.recipients[2].address, "qa@example.com");
	ck_assert_str_eq(view.recipients[2].origin, "redirect");
	ck_assert_int_eq(view.recipients[2].state, STATE_QUEUED);
	arena_free(&arena);
	check_and_remove(&f);
}
END_TEST

START_TEST(a_person_is_faster)
{
	struct fixture f;
	struct ulid id;
	struct screened_recipient recipient;
	struct act act = {.address_count = 0};

	recipient = open_asked(&f, &id);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_CANCEL, &act), ERR_OK);
	ck_assert_uint_eq(answer(&f, &recipient,
				 (struct screen_outcome){.outcome = TRANSITION_SCREEN,
							 .permit = PERMIT_ALLOWED,
							 .reason = "yes"}),
			  1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_CANCELLED);
	/* Retry: it is asked about now. */
	id = accept_as(&f, 1, STATE_SCREENING);
	recipient = ask_single(&f, NOW);
	answer(&f, &recipient,
	       (struct screen_outcome){.outcome = TRANSITION_UNCLAIM, .ask_at = NOW + 9000000});
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RETRY, &act), ERR_OK);
	recipient = ask_single(&f, act.now);
	check_and_remove(&f);
}
END_TEST

/* What a worker holds without the hook's word goes back to be asked about. */
START_TEST(delivery_hands_it_over)
{
	struct fixture f;
	struct ulid id;
	struct claimed_recipient claimed;
	struct screened_recipient recipient;

	claimed = open_claimed(&f, &id);
	ck_assert_int_eq(claimed.permit, PERMIT_NONE);
	ck_assert_uint_eq(settle_as(&f, claimed.id, claimed.lease, TRANSITION_ASK), 0);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_SCREENING);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT attempts FROM recipient"), 0);
	recipient = ask_single(&f, NOW + 1000000);
	ck_assert_int_eq(recipient.id, claimed.id);
	check_and_remove(&f);
}
END_TEST

/* C14: what was being asked is asked again; what was decided is not. */
START_TEST(a_restart_gives_it_back)
{
	struct fixture f;
	struct ulid decided, open;
	struct screened_recipient recipient;

	recipient = open_asked(&f, &decided);
	answer(&f, &recipient,
	       (struct screen_outcome){
		       .outcome = TRANSITION_SCREEN, .permit = PERMIT_ALLOWED, .reason = "yes"});
	open = accept_as(&f, 1, STATE_SCREENING);
	recipient = ask_single(&f, NOW);
	fixture_reopen(&f);
	ck_assert_int_eq(state_of(&f, &decided, 0), STATE_QUEUED);
	ck_assert_int_eq(state_of(&f, &open, 0), STATE_SCREENING);
	ck_assert_uint_eq(
		answer(&f, &recipient,
		       (struct screen_outcome){.outcome = TRANSITION_DROP, .reason = "x"}),
		1);
	recipient = ask_single(&f, INT64_MAX / 2);
	check_and_remove(&f);
}
END_TEST

/* Held by the hook: whoever releases it has decided. Expired: a retry begins anew. */
START_TEST(what_a_permit_is_good_for)
{
	struct fixture f;
	struct screened_recipient recipient;
	struct claimed_recipient claimed;
	struct ulid id;
	struct act act = {.address_count = 0};

	recipient = open_asked(&f, &id);
	answer(&f, &recipient,
	       (struct screen_outcome){.outcome = TRANSITION_SCREEN,
				       .permit = PERMIT_EXPIRED,
				       .reason = "too old"});
	claimed = claim_single_at(&f, NOW + 10);
	ck_assert_int_eq(claimed.permit, PERMIT_EXPIRED);
	settle_as(&f, claimed.id, claimed.lease, TRANSITION_EXPIRE);
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RETRY, &act), ERR_OK);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT permit FROM recipient"), PERMIT_NONE);
	check_and_remove(&f);
}
END_TEST

UNIT_MAIN("queue/screen", delivery_never_sees_it, yes_lets_it_go, no_is_kept_with_its_reason,
	  no_decision_waits, redirect_adds_one, a_person_is_faster, delivery_hands_it_over,
	  a_restart_gives_it_back, what_a_permit_is_good_for)
