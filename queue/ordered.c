/* queue/ordered.c - rows that people keep in an order of their own: one change is one revision */
#include "queue/ordered.h"

#include <assert.h>

#include "queue/audit.h"
#include "queue/connection.h"
#include "queue/tell.h"
#include "queue/writer.h"

/* What every step of one change needs. */
struct applying {
	struct store *store;
	const struct ordered_kind *kind;
	struct ordered_change *change;
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

static int run(const struct applying *a, const char *sql, int64_t value)
{
	struct query query;
	int code = query_begin(&query, &a->store->db, sql, a->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, value);
	return query_run(&query, a->why);
}

static int find_old(const struct applying *a, const char **name_out)
{
	struct ordered_change *change = a->change;
	struct query query;
	int64_t revision;
	bool row;
	int code = query_begin(&query, &a->store->db, a->kind->sql_find, a->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, change->id);
	code = query_row(&query, &row, a->why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(a->why, ERR_NOT_FOUND, "there is no %s %lld", a->kind->noun,
			       (long long)change->id);
	*name_out = query_take_copy(&query, a->store->scratch);
	revision = query_take_int(&query);
	query_end(&query);
	if (change->expect_revision != 0 && change->expect_revision != revision)
		return err_set(a->why, ERR_STALE, "%s %lld was changed in the meantime",
			       a->kind->noun, (long long)change->id);
	return ERR_OK;
}

static int check_name(const struct applying *a)
{
	struct ordered_change *change = a->change;
	struct query query;
	bool row;
	int code = query_begin(&query, &a->store->db, a->kind->sql_same, a->why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, change->name);
	query_give_int(&query, change->id);
	code = query_row(&query, &row, a->why);
	if (code != ERR_OK || !row)
		return code;
	change->existing_id = query_take_int(&query);
	query_end(&query);
	return err_set(a->why, ERR_CONFLICT, "%s %lld has this name already", a->kind->noun,
		       (long long)change->existing_id);
}

static int check_room(const struct applying *a)
{
	int64_t count;
	bool found;
	int code = ask(a, a->kind->sql_count, 0, &count, &found);

	if (code == ERR_OK && (size_t)count >= a->kind->rows_max)
		return err_set(a->why, ERR_LIMIT, "there are %zu %ss already", a->kind->rows_max,
			       a->kind->noun);
	return code;
}

/* Nothing is changed before it is known that there is such a place. */
static int find_place(const struct applying *a, int64_t *position_out)
{
	int64_t before = a->change->before_id;
	bool found;
	int code;

	if (before == 0)
		return ask(a, a->kind->sql_last, 1, position_out, &found);
	code = ask(a, a->kind->sql_position, before, position_out, &found);
	if (code == ERR_OK && !found)
		return err_set(a->why, ERR_NOT_FOUND, "there is no %s %lld to stand before",
			       a->kind->noun, (long long)before);
	return code;
}

static int make_place(const struct applying *a, int64_t *position_out)
{
	int code = find_place(a, position_out);

	return code == ERR_OK ? run(a, a->kind->sql_shift, *position_out) : code;
}

static int add(const struct applying *a)
{
	struct ordered_change *change = a->change;
	struct query query;
	int64_t position = 0;
	int code;

	change->id = 0;
	code = check_name(a);
	if (code == ERR_OK)
		code = check_room(a);
	if (code == ERR_OK)
		code = make_place(a, &position);
	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, a->kind->sql_add, a->why);
	if (code != ERR_OK)
		return code;
	a->kind->give(&query, change->row, a->store->scratch);
	query_give_int(&query, change->revision);
	query_give_int(&query, position);
	query_give_int(&query, change->now);
	query_give_text(&query, change->actor);
	code = query_run(&query, a->why);
	if (code == ERR_OK)
		change->id = sqlite3_last_insert_rowid(a->store->db.handle);
	return code;
}

static int move(const struct applying *a)
{
	int64_t id = a->change->id;
	struct query query;
	int64_t position;
	int code;

	if (!a->change->moves || a->change->before_id == id)
		return ERR_OK;
	code = make_place(a, &position);
	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, a->kind->sql_put, a->why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	query_give_int(&query, position);
	return query_run(&query, a->why);
}

/* Who made it and when stays with the row. */
static int replace(const struct applying *a)
{
	struct query query;
	int code = check_name(a);

	if (code == ERR_OK)
		code = move(a);
	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, a->kind->sql_replace, a->why);
	if (code != ERR_OK)
		return code;
	a->kind->give(&query, a->change->row, a->store->scratch);
	query_give_int(&query, a->change->revision);
	query_give_int(&query, a->change->id);
	return query_run(&query, a->why);
}

static int change_row(const struct applying *a)
{
	switch (a->change->operation) {
	case ORDERED_ADD: return add(a);
	case ORDERED_REPLACE: return replace(a);
	case ORDERED_REMOVE: return run(a, a->kind->sql_remove, a->change->id);
	}
	return err_set(a->why, ERR_UNSUPPORTED, "no such operation");
}

static const char *operation_name(enum ordered_operation operation)
{
	switch (operation) {
	case ORDERED_ADD: return "add";
	case ORDERED_REPLACE: return "replace";
	case ORDERED_REMOVE: break;
	}
	return "remove";
}

/* For the trail, and for who looks on. */
static int write_down(const struct applying *a, struct audit_line *line)
{
	struct news news = {.at = line->at,
			    .action = operation_name(a->change->operation),
			    .name = line->subject,
			    .actor = line->actor};
	int named = news_kind_parse(span_of(a->kind->audit), &news.kind);

	assert(named == ERR_OK);
	tell(a->store, &news);
	line->action = arena_printf(a->store->scratch, "%s.%s", a->kind->audit, news.action);
	return audit_add(a->store, line, a->why);
}

static int change_one(const struct applying *a)
{
	const struct ordered_change *change = a->change;
	struct audit_line line = {.at = change->now, .actor = change->actor};
	bool is_new = change->operation == ORDERED_ADD;
	bool is_gone = change->operation == ORDERED_REMOVE;
	const char *name = change->name;
	int code = is_new ? ERR_OK : find_old(a, &name);

	if (code == ERR_OK && !is_new)
		code = audit_read(a->store, a->kind->sql_json, change->id, &line.before, a->why);
	if (code == ERR_OK)
		code = change_row(a);
	if (code == ERR_OK && !is_gone)
		code = audit_read(a->store, a->kind->sql_json, change->id, &line.after, a->why);
	if (code != ERR_OK)
		return code;
	line.subject = is_gone ? name : change->name;
	return write_down(a, &line);
}

int ordered_apply(struct store *store, const struct ordered_kind *kind,
		  struct ordered_change *change, struct err *why)
{
	struct applying a = {.store = store, .kind = kind, .change = change, .why = why};
	bool found = false;
	int code;

	change->existing_id = 0;
	code = ask(&a, kind->sql_revision, 1, &change->revision, &found);
	if (code == ERR_OK && !found)
		code = err_set(why, ERR_FATAL, "the %ss have no revision", kind->noun);
	if (code == ERR_OK)
		code = change_one(&a);
	return code == ERR_OK ? run(&a, kind->sql_set_revision, change->revision) : code;
}

/* --- reading -----------------------------------------------------------------------------------
 */

int ordered_read(struct db *db, const struct ordered_kind *kind, struct arena *arena,
		 const void **rows_out, size_t *count_out, struct err *why)
{
	char *rows = arena_array(arena, kind->rows_max, kind->row_size);
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, db, kind->sql_all, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, (int64_t)kind->rows_max);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row)
		kind->take(&query, arena, rows + count++ * kind->row_size);
	if (code != ERR_OK)
		return code;
	*rows_out = rows;
	*count_out = count;
	return ERR_OK;
}

int ordered_list(struct store_reader *reader, const struct ordered_kind *kind, struct arena *arena,
		 const void **rows_out, size_t *count_out, struct err *why)
{
	int code = reader_begin(reader, why);

	if (code == ERR_OK)
		code = ordered_read(reader_db(reader), kind, arena, rows_out, count_out, why);
	reader_end(reader);
	return code;
}
