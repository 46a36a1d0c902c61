/* relay/deliver/link.c - one connection as the scheduler sees it: dialled, counted, answered,
 * forgotten */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
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

void link_set_state(struct link *link, enum link_state state)
{
	count(link, -1);
	link->state = state;
	count(link, 1);
	link->since_ms = clock_mono_ms();
}

/* --- credentials ------------------------------------------------------------------------- */

bool way_login_rests(const struct way *way, int64_t now_ms)
{
	return now_ms < way->login.rest_until_ms;
}

struct login_health *destination_login(struct destination *to)
{
	return to->own != NULL ? &to->own->health : &to->way->login;
}

bool destination_login_rests(const struct destination *to, int64_t now_ms)
{
	return to->own != NULL ? now_ms < to->own->health.rest_until_ms
			       : way_login_rests(to->way, now_ms);
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
 * account (S239): a longer rest of all that uses them, until the configuration is
 * read again.
 */
static void login_refused(struct link *link)
{
	struct way *way = link->to->way;
	struct login_health *login = destination_login(link->to);
	int64_t wait = LOGIN_REST_MAX_MS;

	snprintf(way->last_error, sizeof(way->last_error), "%.199s", link->open_why);
	memcpy(login->error, way->last_error, sizeof(login->error));
	way->last_error_at = clock_wall_ms();
	if (login->refusals > 0 && link->since_ms <= login->refused_ms)
		return; /* it was under way when the others were refused */
	if (login->refusals < 4)
		wait = LOGIN_REST_MS << login->refusals;
	login->refusals++;
	login->taken = false;
	login->refused_ms = clock_mono_ms();
	login->rest_until_ms = login->refused_ms + wait;
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

void link_close(struct link *link)
{
	link_set_state(link, LINK_CLOSING);
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
	if (!destination_login_rests(to, clock_mono_ms()) &&
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
		destination_login(to)->taken = true;
		destination_login(to)->refusals = 0;
		link_set_state(link, LINK_IDLE);
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

void link_worker_done(struct deliver *d, struct event *event)
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
		link_set_state(link, LINK_IDLE);
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

	/* Nobody's mail: the next one dials again. */
	log_debug("connection lost", LOG_S("host", link->host->text), LOG_S("error", why));
	scheduler_answer(link->deliver, &link->lost);
}

static void on_closed(void *ctx)
{
	struct link *link = ctx;

	scheduler_answer(link->deliver, &link->closed);
}

/* --- dialling -----------------------------------------------------------------------------------
 */

void link_dial(struct deliver *d, struct destination *to, struct host *host, bool probe)
{
	static const struct uplink_ops ops = {on_open, on_done, on_lost, on_closed};
	struct way *way = to->way;
	struct link *link = mem_zalloc(sizeof(*link));
	struct uplink_env env = {
		.loop = d->env.loops[d->next_loop++ % d->env.loop_count],
		.resolver = d->resolver,
		.whitelist = d->env.whitelist,
		.rules = d->env.rules,
		.tls = way->tls,
		.tls_why = way->tls_why.text,
		.hostname = way->plan->options->hostname,
		.route = to->own != NULL ? &to->own->options : way->options,
		.key = to->own != NULL ? to->own->key : way->key,
		.host = host->at,
		.dns = host->is_found ? way->plan->options->dns : (struct dns_servers){NULL, 0},
		.client = to->client,
		.handshakes = &d->handshakes,
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
