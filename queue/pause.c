/* queue/pause.c - standing still, kept over restarts */
#include "queue/act.h"
#include "queue/audit.h"
#include "queue/delivery.h"
#include "queue/pauses.h"
#include "queue/writer.h"

static const char sql_pause[] = "INSERT INTO pause(route, paused_at, actor) VALUES(?1, ?2, ?3)"
				" ON CONFLICT(route) DO NOTHING";
static const char sql_resume[] = "DELETE FROM pause WHERE route = ?1";

static const char *route_of(const struct pause *pause)
{
	return pause->route != NULL ? pause->route : "";
}

static int write_pause(struct store *store, const struct pause *pause, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, pause->paused ? sql_pause : sql_resume, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, route_of(pause));
	if (pause->paused) {
		query_give_int(&query, pause->now);
		query_give_text(&query, pause->actor);
	}
	return query_run(&query, why);
}

static int run_pause(struct store *store, struct store_job *job)
{
	struct pause *pause = (struct pause *)job;
	struct audit_line line = {.at = pause->now,
				  .actor = pause->actor,
				  .action = pause->paused ? "delivery.pause" : "delivery.resume",
				  .subject = pause->route};
	int code = write_pause(store, pause, &job->why);

	if (code != ERR_OK || sqlite3_changes64(store->db.handle) == 0)
		return code; /* it was so already */
	store->due = true;   /* either way delivery has something to do at once */
	return audit_add(store, &line, &job->why);
}

static void finish_pause(struct store *store, struct store_job *job)
{
	const struct pause *pause = (const struct pause *)job;

	if (job->code == ERR_OK)
		pauses_set(store->pauses, route_of(pause), pause->paused);
}

static const struct store_verb verb_pause = {
	.name = "pause", .run = run_pause, .finish = finish_pause};

void queue_pause(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_pause);
}

bool store_is_paused(struct store *store, const char *route)
{
	return pauses_has(store->pauses, route != NULL ? route : "");
}

/* --- what waits for a resume ---------------------------------------------------------- */

/* In the order in which they came. */
static const char sql_unpark[] =
	"UPDATE recipient SET due_at = ?1 WHERE id IN"
	" (SELECT id FROM recipient WHERE due_at = ?2 ORDER BY id LIMIT ?3)";

static int run_unpark(struct store *store, struct store_job *job)
{
	struct unpark *unpark = (struct unpark *)job;
	struct query query;
	int code = query_begin(&query, &store->db, sql_unpark, &job->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, unpark->now);
	query_give_int(&query, DUE_ON_RESUME);
	query_give_int(&query, (int64_t)unpark->max);
	code = query_run(&query, &job->why);
	if (code != ERR_OK)
		return code;
	unpark->unparked = (size_t)sqlite3_changes64(store->db.handle);
	store->due |= unpark->unparked > 0;
	return ERR_OK;
}

static const struct store_verb verb_unpark = {
	.name = "unpark", .run = run_unpark, .may_be_undone = true};

void queue_unpark(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_unpark);
}
