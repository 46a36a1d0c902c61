/* queue/whitelist_life.c - what becomes of entries that nobody changes: hits, and expiry */
#include "queue/audit.h"
#include "queue/intake.h"
#include "queue/tell.h"
#include "queue/whitelist.h"
#include "queue/writer.h"

/* --- hits ------------------------------------------------------------------------------------ */

static const char sql_hits[] =
	"UPDATE whitelist SET hits = hits + ?2, last_hit_at = max(last_hit_at, ?3) WHERE id = ?1";

static int run_hits(struct store *store, struct store_job *job)
{
	const struct whitelist_hits *request = (const struct whitelist_hits *)job;
	struct list_state list;
	int code = list_state_read(&store->db, &list, &job->why);

	for (size_t i = 0; code == ERR_OK && i < request->count; i++) {
		struct query query;

		if (list.moving != 0)
			code = intake_settle_entry(store, list.moving, request->hits[i].id,
						   &job->why);
		if (code == ERR_OK)
			code = query_begin(&query, &store->db, sql_hits, &job->why);
		if (code != ERR_OK)
			break;
		query_give_int(&query, request->hits[i].id);
		query_give_int(&query, request->hits[i].hits);
		query_give_int(&query, request->hits[i].last_hit_at);
		code = query_run(&query, &job->why);
	}
	return code;
}

static const struct store_verb verb_hits = {.name = "hits", .run = run_hits};

void queue_whitelist_hits(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_hits);
}

/* --- what time does ------------------------------------------------------------------------- */

/* Some at a time: all entries of an import may end together. */
#define IS_OVER                                                                                    \
	"id IN (SELECT id FROM whitelist WHERE expires_at > 0 AND expired_at = 0"                  \
	" AND expires_at <= ?1 ORDER BY expires_at LIMIT 500)"

static const char sql_trail_expired[] =
	"INSERT INTO audit(at, actor, action, subject, before, after, entry)"
	" SELECT ?1, 'relay', 'whitelist.expire', pattern, " AUDIT_ENTRY_JSON ", " AUDIT_ENTRY_JSON
	", id FROM whitelist WHERE " IS_OVER;
static const char sql_expire[] = "UPDATE whitelist SET expired_at = ?1 WHERE " IS_OVER
				 " RETURNING id, pattern, scope, action";
static const char sql_next_expiry[] =
	"SELECT min(expires_at) FROM whitelist WHERE expires_at > 0 AND expired_at = 0";

static int run_at(struct store *store, const char *sql, int64_t now, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, now);
	return query_run(&query, why);
}

static int expire_all(struct store *store, struct whitelist_expire *expire, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_expire, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, expire->now);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct news news = {.kind = NEWS_WHITELIST,
				    .at = expire->now,
				    .action = "expire",
				    .count = 1,
				    .actor = "relay"};

		news.entry = query_take_int(&query);
		news.name = query_take_text(&query);
		news.scope = query_take_text(&query);
		news.state = query_take_int(&query) == ENTRY_DENY ? "deny" : "allow";
		tell(store, &news);
		expire->expired++;
	}
	return code;
}

static int run_expire(struct store *store, struct store_job *job)
{
	struct whitelist_expire *expire = (struct whitelist_expire *)job;
	struct list_state list;
	struct query query;
	int code = run_at(store, sql_trail_expired, expire->now, &job->why);

	expire->expired = 0;
	if (code == ERR_OK)
		code = expire_all(store, expire, &job->why);
	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_next_expiry, &job->why);
	if (code == ERR_OK)
		code = query_only_int(&query, 0, &expire->next_at, &job->why);
	if (code == ERR_OK)
		code = list_state_read(&store->db, &list, &job->why);
	/* Lines on their way are looked at when they have arrived. */
	if (code == ERR_OK && list.moving != 0 &&
	    (expire->next_at == 0 || expire->next_at > expire->now))
		expire->next_at = expire->now + 1;
	return code;
}

static const struct store_verb verb_expire = {.name = "expire", .run = run_expire};

void queue_whitelist_expire(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_expire);
}
