/* relay/smtp/auth_pool.c - threads that hash passwords, so that no loop waits for it */
#include <config.h> /* pthread_setname_np */

#include "relay/smtp/auth_pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/smtp/census.h"

struct hasher {
	struct auth_pool *pool;
	pthread_t thread;
	struct channel *inbox;
	_Atomic size_t jobs;	/* in the channel, in line or in hand */
	struct auth_job *first; /* in line; the thread's own */
	uint64_t now;		/* the turn that was served last; the thread's own */
};

struct auth_pool {
	struct hasher hashers[AUTH_POOL_THREADS_MAX];
	size_t count;		/* running */
	struct census *waiting; /* and in hand */
};

/* --- in its thread ------------------------------------------------------------- */

/*
 * Fair queueing: a client's second job waiting stands one turn behind its
 * first. Turns count on from what is being served, so nobody waits for ever.
 */
static void line_up(struct hasher *hasher, struct auth_job *job)
{
	struct auth_job **at = &hasher->first;

	job->turn += hasher->now;
	while (*at != NULL && (*at)->turn <= job->turn)
		at = (struct auth_job **)&(*at)->item.next;
	job->item.next = (struct channel_item *)*at;
	*at = job;
}

static struct auth_job *next_job(struct hasher *hasher)
{
	struct channel_item *item;
	struct auth_job *job;

	if (hasher->first == NULL && !channel_wait(hasher->inbox, -1))
		return NULL;
	item = channel_take_all(hasher->inbox);
	while (item != NULL) {
		job = (struct auth_job *)item;
		item = item->next;
		line_up(hasher, job);
	}
	job = hasher->first;
	hasher->first = (struct auth_job *)job->item.next;
	hasher->now = job->turn;
	return job;
}

static void *run(void *ctx)
{
	struct hasher *hasher = ctx;
	struct auth_job *job;

	while ((job = next_job(hasher)) != NULL) {
		job->run(job);
		atomic_fetch_sub(&hasher->jobs, 1);
		census_leave(hasher->pool->waiting, &job->peer);
		if (!loop_post(job->loop, &job->done))
			assert(!"the loop outlives the job");
	}
	return NULL;
}

/* --- start and stop -------------------------------------------------------------- */

/* Signals are the main thread's. */
static int start(struct hasher *hasher)
{
	sigset_t all;
	sigset_t before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&hasher->thread, NULL, run, hasher);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed == 0)
		pthread_setname_np(hasher->thread, "auth");
	return failed;
}

static size_t choose_count(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < 1)
		return 1;
	return cpus < AUTH_POOL_THREADS_MAX ? (size_t)cpus : AUTH_POOL_THREADS_MAX;
}

int auth_pool_new(struct auth_pool **pool_out, struct err *why)
{
	struct auth_pool *pool = mem_zalloc(sizeof(*pool));
	size_t wanted = choose_count();

	pool->waiting = census_new();
	while (pool->count < wanted) {
		struct hasher *hasher = &pool->hashers[pool->count];
		int failed;

		hasher->pool = pool;
		hasher->inbox = channel_new();
		failed = start(hasher);
		if (failed != 0) {
			channel_free(&hasher->inbox);
			auth_pool_free(&pool);
			return err_set(why, ERR_IO, "no thread for passwords: %s",
				       strerror(failed));
		}
		pool->count++;
	}
	*pool_out = pool;
	return ERR_OK;
}

void auth_pool_free(struct auth_pool **pool)
{
	if (*pool == NULL)
		return;
	for (size_t i = 0; i < (*pool)->count; i++) {
		struct hasher *hasher = &(*pool)->hashers[i];

		channel_close(hasher->inbox);
		pthread_join(hasher->thread, NULL);
		channel_free(&hasher->inbox);
	}
	census_free(&(*pool)->waiting);
	mem_free(*pool);
	*pool = NULL;
}

/* --- from the loops ---------------------------------------------------------------- */

bool auth_pool_submit(struct auth_pool *pool, struct auth_job *job)
{
	struct hasher *best = &pool->hashers[0];
	size_t room = pool->count * AUTH_POOL_WAITING;

	if (census_enter(pool->waiting, &job->peer, room, room / 2) != CENSUS_OK)
		return false;
	job->turn = census_client(pool->waiting, &job->peer);
	for (size_t i = 1; i < pool->count; i++)
		if (atomic_load(&pool->hashers[i].jobs) < atomic_load(&best->jobs))
			best = &pool->hashers[i];
	atomic_fetch_add(&best->jobs, 1);
	if (!channel_send(best->inbox, &job->item))
		assert(!"closed in auth_pool_free only");
	return true;
}
