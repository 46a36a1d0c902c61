/* relay/deliver/upkeep.c - what delivery does beside delivering: expiry, pauses that ended, numbers
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/act.h"
#include "relay/deliver/inside.h"

#define EXPIRE_MAX 1000
#define UNPARK_MAX 1000
#define RETRY_MS   1000

struct expire_call {
	struct expire expire; /* first */
	struct event event;
	struct deliver *deliver;
	bool busy;
	int64_t next_ms;
};

struct unpark_call {
	struct unpark unpark; /* first */
	struct event event;
	struct deliver *deliver;
	bool busy;
	int64_t not_before_ms; /* after a failure */
};

static void on_expired(struct deliver *d, struct event *event)
{
	struct expire_call *call = d->expire;

	call->busy = false;
	if (call->expire.job.code < 0)
		log_warning("expiry failed", LOG_S("error", call->expire.job.why.text));
	else if (call->expire.expired > 0)
		log_info("expired", LOG_I("recipients", call->expire.expired));
	if (call->expire.job.code == ERR_OK && call->expire.expired == EXPIRE_MAX)
		call->next_ms = 0;
}

static void expire_done(struct store_job *job)
{
	struct expire_call *call = (struct expire_call *)job;

	scheduler_answer(call->deliver, &call->event);
}

static void on_unparked(struct deliver *d, struct event *event)
{
	struct unpark_call *call = d->unpark;

	call->busy = false;
	if (call->unpark.job.code == ERR_OK) {
		d->unpark_wanted |= call->unpark.unparked == UNPARK_MAX;
		return;
	}
	if (!store_is_failed(d->env.store))
		log_warning("mail of a resumed route not found",
			    LOG_S("error", call->unpark.job.why.text));
	call->not_before_ms = clock_mono_ms() + RETRY_MS;
	d->unpark_wanted = true;
}

static void unpark_done(struct store_job *job)
{
	struct unpark_call *call = (struct unpark_call *)job;

	scheduler_answer(call->deliver, &call->event);
}

void upkeep_start(struct deliver *d)
{
	d->expire = mem_zalloc(sizeof(*d->expire));
	d->expire->deliver = d;
	d->expire->event.arrive = on_expired;
	d->expire->expire.job.done = expire_done;
	d->unpark = mem_zalloc(sizeof(*d->unpark));
	d->unpark->deliver = d;
	d->unpark->event.arrive = on_unparked;
	d->unpark->unpark.job.done = unpark_done;
	d->unpark_wanted = true; /* routes and pauses may have changed since the last run */
}

void upkeep_stop(struct deliver *d)
{
	mem_free(d->expire);
	d->expire = NULL;
	mem_free(d->unpark);
	d->unpark = NULL;
}

bool upkeep_is_busy(const struct deliver *d)
{
	return d->expire->busy || d->unpark->busy;
}

/* Captured mail was never tried, so it does not grow too old for it either. */
void upkeep_expire(struct deliver *d, int64_t now_ms)
{
	const struct delivery_options *options = d->plan->options;
	struct expire_call *call = d->expire;

	if (call->busy || now_ms < call->next_ms || options->expire_after_ms <= 0 ||
	    options->capture_only || store_is_failed(d->env.store))
		return;
	call->busy = true;
	call->next_ms = now_ms + EXPIRE_EACH_MS;
	call->expire.now = clock_wall_ms();
	call->expire.received_before = call->expire.now - options->expire_after_ms;
	call->expire.max = EXPIRE_MAX;
	queue_expire(d->env.store, &call->expire.job);
}

/*
 * A route that was seen standing still, when mail of it was parked at the
 * latest, and does not any more: there may be parked mail.
 */
static void look_at_pauses(struct deliver *d)
{
	for (size_t i = 0; i < d->plan->options->route_count; i++) {
		struct way *way = &d->plan->ways[i];
		bool paused = store_is_paused(d->env.store, way->options->name);

		d->unpark_wanted |= way->paused && !paused;
		way->paused = paused;
	}
}

void upkeep_unpark(struct deliver *d, int64_t now_ms)
{
	struct unpark_call *call = d->unpark;

	look_at_pauses(d);
	if (!d->unpark_wanted || call->busy || now_ms < call->not_before_ms ||
	    store_is_failed(d->env.store))
		return;
	d->unpark_wanted = false;
	call->busy = true;
	call->unpark.now = clock_wall_ms();
	call->unpark.max = UNPARK_MAX;
	queue_unpark(d->env.store, &call->unpark.job);
}

static void fill(struct deliver *d, const struct way *way, struct route_status *status)
{
	snprintf(status->name, sizeof(status->name), "%s", way->options->name);
	status->paused = way->paused;
	status->connections = way->count.idle + way->count.busy;
	status->busy = way->count.busy;
	status->delivered = way->delivered;
	status->deferred = way->deferred;
	status->failed = way->failed;
	status->login_refused = way->login_failures > 0;
	memcpy(status->last_error, way->last_error, sizeof(status->last_error));
	status->last_error_at = way->last_error_at;
}

void upkeep_status(struct deliver *d)
{
	size_t count = d->plan->options->route_count;

	pthread_mutex_lock(&d->status_lock);
	if (d->status_count != count) {
		d->status = mem_regrow(d->status, count + 1, sizeof(*d->status));
		d->status_count = count;
	}
	for (size_t i = 0; i < count; i++)
		fill(d, &d->plan->ways[i], &d->status[i]);
	pthread_mutex_unlock(&d->status_lock);
}
