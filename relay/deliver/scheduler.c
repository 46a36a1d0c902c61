/* relay/deliver/scheduler.c - the thread that decides what is sent when, and by whom */
#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "queue/act.h" /* store_is_paused */
#include "relay/deliver/inside.h"

void scheduler_answer(struct deliver *d, struct event *event)
{
	if (!channel_send(d->inbox, &event->item))
		assert(!"the inbox is open until everything was answered");
}

static bool has_links(const struct deliver *d)
{
	for (const struct plan *plan = d->plans; plan != NULL; plan = plan->next)
		for (size_t i = 0; i < plan->options->route_count; i++)
			if (pool_links(&plan->ways[i]) > 0 || plan->ways[i].lookups > 0)
				return true;
	return false;
}

static bool is_quiet(const struct deliver *d)
{
	return d->jobs == NULL && !d->claim.busy && !d->settle.busy && !d->renew.busy &&
	       !park_is_busy(d) && !halt_is_busy(d) && !has_links(d);
}

/* Old versions of the options, and all of them when stopping: nothing new, what waits goes back. */
static void retire(struct deliver *d, struct plan *plan, bool busy_too)
{
	for (size_t i = 0; i < plan->options->route_count; i++) {
		way_give_up(d, &plan->ways[i], TRANSITION_UNCLAIM, "", clock_wall_ms());
		pool_close(&plan->ways[i], busy_too);
		lookup_end(&plan->ways[i]);
	}
}

static void tick(struct deliver *d)
{
	int64_t now_ms = clock_mono_ms();
	/* What becomes of mail can't be written down any more: no further dot may leave (P3). */
	bool failed = store_is_failed(d->env.store);
	bool overdue = failed || (d->stopping && now_ms >= d->stop_deadline_ms);

	for (struct plan *plan = d->plans; plan != NULL; plan = plan->next) {
		if (plan->old || d->stopping || failed)
			retire(d, plan, overdue);
		else
			for (size_t i = 0; i < plan->options->route_count; i++)
				pool_tidy(d, &plan->ways[i], now_ms);
	}
	if (store_is_paused(d->env.store, NULL) || halt_is_on(d))
		for (size_t i = 0; i < d->plan->options->route_count; i++)
			way_give_up(d, &d->plan->ways[i], TRANSITION_UNCLAIM, "", clock_wall_ms());
	halt_watch(d, now_ms);
	if (!d->stopping) {
		settle_renew(d, now_ms);
		park_return(d, now_ms);
		park_relieve(d);
	}
}

/* Small steps, and a clock that is slewed, move less than a retry's jitter does. */
#define CLOCK_STEP_MS 60000

/*
 * The times of what waits are the wall clock's, because they outlive us. So
 * they follow where it is set, before anything is judged by them. This waits
 * for the writer: nothing is to be claimed before.
 */
static void follow_clock(struct deliver *d)
{
	int64_t offset_ms = clock_offset_ms();
	struct shift shift = {.by_ms = offset_ms - d->clock_offset_ms, .now = clock_wall_ms()};
	struct err why = {""};

	d->clock_offset_ms = offset_ms;
	if (shift.by_ms > -CLOCK_STEP_MS && shift.by_ms < CLOCK_STEP_MS)
		return;
	d->next_due_at = shift.now; /* look again */
	if (store_wait(d->env.store, queue_shift, &shift.job, &why) == ERR_OK)
		log_warning("clock", LOG_S("note", "it was set; what waits follows"),
			    LOG_I("seconds", shift.by_ms / 1000));
	else
		log_error("clock", LOG_S("note", "it was set, and what waits does not follow"),
			  LOG_I("seconds", shift.by_ms / 1000), LOG_S("reason", why.text));
}

static void turn(struct deliver *d)
{
	follow_clock(d);
	tick(d);
	intake_claim(d, clock_wall_ms());
	pool_start_jobs(d);
	settle_submit(d);
	plan_end_unused(d);
	upkeep_status(d);
}

static int patience(const struct deliver *d)
{
	int64_t due = d->next_due_at - clock_wall_ms();
	int64_t held = pool_wait_ms(d);
	int64_t wait = IDLE_MS;

	if (d->stopping)
		return 50;
	if (d->jobs != NULL || has_links(d) || store_is_paused(d->env.store, NULL) ||
	    halt_is_on(d) || park_is_awaited(d))
		wait = TICK_MS;
	if (held > 0 && held < wait)
		wait = held;
	/* Something is due that intake did not take: our hands are full, or it must not. */
	if (due <= 0 || d->maybe_due)
		due = d->jobs != NULL ? CLAIM_EACH_MS : TICK_MS;
	return (int)(due < wait ? due : wait);
}

void *scheduler_run(void *arg)
{
	struct deliver *d = arg;

	d->clock_offset_ms = clock_offset_ms();
	turn(d);
	while (!d->stopping || !is_quiet(d)) {
		struct channel_item *item;

		channel_wait(d->inbox, patience(d));
		item = channel_take_all(d->inbox);
		while (item != NULL) {
			struct event *event = (struct event *)item;

			item = item->next;
			event->arrive(d, event);
		}
		turn(d);
	}
	return NULL;
}
