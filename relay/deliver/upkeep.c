/* relay/deliver/upkeep.c - what delivery does beside delivering: numbers */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "relay/deliver/inside.h"

static void fill(struct deliver *d, const struct way *way, struct route_status *status)
{
	snprintf(status->name, sizeof(status->name), "%s", way->options->name);
	status->paused = way->paused;
	status->connections = way->count.idle + way->count.busy;
	status->busy = way->count.busy;
	status->delivered = way->delivered;
	status->deferred = way->deferred;
	status->failed = way->failed;
	memcpy(status->troubles, way->troubles, sizeof(status->troubles));
	status->login_refused = way->login_failures > 0;
	memcpy(status->last_error, way->last_error, sizeof(status->last_error));
	status->last_error_at = way->last_error_at;
}

void upkeep_status(struct deliver *d)
{
	size_t count = d->plan->options->route_count;

	pthread_mutex_lock(&d->status_lock);
	halt_status(d, &d->breaker_status);
	if (d->status_count != count) {
		d->status = mem_regrow(d->status, count + 1, sizeof(*d->status));
		d->status_count = count;
	}
	for (size_t i = 0; i < count; i++)
		fill(d, &d->plan->ways[i], &d->status[i]);
	pthread_mutex_unlock(&d->status_lock);
}
