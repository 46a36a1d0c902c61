/* relay/webhook/sender.c - the thread of the webhooks: a turn for each endpoint, and then it waits
 */
#include "relay/webhook/inside.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define IDLE_MS	       60000
#define PRUNE_EVERY_MS 600000

/* --- who there is ----------------------------------------------------------------------------- */

static struct endpoint *find(struct webhooks *webhooks, const char *name)
{
	for (struct endpoint *at = webhooks->endpoints; at != NULL; at = at->next)
		if (strcmp(at->name, name) == 0)
			return at;
	return NULL;
}

static struct endpoint *find_or_add(struct webhooks *webhooks, const char *name)
{
	struct endpoint *endpoint = find(webhooks, name);

	if (endpoint != NULL)
		return endpoint;
	endpoint = endpoint_new(webhooks, name);
	endpoint->next = webhooks->endpoints;
	webhooks->endpoints = endpoint;
	return endpoint;
}

/* What rested is tried at once. */
static void configure(struct endpoint *endpoint, const struct webhook_options *options)
{
	endpoint->options = options;
	endpoint->maybe_due = true;
	endpoint->failures = 0;
	endpoint->rest_until_ms = 0;
	endpoint->status.events = options->events;
	endpoint->status.is_signed = options->key.len > 0;
	snprintf(endpoint->status.scope, sizeof(endpoint->status.scope), "%s", options->scope);
	webhook_place(span_of(options->url), endpoint->status.place);
}

static void show(struct webhooks *webhooks)
{
	const struct webhooks_options *options = webhooks->options;

	pthread_mutex_lock(&webhooks->lock);
	for (size_t i = 0; i < options->count; i++)
		webhooks->statuses[i] = find(webhooks, options->items[i].name)->status;
	webhooks->status_count = options->count;
	pthread_mutex_unlock(&webhooks->lock);
}

void webhooks_take_options(struct webhooks *webhooks)
{
	const struct webhooks_options *options = webhooks->options;

	for (struct endpoint *at = webhooks->endpoints; at != NULL; at = at->next) {
		at->options = NULL;
		endpoint_forget_waiting(at);
	}
	for (size_t i = 0; i < options->count; i++)
		configure(find_or_add(webhooks, options->items[i].name), &options->items[i]);
	show(webhooks);
}

static void drop(struct webhooks *webhooks, bool all)
{
	struct endpoint **at = &webhooks->endpoints;

	while (*at != NULL) {
		struct endpoint *endpoint = *at;

		if (!all && (endpoint->options != NULL || !endpoint_is_quiet(endpoint))) {
			at = &endpoint->next;
			continue;
		}
		*at = endpoint->next;
		endpoint_free(&endpoint);
	}
}

void webhooks_drop_endpoints(struct webhooks *webhooks)
{
	drop(webhooks, true);
}

/* --- dead letters that are too old -------------------------------------------------------------
 */

static void arrive_pruned(struct webhooks *webhooks, struct webhook_message *message)
{
	(void)message;
	webhooks->pruning = false;
}

static void prune_done(struct store_job *job)
{
	struct webhooks *webhooks = job->ctx;

	webhooks_send(webhooks, &webhooks->pruned);
}

static void prune(struct webhooks *webhooks)
{
	int64_t now_ms = clock_mono_ms();

	if (webhooks->stopping || webhooks->pruning || now_ms < webhooks->prune_at_ms ||
	    webhooks->options->keep_ms == 0 || store_is_failed(webhooks->store))
		return;
	webhooks->prune_at_ms = now_ms + PRUNE_EVERY_MS;
	webhooks->pruning = true;
	webhooks->pruned.arrive = arrive_pruned;
	webhooks->prune =
		(struct webhook_prune){.job = {.done = prune_done, .ctx = webhooks},
				       .before = clock_wall_ms() - webhooks->options->keep_ms};
	queue_webhook_prune(webhooks->store, &webhooks->prune.job);
}

/* --- the thread --------------------------------------------------------------------------------
 */

static void run_requests(struct webhooks *webhooks)
{
	int running = 0, left = 0;
	CURLMsg *message;

	if (curl_multi_perform(webhooks->multi, &running) != CURLM_OK)
		return;
	while ((message = curl_multi_info_read(webhooks->multi, &left)) != NULL) {
		struct posting *posting = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&posting);
		endpoint_answered(posting, message->data.result);
	}
}

static void turn(struct webhooks *webhooks)
{
	run_requests(webhooks);
	for (struct endpoint *at = webhooks->endpoints; at != NULL; at = at->next) {
		endpoint_settle(at);
		endpoint_start(at);
		endpoint_tell_lost(at);
	}
	prune(webhooks);
	drop(webhooks, false);
	show(webhooks);
}

static bool is_settled(const struct webhooks *webhooks)
{
	for (const struct endpoint *at = webhooks->endpoints; at != NULL; at = at->next)
		if (at->settling)
			return false;
	return !webhooks->pruning;
}

static int64_t patience(const struct webhooks *webhooks)
{
	int64_t wait = IDLE_MS;

	for (const struct endpoint *at = webhooks->endpoints; at != NULL; at = at->next) {
		int64_t own = endpoint_wait_ms(at);

		wait = own < wait ? own : wait;
	}
	return wait;
}

static void take_messages(struct webhooks *webhooks)
{
	struct channel_item *item = channel_take_all(webhooks->inbox);

	while (item != NULL) {
		struct webhook_message *message = (struct webhook_message *)item;

		item = item->next;
		message->arrive(webhooks, message);
	}
}

void *webhooks_run(void *arg)
{
	struct webhooks *webhooks = arg;

	turn(webhooks);
	while (!webhooks->stopping || !is_settled(webhooks)) {
		struct curl_waitfd inbox = {.fd = channel_fd(webhooks->inbox),
					    .events = CURL_WAIT_POLLIN};

		(void)curl_multi_poll(webhooks->multi, &inbox, 1, (int)patience(webhooks), NULL);
		take_messages(webhooks);
		turn(webhooks);
	}
	return NULL;
}
