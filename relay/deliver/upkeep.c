/* relay/deliver/upkeep.c - what delivery does beside delivering: numbers */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "relay/deliver/inside.h"

/* Where there are many of them they are not written down at each turn. */
#define HOSTS_MANY    50
#define HOSTS_EACH_MS 500

static void fill(struct deliver *d, const struct way *way, struct route_status *status)
{
	snprintf(status->name, sizeof(status->name), "%s", way->options->name);
	status->paused = way->paused;
	status->connections = way->count.idle + way->count.busy;
	status->busy = way->count.busy;
	status->waiting = way->waiting;
	status->delivered = way->delivered;
	status->deferred = way->deferred;
	status->failed = way->failed;
	status->attempts = way->attempts;
	status->deliveries = way->deliveries;
	memcpy(status->troubles, way->troubles, sizeof(status->troubles));
	status->login_refused = way->login.refusals > 0;
	memcpy(status->last_error, way->last_error, sizeof(status->last_error));
	status->last_error_at = way->last_error_at;
}

static void fill_host(const struct way *way, const struct host *host, struct host_status *status)
{
	int64_t left_ms = host->rest_until_ms - clock_mono_ms();

	*status = (struct host_status){
		.connections = host->idle + host->busy,
		.well = host_is_well(host),
		.resting_until = left_ms > 0 ? clock_wall_ms() + left_ms : 0,
		.last_error_at = host->last_error_at,
	};
	snprintf(status->route, sizeof(status->route), "%s", way->options->name);
	memcpy(status->host, host->text, sizeof(status->host));
	memcpy(status->last_error, host->last_error, sizeof(status->last_error));
}

static void fill_hosts(struct deliver *d)
{
	int64_t now_ms = clock_mono_ms();

	if (d->host_count > HOSTS_MANY && now_ms - d->hosts_ms < HOSTS_EACH_MS)
		return;
	if (d->hosts == NULL)
		d->hosts = mem_array(HOSTS_TOLD_MAX, sizeof(*d->hosts));
	d->hosts_ms = now_ms;
	d->host_count = 0;
	for (size_t i = 0; i < d->plan->options->route_count; i++)
		for (const struct host *host = d->plan->ways[i].hosts;
		     host != NULL && d->host_count < HOSTS_TOLD_MAX; host = host->next)
			fill_host(&d->plan->ways[i], host, &d->hosts[d->host_count++]);
}

void upkeep_status(struct deliver *d)
{
	size_t count = d->plan->options->route_count;

	pthread_mutex_lock(&d->status_lock);
	halt_status(d, &d->breaker_status);
	d->rewritten_status = d->rewritten;
	if (d->status_count != count) {
		d->status = mem_regrow(d->status, count + 1, sizeof(*d->status));
		d->status_count = count;
	}
	for (size_t i = 0; i < count; i++)
		fill(d, &d->plan->ways[i], &d->status[i]);
	fill_hosts(d);
	pthread_mutex_unlock(&d->status_lock);
}
