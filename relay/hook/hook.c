/* relay/hook/hook.c - the policy hook as a whole: start, wake, reload, stop, numbers */
#include "relay/hook/hook.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/thread.h"
#include "relay/hook/inside.h"

struct reload {
	struct hook_event event; /* first */
	const struct hook_options *options;
	void (*done)(void *ctx);
	void *ctx;
};

void hook_send(struct hook *hook, struct hook_event *event)
{
	if (!channel_send(hook->inbox, &event->item))
		assert(!"the inbox is open until everything was answered");
}

static void arrive_wake(struct hook *hook, struct hook_event *event)
{
	(void)event;
	atomic_store(&hook->wake_sent, false);
	hook->maybe_due = true;
}

void hook_wake(struct hook *hook)
{
	if (!atomic_exchange(&hook->wake_sent, true))
		hook_send(hook, &hook->wake_event);
}

static void tell_options(struct hook *hook)
{
	pthread_mutex_lock(&hook->lock);
	hook->status.asks = hook->options->url[0] != '\0';
	hook->status.dialect = hook->options->dialect;
	pthread_mutex_unlock(&hook->lock);
}

/*
 * Requests under way go on as they were begun, and their answers are not kept; what was not sent
 * yet is asked anew (ask_begin). What rested is tried at once.
 */
static void arrive_reload(struct hook *hook, struct hook_event *event)
{
	struct reload *reload = (struct reload *)event;

	hook->options = reload->options;
	hook->reloads++;
	hook->failures = 0;
	hook->rest_until_ms = 0;
	hook->maybe_due = true;
	cache_clear(hook->cache);
	tell_options(hook);
	if (reload->done != NULL)
		reload->done(reload->ctx);
	mem_free(reload);
}

void hook_reload(struct hook *hook, const struct hook_options *options, void (*done)(void *ctx),
		 void *ctx)
{
	struct reload *reload = mem_zalloc(sizeof(*reload));

	reload->event.arrive = arrive_reload;
	reload->options = options;
	reload->done = done;
	reload->ctx = ctx;
	hook_send(hook, &reload->event);
}

static void arrive_stop(struct hook *hook, struct hook_event *event)
{
	(void)event;
	hook->stopping = hook->refuses_logins = true;
	logins_drop(hook);
}

static void arrive_refuse(struct hook *hook, struct hook_event *event)
{
	(void)event;
	hook->refuses_logins = true;
	logins_drop(hook);
}

void hook_refuse_logins(struct hook *hook)
{
	if (!atomic_exchange(&hook->refuse_sent, true))
		hook_send(hook, &hook->refuse_event);
}

static void release(struct hook *hook)
{
	while (channel_take(hook->inbox) != NULL)
		; /* a wake that nobody needs any more; it is a part of `hook` */
	channel_free(&hook->inbox);
	store_reader_close(&hook->reader);
	cache_free(&hook->cache);
	if (hook->multi != NULL)
		curl_multi_cleanup(hook->multi);
	pthread_mutex_destroy(&hook->lock);
	mem_free(hook);
}

static int prepare(struct hook *hook, struct err *why)
{
	int code;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(why, ERR_IO, "libcurl can't be used");
	hook->multi = curl_multi_init();
	if (hook->multi == NULL)
		return err_set(why, ERR_IO, "libcurl can't be used");
	code = store_reader_open(hook->env.store, &hook->reader, why);
	return code == ERR_OK ? thread_start("hook", screening_run, hook, &hook->thread, why)
			      : code;
}

int hook_start(const struct hook_env *env, const struct hook_options *options,
	       struct hook **hook_out, struct err *why)
{
	struct hook *hook = mem_zalloc(sizeof(*hook));
	int code;

	hook->env = *env;
	hook->options = options;
	hook->inbox = channel_new();
	hook->cache = cache_new();
	hook->wake_event.arrive = arrive_wake;
	hook->stop_event.arrive = arrive_stop;
	hook->refuse_event.arrive = arrive_refuse;
	hook->maybe_due = true;
	hook->status.reachable = true;
	pthread_mutex_init(&hook->lock, NULL);
	tell_options(hook);
	code = prepare(hook, why);
	if (code != ERR_OK) {
		release(hook);
		return code;
	}
	*hook_out = hook;
	return ERR_OK;
}

void hook_stop(struct hook **hook)
{
	if (*hook == NULL)
		return;
	if (!atomic_exchange(&(*hook)->stop_sent, true))
		hook_send(*hook, &(*hook)->stop_event);
	pthread_join((*hook)->thread, NULL);
	release(*hook);
	*hook = NULL;
}

void hook_count_request(struct hook *hook, bool cached)
{
	pthread_mutex_lock(&hook->lock);
	hook->status.requests += cached ? 0 : 1;
	hook->status.cached += cached ? 1 : 0;
	pthread_mutex_unlock(&hook->lock);
}

void hook_note_error(struct hook *hook, const char *error)
{
	pthread_mutex_lock(&hook->lock);
	snprintf(hook->status.last_error, sizeof(hook->status.last_error), "%.199s", error);
	hook->status.last_error_at = clock_wall_ms();
	pthread_mutex_unlock(&hook->lock);
}

void hook_status(struct hook *hook, struct hook_status *status_out)
{
	pthread_mutex_lock(&hook->lock);
	*status_out = hook->status;
	pthread_mutex_unlock(&hook->lock);
}
