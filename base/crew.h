/* base/crew.h - a few threads for what may block or takes long, each with a line of jobs */
#ifndef STAGEPOST_BASE_CREW_H
#define STAGEPOST_BASE_CREW_H

#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/err.h"

struct crew;

/*
 * Embed in what is to be done; the crew's from crew_give() until `run` begins.
 * `run` is the job's own: it tells whoever waits for it, and may free the job
 * or give it again.
 *
 * `turn` is how many jobs it lets go first: 0 for first come, first served.
 * Where several share a thread, a giver's second job has a turn one above its
 * first, and so on: one that has many in the line does not hold up one that
 * has a single one. Turns count on from what is being served, so no job waits
 * for ever. Set it anew before each crew_give().
 */
struct crew_job {
	struct channel_item item; /* first; private */
	void (*run)(struct crew_job *job);
	uint64_t turn;
};

/*
 * `count` threads, all called `name` (up to 15 bytes). ERR_IO when they can't
 * be had. Memory is the only limit of a line: a job is a part of its giver's,
 * and a giver with peers behind it bounds how many it gives.
 */
int crew_new(const char *name, size_t count, struct crew **crew_out, struct err *why);
/* Does what is still in the lines and joins; nobody may give any more. NULL is fine. */
void crew_free(struct crew **crew);
size_t crew_size(const struct crew *crew);

/* Any thread: to the thread with the fewest jobs. */
void crew_give(struct crew *crew, struct crew_job *job);
/* Any thread: what has the same key is done by the same thread. */
void crew_give_to(struct crew *crew, size_t key, struct crew_job *job);

#endif
