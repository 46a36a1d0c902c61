/* relay/deliver/settle.c - outcomes become durable: gathered while the writer is busy, then at once
 */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "relay/deliver/inside.h"

#define RETRY_MS 1000
#define RENEWALS 3 /* in the time of one lease: two may fail */

/* --- jobs in hand ------------------------------------------------------------------ */

struct job *settle_new_job(struct deliver *d, struct batch *batch,
			   const struct claimed_message *message, struct way *way)
{
	size_t room = message->recipient_count;
	struct job *job = job_new(message, d->plan->options, way != NULL ? way->options : NULL,
				  room < JOB_RECIPIENTS_MAX ? room : JOB_RECIPIENTS_MAX);

	job->batch = batch;
	job->plan = d->plan;
	job->way = way;
	plan_use(job->plan);
	job->all_next = d->jobs;
	if (d->jobs != NULL)
		d->jobs->all_prev = job;
	d->jobs = job;
	d->jobs_in_hand++;
	return job;
}

static void leave_batch(struct batch *batch, size_t count)
{
	assert(batch->recipients >= count);
	batch->recipients -= count;
	if (batch->recipients == 0) {
		arena_free(&batch->arena);
		mem_free(batch);
	}
}

static void end_job(struct deliver *d, struct job *job)
{
	if (job->all_next != NULL)
		job->all_next->all_prev = job->all_prev;
	if (job->all_prev != NULL)
		job->all_prev->all_next = job->all_next;
	else
		d->jobs = job->all_next;
	assert(d->in_hand >= job->count);
	d->in_hand -= job->count;
	d->jobs_in_hand--;
	plan_leave(d, job->plan);
	leave_batch(job->batch, job->count);
	job_free(&job);
}

/* --- telling ------------------------------------------------------------------------- */

static const char *event_name(enum transition transition)
{
	switch (transition) {
	case TRANSITION_DELIVER: return "delivered";
	case TRANSITION_FAIL: return "failed";
	case TRANSITION_EXPIRE: return "expired";
	case TRANSITION_DROP: return "dropped";
	case TRANSITION_HOLD: return "held";
	case TRANSITION_REDIRECT: return "redirected";
	case TRANSITION_ASK: return "screening";
	default: return "deferred";
	}
}

/* 0: it has not begun. */
static int64_t took_us(const struct job *job)
{
	return job->started_us > 0 ? clock_mono_us() - job->started_us : 0;
}

static void tell(const struct job *job, const struct job_recipient *recipient,
		 const struct outcome *outcome)
{
	char id[ULID_TEXT_SIZE];
	const struct hop_reply *reply = outcome->reply;
	bool tried = job->record.remote[0] != '\0';

	if (!log_wants(LOG_INFO))
		return;
	ulid_format(&job->message->id, id);
	log_info(event_name(outcome->transition), LOG_S("message", id),
		 LOG_S("recipient", recipient->claimed->address),
		 LOG_S("route", job->route != NULL ? job->route->name : NULL),
		 LOG_S("remote", tried ? job->record.remote : NULL),
		 LOG_S("tls", job->record.tls[0] != '\0' ? job->record.tls : NULL),
		 LOG_I("reply", reply != NULL ? reply->code : 0), LOG_S("reason", outcome->reason),
		 LOG_I("ms", took_us(job) / 1000));
}

static bool is_the_end(const struct outcome *outcome)
{
	return outcome->transition == TRANSITION_FAIL || outcome->transition == TRANSITION_EXPIRE;
}

/* From its acceptance: what a person waits for who looks at the other end. */
static void count_delivered(struct job *job)
{
	int64_t waited_ms = clock_wall_ms() - job->message->received_at;

	job->way->delivered++;
	histogram_view_add(&job->way->deliveries, &histogram_patient, waited_ms * 1000);
}

/* One message to one next hop, however many recipients it had there. */
static void count_attempt(struct job *job)
{
	if (job->way != NULL && job->started_us > 0 && job->record.remote[0] != '\0')
		histogram_view_add(&job->way->attempts, &histogram_prompt, took_us(job));
}

static void count(struct job *job, const struct outcome *outcome)
{
	struct way *way = job->way;
	bool put_off = outcome->transition == TRANSITION_DEFER;

	if (way == NULL)
		return;
	if (outcome->transition == TRANSITION_DELIVER)
		count_delivered(job);
	else if (put_off)
		way->deferred++;
	else if (is_the_end(outcome))
		way->failed++;
	if (outcome->trouble != TROUBLE_NONE)
		way->troubles[outcome->trouble]++;
	/* Of attempts only: what was put off because of an earlier error would hide that one. */
	if (job->record.remote[0] != '\0' && (put_off || is_the_end(outcome))) {
		snprintf(way->last_error, sizeof(way->last_error), "%.199s", outcome->reason);
		way->last_error_at = clock_wall_ms();
	}
}

/* --- outcomes ------------------------------------------------------------------------- */

static void decided(struct deliver *d, struct job *job)
{
	bool delivered = false;

	for (size_t i = 0; i < job->count; i++) {
		if (job->outcomes[i].transition == TRANSITION_UNCLAIM)
			continue;
		tell(job, &job->recipients[i], &job->outcomes[i]);
		delivered |= job->outcomes[i].transition == TRANSITION_DELIVER;
		if (job->outcomes[i].transition == TRANSITION_DELIVER)
			whitelist_count_hit(d->env.whitelist, job->recipients[i].ruling.entry,
					    clock_wall_ms());
		count(job, &job->outcomes[i]);
	}
	if (delivered)
		outbound_count_add(&d->rewritten, &job->rewritten);
	job->next = NULL;
	if (d->decided_last != NULL)
		d->decided_last->next = job;
	else
		d->decided_first = job;
	d->decided_last = job;
}

static void log_report(const struct job *job)
{
	const struct report *report = job->report;
	char id[ULID_TEXT_SIZE];
	char original[ULID_TEXT_SIZE];

	ulid_format(&report->message.id, id);
	ulid_format(&job->message->id, original);
	log_info("report", LOG_S("message", id), LOG_S("about", original),
		 LOG_S("to", report->recipients[0].address), LOG_I("recipients", report->told),
		 LOG_S("verdict", report->recipients[0].ruling.verdict),
		 LOG_S("reason", report->recipients[0].ruling.reason));
}

static void on_reported(struct deliver *d, struct event *event)
{
	struct job *job = event->owner;

	if (job->report != NULL)
		log_report(job);
	decided(d, job);
}

void settle_told(struct deliver *d, struct job *job)
{
	int64_t now = clock_wall_ms();

	for (size_t i = 0; i < job->count; i++)
		outcome_expire(job, &job->recipients[i], now, &job->outcomes[i]);
	if (!bouncer_decide(job, now)) {
		decided(d, job);
		return;
	}
	job->reported.arrive = on_reported;
	job->reported.owner = job;
	bouncer_run(d->bouncer, job);
}

void settle_attempt(struct deliver *d, struct job *job)
{
	count_attempt(job);
	job->outcomes = mem_array(job->count, sizeof(*job->outcomes));
	for (size_t i = 0; i < job->count; i++)
		outcome_decide(job, &job->recipients[i], &job->outcomes[i]);
	outcome_next_transaction(job);
	settle_told(d, job);
}

void settle_all(struct deliver *d, struct job *job, enum transition transition, const char *reason,
		int64_t again_at)
{
	job->outcomes = mem_array(job->count, sizeof(*job->outcomes));
	for (size_t i = 0; i < job->count; i++) {
		struct outcome *outcome = &job->outcomes[i];

		outcome->transition = transition;
		outcome->trouble = transition == TRANSITION_UNCLAIM ? TROUBLE_NONE : job->trouble;
		outcome->again_at = again_at;
		snprintf(outcome->reason, sizeof(outcome->reason), "%s", reason);
	}
	settle_told(d, job);
}

/* --- the store ---------------------------------------------------------------------------- */

/* The reports of the jobs, in their order. */
static void fill_reports(struct settle *settle, struct job *jobs)
{
	struct settle_report *reports;
	size_t count = 0;

	for (struct job *job = jobs; job != NULL; job = job->next)
		if (job->report != NULL)
			job->report->number = ++count;
	settle->report_count = count;
	if (count == 0)
		return;
	reports = mem_array(count, sizeof(*reports));
	for (struct job *job = jobs; job != NULL; job = job->next)
		if (job->report != NULL)
			reports[job->report->number - 1] = (struct settle_report){
				.message = &job->report->message, .body = job->report->body};
	settle->reports = reports;
}

/* Judged when it is added: by the list in force now, and again before it is sent. */
static const struct new_recipient *stand_in(struct deliver *d, const struct job *job,
					    const struct ruling *ruling)
{
	const struct whitelist_snapshot *list = whitelist_acquire(d->env.whitelist);
	const struct judge_case at =
		job_case(job->options, job->message, list, clock_steady_wall_ms());
	struct new_recipient *target;
	bool is_judged;

	if (d->settle.arena == NULL)
		d->settle.arena = arena_new();
	target = arena_zalloc(d->settle.arena, sizeof(*target));
	is_judged = judge_redirect(&at, ruling->redirect_to, d->settle.arena, target);
	whitelist_release(&list);
	return is_judged ? target : NULL;
}

static void fill(struct deliver *d, struct job *jobs)
{
	struct settle *settle = &d->settle.settle;
	struct settlement *settlements;
	size_t total = 0, at = 0;

	fill_reports(settle, jobs);
	for (struct job *job = jobs; job != NULL; job = job->next)
		total += job->count;
	settlements = mem_array(total, sizeof(*settlements));
	for (struct job *job = jobs; job != NULL; job = job->next) {
		uint32_t random;

		/* What went together comes back together, in one transaction. */
		secret_random(&random, sizeof(random));
		for (size_t i = 0; i < job->count; i++) {
			outcome_settle(job, &job->recipients[i], &job->outcomes[i], settle->now,
				       random, &settlements[at]);
			if (job->outcomes[i].transition == TRANSITION_REDIRECT)
				settlements[at].redirect =
					stand_in(d, job, &job->recipients[i].ruling);
			if (job->report != NULL && job->outcomes[i].told != BOUNCE_NOTHING)
				settlements[at].report = job->report->number;
			at++;
		}
	}
	settle->settlements = settlements;
	settle->count = total;
}

void settle_submit(struct deliver *d)
{
	struct settle_call *call = &d->settle;

	if (call->busy || d->decided_first == NULL || clock_mono_ms() < call->not_before_ms)
		return;
	call->busy = true;
	call->jobs = d->decided_first;
	d->decided_first = d->decided_last = NULL;
	call->settle.now = clock_wall_ms();
	fill(d, call->jobs);
	queue_settle(d->env.store, &call->settle.job);
}

static void put_back(struct deliver *d, struct job *jobs)
{
	struct job *last = jobs;

	while (last->next != NULL)
		last = last->next;
	last->next = d->decided_first;
	if (d->decided_last == NULL)
		d->decided_last = last;
	d->decided_first = jobs;
}

/*
 * The stop is overdue and somebody else's lock or a full disk still keeps the
 * outcomes out: the start gives their leases back, at the price of a second
 * copy (P3). Waiting on would only end in SIGKILL, with the same result.
 */
static bool is_too_late(const struct deliver *d)
{
	return d->stopping && clock_mono_ms() >= d->stop_deadline_ms;
}

static void on_settled(struct deliver *d, struct event *event)
{
	struct settle_call *call = &d->settle;
	struct job *jobs = call->jobs;
	int code = call->settle.job.code;

	call->busy = false;
	call->jobs = NULL;
	mem_free((void *)(uintptr_t)call->settle.settlements);
	call->settle.settlements = NULL;
	mem_free((void *)(uintptr_t)call->settle.reports);
	call->settle.reports = NULL;
	arena_free(&call->arena);
	if (code < 0 && code != ERR_FATAL && !store_is_failed(d->env.store) && !is_too_late(d)) {
		/* What happened has happened: it is kept and stored as soon as that works. */
		log_error("settle failed", LOG_S("error", call->settle.job.why.text),
			  LOG_I("recipients", call->settle.count));
		call->not_before_ms = clock_mono_ms() + RETRY_MS;
		put_back(d, jobs);
		return;
	}
	if (code < 0)
		log_error("outcomes lost", LOG_S("error", call->settle.job.why.text),
			  LOG_I("recipients", call->settle.count));
	else if (call->settle.lost > 0)
		log_warning("late outcomes", LOG_I("recipients", call->settle.lost));
	if (code == ERR_OK && call->settle.unreported > 0)
		log_warning("no report", LOG_S("error", "there is no room on the disk"),
			    LOG_I("reports", call->settle.unreported));
	while (jobs != NULL) {
		struct job *next = jobs->next;

		park_settled(d, jobs);
		end_job(d, jobs);
		jobs = next;
	}
}

static void settle_done(struct store_job *job)
{
	struct settle_call *call = (struct settle_call *)job;

	scheduler_answer(call->deliver, &call->event);
}

/* --- leases --------------------------------------------------------------------------------- */

static void on_renewed(struct deliver *d, struct event *event)
{
	d->renew.busy = false;
	mem_free((void *)(uintptr_t)d->renew.renew.recipients);
	mem_free((void *)(uintptr_t)d->renew.renew.leases);
	if (d->renew.renew.job.code < 0)
		log_warning("leases not renewed", LOG_S("error", d->renew.renew.job.why.text));
}

static void renew_done(struct store_job *job)
{
	struct renew_call *call = (struct renew_call *)job;

	scheduler_answer(call->deliver, &call->event);
}

void settle_renew(struct deliver *d, int64_t now_ms)
{
	struct renew *renew = &d->renew.renew;
	int64_t *recipients, *leases;

	if (d->renew.busy || now_ms < d->renew.next_ms)
		return;
	d->renew.next_ms = now_ms + d->env.lease_ms / RENEWALS;
	if (d->in_hand == 0)
		return;
	recipients = mem_array(d->in_hand, sizeof(*recipients));
	leases = mem_array(d->in_hand, sizeof(*leases));
	renew->count = 0;
	for (struct job *job = d->jobs; job != NULL; job = job->all_next)
		for (size_t i = 0; i < job->count; i++) {
			assert(renew->count < d->in_hand);
			recipients[renew->count] = job->recipients[i].claimed->id;
			leases[renew->count++] = job->recipients[i].claimed->lease;
		}
	renew->recipients = recipients;
	renew->leases = leases;
	renew->until = clock_wall_ms() + d->env.lease_ms;
	d->renew.busy = true;
	queue_renew(d->env.store, &renew->job);
}

void settle_start(struct deliver *d)
{
	d->settle.deliver = d->renew.deliver = d;
	d->settle.event.arrive = on_settled;
	d->settle.settle.job.done = settle_done;
	d->renew.event.arrive = on_renewed;
	d->renew.renew.job.done = renew_done;
	d->renew.next_ms = clock_mono_ms() + d->env.lease_ms / RENEWALS;
}
