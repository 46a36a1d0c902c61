/* tests queue/ from many threads: mostly for ThreadSanitizer */
#include <config.h>

#include <pthread.h>
#include <unistd.h>

#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define THREADS 4
#define EACH	60

struct worker {
	struct fixture *f;
	int number;
	_Atomic int *delivered;
};

static void *accept_many(void *arg)
{
	struct worker *worker = arg;

	for (int i = 0; i < EACH; i++) {
		int64_t size = i % 20 == 0 ? 1500000 : 2000;

		ck_assert_int_eq(accept_one(worker->f->store, size, (unsigned)worker->number, 2,
					    STATE_QUEUED, NULL),
				 ERR_OK);
		store_is_behind(worker->f->store);
	}
	return NULL;
}

static void *deliver_many(void *arg)
{
	struct worker *worker = arg;
	struct store_reader *reader;

	ck_assert_int_eq(store_reader_open(worker->f->store, &reader, NULL), ERR_OK);
	while (*worker->delivered < THREADS * EACH * 2) {
		struct claim claim = claim_at(worker->f, NOW, 20);

		for (size_t m = 0; m < claim.message_count; m++) {
			struct claimed_message *message = &claim.messages[m];
			struct buf buf;

			buf_init(&buf, BODY_CHUNK_BYTES);
			ck_assert_int_eq(queue_body_read(reader, &message->id, 0, &buf, NULL),
					 ERR_OK);
			buf_release(&buf);
			for (size_t r = 0; r < message->recipient_count; r++) {
				ck_assert_uint_eq(settle_as(worker->f, message->recipients[r].id,
							    message->recipients[r].lease,
							    TRANSITION_DELIVER),
						  0);
				++*worker->delivered;
			}
		}
		arena_free(&claim.arena);
	}
	store_reader_close(&reader);
	return NULL;
}

START_TEST(many_threads)
{
	_Atomic int delivered = 0;
	struct worker workers[THREADS + 2];
	pthread_t threads[THREADS + 2];
	struct queue_stats stats;
	struct fixture f;

	fixture_open(&f);
	for (int i = 0; i < THREADS + 2; i++) {
		workers[i] = (struct worker){&f, i, &delivered};
		pthread_create(&threads[i], NULL, i < THREADS ? accept_many : deliver_many,
			       &workers[i]);
	}
	while (delivered < THREADS * EACH * 2) {
		struct message_query query = {.limit = 10, .state = STATE_QUEUED};
		struct arena *arena = arena_new();
		struct message_page page;

		ck_assert_int_eq(queue_message_list(f.reader, &query, arena, &page, NULL), ERR_OK);
		arena_free(&arena);
		store_stats(f.store, &stats);
		store_is_paused(f.store, "default");
		usleep(5000);
	}
	for (int i = 0; i < THREADS + 2; i++)
		pthread_join(threads[i], NULL);
	store_stats(f.store, &stats);
	ck_assert_int_eq(stats.messages, THREADS * EACH);
	ck_assert_int_eq(stats.by_state[STATE_DELIVERED], THREADS * EACH * 2);
	ck_assert_int_eq(stats.by_state[STATE_QUEUED] + stats.by_state[STATE_DELIVERING], 0);
	ck_assert_int_eq(stats.oldest_due_at, 0);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/threads", many_threads)
