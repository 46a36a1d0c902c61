/* queue/act_step.c - what a person does to many recipients, a step at a time */
#include "queue/act.h"

#include <assert.h>

#include "queue/acting.h"
#include "queue/audit.h"
#include "queue/calls.h"
#include "queue/tell.h"

static const char sql_subject[] =
	"SELECT" SUBJECT_COLUMNS
	", (SELECT scope FROM message WHERE message.id = recipient.id >> 16)"
	" FROM recipient WHERE id = ?1";

static int find_subject(struct store *store, int64_t id, struct subject *subject_out,
			const char **scope_out, bool *found_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_subject, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	code = query_row(&query, found_out, why);
	if (code != ERR_OK || !*found_out)
		return code;
	subject_take(&query, store->scratch, subject_out);
	*scope_out = query_take_copy(&query, store->scratch);
	query_end(&query);
	return ERR_OK;
}

static int act_on(struct store *store, const struct act_step *step, struct order *order, int64_t id,
		  enum effect *effect_out, struct err *why)
{
	struct subject subject;
	const char *scope = NULL;
	bool found = false;
	int code = find_subject(store, id, &subject, &scope, &found, why);

	*effect_out = EFFECT_PASSED;
	if (code != ERR_OK || !found ||
	    (step->states != 0 && (step->states & 1U << subject.state) == 0))
		return code;
	return order_apply(store, order, &subject, scope, effect_out, why);
}

static void count(struct act_step *step, enum effect effect, const struct err *why)
{
	if (effect == EFFECT_REFUSED && step->refused == 0)
		step->refusal = *why;
	step->changed += effect == EFFECT_CHANGED ? 1 : 0;
	step->wished += effect == EFFECT_WISHED ? 1 : 0;
	step->refused += effect == EFFECT_REFUSED ? 1 : 0;
	step->passed += effect == EFFECT_PASSED ? 1 : 0;
}

/* What was asked, not what came of it: that stands in the history of each. */
static int write_audit(struct store *store, const struct act_step *step, struct err *why)
{
	const struct audit_line line = {.at = step->now,
					.actor = step->actor,
					.action = arena_printf(store->scratch, "recipients.%s",
							       transition_name(step->transition)),
					.after = step->about};

	return step->about != NULL ? audit_add(store, &line, why) : ERR_OK;
}

static int do_step(struct store *store, struct act_step *step, struct err *why)
{
	struct order order = {.transition = step->transition,
			      .actor = step->actor,
			      .reason = step->reason,
			      .now = step->now,
			      .judge = step->judge,
			      .entry = step->entry,
			      .to = step->to};

	for (size_t i = 0; i < step->count; i++) {
		enum effect effect;
		struct err refusal = {""};
		int code = act_on(store, step, &order, step->recipients[i], &effect, &refusal);

		if (code != ERR_OK) {
			*why = refusal;
			return code;
		}
		count(step, effect, &refusal);
	}
	return ERR_OK;
}

/*
 * By the very same way, and then taken back: what is told is what would
 * happen, also where one of a message decides what becomes of another.
 */
static int try_step(struct store *store, struct act_step *step, struct err *why)
{
	const struct tell_mark told = tell_mark(store);
	struct counters_mark counted;
	const bool due = store->due, ask = store->ask;
	struct err ignored;
	int code = db_exec(&store->db, "SAVEPOINT try", why);

	if (code != ERR_OK)
		return code;
	counters_mark(&store->counters, &counted);
	calls_trial(store, true);
	code = do_step(store, step, why);
	calls_trial(store, false);
	counters_back(&store->counters, &counted);
	tell_back(store, told);
	store->due = due;
	store->ask = ask;
	if (db_exec(&store->db, "ROLLBACK TO try; RELEASE try", code == ERR_OK ? why : &ignored) !=
	    ERR_OK)
		return code == ERR_OK ? ERR_FATAL : code;
	return code;
}

static int run_step(struct store *store, struct store_job *job)
{
	struct act_step *step = (struct act_step *)job;
	int code;

	step->changed = step->wished = step->refused = step->passed = 0;
	step->refusal.text[0] = '\0';
	if (step->dry)
		return try_step(store, step, &job->why);
	code = do_step(store, step, &job->why);
	return code == ERR_OK ? write_audit(store, step, &job->why) : code;
}

static const struct store_verb verb_step = {.name = "act_step", .run = run_step};

void queue_act_step(struct store *store, struct store_job *job)
{
	const struct act_step *step = (const struct act_step *)job;

	assert(step->count <= ACT_STEP_MAX);
	assert(step->transition == TRANSITION_RETRY || step->transition == TRANSITION_HOLD ||
	       step->transition == TRANSITION_RELEASE || step->transition == TRANSITION_CANCEL);
	writer_submit(store, job, &verb_step);
}
