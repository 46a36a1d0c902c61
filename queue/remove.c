/* queue/remove.c - taking a message out of the store */
#include "queue/remove.h"

#include "queue/audit.h"
#include "queue/message.h"
#include "queue/upkeep.h"

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

static int run_for_parts(struct store *store, const char *sql, int64_t number, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
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

static int uncount(struct store *store, int64_t number, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_states, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		enum state state = (enum state)query_take_int(&query);
		int64_t count = query_take_int(&query);

		while (count-- > 0)
			counters_move(&store->counters, state, 0);
	}
	return code;
}

/*
 * What was there, in the words of the outside: the trail outlives the message. The self-test's
 * comes and goes with each start and is nobody's.
 */
static const char sql_audit[] =
	"INSERT INTO audit(at, actor, action, subject, before)"
	" SELECT ?2, ?3, 'message.delete', ?4, json_object('sender', sender, 'size', size,"
	" 'received_at', received_at, 'recipients', (SELECT json_group_array(address)"
	" FROM (SELECT address FROM recipient WHERE id >= ?5 AND id < ?6 ORDER BY id LIMIT 100)))"
	" FROM message WHERE id = ?1 AND origin IS NOT 'selftest'";

static int write_audit(struct store *store, int64_t number, const struct ulid *id,
		       const char *actor, int64_t now, struct err *why)
{
	char text[ULID_TEXT_SIZE];
	struct query query;
	int code = query_begin(&query, &store->db, sql_audit, why);

	if (code != ERR_OK)
		return code;
	ulid_format(id, text);
	query_give_int(&query, number);
	query_give_int(&query, now);
	query_give_text(&query, actor);
	query_give_text(&query, text);
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	return query_run(&query, why);
}

static const char sql_message[] = "SELECT uid, size FROM message WHERE id = ?1";
static const char sql_delete_history[] =
	"DELETE FROM history WHERE recipient >= ?1 AND recipient < ?2";
static const char sql_delete_recipients[] = "DELETE FROM recipient WHERE id >= ?1 AND id < ?2";
static const char sql_delete_chunks[] = "DELETE FROM chunk WHERE id >= ?1 AND id < ?2";
static const char sql_delete_message[] = "DELETE FROM message WHERE id = ?1";
static const char sql_doom[] = "INSERT INTO staging(message) VALUES(?1)";
/* The number must not come back after a restart even if this was the highest. */
static const char sql_used[] =
	"UPDATE meta SET value = ?1 + 1 WHERE name = 'next_message' AND value <= ?1";

static int remove_bytes(struct store *store, int64_t number, int64_t size, struct err *why)
{
	int code;

	if (size <= BODY_CHUNK_BYTES)
		return run_for_parts(store, sql_delete_chunks, number, why);
	code = run_for_message(store, sql_doom, number, why);
	if (code == ERR_OK)
		doomed_add(store, number);
	return code;
}

static int remove_rows(struct store *store, int64_t number, struct err *why)
{
	int code = run_for_parts(store, sql_delete_history, number, why);

	if (code == ERR_OK)
		code = run_for_parts(store, sql_delete_recipients, number, why);
	if (code == ERR_OK)
		code = run_for_message(store, sql_delete_message, number, why);
	if (code == ERR_OK)
		code = run_for_message(store, sql_used, number, why);
	return code;
}

int message_remove(struct store *store, int64_t number, const char *actor, int64_t now,
		   struct err *why)
{
	struct query query;
	struct ulid id;
	int64_t size;
	bool row;
	int code = query_begin(&query, &store->db, sql_message, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	id = query_take_ulid(&query);
	size = query_take_int(&query);
	query_end(&query);
	code = write_audit(store, number, &id, actor, now, why);
	if (code == ERR_OK)
		code = uncount(store, number, why);
	if (code == ERR_OK)
		code = remove_rows(store, number, why);
	if (code == ERR_OK)
		code = remove_bytes(store, number, size, why);
	if (code == ERR_OK)
		counters_message(&store->counters, -1, -size);
	return code;
}
