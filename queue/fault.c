/* queue/fault.c - failures on demand: one change is one revision, or nothing */
#include "queue/fault.h"

#include "queue/audit.h"
#include "queue/connection.h"
#include "queue/writer.h"

#define FAULT_COLUMNS                                                                              \
	" id, name, enabled, action, stage, recipient, sender, user, scope, code, enhanced, "      \
	"reply,"                                                                                   \
	" delay_ms, attempts, skip, every, times, note, created_at, created_by, revision"

/* --- rows -------------------------------------------------------------------------------- */

static void take_fault(struct query *query, struct arena *arena, struct fault *fault)
{
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

static int read_all(struct db *db, struct arena *arena, const struct fault **rows_out,
		    size_t *count_out, struct err *why)
{
	struct fault *rows = arena_array(arena, FAULT_ROWS_MAX, sizeof(*rows));
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, db, sql_all, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, FAULT_ROWS_MAX);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row)
		take_fault(&query, arena, &rows[count++]);
	if (code != ERR_OK)
		return code;
	*rows_out = rows;
	*count_out = count;
	return ERR_OK;
}

int queue_fault_list(struct store_reader *reader, struct arena *arena,
		     const struct fault **rows_out, size_t *count_out, struct err *why)
{
	int code = reader_begin(reader, why);

	if (code == ERR_OK)
		code = read_all(reader_db(reader), arena, rows_out, count_out, why);
	reader_end(reader);
	return code;
}

/* --- one change ---------------------------------------------------------------------------- */

/* What every step of one job needs. */
struct applying {
	struct store *store;
	struct fault_apply *apply;
	int64_t revision; /* the new one */
	struct err *why;
};

/* The one number that a statement with one value answers; 0 and false: no row. */
static int ask(const struct applying *a, const char *sql, int64_t value, int64_t *number_out,
	       bool *found_out)
{
	struct query query;
	int code = query_begin(&query, &a->store->db, sql, a->why);

	*number_out = 0;
	if (code != ERR_OK)
		return code;
	query_give_int(&query, value);
	code = query_row(&query, found_out, a->why);
	if (code != ERR_OK || !*found_out)
		return code;
	*number_out = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static int change(const struct applying *a, const char *sql, int64_t value)
{
	struct query query;
	int code = query_begin(&query, &a->store->db, sql, a->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, value);
	return query_run(&query, a->why);
}

static const char sql_get[] = "SELECT" FAULT_COLUMNS " FROM fault WHERE id = ?1";

static int find_old(const struct applying *a, struct fault *old_out)
{
	const struct fault_apply *apply = a->apply;
	struct query query;
	bool row;
	int code = query_begin(&query, &a->store->db, sql_get, a->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, apply->fault.id);
	code = query_row(&query, &row, a->why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(a->why, ERR_NOT_FOUND, "there is no fault rule %lld",
			       (long long)apply->fault.id);
	take_fault(&query, a->store->scratch, old_out);
	query_end(&query);
	if (apply->expect_revision != 0 && apply->expect_revision != old_out->revision)
		return err_set(a->why, ERR_STALE, "fault rule %lld was changed in the meantime",
			       (long long)apply->fault.id);
	return ERR_OK;
}

static const char sql_same[] = "SELECT id FROM fault WHERE name = ?1 AND id <> ?2";

static int check_name(const struct applying *a)
{
	struct fault_apply *apply = a->apply;
	struct query query;
	bool row;
	int code = query_begin(&query, &a->store->db, sql_same, a->why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, apply->fault.name);
	query_give_int(&query, apply->fault.id);
	code = query_row(&query, &row, a->why);
	if (code != ERR_OK || !row)
		return code;
	apply->existing_id = query_take_int(&query);
	query_end(&query);
	return err_set(a->why, ERR_CONFLICT, "fault rule %lld has this name already",
		       (long long)apply->existing_id);
}

static const char sql_count[] = "SELECT count(*) FROM fault WHERE id > ?1";

static int check_room(const struct applying *a)
{
	int64_t count;
	bool found;
	int code = ask(a, sql_count, 0, &count, &found);

	if (code == ERR_OK && count >= FAULT_ROWS_MAX)
		return err_set(a->why, ERR_LIMIT, "there are %d fault rules already",
			       FAULT_ROWS_MAX);
	return code;
}

static const char sql_position[] = "SELECT position FROM fault WHERE id = ?1";
static const char sql_last[] = "SELECT coalesce(max(position), 0) + ?1 FROM fault";
static const char sql_shift[] = "UPDATE fault SET position = position + 1 WHERE position >= ?1";

/* Nothing is changed before it is known that there is such a place. */
static int find_place(const struct applying *a, int64_t *position_out)
{
	int64_t before = a->apply->before_id;
	bool found;
	int code;

	if (before == 0)
		return ask(a, sql_last, 1, position_out, &found);
	code = ask(a, sql_position, before, position_out, &found);
	if (code == ERR_OK && !found)
		return err_set(a->why, ERR_NOT_FOUND, "there is no fault rule %lld to stand before",
			       (long long)before);
	return code;
}

/* ?1 to ?19 of the statements that write a row. */
static void give_fault(struct query *query, const struct fault *fault)
{
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
	query_give_int(query, fault->revision);
}

static const char sql_add[] =
	"INSERT INTO fault(name, enabled, action, stage, recipient, sender, user, scope, code,"
	" enhanced, reply, delay_ms, attempts, skip, every, times, note, revision, position,"
	" created_at, created_by) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	" ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";

static int add(const struct applying *a)
{
	struct fault *fault = &a->apply->fault;
	struct query query;
	int64_t position = 0;
	int code;

	fault->id = 0;
	code = check_name(a);
	if (code == ERR_OK)
		code = check_room(a);
	if (code == ERR_OK)
		code = find_place(a, &position);
	if (code == ERR_OK)
		code = change(a, sql_shift, position);
	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, sql_add, a->why);
	if (code != ERR_OK)
		return code;
	fault->revision = a->revision;
	fault->created_at = a->apply->now;
	fault->created_by = a->apply->actor;
	give_fault(&query, fault);
	query_give_int(&query, position);
	query_give_int(&query, fault->created_at);
	query_give_text(&query, fault->created_by);
	code = query_run(&query, a->why);
	if (code == ERR_OK)
		fault->id = sqlite3_last_insert_rowid(a->store->db.handle);
	return code;
}

static const char sql_put[] = "UPDATE fault SET position = ?2 WHERE id = ?1";

static int move(const struct applying *a)
{
	int64_t id = a->apply->fault.id;
	struct query query;
	int64_t position;
	int code;

	if (!a->apply->moves || a->apply->before_id == id)
		return ERR_OK;
	code = find_place(a, &position);
	if (code == ERR_OK)
		code = change(a, sql_shift, position);
	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, sql_put, a->why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	query_give_int(&query, position);
	return query_run(&query, a->why);
}

static const char sql_replace[] =
	"UPDATE fault SET name = ?1, enabled = ?2, action = ?3, stage = ?4, recipient = ?5,"
	" sender = ?6, user = ?7, scope = ?8, code = ?9, enhanced = ?10, reply = ?11,"
	" delay_ms = ?12, attempts = ?13, skip = ?14, every = ?15, times = ?16, note = ?17,"
	" revision = ?18 WHERE id = ?19";

/* Who made it and when stays with the rule. */
static int replace(const struct applying *a, const struct fault *old)
{
	struct fault *fault = &a->apply->fault;
	struct query query;
	int code = check_name(a);

	if (code == ERR_OK)
		code = move(a);
	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, sql_replace, a->why);
	if (code != ERR_OK)
		return code;
	fault->created_at = old->created_at;
	fault->created_by = old->created_by;
	fault->revision = a->revision;
	give_fault(&query, fault);
	query_give_int(&query, fault->id);
	return query_run(&query, a->why);
}

static const char sql_remove[] = "DELETE FROM fault WHERE id = ?1";

static int change_row(const struct applying *a, const struct fault *old)
{
	switch (a->apply->operation) {
	case FAULT_ADD: return add(a);
	case FAULT_REPLACE: return replace(a, old);
	case FAULT_REMOVE: return change(a, sql_remove, old->id);
	}
	return err_set(a->why, ERR_UNSUPPORTED, "no such operation");
}

/* --- the trail ------------------------------------------------------------------------------ */

static const char sql_json[] =
	"SELECT json_object('id', id, 'name', name, 'enabled', enabled, 'action', CASE action"
	" WHEN 1 THEN 'reject' WHEN 2 THEN 'delay' WHEN 3 THEN 'disconnect' WHEN 4 THEN 'bounce'"
	" ELSE 'defer' END, 'stage', CASE stage WHEN 1 THEN 'mail' WHEN 2 THEN 'rcpt' WHEN 3 THEN"
	" 'data' ELSE 'end' END, 'recipient', recipient, 'sender', sender, 'user', user, 'scope',"
	" scope, 'code', code, 'enhanced', enhanced, 'text', reply, 'delay_ms', delay_ms,"
	" 'attempts', attempts, 'after', skip, 'every', every, 'times', times, 'note', note)"
	" FROM fault WHERE id = ?1";

static int change_one(const struct applying *a)
{
	const struct fault_apply *apply = a->apply;
	struct audit_line line = {.at = apply->now, .actor = apply->actor};
	bool is_new = apply->operation == FAULT_ADD;
	bool is_gone = apply->operation == FAULT_REMOVE;
	struct fault old = {0};
	int code = is_new ? ERR_OK : find_old(a, &old);

	if (code == ERR_OK && !is_new)
		code = audit_read(a->store, sql_json, old.id, &line.before, a->why);
	if (code == ERR_OK)
		code = change_row(a, &old);
	if (code == ERR_OK && !is_gone)
		code = audit_read(a->store, sql_json, apply->fault.id, &line.after, a->why);
	if (code != ERR_OK)
		return code;
	line.action = is_new ? "fault.add" : is_gone ? "fault.remove" : "fault.replace";
	line.subject = is_gone ? old.name : apply->fault.name;
	return audit_add(a->store, &line, a->why);
}

/* --- the verb ------------------------------------------------------------------------------- */

static const char sql_revision[] = "SELECT value + ?1 FROM meta WHERE name = 'fault_revision'";
static const char sql_set_revision[] = "UPDATE meta SET value = ?1 WHERE name = 'fault_revision'";

static int run_apply(struct store *store, struct store_job *job)
{
	struct fault_apply *apply = (struct fault_apply *)job;
	struct applying a = {.store = store, .apply = apply, .why = &job->why};
	bool found = false;
	int code = ask(&a, sql_revision, 1, &a.revision, &found);

	apply->existing_id = 0;
	if (code == ERR_OK && !found)
		code = err_set(&job->why, ERR_FATAL, "the fault rules have no revision");
	if (code == ERR_OK)
		code = change_one(&a);
	if (code == ERR_OK)
		code = change(&a, sql_set_revision, a.revision);
	if (code == ERR_OK)
		code = read_all(&store->db, store->scratch, &apply->rows, &apply->count, &job->why);
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
