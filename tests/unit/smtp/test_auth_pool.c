/* tests relay/smtp/auth_pool.c: clients take turns, and nobody may fill it alone */
#include <config.h>

#include "relay/smtp/auth_pool.h"

#include <stdatomic.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define JOBS_MAX (AUTH_POOL_THREADS_MAX * AUTH_POOL_WAITING)

struct bench {
	struct loop *loop;
	struct auth_pool *pool;
	atomic_bool held; /* jobs wait in their thread */
	_Atomic unsigned ran;
	_Atomic unsigned done;
};

struct job {
	struct auth_job job; /* first */
	struct bench *bench;
	unsigned order; /* of running, in its thread */
};

static struct job jobs[JOBS_MAX + 1];
static _Thread_local unsigned turns_here;

static void run(struct auth_job *job)
{
	struct job *own = (struct job *)job;

	while (atomic_load(&own->bench->held))
		usleep(1000);
	usleep(200);
	own->order = turns_here++;
	atomic_fetch_add(&own->bench->ran, 1);
}

static void done(struct loop_task *task)
{
	struct job *job = (struct job *)((char *)task - offsetof(struct job, job.done));

	ck_assert(loop_is_current(job->bench->loop));
	atomic_fetch_add(&job->bench->done, 1);
}

static void bench_open(struct bench *bench)
{
	struct err why;

	memset(bench, 0, sizeof(*bench));
	bench->loop = loop_new("test");
	ck_assert_int_eq(loop_start(bench->loop, &why), ERR_OK);
	ck_assert_int_eq(auth_pool_new(&bench->pool, &why), ERR_OK);
}

static void bench_close(struct bench *bench, unsigned want)
{
	atomic_store(&bench->held, false);
	for (int i = 0; i < 2000 && atomic_load(&bench->done) < want; i++)
		usleep(5000);
	ck_assert_uint_eq(atomic_load(&bench->done), want);
	auth_pool_free(&bench->pool);
	loop_stop(bench->loop);
	loop_free(&bench->loop);
}

static bool submit(struct bench *bench, struct job *job, unsigned char client)
{
	*job = (struct job){.job = {.run = run, .loop = bench->loop, .done = {.run = done}},
			    .bench = bench};
	job->job.peer.v4 = true;
	memcpy(job->job.peer.bytes + 10, "\xff\xff\x0a\0\0", 5);
	job->job.peer.bytes[15] = client;
	return auth_pool_submit(bench->pool, &job->job);
}

/* Client 1 sends as much as it may, then client 2 one: it comes soon. */
START_TEST(turns)
{
	struct bench bench;
	unsigned count = 0;
	unsigned late;

	bench_open(&bench);
	atomic_store(&bench.held, true);
	while (submit(&bench, &jobs[count], 1))
		count++;
	ck_assert_uint_ge(count, AUTH_POOL_WAITING / 2);
	ck_assert_uint_le(count, JOBS_MAX / 2);
	usleep(20000); /* each thread has one in hand */
	ck_assert(submit(&bench, &jobs[count], 2));
	late = count;
	bench_close(&bench, count + 1);
	/* Behind the one in hand and one that stood in line when it was taken up. */
	ck_assert_uint_le(jobs[late].order, 2);
	ck_assert_uint_eq(jobs[0].order, 0);
}
END_TEST

/* Others find room where one has taken its share; then it is full for all. */
START_TEST(shares)
{
	struct bench bench;
	unsigned count = 0;
	unsigned share;

	bench_open(&bench);
	atomic_store(&bench.held, true);
	while (submit(&bench, &jobs[count], 1))
		count++;
	share = count;
	while (submit(&bench, &jobs[count], (unsigned char)(2 + count % 50)))
		count++;
	ck_assert_uint_eq(count, 2 * share);
	ck_assert(!submit(&bench, &jobs[count], 200));
	bench_close(&bench, count);
	ck_assert_uint_eq(atomic_load(&bench.ran), count);
}
END_TEST

/* However many others come with one job each: who has many has its turns, too. */
START_TEST(no_starving)
{
	struct bench bench;
	unsigned count = 0;

	bench_open(&bench);
	atomic_store(&bench.held, true);
	while (count < 10)
		ck_assert(submit(&bench, &jobs[count++], 1));
	atomic_store(&bench.held, false);
	while (count < JOBS_MAX) {
		if (count - atomic_load(&bench.done) < 12) {
			ck_assert(submit(&bench, &jobs[count], (unsigned char)(2 + count % 200)));
			count++;
		} else {
			usleep(100);
		}
	}
	bench_close(&bench, count);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_lt(jobs[i].order, 40);
}
END_TEST

UNIT_MAIN("smtp/auth_pool", turns, shares, no_starving)
