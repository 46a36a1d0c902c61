/* queue/fault.c - failures on demand: one change is one revision, or nothing */
#include "queue/fault.h"

#include "queue/ordered.h"
#include "queue/writer.h"

#define FAULT_COLUMNS                                                                              \
	" id, name, enabled, action, stage, recipient, sender, user, scope, code, enhanced, "      \
	"reply,"                                                                                   \
	" delay_ms, attempts, skip, every, times, note, created_at, created_by, revision"

/* --- rows -------------------------------------------------------------------------------- */

static void take_fault(struct query *query, struct arena *arena, void *row)
{
	struct fault *fault = row;

	fault->id = query_take_int(query);
	fault->name = query_take_copy(query, arena);
	fault->enabled = query_take_bool(query);
	fault->action = (enum fault_action)query_take_int(query);
	fault->stage = (enum fault_stage)query_take_int(query);
	fault->recipient = query_take_copy(query, arena);
	fault->sender = query_take_copy(query, arena);
	fault->user = query_take_copy(query, arena);
	fault->scope = query_take_copy(query, arena);
	fault->code = (size_t)query_take_int(query);
	fault->enhanced = query_take_copy(query, arena);
	fault->reply = query_take_copy(query, arena);
	fault->delay_ms = query_take_int(query);
	fault->attempts = (size_t)query_take_int(query);
	fault->skip = (size_t)query_take_int(query);
	fault->every = (size_t)query_take_int(query);
	fault->times = (size_t)query_take_int(query);
	fault->note = query_take_copy(query, arena);
	fault->created_at = query_take_int(query);
	fault->created_by = query_take_copy(query, arena);
	fault->revision = query_take_int(query);
}

static const char sql_all[] = "SELECT" FAULT_COLUMNS " FROM fault ORDER BY position, id LIMIT ?1";

/* --- one change ---------------------------------------------------------------------------- */

static void give_fault(struct query *query, const void *row, struct arena *arena)
{
	const struct fault *fault = row;

	(void)arena;
	query_give_text(query, fault->name);
	query_give_int(query, fault->enabled);
	query_give_int(query, fault->action);
	query_give_int(query, fault->stage);
	query_give_text(query, fault->recipient);
	query_give_text(query, fault->sender);
	query_give_text(query, fault->user);
	query_give_text(query, fault->scope);
	query_give_int(query, (int64_t)fault->code);
	query_give_text(query, fault->enhanced);
	query_give_text(query, fault->reply);
	query_give_int(query, fault->delay_ms);
	query_give_int(query, (int64_t)fault->attempts);
	query_give_int(query, (int64_t)fault->skip);
	query_give_int(query, (int64_t)fault->every);
	query_give_int(query, (int64_t)fault->times);
	query_give_text(query, fault->note);
}

static const char sql_add[] =
	"INSERT INTO fault(name, enabled, action, stage, recipient, sender, user, scope, code,"
	" enhanced, reply, delay_ms, attempts, skip, every, times, note, revision, position,"
	" created_at, created_by) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	" ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";

static const char sql_replace[] =
	"UPDATE fault SET name = ?1, enabled = ?2, action = ?3, stage = ?4, recipient = ?5,"
	" sender = ?6, user = ?7, scope = ?8, code = ?9, enhanced = ?10, reply = ?11,"
	" delay_ms = ?12, attempts = ?13, skip = ?14, every = ?15, times = ?16, note = ?17,"
	" revision = ?18 WHERE id = ?19";

static const char sql_json[] =
	"SELECT json_object('id', id, 'name', name, 'enabled', enabled, 'action', CASE action"
	" WHEN 1 THEN 'reject' WHEN 2 THEN 'delay' WHEN 3 THEN 'disconnect' WHEN 4 THEN 'bounce'"
	" ELSE 'defer' END, 'stage', CASE stage WHEN 1 THEN 'mail' WHEN 2 THEN 'rcpt' WHEN 3 THEN"
	" 'data' ELSE 'end' END, 'recipient', recipient, 'sender', sender, 'user', user, 'scope',"
	" scope, 'code', code, 'enhanced', enhanced, 'text', reply, 'delay_ms', delay_ms,"
	" 'attempts', attempts, 'after', skip, 'every', every, 'times', times, 'note', note)"
	" FROM fault WHERE id = ?1";

static const struct ordered_kind faults = {.noun = "fault rule",
					   .audit = "fault",
					   .rows_max = FAULT_ROWS_MAX,
					   .sql_add = sql_add,
					   .sql_replace = sql_replace,
					   .sql_json = sql_json,
					   .give = give_fault,
					   .sql_all = sql_all,
					   .row_size = sizeof(struct fault),
					   .take = take_fault,
					   ORDERED_SQL("fault", "fault_revision")};

static int run_apply(struct store *store, struct store_job *job)
{
	struct fault_apply *apply = (struct fault_apply *)job;
	struct ordered_change *change = &apply->change;
	struct fault *fault = &apply->fault;
	const void *rows = NULL;
	int code;

	change->row = fault;
	change->id = fault->id;
	change->name = fault->name;
	code = ordered_apply(store, &faults, change, &job->why);
	if (code == ERR_OK && change->operation == ORDERED_ADD) {
		fault->id = change->id;
		fault->created_at = change->now;
		fault->created_by = change->actor;
	}
	if (code == ERR_OK)
		fault->revision = change->revision;
	if (code == ERR_OK)
		code = ordered_read(&store->db, &faults, store->scratch, &rows, &apply->count,
				    &job->why);
	apply->rows = rows;
	return code;
}

/* In force before anybody hears that it was done. */
static void finish_apply(struct store *store, struct store_job *job)
{
	const struct fault_apply *apply = (const struct fault_apply *)job;

	if (job->code == ERR_OK && store->options.on_faults != NULL)
		store->options.on_faults(store->options.ctx, apply->rows, apply->count);
}

static const struct store_verb verb_apply = {
	.name = "fault", .run = run_apply, .finish = finish_apply};

void queue_fault_apply(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_apply);
}

int queue_fault_list(struct store_reader *reader, struct arena *arena,
		     const struct fault **rows_out, size_t *count_out, struct err *why)
{
	const void *rows;
	int code = ordered_list(reader, &faults, arena, &rows, count_out, why);

	if (code == ERR_OK)
		*rows_out = rows;
	return code;
}
