/* queue/shift.c - what waits follows a clock that somebody set */
#include "queue/delivery.h"
#include "queue/writer.h"

/* Far beyond every time: what has none must not be added to. */
#define NEVER_MS ((int64_t)1 << 62)

static const char sql_waiting[] =
	"UPDATE recipient SET due_at = due_at + ?1, waiting_since = waiting_since + ?1"
	" WHERE due_at > ?2 AND due_at < ?3 AND waiting_since <= ?4";
static const char sql_asking[] =
	"UPDATE recipient SET ask_at = ask_at + ?1, waiting_since = waiting_since + ?1"
	" WHERE ask_at > ?2 AND ask_at < ?3 AND waiting_since <= ?4";
static const char sql_leased[] = "UPDATE recipient SET waiting_since = waiting_since + ?1"
				 " WHERE lease > 0 AND waiting_since <= ?2";

/* Set on: all that came before. Set back: all that would come late; what is due stays due. */
static int shift_waiting(struct store *store, const char *sql, const struct shift *shift,
			 int64_t before, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, shift->by_ms);
	query_give_int(&query, shift->by_ms > 0 ? 0 : shift->now);
	query_give_int(&query, NEVER_MS);
	query_give_int(&query, before);
	return query_run(&query, why);
}

static int shift_leased(struct store *store, const struct shift *shift, int64_t before,
			struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_leased, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, shift->by_ms);
	query_give_int(&query, before);
	return query_run(&query, why);
}

static int run_shift(struct store *store, struct store_job *job)
{
	struct shift *shift = (struct shift *)job;
	/* By then the clock had been set, or nearly. */
	int64_t before = shift->by_ms > 0 ? shift->now - shift->by_ms / 2 : INT64_MAX;
	int code = shift_waiting(store, sql_waiting, shift, before, &job->why);

	if (code == ERR_OK)
		code = shift_waiting(store, sql_asking, shift, before, &job->why);

	if (code == ERR_OK && shift->by_ms > 0)
		code = shift_leased(store, shift, before, &job->why);
	store->due = true;
	store->ask = true;
	return code;
}

static const struct store_verb verb_shift = {.name = "shift", .run = run_shift};

void queue_shift(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_shift);
}
