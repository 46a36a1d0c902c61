/* base/crew.c - a few threads for what may block or takes long, each with a line of jobs */
#include "base/crew.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/thread.h"

struct hand {
	pthread_t thread;
	struct channel *inbox;
	_Atomic size_t jobs; /* in the inbox, in line or in hand */
	/* the thread's own */
	struct channel_item *first, *last; /* in line; `last` only while there is a first */
	uint64_t now;			   /* the turn that was served last */
};

struct crew {
	size_t count; /* running */
	struct hand hands[];
};

/* --- in a thread ------------------------------------------------------------- */

static uint64_t turn_of(const struct channel_item *item)
{
	return ((const struct crew_job *)item)->turn;
}

/* Behind all of the same turn; mostly that is the end. */
static void line_up(struct hand *hand, struct crew_job *job)
{
	struct channel_item **at = &hand->first;

	job->turn += hand->now;
	if (hand->first != NULL && turn_of(hand->last) <= job->turn)
		at = &hand->last->next;
	while (*at != NULL && turn_of(*at) <= job->turn)
		at = &(*at)->next;
	job->item.next = *at;
	*at = &job->item;
	if (job->item.next == NULL)
		hand->last = &job->item;
}

/* NULL: closed, and everything is done. */
static struct crew_job *next_job(struct hand *hand)
{
	struct channel_item *item;
	struct crew_job *job;

	if (hand->first == NULL && !channel_wait(hand->inbox, -1))
		return NULL;
	item = channel_take_all(hand->inbox);
	while (item != NULL) {
		job = (struct crew_job *)item;
		item = item->next;
		line_up(hand, job);
	}
	job = (struct crew_job *)hand->first;
	hand->first = job->item.next;
	hand->now = job->turn;
	return job;
}

static void *work(void *ctx)
{
	struct hand *hand = ctx;
	struct crew_job *job;

	while ((job = next_job(hand)) != NULL) {
		job->run(job);
		atomic_fetch_sub(&hand->jobs, 1);
	}
	return NULL;
}

/* --- start and stop ---------------------------------------------------------- */

int crew_new(const char *name, size_t count, struct crew **crew_out, struct err *why)
{
	struct crew *crew = mem_zalloc(sizeof(*crew) + count * sizeof(crew->hands[0]));

	assert(count > 0);
	while (crew->count < count) {
		struct hand *hand = &crew->hands[crew->count];
		int code;

		hand->inbox = channel_new();
		code = thread_start(name, work, hand, &hand->thread, why);
		if (code != ERR_OK) {
			channel_free(&hand->inbox);
			crew_free(&crew);
			return code;
		}
		crew->count++;
	}
	*crew_out = crew;
	return ERR_OK;
}

void crew_free(struct crew **crew)
{
	if (*crew == NULL)
		return;
	for (size_t i = 0; i < (*crew)->count; i++)
		channel_close((*crew)->hands[i].inbox);
	for (size_t i = 0; i < (*crew)->count; i++) {
		pthread_join((*crew)->hands[i].thread, NULL);
		channel_free(&(*crew)->hands[i].inbox);
	}
	mem_free(*crew);
	*crew = NULL;
}

size_t crew_size(const struct crew *crew)
{
	return crew->count;
}

/* --- giving ------------------------------------------------------------------ */

static void give(struct hand *hand, struct crew_job *job)
{
	atomic_fetch_add(&hand->jobs, 1);
	if (!channel_send(hand->inbox, &job->item))
		assert(!"closed in crew_free only");
}

void crew_give(struct crew *crew, struct crew_job *job)
{
	struct hand *best = &crew->hands[0];

	for (size_t i = 1; i < crew->count; i++)
		if (atomic_load(&crew->hands[i].jobs) < atomic_load(&best->jobs))
			best = &crew->hands[i];
	give(best, job);
}

void crew_give_to(struct crew *crew, size_t key, struct crew_job *job)
{
	give(&crew->hands[key % crew->count], job);
}
