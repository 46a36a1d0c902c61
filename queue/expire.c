/* queue/expire.c - what waited too long */
#include "queue/act.h"
#include "queue/history.h"
#include "queue/writer.h"

#define EXPIRE_MAX 10000

struct late {
	int64_t id;
	enum state state;
	int64_t events;
};

static const char sql_late[] =
	"SELECT id, state, events FROM recipient WHERE due_at IS NOT NULL AND waiting_since < ?1"
	" ORDER BY waiting_since LIMIT ?2";

static int find_late(struct store *store, const struct expire *expire, size_t max,
		     struct late *found, size_t *count_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_late, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, expire->received_before);
	query_give_int(&query, (int64_t)max);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct late *late = &found[(*count_out)++];

		late->id = query_take_int(&query);
		late->state = (enum state)query_take_int(&query);
		late->events = query_take_int(&query);
	}
	return code;
}

static const char sql_expire[] =
	"UPDATE recipient SET state = ?2, due_at = NULL, reason = ?3, events = ?4, updated_at = ?5"
	" WHERE id = ?1";

static int expire_one(struct store *store, const struct late *late, int64_t now, struct err *why)
{
	struct history_item item = {
		.at = now, .event = "expired", .reason = "waited longer than allowed"};
	struct query query;
	enum state to;
	int code = state_move(late->state, TRANSITION_EXPIRE, &to, why);

	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_expire, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, late->id);
	query_give_int(&query, to);
	query_give_text(&query, item.reason);
	query_give_int(&query, late->events + 1);
	query_give_int(&query, now);
	code = query_run(&query, why);
	if (code == ERR_OK)
		code = history_add(store, late->id, late->events + 1, &item, to, why);
	if (code == ERR_OK)
		counters_move(&store->counters, late->state, to);
	return code;
}

static int run_expire(struct store *store, struct store_job *job)
{
	struct expire *expire = (struct expire *)job;
	size_t max = expire->max < EXPIRE_MAX ? expire->max : EXPIRE_MAX;
	struct late *found = mem_array(max, sizeof(*found));
	size_t count = 0;
	int code = find_late(store, expire, max, found, &count, &job->why);

	for (size_t i = 0; code == ERR_OK && i < count; i++)
		code = expire_one(store, &found[i], expire->now, &job->why);
	mem_free(found);
	expire->expired = count;
	return code;
}

static const struct store_verb verb_expire = {.name = "expire", .run = run_expire};

void queue_expire(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_expire);
}
