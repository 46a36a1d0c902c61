/* queue/whitelist.c - the rows of the whitelist: one change is one revision, or nothing */
#include "queue/whitelist.h"

#include "queue/audit.h"
#include "queue/connection.h"
#include "queue/intake.h"
#include "queue/tell.h"
#include "queue/writer.h"

#define ENTRY_COLUMNS                                                                              \
	" id, pattern, kind, action, scope, note, owner, created_at, created_by, expires_at,"      \
	" expired_at, hits, last_hit_at, revision"

/* Strings point into the statement. */
static void take_entry(struct query *query, struct entry *entry)
{
	entry->id = query_take_int(query);
	entry->pattern = query_take_text(query);
	entry->kind = (enum entry_kind)query_take_int(query);
	entry->action = (enum entry_action)query_take_int(query);
	entry->scope = query_take_text(query);
	entry->note = query_take_text(query);
	entry->owner = query_take_text(query);
	entry->created_at = query_take_int(query);
	entry->created_by = query_take_text(query);
	entry->expires_at = query_take_int(query);
	entry->expired_at = query_take_int(query);
	entry->hits = query_take_int(query);
	entry->last_hit_at = query_take_int(query);
	entry->revision = query_take_int(query);
}

static void copy_strings(struct entry *entry, struct arena *arena)
{
	entry->pattern = arena_strdup(arena, entry->pattern);
	entry->scope = arena_strdup(arena, entry->scope);
	entry->note = arena_strdup(arena, entry->note);
	entry->owner = arena_strdup(arena, entry->owner);
	entry->created_by = arena_strdup(arena, entry->created_by);
}

/* --- the list as a whole ------------------------------------------------------------------ */

static const char sql_state[] = "SELECT value, (SELECT id FROM intake WHERE state = 2)"
				" FROM meta WHERE name = 'whitelist_revision'";

int list_state_read(struct db *db, struct list_state *state_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_state, why);

	if (code == ERR_OK)
		code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_FATAL, "the whitelist has no revision");
	state_out->revision = query_take_int(&query);
	state_out->moving = query_take_int(&query); /* NULL: 0 */
	query_end(&query);
	return ERR_OK;
}

static const char sql_set_revision[] =
	"UPDATE meta SET value = ?1 WHERE name = 'whitelist_revision'";

int list_revision_write(struct db *db, int64_t revision, struct err *why)
{
	struct query query;
	int code = query_begin(&query, db, sql_set_revision, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, revision);
	return query_run(&query, why);
}

/* --- one line of a change -------------------------------------------------------------- */

/* What every step of one job needs. */
struct applying {
	struct store *store;
	const struct whitelist_apply *apply;
	int64_t revision; /* the new one */
	int64_t moving;	  /* the intake that is on its way, 0: none */
	struct err *why;
};

static const char sql_get[] = "SELECT" ENTRY_COLUMNS " FROM whitelist WHERE id = ?1";

/* The row as it is, with strings that live as long as the batch. */
static int find_old(const struct applying *a, const struct whitelist_change *change,
		    struct entry *old_out)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &a->store->db, sql_get, a->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, change->entry.id);
	code = query_row(&query, &row, a->why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(a->why, ERR_NOT_FOUND, "there is no entry %lld",
			       (long long)change->entry.id);
	take_entry(&query, old_out);
	copy_strings(old_out, a->store->scratch);
	query_end(&query);
	if (change->expect_revision != 0 && change->expect_revision != old_out->revision)
		return err_set(a->why, ERR_STALE, "entry %lld was changed in the meantime",
			       (long long)change->entry.id);
	return ERR_OK;
}

static const char sql_same[] =
	"SELECT id FROM whitelist WHERE pattern = ?1 AND scope = ?2 AND action = ?3 AND id <> ?4";

static int check_unique(const struct applying *a, struct whitelist_change *change)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &a->store->db, sql_same, a->why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, change->entry.pattern);
	query_give_text(&query, change->entry.scope);
	query_give_int(&query, change->entry.action);
	query_give_int(&query, change->operation == ENTRY_ADD ? 0 : change->entry.id);
	code = query_row(&query, &row, a->why);
	if (code != ERR_OK || !row)
		return code;
	change->existing_id = query_take_int(&query);
	query_end(&query);
	return err_set(a->why, ERR_CONFLICT, "entry %lld is the same: %s",
		       (long long)change->existing_id, change->entry.pattern);
}

/* ?1 to ?10 of the statements that write a row. */
static void give_entry(struct query *query, const struct entry *entry)
{
	query_give_text(query, entry->pattern);
	query_give_int(query, entry->kind);
	query_give_int(query, entry->action);
	query_give_text(query, entry->scope);
	query_give_text(query, entry->note);
	query_give_text(query, entry->owner);
	query_give_int(query, entry->created_at);
	query_give_text(query, entry->created_by);
	query_give_int(query, entry->expires_at);
	query_give_int(query, entry->revision);
}

static const char sql_add[] =
	"INSERT INTO whitelist(pattern, kind, action, scope, note, owner, created_at, created_by,"
	" expires_at, revision) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

static int add(const struct applying *a, struct whitelist_change *change)
{
	struct entry *entry = &change->entry;
	struct query query;
	int code = check_unique(a, change);

	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, sql_add, a->why);
	if (code != ERR_OK)
		return code;
	entry->revision = a->revision;
	if (entry->created_at == 0)
		entry->created_at = a->apply->now;
	if (entry->created_by == NULL)
		entry->created_by = a->apply->actor;
	give_entry(&query, entry);
	code = query_run(&query, a->why);
	if (code == ERR_OK)
		entry->id = sqlite3_last_insert_rowid(a->store->db.handle);
	return code;
}

static const char sql_replace[] =
	"UPDATE whitelist SET pattern = ?1, kind = ?2, action = ?3, scope = ?4, note = ?5,"
	" owner = ?6, created_at = ?7, created_by = ?8,"
	" expired_at = CASE WHEN expires_at = ?9 THEN expired_at ELSE 0 END, expires_at = ?9,"
	" revision = ?10 WHERE id = ?11";

/* Who made it and when, and what it counted, stay with the entry. */
static int replace(const struct applying *a, struct whitelist_change *change,
		   const struct entry *old)
{
	struct entry *entry = &change->entry;
	struct query query;
	int code = check_unique(a, change);

	if (code == ERR_OK)
		code = query_begin(&query, &a->store->db, sql_replace, a->why);
	if (code != ERR_OK)
		return code;
	entry->created_at = old->created_at;
	entry->created_by = old->created_by;
	entry->expired_at = entry->expires_at == old->expires_at ? old->expired_at : 0;
	entry->hits = old->hits;
	entry->last_hit_at = old->last_hit_at;
	entry->revision = a->revision;
	give_entry(&query, entry);
	query_give_int(&query, entry->id);
	return query_run(&query, a->why);
}

static const char sql_remove[] = "DELETE FROM whitelist WHERE id = ?1";

static int remove_entry(const struct applying *a, struct whitelist_change *change,
			const struct entry *old)
{
	struct query query;
	int code = query_begin(&query, &a->store->db, sql_remove, a->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, old->id);
	code = query_run(&query, a->why);
	if (code == ERR_OK)
		change->entry = *old;
	return code;
}

static int change_row(const struct applying *a, struct whitelist_change *change,
		      const struct entry *old)
{
	switch (change->operation) {
	case ENTRY_ADD: return add(a, change);
	case ENTRY_REPLACE: return replace(a, change, old);
	case ENTRY_REMOVE: return remove_entry(a, change, old);
	}
	return err_set(a->why, ERR_UNSUPPORTED, "no such operation");
}

/* One statement a line: a long list is one transaction, and others wait for it. */
static const char sql_json[] = "SELECT " AUDIT_ENTRY_JSON " FROM whitelist WHERE id = ?1";
static const char sql_trail[] =
	"INSERT INTO audit(at, actor, action, subject, before, after, entry, revision)"
	" SELECT ?1, ?2, ?3, pattern, ?4, " AUDIT_ENTRY_JSON
	", id, ?5 FROM whitelist WHERE id = ?6";
static const char sql_trail_removed[] =
	"INSERT INTO audit(at, actor, action, subject, before, entry, revision)"
	" VALUES(?1, ?2, ?3, ?7, ?4, ?6, ?5)";

static int write_trail(const struct applying *a, const struct whitelist_change *change,
		       const char *before)
{
	bool is_gone = change->operation == ENTRY_REMOVE;
	struct query query;
	int code =
		query_begin(&query, &a->store->db, is_gone ? sql_trail_removed : sql_trail, a->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, a->apply->now);
	query_give_text(&query, a->apply->actor);
	query_give_text(&query, is_gone				 ? "whitelist.remove"
				: change->operation == ENTRY_ADD ? "whitelist.add"
								 : "whitelist.replace");
	query_give_text(&query, before);
	query_give_int(&query, a->revision);
	query_give_int(&query, change->entry.id);
	if (is_gone)
		query_give_text(&query, change->entry.pattern);
	return query_run(&query, a->why);
}

/* What is on its way and has to do with this line is there when the line is. */
static int settle(const struct applying *a, const struct whitelist_change *change)
{
	int code = ERR_OK;

	if (a->moving == 0)
		return ERR_OK;
	if (change->operation != ENTRY_ADD)
		code = intake_settle_entry(a->store, a->moving, change->entry.id, a->why);
	if (code == ERR_OK && change->operation != ENTRY_REMOVE)
		code = intake_settle_pattern(a->store, a->moving, change->entry.pattern, a->why);
	return code;
}

/* An entry that goes from one scope to another is news in both. */
static void tell_change(const struct applying *a, const struct whitelist_change *change,
			const struct entry *old)
{
	const struct whitelist_apply *apply = a->apply;

	if (apply->count > TELL_LINES_MAX)
		return;
	tell_line(a->store, apply, change, a->revision, change->entry.scope);
	if (old->scope != NULL && strcmp(change->entry.scope, old->scope) != 0)
		tell_line(a->store, apply, change, a->revision, old->scope);
}

static int change_one(const struct applying *a, struct whitelist_change *change)
{
	bool is_new = change->operation == ENTRY_ADD;
	const char *before = NULL;
	struct entry old = {0};
	int code = settle(a, change);

	change->existing_id = 0;
	if (code == ERR_OK && !is_new)
		code = find_old(a, change, &old);
	if (code == ERR_OK && !is_new)
		code = audit_read(a->store, sql_json, old.id, &before, a->why);
	if (code == ERR_OK)
		code = change_row(a, change, &old);
	if (code == ERR_OK)
		code = write_trail(a, change, before);
	if (code == ERR_OK)
		tell_change(a, change, &old);
	return code;
}

/* --- the change as a whole --------------------------------------------------------------- */

static int run_apply(struct store *store, struct store_job *job)
{
	struct whitelist_apply *apply = (struct whitelist_apply *)job;
	struct applying a = {.store = store, .apply = apply, .why = &job->why};
	struct list_state present = {0};
	int code = list_state_read(&store->db, &present, &job->why);

	if (code != ERR_OK)
		return code;
	apply->revision = present.revision;
	apply->failed_at = apply->count;
	if (apply->expect_list_revision >= 0 && apply->expect_list_revision != present.revision)
		return err_set(&job->why, ERR_STALE, "the list was changed in the meantime");
	a.revision = present.revision + 1;
	a.moving = present.moving;
	for (size_t i = 0; i < apply->count; i++) {
		code = change_one(&a, &apply->changes[i]);
		if (code != ERR_OK) {
			apply->failed_at = i;
			return code;
		}
	}
	if (apply->count == 0)
		return ERR_OK;
	code = list_revision_write(&store->db, a.revision, &job->why);
	if (code != ERR_OK)
		return code;
	apply->revision = a.revision;
	if (apply->count > TELL_LINES_MAX)
		tell_list(store, apply->now, apply->actor, apply->count, apply->revision);
	return ERR_OK;
}

/* Published before anybody hears that it was done. */
static void finish_apply(struct store *store, struct store_job *job)
{
	const struct whitelist_apply *apply = (const struct whitelist_apply *)job;

	if (job->code == ERR_OK && apply->count > 0 && store->options.on_whitelist != NULL)
		store->options.on_whitelist(store->options.ctx, apply->changes, apply->count,
					    apply->revision);
}

static const struct store_verb verb_apply = {
	.name = "whitelist", .run = run_apply, .finish = finish_apply};

void queue_whitelist_apply(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_apply);
}

/* --- reading -------------------------------------------------------------------------------- */

static int give_rows(struct query *query, bool (*row)(void *ctx, const struct entry *entry),
		     void *ctx, struct err *why)
{
	bool more;
	int code;

	while ((code = query_row(query, &more, why)) == ERR_OK && more) {
		struct entry entry;

		take_entry(query, &entry);
		if (!row(ctx, &entry)) {
			query_end(query);
			break;
		}
	}
	return code;
}

/* While lines move the list is what stays of its table and what comes to it (schema 0017). */
#define KEPT                                                                                       \
	" (SELECT * FROM whitelist WHERE NOT EXISTS (SELECT 1 FROM intake_line l WHERE l.intake =" \
	" (SELECT id FROM intake WHERE state = 2) AND l.entry = whitelist.id))"
#define COMING                                                                                     \
	" (SELECT l.entry AS id, l.pattern, l.kind, l.action, l.scope, l.note, l.owner,"           \
	" coalesce(w.created_at, i.at) AS created_at, CASE WHEN w.id IS NULL THEN i.actor ELSE"    \
	" w.created_by END AS created_by, l.expires_at, CASE WHEN w.expires_at = l.expires_at"     \
	" THEN w.expired_at ELSE 0 END AS expired_at, coalesce(w.hits, 0) AS hits,"                \
	" coalesce(w.last_hit_at, 0) AS last_hit_at, i.revision FROM intake i JOIN intake_line l"  \
	" ON l.intake = i.id LEFT JOIN whitelist w ON w.id = l.entry"                              \
	" WHERE i.state = 2 AND l.operation <> 3)"
#define FROM_BOTH(filter)                                                                          \
	" FROM" KEPT filter " UNION ALL SELECT" ENTRY_COLUMNS " FROM" COMING filter

/* One statement of either state of things. */
struct both {
	const char *usual;
	const char *moving;
};

/* Each reads in one version of the list. */
static int begin_reading(struct store_reader *reader, const struct both *sql, struct query *query,
			 int64_t *revision_out, struct err *why)
{
	struct list_state state;
	int code = reader_begin(reader, why);

	if (code == ERR_OK)
		code = list_state_read(reader_db(reader), &state, why);
	if (code == ERR_OK)
		code = query_begin(query, reader_db(reader),
				   state.moving != 0 ? sql->moving : sql->usual, why);
	if (code == ERR_OK)
		*revision_out = state.revision;
	return code;
}

static const char sql_all[] = "SELECT" ENTRY_COLUMNS " FROM whitelist ORDER BY id";
static const char sql_all_moving[] = "SELECT" ENTRY_COLUMNS FROM_BOTH("");

int queue_whitelist_snapshot(struct store_reader *reader, int64_t *revision_out,
			     bool (*row)(void *ctx, const struct entry *entry), void *ctx,
			     struct err *why)
{
	static const struct both sql = {sql_all, sql_all_moving};
	struct query query;
	int64_t revision = 0;
	int code = begin_reading(reader, &sql, &query, &revision, why);

	if (code == ERR_OK)
		code = give_rows(&query, row, ctx, why);
	reader_end(reader);
	if (code == ERR_OK)
		*revision_out = revision;
	return code;
}

#define CONTAINS(column) "instr(lower(coalesce(" column ", '')), lower(?3)) > 0"
#define PAGE                                                                                       \
	" WHERE id > ?1 AND (?3 IS NULL OR " CONTAINS("pattern") " OR " CONTAINS(                  \
		"note") " OR " CONTAINS("owner") ") AND (?4 IS NULL OR scope = ?4)"                \
						 " AND (?5 = 0 OR action = ?5) ORDER BY id LIMIT " \
						 "?2"

static const char sql_page[] = "SELECT" ENTRY_COLUMNS " FROM whitelist" PAGE;
static const char sql_page_moving[] = "SELECT * FROM (SELECT" ENTRY_COLUMNS " FROM" KEPT PAGE
				      ") UNION ALL SELECT * FROM (SELECT" ENTRY_COLUMNS
				      " FROM" COMING PAGE ") ORDER BY 1 LIMIT ?2";

int queue_whitelist_list(struct store_reader *reader, const struct whitelist_query *filter,
			 int64_t *revision_out, bool (*row)(void *ctx, const struct entry *entry),
			 void *ctx, struct err *why)
{
	static const struct both sql = {sql_page, sql_page_moving};
	const char *contains = filter->contains;
	struct query query;
	int64_t revision = 0;
	int code = begin_reading(reader, &sql, &query, &revision, why);

	if (code == ERR_OK) {
		query_give_int(&query, filter->after_id);
		query_give_int(&query, reader_limit(filter->limit));
		query_give_text(&query, contains != NULL && contains[0] != '\0' ? contains : NULL);
		query_give_text(&query, filter->scope);
		query_give_int(&query, filter->action);
		code = give_rows(&query, row, ctx, why);
	}
	reader_end(reader);
	if (code == ERR_OK)
		*revision_out = revision;
	return code;
}

#define ONE " WHERE id = ?1"

static const char sql_get_moving[] = "SELECT" ENTRY_COLUMNS FROM_BOTH(ONE);

int queue_whitelist_get(struct store_reader *reader, int64_t id,
			bool (*row)(void *ctx, const struct entry *entry), void *ctx,
			struct err *why)
{
	static const struct both sql = {sql_get, sql_get_moving};
	struct query query;
	struct entry entry;
	int64_t revision;
	bool found = false;
	int code = begin_reading(reader, &sql, &query, &revision, why);

	if (code == ERR_OK) {
		query_give_int(&query, id);
		code = query_row(&query, &found, why);
	}
	if (found) {
		take_entry(&query, &entry);
		row(ctx, &entry);
		query_end(&query);
	}
	reader_end(reader);
	if (code != ERR_OK || found)
		return code;
	return err_set(why, ERR_NOT_FOUND, "there is no entry %lld", (long long)id);
}

#define SAME " WHERE pattern = ?1 AND scope = ?2 AND action = ?3"

static const char sql_match[] = "SELECT" ENTRY_COLUMNS " FROM whitelist" SAME;
static const char sql_match_moving[] = "SELECT" ENTRY_COLUMNS FROM_BOTH(SAME);

static int match_one(struct db *db, const char *sql, const struct whitelist_match *match, size_t i,
		     struct err *why)
{
	const struct entry *wanted = match->wanted(match->ctx, i);
	struct entry present;
	struct query query;
	bool found = false;
	int code = query_begin(&query, db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, wanted->pattern);
	query_give_text(&query, wanted->scope);
	query_give_int(&query, wanted->action);
	code = query_row(&query, &found, why);
	if (code != ERR_OK)
		return code;
	if (found)
		take_entry(&query, &present);
	match->row(match->ctx, i, found ? &present : NULL);
	if (found)
		query_end(&query);
	return ERR_OK;
}

int queue_whitelist_match(struct store_reader *reader, const struct whitelist_match *match,
			  int64_t *revision_out, struct err *why)
{
	struct list_state state = {0};
	int code = reader_begin(reader, why);

	if (code == ERR_OK)
		code = list_state_read(reader_db(reader), &state, why);
	for (size_t i = 0; code == ERR_OK && i < match->count; i++)
		code = match_one(reader_db(reader),
				 state.moving != 0 ? sql_match_moving : sql_match, match, i, why);
	reader_end(reader);
	if (code == ERR_OK)
		*revision_out = state.revision;
	return code;
}
