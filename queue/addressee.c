/* queue/addressee.c - who of a message has it, or is on the way to it */
#include "queue/connection.h"
#include "queue/reader.h"

static const char sql_addressees[] = "SELECT r.address, r.released FROM message m JOIN recipient r"
				     " ON r.id >= m.id << 16 AND r.id < (m.id + 1) << 16"
				     " WHERE m.uid = ?1 AND r.state IN (?2, ?3, ?4, ?5)";

/* Room for one more; what it was is left to the arena. */
static struct addressee *grow(struct addressee *rows, size_t count, size_t *room,
			      struct arena *arena)
{
	struct addressee *more;

	if (count < *room)
		return rows;
	*room = *room > 0 ? *room * 2 : 8;
	more = arena_array(arena, *room, sizeof(*more));
	for (size_t i = 0; i < count; i++)
		more[i] = rows[i];
	return more;
}

int queue_message_addressees(struct store_reader *reader, const struct ulid *id,
			     struct arena *arena, const struct addressee **rows_out,
			     size_t *count_out, struct err *why)
{
	struct addressee *rows = NULL;
	struct query query;
	size_t count = 0, room = 0;
	bool row;
	int code = query_begin(&query, reader_db(reader), sql_addressees, why);

	if (code != ERR_OK)
		return code;
	query_give_ulid(&query, id);
	query_give_int(&query, STATE_QUEUED);
	query_give_int(&query, STATE_DEFERRED);
	query_give_int(&query, STATE_DELIVERING);
	query_give_int(&query, STATE_DELIVERED);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		rows = grow(rows, count, &room, arena);
		rows[count].address = query_take_copy(&query, arena);
		rows[count++].released = query_take_bool(&query);
	}
	if (code != ERR_OK)
		return code;
	*rows_out = rows;
	*count_out = count;
	return ERR_OK;
}
