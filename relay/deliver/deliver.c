/* relay/deliver/deliver.c - delivery as a whole: start, wake, reload, stop, numbers */
#include <config.h> /* pthread_sigmask */

#include "relay/deliver/deliver.h"

#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "relay/deliver/dial.h"
#include "relay/deliver/inside.h"
#include "relay/deliver/route.h"

struct reload {
	struct event event; /* first */
	const struct delivery_options *options;
	void (*done)(void *ctx);
	void *ctx;
};

/* More than all routes can use would only sit there. */
static size_t workers_wanted(const struct delivery_options *options)
{
	return options->workers > 0 ? options->workers : 1;
}

static void arrive_wake(struct deliver *d, struct event *event)
{
	atomic_store(&d->wake_sent, false);
	d->maybe_due = true;
}

void deliver_wake(struct deliver *d)
{
	if (!atomic_exchange(&d->wake_sent, true))
		scheduler_answer(d, &d->wake_event);
}

static void arrive_reload(struct deliver *d, struct event *event)
{
	struct reload *reload = (struct reload *)event;
	struct plan *old = d->plan;

	d->plan = plan_new(d, reload->options);
	old->old = true;
	old->done = reload->done;
	old->done_ctx = reload->ctx;
	d->others_parked = true; /* it may have another route now */
	d->maybe_due = true;
	mem_free(reload);
}

void deliver_reload(struct deliver *d, const struct delivery_options *options,
		    void (*done)(void *ctx), void *ctx)
{
	struct reload *reload = mem_zalloc(sizeof(*reload));

	reload->event.arrive = arrive_reload;
	reload->options = options;
	reload->done = done;
	reload->ctx = ctx;
	scheduler_answer(d, &reload->event);
}

static void arrive_stop(struct deliver *d, struct event *event)
{
	d->stopping = true;
	d->stop_deadline_ms = clock_mono_ms() + atomic_load(&d->stop_grace_ms);
}

static int start_workers(struct deliver *d, size_t count, struct err *why)
{
	d->workers = mem_array(count, sizeof(*d->workers));
	d->idle_workers = mem_array(count, sizeof(*d->idle_workers));
	while (d->worker_count < count) {
		int code = worker_start(d->env.store, d->env.whitelist, d->env.rules, d->inbox,
					&d->workers[d->worker_count], why);

		if (code < 0)
			return code;
		d->idle_workers[d->idle_count++] = d->workers[d->worker_count++];
	}
	return ERR_OK;
}

static void release(struct deliver *d)
{
	for (size_t i = 0; i < d->worker_count; i++)
		worker_stop(&d->workers[i]);
	bouncer_stop(&d->bouncer);
	resolver_free(&d->resolver);
	for (struct plan *plan = d->plans; plan != NULL; plan = plan->next) {
		plan->old = true;
		assert(plan->users == 0);
	}
	plan_end_unused(d);
	keyring_free(&d->keyring);
	park_stop(d);
	halt_stop(d);
	/* A wake that nobody needs any more; it is a part of `d`. */
	while (channel_take(d->inbox) != NULL)
		;
	channel_free(&d->inbox);
	pthread_mutex_destroy(&d->status_lock);
	mem_free(d->status);
	mem_free(d->hosts);
	mem_free(d->workers);
	mem_free(d->idle_workers);
	mem_free(d);
}

static int check(const struct deliver_env *env, const struct delivery_options *options,
		 struct err *why)
{
	if (!dial_is_in_place())
		return err_set(why, ERR_FATAL,
			       "connect() of this program is not the one that libesmtp gets");
	assert(env->loop_count > 0 && env->store != NULL && env->whitelist != NULL);
	assert(options->policy != NULL && options->hostname != NULL);
	return ERR_OK;
}

int deliver_start(const struct deliver_env *env, const struct delivery_options *options,
		  struct deliver **deliver_out, struct err *why)
{
	struct deliver *d;
	int code = check(env, options, why);

	if (code < 0)
		return code;
	d = mem_zalloc(sizeof(*d));
	d->env = *env;
	if (d->env.lease_ms <= 0)
		d->env.lease_ms = LEASE_MS;
	d->inbox = channel_new();
	pthread_mutex_init(&d->status_lock, NULL);
	d->wake_event.arrive = arrive_wake;
	d->stop_event.arrive = arrive_stop;
	d->resolver = resolver_new();
	d->plan = plan_new(d, options);
	intake_start(d);
	settle_start(d);
	park_start(d);
	code = halt_start(d, why);
	if (code == ERR_OK)
		code = bouncer_start(env->store, env->whitelist, d->inbox, &d->bouncer, why);
	if (code == ERR_OK)
		code = start_workers(d, workers_wanted(options), why);
	if (code == ERR_OK) {
		upkeep_status(d);
		code = thread_start("scheduler", scheduler_run, d, &d->thread, why);
	}
	if (code < 0) {
		release(d);
		return code;
	}
	*deliver_out = d;
	return ERR_OK;
}

void deliver_retire(struct deliver *d, int64_t grace_ms)
{
	if (atomic_exchange(&d->stop_sent, true))
		return;
	atomic_store(&d->stop_grace_ms, grace_ms);
	scheduler_answer(d, &d->stop_event);
}

void deliver_stop(struct deliver **deliver, int64_t grace_ms)
{
	struct deliver *d = *deliver;

	if (d == NULL)
		return;
	deliver_retire(d, grace_ms);
	pthread_join(d->thread, NULL);
	release(d);
	*deliver = NULL;
}

void deliver_breaker(struct deliver *d, struct breaker_status *status_out)
{
	pthread_mutex_lock(&d->status_lock);
	*status_out = d->breaker_status;
	pthread_mutex_unlock(&d->status_lock);
}

void deliver_rewritten(struct deliver *d, struct outbound_count *count_out)
{
	pthread_mutex_lock(&d->status_lock);
	*count_out = d->rewritten_status;
	pthread_mutex_unlock(&d->status_lock);
}

void deliver_handshakes(struct deliver *d, struct handshakes_view *view_out)
{
	handshakes_read(&d->handshakes, view_out);
}

size_t deliver_status(struct deliver *d, struct route_status *routes_out, size_t max)
{
	size_t count;

	pthread_mutex_lock(&d->status_lock);
	count = d->status_count;
	for (size_t i = 0; i < count && i < max; i++)
		routes_out[i] = d->status[i];
	pthread_mutex_unlock(&d->status_lock);
	return count;
}

size_t deliver_hosts(struct deliver *d, const char *route, struct host_status *hosts_out,
		     size_t max)
{
	size_t count = 0;

	pthread_mutex_lock(&d->status_lock);
	for (size_t i = 0; i < d->host_count && count < max; i++)
		if (span_is(span_of(d->hosts[i].route), route))
			hosts_out[count++] = d->hosts[i];
	pthread_mutex_unlock(&d->status_lock);
	return count;
}
