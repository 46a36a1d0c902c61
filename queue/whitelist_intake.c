/* queue/whitelist_intake.c - a change of very many lines: written, put in force, moved to its place
 */
#include "queue/audit.h"
#include "queue/intake.h"
#include "queue/tell.h"

#define WRITE_LINES 500	 /* a step: some milliseconds, and mail waits no longer than that */
#define MOVE_LINES  250	 /* the same; each is written in three tables */
#define SWEEP_LINES 1000 /* the same; they only go */
#define LOOK_BACK   2000 /* lines of the trail that are compared with those of a commit */

enum intake_state { INTAKE_WRITTEN = 1, INTAKE_IN_FORCE = 2, INTAKE_GIVEN_UP = 3 };

static int run_range(struct store *store, const char *sql, const int64_t numbers[3],
		     struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	for (int i = 0; i < 3; i++)
		query_give_int(&query, numbers[i]);
	return query_run(&query, why);
}

static int ask(struct store *store, const char *sql, int64_t number, int64_t *answer_out,
	       struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	return query_only_int(&query, 0, answer_out, why);
}

/* --- moving: lines of `intake` from entry ?2 to entry ?3 ---------------------------------------
 */

#define RANGE "intake = ?1 AND entry BETWEEN ?2 AND ?3"
#define LINE_JSON                                                                                  \
	"json_object('id', l.entry, 'pattern', l.pattern, 'action', CASE l.action WHEN 2 THEN"     \
	" 'deny' ELSE 'allow' END, 'scope', l.scope, 'note', l.note, 'owner', l.owner,"            \
	" 'expires_at', l.expires_at)"

static const char sql_trail[] =
	"INSERT INTO audit(id, at, actor, action, subject, before, after, entry, revision)"
	" SELECT i.trail + row_number() OVER (ORDER BY l.entry) - 1, i.at, i.actor,"
	" CASE l.operation WHEN 1 THEN 'whitelist.add' WHEN 2 THEN 'whitelist.replace' ELSE"
	" 'whitelist.remove' END, l.pattern,"
	" CASE WHEN l.operation <> 1 THEN (SELECT " AUDIT_ENTRY_JSON
	" FROM whitelist WHERE id = l.entry) END,"
	" CASE WHEN l.operation <> 3 THEN " LINE_JSON " END, l.entry, i.revision"
	" FROM intake i JOIN intake_line l ON l.intake = i.id WHERE l." RANGE;
static const char sql_trail_goes_on[] =
	"UPDATE intake SET trail = trail + (SELECT count(*) FROM intake_line WHERE " RANGE
	") WHERE id = ?1";
static const char sql_move_removals[] =
	"DELETE FROM whitelist WHERE id IN (SELECT entry FROM intake_line WHERE " RANGE
	" AND operation = 3)";
static const char sql_move_replacements[] =
	"UPDATE whitelist SET note = l.note, owner = l.owner, expired_at = CASE WHEN"
	" whitelist.expires_at = l.expires_at THEN whitelist.expired_at ELSE 0 END,"
	" expires_at = l.expires_at, revision = (SELECT revision FROM intake WHERE id = ?1)"
	" FROM intake_line l WHERE l." RANGE " AND l.operation = 2 AND whitelist.id = l.entry";
static const char sql_move_additions[] =
	"INSERT INTO whitelist(id, pattern, kind, action, scope, note, owner, created_at,"
	" created_by, expires_at, revision) SELECT l.entry, l.pattern, l.kind, l.action, l.scope,"
	" l.note, l.owner, i.at, i.actor, l.expires_at, i.revision FROM intake i JOIN intake_line l"
	" ON l.intake = i.id WHERE l." RANGE " AND l.operation = 1 ORDER BY l.entry";
static const char sql_arrived[] = "DELETE FROM intake_line WHERE " RANGE;

static int move(struct store *store, int64_t intake, int64_t first, int64_t last, struct err *why)
{
	static const char *const steps[] = {sql_trail,		sql_trail_goes_on,
					    sql_move_removals,	sql_move_replacements,
					    sql_move_additions, sql_arrived};
	const int64_t numbers[] = {intake, first, last};
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < sizeof(steps) / sizeof(steps[0]); i++)
		code = run_range(store, steps[i], numbers, why);
	return code;
}

int intake_settle_entry(struct store *store, int64_t moving, int64_t entry, struct err *why)
{
	return move(store, moving, entry, entry, why);
}

static const char sql_of_pattern[] =
	"SELECT entry FROM intake_line WHERE intake = ?1 AND pattern = ?2 LIMIT 1";

/* Allowed and denied, in several scopes: each is a line of its own. */
int intake_settle_pattern(struct store *store, int64_t moving, const char *pattern, struct err *why)
{
	for (;;) {
		struct query query;
		int64_t entry = 0;
		int code = query_begin(&query, &store->db, sql_of_pattern, why);

		if (code != ERR_OK)
			return code;
		query_give_int(&query, moving);
		query_give_text(&query, pattern);
		code = query_only_int(&query, 0, &entry, why);
		if (code != ERR_OK || entry == 0)
			return code;
		code = move(store, moving, entry, entry, why);
		if (code != ERR_OK)
			return code;
	}
}

/* --- in the store's own time -------------------------------------------------------------------
 */

static const char sql_next[] = "SELECT id FROM intake WHERE state >= ?1 ORDER BY state LIMIT 1";
static const char sql_state_of[] = "SELECT state FROM intake WHERE id = ?1";
/* The last of the next lines: its entry, by which a range is named. */
static const char sql_last_of[] = "SELECT max(entry) FROM (SELECT entry FROM intake_line WHERE"
				  " intake = ?1 ORDER BY entry LIMIT ?2)";
static const char sql_forget[] = "DELETE FROM intake WHERE id = ?1";

static int last_of(struct store *store, int64_t intake, int64_t lines, int64_t *entry_out,
		   struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_last_of, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, intake);
	query_give_int(&query, lines);
	return query_only_int(&query, 0, entry_out, why);
}

/* Some lines of `intake` go their way; it goes with the last of them. */
static int step(struct store *store, int64_t intake, struct err *why)
{
	int64_t state = 0;
	int64_t last = 0;
	int64_t ignored;
	int code = ask(store, sql_state_of, intake, &state, why);

	if (code == ERR_OK)
		code = last_of(store, intake, state == INTAKE_IN_FORCE ? MOVE_LINES : SWEEP_LINES,
			       &last, why);
	if (code != ERR_OK)
		return code;
	if (last == 0)
		return ask(store, sql_forget, intake, &ignored, why);
	return state == INTAKE_IN_FORCE
		       ? move(store, intake, 1, last, why)
		       : run_range(store, sql_arrived, (const int64_t[]){intake, 1, last}, why);
}

static int run_step(struct store *store, struct err *why)
{
	int64_t intake = 0;
	int code = ask(store, sql_next, INTAKE_IN_FORCE, &intake, why);

	if (code == ERR_OK && intake != 0)
		return step(store, intake, why);
	if (code == ERR_OK)
		store->has_intake = false;
	return code;
}

/* What fails (a full disk, somebody holds the lock) is tried again after the next batch. */
bool intake_step(struct store *store)
{
	struct err why;
	int code = writer_transaction(store, run_step, &why);

	if (code == ERR_FATAL)
		writer_fail(store, &why);
	return code == ERR_OK;
}

static const char sql_give_up_all[] = "UPDATE intake SET state = 3 WHERE state = ?1";

int intake_restore(struct store *store, struct err *why)
{
	int64_t ignored;
	int64_t left = 0;
	int code = ask(store, sql_give_up_all, INTAKE_WRITTEN, &ignored, why);

	if (code == ERR_OK)
		code = ask(store, sql_next, INTAKE_IN_FORCE, &left, why);
	store->has_intake = left != 0;
	return code;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static const char sql_begin[] = "INSERT INTO intake(at, actor, state) VALUES(?1, ?2, 1)";
/* Numbers in front of those that the tables give next: as AUTOINCREMENT counts. */
static const char sql_counts[] = "INSERT INTO sqlite_sequence(name, seq) SELECT column1, 0"
				 " FROM (VALUES('whitelist'), ('audit'))"
				 " WHERE column1 NOT IN (SELECT name FROM sqlite_sequence)"
				 " AND ?1 = 0";
static const char sql_last_entry[] =
	"SELECT max(seq, coalesce((SELECT max(id) FROM whitelist), ?1))"
	" FROM sqlite_sequence WHERE name = 'whitelist'";
static const char sql_last_trail[] = "SELECT max(seq, coalesce((SELECT max(id) FROM audit), ?1))"
				     " FROM sqlite_sequence WHERE name = 'audit'";
static const char sql_reserve_entries[] =
	"UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'whitelist'";
static const char sql_reserve_trail[] = "UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'audit'";

static int reserve(struct store *store, const char *sql_last, const char *sql_reserve,
		   int64_t count, int64_t *first_out, struct err *why)
{
	int64_t ignored;
	int64_t last = 0;
	int code = ask(store, sql_counts, 0, &ignored, why);

	if (code == ERR_OK)
		code = ask(store, sql_last, 0, &last, why);
	*first_out = last + 1;
	return code == ERR_OK ? ask(store, sql_reserve, last + count, &ignored, why) : code;
}

static int insert_intake(struct store *store, struct whitelist_intake *intake, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_begin, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, intake->now);
	query_give_text(&query, intake->actor);
	return query_run(&query, why);
}

/* Lines are compared with the table: those of an earlier intake arrive there first. */
static int begin(struct store *store, struct whitelist_intake *intake, struct err *why)
{
	struct list_state present;
	int code = list_state_read(&store->db, &present, why);

	if (code == ERR_OK && present.moving != 0) {
		intake->again = true;
		return step(store, present.moving, why);
	}
	if (code == ERR_OK)
		code = insert_intake(store, intake, why);
	if (code != ERR_OK)
		return code;
	intake->begun = sqlite3_last_insert_rowid(store->db.handle);
	return reserve(store, sql_last_entry, sql_reserve_entries, (int64_t)intake->count,
		       &intake->next_id, why);
}

static const char sql_write[] =
	"INSERT INTO intake_line(intake, entry, operation, pattern, kind, action, scope, note,"
	" owner, expires_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
static const char sql_write_removal[] =
	"INSERT INTO intake_line(intake, entry, operation, pattern, kind, action, scope,"
	" expires_at) SELECT ?1, id, 3, pattern, kind, action, scope, 0 FROM whitelist WHERE id ="
	" ?2";
static const char sql_is_taken[] =
	"SELECT id FROM whitelist WHERE pattern = ?1 AND scope = ?2 AND action = ?3";
static const char sql_old_end[] = "SELECT expires_at, expired_at FROM whitelist WHERE id = ?1";

static int who_has(struct store *store, const struct entry *entry, int64_t *id_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_is_taken, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, entry->pattern);
	query_give_text(&query, entry->scope);
	query_give_int(&query, entry->action);
	return query_only_int(&query, 0, id_out, why);
}

/* What was over stays so (queue_whitelist_expire) unless it is given another end. */
static int keep_end(struct store *store, struct entry *entry, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_old_end, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, entry->id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	entry->expired_at = query_take_int(&query) == entry->expires_at ? query_take_int(&query)
									: 0;
	query_end(&query);
	return ERR_OK;
}

static int write_entry(struct store *store, int64_t intake, const struct whitelist_change *change,
		       struct err *why)
{
	const struct entry *entry = &change->entry;
	struct query query;
	int code = query_begin(&query, &store->db, sql_write, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, intake);
	query_give_int(&query, entry->id);
	query_give_int(&query, change->operation);
	query_give_text(&query, entry->pattern);
	query_give_int(&query, entry->kind);
	query_give_int(&query, entry->action);
	query_give_text(&query, entry->scope);
	query_give_text(&query, entry->note);
	query_give_text(&query, entry->owner);
	query_give_int(&query, entry->expires_at);
	return query_run(&query, why);
}

static int stale(struct err *why)
{
	return err_set(why, ERR_STALE, "the list was changed in the meantime");
}

static int write_removal(struct store *store, int64_t intake, int64_t entry, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_write_removal, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, intake);
	query_give_int(&query, entry);
	code = query_run(&query, why);
	if (code == ERR_OK && sqlite3_changes64(store->db.handle) != 1)
		return stale(why);
	return code;
}

static int write_line(struct store *store, struct whitelist_intake *intake, size_t i,
		      struct err *why)
{
	struct whitelist_change *change = &intake->changes[i];
	int64_t there = 0;
	int code;

	if (change->operation == ENTRY_REMOVE)
		return write_removal(store, intake->begun, change->entry.id, why);
	code = who_has(store, &change->entry, &there, why);
	if (code != ERR_OK)
		return code;
	if (there != (change->operation == ENTRY_ADD ? 0 : change->entry.id))
		return stale(why);
	if (change->operation == ENTRY_ADD)
		change->entry.id = intake->next_id + (int64_t)i;
	else
		code = keep_end(store, &change->entry, why);
	return code == ERR_OK ? write_entry(store, intake->begun, change, why) : code;
}

static int run_write(struct store *store, struct store_job *job)
{
	struct whitelist_intake *intake = (struct whitelist_intake *)job;
	size_t end = intake->written + WRITE_LINES;
	int code = ERR_OK;

	if (end > intake->count)
		end = intake->count;
	intake->begun = intake->id;
	intake->reached = intake->written;
	intake->again = false;
	if (intake->id == 0)
		code = begin(store, intake, &job->why);
	while (code == ERR_OK && !intake->again && intake->reached < end)
		code = write_line(store, intake, intake->reached++, &job->why);
	return code;
}

static void finish_write(struct store *store, struct store_job *job)
{
	struct whitelist_intake *intake = (struct whitelist_intake *)job;

	(void)store;
	if (job->code != ERR_OK)
		return;
	intake->id = intake->begun;
	intake->written = intake->reached;
}

/* What a power cut takes away was in force nowhere; the commit is synced, and these with it. */
static const struct store_verb verb_write = {
	.name = "intake", .run = run_write, .finish = finish_write, .may_be_undone = true};

void queue_whitelist_write(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_write);
}

/* --- in force -----------------------------------------------------------------------------------
 */

static const char sql_since[] =
	"SELECT revision, EXISTS (SELECT 1 FROM intake_line WHERE intake = ?1 AND entry = a.entry)"
	" OR EXISTS (SELECT 1 FROM intake_line WHERE intake = ?1 AND pattern IN"
	" (a.subject, a.before ->> 'pattern')) FROM audit a INDEXED BY audit_list"
	" WHERE entry IS NOT NULL ORDER BY id DESC LIMIT ?2";

/* Has anybody changed what this is about? As far back as the list it was made from. */
static int check_since(struct store *store, const struct whitelist_intake *intake, struct err *why)
{
	size_t looked = 0;
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_since, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, intake->id);
	query_give_int(&query, LOOK_BACK);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t revision = query_take_int(&query); /* 0: time went by, nobody decided */
		bool is_ours = query_take_bool(&query);

		looked++;
		if (revision == 0 || (revision > intake->since_revision && !is_ours))
			continue;
		query_end(&query);
		return revision > intake->since_revision ? stale(why) : ERR_OK;
	}
	/* Too much to look at, or all there is. */
	return code == ERR_OK && looked == LOOK_BACK ? stale(why) : code;
}

static const char sql_in_force[] =
	"UPDATE intake SET state = 2, revision = ?2, trail = ?3 WHERE id = ?1";

static int run_commit(struct store *store, struct store_job *job)
{
	struct whitelist_intake *intake = (struct whitelist_intake *)job;
	struct list_state present;
	int64_t trail;
	int code = list_state_read(&store->db, &present, &job->why);

	intake->again = present.moving != 0;
	if (code != ERR_OK)
		return code;
	if (intake->is_exclusive && present.revision != intake->since_revision)
		return stale(&job->why);
	if (intake->again) /* only then is the trail whole */
		return step(store, present.moving, &job->why);
	if (present.revision != intake->since_revision)
		code = check_since(store, intake, &job->why);
	if (code != ERR_OK)
		return code;
	intake->revision = present.revision + 1;
	code = reserve(store, sql_last_trail, sql_reserve_trail, (int64_t)intake->count, &trail,
		       &job->why);
	if (code == ERR_OK)
		code = run_range(store, sql_in_force,
				 (const int64_t[]){intake->id, intake->revision, trail}, &job->why);
	if (code == ERR_OK)
		code = list_revision_write(&store->db, intake->revision, &job->why);
	if (code == ERR_OK)
		tell_list(store, intake->now, intake->actor, intake->count, intake->revision);
	return code;
}

static void finish_commit(struct store *store, struct store_job *job)
{
	struct whitelist_intake *intake = (struct whitelist_intake *)job;

	if (job->code != ERR_OK || intake->again)
		return;
	store->has_intake = true;
	if (store->options.on_intake != NULL)
		store->options.on_intake(store->options.ctx, intake->prepared, intake->changes,
					 intake->count, intake->revision);
}

static const struct store_verb verb_commit = {
	.name = "intake.commit", .run = run_commit, .finish = finish_commit};

void queue_whitelist_commit(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_commit);
}

static const char sql_give_up[] = "UPDATE intake SET state = 3 WHERE id = ?1 AND state = 1";

static int run_give_up(struct store *store, struct store_job *job)
{
	const struct whitelist_intake *intake = (const struct whitelist_intake *)job;
	int64_t ignored;

	return ask(store, sql_give_up, intake->id, &ignored, &job->why);
}

static void finish_give_up(struct store *store, struct store_job *job)
{
	if (job->code == ERR_OK)
		store->has_intake = true;
}

static const struct store_verb verb_give_up = {
	.name = "intake.give_up", .run = run_give_up, .finish = finish_give_up};

void queue_whitelist_give_up(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_give_up);
}
