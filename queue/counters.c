/* queue/counters.c - how much of what is in the store, kept in memory */
#include "queue/counters.h"

#include <string.h>

void counters_init(struct counters *counters)
{
	memset(counters, 0, sizeof(*counters));
	pthread_mutex_init(&counters->lock, NULL);
}

void counters_release(struct counters *counters)
{
	pthread_mutex_destroy(&counters->lock);
}

void counters_move(struct counters *counters, enum state from, enum state to)
{
	/* Number 0 is no state: what appears or disappears is noted there and never read. */
	counters->change.by_state[from]--;
	counters->change.by_state[to]++;
}

void counters_message(struct counters *counters, int64_t messages, int64_t bytes)
{
	counters->change.messages += messages;
	counters->change.bytes += bytes;
}

void counters_commit(struct counters *counters, int64_t oldest_due_at)
{
	struct queue_stats *sums = &counters->sums;

	pthread_mutex_lock(&counters->lock);
	sums->messages += counters->change.messages;
	sums->bytes += counters->change.bytes;
	for (int i = 1; i < STATE_COUNT; i++)
		sums->by_state[i] += counters->change.by_state[i];
	sums->oldest_due_at = oldest_due_at;
	pthread_mutex_unlock(&counters->lock);
	counters_rollback(counters);
}

void counters_rollback(struct counters *counters)
{
	memset(&counters->change, 0, sizeof(counters->change));
}

void counters_read(struct counters *counters, struct queue_stats *stats_out)
{
	pthread_mutex_lock(&counters->lock);
	*stats_out = counters->sums;
	pthread_mutex_unlock(&counters->lock);
}

static const char sql_count_messages[] = "SELECT count(*), coalesce(sum(size), 0) FROM message";
static const char sql_count_states[] = "SELECT state, count(*) FROM recipient GROUP BY state";
static const char sql_oldest[] = "SELECT waiting_since FROM recipient WHERE due_at IS NOT NULL "
				 "ORDER BY waiting_since LIMIT 1";

static int count_messages(struct db *db, struct queue_stats *stats, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_count_messages, why);

	if (code == ERR_OK)
		code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	stats->messages = query_take_int(&query);
	stats->bytes = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static int count_states(struct db *db, struct queue_stats *stats, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_count_states, why);

	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t state = query_take_int(&query);

		if (state > 0 && state < STATE_COUNT)
			stats->by_state[state] = query_take_int(&query);
	}
	return code;
}

int counters_count(struct db *db, struct queue_stats *stats_out, struct err *why)
{
	struct queue_stats stats = {0};
	int code = count_messages(db, &stats, why);

	if (code == ERR_OK)
		code = count_states(db, &stats, why);
	if (code == ERR_OK)
		code = counters_oldest(db, &stats.oldest_due_at, why);
	if (code == ERR_OK)
		*stats_out = stats;
	return code;
}

int counters_oldest(struct db *db, int64_t *oldest_due_at_out, struct err *why)
{
	struct query query;
	int64_t oldest = 0;
	bool row;
	int code = query_begin(&query, db, sql_oldest, why);

	if (code == ERR_OK)
		code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (row) {
		oldest = query_take_int(&query);
		query_end(&query);
	}
	*oldest_due_at_out = oldest;
	return ERR_OK;
}
