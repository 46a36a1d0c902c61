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
#include "queue/act.h" /* store_is_paused */
#include "relay/deliver/inside.h"

/* --- the line in front of a route ----------------------------------------------------- */

void way_push(struct way *way, struct job *job, bool front)
{
	job->next = front ? way->first : NULL;
	if (way->first == NULL)
		way->first = way->last = job;
	else if (front)
		way->first = job;
	else
		way->last = way->last->next = job;
	way->waiting += job->count;
	way->jobs_waiting++;
}

/* The one behind `prev`; NULL: the first. */
static struct job *take_behind(struct way *way, struct job *prev)
{
	struct job **at = prev != NULL ? &prev->next : &way->first;
	struct job *job = *at;

	if (job == NULL)
		return NULL;
	*at = job->next;
	if (way->last == job)
		way->last = prev;
	way->waiting -= job->count;
	way->jobs_waiting--;
	return job;
}

struct job *way_pop(struct way *way)
{
	return take_behind(way, NULL);
}

/*
 * A job that met a dead connection gets one that carried nothing yet: what is
 * in the pool beside it may have died with it. Such jobs stand in front.
 */
static bool wants_fresh(const struct job *job)
{
	return job->redials > 0;
}

static struct job *take_for(struct way *way, const struct link *link)
{
	struct job *prev = NULL;

	if (!link->used)
		return way_pop(way);
	for (struct job *job = way->first; job != NULL && wants_fresh(job); job = job->next)
		prev = job;
	return take_behind(way, prev);
}

void way_give_up(struct deliver *d, struct way *way, enum transition transition, const char *reason,
		 int64_t again_at)
{
	struct job *job;

	while ((job = way_pop(way)) != NULL) {
		job->trouble = way->trouble;
		settle_all(d, job, transition, reason, again_at);
	}
}

/* --- trouble ---------------------------------------------------------------------------- */

/*
 * What was under way already (`since_ms`) when the last outage was noticed has
 * met the same one: however many connections notice, the rest grows once.
 */
static void rest(struct way *way, int64_t since_ms, const char *why)
{
	int64_t wait = REST_MAX_MS;

	snprintf(way->last_error, sizeof(way->last_error), "%.199s", why);
	way->last_error_at = clock_wall_ms();
	if (way->failures > 0 && since_ms <= way->trouble_ms)
		return;
	if (way->failures < 6)
		wait = REST_FIRST_MS << way->failures;
	way->failures++;
	way->trouble_ms = clock_mono_ms();
	way->rest_until_ms = way->trouble_ms + (wait < REST_MAX_MS ? wait : REST_MAX_MS);
}

/*
 * Wrong credentials do not get right by trying, and some servers lock the
 * account (S239): a longer rest, until the configuration is read again.
 */
static void rest_login(struct way *way, int64_t since_ms)
{
	int64_t wait = LOGIN_REST_MAX_MS;

	if (way->login_failures > 0 && since_ms <= way->refused_ms)
		return; /* it was under way when the others were refused */
	if (way->login_failures < 4)
		wait = LOGIN_REST_MS << way->login_failures;
	way->login_failures++;
	way->logged_in = false;
	way->refused_ms = clock_mono_ms();
	way->rest_until_ms = way->refused_ms + wait;
}

/* --- one connection ------------------------------------------------------------------------ */

static void end_link(struct link *link)
{
	struct way *way = link->way;
	struct link **at = &way->links;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	plan_leave(link->deliver, way->plan);
	uplink_free(&link->uplink);
	mem_free(link);
}

static size_t *counter(struct link *link)
{
	struct way *way = link->way;

	switch (link->state) {
	case LINK_OPENING: return &way->opening;
	case LINK_IDLE: return &way->idle;
	case LINK_BUSY: return &way->busy;
	default: return &way->closing;
	}
}

static void set_state(struct link *link, enum link_state state)
{
	(*counter(link))--;
	link->state = state;
	(*counter(link))++;
	link->since_ms = clock_mono_ms();
}

static void forget(struct link *link)
{
	(*counter(link))--;
	end_link(link);
}

size_t pool_links(const struct way *way)
{
	return way->opening + way->idle + way->busy + way->closing;
}

static void close_link(struct link *link)
{
	set_state(link, LINK_CLOSING);
	uplink_close(link->uplink);
}

/* --- answers of the uplink, in the scheduler ------------------------------------------------- */

static void arrive_opened(struct deliver *d, struct event *event)
{
	struct link *link = event->owner;
	struct way *way = link->way;

	if (link->state == LINK_CLOSING)
		return; /* closed comes */
	if (link->open_code == ERR_OK) {
		way->unreachable = false;
		way->logged_in = true;
		way->login_failures = 0;
		set_state(link, LINK_IDLE);
		return;
	}
	way->trouble = link->open_trouble;
	rest(way, link->since_ms, link->open_why);
	if (link->open_code == ERR_DENIED)
		rest_login(way, link->since_ms);
	log_warning(link->open_code == ERR_DENIED ? "next hop refuses the credentials"
						  : "next hop unreachable",
		    LOG_S("route", way->options->name), LOG_S("error", link->open_why),
		    LOG_I("waiting", way->waiting));
	forget(link);
	if (way->opening + way->idle + way->busy == 0) {
		way->unreachable = true;
		way_give_up(d, way, TRANSITION_DEFER, way->last_error, 0);
	}
}

/* Worker and uplink are both through with it. */
static void job_finished(struct deliver *d, struct job *job)
{
	d->idle_workers[d->idle_count++] = job->worker;
	job->worker = NULL;
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

static void arrive_done(struct deliver *d, struct event *event)
{
	struct link *link = event->owner;
	struct way *way = link->way;
	struct job *job = link->done_job;
	const struct record *record = &job->record;

	if (link->done_alive)
		way->failures = 0;
	/* ERR_DENIED: our own side was stopped by the guard; the next hop did nothing wrong. */
	else if (!record->stale && record->broken != ERR_DENIED && !d->stopping)
		rest(way, link->since_ms,
		     record->broken != ERR_OK ? record->broken_why.text
					      : "the next hop closes the connection (421)");
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

/* --- dialling and giving out work ----------------------------------------------------------------
 */

static void dial(struct deliver *d, struct way *way)
{
	static const struct uplink_ops ops = {on_open, on_done, on_lost, on_closed};
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
		.is_own_listener = d->env.is_own_listener,
		.own_ctx = d->env.ctx,
	};

	link->deliver = d;
	link->way = way;
	link->state = LINK_OPENING;
	link->opened_ms = link->since_ms = clock_mono_ms();
	link->opened = (struct event){.arrive = arrive_opened, .owner = link};
	link->done = (struct event){.arrive = arrive_done, .owner = link};
	link->lost = (struct event){.arrive = arrive_lost, .owner = link};
	link->closed = (struct event){.arrive = arrive_closed, .owner = link};
	link->next = way->links;
	way->links = link;
	way->opening++;
	plan_use(way->plan);
	link->uplink = uplink_new(&env, &ops, link);
	uplink_open(link->uplink);
}

static size_t fresh_wanted(const struct way *way)
{
	size_t count = 0;

	for (const struct job *job = way->first; job != NULL && wants_fresh(job); job = job->next)
		count++;
	return count;
}

static size_t idle_and_used(const struct way *way)
{
	size_t count = 0;

	for (const struct link *link = way->links; link != NULL; link = link->next)
		count += link->state == LINK_IDLE && link->used ? 1 : 0;
	return count;
}

void pool_dial(struct deliver *d, struct way *way)
{
	size_t max = way->options->max_connections;
	size_t want = way->jobs_waiting;
	size_t fresh = fresh_wanted(way);
	size_t used = fresh > 0 ? idle_and_used(way) : 0;

	if (clock_mono_ms() < way->rest_until_ms)
		return;
	/* One probe after trouble, and more than the workers can serve helps nobody. */
	if (way->failures > 0 && want > 1)
		want = way->busy + way->idle > 0 ? 0 : 1;
	if (way->failures > 0 && fresh > 1)
		fresh = 1;
	if (max > d->worker_count)
		max = d->worker_count;
	/* Credentials that were not taken yet are tried once, not by many at a time. */
	if (way->key != NULL && !way->logged_in) {
		want = want > 1 ? 1 : want;
		fresh = fresh > 1 ? 1 : fresh;
	}
	/* There is room for the fresh ones: each comes from a connection that ended. */
	while ((want > way->opening + way->idle || fresh > way->opening + way->idle - used) &&
	       pool_links(way) < max)
		dial(d, way);
}

/* False: no descriptors to be had; later. */
static bool start_job(struct deliver *d, struct way *way, struct link *link)
{
	struct job *job = take_for(way, link);
	int ends[2];

	if (job == NULL)
		return true; /* all that wait want another one */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		log_error("no socketpair", LOG_I("errno", errno));
		way->rest_until_ms = clock_mono_ms() + REST_FIRST_MS;
		way_push(way, job, true);
		return false;
	}
	if (job->started_ms == 0)
		job->started_ms = clock_mono_ms();
	job->running = 2;
	job->worker = d->idle_workers[--d->idle_count];
	job->worker_done = (struct event){.arrive = arrive_worker_done, .owner = job};
	set_state(link, LINK_BUSY);
	link->used = true;
	uplink_assign(link->uplink, job, ends[0]);
	worker_run(job->worker, job, ends[1]);
	return true;
}

static void serve(struct deliver *d, struct way *way)
{
	if (way->first != NULL && store_is_paused(d->env.store, way->options->name)) {
		way->paused = true;
		way_give_up(d, way, TRANSITION_UNCLAIM, "", DUE_ON_RESUME);
	}
	for (struct link *link = way->links;
	     link != NULL && way->first != NULL && d->idle_count > 0; link = link->next)
		if (link->state == LINK_IDLE && !start_job(d, way, link))
			return;
	if (way->first != NULL)
		pool_dial(d, way);
}

/* Each time another route is first, so that none keeps all workers. */
void pool_start_jobs(struct deliver *d)
{
	size_t count = d->plan->options->route_count;

	if (d->stopping || count == 0 || store_is_failed(d->env.store))
		return;
	for (size_t i = 0; i < count; i++)
		serve(d, &d->plan->ways[(d->next_way + i) % count]);
	d->next_way++;
}

void pool_tidy(struct deliver *d, struct way *way, int64_t now_ms)
{
	for (struct link *link = way->links; link != NULL; link = link->next)
		if (link->state == LINK_IDLE && (now_ms - link->since_ms > IDLE_LINK_MS ||
						 now_ms - link->opened_ms > LINK_LIFE_MS))
			close_link(link);
}

void pool_close(struct way *way, bool busy_too)
{
	for (struct link *link = way->links; link != NULL; link = link->next)
		if (link->state == LINK_IDLE || link->state == LINK_OPENING ||
		    (busy_too && link->state == LINK_BUSY))
			close_link(link);
}
