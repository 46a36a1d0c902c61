/* relay/deliver/park.c - what a route can't take now is put away, and comes back when it can */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/act.h"
#include "relay/deliver/inside.h"

#define OTHERS_MAX  1000 /* of routes that are gone, in one step */
#define RETRY_MS    1000
#define PACE_MS	    1000
#define LINE_LEAST  16
#define COMING_MS   5000 /* what was made due and is not here by then went another way */
#define WAIT_MAX_MS (60 * 1000)
#define STUCK_MS    1000
#define AGAIN_MS    (60 * 1000)

struct unpark_call {
	struct unpark unpark; /* first */
	struct event event;
	struct deliver *deliver;
	struct arena *arena; /* of the names */
	struct plan *plan;   /* whose way it is for; NULL: for what no route is left of */
	size_t way;
	bool busy;
	int64_t not_before_ms; /* after a failure */
};

/* --- names -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char)*text) * 1099511628211ULL;
	while (*text++ != '\0');
	return hash;
}

static char *make_name(const char *route, uint64_t mark)
{
	size_t size = strlen(route) + 18;
	char *name = mem_alloc(size);

	snprintf(name, size, "%s/%016llx", route, (unsigned long long)mark);
	return name;
}

/*
 * The name of the route, and a mark of how recipients are divided among all
 * of them. A configuration that divides them in another way, by a reload or in
 * the next run, does not know these names, and takes back what is parked under them.
 */
void park_name_ways(struct plan *plan)
{
	const struct delivery_options *options = plan->options;
	uint64_t mark = 14695981039346656037ULL;

	for (size_t i = 0; i < options->route_count; i++) {
		mark = mix(mark, options->routes[i].name);
		for (size_t j = 0; j < options->routes[i].domain_count; j++)
			mark = mix(mark, options->routes[i].domains[j]);
		mark = mix(mark, "");
	}
	for (size_t i = 0; i < options->route_count; i++) {
		plan->ways[i].parked_as = make_name(options->routes[i].name, mark);
		plan->ways[i].maybe_parked = true;
	}
	plan->unrouted_as = make_name("", mark);
}

void park_forget_names(struct plan *plan)
{
	for (size_t i = 0; i < plan->options->route_count; i++)
		mem_free(plan->ways[i].parked_as);
	mem_free(plan->unrouted_as);
}

/* --- how much a way takes ------------------------------------------------------------------- */

static uint64_t settled(const struct way *way)
{
	return way->delivered + way->deferred + way->failed;
}

/*
 * With other routes beside it, what it does in a second: a longer line would only
 * keep their mail out of our hands. As long as nobody knows, all it wants.
 */
static size_t line_max(const struct way *way)
{
	size_t least = 4 * way->options->max_connections;

	if (way->plan->options->route_count < 2 || !way->paced)
		return RECIPIENTS_MAX;
	if (least < LINE_LEAST)
		least = LINE_LEAST;
	if (least < way->pace)
		least = way->pace;
	return least < RECIPIENTS_MAX ? least : RECIPIENTS_MAX;
}

/* A second in which it always had something to do tells what it can do. */
static void look_at_pace(struct way *way, int64_t now_ms)
{
	if (way->waiting == 0) {
		way->paced = false;
		way->paced_since_ms = now_ms;
		way->paced_from = settled(way);
	} else if (now_ms - way->paced_since_ms >= PACE_MS) {
		way->paced = true;
		way->pace = (size_t)((settled(way) - way->paced_from) * PACE_MS /
				     (uint64_t)(now_ms - way->paced_since_ms));
		way->paced_since_ms = now_ms;
		way->paced_from = settled(way);
	}
}

/* Of domains that are looked up some always are. */
static bool is_well(const struct way *way)
{
	if (way->looks_up || way->has_hops)
		return !way_login_rests(way, clock_mono_ms());
	for (const struct host *host = way->hosts; host != NULL; host = host->next)
		if (!host->is_found && host_is_well(host))
			return true;
	return way->count.idle + way->count.busy > 0;
}

size_t way_room(const struct way *way)
{
	size_t max = line_max(way);
	size_t has = way->waiting + way->coming;

	return has < max ? max - has : 0;
}

void way_claimed(struct way *way, size_t count)
{
	way->coming -= count < way->coming ? count : way->coming;
}

/* --- putting away ---------------------------------------------------------------------------- */

/*
 * Its expiry is looked at when it is claimed, so it is due then at the latest;
 * and before that, when its sender wants to be told that it takes long.
 */
static int64_t latest(const struct job *job, const struct claimed_recipient *claimed, int64_t now)
{
	int64_t after = job->options->expire_after_ms;
	int64_t at = after > 0 ? claimed->waiting_since + after : INT64_MAX;
	int64_t delay_at = bouncer_delay_at(job, claimed);

	return delay_at > now && delay_at < at ? delay_at : at;
}

static struct outcome *park_one(const struct job *job, size_t index, const char *parked_as)
{
	struct outcome *outcome = &job->outcomes[index];

	outcome->transition = TRANSITION_UNCLAIM;
	outcome->parked = parked_as;
	outcome->again_at = latest(job, job->recipients[index].claimed, clock_wall_ms());
	return outcome;
}

void park_without_route(const struct job *job, size_t index)
{
	struct outcome *outcome = park_one(job, index, job->plan->unrouted_as);

	snprintf(outcome->reason, sizeof(outcome->reason), "no route for %s",
		 job->recipients[index].address.domain);
}

static void put_away(struct deliver *d, struct job *job, const char *reason)
{
	job->outcomes = mem_array(job->count, sizeof(*job->outcomes));
	for (size_t i = 0; i < job->count; i++) {
		struct outcome *outcome = park_one(job, i, job->way->parked_as);

		snprintf(outcome->reason, sizeof(outcome->reason), "waits for route %s: %s",
			 job->route->name, reason);
	}
	settle_told(d, job);
}

/* Due again in a while, not when something happens. */
static void put_off(struct deliver *d, struct job *job, const char *reason)
{
	settle_all(d, job, TRANSITION_UNCLAIM, reason, clock_wall_ms() + AGAIN_MS);
}

/* All of the line but the first `keep` recipients. */
static void cut_line(struct deliver *d, struct destination *to, size_t keep, const char *reason,
		     void (*put)(struct deliver *d, struct job *job, const char *reason))
{
	struct job *kept = NULL, **end = &kept;
	struct job *job;
	size_t count = 0;

	while ((job = destination_take(to, false)) != NULL) {
		if (count >= keep) {
			put(d, job, reason);
			continue;
		}
		count += job->count;
		job->next = NULL;
		*end = job;
		end = &job->next;
	}
	while ((job = kept) != NULL) {
		kept = job->next;
		destination_push(to, job);
	}
}

static void park_line(struct deliver *d, struct destination *to, size_t keep, const char *reason)
{
	cut_line(d, to, keep, reason, put_away);
}

void way_park_paused(struct deliver *d, struct way *way)
{
	struct pause_view view = {.paused_at = 0};
	char reason[340];

	if (way->waiting == 0)
		return;
	(void)store_pause_view(d->env.store, way->options->name, &view);
	snprintf(reason, sizeof(reason), "it is paused%s%.99s%s%.220s",
		 view.actor[0] != '\0' ? " by " : "", view.actor,
		 view.reason[0] != '\0' ? ": " : "", view.reason);
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		park_line(d, to, 0, reason);
}

static void park_resting(struct deliver *d, struct destination *to, const char *why)
{
	char reason[340];

	/* Parked for the route, mail of a domain that can't be reached would come back first. */
	if (destination_is_apart(to)) {
		snprintf(reason, sizeof(reason), "not tried, the next hop rests: %s", why);
		destination_give_up(d, to, TRANSITION_DEFER, reason, 0);
		return;
	}
	snprintf(reason, sizeof(reason), "the next hop rests: %s", why);
	to->way->parked_again |= is_well(to->way);
	park_line(d, to, 0, reason);
}

void destination_unreachable(struct deliver *d, struct destination *to, const char *why)
{
	struct job *tried = destination_take(to, false);

	if (tried != NULL) {
		tried->trouble = destination_trouble_kind(to);
		settle_all(d, tried, TRANSITION_DEFER, why, 0);
	}
	park_resting(d, to, why);
}

static void relieve(struct deliver *d, struct destination *to, int64_t now_ms)
{
	char why[300];

	if (to->first == NULL || destination_may_try(to, now_ms))
		return;
	destination_trouble(to, why, sizeof(why));
	park_resting(d, to, why);
}

/*
 * A domain whose mail does not move keeps a few in our hands: all of it would fill
 * them, and no other domain had its turn. Parked for the route it would be back at once.
 */
static void relieve_stuck(struct deliver *d, struct destination *to, int64_t now_ms)
{
	char reason[340];

	if (!destination_is_apart(to) || d->jobs_in_hand < IN_HAND_LOW ||
	    to->waiting <= LINE_LEAST || now_ms - to->waiting_since_ms < STUCK_MS ||
	    now_ms - to->moved_ms < STUCK_MS)
		return;
	to->moved_ms = now_ms; /* not with each claim: that would be a quick circle */
	snprintf(reason, sizeof(reason), "waits: mail for %.255s does not move at the moment",
		 to->domain);
	cut_line(d, to, LINE_LEAST, reason, put_off);
}

/* What it can't take now goes, so that other routes get their turn. */
static void relieve_way(struct deliver *d, struct way *way, int64_t now_ms)
{
	size_t max = line_max(way);

	if (way->paused)
		way_park_paused(d, way);
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		relieve(d, to, now_ms);
	for (struct destination *to = way->destinations; to != NULL; to = to->next)
		relieve_stuck(d, to, now_ms);
	for (struct destination *to = way->destinations; way->waiting > max && to != NULL;
	     to = to->next) {
		size_t others = way->waiting - to->waiting;

		park_line(d, to, others < max ? max - others : 0,
			  "the next hop takes no more at the moment");
	}
}

void park_relieve(struct deliver *d)
{
	int64_t now_ms = clock_mono_ms();

	for (size_t i = 0; i < d->plan->options->route_count; i++) {
		look_at_pace(&d->plan->ways[i], now_ms);
		relieve_way(d, &d->plan->ways[i], now_ms);
	}
}

/* Of a job: what is parked is so under one name. NULL: nothing is. */
static const char *name_of(const struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		if (job->outcomes[i].parked != NULL)
			return job->outcomes[i].parked;
	return NULL;
}

/* The options may have changed since it was put away; most of the time its name is still known. */
void park_settled(struct deliver *d, const struct job *job)
{
	const char *name = name_of(job);

	if (name == NULL || strcmp(name, d->plan->unrouted_as) == 0)
		return;
	for (size_t i = 0; i < d->plan->options->route_count; i++)
		if (strcmp(name, d->plan->ways[i].parked_as) == 0) {
			d->plan->ways[i].maybe_parked = true;
			return;
		}
	d->others_parked = true;
}

/* --- taking back ------------------------------------------------------------------------------ */

static void on_unparked(struct deliver *d, struct event *event)
{
	struct unpark_call *call = d->unpark;
	const struct unpark *unpark = &call->unpark;
	bool ok = unpark->job.code == ERR_OK;
	bool more = !ok || unpark->unparked >= unpark->max;

	call->busy = false;
	arena_free(&call->arena);
	if (!ok) {
		if (!store_is_failed(d->env.store))
			log_warning("parked mail not found", LOG_S("error", unpark->job.why.text));
		call->not_before_ms = clock_mono_ms() + RETRY_MS;
	}
	if (unpark->parked == NULL) {
		d->others_parked |= more;
	} else if (call->plan == d->plan && call->way < d->plan->options->route_count) {
		struct way *way = &d->plan->ways[call->way];

		way->maybe_parked |= more;
		way->coming = ok ? unpark->unparked : 0;
		way->coming_since_ms = clock_mono_ms();
	}
}

static void unpark_done(struct store_job *job)
{
	struct unpark_call *call = (struct unpark_call *)job;

	scheduler_answer(call->deliver, &call->event);
}

static void unpark(struct deliver *d, size_t max)
{
	struct unpark_call *call = d->unpark;

	call->busy = true;
	call->unpark.now = clock_wall_ms();
	call->unpark.max = max;
	queue_unpark(d->env.store, &call->unpark.job);
}

static void unpark_others(struct deliver *d)
{
	struct unpark_call *call = d->unpark;
	size_t count = d->plan->options->route_count;
	const char **names;

	d->others_parked = false;
	call->plan = NULL;
	call->arena = arena_new();
	names = arena_array(call->arena, count + 1, sizeof(*names));
	for (size_t i = 0; i < count; i++)
		names[i] = arena_strdup(call->arena, d->plan->ways[i].parked_as);
	names[count] = arena_strdup(call->arena, d->plan->unrouted_as);
	call->unpark.parked = NULL;
	call->unpark.keep = names;
	call->unpark.keep_count = count + 1;
	unpark(d, OTHERS_MAX);
}

/*
 * One is enough to see whether a next hop that had trouble is there again. More
 * as there is room; but what went back at once, because it is for a part of the
 * route that can't be reached, waits a while, and longer each time.
 */
static size_t wanted(struct way *way, int64_t now_ms)
{
	size_t room;

	if (way->coming > 0 && now_ms - way->coming_since_ms > COMING_MS)
		way->coming = 0;
	if (!way->maybe_parked || way->paused || now_ms < way->no_return_before_ms ||
	    !way_may_try(way, now_ms))
		return 0;
	if (!is_well(way))
		return way->waiting + way->coming + way->count.opening == 0 ? 1 : 0;
	room = way_room(way);
	return room >= line_max(way) / 2 ? room : 0;
}

static void wait_longer(struct way *way, int64_t now_ms)
{
	int64_t wait = way->return_wait_ms;

	if (!way->parked_again) {
		way->return_wait_ms = 0;
	} else {
		way->return_wait_ms = wait == 0		       ? RETRY_MS
				      : wait < WAIT_MAX_MS / 2 ? wait * 2
							       : WAIT_MAX_MS;
		way->no_return_before_ms = now_ms + way->return_wait_ms;
	}
	way->parked_again = false;
}

static void unpark_way(struct deliver *d, size_t index, size_t max)
{
	struct unpark_call *call = d->unpark;
	struct way *way = &d->plan->ways[index];

	way->maybe_parked = false; /* what is parked from now on says so */
	call->plan = d->plan;
	call->way = index;
	call->arena = arena_new();
	call->unpark.parked = arena_strdup(call->arena, way->parked_as);
	unpark(d, max);
}

static void look_at_pauses(struct deliver *d)
{
	for (size_t i = 0; i < d->plan->options->route_count; i++) {
		struct way *way = &d->plan->ways[i];

		way->paused = store_is_paused(d->env.store, way->options->name);
	}
}

void park_return(struct deliver *d, int64_t now_ms)
{
	struct unpark_call *call = d->unpark;
	size_t count = d->plan->options->route_count;

	look_at_pauses(d);
	if (call->busy || now_ms < call->not_before_ms || store_is_failed(d->env.store) ||
	    store_is_paused(d->env.store, NULL) || d->plan->options->capture_only)
		return;
	if (d->others_parked) {
		unpark_others(d);
		return;
	}
	for (size_t i = 0; i < count && !call->busy; i++) {
		size_t index = d->next_unpark++ % count;
		size_t max = wanted(&d->plan->ways[index], now_ms);

		if (max == 0)
			continue;
		wait_longer(&d->plan->ways[index], now_ms);
		if (now_ms >= d->plan->ways[index].no_return_before_ms)
			unpark_way(d, index, max);
	}
}

bool park_is_awaited(const struct deliver *d)
{
	for (size_t i = 0; i < d->plan->options->route_count; i++)
		if (d->plan->ways[i].maybe_parked)
			return true;
	return d->others_parked;
}

bool park_is_busy(const struct deliver *d)
{
	return d->unpark->busy;
}

void park_start(struct deliver *d)
{
	d->unpark = mem_zalloc(sizeof(*d->unpark));
	d->unpark->deliver = d;
	d->unpark->event.arrive = on_unparked;
	d->unpark->unpark.job.done = unpark_done;
	d->others_parked = true; /* routes may have changed since the last run */
}

void park_stop(struct deliver *d)
{
	mem_free(d->unpark);
	d->unpark = NULL;
}
