/* tests queue/accept.c, claim.c, settle.c and show.c: the life of a recipient */
#include <config.h>

#include <string.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

START_TEST(an_accepted_message_is_all_there)
{
	static const int64_t sizes[] = {0, 1, 4096, 262143, 262144, 262145, 524288, 3 * 262144 + 5};
	struct fixture f;

	fixture_open(&f);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct ulid id;

		ck_assert_int_eq(accept_one(f.store, sizes[i], i, 1, STATE_QUEUED, &id), ERR_OK);
		ck_assert_int_eq(check_body(f.reader, &id, sizes[i], i), ERR_OK);
	}
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM staging"), 0);
	fixture_remove(&f);
}
END_TEST

START_TEST(show_tells_everything)
{
	struct arena *arena = arena_new();
	struct fixture f;
	struct message_view view;
	struct ulid id;

	fixture_open(&f);
	ck_assert_int_eq(accept_one(f.store, 500, 0, 2, STATE_DROPPED, &id), ERR_OK);
	view = show(&f, &id, arena);
	ck_assert(ulid_equal(&view.m.id, &id));
	ck_assert_int_eq(view.m.received_at, NOW);
	ck_assert_str_eq(view.m.sender, "app@example.org");
	ck_assert_int_eq(view.m.size, 500);
	ck_assert_int_eq(view.m.header_size, 100);
	ck_assert(view.m.header_parsed && !view.m.body_8bit && !view.m.smtputf8);
	ck_assert_int_eq(view.m.client_port, 40000);
	ck_assert_str_eq(view.m.helo, "app.example.org");
	ck_assert_str_eq(view.m.subject, "Hello");
	ck_assert_str_eq(view.m.received_field, "Received: from app\r\n");
	ck_assert_ptr_null(view.m.user);
	ck_assert_ptr_null(view.m.recipients);
	ck_assert_uint_eq(view.recipient_count, 2);
	ck_assert_int_eq(view.by_state[STATE_DROPPED], 2);
	ck_assert_str_eq(view.recipients[1].address, "r1@example.com");
	ck_assert_str_eq(view.recipients[1].ruling.verdict, "drop");
	ck_assert_int_eq(view.recipients[1].ruling.entry, 7);
	ck_assert_int_eq(view.recipients[1].ruling.revision, 3);
	ck_assert_str_eq(view.recipients[1].reason, "no entry allows it");
	ck_assert_int_eq(view.recipients[1].next_attempt_at, 0);
	/* The beginning of the story is told though no row was written for it. */
	ck_assert_uint_eq(view.recipients[1].history_count, 1);
	ck_assert_str_eq(view.recipients[1].history[0].event, "accepted");
	ck_assert_str_eq(view.recipients[1].history[0].state, "dropped");
	ck_assert_int_eq(view.recipients[1].history[0].entry, 7);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM history"), 0);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(what_is_not_there_is_not_found)
{
	struct arena *arena = arena_new();
	struct ulid id = ulid_new(NOW);
	struct fixture f;
	struct message_view view;
	struct buf buf;
	struct err why;

	fixture_open(&f);
	ck_assert_int_eq(queue_message_show(f.reader, &id, arena, &view, &why), ERR_NOT_FOUND);
	buf_init(&buf, 100);
	ck_assert_int_eq(queue_body_read(f.reader, &id, 0, &buf, &why), ERR_NOT_FOUND);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

/* A missing chunk must not look like the end of the message (DESIGN P5). */
START_TEST(a_hole_in_a_body_is_an_error)
{
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	ck_assert_int_eq(accept_one(f.store, 700000, 0, 1, STATE_QUEUED, &id), ERR_OK);
	run_sql(f.dir, "DELETE FROM chunk WHERE id & 65535 = 1");
	ck_assert_int_eq(check_body(f.reader, &id, 700000, 0), ERR_IO);
	run_sql(f.dir, "DELETE FROM chunk");
	ck_assert_int_eq(check_body(f.reader, &id, 700000, 0), ERR_IO);
	fixture_remove(&f);
}
END_TEST

START_TEST(the_same_id_twice_is_refused_and_disturbs_nobody)
{
	struct new_recipient recipient = {.address = "a@example.com",
					  .state = STATE_HELD,
					  .ruling = {"hold", "for a reason", 0, 0, NULL}};
	struct new_message message = {.id = ulid_new(NOW),
				      .sender = "",
				      .scope = "",
				      .received_field = "",
				      .recipients = &recipient,
				      .recipient_count = 1};
	struct fixture f;
	struct queue_stats stats;
	struct err why;

	fixture_open(&f);
	for (int i = 0; i < 2; i++) {
		struct accept accept = {.message = &message, .body = body_new(f.store, NULL, NULL)};

		ck_assert_int_eq(store_wait(f.store, queue_accept, &accept.job, &why),
				 i == 0 ? ERR_OK : ERR_CONFLICT);
	}
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.messages, 1);
	ck_assert_int_eq(stats.by_state[STATE_HELD], 1);
	ck_assert_int_eq(f.watch.fatal, 0);
	fixture_remove(&f);
}
END_TEST

START_TEST(claim_takes_what_is_due_and_only_once)
{
	struct fixture f;
	struct claim claim;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 3);
	accept_one(f.store, 10, 0, 2, STATE_HELD, NULL);
	ck_assert_int_eq(claim_nothing(&f, NOW - 1), NOW);

	claim = claim_at(&f, NOW, 100);
	ck_assert_uint_eq(claim.message_count, 1);
	ck_assert(ulid_equal(&claim.messages[0].id, &id));
	ck_assert_uint_eq(claim.messages[0].recipient_count, 3);
	ck_assert_str_eq(claim.messages[0].recipients[0].address, "r0@example.com");
	ck_assert_str_eq(claim.messages[0].sender, "app@example.org");
	ck_assert_str_eq(claim.messages[0].received_field, "Received: from app\r\n");
	ck_assert_int_eq(claim.messages[0].recipients[0].waiting_since, NOW);
	ck_assert_int_eq(claim.next_due_at, INT64_MAX);
	arena_free(&claim.arena);

	claim_nothing(&f, NOW);
	ck_assert_int_eq(state_of(&f, &id, 2), STATE_DELIVERING);
	fixture_remove(&f);
}
END_TEST

START_TEST(claim_keeps_messages_whole)
{
	struct fixture f;
	struct claim claim;

	fixture_open(&f);
	for (int i = 0; i < 3; i++)
		accept_queued(&f, 4);
	claim = claim_at(&f, NOW, 10);
	ck_assert_uint_eq(claim.message_count, 2);
	ck_assert_uint_eq(claim.messages[0].recipient_count, 4);
	ck_assert_uint_eq(claim.messages[1].recipient_count, 4);
	ck_assert_int_eq(claim.next_due_at, NOW);
	arena_free(&claim.arena);
	/* The only one is cut rather than left. */
	claim = claim_at(&f, NOW, 3);
	ck_assert_uint_eq(claim.message_count, 1);
	ck_assert_uint_eq(claim.messages[0].recipient_count, 3);
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

START_TEST(claim_gives_the_oldest_due_first)
{
	struct fixture f;
	struct claimed_recipient first;
	struct claim claim;
	struct ulid id;

	first = open_claimed(&f, &id);
	ck_assert_uint_eq(settle_as(&f, first.id, first.lease, TRANSITION_DEFER), 0);
	id = accept_queued(&f, 1);
	claim = claim_at(&f, NOW + 100000, 100);
	ck_assert_uint_eq(claim.message_count, 2);
	ck_assert(ulid_equal(&claim.messages[0].id, &id));
	ck_assert_int_eq(claim.messages[1].recipients[0].attempts, 1);
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

static const struct {
	enum transition outcome;
	enum state state;
	bool due;
} outcomes[] = {
	{TRANSITION_DELIVER, STATE_DELIVERED, false},
	{TRANSITION_DEFER, STATE_DEFERRED, true},
	{TRANSITION_FAIL, STATE_FAILED, false},
	{TRANSITION_DROP, STATE_DROPPED, false},
	{TRANSITION_HOLD, STATE_HELD, false},
	{TRANSITION_REDIRECT, STATE_REDIRECTED, false},
	{TRANSITION_EXPIRE, STATE_EXPIRED, false},
};

START_TEST(every_outcome_is_kept_with_its_story)
{
	struct arena *arena = arena_new();
	struct fixture f;
	struct queue_stats stats;

	fixture_open(&f);
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		struct ulid id = accept_queued(&f, 1);
		struct claimed_recipient claimed = claim_single(&f);
		struct message_view view;
		const struct recipient_view *r;

		ck_assert_uint_eq(settle_as(&f, claimed.id, claimed.lease, outcomes[i].outcome), 0);
		view = show(&f, &id, arena);
		r = &view.recipients[0];
		ck_assert_int_eq(r->state, outcomes[i].state);
		ck_assert_int_eq(r->attempts, 1);
		ck_assert_int_eq(r->next_attempt_at, outcomes[i].due ? NOW + 60000 : 0);
		ck_assert_str_eq(r->reason, "the next hop said so");
		ck_assert_str_eq(r->route, "default");
		ck_assert_int_eq(r->reply_code, 250);
		ck_assert_uint_eq(r->history_count, 2);
		ck_assert_str_eq(r->history[0].event, "accepted");
		ck_assert_str_eq(r->history[0].reason, "allowed by example.com");
		ck_assert_str_eq(r->history[1].event, state_name(outcomes[i].state));
		ck_assert_str_eq(r->history[1].remote, "mx.example.com[192.0.2.9]:25");
		ck_assert_str_eq(r->history[1].tls, "TLSv1.3 X, verified");
		ck_assert_str_eq(r->history[1].reply_text, "ok");
		ck_assert_int_eq(r->history[1].at, NOW + 5);
		store_stats(f.store, &stats);
		ck_assert_int_eq(stats.by_state[outcomes[i].state], 1);
		ck_assert_int_eq(stats.by_state[STATE_DELIVERING], 0);
	}
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(unclaim_counts_nothing)
{
	struct arena *arena = arena_new();
	struct fixture f;
	struct claimed_recipient claimed;
	struct message_view view;
	struct ulid id;

	claimed = open_claimed(&f, &id);
	settle_as(&f, claimed.id, claimed.lease, TRANSITION_UNCLAIM);
	view = show(&f, &id, arena);
	ck_assert_int_eq(view.recipients[0].state, STATE_QUEUED);
	ck_assert_int_eq(view.recipients[0].attempts, 0);
	ck_assert_int_eq(view.recipients[0].next_attempt_at, NOW + 60000);
	ck_assert_str_eq(view.recipients[0].reason, "allowed by example.com");
	ck_assert_uint_eq(view.recipients[0].history_count, 1);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(a_later_ruling_keeps_the_first_one)
{
	struct ruling ruling = {"drop", "whitelist changed: no entry allows it", 0, 4, "b@c.d"};
	struct arena *arena = arena_new();
	struct fixture f;
	struct claimed_recipient claimed;
	struct settlement settlement = {
		.outcome = TRANSITION_DROP, .reason = "whitelist changed", .ruling = &ruling};
	struct settle settle = {.now = NOW, .settlements = &settlement, .count = 1};
	struct message_view view;
	struct err why;
	struct ulid id;

	claimed = open_claimed(&f, &id);
	settlement.recipient = claimed.id;
	settlement.lease = claimed.lease;
	ck_assert_int_eq(store_wait(f.store, queue_settle, &settle.job, &why), ERR_OK);
	view = show(&f, &id, arena);
	ck_assert_int_eq(view.recipients[0].attempts, 0); /* nothing was tried */
	ck_assert_str_eq(view.recipients[0].ruling.verdict, "drop");
	ck_assert_str_eq(view.recipients[0].ruling.nearest, "b@c.d");
	ck_assert_uint_eq(view.recipients[0].history_count, 2);
	ck_assert_str_eq(view.recipients[0].history[0].event, "accepted");
	ck_assert_str_eq(view.recipients[0].history[0].state, "queued");
	ck_assert_str_eq(view.recipients[0].history[0].reason, "allowed by example.com");
	ck_assert_int_eq(view.recipients[0].history[0].revision, 3);
	ck_assert_int_eq(view.recipients[0].history[1].revision, 4);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(an_old_lease_changes_nothing)
{
	struct fixture f;
	struct claimed_recipient old;
	struct claimed_recipient claimed;
	struct ulid id;

	old = open_claimed(&f, &id);
	settle_as(&f, old.id, old.lease, TRANSITION_UNCLAIM);
	ck_assert_uint_eq(settle_as(&f, old.id, old.lease, TRANSITION_FAIL), 1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_QUEUED);
	claimed = claim_single_at(&f, NOW + 60000);
	ck_assert_int_ne(claimed.lease, old.lease);
	ck_assert_uint_eq(settle_as(&f, old.id, old.lease, TRANSITION_DEFER), 1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERING);
	ck_assert_uint_eq(settle_as(&f, claimed.id, claimed.lease, TRANSITION_FAIL), 0);
	ck_assert_uint_eq(settle_as(&f, 12345678, 1, TRANSITION_FAIL), 1);
	fixture_remove(&f);
}
END_TEST

/* DESIGN 4.8: the true outcome is recorded, also when it arrives late. */
START_TEST(a_late_delivery_is_the_truth)
{
	struct arena *arena = arena_new();
	struct fixture f;
	struct claimed_recipient old;
	struct message_view view;
	struct ulid id;

	old = open_claimed(&f, &id);
	settle_as(&f, old.id, old.lease, TRANSITION_UNCLAIM);
	ck_assert_uint_eq(settle_as(&f, old.id, old.lease, TRANSITION_DELIVER), 1);
	view = show(&f, &id, arena);
	ck_assert_int_eq(view.recipients[0].state, STATE_DELIVERED);
	ck_assert_uint_eq(view.recipients[0].history_count, 2);
	claim_nothing(&f, NOW + 999999);

	/* Somebody else holds it now: told, and left to him. */
	id = accept_queued(&f, 1);
	old = claim_single(&f);
	ck_assert_uint_eq(settle_as(&f, old.id, old.lease - 1, TRANSITION_DELIVER), 1);
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERING);
	ck_assert_uint_eq(settle_as(&f, old.id, old.lease, TRANSITION_DEFER), 0);
	view = show(&f, &id, arena);
	ck_assert_uint_eq(view.recipients[0].history_count, 3);
	ck_assert_str_eq(view.recipients[0].history[1].event, "delivered");
	ck_assert_str_eq(view.recipients[0].history[2].event, "deferred");
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

START_TEST(leases_are_given_back_at_start)
{
	struct fixture f;
	struct claimed_recipient claimed;
	struct queue_stats before;
	struct queue_stats after;
	struct claim claim;
	struct ulid id;

	fixture_open(&f);
	id = accept_queued(&f, 2);
	accept_one(f.store, 100, 0, 1, STATE_DROPPED, NULL);
	claim = claim_at(&f, NOW, 1);
	claimed = claim.messages[0].recipients[0];
	arena_free(&claim.arena);
	settle_as(&f, claimed.id, claimed.lease, TRANSITION_DELIVER);
	claim = claim_at(&f, NOW, 1);
	arena_free(&claim.arena);
	fixture_reopen(&f); /* S271 */
	ck_assert_int_eq(state_of(&f, &id, 0), STATE_DELIVERED);
	ck_assert_int_eq(state_of(&f, &id, 1), STATE_QUEUED);
	store_stats(f.store, &before);
	ck_assert_int_eq(before.messages, 2);
	ck_assert_int_eq(before.bytes, 4196);
	ck_assert_int_eq(before.by_state[STATE_QUEUED], 1);
	ck_assert_int_eq(before.by_state[STATE_DROPPED], 1);
	ck_assert_int_eq(before.oldest_due_at, NOW);
	/* Memory and tables agree. */
	ck_assert_int_eq(queue_stats_offline(f.reader, &after, NULL), ERR_OK);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	fixture_remove(&f);
}
END_TEST

START_TEST(renew_moves_only_the_holders_lease)
{
	struct fixture f;
	struct claimed_recipient claimed;
	struct renew renew = {.until = NOW + 777, .count = 1};
	struct err why;
	struct ulid id;
	int64_t wrong;

	claimed = open_claimed(&f, &id);
	wrong = claimed.lease + 1;
	renew.recipients = &claimed.id;
	renew.leases = &wrong;
	ck_assert_int_eq(store_wait(f.store, queue_renew, &renew.job, &why), ERR_OK);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT lease_until FROM recipient"), NOW + 60000);
	renew.leases = &claimed.lease;
	ck_assert_int_eq(store_wait(f.store, queue_renew, &renew.job, &why), ERR_OK);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT lease_until FROM recipient"), NOW + 777);
	fixture_remove(&f);
}
END_TEST

START_TEST(the_scheduler_is_woken)
{
	struct fixture f;
	int before;

	fixture_open(&f);
	accept_one(f.store, 10, 0, 1, STATE_DROPPED, NULL);
	fixture_reopen(&f);
	before = f.watch.due;
	accept_queued(&f, 1);
	fixture_reopen(&f); /* joins the writer: its calls are over */
	ck_assert_int_eq(f.watch.due, before + 1);
	fixture_remove(&f);
}
END_TEST

/* A report of ours goes with the outcomes it tells of, or not at all. */
static size_t settle_with_report(struct fixture *f, const struct claimed_recipient *first,
				 const struct claimed_recipient *second, int want)
{
	struct new_recipient to = {.address = "app@example.org",
				   .state = STATE_QUEUED,
				   .ruling = {.verdict = "deliver"}};
	struct new_message report = {.id = ulid_new(NOW),
				     .received_at = NOW,
				     .sender = "",
				     .size = 100,
				     .header_size = 100,
				     .scope = "",
				     .received_field = "Received: x\r\n",
				     .origin = "bounce",
				     .recipients = &to,
				     .recipient_count = 1};
	struct body *body = make_body(f->store, 100, 7);
	const struct settle_report reports[] = {{&report, body}};
	const struct settlement settlements[] = {{.recipient = first->id,
						  .lease = first->lease,
						  .outcome = TRANSITION_FAIL,
						  .reason = "no",
						  .report = 1},
						 {.recipient = second->id,
						  .lease = second->lease,
						  .outcome = TRANSITION_FAIL,
						  .reason = "no",
						  .report = 1}};
	struct settle settle = {.now = NOW,
				.settlements = settlements,
				.count = 2,
				.reports = reports,
				.report_count = 1};
	struct queue_stats before, after;

	store_stats(f->store, &before);
	ck_assert_int_eq(store_wait(f->store, queue_settle, &settle.job, NULL), want);
	store_stats(f->store, &after);
	if (after.messages > before.messages)
		ck_assert_int_eq(check_body(f->reader, &report.id, 100, 7), ERR_OK);
	body_free(&body);
	ck_assert_uint_eq(settle.unreported, 0);
	return (size_t)(after.messages - before.messages);
}

START_TEST(a_report_is_stored_with_its_outcomes)
{
	struct fixture f;
	struct claim claim;
	struct claimed_recipient *r;

	fixture_open(&f);
	accept_queued(&f, 4);
	claim = claim_at(&f, NOW, 4);
	r = claim.messages[0].recipients;
	/* Once for both; again when one of them is settled already; never when none is ours. */
	ck_assert_uint_eq(settle_with_report(&f, &r[0], &r[1], ERR_OK), 1);
	ck_assert_uint_eq(settle_with_report(&f, &r[1], &r[2], ERR_OK), 1);
	ck_assert_uint_eq(settle_with_report(&f, &r[1], &r[2], ERR_OK), 0);
	arena_free(&claim.arena);
	/* It can be claimed like any mail, and tells where it is from. */
	claim = claim_at(&f, NOW, 10);
	ck_assert_uint_eq(claim.message_count, 2);
	ck_assert_str_eq(claim.messages[0].origin, "bounce");
	ck_assert_str_eq(claim.messages[0].sender, "");
	ck_assert_str_eq(claim.messages[0].recipients[0].address, "app@example.org");
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

/* Something else of the job fails: neither the outcomes nor the report are there. */
START_TEST(a_report_does_not_come_without_its_outcomes)
{
	struct fixture f;
	struct claim claim;
	struct claimed_recipient *r;

	fixture_open(&f);
	accept_queued(&f, 2);
	claim = claim_at(&f, NOW, 2);
	r = claim.messages[0].recipients;
	run_sql(f.dir,
		"INSERT INTO chunk(id, data) SELECT (max(id) + 1) << 16, x'00' FROM message");
	ck_assert_uint_eq(settle_with_report(&f, &r[0], &r[1], ERR_CONFLICT), 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient WHERE state = 3"), 2);
	ck_assert_uint_eq(settle_with_report(&f, &r[0], &r[1], ERR_OK), 1);
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/delivery", an_accepted_message_is_all_there, show_tells_everything,
	  what_is_not_there_is_not_found, a_hole_in_a_body_is_an_error,
	  the_same_id_twice_is_refused_and_disturbs_nobody, claim_takes_what_is_due_and_only_once,
	  claim_keeps_messages_whole, claim_gives_the_oldest_due_first,
	  every_outcome_is_kept_with_its_story, unclaim_counts_nothing,
	  a_later_ruling_keeps_the_first_one, an_old_lease_changes_nothing,
	  a_late_delivery_is_the_truth, leases_are_given_back_at_start,
	  renew_moves_only_the_holders_lease, the_scheduler_is_woken,
	  a_report_is_stored_with_its_outcomes, a_report_does_not_come_without_its_outcomes)
