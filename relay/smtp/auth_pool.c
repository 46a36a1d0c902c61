/* relay/smtp/auth_pool.c - threads that hash passwords, so that no loop waits for it */
#include "relay/smtp/auth_pool.h"

#include <assert.h>
#include <unistd.h>

#include "base/mem.h"
#include "relay/smtp/census.h"

struct auth_pool {
	struct crew *crew;
	struct census *waiting; /* and in hand */
};

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
	int code = crew_new("auth", choose_count(), &pool->crew, why);

	if (code != ERR_OK) {
		mem_free(pool);
		return code;
	}
	pool->waiting = census_new();
	*pool_out = pool;
	return ERR_OK;
}

void auth_pool_free(struct auth_pool **pool)
{
	if (*pool == NULL)
		return;
	crew_free(&(*pool)->crew);
	census_free(&(*pool)->waiting);
	mem_free(*pool);
	*pool = NULL;
}

/* In a thread of the crew. */
static void run(struct crew_job *crew_job)
{
	struct auth_job *job = (struct auth_job *)crew_job;

	job->run(job);
	census_leave(job->pool->waiting, &job->peer);
	if (!loop_post(job->loop, &job->done))
		assert(!"the loop outlives the job");
}

/* Fair queueing: a client's second job waiting stands one turn behind its first. */
bool auth_pool_submit(struct auth_pool *pool, struct auth_job *job)
{
	size_t room = crew_size(pool->crew) * AUTH_POOL_WAITING;

	if (census_enter(pool->waiting, &job->peer, room, room / 2) != CENSUS_OK)
		return false;
	job->pool = pool;
	job->job.run = run;
	job->job.turn = census_client(pool->waiting, &job->peer);
	crew_give(pool->crew, &job->job);
	return true;
}
