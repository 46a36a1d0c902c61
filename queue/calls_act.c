/* queue/calls_act.c - dead letters of webhooks: sent once more or dropped by a person, or too old
 */
#include "queue/audit.h"
#include "queue/calls.h"

static const char sql_target[] = "SELECT target FROM webhook_call WHERE id = ?1 AND due_at IS NULL";
static const char sql_retry[] =
	"UPDATE webhook_call SET due_at = ?2, attempts = 0 WHERE id = ?1 AND due_at IS NULL";
static const char sql_drop[] = "DELETE FROM webhook_call WHERE id = ?1 AND due_at IS NULL";
static const char sql_retry_all[] =
	"UPDATE webhook_call SET due_at = ?2, attempts = 0 WHERE target = ?1 AND due_at IS NULL";
static const char sql_drop_all[] = "DELETE FROM webhook_call WHERE target = ?1 AND due_at IS NULL";

/* One of the four above: ?1 is what it meets. */
static int change(struct store *store, const char *sql, const struct webhook_act *act,
		  const char *target, size_t *count, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	if (target != NULL)
		query_give_text(&query, target);
	else
		query_give_int(&query, act->id);
	if (!act->drop)
		query_give_int(&query, act->now);
	code = query_run(&query, why);
	if (code == ERR_OK)
		*count += (size_t)sqlite3_changes64(store->db.handle);
	return code;
}

static bool is_known(struct store *store, const char *target)
{
	struct webhook_numbers numbers;

	return store_webhook_numbers(store, target, &numbers);
}

static int act_on_one(struct store *store, struct webhook_act *act, const char **subject_out,
		      struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_target, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, act->id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_NOT_FOUND, "there is no such dead letter");
	*subject_out = query_take_copy(&query, store->scratch);
	query_end(&query);
	if (!act->drop && !is_known(store, *subject_out))
		return err_set(why, ERR_CONFLICT, "there is no webhook %s any more", *subject_out);
	return change(store, act->drop ? sql_drop : sql_retry, act, NULL, &act->count, why);
}

static int act_on_target(struct store *store, struct webhook_act *act, const char *target,
			 struct err *why)
{
	if (act->target != NULL && !span_is(span_of(target), act->target))
		return ERR_OK;
	if (!act->drop && !is_known(store, target))
		return ERR_OK;
	return change(store, act->drop ? sql_drop_all : sql_retry_all, act, target, &act->count,
		      why);
}

static int act_on_all(struct store *store, struct webhook_act *act, struct err *why)
{
	const char *target;
	int code = calls_next_target(store, "", &target, why);

	while (code == ERR_OK && target != NULL) {
		code = act_on_target(store, act, target, why);
		if (code == ERR_OK)
			code = calls_next_target(store, target, &target, why);
	}
	return code;
}

static int run_act(struct store *store, struct store_job *job)
{
	struct webhook_act *act = (struct webhook_act *)job;
	struct audit_line line = {.at = act->now,
				  .actor = act->actor,
				  .action = act->drop ? "webhook.drop" : "webhook.retry",
				  .subject = act->target};
	int code;

	act->count = 0;
	code = act->id != 0 ? act_on_one(store, act, &line.subject, &job->why)
			    : act_on_all(store, act, &job->why);
	if (code != ERR_OK || act->count == 0)
		return code;
	*(act->drop ? &line.before : &line.after) =
		arena_printf(store->scratch, "{\"dead_letters\":%zu}", act->count);
	return audit_add(store, &line, &job->why);
}

static void finish(struct store *store, struct store_job *job)
{
	calls_count_again(store, job->code);
	if (job->code == ERR_OK && store->options.on_webhook != NULL)
		store->options.on_webhook(store->options.ctx);
}

static const struct store_verb verb_act = {.name = "webhook act", .run = run_act, .finish = finish};

void queue_webhook_act(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_act);
}

/* --- too old ------------------------------------------------------------------------------------
 */

static const char sql_prune[] = "DELETE FROM webhook_call INDEXED BY webhook_call_dead"
				" WHERE due_at IS NULL AND made_at < ?1";

static int run_prune(struct store *store, struct store_job *job)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_prune, &job->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, ((const struct webhook_prune *)job)->before);
	return query_run(&query, &job->why);
}

static const struct store_verb verb_prune = {
	.name = "webhook prune", .run = run_prune, .finish = finish, .may_be_undone = true};

void queue_webhook_prune(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_prune);
}
