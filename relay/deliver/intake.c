/* relay/deliver/intake.c - claimed recipients are judged again and become jobs, one a route */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/act.h" /* store_is_paused */
#include "relay/deliver/fault.h"
#include "relay/deliver/inside.h"
#include "relay/deliver/route.h"

#define RETRY_MS 1000
#define STUCK_MS 2000 /* so long without a claim, while mail is due: somebody is slow */

/* One message while it is being divided. `open` has a job in the making a route, NULL: none. */
struct dividing {
	struct deliver *d;
	struct batch *batch;
	const struct claimed_message *message;
	const struct whitelist_snapshot *snapshot;
	int64_t now;
	struct job **open;
	struct job *struck; /* what fault rules decided, in the making */
};

static void refuse(struct dividing *v, const struct job_recipient *recipient,
		   enum transition transition, const char *reason)
{
	struct job *job = settle_new_job(v->d, v->batch, v->message, NULL);

	job->recipients[0] = *recipient;
	if (recipient->ruling.reason != NULL)
		job->recipients[0].ruling.reason = job->recipients[0].ruled;
	job->count = 1;
	job->trouble = transition == TRANSITION_DEFER ? TROUBLE_CONFIGURATION : TROUBLE_POLICY;
	settle_all(v->d, job, transition, reason, 0);
}

static void close_job(struct dividing *v, size_t route)
{
	struct job *job = v->open[route];

	v->open[route] = NULL;
	job_choose_sender(job, v->snapshot, v->now);
	way_push(job->way, job, false);
}

/* Same address twice in one transaction is one too many for some servers. */
static void add(struct dividing *v, size_t route, const struct job_recipient *recipient)
{
	struct job *job = v->open[route];
	struct job_recipient *slot;

	if (job == NULL)
		job = v->open[route] =
			settle_new_job(v->d, v->batch, v->message, &v->d->plan->ways[route]);
	slot = &job->recipients[job->count++];
	*slot = *recipient;
	slot->ruling.reason = slot->ruled;
	if (job->count == JOB_RECIPIENTS_MAX)
		close_job(v, route);
}

static void close_struck(struct dividing *v)
{
	struct job *job = v->struck;

	v->struck = NULL;
	if (job != NULL)
		settle_told(v->d, job);
}

static void strike(struct dividing *v, const struct claimed_recipient *claimed,
		   const struct fate *fate)
{
	size_t room = v->message->recipient_count;
	struct job *job = v->struck;

	if (room > JOB_RECIPIENTS_MAX)
		room = JOB_RECIPIENTS_MAX;
	if (job == NULL) {
		job = v->struck = settle_new_job(v->d, v->batch, v->message, NULL);
		job->outcomes = mem_array(room, sizeof(*job->outcomes));
	}
	fault_outcome(fate, claimed, &job->recipients[job->count], &job->outcomes[job->count]);
	if (++job->count == room)
		close_struck(v);
}

static void divide_one(struct dividing *v, const struct claimed_recipient *claimed)
{
	const struct delivery_options *options = v->d->plan->options;
	struct job_recipient recipient;
	struct fate fate;
	char reason[400];
	size_t route;

	if (fault_strikes(claimed, &fate)) {
		strike(v, claimed, &fate);
		return;
	}
	if (!job_judge(v->snapshot, claimed, v->message->scope, v->now, &recipient)) {
		refuse(v, &recipient, TRANSITION_DROP, recipient.ruled);
		return;
	}
	route = route_match(options->routes, options->route_count,
			    span_of(recipient.address.domain));
	if (route != ROUTE_NONE) {
		add(v, route, &recipient);
		return;
	}
	snprintf(reason, sizeof(reason), "no route for %s", recipient.address.domain);
	refuse(v, &recipient, TRANSITION_DEFER, reason);
}

static void divide(struct dividing *v)
{
	for (size_t i = 0; i < v->message->recipient_count; i++)
		divide_one(v, &v->message->recipients[i]);
	close_struck(v);
	for (size_t i = 0; i < v->d->plan->options->route_count; i++)
		if (v->open[i] != NULL)
			close_job(v, i);
}

/* What a route can't take now goes back, so that other routes get their turn. */
static void relieve(struct deliver *d)
{
	const struct delivery_options *options = d->plan->options;
	int64_t now = clock_wall_ms();

	pool_relieve(d);
	for (size_t i = 0; i < options->route_count; i++) {
		struct way *way = &d->plan->ways[i];

		if (!way->paused && options->route_count > 1 && way->waiting > IN_HAND_MAX / 2 &&
		    way->count.busy + way->count.idle == 0)
			way_give_up(d, way, TRANSITION_UNCLAIM, "", now + TICK_MS);
	}
}

static void on_claimed(struct deliver *d, struct event *event)
{
	struct claim *claim = &d->claim.claim;
	struct batch *batch;
	struct dividing v;

	d->claim.busy = false;
	d->claimed_ms = clock_mono_ms();
	if (claim->job.code < 0) {
		if (!store_is_failed(d->env.store))
			log_error("claim failed", LOG_S("error", claim->job.why.text));
		d->next_due_at = clock_wall_ms() + RETRY_MS;
		return;
	}
	d->next_due_at = claim->next_due_at;
	batch = mem_zalloc(sizeof(*batch));
	batch->arena = claim->arena;
	for (size_t i = 0; i < claim->message_count; i++)
		batch->recipients += claim->messages[i].recipient_count;
	d->in_hand += batch->recipients;
	if (batch->recipients == 0) {
		arena_free(&batch->arena);
		mem_free(batch);
		return;
	}
	v = (struct dividing){.d = d, .batch = batch, .now = clock_steady_wall_ms()};
	v.open = mem_array(d->plan->options->route_count + 1, sizeof(*v.open));
	v.snapshot = whitelist_acquire(d->env.whitelist);
	for (size_t i = 0; i < claim->message_count; i++) {
		v.message = &claim->messages[i];
		divide(&v);
	}
	whitelist_release(&v.snapshot);
	mem_free(v.open);
	relieve(d);
}

static void claim_done(struct store_job *job)
{
	struct claim_call *call = (struct claim_call *)job;

	scheduler_answer(call->deliver, &call->event);
}

void intake_start(struct deliver *d)
{
	d->claim.deliver = d;
	d->claim.event.arrive = on_claimed;
	d->claim.claim.job.done = claim_done;
	d->maybe_due = true;
}

/*
 * A next hop that takes its time fills our hands with its own mail. What only
 * waits for it goes to the back, so that the mail of other routes is seen.
 */
static void make_room(struct deliver *d, int64_t now)
{
	const struct plan *plan = d->plan;

	if (plan->options->route_count < 2 || clock_mono_ms() - d->claimed_ms < STUCK_MS)
		return;
	d->claimed_ms = clock_mono_ms();
	for (size_t i = 0; i < plan->options->route_count; i++)
		way_give_up(d, &plan->ways[i], TRANSITION_UNCLAIM, "", now + TICK_MS);
}

void intake_claim(struct deliver *d, int64_t now)
{
	struct claim *claim = &d->claim.claim;

	if (d->in_hand > IN_HAND_LOW && !d->stopping && (d->maybe_due || now >= d->next_due_at))
		make_room(d, now);
	if (d->claim.busy || d->stopping || d->plan->options->capture_only ||
	    d->in_hand > IN_HAND_LOW || (!d->maybe_due && now < d->next_due_at) ||
	    store_is_failed(d->env.store) || store_is_paused(d->env.store, NULL))
		return;
	d->maybe_due = false;
	d->claim.busy = true;
	claim->now = now;
	claim->max_recipients = IN_HAND_MAX - d->in_hand;
	claim->lease_ms = d->env.lease_ms;
	queue_claim(d->env.store, &claim->job);
}
