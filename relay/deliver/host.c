/* relay/deliver/host.c - the hosts of a route: how they do, and whose turn it is */
#include "relay/deliver/host.h"

#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

#define DOUBLINGS 6

void host_fail(struct host *host, int64_t since_ms, int64_t now_ms, uint32_t random,
	       const char *why)
{
	int64_t wait = HOST_REST_MAX_MS;

	snprintf(host->last_error, sizeof(host->last_error), "%.199s", why);
	host->last_error_at = clock_wall_ms();
	if (host->failures > 0 && since_ms <= host->trouble_ms)
		return;
	if (host->failures < DOUBLINGS)
		wait = (int64_t)HOST_REST_FIRST_MS << host->failures;
	if (wait > HOST_REST_MAX_MS)
		wait = HOST_REST_MAX_MS;
	host->failures++;
	host->trouble_ms = now_ms;
	host->rest_until_ms = now_ms + wait + (int64_t)random % (wait / 5 + 1);
}

static size_t connections(const struct host *host)
{
	return host->opening + host->idle + host->busy;
}

static bool is_before(const struct target *a, const struct target *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (connections(a->host) != connections(b->host))
		return connections(a->host) < connections(b->host);
	return a->host->given < b->host->given;
}

struct host *target_choose(const struct target *targets, size_t count)
{
	const struct target *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (host_is_well(targets[i].host) && (best == NULL || is_before(&targets[i], best)))
			best = &targets[i];
	return best != NULL ? best->host : NULL;
}

size_t target_best_rank(const struct target *targets, size_t count)
{
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < count; i++)
		if (host_is_well(targets[i].host) && targets[i].rank < best)
			best = targets[i].rank;
	return best;
}

struct host *target_probe(const struct target *targets, size_t count, int64_t now_ms)
{
	size_t rank = target_best_rank(targets, count);
	struct host *best = NULL;

	for (size_t i = 0; i < count; i++) {
		struct host *host = targets[i].host;

		if (host_is_well(host) || host_is_resting(host, now_ms) || targets[i].rank > rank ||
		    host->opening > 0)
			continue;
		if (best == NULL || host->trouble_ms < best->trouble_ms)
			best = host;
	}
	return best;
}

bool target_is_any_usable(const struct target *targets, size_t count, int64_t now_ms,
			  int64_t since_ms)
{
	for (size_t i = 0; i < count; i++) {
		const struct host *host = targets[i].host;

		if (host_is_well(host) ||
		    (!host_is_resting(host, now_ms) && host->trouble_ms < since_ms))
			return true;
	}
	return false;
}

void target_recovered(const struct target *targets, size_t count, struct host *host)
{
	uint64_t least = UINT64_MAX;

	if (host_is_well(host))
		return;
	for (size_t i = 0; i < count; i++)
		if (host_is_well(targets[i].host) && targets[i].host->given < least)
			least = targets[i].host->given;
	if (least != UINT64_MAX && host->given < least)
		host->given = least;
	host->failures = 0;
	host->rest_until_ms = 0;
	host->unreachable = false;
}
