/* tests queue/lane.h: whose turn it is when more is due than can be taken */
#include <stdio.h>
#include <string.h>

#include "queue/lane.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static int64_t lane_for(const char *user, const char *client, const char *sender,
			const char *recipient)
{
	struct new_recipient list = {.address = recipient};
	struct new_message message = {.user = user,
				      .client_address = client,
				      .sender = sender,
				      .recipients = &list,
				      .recipient_count = 1};

	return lane_of(&message);
}

START_TEST(a_lane_is_who_where_to_and_from)
{
	int64_t lane = lane_for("shop", "192.0.2.1", "a@x.test", "b@y.test");

	ck_assert_int_ge(lane, 0);
	ck_assert_int_lt(lane, (int64_t)1 << 31);
	ck_assert_int_lt(lane_app(lane), LANE_APPS);
	/* A login is the same application from everywhere; case makes no difference. */
	ck_assert_int_eq(lane_for("shop", "192.0.2.9", "a@x.test", "c@Y.TEST"), lane);
	ck_assert_int_eq(lane_app(lane_for("shop", NULL, "", "b@z.test")), lane_app(lane));
	ck_assert_int_ne(lane_for("shop", NULL, "a@x.test", "b@z.test"), lane);
	ck_assert_int_ne(lane_for("shop", NULL, "b@x.test", "b@y.test"), lane);
	ck_assert_int_ne(lane_app(lane_for("blog", NULL, "a@x.test", "b@y.test")), lane_app(lane));
	ck_assert_int_ne(lane_app(lane_for(NULL, "192.0.2.1", "", "b@y.test")),
			 lane_app(lane_for(NULL, "192.0.2.2", "", "b@y.test")));
	/* Nobody (a report of our own), and an address without a domain. */
	ck_assert_int_ge(lane_for(NULL, NULL, "", "odd"), 0);
}
END_TEST

/* `count` messages of `each` recipients, in the lane `lane`, due at `due_at`. */
static void fill(struct fixture *f, int first, int count, int each, int64_t lane, int64_t due_at)
{
	char sql[1400];

	snprintf(
		sql, sizeof(sql),
		"WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM c WHERE i < %d)"
		" INSERT INTO message(id, uid, received_at, sender, size, header_size,"
		" header_parsed, body_8bit, smtputf8, bare_cr, bare_lf, scope, client_port,"
		" received_field) SELECT i, randomblob(16), 1, 'a@x.test', 0, 0, 1, 0, 0, 0, 0, '',"
		" 1, 'x' FROM c;"
		"WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM c WHERE i < %d),"
		" o(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM o WHERE n < %d)"
		" INSERT INTO recipient(id, address, state, accepted_state, due_at, waiting_since,"
		" updated_at, verdict, lane) SELECT (i << 16) + n, 'u@y.test', 2, 2, %lld + i, 1,"
		" 1, 'deliver', %lld FROM c, o",
		first, first + count - 1, first, first + count - 1, each - 1, (long long)due_at,
		(long long)lane);
	run_sql(f->dir, sql);
}

static size_t taken(const struct claim *claim)
{
	size_t count = 0;

	for (size_t i = 0; i < claim->message_count; i++)
		count += claim->messages[i].recipient_count;
	return count;
}

static size_t taken_of(const struct claim *claim, int app)
{
	size_t count = 0;

	for (size_t i = 0; i < claim->message_count; i++)
		count += claim->messages[i].app == app ? claim->messages[i].recipient_count : 0;
	return count;
}

static int64_t lane_at(int64_t app, int64_t inside)
{
	return app << LANE_BITS_INSIDE | inside;
}

START_TEST(a_flood_leaves_room_for_the_others)
{
	struct claim claim;
	struct fixture f;

	fixture_open(&f);
	fill(&f, 1, 5000, 1, lane_at(7, 1), 1000);
	fill(&f, 6001, 1, 1, lane_at(9, 3), 900000);
	fill(&f, 6002, 40, 1, lane_at(4000, 9), 900000);
	fixture_reopen(&f);
	claim = claim_at(&f, NOW, 100);
	ck_assert_uint_eq(taken(&claim), 100);
	ck_assert_uint_eq(taken_of(&claim, 9), 1);
	ck_assert_uint_ge(taken_of(&claim, 4000), 16);
	ck_assert_uint_ge(taken_of(&claim, 7), 32);
	arena_free(&claim.arena);
	/* In two claims the forty are through, with five thousand before them. */
	claim = claim_at(&f, NOW, 100);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM recipient WHERE state = 2 AND"
					" lane >> 19 = 4000"),
			 0);
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

/* In small pieces too, where a claim has room for one turn only. */
START_TEST(turns_go_on_from_claim_to_claim)
{
	size_t of_a = 0, of_b = 0;
	struct fixture f;

	fixture_open(&f);
	fill(&f, 1, 500, 1, lane_at(7, 1), 1000);
	fill(&f, 1001, 500, 1, lane_at(8, 1), 2000000);
	fixture_reopen(&f);
	for (int i = 0; i < 40; i++) {
		struct claim claim = claim_at(&f, NOW, 3);

		ck_assert_uint_eq(taken(&claim), 3);
		of_a += taken_of(&claim, 7);
		of_b += taken_of(&claim, 8);
		arena_free(&claim.arena);
	}
	ck_assert_uint_ge(of_a, 40);
	ck_assert_uint_ge(of_b, 40);
	fixture_remove(&f);
}
END_TEST

/* All of an application's lanes have turns: one domain does not wait behind another. */
START_TEST(an_application_shares_its_turns)
{
	struct claim claim;
	struct fixture f;
	int found = 0;

	fixture_open(&f);
	fill(&f, 1, 3000, 1, lane_at(7, 1), 1000);
	fill(&f, 4001, 3, 1, lane_at(7, 2), 900000);
	fill(&f, 5001, 3, 1, lane_at(7, LANE_INSIDE_COUNT - 1), 900000);
	fixture_reopen(&f);
	claim = claim_at(&f, NOW, 100);
	for (size_t i = 0; i < claim.message_count; i++)
		found += claim.messages[i].recipients[0].id >> 16 > 4000 ? 1 : 0;
	ck_assert_int_eq(found, 6);
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

/* A message's recipients leave in one transaction with the next hop, so they are claimed together.
 */
START_TEST(turns_do_not_divide_messages)
{
	struct fixture f;

	fixture_open(&f);
	fill(&f, 1, 30, 40, lane_at(7, 1), 1000);
	fill(&f, 101, 30, 7, lane_at(8, 1), 1000);
	fixture_reopen(&f);
	for (size_t rest = 30 * 40 + 30 * 7; rest > 0;) {
		struct claim claim = claim_at(&f, NOW, 90);

		ck_assert_uint_gt(claim.message_count, 0);
		ck_assert_uint_le(taken(&claim), 90);
		for (size_t i = 0; i < claim.message_count; i++)
			ck_assert_uint_eq(claim.messages[i].recipient_count,
					  claim.messages[i].app == 7 ? 40 : 7);
		rest -= taken(&claim);
		arena_free(&claim.arena);
	}
	fixture_remove(&f);
}
END_TEST

/* One that is larger than all there is room for is taken in parts, when it is first. */
START_TEST(a_message_larger_than_the_room_is_taken)
{
	size_t rest = 300 + 200;
	struct fixture f;

	fixture_open(&f);
	fill(&f, 1, 1, 300, lane_at(7, 1), 1000);
	fill(&f, 101, 200, 1, lane_at(8, 1), 1000);
	fixture_reopen(&f);
	for (int i = 0; i < 30 && rest > 0; i++) {
		struct claim claim = claim_at(&f, NOW, 50);

		ck_assert_uint_gt(taken(&claim), 0);
		rest -= taken(&claim);
		arena_free(&claim.arena);
	}
	ck_assert_uint_eq(rest, 0);
	fixture_remove(&f);
}
END_TEST

/* But not in bits of what room there happens to be, when that is not wanted. */
START_TEST(a_message_that_does_not_fit_lets_others_by)
{
	struct claim claim = {.now = NOW, .max_recipients = 20, .lease_ms = 60000, .whole = true};
	size_t others = 0;
	struct fixture f;

	fixture_open(&f);
	fill(&f, 1, 3, 100, lane_at(7, 1), 1000);
	fill(&f, 101, 60, 1, lane_at(8, 1), 900000);
	fixture_reopen(&f);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(store_wait(f.store, queue_claim, &claim.job, NULL), ERR_OK);
		ck_assert_uint_eq(taken_of(&claim, 7), 0);
		others += taken(&claim);
		arena_free(&claim.arena);
	}
	ck_assert_uint_eq(others, 60);
	claim = claim_at(&f, NOW, 100);
	ck_assert_uint_eq(taken(&claim), 100);
	ck_assert_uint_eq(claim.message_count, 1);
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

/*
 * A thousand lanes whose time has not come stand before the one with work:
 * a claim looks at a bounded number of them, and what is due is taken all the same.
 */
START_TEST(lanes_that_only_wait_cost_little)
{
	struct claim claim;
	struct fixture f;

	fixture_open(&f);
	fill(&f, 1, 1000, 1, lane_at(7, 0), NOW + 1000);
	run_sql(f.dir, "UPDATE recipient SET lane = lane + (id >> 16)");
	fill(&f, 2001, 300, 1, lane_at(7, 400000), 1000);
	fixture_reopen(&f);
	for (int i = 0; i < 3; i++) {
		claim = claim_at(&f, NOW, 100);
		ck_assert_uint_eq(taken(&claim), 100);
		ck_assert_int_gt(claim.messages[0].recipients[0].id >> 16, 2000);
		arena_free(&claim.arena);
	}
	claim = claim_at(&f, NOW, 100);
	ck_assert_uint_eq(taken(&claim), 0);
	ck_assert_int_eq(claim.next_due_at, NOW + 1001);
	arena_free(&claim.arena);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/lane", a_lane_is_who_where_to_and_from, a_flood_leaves_room_for_the_others,
	  turns_go_on_from_claim_to_claim, an_application_shares_its_turns,
	  turns_do_not_divide_messages, a_message_larger_than_the_room_is_taken,
	  a_message_that_does_not_fit_lets_others_by, lanes_that_only_wait_cost_little)
