/* tests queue/measure.c: what is counted is what was committed, once */
#include <config.h>

#include "queue/measure.h"

#include <unistd.h>

#include "base/mem.h"
#include "queue/news.h"
#include "queue/space.h"
#include "tests/unit/queue/gate.h"
#include "tests/unit/unit.h"

enum { DELIVER, DROP, HOLD, REDIRECT, REJECT };

static struct store_measures measures_of(struct store *store)
{
	struct store_measures measures;

	store_measures(store, &measures);
	return measures;
}

static uint64_t count_of(const struct histogram_view *view)
{
	uint64_t count = 0;

	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		count += view->counts[i];
	return count;
}

START_TEST(mail_from_acceptance_to_delivery)
{
	struct claimed_recipient recipient;
	struct store_measures measures;
	struct fixture f;

	fixture_open(&f);
	store_measure_anew(f.store); /* the start commits, too */
	accept_as(&f, 3, STATE_DROPPED);
	accept_queued(&f, 1);
	recipient = claim_single(&f);
	ck_assert_uint_eq(settle_as(&f, recipient.id, recipient.lease, TRANSITION_DELIVER), 0);
	measures = measures_of(f.store);
	ck_assert_uint_eq(measures.messages, 2);
	ck_assert_uint_eq(measures.bytes, 2 * 4096);
	ck_assert_uint_eq(measures.verdicts[DELIVER], 1);
	ck_assert_uint_eq(measures.verdicts[DROP], 3);
	ck_assert_uint_eq(measures.entered[STATE_DROPPED], 3);
	ck_assert_uint_eq(measures.entered[STATE_QUEUED], 1);
	ck_assert_uint_eq(measures.entered[STATE_DELIVERING], 1);
	ck_assert_uint_eq(measures.entered[STATE_DELIVERED], 1);
	ck_assert_uint_eq(count_of(&measures.accept), 2);
	ck_assert_uint_gt(measures.accept.sum_us, 0);
	/* Who claims does not wait for the disk (queue/writer.c). */
	ck_assert_uint_eq(count_of(&measures.commit), 3);
	ck_assert_uint_eq(measures.jobs, 4);
	fixture_remove(&f);
}
END_TEST

/* What is rolled back and done again, one by one, is no second message. */
START_TEST(a_batch_that_is_replayed_counts_once)
{
	struct letter letters[20];
	_Atomic int left = 0;
	struct ulid same = ulid_new(NOW);
	struct store_measures measures;
	struct fixture f;
	struct gate gate;

	fixture_open(&f);
	gate_close(&gate, f.store);
	for (int i = 0; i < 20; i++)
		letter_post(&letters[i], f.store, make_body(f.store, 100, 0),
			    i == 5 || i == 15 ? same : ulid_new(NOW), &left);
	gate_open(&gate);
	letter_wait(&left);
	ck_assert_int_eq(letters[15].accept.job.code, ERR_CONFLICT);
	measures = measures_of(f.store);
	ck_assert_uint_eq(measures.messages, 19);
	ck_assert_uint_eq(measures.bytes, 1900);
	ck_assert_uint_eq(measures.verdicts[HOLD], 19);
	ck_assert_uint_eq(measures.entered[STATE_HELD], 19);
	ck_assert_uint_eq(count_of(&measures.accept), 19);
	fixture_remove(&f);
}
END_TEST

START_TEST(a_refusal_at_rcpt_is_a_verdict)
{
	struct fixture f;

	fixture_open(&f);
	store_tell(f.store, &(struct news){.kind = NEWS_VERDICT, .at = NOW, .action = "reject"});
	store_tell(f.store, &(struct news){.kind = NEWS_VERDICT, .at = NOW, .action = "other"});
	store_tell(f.store, &(struct news){.kind = NEWS_DELIVERY, .at = NOW, .action = "reject"});
	ck_assert_uint_eq(measures_of(f.store).verdicts[REJECT], 1);
	fixture_remove(&f);
}
END_TEST

/* An idle writer brings the log into the database; then nothing of it waits. */
START_TEST(checkpoints)
{
	struct store_measures measures = {0};
	struct store_space space = {0};
	struct fixture f;

	fixture_open(&f);
	accept_queued(&f, 1);
	for (int i = 0; i < 500; i++) {
		measures = measures_of(f.store);
		store_space(f.store, &space);
		if (count_of(&measures.checkpoint) > 0 && space.log_waiting_bytes == 0)
			break;
		usleep(10000);
	}
	ck_assert_uint_ge(count_of(&measures.checkpoint), 1);
	ck_assert_int_eq(space.log_waiting_bytes, 0);
	ck_assert_uint_eq(measures.checkpoints_cut + measures.checkpoints_failed, 0);
	fixture_remove(&f);
}
END_TEST

START_TEST(counting_anew)
{
	struct store_measures measures;
	struct fixture f;

	fixture_open(&f);
	accept_as(&f, 3, STATE_DROPPED);
	store_measure_anew(f.store);
	measures = measures_of(f.store);
	ck_assert_uint_eq(measures.messages + measures.bytes + measures.jobs +
				  measures.verdicts[DROP] + measures.entered[STATE_DROPPED] +
				  count_of(&measures.accept) + count_of(&measures.commit),
			  0);
	accept_as(&f, 1, STATE_DROPPED);
	ck_assert_uint_eq(measures_of(f.store).messages, 1);
	ck_assert_uint_eq(measures_of(f.store).entered[STATE_DROPPED], 1);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/measure", mail_from_acceptance_to_delivery, a_batch_that_is_replayed_counts_once,
	  a_refusal_at_rcpt_is_a_verdict, checkpoints, counting_anew)
