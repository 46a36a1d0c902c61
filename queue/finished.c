/* queue/finished.c - messages that are done with: kept account of for retention */
#include "queue/finished.h"

#include <stdlib.h>

struct finished {
	int64_t *touched; /* messages, of this transaction; some of them twice */
	size_t count;
	size_t room;
	/* Who was found waiting last: a message may have thousands, who end in their order. */
	int64_t waiting;
};

struct finished *finished_new(void)
{
	return mem_zalloc(sizeof(struct finished));
}

void finished_free(struct finished **finished)
{
	if (*finished == NULL)
		return;
	mem_free((*finished)->touched);
	mem_free(*finished);
	*finished = NULL;
}

unsigned finished_kind(enum state state)
{
	switch (state) {
	case STATE_DELIVERED:
	case STATE_REDIRECTED: return FINISHED_DELIVERED;
	case STATE_DROPPED:
	case STATE_CANCELLED: return FINISHED_DROPPED;
	case STATE_FAILED:
	case STATE_EXPIRED: return FINISHED_FAILED;
	case STATE_SCREENING:
	case STATE_QUEUED:
	case STATE_DELIVERING:
	case STATE_DEFERRED:
	case STATE_HELD: break;
	}
	return 0;
}

/* --- what a transaction touches ----------------------------------------------------- */

void finished_touch(struct store *store, int64_t message)
{
	struct finished *finished = store->finished;

	if (finished->count > 0 && finished->touched[finished->count - 1] == message)
		return;
	if (finished->count == finished->room) {
		finished->room = finished->room > 0 ? finished->room * 2 : 64;
		finished->touched =
			mem_regrow(finished->touched, finished->room, sizeof(*finished->touched));
	}
	finished->touched[finished->count++] = message;
}

void finished_moved(struct store *store, int64_t recipient, enum state from, enum state to)
{
	counters_move(&store->counters, from, to);
	if (finished_kind(from) != 0 || finished_kind(to) != 0)
		finished_touch(store, message_of(recipient));
}

void finished_forget(struct store *store)
{
	store->finished->count = 0;
}

/* --- looking at them ------------------------------------------------------------------ */

static const char sql_waiting[] =
	"SELECT id FROM recipient WHERE id >= ?1 AND id < ?2 AND state < ?3 ORDER BY id LIMIT 1";

static int find_waiting(struct store *store, int64_t from, int64_t before, int64_t *found_out,
			struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_waiting, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, from);
	query_give_int(&query, before);
	query_give_int(&query, STATE_DELIVERED); /* the first of those that are the end */
	return query_only_int(&query, 0, found_out, why);
}

/* From where the last look at this message ended, then what is in front of that. */
static int is_waiting(struct store *store, int64_t message, bool *waiting_out, struct err *why)
{
	struct finished *finished = store->finished;
	int64_t first = part_id(message, 0);
	int64_t from = message_of(finished->waiting) == message ? finished->waiting : first;
	int64_t found = 0;
	int code = find_waiting(store, from, part_id(message + 1, 0), &found, why);

	if (code == ERR_OK && found == 0 && from > first)
		code = find_waiting(store, first, from, &found, why);
	if (code != ERR_OK)
		return code;
	*waiting_out = found != 0;
	if (found != 0)
		finished->waiting = found;
	return ERR_OK;
}

static const char sql_ends[] = "SELECT state, max(updated_at) FROM recipient"
			       " WHERE id >= ?1 AND id < ?2 GROUP BY state";

static int read_ends(struct store *store, int64_t message, unsigned *kinds_out, int64_t *at_out,
		     struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_ends, why);

	*kinds_out = 0;
	*at_out = 0;
	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(message, 0));
	query_give_int(&query, part_id(message + 1, 0));
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		enum state state = state_of_number(query_take_int(&query));
		int64_t at = query_take_int(&query);

		*kinds_out |= finished_kind(state);
		if (at > *at_out)
			*at_out = at;
	}
	return code;
}

static const char sql_note[] =
	"INSERT INTO finished(message, kinds, at) VALUES(?1,"
	" CASE WHEN (SELECT removed_at FROM message WHERE id = ?1) IS NULL THEN ?2 ELSE ?4 END, ?3)"
	" ON CONFLICT(message) DO UPDATE SET kinds = excluded.kinds, at = excluded.at";

int finished_note(struct store *store, int64_t message, unsigned kinds, int64_t at, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_note, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, message);
	query_give_int(&query, kinds);
	query_give_int(&query, at);
	query_give_int(&query, FINISHED_EMPTY);
	store->nothing_finished = false;
	return query_run(&query, why);
}

static const char sql_not_finished[] = "DELETE FROM finished WHERE message = ?1";

static int note_not_finished(struct store *store, int64_t message, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_not_finished, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, message);
	return query_run(&query, why);
}

static int look_at(struct store *store, int64_t message, struct err *why)
{
	unsigned kinds = 0;
	int64_t at = 0;
	bool waiting = false;
	int code = is_waiting(store, message, &waiting, why);

	if (code == ERR_OK && !waiting)
		code = read_ends(store, message, &kinds, &at, why);
	if (code != ERR_OK)
		return code;
	/* Without recipients it was removed in this very transaction. */
	return kinds == 0 ? note_not_finished(store, message, why)
			  : finished_note(store, message, kinds, at, why);
}

static const char sql_message[] = "SELECT count(*) FROM message WHERE id = ?1";

int finished_verify(struct store *store, int64_t message, bool *is_out, struct err *why)
{
	struct query query;
	int64_t there = 0;
	bool waiting = true;
	int code = query_begin(&query, &store->db, sql_message, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, message);
	code = query_only_int(&query, 0, &there, why);
	if (code == ERR_OK && there > 0)
		code = is_waiting(store, message, &waiting, why);
	if (code != ERR_OK)
		return code;
	*is_out = !waiting;
	return waiting ? note_not_finished(store, message, why) : ERR_OK;
}

static int by_number(const void *a, const void *b)
{
	const int64_t *left = a;
	const int64_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

int finished_look(struct store *store, struct err *why)
{
	struct finished *finished = store->finished;
	int code = ERR_OK;

	if (finished->count > 1)
		qsort(finished->touched, finished->count, sizeof(*finished->touched), by_number);
	for (size_t i = 0; code == ERR_OK && i < finished->count; i++)
		if (i == 0 || finished->touched[i] != finished->touched[i - 1])
			code = look_at(store, finished->touched[i], why);
	finished->count = 0;
	return code;
}
