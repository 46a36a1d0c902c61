/* tests queue/body.c: large bodies, and what is left of those that never ended */
#include <config.h>

#include <unistd.h>

#include "tests/unit/queue/gate.h"
#include "tests/unit/unit.h"

static void count_room(void *ctx)
{
	++*(_Atomic int *)ctx;
}

START_TEST(a_large_body_holds_few_chunks_and_says_when_to_stop)
{
	static char chunk[BODY_CHUNK_BYTES];
	_Atomic int rooms = 0;
	_Atomic int left = 0;
	struct letter letter;
	struct fixture f;
	struct gate gate;
	struct body *body;

	fixture_open(&f);
	gate_close(&gate, f.store);
	body = body_new(f.store, count_room, &rooms);
	for (int i = 0; i < 4; i++) {
		body_append(body, span_make(chunk, sizeof(chunk)));
		ck_assert(!body_is_backed_up(body));
	}
	body_append(body, span_make(chunk, 1));
	ck_assert(body_is_backed_up(body));
	ck_assert_uint_eq(body_head(body).len, BODY_CHUNK_BYTES);
	ck_assert_int_le(body_held_bytes(body), 6 * BODY_CHUNK_BYTES);
	ck_assert_int_eq(rooms, 0);
	gate_open(&gate);
	for (int i = 0; i < 1000 && rooms == 0; i++)
		usleep(1000);
	ck_assert_int_eq(rooms, 1);
	ck_assert(!body_is_backed_up(body));
	ck_assert_int_le(body_held_bytes(body), 4 * BODY_CHUNK_BYTES);
	letter_post(&letter, f.store, body, ulid_new(NOW), &left);
	letter_wait(&left);
	ck_assert_int_eq(letter.accept.job.code, ERR_OK);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT sum(length(data)) FROM chunk"),
			 4 * BODY_CHUNK_BYTES + 1);
	ck_assert_int_eq(rooms, 1);
	fixture_remove(&f);
}
END_TEST

START_TEST(nobody_is_called_after_the_body_was_thrown_away)
{
	static char chunk[BODY_CHUNK_BYTES];
	_Atomic int rooms = 0;
	struct fixture f;
	struct gate gate;
	struct body *body;

	fixture_open(&f);
	gate_close(&gate, f.store);
	body = body_new(f.store, count_room, &rooms);
	for (int i = 0; i < 8; i++)
		body_append(body, span_make(chunk, sizeof(chunk)));
	body_free(&body);
	ck_assert_ptr_null(body);
	gate_open(&gate);
	for (int i = 0; i < 1000; i++) {
		if (ask_sql(f.dir, "SELECT (SELECT count(*) FROM chunk)"
				   " + (SELECT count(*) FROM staging)") == 0 &&
		    i > 20)
			break;
		usleep(5000);
	}
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM chunk"), 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM staging"), 0);
	ck_assert_int_eq(rooms, 0);
	fixture_remove(&f);
}
END_TEST

/* What a crash leaves of a message that was still arriving goes; everything else stays. */
START_TEST(staging_is_swept_at_start)
{
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	ck_assert_int_eq(accept_one(f.store, 600000, 3, 1, STATE_HELD, &id), ERR_OK);
	fixture_close(&f);
	run_sql(f.dir, "INSERT INTO staging VALUES(77); INSERT INTO chunk(id, data)"
		       " SELECT (77 << 16) + value, zeroblob(1000) FROM (WITH RECURSIVE n(value) AS"
		       " (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value < 29)"
		       " SELECT value FROM n)");
	fixture_reopen(&f);
	for (int i = 0; i < 500 && ask_sql(f.dir, "SELECT count(*) FROM staging") > 0; i++)
		usleep(5000);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM chunk"), 3);
	ck_assert_int_eq(check_body(f.reader, &id, 600000, 3), ERR_OK);
	/* The number of what was swept is not given again. */
	accept_queued(&f, 1);
	ck_assert_int_gt(ask_sql(f.dir, "SELECT max(id) FROM message"), 77);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/body", a_large_body_holds_few_chunks_and_says_when_to_stop,
	  nobody_is_called_after_the_body_was_thrown_away, staging_is_swept_at_start)
