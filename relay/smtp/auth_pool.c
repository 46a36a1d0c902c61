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

struct hasher {
	pthread_t thread;
	struct channel *line;
	_Atomic size_t jobs; /* in the line or in hand */
};

struct auth_pool {
	struct hasher hashers[AUTH_POOL_THREADS_MAX];
	size_t count; /* running */
};

static void *run(void *ctx)
{
	struct hasher *hasher = ctx;

	while (channel_wait(hasher->line, -1)) {
		struct auth_job *job = (struct auth_job *)channel_take(hasher->line);

		job->run(job);
		atomic_fetch_sub(&hasher->jobs, 1);
		if (!loop_post(job->loop, &job->done))
			assert(!"the loop outlives the job");
	}
	return NULL;
}

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

	while (pool->count < wanted) {
		struct hasher *hasher = &pool->hashers[pool->count];
		int failed;

		hasher->line = channel_new();
		failed = start(hasher);
		if (failed != 0) {
			channel_free(&hasher->line);
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

		channel_close(hasher->line);
		pthread_join(hasher->thread, NULL);
		channel_free(&hasher->line);
	}
	mem_free(*pool);
	*pool = NULL;
}

bool auth_pool_submit(struct auth_pool *pool, struct auth_job *job)
{
	struct hasher *best = &pool->hashers[0];

	for (size_t i = 1; i < pool->count; i++)
		if (atomic_load(&pool->hashers[i].jobs) < atomic_load(&best->jobs))
			best = &pool->hashers[i];
	/* Several loops may get here at once: a line is longer by so many at most. */
	if (atomic_load(&best->jobs) >= AUTH_POOL_LINE_MAX)
		return false;
	atomic_fetch_add(&best->jobs, 1);
	if (!channel_send(best->line, &job->item))
		assert(!"closed in auth_pool_free only");
	return true;
}
