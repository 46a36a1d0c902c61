/* relay/deliver/bouncer.h - a thread that makes the reports of failed mail ready for the store */
#ifndef STAGEPOST_RELAY_DELIVER_BOUNCER_H
#define STAGEPOST_RELAY_DELIVER_BOUNCER_H

#include "base/channel.h"
#include "base/err.h"
#include "queue/message.h"
#include "relay/deliver/bounce.h"
#include "relay/deliver/job.h"
#include "relay/filter/whitelist.h"

/*
 * A report on its way into the store with the outcomes it tells of. Its
 * recipient was judged like any other: queued, held, dropped or redirected;
 * then the second one stands for it.
 */
struct report {
	struct arena *arena; /* of all strings, and of this struct */
	struct new_message message;
	struct new_recipient recipients[2];
	struct body *body;
	size_t told;   /* recipients in it */
	size_t number; /* of it in the settle under way, from 1 */
};
void report_free(struct report **report);

/* RFC 3461 4.1 leaves to us what a long time is. */
#define BOUNCE_DELAY_MS ((int64_t)4 * 3600 * 1000)

struct bouncer;

/* Starts the thread. It reads the store on a connection of its own. */
int bouncer_start(struct store *store, struct whitelist *whitelist, struct channel *inbox,
		  struct bouncer **bouncer_out, struct err *why);
/* It must have no job. Joins. NULL is fine. */
void bouncer_stop(struct bouncer **bouncer);

/*
 * Fill outcome.told: what the sender asked for (NOTIFY), as far as
 * delivery.bounces lets it be told, and not what the next hop tells itself.
 * True: there is something to tell.
 */
bool bouncer_decide(struct job *job, int64_t now);
/*
 * When the sender wants to hear that it takes long (NOTIFY=DELAY), once;
 * INT64_MAX: never. The first outcome after that time tells it.
 */
int64_t bouncer_delay_at(const struct job *job, const struct claimed_recipient *claimed);
/*
 * Give it a job whose outcomes are decided. job->reported is sent to the
 * inbox when job->report is there, or NULL because there is nobody to tell,
 * or the message can't be read any more.
 */
void bouncer_run(struct bouncer *bouncer, struct job *job);

#endif
