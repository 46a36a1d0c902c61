/* tests queue/handin.c: a key, its answer and the line of the trail come with the message or not at
 * all */
#include <config.h>

#include "queue/handin.h"

#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/token.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static const unsigned char key_a[SECRET_SHA256_BYTES] = {1};
static const unsigned char key_b[SECRET_SHA256_BYTES] = {2};
static const unsigned char request[SECRET_SHA256_BYTES] = {9};

/* Hand in 100 octets at `now`; returns the job's code. */
static int hand_in(struct fixture *f, const unsigned char *key, const char *answer, int64_t now,
		   int64_t size)
{
	const struct handin handin = {
		.actor = "token:ci", .key = key, .request = request, .answer = span_of(answer)};
	const struct new_recipient recipient = {.address = "a@b.example",
						.state = STATE_DROPPED,
						.ruling = {.verdict = "drop", .reason = "no"}};
	const struct new_message message = {.id = ulid_new(now),
					    .received_at = now,
					    .sender = "s@b.example",
					    .size = size,
					    .header_size = size,
					    .scope = "",
					    .received_field = "Received: x\r\n",
					    .handin = &handin,
					    .recipients = &recipient,
					    .recipient_count = 1};
	struct accept accept = {.message = &message, .body = make_body(f->store, size, 1)};

	return store_wait(f->store, queue_accept, &accept.job, NULL);
}

static void check_answer(struct fixture *f, const unsigned char *key, int64_t now, const char *want)
{
	struct arena *arena = arena_new();
	struct handin_past past;
	struct err why;
	int code = queue_handin_find(f->reader, key, now, arena, &past, &why);

	ck_assert_int_eq(code, want != NULL ? ERR_OK : ERR_NOT_FOUND);
	if (want != NULL) {
		ck_assert(span_is(past.answer, want));
		ck_assert_int_eq(memcmp(past.request, request, sizeof(request)), 0);
	}
	arena_free(&arena);
}

static int64_t count(struct fixture *f, const char *sql)
{
	return ask_sql(f->dir, sql);
}

START_TEST(a_key_is_good_once)
{
	const int64_t now = clock_wall_ms();
	struct fixture f;

	fixture_open(&f);
	check_answer(&f, key_a, now, NULL);
	ck_assert_int_eq(hand_in(&f, key_a, "first", now, 100), ERR_OK);
	ck_assert_int_eq(hand_in(&f, key_a, "second", now + 1, 100), ERR_CONFLICT);
	/* Large enough that some of it was stored ahead: it goes again. */
	ck_assert_int_eq(hand_in(&f, key_a, "third", now + 1, 3 * BODY_CHUNK_BYTES), ERR_CONFLICT);
	ck_assert_int_eq(hand_in(&f, key_b, "other", now, 100), ERR_OK);
	ck_assert_int_eq(hand_in(&f, NULL, NULL, now, 100), ERR_OK);
	ck_assert_int_eq(hand_in(&f, NULL, NULL, now, 100), ERR_OK);
	check_answer(&f, key_a, now + 1, "first");
	check_answer(&f, key_b, now + 1, "other");
	ck_assert_int_eq(count(&f, "SELECT count(*) FROM message"), 4);
	fixture_reopen(&f);
	check_answer(&f, key_a, now + 1, "first");
	ck_assert_int_eq(hand_in(&f, key_a, "again", now + 1, 100), ERR_CONFLICT);
	fixture_remove(&f);
}
END_TEST

START_TEST(a_key_is_forgotten_after_a_day)
{
	const int64_t now = clock_wall_ms();
	struct fixture f;

	fixture_open(&f);
	ck_assert_int_eq(hand_in(&f, key_a, "first", now, 100), ERR_OK);
	check_answer(&f, key_a, now + HANDIN_KEY_MS - 1, "first");
	check_answer(&f, key_a, now + HANDIN_KEY_MS, NULL);
	ck_assert_int_eq(hand_in(&f, key_a, "late", now + HANDIN_KEY_MS - 1, 100), ERR_CONFLICT);
	ck_assert_int_eq(hand_in(&f, key_a, "next", now + HANDIN_KEY_MS, 100), ERR_OK);
	check_answer(&f, key_a, now + HANDIN_KEY_MS, "next");
	fixture_remove(&f);
}
END_TEST

/* Also when nobody comes with another key (an answer names people). */
START_TEST(old_answers_go_by_themselves)
{
	const int64_t now = clock_wall_ms();
	const int64_t deadline = clock_mono_ms() + 20000;
	unsigned char key[SECRET_SHA256_BYTES] = {0};
	struct fixture f;

	fixture_open(&f);
	for (unsigned char i = 0; i < 150; i++) {
		key[0] = i;
		ck_assert_int_eq(hand_in(&f, key, "old", now - HANDIN_KEY_MS - 1, 100), ERR_OK);
	}
	ck_assert_int_eq(hand_in(&f, key, "new", now, 100), ERR_OK);
	fixture_reopen(&f);
	while (count(&f, "SELECT count(*) FROM handin") > 1 && clock_mono_ms() < deadline)
		(void)poll(NULL, 0, 5);
	ck_assert_int_eq(count(&f, "SELECT count(*) FROM handin"), 1);
	check_answer(&f, key, now, "new");
	fixture_remove(&f);
}
END_TEST

START_TEST(the_trail_says_who)
{
	const int64_t now = clock_wall_ms();
	struct fixture f;

	fixture_open(&f);
	ck_assert_int_eq(hand_in(&f, NULL, NULL, now, 100), ERR_OK);
	ck_assert_int_eq(hand_in(&f, key_a, "x", now, 100), ERR_OK);
	ck_assert_int_eq(hand_in(&f, key_a, "x", now, 100), ERR_CONFLICT);
	(void)accept_as(&f, 1, STATE_DROPPED);
	ck_assert_int_eq(count(&f,
			       "SELECT count(*) FROM audit WHERE action = 'message.create' AND"
			       " actor = 'token:ci' AND length(subject) = 26 AND before IS NULL AND"
			       " after = '{\"sender\":\"s@b.example\",\"size\":100,"
			       "\"recipients\":[\"a@b.example\"]}'"),
			 2);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/handin", a_key_is_good_once, a_key_is_forgotten_after_a_day,
	  old_answers_go_by_themselves, the_trail_says_who)
