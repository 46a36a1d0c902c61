/* admin/bulk.c - one act on every recipient that a filter lets through, step by step */
#include "admin/bulk.h"

#include "base/clock.h"

static void step(struct call *call, struct bulk *bulk);

unsigned bulk_states(enum transition transition)
{
	unsigned states = 0;

	for (int state = STATE_SCREENING; state < STATE_COUNT; state++) {
		enum state to;
		struct err ignored;

		if (state_move((enum state)state, transition, &to, &ignored) == ERR_OK)
			states |= 1U << state;
	}
	/* In flight: a wish is left. */
	if (transition == TRANSITION_HOLD || transition == TRANSITION_CANCEL)
		states |= 1U << STATE_DELIVERING;
	return states;
}

static void finish(struct call *call, struct bulk *bulk, bool more)
{
	bulk->more = more;
	bulk->then(call, bulk);
}

static void fail(struct call *call, struct bulk *bulk, int code, const struct err *why)
{
	bulk->code = code;
	bulk->why = *why;
	finish(call, bulk, true);
}

void bulk_forget(struct bulk *bulk)
{
	if (bulk == NULL)
		return;
	release_judge_release(&bulk->judge);
	arena_free(&bulk->judge.arena);
}

static void forget(struct call *call)
{
	bulk_forget(call->work);
}

static void step_done(struct call *call)
{
	struct bulk *bulk = call->work;
	const struct act_step *done = &bulk->step;

	bulk_forget(bulk);
	if (done->job.code != ERR_OK) {
		fail(call, bulk, done->job.code, &done->job.why);
		return;
	}
	if (bulk->refused == 0)
		bulk->refusal = done->refusal;
	bulk->changed += done->changed;
	bulk->wished += done->wished;
	bulk->refused += done->refused;
	bulk->passed += done->passed;
	bulk->seen += done->count;
	bulk->query.before_id = bulk->ids[done->count - 1];
	if (done->count < bulk->query.limit)
		finish(call, bulk, false);
	else if (bulk->seen == bulk->limit || clock_mono_ms() >= bulk->until_ms)
		finish(call, bulk, true);
	else
		step(call, bulk);
}

/* The next page, and what a release of it is judged by. */
static int take_page(struct call *call, struct bulk *bulk, size_t *count_out, struct err *why)
{
	struct rules *rules = call->api->env.rules;
	struct recipient_page page;
	int code;

	(void)release_judge_init(&bulk->judge, call->api->env.whitelist, arena_new());
	if (bulk->transition != TRANSITION_RELEASE || rules == NULL || !rules_are_on(rules))
		return queue_recipient_ids(call_reader(call), &bulk->query, bulk->ids, count_out,
					   why);
	code = queue_recipient_list(call_reader(call), &bulk->query, bulk->judge.arena, &page, why);
	if (code != ERR_OK)
		return code;
	*count_out = page.count;
	for (size_t i = 0; i < page.count; i++)
		bulk->ids[i] = page.rows[i].recipient.id;
	return release_judge_ask_rows(call, &bulk->judge, page.rows, page.count, why);
}

static void step(struct call *call, struct bulk *bulk)
{
	size_t left = bulk->limit > 0 ? bulk->limit - bulk->seen : ACT_STEP_MAX;
	size_t count = 0;
	struct err why;
	int code;

	bulk->query.limit = left < ACT_STEP_MAX ? left : ACT_STEP_MAX;
	code = take_page(call, bulk, &count, &why);
	if (code != ERR_OK || count == 0)
		bulk_forget(bulk);
	if (code != ERR_OK) {
		fail(call, bulk, code, &why);
		return;
	}
	if (count == 0) {
		finish(call, bulk, false);
		return;
	}
	bulk->step = (struct act_step){.transition = bulk->transition,
				       .actor = call->caller.actor,
				       .reason = bulk->reason,
				       .now = clock_wall_ms(),
				       .judge = &bulk->judge.ops,
				       .to = bulk->to,
				       .recipients = bulk->ids,
				       .count = count,
				       .states = bulk->query.states,
				       .entry = bulk->entry,
				       .dry = bulk->dry,
				       .about = bulk->seen == 0 ? bulk->about : NULL};
	call_submit(call, queue_act_step, &bulk->step.job, step_done);
}

void bulk_run(struct call *call, struct bulk *bulk)
{
	if (bulk->query.states == 0)
		bulk->query.states = bulk_states(bulk->transition);
	bulk->until_ms = clock_mono_ms() + bulk->time_ms;
	call->work = bulk;
	if (call->forget == NULL)
		call->forget = forget;
	step(call, bulk);
}
