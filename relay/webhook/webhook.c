/* relay/webhook/webhook.c - webhooks as a whole: start, wake, reload, stop, numbers */
#include "relay/webhook/webhook.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/thread.h"
#include "relay/webhook/inside.h"

struct reload {
	struct webhook_message message; /* first */
	const struct webhooks_options *options;
	void (*done)(void *ctx);
	void *ctx;
};

void webhook_place(struct span url, char place_out[WEBHOOK_PLACE_SIZE])
{
	struct request_target target;
	struct span rest = url;
	struct span scheme, host;

	if (request_parse(url, &target, NULL) != ERR_OK) {
		place_out[0] = '\0';
		return;
	}
	if (target.socket[0] != '\0') {
		snprintf(place_out, WEBHOOK_PLACE_SIZE, "unix:%s", target.socket);
		return;
	}
	scheme = span_cut(&rest, ':');
	rest = span_skip(rest, 2);
	host = span_first(rest, strcspn(rest.data, "/?#"));
	while (span_find(host, '@') < host.len)
		host = span_skip(host, span_find(host, '@') + 1);
	snprintf(place_out, WEBHOOK_PLACE_SIZE, "%.*s://%.*s", SPAN_ARG(scheme),
		 host.len < 280 ? (int)host.len : 280, host.data);
}

size_t webhook_targets(const struct webhooks_options *options, struct webhook_target *targets)
{
	assert(options->count <= WEBHOOK_TARGETS_MAX);
	for (size_t i = 0; i < options->count; i++)
		targets[i] = (struct webhook_target){.name = options->items[i].name,
						     .events = options->items[i].events,
						     .scope = options->items[i].scope,
						     .max_waiting = options->items[i].max_waiting,
						     .max_dead = options->items[i].max_dead};
	return options->count;
}

void webhooks_send(struct webhooks *webhooks, struct webhook_message *message)
{
	if (!channel_send(webhooks->inbox, &message->item))
		assert(!"the inbox is open until everything was answered");
}

static void arrive_wake(struct webhooks *webhooks, struct webhook_message *message)
{
	(void)message;
	atomic_store(&webhooks->wake_sent, false);
	for (struct endpoint *at = webhooks->endpoints; at != NULL; at = at->next)
		at->maybe_due = true;
}

void webhooks_wake(struct webhooks *webhooks)
{
	if (!atomic_exchange(&webhooks->wake_sent, true))
		webhooks_send(webhooks, &webhooks->wake);
}

static void arrive_reload(struct webhooks *webhooks, struct webhook_message *message)
{
	struct reload *reload = (struct reload *)message;

	webhooks->options = reload->options;
	webhooks_take_options(webhooks);
	if (reload->done != NULL)
		reload->done(reload->ctx);
	mem_free(reload);
}

void webhooks_reload(struct webhooks *webhooks, const struct webhooks_options *options,
		     void (*done)(void *ctx), void *ctx)
{
	struct reload *reload = mem_zalloc(sizeof(*reload));

	reload->message.arrive = arrive_reload;
	reload->options = options;
	reload->done = done;
	reload->ctx = ctx;
	webhooks_send(webhooks, &reload->message);
}

static void arrive_stop(struct webhooks *webhooks, struct webhook_message *message)
{
	(void)message;
	webhooks->stopping = true;
}

static void release(struct webhooks *webhooks)
{
	while (channel_take(webhooks->inbox) != NULL)
		; /* a wake that nobody needs any more; it is a part of `webhooks` */
	channel_free(&webhooks->inbox);
	webhooks_drop_endpoints(webhooks);
	store_reader_close(&webhooks->reader);
	if (webhooks->multi != NULL)
		curl_multi_cleanup(webhooks->multi);
	pthread_mutex_destroy(&webhooks->lock);
	mem_free(webhooks);
}

static int prepare(struct webhooks *webhooks, struct err *why)
{
	int code;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(why, ERR_IO, "libcurl can't be used");
	webhooks->multi = curl_multi_init();
	if (webhooks->multi == NULL)
		return err_set(why, ERR_IO, "libcurl can't be used");
	code = store_reader_open(webhooks->store, &webhooks->reader, why);
	return code == ERR_OK
		       ? thread_start("webhook", webhooks_run, webhooks, &webhooks->thread, why)
		       : code;
}

int webhooks_start(struct store *store, const struct webhooks_options *options,
		   struct webhooks **webhooks_out, struct err *why)
{
	struct webhooks *webhooks = mem_zalloc(sizeof(*webhooks));
	int code;

	webhooks->store = store;
	webhooks->options = options;
	webhooks->inbox = channel_new();
	webhooks->wake.arrive = arrive_wake;
	webhooks->stop.arrive = arrive_stop;
	pthread_mutex_init(&webhooks->lock, NULL);
	webhooks_take_options(webhooks);
	code = prepare(webhooks, why);
	if (code != ERR_OK) {
		release(webhooks);
		return code;
	}
	*webhooks_out = webhooks;
	return ERR_OK;
}

void webhooks_stop(struct webhooks **webhooks)
{
	if (*webhooks == NULL)
		return;
	webhooks_send(*webhooks, &(*webhooks)->stop);
	pthread_join((*webhooks)->thread, NULL);
	release(*webhooks);
	*webhooks = NULL;
}

static void add_numbers(struct store *store, struct webhook_status *status)
{
	struct webhook_numbers numbers;

	if (!store_webhook_numbers(store, status->name, &numbers))
		return;
	status->waiting = numbers.waiting;
	status->dead = numbers.dead;
	status->lost = numbers.lost;
}

size_t webhooks_status(struct webhooks *webhooks, struct webhook_status *statuses_out, size_t max)
{
	size_t count;

	pthread_mutex_lock(&webhooks->lock);
	count = webhooks->status_count < max ? webhooks->status_count : max;
	memcpy(statuses_out, webhooks->statuses, count * sizeof(*statuses_out));
	pthread_mutex_unlock(&webhooks->lock);
	for (size_t i = 0; i < count; i++)
		add_numbers(webhooks->store, &statuses_out[i]);
	return count;
}
