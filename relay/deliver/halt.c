/* relay/deliver/halt.c - past policy.breaker all of delivery stands still until a person resumes it
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/act.h"
#include "relay/deliver/breaker.h"
#include "relay/deliver/inside.h"

#define ACTOR	  "breaker"
#define MINUTE_MS 60000
#define RETRY_MS  1000
#define SLOTS	  2

/* Two store jobs, one at a time each, and what they are about. */
struct halt {
	struct breaker breaker;
	bool tripped;	 /* nothing is given out until somebody resumes delivery */
	bool pause_kept; /* the pause is in the store */
	uint64_t trips;
	char sentence[200];
	/* offered since the last save, by the wall clock's minute */
	struct offered_slot unsaved[SLOTS];
	size_t unsaved_count;
	bool clear_wanted;

	struct pause pause;
	struct event paused;
	bool pausing;
	int64_t pause_again_ms;
	struct offered offered;
	struct offered_slot saving[SLOTS];
	struct event saved;
	bool saving_now;
	int64_t save_again_ms;
	struct deliver *deliver;
};

static struct breaker_limits limits_of(const struct deliver *d)
{
	return d->plan->options->breaker;
}

/* --- the store's answers ----------------------------------------------------------------- */

static void on_paused(struct deliver *d, struct event *event)
{
	struct halt *halt = d->halt;

	halt->pausing = false;
	halt->pause_kept = halt->pause.job.code == ERR_OK;
	halt->pause_again_ms = clock_mono_ms() + RETRY_MS;
	if (!halt->pause_kept && !store_is_failed(d->env.store))
		log_warning("the breaker's pause is not stored yet",
			    LOG_S("error", halt->pause.job.why.text));
}

static void pause_done(struct store_job *job)
{
	struct halt *halt = job->ctx;

	scheduler_answer(halt->deliver, &halt->paused);
}

/* What could not be saved now is, with what comes, the next time. */
static void on_saved(struct deliver *d, struct event *event)
{
	struct halt *halt = d->halt;

	halt->saving_now = false;
	halt->save_again_ms = clock_mono_ms() + RETRY_MS;
	if (halt->offered.job.code == ERR_OK)
		return;
	if (!store_is_failed(d->env.store))
		log_warning("the breaker's count is not stored",
			    LOG_S("error", halt->offered.job.why.text));
	/* A stop does not wait for a store that refuses. */
	if (d->stopping)
		return;
	if (halt->offered.what == OFFERED_CLEAR)
		halt->clear_wanted = true;
	else
		for (size_t i = 0; i < halt->offered.count; i++)
			halt_note(d, halt->saving[i].minute, halt->saving[i].recipients);
}

static void save_done(struct store_job *job)
{
	struct halt *halt = job->ctx;

	scheduler_answer(halt->deliver, &halt->saved);
}

/* --- counting --------------------------------------------------------------------------------- */

void halt_note(struct deliver *d, int64_t minute, int64_t recipients)
{
	struct halt *halt = d->halt;
	size_t last = halt->unsaved_count > 0 ? halt->unsaved_count - 1 : 0;

	if (halt->unsaved_count == SLOTS ||
	    (halt->unsaved_count > 0 && halt->unsaved[last].minute == minute)) {
		halt->unsaved[last].recipients += recipients;
		return;
	}
	halt->unsaved[halt->unsaved_count++] = (struct offered_slot){minute, recipients};
}

static void trip(struct deliver *d)
{
	struct halt *halt = d->halt;

	halt->tripped = true;
	halt->pause_kept = false;
	halt->trips++;
	log_warning("delivery is paused", LOG_S("reason", halt->sentence));
}

bool halt_allows(struct deliver *d, const struct job *job)
{
	struct halt *halt = d->halt;
	struct breaker_limits limits = limits_of(d);

	if (halt->tripped)
		return false;
	/* The connection had died: nobody has seen them yet. */
	if (job->redials > 0)
		return true;
	if (!breaker_take(&halt->breaker, &limits, job->count, clock_mono_ms(), halt->sentence,
			  sizeof(halt->sentence))) {
		trip(d);
		return false;
	}
	if (limits.per_day > 0)
		halt_note(d, clock_wall_ms() / MINUTE_MS, (int64_t)job->count);
	return true;
}

bool halt_is_on(const struct deliver *d)
{
	return d->halt->tripped;
}

size_t halt_room(const struct deliver *d, size_t most)
{
	struct breaker_limits limits = limits_of(d);

	return breaker_room(&limits, most);
}

/* --- each turn ---------------------------------------------------------------------------------
 */

static void keep_pause(struct deliver *d)
{
	struct halt *halt = d->halt;

	halt->pause = (struct pause){.job = {.done = pause_done, .ctx = halt},
				     .paused = true,
				     .actor = ACTOR,
				     .reason = halt->sentence,
				     .now = clock_wall_ms()};
	halt->pausing = true;
	queue_pause(d->env.store, &halt->pause.job);
}

/* A person has looked at it: count anew. */
static void resume(struct deliver *d)
{
	struct halt *halt = d->halt;

	halt->tripped = false;
	halt->unsaved_count = 0;
	halt->clear_wanted = true;
	breaker_init(&halt->breaker, clock_mono_ms());
	d->maybe_due = true;
	log_info("delivery goes on", LOG_S("reason", "resumed after the breaker"));
}

static void save(struct deliver *d, int64_t now_ms)
{
	struct halt *halt = d->halt;

	if (halt->saving_now || now_ms < halt->save_again_ms ||
	    (halt->unsaved_count == 0 && !halt->clear_wanted))
		return;
	halt->offered = (struct offered){.job = {.done = save_done, .ctx = halt},
					 .what = halt->clear_wanted ? OFFERED_CLEAR : OFFERED_SAVE,
					 .now = clock_wall_ms(),
					 .slots = halt->saving};
	if (!halt->clear_wanted) {
		memcpy(halt->saving, halt->unsaved, sizeof(halt->saving));
		halt->offered.count = halt->unsaved_count;
		halt->unsaved_count = 0;
	}
	halt->clear_wanted = false;
	halt->saving_now = true;
	queue_offered(d->env.store, &halt->offered.job);
}

void halt_watch(struct deliver *d, int64_t now_ms)
{
	struct halt *halt = d->halt;

	if (store_is_failed(d->env.store))
		return;
	if (halt->tripped && !halt->pause_kept) {
		if (!halt->pausing && now_ms >= halt->pause_again_ms)
			keep_pause(d);
	} else if (halt->tripped && !store_is_paused(d->env.store, NULL)) {
		resume(d);
	}
	/* Also while stopping, the last time. */
	save(d, d->stopping ? halt->save_again_ms : now_ms);
}

bool halt_is_busy(const struct deliver *d)
{
	return d->halt->pausing || d->halt->saving_now ||
	       (d->halt->unsaved_count > 0 && !store_is_failed(d->env.store));
}

void halt_status(struct deliver *d, struct breaker_status *status_out)
{
	struct halt *halt = d->halt;
	struct breaker_limits limits = limits_of(d);

	*status_out = (struct breaker_status){.per_minute = limits.per_minute,
					      .per_day = limits.per_day,
					      .tripped = halt->tripped,
					      .trips = halt->trips};
	breaker_counts(&halt->breaker, clock_mono_ms(), &status_out->minute, &status_out->day);
}

/* --- start and stop --------------------------------------------------------------------------- */

/* The store is ours alone yet: waiting is fine. */
static int load(struct deliver *d, struct err *why)
{
	struct offered offered = {.what = OFFERED_LOAD, .now = clock_wall_ms()};
	int code;

	offered.slots = mem_array(OFFERED_SLOTS_MAX, sizeof(*offered.slots));
	code = store_wait(d->env.store, queue_offered, &offered.job, why);
	for (size_t i = 0; code == ERR_OK && i < offered.count; i++)
		breaker_remember(&d->halt->breaker, offered.slots[i].recipients,
				 (offered.now / MINUTE_MS - offered.slots[i].minute) * MINUTE_MS,
				 clock_mono_ms());
	mem_free(offered.slots);
	return code;
}

int halt_start(struct deliver *d, struct err *why)
{
	struct halt *halt = d->halt = mem_zalloc(sizeof(*halt));
	struct pause_view view;

	halt->deliver = d;
	halt->paused.arrive = on_paused;
	halt->saved.arrive = on_saved;
	breaker_init(&halt->breaker, clock_mono_ms());
	if (store_pause_view(d->env.store, NULL, &view) && span_is(span_of(view.actor), ACTOR)) {
		halt->tripped = halt->pause_kept = true;
		snprintf(halt->sentence, sizeof(halt->sentence), "%.199s", view.reason);
	}
	return load(d, why);
}

void halt_stop(struct deliver *d)
{
	mem_free(d->halt);
	d->halt = NULL;
}
