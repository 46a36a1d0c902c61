/* relay/deliver/pool.c - who gets which connection of a route, and when another one is dialled */
#include <config.h> /* SOCK_CLOEXEC */

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "queue/act.h" /* store_is_paused */
#include "relay/deliver/inside.h"

static size_t total(const struct link_counts *counts)
{
	return counts->opening + counts->idle + counts->busy + counts->closing;
}

size_t pool_links(const struct way *way)
{
	return total(&way->count);
}

/* More than the workers can serve helps nobody. */
static size_t links_allowed(const struct deliver *d, const struct way *way)
{
	size_t max = way->options->max_connections;

	return max < d->worker_count ? max : d->worker_count;
}

/* Credentials that were not taken yet are tried once, not by many at a time. */
static bool may_log_in(struct destination *to)
{
	const struct key *key = to->own != NULL ? to->own->key : to->way->key;
	size_t opening = to->own != NULL ? to->count.opening : to->way->count.opening;

	return key == NULL || destination_login(to)->taken ||
	       (opening == 0 && !destination_login_rests(to, clock_mono_ms()));
}

/* A connection that nobody needs now, of another destination than `to`. */
static struct link *find_spare(const struct way *way, const struct destination *to)
{
	for (struct destination *other = way->destinations; other != NULL; other = other->next)
		for (struct link *link = other->links; link != NULL; link = link->next)
			if (other != to && link->state == LINK_IDLE && other->first == NULL)
				return link;
	return NULL;
}

/* False: not now. What closes makes room in a moment. */
static bool has_room(struct deliver *d, struct destination *to)
{
	struct link *spare;

	if (!may_log_in(to))
		return false;
	if (pool_links(to->way) < links_allowed(d, to->way))
		return true;
	spare = to->way->count.closing == 0 ? find_spare(to->way, to) : NULL;
	if (spare != NULL)
		link_close(spare);
	return false;
}

static size_t idle_and_used(const struct destination *to)
{
	size_t idle = 0;

	for (const struct link *link = to->links; link != NULL; link = link->next)
		idle += link->state == LINK_IDLE && link->used ? 1 : 0;
	return idle;
}

/*
 * Not enough connections for those that wait. A probe may take its time to
 * fail: nobody counts on it. There is room for jobs that want a fresh one,
 * since each of them comes from a connection that ended.
 */
static bool is_short(const struct destination *to)
{
	size_t coming = to->count.opening - to->count.probing + to->count.idle;
	size_t fresh = destination_fresh_wanted(to);

	return to->jobs_waiting > coming || (fresh > 0 && fresh > coming - idle_and_used(to));
}

/*
 * With one connection it is found out whether it is well again. Where no host
 * is, the connections that are left may be enough.
 */
static bool is_worth_a_probe(const struct destination *to, const struct host *host)
{
	if (destination_fresh_wanted(to) > 0)
		return true;
	if (host->idle > 0)
		return false; /* the next message finds out */
	return target_choose(to->targets, to->target_count) != NULL ||
	       to->count.idle + to->count.busy == 0 || to->jobs_waiting == 1;
}

static void probe(struct deliver *d, struct destination *to)
{
	struct host *host = target_probe(to->targets, to->target_count, clock_mono_ms());

	if (host != NULL && is_worth_a_probe(to, host) && has_room(d, to))
		link_dial(d, to, host, true);
}

/*
 * A domain that has not answered a message yet holds up one connection, not all
 * that there are: its next hop may never do so.
 */
static bool is_unproved(const struct destination *to)
{
	return destination_is_apart(to) && !to->proved &&
	       to->count.busy + to->count.opening > to->count.probing;
}

static void dial_for(struct deliver *d, struct destination *to)
{
	while (is_short(to) && !is_unproved(to)) {
		struct host *host = target_choose(to->targets, to->target_count);

		if (host == NULL || !has_room(d, to))
			return;
		link_dial(d, to, host, false);
	}
}

/* By turns: each host that is well has a connection before one gets the next message. */
static void dial_each(struct deliver *d, struct destination *to)
{
	for (size_t i = 0; i < to->target_count; i++) {
		struct host *host = to->targets[i].host;

		if (host_is_well(host) && host->opening + host->idle + host->busy == 0 &&
		    may_log_in(to) && pool_links(to->way) < links_allowed(d, to->way))
			link_dial(d, to, host, false);
	}
}

/* --- giving out work ---------------------------------------------------------------------------
 */

static size_t rank_of(const struct link *link)
{
	const struct destination *to = link->to;

	for (size_t i = 0; i < to->target_count; i++)
		if (to->targets[i].host == link->host)
			return to->targets[i].rank;
	return SIZE_MAX; /* no target any more */
}

static bool is_better(const struct link *a, const struct link *b)
{
	if (rank_of(a) != rank_of(b))
		return rank_of(a) < rank_of(b);
	return a->host->given < b->host->given;
}

static struct link *find_idle(const struct destination *to, bool fresh_only)
{
	struct link *best = NULL;

	for (struct link *link = to->links; link != NULL; link = link->next)
		if (link->state == LINK_IDLE && !(fresh_only && link->used) &&
		    (best == NULL || is_better(link, best)))
			best = link;
	return best;
}

/* False: no descriptors to be had; later. */
static bool start_job(struct deliver *d, struct link *link)
{
	struct destination *to = link->to;
	struct job *job = destination_take(to, link->used);
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		log_error("no socketpair", LOG_I("errno", errno));
		to->way->starved_until_ms = clock_mono_ms() + STARVED_MS;
		way_push(to->way, job, true);
		return false;
	}
	if (!halt_allows(d, job)) {
		close(ends[0]);
		close(ends[1]);
		way_push(to->way, job, true);
		return false;
	}
	if (job->started_us == 0) {
		job->started_us = clock_mono_us();
		rate_take(&to->way->rate, clock_mono_ms());
	}
	job->running = 2;
	to->moved_ms = clock_mono_ms();
	to->jobs_running++;
	job->worker = d->idle_workers[--d->idle_count];
	job->worker_done = (struct event){.arrive = link_worker_done, .owner = job};
	link_set_state(link, LINK_BUSY);
	link->used = true;
	link->host->given++;
	uplink_assign(link->uplink, job, ends[0]);
	worker_run(job->worker, job, ends[1]);
	return true;
}

static bool is_held_back(const struct destination *to)
{
	return rate_wait_ms(&to->way->rate, clock_mono_ms()) > 0;
}

/*
 * What is tried again on a fresh connection was counted when it was tried
 * first, and may go; what stands behind it may not.
 */
static bool keeps_to_rate(const struct destination *to)
{
	return destination_fresh_wanted(to) > 0 || !is_held_back(to);
}

static void serve(struct deliver *d, struct destination *to)
{
	if (to->first == NULL || clock_mono_ms() < to->way->starved_until_ms ||
	    !lookup_is_ready(d, to) || !keeps_to_rate(to))
		return;
	/* Also when there are connections enough: else it would never be found out. */
	probe(d, to);
	if (to->way->options->balance == ROUTE_ROUND_ROBIN && !destination_is_apart(to))
		dial_each(d, to);
	while (to->first != NULL && d->idle_count > 0) {
		bool all_fresh = destination_fresh_wanted(to) == to->jobs_waiting;
		struct link *link = find_idle(to, all_fresh || is_held_back(to));

		if (link == NULL)
			break;
		if (!start_job(d, link) || (to->first != NULL && !keeps_to_rate(to)))
			return;
	}
	if (to->first != NULL)
		dial_for(d, to);
}

int64_t pool_wait_ms(const struct deliver *d)
{
	int64_t now_ms = clock_mono_ms();
	int64_t first = -1;

	for (size_t i = 0; i < d->plan->options->route_count; i++) {
		const struct way *way = &d->plan->ways[i];
		int64_t wait = rate_wait_ms(&way->rate, now_ms);

		if (way->waiting > 0 && wait > 0 && (first < 0 || wait < first))
			first = wait;
	}
	return first;
}

/* The last of those that wait stands behind the others the next time. */
static void rotate(struct way *way)
{
	struct destination *first = way->destinations;
	struct destination **end = &way->destinations;

	if (first == NULL || first->next == NULL)
		return;
	way->destinations = first->next;
	while (*end != NULL)
		end = &(*end)->next;
	*end = first;
	first->next = NULL;
}

/* Since when its line stands still. */
static int64_t still_since_ms(const struct destination *to)
{
	return to->moved_ms > to->waiting_since_ms ? to->moved_ms : to->waiting_since_ms;
}

/* Of those that have mail and no connection the one that waits longest gets the place that is free.
 */
static void put_first(struct way *way)
{
	struct destination **longest = NULL;

	for (struct destination **at = &way->destinations; *at != NULL; at = &(*at)->next)
		if ((*at)->first != NULL && total(&(*at)->count) == 0 &&
		    (longest == NULL || still_since_ms(*at) < still_since_ms(*longest)))
			longest = at;
	if (longest != NULL) {
		struct destination *to = *longest;

		*longest = to->next;
		to->next = way->destinations;
		way->destinations = to;
	}
}

/* A destination has mail, no connection, and all that there may be serve others. */
static bool is_crowded_out(const struct deliver *d, const struct destination *to, int64_t now_ms)
{
	return to->first != NULL && to->target_count > 0 && total(&to->count) == 0 &&
	       pool_links(to->way) >= links_allowed(d, to->way) && destination_may_try(to, now_ms);
}

/* One that has had its turn and comes to its end makes room. */
static void make_turns(struct deliver *d, struct way *way)
{
	int64_t now_ms = clock_mono_ms();
	bool wanted = false;

	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		wanted |= is_crowded_out(d, to, now_ms);
	for (struct destination *to = way->destinations; wanted && to != NULL; to = to->next)
		for (struct link *link = to->links; link != NULL; link = link->next)
			if (link->state == LINK_IDLE && way->count.closing == 0 &&
			    now_ms - link->opened_ms > TURN_MS)
				link_close(link);
}

static void serve_way(struct deliver *d, struct way *way)
{
	if (way->waiting > 0 && store_is_paused(d->env.store, way->options->name)) {
		way->paused = true;
		way_park_paused(d, way);
	}
	if (way->waiting == 0)
		return;
	if (way->destination_count > 1) {
		make_turns(d, way);
		put_first(way);
	}
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		serve(d, to);
	rotate(way);
}

/* Each time another route is first, so that none keeps all workers. */
void pool_start_jobs(struct deliver *d)
{
	size_t routes = d->plan->options->route_count;

	if (d->stopping || routes == 0 || store_is_failed(d->env.store))
		return;
	for (size_t i = 0; i < routes && !halt_is_on(d); i++)
		serve_way(d, &d->plan->ways[(d->next_way + i) % routes]);
	d->next_way++;
}

/* --- closing ------------------------------------------------------------------------------------
 */

/* A host that comes before this one is well again. */
static bool is_outranked(const struct link *link)
{
	const struct destination *to = link->to;

	return rank_of(link) > target_best_rank(to->targets, to->target_count);
}

void pool_tidy(struct deliver *d, struct way *way, int64_t now_ms)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		for (struct link *link = to->links; link != NULL; link = link->next)
			if (link->state == LINK_IDLE &&
			    (now_ms - link->since_ms > IDLE_LINK_MS ||
			     now_ms - link->opened_ms > LINK_LIFE_MS || is_outranked(link)))
				link_close(link);
	way_forget(way, now_ms);
}

void pool_close(struct way *way, bool busy_too)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		for (struct link *link = to->links; link != NULL; link = link->next)
			if (link->state == LINK_IDLE || link->state == LINK_OPENING ||
			    (busy_too && link->state == LINK_BUSY))
				link_close(link);
}
