/* relay/deliver/pool.c - the connections of each route: dialled, used again, rested, closed */
#include <config.h> /* SOCK_CLOEXEC */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "queue/act.h" /* store_is_paused */
#include "relay/deliver/inside.h"

#define REASON_SIZE 300

/* --- counting ----------------------------------------------------------------------------- */

static size_t *in_counts(struct link_counts *counts, enum link_state state)
{
	switch (state) {
	case LINK_OPENING: return &counts->opening;
	case LINK_IDLE: return &counts->idle;
	case LINK_BUSY: return &counts->busy;
	default: return &counts->closing;
	}
}

/* NULL: those that are closing count nowhere. */
static size_t *at_host(struct host *host, enum link_state state)
{
	switch (state) {
	case LINK_OPENING: return &host->opening;
	case LINK_IDLE: return &host->idle;
	case LINK_BUSY: return &host->busy;
	default: return NULL;
	}
}

/* `by` is 1 or -1. */
static void count(struct link *link, int by)
{
	size_t more = (size_t)by; /* wraps round, as it should */
	size_t *of_host = at_host(link->host, link->state);

	*in_counts(&link->to->count, link->state) += more;
	*in_counts(&link->to->way->count, link->state) += more;
	if (of_host != NULL)
		*of_host += more;
	if (link->state == LINK_OPENING && link->probe) {
		link->to->count.probing += more;
		link->to->way->count.probing += more;
	}
}

static void set_state(struct link *link, enum link_state state)
{
	count(link, -1);
	link->state = state;
	count(link, 1);
	link->since_ms = clock_mono_ms();
}

static size_t total(const struct link_counts *counts)
{
	return counts->opening + counts->idle + counts->busy + counts->closing;
}

size_t pool_links(const struct way *way)
{
	return total(&way->count);
}

/* --- trouble ---------------------------------------------------------------------------- */

static void fail(struct link *link, enum trouble trouble, const char *why)
{
	struct way *way = link->to->way;
	uint32_t random;

	secret_random(&random, sizeof(random));
	host_fail(link->host, link->since_ms, clock_mono_ms(), random, why);
	link->host->trouble = trouble;
	memcpy(way->last_error, link->host->last_error, sizeof(way->last_error));
	way->last_error_at = link->host->last_error_at;
}

/*
 * Wrong credentials do not get right by trying, and some servers lock the
 * account (S239): a longer rest of the whole route, until the configuration is
 * read again.
 */
static void login_refused(struct link *link)
{
	struct way *way = link->to->way;
	int64_t wait = LOGIN_REST_MAX_MS;

	snprintf(way->last_error, sizeof(way->last_error), "%.199s", link->open_why);
	memcpy(way->login_error, way->last_error, sizeof(way->login_error));
	way->last_error_at = clock_wall_ms();
	if (way->login_failures > 0 && link->since_ms <= way->refused_ms)
		return; /* it was under way when the others were refused */
	if (way->login_failures < 4)
		wait = LOGIN_REST_MS << way->login_failures;
	way->login_failures++;
	way->logged_in = false;
	way->refused_ms = clock_mono_ms();
	way->login_rest_until_ms = way->refused_ms + wait;
}

/* --- one connection ------------------------------------------------------------------------ */

static void forget(struct link *link)
{
	struct link **at = &link->to->links;

	count(link, -1);
	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	link->host->users--;
	plan_leave(link->deliver, link->to->way->plan);
	uplink_free(&link->uplink);
	mem_free(link);
}

static void close_link(struct link *link)
{
	set_state(link, LINK_CLOSING);
	uplink_close(link->uplink);
}

/* --- answers of the uplink, in the scheduler ------------------------------------------------- */

/* Whatever could be tried for those that wait was tried. */
static void give_up_untried(struct deliver *d, struct destination *to)
{
	char reason[REASON_SIZE];

	if (to->first == NULL || to->target_count == 0 ||
	    to->count.opening + to->count.idle + to->count.busy > 0)
		return;
	if (!way_login_rests(to->way, clock_mono_ms()) &&
	    target_is_any_usable(to->targets, to->target_count, clock_mono_ms(),
				 to->waiting_since_ms))
		return;
	destination_trouble(to, reason, sizeof(reason));
	destination_unreachable(d, to, reason);
}

static void arrive_opened(struct deliver *d, struct event *event)
{
	struct link *link = event->owner;
	struct destination *to = link->to;

	if (link->state == LINK_CLOSING)
		return; /* closed comes */
	link->host->unreachable = link->open_code != ERR_OK && link->open_code != ERR_DENIED;
	if (link->open_code == ERR_OK) {
		to->way->logged_in = true;
		to->way->login_failures = 0;
		set_state(link, LINK_IDLE);
		return;
	}
	if (link->open_code == ERR_DENIED)
		login_refused(link);
	else
		fail(link, link->open_trouble, link->open_why);
	log_warning(link->open_code == ERR_DENIED ? "next hop refuses the credentials"
						  : "next hop unreachable",
		    LOG_S("route", to->way->options->name), LOG_S("host", link->host->text),
		    LOG_S("error", link->open_why), LOG_I("waiting", to->waiting));
	if (link->open_code == ERR_CONFLICT && link->host->is_found)
		lookup_found_ours(to, link->host);
	forget(link);
	give_up_untried(d, to);
}

/* Worker and uplink are both through with it. */
static void job_finished(struct deliver *d, struct job *job)
{
	d->idle_workers[d->idle_count++] = job->worker;
	job->worker = NULL;
	assert(job->to->jobs_running > 0);
	job->to->jobs_running--;
	/* No time for another one, but nothing was tried either: it is due as it was. */
	if (job->record.stale && (d->stopping || job->plan->old)) {
		settle_all(d, job, TRANSITION_UNCLAIM, "", clock_wall_ms());
		return;
	}
	if (job->record.stale && job->redials < REDIALS_MAX) {
		job->redials++;
		job_forget(job);
		way_push(job->way, job, true);
		return;
	}
	settle_attempt(d, job);
}

static void part_done(struct deliver *d, struct job *job)
{
	assert(job->running > 0);
	if (--job->running == 0)
		job_finished(d, job);
}

static void arrive_worker_done(struct deliver *d, struct event *event)
{
	part_done(d, event->owner);
}

/* All was said; that the connection ends behind it, without a 421, is no fault of the host. */
static bool ended_well(const struct link *link, const struct record *record)
{
	return link->done_alive ||
	       (record->broken == ERR_OK && !record->sent_away && !record->stale);
}

static void fail_job(struct link *link, const struct record *record)
{
	if (record->broken != ERR_OK)
		fail(link, trouble_of_code(record->broken), record->broken_why.text);
	else
		fail(link, TROUBLE_PUT_OFF, "the next hop closes the connection (421)");
}

static void arrive_done(struct deliver *d, struct event *event)
{
	struct link *link = event->owner;
	struct job *job = link->done_job;
	const struct record *record = &job->record;

	if (!record->stale)
		link->to->proved = ended_well(link, record);
	if (ended_well(link, record))
		target_recovered(link->to->targets, link->to->target_count, link->host);
	/* ERR_DENIED: our own side was stopped by the guard; the next hop did nothing wrong. */
	else if (!record->stale && record->broken != ERR_DENIED && !d->stopping)
		fail_job(link, record);
	if (link->state == LINK_CLOSING)
		; /* closed comes */
	else if (link->done_alive && !link->is_lost)
		set_state(link, LINK_IDLE);
	else
		forget(link);
	part_done(d, job);
}

static void arrive_lost(struct deliver *d, struct event *event)
{
	struct link *link = event->owner;

	link->is_lost = true;
	if (link->state == LINK_IDLE)
		forget(link);
	/* BUSY: `done` answers the job it crossed; CLOSING: `closed` comes. */
}

static void arrive_closed(struct deliver *d, struct event *event)
{
	forget(event->owner);
}

/* --- answers of the uplink, in its loop --------------------------------------------------------
 */

static void on_open(void *ctx, int code, const char *why)
{
	struct link *link = ctx;

	link->open_code = code;
	link->open_trouble = uplink_trouble(link->uplink);
	snprintf(link->open_why, sizeof(link->open_why), "%s", why);
	scheduler_answer(link->deliver, &link->opened);
}

static void on_done(void *ctx, struct job *job, bool alive)
{
	struct link *link = ctx;

	link->done_job = job;
	link->done_alive = alive;
	scheduler_answer(link->deliver, &link->done);
}

static void on_lost(void *ctx, const char *why)
{
	struct link *link = ctx;

	snprintf(link->lost_why, sizeof(link->lost_why), "%s", why);
	scheduler_answer(link->deliver, &link->lost);
}

static void on_closed(void *ctx)
{
	struct link *link = ctx;

	scheduler_answer(link->deliver, &link->closed);
}

/* --- dialling -----------------------------------------------------------------------------------
 */

static void dial(struct deliver *d, struct destination *to, struct host *host, bool probe)
{
	static const struct uplink_ops ops = {on_open, on_done, on_lost, on_closed};
	struct way *way = to->way;
	struct link *link = mem_zalloc(sizeof(*link));
	struct uplink_env env = {
		.loop = d->env.loops[d->next_loop++ % d->env.loop_count],
		.resolver = d->resolver,
		.whitelist = d->env.whitelist,
		.tls = way->tls,
		.tls_why = way->tls_why.text,
		.hostname = way->plan->options->hostname,
		.route = way->options,
		.key = way->key,
		.host = host->at,
		.dns = host->is_found ? way->plan->options->dns : (struct dns_servers){NULL, 0},
		.client = to->client,
		.is_own_listener = d->env.is_own_listener,
		.own_ctx = d->env.ctx,
	};

	link->deliver = d;
	link->to = to;
	link->host = host;
	host->users++;
	link->probe = probe;
	link->state = LINK_OPENING;
	link->opened_ms = link->since_ms = clock_mono_ms();
	link->opened = (struct event){.arrive = arrive_opened, .owner = link};
	link->done = (struct event){.arrive = arrive_done, .owner = link};
	link->lost = (struct event){.arrive = arrive_lost, .owner = link};
	link->closed = (struct event){.arrive = arrive_closed, .owner = link};
	link->next = to->links;
	to->links = link;
	count(link, 1);
	plan_use(way->plan);
	link->uplink = uplink_new(&env, &ops, link);
	uplink_open(link->uplink);
}

/* More than the workers can serve helps nobody. */
static size_t links_allowed(const struct deliver *d, const struct way *way)
{
	size_t max = way->options->max_connections;

	return max < d->worker_count ? max : d->worker_count;
}

/* Credentials that were not taken yet are tried once, not by many at a time. */
static bool may_log_in(const struct way *way)
{
	return way->key == NULL || way->logged_in ||
	       (way->count.opening == 0 && !way_login_rests(way, clock_mono_ms()));
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

	if (!may_log_in(to->way))
		return false;
	if (pool_links(to->way) < links_allowed(d, to->way))
		return true;
	spare = to->way->count.closing == 0 ? find_spare(to->way, to) : NULL;
	if (spare != NULL)
		close_link(spare);
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
		dial(d, to, host, true);
}

/*
 * A domain that has not answered a message yet holds up one connection, not all
 * that there are: its next hop may never do so.
 */
static bool is_unproved(const struct destination *to)
{
	return to->way->looks_up && !to->proved &&
	       to->count.busy + to->count.opening > to->count.probing;
}

static void dial_for(struct deliver *d, struct destination *to)
{
	while (is_short(to) && !is_unproved(to)) {
		struct host *host = target_choose(to->targets, to->target_count);

		if (host == NULL || !has_room(d, to))
			return;
		dial(d, to, host, false);
	}
}

/* By turns: each host that is well has a connection before one gets the next message. */
static void dial_each(struct deliver *d, struct destination *to)
{
	for (size_t i = 0; i < to->target_count; i++) {
		struct host *host = to->targets[i].host;

		if (host_is_well(host) && host->opening + host->idle + host->busy == 0 &&
		    may_log_in(to->way) && pool_links(to->way) < links_allowed(d, to->way))
			dial(d, to, host, false);
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
	if (job->started_ms == 0) {
		job->started_ms = clock_mono_ms();
		rate_take(&to->way->rate, job->started_ms);
	}
	job->running = 2;
	to->moved_ms = clock_mono_ms();
	to->jobs_running++;
	job->worker = d->idle_workers[--d->idle_count];
	job->worker_done = (struct event){.arrive = arrive_worker_done, .owner = job};
	set_state(link, LINK_BUSY);
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
	if (to->way->options->balance == ROUTE_ROUND_ROBIN && !to->way->looks_up)
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
				close_link(link);
}

static void serve_way(struct deliver *d, struct way *way)
{
	if (way->waiting > 0 && store_is_paused(d->env.store, way->options->name)) {
		way->paused = true;
		way_park_paused(d, way);
	}
	if (way->waiting == 0)
		return;
	if (way->destination_count > 1)
		make_turns(d, way);
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
				close_link(link);
	way_forget(way, now_ms);
}

void pool_close(struct way *way, bool busy_too)
{
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		for (struct link *link = to->links; link != NULL; link = link->next)
			if (link->state == LINK_IDLE || link->state == LINK_OPENING ||
			    (busy_too && link->state == LINK_BUSY))
				close_link(link);
}
