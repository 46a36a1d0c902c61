/* queue/handin.c - a message that somebody handed in by the API */
#include "queue/handin.h"

#include <string.h>

#include "base/clock.h"
#include "queue/connection.h"
#include "queue/writer.h"

#define FORGET_ROWS 64
#define LOOK_MS	    ((int64_t)60 * 60 * 1000)

/* --- keys ----------------------------------------------------------------------------- */

static const char sql_find[] = "SELECT request, answer FROM handin WHERE key = ?1 AND at > ?2";

static int begin_find(struct query *query, struct db *db, const unsigned char *key, int64_t now,
		      struct err *why)
{
	int code = query_begin(query, db, sql_find, why);

	if (code != ERR_OK)
		return code;
	query_give_bytes(query, key, SECRET_SHA256_BYTES);
	query_give_int(query, now - HANDIN_KEY_MS);
	return ERR_OK;
}

int queue_handin_find(struct store_reader *reader, const unsigned char *key, int64_t now,
		      struct arena *arena, struct handin_past *past_out, struct err *why)
{
	struct query query;
	struct span request;
	struct span answer;
	bool row;
	int code = begin_find(&query, reader_db(reader), key, now, why);

	if (code != ERR_OK || (code = query_row(&query, &row, why)) != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_NOT_FOUND, "the key is new");
	request = query_take_bytes(&query);
	answer = query_take_bytes(&query);
	if (request.len == sizeof(past_out->request)) {
		memcpy(past_out->request, request.data, request.len);
		past_out->answer = span_make(arena_span_dup(arena, answer), answer.len);
	} else {
		code = err_set(why, ERR_IO, "what is kept of the key is damaged");
	}
	query_end(&query);
	return code;
}

int handin_check(struct store *store, const struct new_message *message, struct err *why)
{
	struct query query;
	bool row;
	int code;

	if (message->handin == NULL || message->handin->key == NULL)
		return ERR_OK;
	code = begin_find(&query, &store->db, message->handin->key, message->received_at, why);
	if (code != ERR_OK || (code = query_row(&query, &row, why)) != ERR_OK || !row)
		return code;
	query_end(&query);
	return err_set(why, ERR_CONFLICT, "the key was used already");
}

/* An old one may not have been forgotten yet. */
static const char sql_keep[] =
	"INSERT OR REPLACE INTO handin(key, at, request, answer) VALUES(?1, ?2, ?3, ?4)";

static int keep_answer(struct store *store, const struct new_message *message, struct err *why)
{
	const struct handin *handin = message->handin;
	struct query query;
	int code = query_begin(&query, &store->db, sql_keep, why);

	if (code != ERR_OK)
		return code;
	query_give_bytes(&query, handin->key, SECRET_SHA256_BYTES);
	query_give_int(&query, message->received_at);
	query_give_bytes(&query, handin->request, SECRET_SHA256_BYTES);
	query_give_bytes(&query, handin->answer.data, handin->answer.len);
	return query_run(&query, why);
}

/* An answer names people: it is not kept for longer than it is good for. */
static const char sql_forget[] = "DELETE FROM handin WHERE id IN"
				 " (SELECT id FROM handin WHERE at <= ?1 ORDER BY at LIMIT ?2)";

bool handin_is_due(struct store *store)
{
	return clock_mono_ms() >= store->handin_look_ms;
}

int handin_forget(struct store *store, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_forget, why);

	store->handin_look_ms = clock_mono_ms() + LOOK_MS;
	if (code != ERR_OK)
		return code;
	query_give_int(&query, clock_wall_ms() - HANDIN_KEY_MS);
	query_give_int(&query, FORGET_ROWS);
	code = query_run(&query, why);
	if (code == ERR_OK && sqlite3_changes64(store->db.handle) == FORGET_ROWS)
		store->handin_look_ms = 0; /* there may be more */
	return code;
}

/* --- the trail ------------------------------------------------------------------------- */

static const char sql_audit[] =
	"INSERT INTO audit(at, actor, action, subject, after)"
	" SELECT received_at, ?2, 'message.create', ?3, json_object('sender', sender, 'size', size,"
	" 'recipients', (SELECT json_group_array(address)"
	" FROM (SELECT address FROM recipient WHERE id >= ?4 AND id < ?5 ORDER BY id LIMIT 100)))"
	" FROM message WHERE id = ?1";

static int write_audit(struct store *store, int64_t number, const struct new_message *message,
		       struct err *why)
{
	char text[ULID_TEXT_SIZE];
	struct query query;
	int code = query_begin(&query, &store->db, sql_audit, why);

	if (code != ERR_OK)
		return code;
	ulid_format(&message->id, text);
	query_give_int(&query, number);
	query_give_text(&query, message->handin->actor);
	query_give_text(&query, text);
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	return query_run(&query, why);
}

int handin_store(struct store *store, int64_t number, const struct new_message *message,
		 struct err *why)
{
	int code;

	if (message->handin == NULL)
		return ERR_OK;
	code = write_audit(store, number, message, why);
	return code == ERR_OK && message->handin->key != NULL ? keep_answer(store, message, why)
							      : code;
}
