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
	counters->entering[to]++;
}

void counters_message(struct counters *counters, int64_t messages, int64_t bytes)
{
	counters->change.messages += messages;
	counters->change.bytes += bytes;
}

void counters_waits(struct counters *counters, int64_t recipient)
{
	/* Not undone by a rollback: to look from too far back is no mistake. */
	if (recipient < counters->passed)
		counters->passed = recipient;
}

void counters_commit(struct counters *counters, const struct oldest *oldest)
{
	struct queue_stats *sums = &counters->sums;

	pthread_mutex_lock(&counters->lock);
	sums->messages += counters->change.messages;
	sums->bytes += counters->change.bytes;
	for (int i = 1; i < STATE_COUNT; i++) {
		sums->by_state[i] += counters->change.by_state[i];
		counters->entered[i] += counters->entering[i];
	}
	sums->oldest_due_at = oldest->waiting_since;
	pthread_mutex_unlock(&counters->lock);
	counters->passed = oldest->passed;
	counters_rollback(counters);
}

void counters_rollback(struct counters *counters)
{
	memset(&counters->change, 0, sizeof(counters->change));
	memset(counters->entering, 0, sizeof(counters->entering));
}

void counters_mark(const struct counters *counters, struct counters_mark *mark_out)
{
	mark_out->change = counters->change;
	memcpy(mark_out->entering, counters->entering, sizeof(mark_out->entering));
	mark_out->passed = counters->passed;
}

void counters_back(struct counters *counters, const struct counters_mark *mark)
{
	counters->change = mark->change;
	memcpy(counters->entering, mark->entering, sizeof(counters->entering));
	counters->passed = mark->passed;
}

void counters_read(struct counters *counters, struct queue_stats *stats_out)
{
	pthread_mutex_lock(&counters->lock);
	*stats_out = counters->sums;
	pthread_mutex_unlock(&counters->lock);
}

void counters_entered(struct counters *counters, uint64_t entered_out[STATE_COUNT])
{
	pthread_mutex_lock(&counters->lock);
	memcpy(entered_out, counters->entered, sizeof(counters->entered));
	pthread_mutex_unlock(&counters->lock);
}

void counters_forget_entered(struct counters *counters)
{
	pthread_mutex_lock(&counters->lock);
	memset(counters->entered, 0, sizeof(counters->entered));
	pthread_mutex_unlock(&counters->lock);
}

static const char sql_count_messages[] = "SELECT count(*), coalesce(sum(CASE WHEN removed_at IS "
					 "NULL THEN size END), 0) FROM message";
static const char sql_count_states[] = "SELECT state, count(*) FROM recipient GROUP BY state";
static const char sql_first[] =
	"SELECT min(coalesce((SELECT min(id) FROM recipient INDEXED BY recipient_due"
	" WHERE due_at IS NOT NULL), ?1),"
	" coalesce((SELECT min(id) FROM recipient INDEXED BY recipient_leased"
	" WHERE lease IS NOT NULL), ?1))";
static const char sql_since[] = "SELECT waiting_since FROM recipient WHERE id = ?1";

/* One walk through the index of what waits, not through all there is. */
static int find_first(struct db *db, int64_t *first_out, int64_t *since_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_first, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, INT64_MAX);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	*first_out = query_take_int(&query);
	query_end(&query);
	code = query_begin(&query, db, sql_since, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, *first_out);
	return query_only_int(&query, 0, since_out, why);
}

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
	int64_t first;
	int code = count_messages(db, &stats, why);

	if (code == ERR_OK)
		code = count_states(db, &stats, why);
	if (code == ERR_OK)
		code = find_first(db, &first, &stats.oldest_due_at, why);
	if (code == ERR_OK)
		*stats_out = stats;
	return code;
}

/* --- written down ------------------------------------------------------------------------- */

#define KIND_MESSAGES 100 /* schema/0009_tally.sql */
#define KIND_BYTES    101
#define KIND_COUNT    102
#define LITTLE	      100000 /* recipients and messages: counted in some 50 ms */

static int64_t *of_kind(struct queue_stats *stats, int64_t kind)
{
	if (kind > 0 && kind < STATE_COUNT)
		return &stats->by_state[kind];
	if (kind == KIND_MESSAGES)
		return &stats->messages;
	return kind == KIND_BYTES ? &stats->bytes : NULL;
}

static const char sql_tally[] = "SELECT kind, number FROM tally";

int counters_stored(struct db *db, struct queue_stats *stats_out, struct err *why)
{
	struct queue_stats stats = {0};
	struct query query;
	int64_t first;
	bool row;
	int code = query_begin(&query, db, sql_tally, why);

	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t *number = of_kind(&stats, query_take_int(&query));

		if (number != NULL)
			*number = query_take_int(&query);
	}
	if (code == ERR_OK)
		code = find_first(db, &first, &stats.oldest_due_at, why);
	if (code == ERR_OK)
		*stats_out = stats;
	return code;
}

static bool is_little(const struct queue_stats *stats)
{
	int64_t rows = stats->messages;

	for (int i = 1; i < STATE_COUNT; i++)
		rows += stats->by_state[i];
	return rows < LITTLE;
}

int counters_load(struct counters *counters, struct db *db, struct err *why)
{
	int64_t since;
	int code = counters_stored(db, &counters->sums, why);

	if (code == ERR_OK && is_little(&counters->sums))
		code = counters_count(db, &counters->sums, why);
	if (code == ERR_OK)
		code = find_first(db, &counters->passed, &since, why);
	return code;
}

static int write_kind(struct db *db, const char *sql, int64_t kind, int64_t number, struct err *why)
{
	struct query query;
	int code = query_begin(&query, db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, kind);
	query_give_int(&query, number);
	return query_run(&query, why);
}

static const char sql_rewrite[] = "INSERT OR REPLACE INTO tally VALUES(?1, ?2)";

int counters_rewrite(const struct counters *counters, struct db *db, struct err *why)
{
	struct queue_stats sums = counters->sums;
	int code = ERR_OK;

	for (int64_t kind = 0; code == ERR_OK && kind < KIND_COUNT; kind++)
		if (of_kind(&sums, kind) != NULL)
			code = write_kind(db, sql_rewrite, kind, *of_kind(&sums, kind), why);
	return code;
}

static const char sql_change[] = "UPDATE tally SET number = number + ?2 WHERE kind = ?1";

int counters_save(const struct counters *counters, struct db *db, struct err *why)
{
	struct queue_stats change = counters->change;
	int code = ERR_OK;

	for (int64_t kind = 0; code == ERR_OK && kind < KIND_COUNT; kind++) {
		const int64_t *number = of_kind(&change, kind);

		if (number != NULL && *number != 0)
			code = write_kind(db, sql_change, kind, *number, why);
	}
	return code;
}

/* --- who waits longest ------------------------------------------------------------------- */

static int64_t waiting(const struct counters *counters)
{
	static const enum state states[] = {STATE_QUEUED, STATE_DEFERRED, STATE_DELIVERING};
	int64_t count = 0;

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		count += counters->sums.by_state[states[i]] + counters->change.by_state[states[i]];
	return count;
}

static const char sql_from[] =
	"SELECT id, state, waiting_since FROM recipient WHERE id >= ?1 ORDER BY id LIMIT 64";

int counters_oldest(struct counters *counters, struct db *db, struct oldest *oldest_out,
		    struct err *why)
{
	/* Not found in this many: what is known is not newer than the truth. */
	struct oldest oldest = {counters->sums.oldest_due_at, counters->passed};
	struct query query;
	bool row;
	int code;

	if (waiting(counters) == 0) {
		*oldest_out = (struct oldest){0, INT64_MAX};
		return ERR_OK;
	}
	code = query_begin(&query, db, sql_from, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, counters->passed);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t id = query_take_int(&query);
		enum state state = state_of_number(query_take_int(&query));

		if (state_is_due_state(state) || state == STATE_DELIVERING) {
			oldest.passed = id;
			oldest.waiting_since = query_take_int(&query);
			query_end(&query);
			break;
		}
		oldest.passed = id + 1;
	}
	if (code == ERR_OK)
		*oldest_out = oldest;
	return code;
}
