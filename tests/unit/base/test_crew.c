/* tests base/crew.c, and through it base/thread.c */
#include <config.h> /* pthread_getname_np */

#include "base/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/unit.h"

#define GIVERS 4
#define EACH   2000

struct errand {
	struct crew_job job; /* first */
	pthread_t done_by;
	unsigned order; /* of being done, from 1; 0: not yet */
	atomic_bool done;
	atomic_bool *gate; /* it waits until that is open */
	char name[16];
	bool takes_signals;
};

static _Atomic unsigned done_count;

static void do_errand(struct crew_job *job)
{
	struct errand *errand = (struct errand *)job;

	while (errand->gate != NULL && !atomic_load(errand->gate))
		usleep(200);
	errand->done_by = pthread_self();
	errand->order = atomic_fetch_add(&done_count, 1) + 1;
	atomic_store(&errand->done, true);
}

static struct errand errand_of(atomic_bool *gate, uint64_t turn)
{
	return (struct errand){.job = {.run = do_errand, .turn = turn}, .gate = gate};
}

static struct crew *crew_of(size_t count)
{
	struct crew *crew = NULL;
	struct err why;

	ck_assert_int_eq(crew_new("test crew", count, &crew, &why), ERR_OK);
	ck_assert_uint_eq(crew_size(crew), count);
	return crew;
}

static void wait_done(struct errand *errand)
{
	for (int i = 0; i < 10000 && !atomic_load(&errand->done); i++)
		usleep(500);
	ck_assert(atomic_load(&errand->done));
}

/* --- everything is done, once ------------------------------------------------ */

static void do_and_free(struct crew_job *job)
{
	atomic_fetch_add(&done_count, 1);
	mem_free(job);
}

static void *give_many(void *ctx)
{
	for (size_t i = 0; i < EACH; i++) {
		struct crew_job *job = mem_zalloc(sizeof(*job));

		job->run = do_and_free;
		job->turn = i % 5;
		if (i % 2 == 0)
			crew_give(ctx, job);
		else
			crew_give_to(ctx, i, job);
	}
	return NULL;
}

/* crew_free leaves nothing undone: a job that is lost is a leak, too. */
START_TEST(every_job_is_done_before_the_end)
{
	struct crew *crew = crew_of(3);
	pthread_t givers[GIVERS];

	for (int i = 0; i < GIVERS; i++)
		pthread_create(&givers[i], NULL, give_many, crew);
	for (int i = 0; i < GIVERS; i++)
		pthread_join(givers[i], NULL);
	crew_free(&crew);
	ck_assert_ptr_null(crew);
	ck_assert_uint_eq(atomic_load(&done_count), GIVERS * EACH);
	crew_free(&crew);
}
END_TEST

/* --- who does it, and when --------------------------------------------------- */

START_TEST(a_busy_thread_gets_no_more)
{
	struct crew *crew = crew_of(3);
	atomic_bool gate = false;
	struct errand slow[2] = {errand_of(&gate, 0), errand_of(&gate, 0)};
	struct errand quick = errand_of(NULL, 0);

	crew_give(crew, &slow[0].job);
	crew_give(crew, &slow[1].job);
	crew_give(crew, &quick.job);
	wait_done(&quick);
	atomic_store(&gate, true);
	crew_free(&crew);
	ck_assert_uint_eq(quick.order, 1);
	ck_assert(!pthread_equal(slow[0].done_by, slow[1].done_by));
}
END_TEST

START_TEST(a_key_has_one_thread_and_its_order)
{
	struct crew *crew = crew_of(4);
	atomic_bool gate = false;
	struct errand errands[50];
	struct errand other = errand_of(NULL, 0);

	for (size_t i = 0; i < 50; i++) {
		errands[i] = errand_of(&gate, 0);
		crew_give_to(crew, i % 2 == 0 ? 6 : 2, &errands[i].job);
	}
	/* Another key's does not wait for them. */
	crew_give_to(crew, 7, &other.job);
	wait_done(&other);
	atomic_store(&gate, true);
	crew_free(&crew);
	for (size_t i = 0; i < 50; i++) {
		ck_assert(pthread_equal(errands[i].done_by, errands[0].done_by));
		ck_assert_uint_eq(errands[i].order, i + 2);
	}
	ck_assert(!pthread_equal(other.done_by, errands[0].done_by));
}
END_TEST

/* One giver with many, then one with a single one, and so on: in turns, then as they came. */
START_TEST(turns)
{
	static const struct {
		uint64_t turn;
		unsigned want;
	} cases[] = {{1, 1}, {2, 5}, {3, 8}, {4, 9}, {1, 2}, {2, 6}, {1, 3}, {2, 7}, {1, 4}};
	struct crew *crew = crew_of(1);
	atomic_bool gate = false;
	struct errand blocker = errand_of(&gate, 0);
	struct errand errands[sizeof(cases) / sizeof(cases[0])];

	crew_give(crew, &blocker.job);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errands[i] = errand_of(NULL, cases[i].turn);
		crew_give(crew, &errands[i].job);
	}
	atomic_store(&gate, true);
	crew_free(&crew);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_uint_eq(errands[i].order, cases[i].want + 1);
}
END_TEST

struct chain {
	struct crew_job job; /* first */
	struct crew *crew;
	unsigned left;
};

/* Once it is running a job is the giver's again. */
static void do_chain(struct crew_job *job)
{
	struct chain *chain = (struct chain *)job;

	atomic_fetch_add(&done_count, 1);
	if (--chain->left == 0)
		return;
	job->turn = 1;
	crew_give(chain->crew, job);
}

/* There is always one with a low turn: a high one counts from when it came. */
START_TEST(no_job_waits_for_ever)
{
	struct crew *crew = crew_of(1);
	atomic_bool gate = false;
	struct errand blocker = errand_of(&gate, 0);
	struct errand patient = errand_of(NULL, 5);
	struct chain chain = {{.run = do_chain, .turn = 1}, crew, 100};

	crew_give(crew, &blocker.job);
	crew_give(crew, &patient.job);
	crew_give(crew, &chain.job);
	atomic_store(&gate, true);
	wait_done(&patient);
	while (atomic_load(&done_count) < 102)
		usleep(500);
	crew_free(&crew);
	ck_assert_uint_eq(patient.order, 1 + 4 + 1);
	ck_assert_uint_eq(chain.left, 0);
}
END_TEST

/* --- its threads ------------------------------------------------------------- */

static void look_around(struct crew_job *job)
{
	struct errand *errand = (struct errand *)job;
	sigset_t mask;

	pthread_getname_np(pthread_self(), errand->name, sizeof(errand->name));
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	errand->takes_signals = !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGPIPE);
	do_errand(job);
}

START_TEST(a_name_and_no_signals)
{
	struct crew *crew = crew_of(1);
	struct errand errand = {.job = {.run = look_around}};
	sigset_t mask;

	crew_give(crew, &errand.job);
	crew_free(&crew);
	ck_assert_str_eq(errand.name, "test crew");
	ck_assert(!errand.takes_signals);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	ck_assert(!sigismember(&mask, SIGTERM));
}
END_TEST

/* As somebody who may have a few threads only; those that started are joined. */
START_TEST(too_few_threads_is_an_error)
{
	const struct rlimit few = {6, 6};
	struct crew *crew = NULL;
	struct err why;

	if (geteuid() == 0 && setuid(54321) != 0)
		return;
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &few), 0);
	ck_assert_int_eq(crew_new("test crew", 12, &crew, &why), ERR_IO);
	ck_assert_ptr_null(crew);
	ck_assert_ptr_nonnull(strstr(why.text, "no thread for test crew: "));
}
END_TEST

UNIT_MAIN("base/crew", every_job_is_done_before_the_end, a_busy_thread_gets_no_more,
	  a_key_has_one_thread_and_its_order, turns, no_job_waits_for_ever, a_name_and_no_signals,
	  too_few_threads_is_an_error)
