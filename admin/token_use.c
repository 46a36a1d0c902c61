/* admin/token_use.c - when tokens were last used, written down now and then */
#include <config.h>

#include "admin/token_use.h"

#include <pthread.h>

#include "base/mem.h"
#include "queue/token.h"

#define SLOTS 64

/*
 * What was handed to the store already: between two requests of one moment
 * nothing has been written yet. Two tokens that share a slot write twice at worst.
 */
struct token_uses {
	struct store *store;
	pthread_mutex_t mutex;
	struct {
		int64_t id;
		int64_t at;
	} slots[SLOTS];
};

struct token_uses *token_uses_new(struct store *store)
{
	struct token_uses *uses = mem_zalloc(sizeof(*uses));

	uses->store = store;
	(void)pthread_mutex_init(&uses->mutex, NULL);
	return uses;
}

void token_uses_free(struct token_uses **uses)
{
	if (*uses == NULL)
		return;
	(void)pthread_mutex_destroy(&(*uses)->mutex);
	mem_free(*uses);
	*uses = NULL;
}

/* False: somebody else has just handed it in. */
static bool take_turn(struct token_uses *uses, int64_t id, int64_t now)
{
	size_t i = (size_t)id % SLOTS;
	bool mine;

	pthread_mutex_lock(&uses->mutex);
	mine = uses->slots[i].id != id || now - uses->slots[i].at >= TOKEN_USE_EVERY_MS;
	if (mine) {
		uses->slots[i].id = id;
		uses->slots[i].at = now;
	}
	pthread_mutex_unlock(&uses->mutex);
	return mine;
}

/* Written or not (the disk is full): the next minute is another one. */
static void on_done(struct store_job *job)
{
	mem_free(job);
}

void token_uses_note(struct token_uses *uses, int64_t id, int64_t last_used_at, int64_t now)
{
	struct token_use *use;

	/* Who came by the unix socket has none. */
	if (id == 0 || now - last_used_at < TOKEN_USE_EVERY_MS || !take_turn(uses, id, now))
		return;
	use = mem_zalloc(sizeof(*use));
	use->id = id;
	use->now = now;
	use->job.done = on_done;
	queue_token_use(uses->store, &use->job);
}
