/* queue/remove.c - taking a message out of the store */
#include "queue/remove.h"

#include "base/clock.h"
#include "queue/audit.h"
#include "queue/finished.h"
#include "queue/indexer.h"
#include "queue/message.h"
#include "queue/tell.h"
#include "queue/upkeep.h"

#define RECIPIENTS_AT_ONCE 1000

static const char sql_delivering[] =
	"SELECT 1 FROM recipient WHERE id >= ?1 AND id < ?2 AND state = ?3 LIMIT 1";

int message_is_delivering(struct store *store, int64_t number, bool *delivering_out,
			  struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_delivering, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	query_give_int(&query, STATE_DELIVERING);
	code = query_row(&query, delivering_out, why);
	if (code == ERR_OK && *delivering_out)
		query_end(&query);
	return code;
}

/* Rows of recipients or chunks, by their numbers. */
struct parts {
	int64_t from, before;
};

static struct parts parts_of(int64_t number)
{
	return (struct parts){part_id(number, 0), part_id(number + 1, 0)};
}

static int run_for_parts(struct store *store, const char *sql, struct parts parts, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, parts.from);
	query_give_int(&query, parts.before);
	return query_run(&query, why);
}

static int run_for_message(struct store *store, const char *sql, int64_t number, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	return query_run(&query, why);
}

static const char sql_states[] =
	"SELECT state, count(*) FROM recipient WHERE id >= ?1 AND id < ?2 GROUP BY state";

/* How many recipients are in which state. */
static int count_states(struct store *store, struct parts parts, int64_t counts_out[STATE_COUNT],
			struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_states, why);

	memset(counts_out, 0, STATE_COUNT * sizeof(*counts_out));
	if (code != ERR_OK)
		return code;
	query_give_int(&query, parts.from);
	query_give_int(&query, parts.before);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		enum state state = state_of_number(query_take_int(&query));

		counts_out[state] += query_take_int(&query);
	}
	return code;
}

static int uncount(struct store *store, struct parts parts, struct err *why)
{
	int64_t counts[STATE_COUNT];
	int code = count_states(store, parts, counts, why);

	for (int state = 1; code == ERR_OK && state < STATE_COUNT; state++)
		while (counts[state]-- > 0)
			counters_move(&store->counters, (enum state)state, 0);
	return code;
}

/*
 * What was there, in the words of the outside: the trail outlives the message, and so does what
 * became of it, also when that was known only while somebody waited to delete it. The self-test's
 * comes and goes with each start and is nobody's.
 */
static const char sql_audit[] =
	"INSERT INTO audit(at, actor, action, subject, before)"
	" SELECT ?2, ?3, 'message.delete', ?4, json_object('sender', sender, 'size', size,"
	" 'received_at', received_at, 'states', json(?7), 'recipients', (SELECT "
	"json_group_array(address)"
	" FROM (SELECT address FROM recipient WHERE id >= ?5 AND id < ?6 ORDER BY id LIMIT 100)))"
	" FROM message WHERE id = ?1 AND origin IS NOT 'selftest'";

static int write_audit(struct store *store, int64_t number, const struct ulid *id,
		       const char *actor, int64_t now, struct err *why)
{
	char states[AUDIT_STATES_SIZE];
	int64_t counts[STATE_COUNT];
	char text[ULID_TEXT_SIZE];
	struct query query;
	int code = count_states(store, parts_of(number), counts, why);

	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_audit, why);
	if (code != ERR_OK)
		return code;
	ulid_format(id, text);
	query_give_int(&query, number);
	query_give_int(&query, now);
	query_give_text(&query, actor);
	query_give_text(&query, text);
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	audit_states(counts, states);
	query_give_text(&query, states);
	return query_run(&query, why);
}

static const char sql_delete_history[] =
	"DELETE FROM history WHERE recipient >= ?1 AND recipient < ?2";
static const char sql_delete_recipients[] = "DELETE FROM recipient WHERE id >= ?1 AND id < ?2";
static const char sql_delete_chunks[] = "DELETE FROM chunk WHERE id >= ?1 AND id < ?2";
static const char sql_delete_message[] = "DELETE FROM message WHERE id = ?1";
static const char sql_delete_finished[] = "DELETE FROM finished WHERE message = ?1";
static const char sql_doom[] = "INSERT INTO staging(message) VALUES(?1)";
/* The number must not come back after a restart even if this was the highest. */
static const char sql_used[] =
	"UPDATE meta SET value = ?1 + 1 WHERE name = 'next_message' AND value <= ?1";

static int remove_bytes(struct store *store, int64_t number, int64_t size, struct err *why)
{
	int code;

	if (size <= BODY_CHUNK_BYTES)
		return run_for_parts(store, sql_delete_chunks, parts_of(number), why);
	code = run_for_message(store, sql_doom, number, why);
	if (code == ERR_OK)
		doomed_add(store, number);
	return code;
}

static int remove_recipients(struct store *store, struct parts parts, struct err *why)
{
	int code = uncount(store, parts, why);

	if (code == ERR_OK)
		code = run_for_parts(store, sql_delete_history, parts, why);
	if (code == ERR_OK)
		code = run_for_parts(store, sql_delete_recipients, parts, why);
	return code;
}

static int remove_rows(struct store *store, int64_t number, struct err *why)
{
	int code = remove_recipients(store, parts_of(number), why);

	if (code == ERR_OK)
		code = run_for_message(store, sql_delete_finished, number, why);
	if (code == ERR_OK)
		code = run_for_message(store, sql_delete_message, number, why);
	if (code == ERR_OK)
		code = run_for_message(store, sql_used, number, why);
	if (code == ERR_OK)
		code = indexer_forget(store, number, why);
	return code;
}

/* --- what there is of it ------------------------------------------------------------------- */

struct stored {
	bool found;
	struct ulid id;
	int64_t bytes; /* of content that is still there */
};

static const char sql_message[] =
	"SELECT uid, CASE WHEN removed_at IS NULL THEN size ELSE 0 END FROM message WHERE id = ?1";

static int find_stored(struct store *store, int64_t number, struct stored *stored_out,
		       struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_message, why);

	*stored_out = (struct stored){.found = false};
	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	code = query_row(&query, &stored_out->found, why);
	if (code != ERR_OK || !stored_out->found)
		return code;
	stored_out->id = query_take_ulid(&query);
	stored_out->bytes = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static const char sql_whose[] =
	"SELECT uid, size, scope, sender, origin FROM message WHERE id = ?1";

static int tell_deleted(struct store *store, int64_t number, const char *actor, int64_t now,
			struct err *why)
{
	struct news news = {.kind = NEWS_DELETED, .at = now, .has_message = true, .actor = actor};
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_whose, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	news.message = query_take_ulid(&query);
	news.size = query_take_int(&query);
	news.scope = query_take_text(&query);
	news.sender = query_take_text(&query);
	news.origin = query_take_text(&query);
	tell_message(store, &news);
	query_end(&query);
	return ERR_OK;
}

static int remove_all(struct store *store, int64_t number, const struct stored *stored,
		      struct err *why)
{
	int code = remove_rows(store, number, why);

	if (code == ERR_OK && stored->bytes > 0)
		code = remove_bytes(store, number, stored->bytes, why);
	if (code == ERR_OK)
		counters_message(&store->counters, -1, -stored->bytes);
	return code;
}

int message_remove(struct store *store, int64_t number, const char *actor, int64_t now,
		   struct err *why)
{
	struct stored stored;
	int code = find_stored(store, number, &stored, why);

	if (code != ERR_OK || !stored.found)
		return code;
	code = write_audit(store, number, &stored.id, actor, now, why);
	if (code == ERR_OK)
		code = tell_deleted(store, number, actor, now, why);
	return code == ERR_OK ? remove_all(store, number, &stored, why) : code;
}

static const char sql_behind[] =
	"SELECT id FROM recipient WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1 OFFSET ?3";

/* The first one behind as many as go at once; 0: there are not so many. */
static int find_behind(struct store *store, int64_t number, int64_t *behind_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_behind, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	query_give_int(&query, RECIPIENTS_AT_ONCE);
	return query_only_int(&query, 0, behind_out, why);
}

/* From the front: who stands for others is behind them. */
int message_forget(struct store *store, int64_t number, int64_t *bytes_out, bool *whole_out,
		   struct err *why)
{
	struct stored stored;
	int64_t behind = 0;
	int code = find_stored(store, number, &stored, why);

	*bytes_out = 0;
	*whole_out = true;
	if (code == ERR_OK && stored.found)
		code = find_behind(store, number, &behind, why);
	if (code != ERR_OK || !stored.found)
		return code;
	if (behind > 0) {
		*whole_out = false;
		return remove_recipients(store, (struct parts){part_id(number, 0), behind}, why);
	}
	*bytes_out = stored.bytes;
	code = tell_deleted(store, number, NULL, clock_wall_ms(), why);
	return code == ERR_OK ? remove_all(store, number, &stored, why) : code;
}

/* --- content alone --------------------------------------------------------------------------- */

static const char sql_removed[] = "UPDATE message SET removed_at = ?2 WHERE id = ?1";
static const char sql_empty[] = "UPDATE finished SET kinds = ?2 WHERE message = ?1";

static int set_for_message(struct store *store, const char *sql, int64_t number, int64_t value,
			   struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	query_give_int(&query, value);
	return query_run(&query, why);
}

int message_empty(struct store *store, int64_t number, int64_t now, int64_t *bytes_out,
		  struct err *why)
{
	struct stored stored;
	int code = find_stored(store, number, &stored, why);

	if (code == ERR_OK && stored.bytes > 0)
		code = remove_bytes(store, number, stored.bytes, why);
	if (code == ERR_OK)
		code = set_for_message(store, sql_removed, number, now, why);
	if (code == ERR_OK)
		code = set_for_message(store, sql_empty, number, FINISHED_EMPTY, why);
	if (code == ERR_OK)
		counters_message(&store->counters, 0, -stored.bytes);
	if (code == ERR_OK)
		*bytes_out = stored.bytes;
	return code;
}
