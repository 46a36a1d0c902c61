/* queue/list.c - pages of messages and of recipients, by key and never by offset */
#include <string.h>

#include "queue/connection.h"
#include "queue/reader.h"
#include "queue/writer.h"

/* instr() looks for the text as it is: no wildcards, nothing to escape. lower() folds ASCII only.
 */
#define MATCHES(column, number)                                                                    \
	" AND (" number " IS NULL OR instr(lower(" column "), lower(" number ")) > 0)"
#define MESSAGE_FILTER                                                                             \
	" AND m.received_at >= ?3 AND m.received_at < ?4" MATCHES("m.sender", "?5")                \
		MATCHES("coalesce(m.subject, '')", "?6")

static const char *text_or_null(const char *text)
{
	return text != NULL && text[0] != '\0' ? text : NULL;
}

/* ?3 to ?8 of both statements. */
static void give_filter(struct query *query, const struct message_query *filter)
{
	query_give_int(query, filter->since);
	query_give_int(query, filter->until > 0 ? filter->until : INT64_MAX);
	query_give_text(query, text_or_null(filter->from));
	query_give_text(query, text_or_null(filter->subject));
	query_give_text(query, text_or_null(filter->to));
	query_give_int(query, filter->state);
}

/* --- messages ------------------------------------------------------------------------ */

static const char sql_messages[] =
	"SELECT m.id," MESSAGE_COLUMNS " FROM message m WHERE m.uid < ?1" MESSAGE_FILTER
	" AND ((?7 IS NULL AND ?8 = 0) OR EXISTS (SELECT 1 FROM recipient r"
	" WHERE r.id >= m.id << 16 AND r.id < (m.id + 1) << 16 AND (?8 = 0 OR r.state = "
	"?8)" MATCHES("r.address", "?7") "))"
					 " ORDER BY m.uid DESC LIMIT ?2";

/* Sorts behind every id there is: one octet more than the highest. */
static const unsigned char past_the_last[17] = {255, 255, 255, 255, 255, 255, 255, 255, 255,
						255, 255, 255, 255, 255, 255, 255, 255};

static int read_messages(struct db *db, const struct message_query *filter, struct arena *arena,
			 struct message_view *views, int64_t *numbers, size_t *count_out,
			 struct err *why)
{
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, db, sql_messages, why);

	if (code != ERR_OK)
		return code;
	if (filter->has_before)
		query_give_ulid(&query, &filter->before);
	else
		query_give_bytes(&query, past_the_last, sizeof(past_the_last));
	query_give_int(&query, reader_limit(filter->limit));
	give_filter(&query, filter);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		numbers[count] = query_take_int(&query);
		message_take(&query, arena, &views[count].m);
		count++;
	}
	*count_out = count;
	return code;
}

static const char sql_by_state[] =
	"SELECT state, count(*) FROM recipient WHERE id >= ?1 AND id < ?2 GROUP BY state";

static int count_states(struct db *db, int64_t number, struct message_view *view, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_by_state, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t state = query_take_int(&query);
		int64_t count = query_take_int(&query);

		if (state > 0 && state < STATE_COUNT)
			view->by_state[state] = count;
	}
	return code;
}

static int complete(struct db *db, const struct message_query *filter, struct arena *arena,
		    struct message_view *views, const int64_t *numbers, size_t count,
		    struct err *why)
{
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < count; i++) {
		code = count_states(db, numbers[i], &views[i], why);
		if (code == ERR_OK && filter->with_recipients)
			code = recipients_read(db, numbers[i], false, arena, &views[i], why);
	}
	return code;
}

int queue_message_list(struct store_reader *reader, const struct message_query *filter,
		       struct arena *arena, struct message_view **views_out, size_t *count_out,
		       struct err *why)
{
	size_t room = (size_t)reader_limit(filter->limit);
	struct message_view *views = arena_array(arena, room, sizeof(*views));
	int64_t *numbers = mem_array(room, sizeof(*numbers));
	size_t count = 0;
	int code = reader_begin(reader, why);

	if (code == ERR_OK)
		code = read_messages(reader_db(reader), filter, arena, views, numbers, &count, why);
	if (code == ERR_OK)
		code = complete(reader_db(reader), filter, arena, views, numbers, count, why);
	reader_end(reader);
	mem_free(numbers);
	if (code == ERR_OK) {
		*views_out = views;
		*count_out = count;
	}
	return code;
}

/* --- recipients ------------------------------------------------------------------------ */

/* CROSS JOIN: recipients lead, so that a page costs what it shows. */
#define RECIPIENTS_MATCHING                                                                        \
	" FROM recipient r CROSS JOIN message m ON m.id = r.id >> 16"                              \
	" WHERE (?8 = 0 OR r.state = ?8) AND (?9 = 0 OR (?9 >> r.state & 1) = 1)" MATCHES(         \
		"r.address", "?7") MATCHES("coalesce(r.reason, r.verdict_reason, '')", "?10")      \
		MESSAGE_FILTER
#define RECIPIENTS_PAGE " AND r.id < ?1 ORDER BY r.id DESC LIMIT ?2"

static const char sql_recipients[] =
	"SELECT m.uid, m.sender, m.scope, m.size, m.received_at," RECIPIENT_COLUMNS
		RECIPIENTS_MATCHING RECIPIENTS_PAGE;
static const char sql_ids[] = "SELECT r.id" RECIPIENTS_MATCHING RECIPIENTS_PAGE;
static const char sql_matching[] = "SELECT count(*)" RECIPIENTS_MATCHING " AND ?1 > 0 AND ?2 > 0";

static int begin_recipients(struct query *query, struct store_reader *reader, const char *sql,
			    const struct recipient_query *filter, int64_t limit, struct err *why)
{
	int code = query_begin(query, reader_db(reader), sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(query, filter->before_id > 0 ? filter->before_id : INT64_MAX);
	query_give_int(query, limit);
	give_filter(query, &filter->message);
	query_give_int(query, (int64_t)filter->states);
	query_give_text(query, text_or_null(filter->reason));
	return ERR_OK;
}

int queue_recipient_list(struct store_reader *reader, const struct recipient_query *filter,
			 struct arena *arena, struct recipient_row **rows_out, size_t *count_out,
			 struct err *why)
{
	size_t room = (size_t)reader_limit(filter->limit);
	struct recipient_row *rows = arena_array(arena, room, sizeof(*rows));
	struct query query;
	size_t count = 0;
	bool row;
	int code = begin_recipients(&query, reader, sql_recipients, filter, (int64_t)room, why);

	if (code != ERR_OK)
		return code;
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct recipient_row *at = &rows[count++];

		at->recipient.message = query_take_ulid(&query);
		at->sender = query_take_copy(&query, arena);
		at->scope = query_take_copy(&query, arena);
		at->size = query_take_int(&query);
		at->received_at = query_take_int(&query);
		recipient_take(&query, arena, &at->recipient);
	}
	if (code == ERR_OK) {
		*rows_out = rows;
		*count_out = count;
	}
	return code;
}

int queue_recipient_ids(struct store_reader *reader, const struct recipient_query *filter,
			int64_t *ids_out, size_t *count_out, struct err *why)
{
	struct query query;
	size_t count = 0;
	bool row;
	int code = begin_recipients(&query, reader, sql_ids, filter, (int64_t)filter->limit, why);

	if (code != ERR_OK)
		return code;
	while ((code = query_row(&query, &row, why)) == ERR_OK && row)
		ids_out[count++] = query_take_int(&query);
	if (code == ERR_OK)
		*count_out = count;
	return code;
}

int queue_recipient_count(struct store_reader *reader, const struct recipient_query *filter,
			  int64_t *count_out, struct err *why)
{
	struct query query;
	int code = begin_recipients(&query, reader, sql_matching, filter, 1, why);

	return code == ERR_OK ? query_only_int(&query, 0, count_out, why) : code;
}

/* The index of leases: what is in hand, not what is stored. */
static const char sql_in_flight[] =
	"SELECT count(*) FROM recipient WHERE lease IS NOT NULL AND entry = ?1 AND state = ?2";

int queue_in_flight(struct store_reader *reader, int64_t entry, int64_t *count_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, reader_db(reader), sql_in_flight, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, entry);
	query_give_int(&query, STATE_DELIVERING);
	return query_only_int(&query, 0, count_out, why);
}
