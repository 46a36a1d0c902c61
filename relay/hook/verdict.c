/* relay/hook/verdict.c - decisions become outcomes: what the list has to say, retries, the store */
#include <assert.h>
#include <stdio.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "relay/filter/judge.h"
#include "relay/hook/inside.h"

#define WAIT_LEAST_MS 1000 /* however soon it wants to be asked again */

/* --- nobody decided ------------------------------------------------------------------------ */

static bool is_too_late(const struct hook *hook, const struct screened_recipient *recipient,
			int64_t now)
{
	int64_t after = hook->options->expire_after_ms;

	return after > 0 && now >= recipient->waiting_since + after;
}

static int64_t next_time(const struct ask *ask, const struct asked *asked, int64_t now)
{
	const struct hook_options *options = ask->hook->options;
	int64_t wait = asked->decision.wait_ms;
	int64_t backoff = 0;

	if (!asked->decision.later && ask->sent)
		backoff = backoff_wait_ms(options->schedule_ms, options->schedule_count,
					  asked->recipient->asked + 1, ask->random);
	if (wait < backoff)
		wait = backoff;
	if (wait < ask->rest_ms)
		wait = ask->rest_ms;
	return now + (wait > WAIT_LEAST_MS ? wait : WAIT_LEAST_MS);
}

/* Delivery says so to the sender, as of anything that expires. */
static void expire(struct ask *ask, const struct asked *asked, struct screen_outcome *outcome)
{
	outcome->outcome = TRANSITION_SCREEN;
	outcome->permit = PERMIT_EXPIRED;
	outcome->reason = arena_printf(ask->arena, "expired undecided: %s", asked->decision.reason);
}

static void leave_undecided(struct ask *ask, struct asked *asked, struct screen_outcome *outcome,
			    int64_t now)
{
	enum hook_on_error on_error = ask->hook->options->on_error;

	outcome->kind = "hook";
	outcome->reason = asked->decision.reason;
	if (!asked->decision.later && on_error != HOOK_RETRY) {
		outcome->outcome = on_error == HOOK_HOLD ? TRANSITION_HOLD : TRANSITION_DROP;
		outcome->verdict = on_error == HOOK_HOLD ? "hold" : "drop";
	} else if (is_too_late(ask->hook, asked->recipient, now)) {
		expire(ask, asked, outcome);
	} else {
		outcome->outcome = TRANSITION_UNCLAIM;
		outcome->in_vain = ask->sent && !asked->decision.later;
		outcome->ask_at = next_time(ask, asked, now);
	}
}

/* --- somebody did -------------------------------------------------------------------------- */

static void allow(const struct asked *asked, struct screen_outcome *outcome)
{
	outcome->outcome = TRANSITION_SCREEN;
	outcome->permit = asked->listed ? PERMIT_ALLOWED : PERMIT_OVERRIDE;
	outcome->hop = asked->decision.hop[0] != '\0' ? asked->decision.hop : NULL;
	if (outcome->hop != NULL && asked->decision.has_login)
		outcome->login = asked->decision.login;
	outcome->verdict = asked->listed ? NULL : "deliver";
}

/* The target is judged like anybody; the hook named it, so it is not asked again. */
static void redirect(struct ask *ask, const struct asked *asked, struct new_recipient *target,
		     struct screen_outcome *outcome)
{
	struct judge_case at = {.list = whitelist_acquire(ask->hook->env.whitelist),
				.scope = span_of(ask->message->m.scope),
				.now = clock_steady_wall_ms()};

	/* json.c took nothing else for an address. */
	if (!judge_redirect(&at, asked->decision.redirect_to, ask->arena, target))
		assert(!"redirect_to was printed by us");
	whitelist_release(&at.list);
	target->permit = PERMIT_ALLOWED;
	outcome->outcome = TRANSITION_REDIRECT;
	outcome->verdict = "redirect";
	outcome->reason = arena_printf(ask->arena, "%s: to %s", asked->decision.reason,
				       asked->decision.redirect_to);
	outcome->redirect = target;
}

static void fill(struct ask *ask, size_t i, int64_t now)
{
	struct asked *asked = &ask->asked[i];
	struct screen_outcome *outcome = &ask->outcomes[i];

	*outcome = (struct screen_outcome){.recipient = asked->recipient->id,
					   .lease = asked->recipient->lease,
					   .reason = asked->decision.reason};
	switch (asked->decision.kind) {
	case DECISION_NONE: leave_undecided(ask, asked, outcome, now); break;
	case DECISION_ALLOW: allow(asked, outcome); break;
	case DECISION_DROP:
		outcome->outcome = TRANSITION_DROP;
		outcome->verdict = "drop";
		break;
	case DECISION_HOLD:
		outcome->outcome = TRANSITION_HOLD;
		outcome->verdict = "hold";
		/* Whoever releases it has decided. What no entry names stays with the list. */
		outcome->permit = PERMIT_ALLOWED;
		break;
	case DECISION_REDIRECT: redirect(ask, asked, &ask->redirects[i], outcome); break;
	}
	/* Without a hook there is nothing to permit: the list alone decides. */
	if (asked->is_ours && outcome->outcome == TRANSITION_SCREEN)
		outcome->permit = PERMIT_NONE;
}

/* --- told ------------------------------------------------------------------------------------ */

static void count(struct hook *hook, const struct asked *asked)
{
	if (asked->is_ours)
		return;
	pthread_mutex_lock(&hook->lock);
	switch (asked->decision.kind) {
	case DECISION_NONE: hook->status.undecided++; break;
	case DECISION_ALLOW: hook->status.allowed++; break;
	case DECISION_DROP: hook->status.dropped++; break;
	case DECISION_HOLD: hook->status.held++; break;
	case DECISION_REDIRECT: hook->status.redirected++; break;
	}
	pthread_mutex_unlock(&hook->lock);
}

static void tell(const struct ask *ask, const struct asked *asked,
		 const struct screen_outcome *outcome)
{
	char id[ULID_TEXT_SIZE];
	bool again = outcome->outcome == TRANSITION_UNCLAIM;

	/* That nobody can be reached is told once, not of every recipient. */
	if (again && !ask->sent)
		return;
	ulid_format(&ask->message->m.id, id);
	log_info("screened", LOG_S("message", id), LOG_S("to", asked->recipient->address),
		 LOG_S("outcome", again ? "undecided" : transition_name(outcome->outcome)),
		 LOG_S("reason", outcome->reason), LOG_S("hop", outcome->hop));
}

/* --- the store ------------------------------------------------------------------------------- */

static void arrive_settled(struct hook *hook, struct hook_event *event)
{
	struct ask *ask = (struct ask *)((char *)event - offsetof(struct ask, event));
	const struct store_job *job = &ask->settle.job;

	hook->settling--;
	if (job->code == ERR_OK || store_is_failed(hook->env.store) || hook->stopping) {
		/* Else the next start gives them back, and somebody is asked again. */
		ask_free(&ask);
		return;
	}
	log_error("screening not stored", LOG_S("error", job->why.text));
	ask->next = hook->unsettled;
	hook->unsettled = ask;
	hook->settle_again_ms = clock_mono_ms() + 1000;
}

static void settle_done(struct store_job *job)
{
	struct ask *ask = job->ctx;

	hook_send(ask->hook, &ask->event);
}

void ask_settle(struct ask *ask)
{
	ask->event.arrive = arrive_settled;
	ask->settle.job = (struct store_job){.done = settle_done, .ctx = ask};
	ask->settle.now = clock_wall_ms();
	ask->settle.outcomes = ask->outcomes;
	ask->settle.count = ask->count;
	ask->hook->settling++;
	queue_screen_settle(ask->hook->env.store, &ask->settle.job);
}

void ask_conclude(struct ask *ask)
{
	int64_t now = clock_wall_ms();

	request_end(&ask->request, ask->hook->multi);
	secret_random(&ask->random, sizeof(ask->random));
	ask->rest_ms = ask->hook->rest_until_ms - clock_mono_ms();
	ask->arena = arena_new();
	ask->outcomes = mem_array(ask->count, sizeof(*ask->outcomes));
	ask->redirects = mem_array(ask->count, sizeof(*ask->redirects));
	for (size_t i = 0; i < ask->count; i++) {
		fill(ask, i, now);
		count(ask->hook, &ask->asked[i]);
		tell(ask, &ask->asked[i], &ask->outcomes[i]);
	}
	ask_settle(ask);
}
