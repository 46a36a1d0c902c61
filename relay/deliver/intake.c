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

/* One message while it is being divided. `open` has a job in the making a route, NULL: none. */
struct dividing {
	struct deliver *d;
	struct batch *batch;
	const struct claimed_message *message;
	const struct whitelist_snapshot *snapshot;
	int64_t now;
	struct job **open;
	struct job *ended; /* what is decided without an attempt, in the making */
};

/* Dropped, held or redirected, as the judgement says. */
static void refuse(struct dividing *v, const struct job_recipient *recipient)
{
	struct job *job = settle_new_job(v->d, v->batch, v->message, NULL);

	job_copy_recipient(&job->recipients[0], recipient);
	job->count = 1;
	job->trouble = TROUBLE_POLICY;
	settle_all(v->d, job, recipient->refusal, recipient->ruled, 0);
}

static void close_job(struct dividing *v, size_t route)
{
	struct job *job = v->open[route];

	v->open[route] = NULL;
	job_choose_sender(job, v->snapshot, v->now);
	way_claimed(job->way, job->count);
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
	job_copy_recipient(slot, recipient);
	if (job->count == halt_room(v->d, JOB_RECIPIENTS_MAX))
		close_job(v, route);
}

static void close_ended(struct dividing *v)
{
	struct job *job = v->ended;

	v->ended = NULL;
	if (job != NULL)
		settle_told(v->d, job);
}

static size_t room_of(const struct dividing *v)
{
	size_t count = v->message->recipient_count;

	return count < JOB_RECIPIENTS_MAX ? count : JOB_RECIPIENTS_MAX;
}

/* Both are filled by the caller, then end_next is called. */
static void end_begin(struct dividing *v, struct job_recipient **recipient_out,
		      struct outcome **outcome_out)
{
	if (v->ended == NULL) {
		v->ended = settle_new_job(v->d, v->batch, v->message, NULL);
		v->ended->outcomes = mem_array(room_of(v), sizeof(*v->ended->outcomes));
	}
	*recipient_out = &v->ended->recipients[v->ended->count];
	*outcome_out = &v->ended->outcomes[v->ended->count];
}

static void end_next(struct dividing *v)
{
	if (++v->ended->count == room_of(v))
		close_ended(v);
}

static void strike(struct dividing *v, const struct claimed_recipient *claimed,
		   const struct fate *fate)
{
	struct job_recipient *recipient;
	struct outcome *outcome;

	end_begin(v, &recipient, &outcome);
	fault_outcome(fate, claimed, recipient, outcome);
	end_next(v);
}

/* What was only just found, and never tried or put off, is tried once however old it is. */
static bool is_too_old(const struct dividing *v, const struct claimed_recipient *claimed)
{
	int64_t after = v->d->plan->options->expire_after_ms;

	/* Not the list's clock, which never goes back: stored times do (follow_clock). */
	return after > 0 && clock_wall_ms() >= claimed->waiting_since + after &&
	       (claimed->attempts > 0 || claimed->last_reason != NULL);
}

/* One more wait is one too many: settle_told makes an expiry of it. */
static void expire(struct dividing *v, const struct job_recipient *judged)
{
	const struct claimed_recipient *claimed = judged->claimed;
	struct job_recipient *recipient;
	struct outcome *outcome;

	end_begin(v, &recipient, &outcome);
	job_copy_recipient(recipient, judged);
	outcome->transition = TRANSITION_DEFER;
	outcome->trouble = trouble_of_name(claimed->last_kind);
	if (claimed->last_code != 0) {
		hop_reply_local(&recipient->reply, claimed->last_code,
				claimed->last_enhanced != NULL ? claimed->last_enhanced : "",
				claimed->last_text != NULL ? claimed->last_text : "");
		outcome->reply = &recipient->reply;
	}
	snprintf(outcome->reason, sizeof(outcome->reason), "%s",
		 claimed->last_reason != NULL ? claimed->last_reason : "no reason is known");
	end_next(v);
}

/* Nothing was tried. A reload that brings a route takes it along at once. */
static void leave_without_route(struct dividing *v, const struct job_recipient *judged)
{
	struct job_recipient *recipient;
	struct outcome *outcome;

	end_begin(v, &recipient, &outcome);
	job_copy_recipient(recipient, judged);
	park_without_route(v->ended, v->ended->count);
	end_next(v);
}

/*
 * However it came to be due: without the hook's word it does not go on (DESIGN
 * P1). Where the hook may allow what the list does not, it is asked before the list's no counts.
 */
static bool must_be_asked(const struct dividing *v, const struct claimed_recipient *claimed,
			  bool is_allowed)
{
	const struct policy_options *policy = v->d->plan->options->policy;

	return policy->screening && claimed->permit == PERMIT_NONE &&
	       (is_allowed || policy->hook_overrides);
}

static void ask_hook(struct dividing *v, const struct job_recipient *judged)
{
	struct job_recipient *recipient;
	struct outcome *outcome;

	end_begin(v, &recipient, &outcome);
	*recipient = *judged;
	recipient->ruling = (struct ruling){.verdict = NULL}; /* as it was accepted */
	outcome->transition = TRANSITION_ASK;
	snprintf(outcome->reason, sizeof(outcome->reason), "the policy hook is to be asked");
	end_next(v);
}

/* The list says no; what the header says may let a rule say yes. The wire guard asks them all. */
static bool may_be_allowed_yet(const struct dividing *v, struct job_recipient *recipient)
{
	if (recipient->text[0] == '\0' ||
	    !job_rules_may_allow(v->d->env.rules, v->message, &recipient->address))
		return false;
	recipient->dropped = false;
	/* Nothing is decided yet: whatever keeps it from being tried, it stays as it was. */
	recipient->ruling = (struct ruling){.verdict = NULL};
	return true;
}

static void divide_one(struct dividing *v, const struct claimed_recipient *claimed)
{
	const struct delivery_options *options = v->d->plan->options;
	const struct judge_case at = job_case(options, v->message, v->snapshot, v->now);
	struct job_recipient recipient;
	struct fate fate;
	bool is_allowed;
	size_t route;

	if (fault_strikes(claimed, &fate)) {
		strike(v, claimed, &fate);
		return;
	}
	is_allowed = job_judge(&at, claimed, &recipient) || may_be_allowed_yet(v, &recipient);
	if (must_be_asked(v, claimed, is_allowed)) {
		ask_hook(v, &recipient);
		return;
	}
	if (!is_allowed) {
		refuse(v, &recipient);
		return;
	}
	if (claimed->permit == PERMIT_EXPIRED || is_too_old(v, claimed)) {
		expire(v, &recipient);
		return;
	}
	route = route_match(options->routes, options->route_count,
			    span_of(recipient.address.domain));
	if (route != ROUTE_NONE)
		add(v, route, &recipient);
	else
		leave_without_route(v, &recipient);
}

static void divide(struct dividing *v)
{
	for (size_t i = 0; i < v->message->recipient_count; i++)
		divide_one(v, &v->message->recipients[i]);
	close_ended(v);
	for (size_t i = 0; i < v->d->plan->options->route_count; i++)
		if (v->open[i] != NULL)
			close_job(v, i);
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
	park_relieve(d);
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
 * By the half, as long as it goes fast. Where it goes slowly, what comes in
 * now may be for somebody else: a few at a time then.
 */
static bool has_room(const struct deliver *d)
{
	if (d->in_hand + IN_HAND_MAX > RECIPIENTS_MAX)
		return false;
	return d->jobs_in_hand <= IN_HAND_LOW ||
	       (d->jobs_in_hand < IN_HAND_MAX && clock_mono_ms() - d->claimed_ms >= CLAIM_EACH_MS);
}

void intake_claim(struct deliver *d, int64_t now)
{
	struct claim *claim = &d->claim.claim;

	if (d->claim.busy || d->stopping || d->plan->options->capture_only || !has_room(d) ||
	    (!d->maybe_due && now < d->next_due_at) || store_is_failed(d->env.store) ||
	    store_is_paused(d->env.store, NULL) || halt_is_on(d))
		return;
	d->maybe_due = false;
	d->claim.busy = true;
	claim->now = now;
	/* As if each were a job; how many share one is not known before. */
	claim->max_recipients = IN_HAND_MAX - d->jobs_in_hand;
	claim->whole = d->jobs_in_hand > IN_HAND_LOW; /* its turn comes when there is more room */
	claim->lease_ms = d->env.lease_ms;
	queue_claim(d->env.store, &claim->job);
}
