/* queue/show.c - one message: its rows, its story, its bytes */
#include <string.h>

#include "queue/connection.h"
#include "queue/delivery.h"
#include "queue/history.h"
#include "queue/proof.h"
#include "queue/reader.h"
#include "queue/writer.h"

void message_take(struct query *query, struct arena *arena, struct new_message *message)
{
	message->id = query_take_ulid(query);
	message->received_at = query_take_int(query);
	message->sender = query_take_copy(query, arena);
	message->size = query_take_int(query);
	message->header_size = query_take_int(query);
	message->header_parsed = query_take_bool(query);
	message->body_8bit = query_take_bool(query);
	message->smtputf8 = query_take_bool(query);
	message->envid = query_take_copy(query, arena);
	message->ret = query_take_copy(query, arena);
	message->bare_cr = query_take_int(query);
	message->bare_lf = query_take_int(query);
	message->listener = query_take_copy(query, arena);
	message->scope = query_take_copy(query, arena);
	message->client_address = query_take_copy(query, arena);
	message->client_port = (int)query_take_int(query);
	message->client_name = query_take_copy(query, arena);
	message->helo = query_take_copy(query, arena);
	message->protocol = query_take_copy(query, arena);
	message->user = query_take_copy(query, arena);
	message->tls = query_take_copy(query, arena);
	message->subject = query_take_copy(query, arena);
	message->message_id = query_take_copy(query, arena);
	message->received_field = query_take_copy(query, arena);
	message->origin = query_take_copy(query, arena);
	message->certificate_subject = query_take_copy(query, arena);
	message->certificate_sha256 = query_take_copy(query, arena);
	message->added_fields = query_take_copy(query, arena);
	message->command = query_take_copy(query, arena);
	message->removed_at = query_take_int(query);
}

void recipient_take(struct query *query, struct arena *arena, struct recipient_view *recipient)
{
	recipient->id = query_take_int(query);
	recipient->address = query_take_copy(query, arena);
	recipient->state = state_of_number(query_take_int(query));
	recipient->wish = (enum wish)query_take_int(query);
	recipient->ruling.verdict = query_take_copy(query, arena);
	recipient->ruling.reason = query_take_copy(query, arena);
	recipient->ruling.entry = query_take_int(query);
	recipient->ruling.revision = query_take_int(query);
	recipient->ruling.nearest = query_take_copy(query, arena);
	recipient->reason = query_take_copy(query, arena);
	recipient->route = query_take_copy(query, arena);
	recipient->attempts = (int)query_take_int(query);
	recipient->next_attempt_at = query_take_int(query);
	recipient->reply_code = (int)query_take_int(query);
	recipient->reply_enhanced = query_take_copy(query, arena);
	recipient->reply_text = query_take_copy(query, arena);
	recipient->notify = query_take_copy(query, arena);
	recipient->orcpt = query_take_copy(query, arena);
	recipient->origin = query_take_copy(query, arena);
	recipient->updated_at = query_take_int(query);
	recipient->kind = query_take_copy(query, arena);
	recipient->ruling.redirect_to = query_take_copy(query, arena);
	recipient->ruling.rule = query_take_copy(query, arena);
}

static const char sql_count[] = "SELECT count(*) FROM recipient WHERE id >= ?1 AND id < ?2";

static int count_recipients(struct db *db, int64_t number, size_t *count_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_count, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	*count_out = (size_t)query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static const char sql_recipients[] = "SELECT" RECIPIENT_COLUMNS
				     ", r.accepted_state FROM recipient r"
				     " WHERE r.id >= ?1 AND r.id < ?2 ORDER BY r.id";

static int read_rows(struct db *db, int64_t number, const struct ulid *id, struct arena *arena,
		     struct recipient_view *recipients, size_t count, enum state *accepted,
		     struct err *why)
{
	struct query query;
	size_t at = 0;
	bool row;
	int code = query_begin(&query, db, sql_recipients, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	while ((code = query_row(&query, &row, why)) == ERR_OK && row && at < count) {
		recipients[at].message = *id;
		recipient_take(&query, arena, &recipients[at]);
		accepted[at++] = state_of_number(query_take_int(&query));
	}
	return code;
}

int recipients_read(struct db *db, int64_t number, bool with_history, struct arena *arena,
		    struct message_view *view, struct err *why)
{
	struct recipient_view *recipients;
	enum state *accepted;
	size_t count = 0;
	int code = count_recipients(db, number, &count, why);

	if (code != ERR_OK)
		return code;
	recipients = arena_array(arena, count, sizeof(*recipients));
	accepted = arena_array(arena, count, sizeof(*accepted));
	code = read_rows(db, number, &view->m.id, arena, recipients, count, accepted, why);
	for (size_t i = 0; code == ERR_OK && with_history && i < count; i++)
		code = history_read(db, &recipients[i], &view->m, accepted[i], arena,
				    &recipients[i].history, &recipients[i].history_count, why);
	if (code == ERR_OK) {
		view->recipients = recipients;
		view->recipient_count = count;
	}
	return code;
}

static const char sql_message[] = "SELECT m.id," MESSAGE_COLUMNS " FROM message m WHERE m.uid = ?1";

static int read_message(struct db *db, const struct ulid *id, struct arena *arena,
			struct message_view *view, int64_t *number_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_message, why);

	if (code != ERR_OK)
		return code;
	query_give_ulid(&query, id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_NOT_FOUND, "there is no such message");
	*number_out = query_take_int(&query);
	message_take(&query, arena, &view->m);
	query_end(&query);
	return ERR_OK;
}

int queue_message_read(struct store_reader *reader, const struct ulid *id, struct arena *arena,
		       struct new_message *message_out, struct err *why)
{
	struct message_view view = {0};
	int64_t number;
	int code = read_message(reader_db(reader), id, arena, &view, &number, why);

	if (code == ERR_OK)
		*message_out = view.m;
	return code;
}

int queue_message_show(struct store_reader *reader, const struct ulid *id, struct arena *arena,
		       struct message_view *view_out, struct err *why)
{
	struct db *db = reader_db(reader);
	struct message_view view = {0};
	int64_t number = 0;
	int code = reader_begin(reader, why);

	if (code == ERR_OK)
		code = read_message(db, id, arena, &view, &number, why);
	if (code == ERR_OK)
		code = recipients_read(db, number, true, arena, &view, why);
	reader_end(reader);
	if (code != ERR_OK)
		return code;
	for (size_t i = 0; i < view.recipient_count; i++)
		view.by_state[view.recipients[i].state]++;
	*view_out = view;
	return ERR_OK;
}

/* --- bytes ------------------------------------------------------------------------- */

static const char sql_chunk[] =
	"SELECT m.removed_at IS NOT NULL, m.size, c.data, c.proof IS NULL, c.proof, c.id,"
	" (SELECT value FROM meta WHERE name = 'database')"
	" FROM message m LEFT JOIN chunk c ON c.id = (m.id << 16) + ?2 WHERE m.uid = ?1";

static int64_t expected_len(int64_t size, int64_t sequence)
{
	int64_t left = size - sequence * BODY_CHUNK_BYTES;

	if (left <= 0)
		return 0;
	return left < BODY_CHUNK_BYTES ? left : BODY_CHUNK_BYTES;
}

/* A hole in a message must never look like its end. */
static int take_chunk(struct query *query, int64_t sequence, struct buf *out, struct err *why)
{
	int64_t expected = expected_len(query_take_int(query), sequence);
	struct span data = query_take_bytes(query);
	bool is_old = query_take_bool(query);
	int64_t proof = query_take_int(query);
	int64_t chunk = query_take_int(query);

	if ((int64_t)data.len != expected ||
	    (!is_old && proof != proof_of_chunk(query_take_int(query), chunk, data)))
		return err_set(why, ERR_IO, "chunk %lld of the message is missing or damaged",
			       (long long)sequence);
	return buf_append_span(out, data) == ERR_OK
		       ? ERR_OK
		       : err_set(why, ERR_LIMIT, "no room for a chunk of %zu bytes", data.len);
}

int queue_body_read(struct store_reader *reader, const struct ulid *id, int64_t sequence,
		    struct buf *out, struct err *why)
{
	struct query query;
	bool row;
	int code;

	if (sequence < 0 || sequence >= MESSAGE_PARTS_MAX)
		return ERR_OK;
	code = query_begin(&query, reader_db(reader), sql_chunk, why);
	if (code != ERR_OK)
		return code;
	query_give_ulid(&query, id);
	query_give_int(&query, sequence);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_NOT_FOUND, "there is no such message");
	if (query_take_bool(&query))
		code = err_set(why, ERR_NOT_FOUND,
			       "the content of the message is gone: retention removed it");
	else
		code = take_chunk(&query, sequence, out, why);
	query_end(&query);
	return code;
}
