/* queue/seen.c - whom mail was for lately: written down, forgotten in time, read */
#include "queue/seen.h"

#include "queue/connection.h"
#include "queue/seen_set.h"
#include "queue/writer.h"

#define DAY_MS	      ((int64_t)24 * 60 * 60 * 1000)
#define LOOK_EVERY_MS 60000 /* whether there are too many */

/* --- writing ---------------------------------------------------------------------------------- */

/* Somebody who gets mail all day is written down once in a while, unless the answer changed. */
static const char sql_save[] =
	"INSERT INTO seen(address, scope, at, refused) VALUES(?1, ?2, ?3, ?4)"
	" ON CONFLICT(address, scope) DO UPDATE SET at = max(at, excluded.at),"
	" refused = excluded.refused WHERE refused <> excluded.refused OR at + 60000 < excluded.at";

static int save_one(struct store *store, const struct seen_item *item, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_save, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, item->address);
	query_give_text(&query, item->scope);
	query_give_int(&query, item->at);
	query_give_int(&query, item->refused);
	return query_run(&query, why);
}

static const char sql_overflow[] = "SELECT at FROM seen ORDER BY at DESC LIMIT 1 OFFSET ?1";

/* What is older than this goes: by its age, or because newer ones fill the table. */
static int find_limit(struct store *store, int64_t now, struct err *why)
{
	int64_t limit = now - SEEN_DAYS * DAY_MS;
	int64_t overflow = 0;
	struct query query;
	int code;

	if (now < store->seen_limit_until && now >= store->seen_limit_until - LOOK_EVERY_MS)
		return ERR_OK;
	code = query_begin(&query, &store->db, sql_overflow, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, SEEN_MAX);
	code = query_only_int(&query, 0, &overflow, why);
	if (code != ERR_OK)
		return code;
	store->seen_limit = overflow > limit ? overflow : limit;
	store->seen_limit_until = now + LOOK_EVERY_MS;
	return ERR_OK;
}

static const char sql_forget[] =
	"DELETE FROM seen WHERE (address, scope) IN"
	" (SELECT address, scope FROM seen WHERE at <= ?1 ORDER BY at LIMIT ?2)";

static int forget_old(struct store *store, size_t *forgotten_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_forget, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, store->seen_limit);
	query_give_int(&query, SEEN_AT_ONCE);
	code = query_run(&query, why);
	if (code == ERR_OK)
		*forgotten_out = (size_t)sqlite3_changes64(store->db.handle);
	return code;
}

static int run_save(struct store *store, struct store_job *job)
{
	struct seen_save *save = (struct seen_save *)job;
	size_t count = seen_set_count(store->seen);
	size_t forgotten = 0;
	int code = ERR_OK;

	save->written = count < SEEN_AT_ONCE ? count : SEEN_AT_ONCE;
	for (size_t i = 0; code == ERR_OK && i < save->written; i++)
		code = save_one(store, seen_set_item(store->seen, i), &job->why);
	if (code == ERR_OK)
		code = find_limit(store, save->now, &job->why);
	if (code == ERR_OK)
		code = forget_old(store, &forgotten, &job->why);
	save->more = count > save->written || forgotten == SEEN_AT_ONCE;
	return code;
}

/* What was noted since then stands behind them. */
static void finish_save(struct store *store, struct store_job *job)
{
	struct seen_save *save = (struct seen_save *)job;

	if (job->code != ERR_OK) {
		save->more = false;
		return;
	}
	seen_set_forget(store->seen, 0, save->written);
	atomic_store(&store->has_seen, seen_set_count(store->seen) > 0);
}

static const struct store_verb verb_save = {
	.name = "seen", .run = run_save, .finish = finish_save, .may_be_undone = true};

void queue_seen_save(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_save);
}

bool store_has_seen(const struct store *store)
{
	return atomic_load(&store->has_seen);
}

/* --- reading ------------------------------------------------------------------------------- */

/* From end to end, but there are never more than SEEN_MAX and what one minute brings. */
#define SEEN_FILTER                                                                                \
	" FROM seen WHERE at >= ?1 AND (?2 IS NULL OR scope = ?2)"                                 \
	" AND (?3 IS NULL OR address = ?3)"

/* In the order of the table: count(DISTINCT) would sort them first. */
static const char sql_count[] = "SELECT count(*) FROM (SELECT DISTINCT address" SEEN_FILTER ")";
static const char sql_each[] = "SELECT address, scope, at, refused" SEEN_FILTER
			       " ORDER BY address, scope";
static const char sql_one[] = "SELECT address, scope, at, refused FROM seen WHERE at >= ?1"
			      " AND (?2 IS NULL OR scope = ?2) AND address = ?3"
			      " ORDER BY address, scope";

static int begin(struct store_reader *reader, const char *sql, const struct seen_query *filter,
		 struct query *query, struct err *why)
{
	int code = query_begin(query, reader_db(reader), sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(query, filter->since);
	query_give_text(query, filter->scope);
	query_give_text(query, filter->address);
	return ERR_OK;
}

int queue_seen_count(struct store_reader *reader, const struct seen_query *filter,
		     int64_t *count_out, struct err *why)
{
	struct query query;
	int code = begin(reader, sql_count, filter, &query, why);

	return code == ERR_OK ? query_only_int(&query, 0, count_out, why) : code;
}

int queue_seen_each(struct store_reader *reader, const struct seen_query *filter,
		    bool (*row)(void *ctx, const struct seen_row *seen), void *ctx, struct err *why)
{
	struct query query;
	bool more;
	int code = begin(reader, filter->address != NULL ? sql_one : sql_each, filter, &query, why);

	if (code != ERR_OK)
		return code;
	while ((code = query_row(&query, &more, why)) == ERR_OK && more) {
		struct seen_row seen;

		seen.address = query_take_text(&query);
		seen.scope = query_take_text(&query);
		seen.at = query_take_int(&query);
		seen.refused = query_take_bool(&query);
		if (!row(ctx, &seen)) {
			query_end(&query);
			break;
		}
	}
	return code;
}
