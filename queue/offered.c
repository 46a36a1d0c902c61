/* queue/offered.c - how many recipients were offered to next hops in the last day */
#include "queue/delivery.h"

#include "queue/writer.h"

#define MINUTE_MS   60000
#define DAY_MINUTES (24 * 60)

static const char sql_load[] =
	"SELECT minute, recipients FROM offered ORDER BY minute DESC LIMIT ?1";
static const char sql_save[] =
	"INSERT INTO offered(minute, recipients) VALUES(?1, ?2)"
	" ON CONFLICT(minute) DO UPDATE SET recipients = recipients + excluded.recipients";
static const char sql_forget[] = "DELETE FROM offered WHERE minute < ?1";
static const char sql_clear[] = "DELETE FROM offered";

static int load(struct store *store, struct offered *offered)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_load, &offered->job.why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, OFFERED_SLOTS_MAX);
	offered->count = 0;
	while ((code = query_row(&query, &row, &offered->job.why)) == ERR_OK && row) {
		struct offered_slot *slot = &offered->slots[offered->count++];

		slot->minute = query_take_int(&query);
		slot->recipients = query_take_int(&query);
	}
	return code;
}

static int save(struct store *store, struct offered *offered)
{
	struct query query;
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < offered->count; i++) {
		code = query_begin(&query, &store->db, sql_save, &offered->job.why);
		if (code != ERR_OK)
			return code;
		query_give_int(&query, offered->slots[i].minute);
		query_give_int(&query, offered->slots[i].recipients);
		code = query_run(&query, &offered->job.why);
	}
	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_forget, &offered->job.why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, offered->now / MINUTE_MS - DAY_MINUTES);
	return query_run(&query, &offered->job.why);
}

static int run_offered(struct store *store, struct store_job *job)
{
	struct offered *offered = (struct offered *)job;
	struct query query;
	int code;

	if (offered->what == OFFERED_LOAD)
		return load(store, offered);
	if (offered->what == OFFERED_SAVE)
		return save(store, offered);
	code = query_begin(&query, &store->db, sql_clear, &job->why);
	return code == ERR_OK ? query_run(&query, &job->why) : code;
}

static const struct store_verb verb_offered = {.name = "offered", .run = run_offered};

void queue_offered(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_offered);
}
