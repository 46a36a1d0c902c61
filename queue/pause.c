/* queue/pause.c - standing still, kept over restarts; and what is parked comes back */
#include <string.h>

#include "queue/act.h"

#include <stdio.h>

#include "queue/audit.h"
#include "queue/delivery.h"
#include "queue/pauses.h"
#include "queue/tell.h"
#include "queue/writer.h"

static const char sql_pause[] = "INSERT INTO pause(route, paused_at, actor, reason)"
				" VALUES(?1, ?2, ?3, ?4)"
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
		query_give_text(&query, pause->reason);
	}
	return query_run(&query, why);
}

static const char sql_json[] =
	"SELECT json_object('paused', json('true'), 'paused_at', paused_at, 'paused_by', actor,"
	" 'reason', reason) FROM pause WHERE route = ?1";

/* How it stands, for the trail. */
static int describe(struct store *store, const char *route, const char **json_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_json, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, route);
	code = query_row(&query, &row, why);
	*json_out = "{\"paused\":false}";
	if (code == ERR_OK && row) {
		*json_out = query_take_copy(&query, store->scratch);
		query_end(&query);
	}
	return code;
}

static int run_pause(struct store *store, struct store_job *job)
{
	struct pause *pause = (struct pause *)job;
	struct audit_line line = {.at = pause->now,
				  .actor = pause->actor,
				  .action = pause->paused ? "delivery.pause" : "delivery.resume",
				  .subject = pause->route};
	int code = describe(store, route_of(pause), &line.before, &job->why);

	if (code == ERR_OK)
		code = write_pause(store, pause, &job->why);
	pause->changed = code == ERR_OK && sqlite3_changes64(store->db.handle) > 0;
	if (!pause->changed)
		return code;
	store->due = true; /* either way delivery has something to do at once */
	tell(store, &(struct news){.kind = NEWS_DELIVERY,
				   .at = pause->now,
				   .action = pause->paused ? "pause" : "resume",
				   .route = pause->route,
				   .reason = pause->reason,
				   .actor = pause->actor});
	code = describe(store, route_of(pause), &line.after, &job->why);
	return code == ERR_OK ? audit_add(store, &line, &job->why) : code;
}

static void finish_pause(struct store *store, struct store_job *job)
{
	const struct pause *pause = (const struct pause *)job;

	struct pause_view view = {.paused_at = pause->now};

	if (job->code != ERR_OK || !pause->changed)
		return; /* it was so already */
	(void)snprintf(view.actor, sizeof(view.actor), "%s",
		       pause->actor != NULL ? pause->actor : "");
	(void)snprintf(view.reason, sizeof(view.reason), "%s",
		       pause->reason != NULL ? pause->reason : "");
	pauses_set(store->pauses, route_of(pause), pause->paused ? &view : NULL);
}

static const struct store_verb verb_pause = {
	.name = "pause", .run = run_pause, .finish = finish_pause};

void queue_pause(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_pause);
}

bool store_is_paused(struct store *store, const char *route)
{
	return pauses_has(store->pauses, route != NULL ? route : "", NULL);
}

bool store_pause_view(struct store *store, const char *route, struct pause_view *view_out)
{
	return pauses_has(store->pauses, route != NULL ? route : "", view_out);
}

/* --- what waits for more than time ------------------------------------------------------ */

/*
 * In the order in which it came, and before what came after it: due as long as
 * it has waited. A message is not divided: its recipients leave together.
 */
static const char sql_last[] =
	"SELECT id FROM recipient WHERE parked = ?1 ORDER BY id LIMIT 1 OFFSET ?2";
static const char sql_unpark[] =
	"UPDATE recipient SET due_at = min(waiting_since, ?1), parked = NULL WHERE id IN"
	" (SELECT id FROM recipient WHERE parked = ?2 AND id < ?3)";

/* Where the message ends that has the last one to be taken. */
static int find_end(struct store *store, const char *parked, size_t max, int64_t *end_out,
		    struct err *why)
{
	struct query query;
	int64_t last;
	int code = query_begin(&query, &store->db, sql_last, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, parked);
	query_give_int(&query, (int64_t)max - 1);
	code = query_only_int(&query, -1, &last, why);
	if (code == ERR_OK)
		*end_out = last >= 0 ? part_id(message_of(last) + 1, 0) : INT64_MAX;
	return code;
}

static int unpark_named(struct store *store, struct unpark *unpark, const char *parked,
			struct err *why)
{
	struct query query;
	int64_t end = 0;
	int code = find_end(store, parked, unpark->max - unpark->unparked, &end, why);

	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_unpark, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, unpark->now);
	query_give_text(&query, parked);
	query_give_int(&query, end);
	code = query_run(&query, why);
	if (code == ERR_OK)
		unpark->unparked += (size_t)sqlite3_changes64(store->db.handle);
	return code;
}

/* From one name to the next, however many lie between them. */
static const char sql_next_name[] =
	"SELECT parked FROM recipient WHERE parked > ?1 ORDER BY parked LIMIT 1";

static int next_name(struct store *store, const char *after, const char **name_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_next_name, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, after);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	*name_out = row ? query_take_copy(&query, store->scratch) : NULL;
	if (row)
		query_end(&query);
	return ERR_OK;
}

static bool is_kept(const struct unpark *unpark, const char *name)
{
	for (size_t i = 0; i < unpark->keep_count; i++)
		if (strcmp(unpark->keep[i], name) == 0)
			return true;
	return false;
}

static int unpark_others(struct store *store, struct unpark *unpark, struct err *why)
{
	const char *name = "";
	int code = ERR_OK;

	while (code == ERR_OK && unpark->unparked < unpark->max) {
		code = next_name(store, name, &name, why);
		if (code != ERR_OK || name == NULL)
			return code;
		if (!is_kept(unpark, name))
			code = unpark_named(store, unpark, name, why);
	}
	return code;
}

static int run_unpark(struct store *store, struct store_job *job)
{
	struct unpark *unpark = (struct unpark *)job;
	int code;

	unpark->unparked = 0;
	code = unpark->parked != NULL ? unpark_named(store, unpark, unpark->parked, &job->why)
				      : unpark_others(store, unpark, &job->why);
	if (code == ERR_OK)
		store->due |= unpark->unparked > 0;
	return code;
}

static const struct store_verb verb_unpark = {
	.name = "unpark", .run = run_unpark, .may_be_undone = true};

void queue_unpark(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_unpark);
}
