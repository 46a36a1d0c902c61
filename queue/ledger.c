/* queue/ledger.c - recipients across messages: pages of them, and their numbers */
#include "queue/connection.h"
#include "queue/pick.h"
#include "queue/reader.h"
#include "queue/writer.h"

#define TAKEN_AT_ONCE 1024

static const char sql_row[] =
	"SELECT m.uid, m.sender, m.scope, m.size, m.received_at," RECIPIENT_COLUMNS
	" FROM recipient r CROSS JOIN message m ON m.id = r.id >> 16 WHERE r.id = ?1";

static int read_row(struct db *db, int64_t id, struct arena *arena, struct recipient_row *row_out,
		    struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_row, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	row_out->recipient.message = query_take_ulid(&query);
	row_out->sender = query_take_copy(&query, arena);
	row_out->scope = query_take_copy(&query, arena);
	row_out->size = query_take_int(&query);
	row_out->received_at = query_take_int(&query);
	recipient_take(&query, arena, &row_out->recipient);
	query_end(&query);
	return ERR_OK;
}

/* The message that holds the highest number below `before_id`, and one more. */
static int64_t message_below(int64_t before_id)
{
	return before_id > 0 ? message_of(before_id - 1) + 1 : 0;
}

struct ids {
	int64_t *ids;
	size_t count;
	size_t room;
};

/* Those of one message, from `below` down; 0: all. */
static int take_of(struct pick *pick, int64_t message, int64_t below, struct ids *ids,
		   struct err *why)
{
	size_t count = 0;
	int code = pick_recipients(pick, message, below, ids->room - ids->count,
				   ids->ids + ids->count, &count, why);

	ids->count += count;
	return code;
}

static int take_ids(struct pick *pick, struct store_reader *reader,
		    const struct recipient_query *filter, struct ids *ids, struct err *why)
{
	int64_t message = 1;
	int code = pick_begin(pick, reader, filter, message_below(filter->before_id), why);

	pick->of_recipients = true;
	while (code == ERR_OK && message > 0 && ids->count < ids->room) {
		code = pick_message(pick, &message, why);
		if (code == ERR_OK && message > 0)
			code = take_of(pick, message, filter->before_id, ids, why);
	}
	return code;
}

/* One more was looked for than the page holds: it tells whether there is another page. */
static void end_page(const struct pick *pick, const struct ids *ids, struct recipient_page *page)
{
	page->more = page->is_late = pick_is_late(pick);
	page->next = part_id(pick_below(pick), 0);
	page->count = ids->count;
	if (ids->count < ids->room)
		return;
	page->more = true;
	page->is_late = false;
	page->count--;
	page->next = ids->ids[page->count - 1];
}

int queue_recipient_list(struct store_reader *reader, const struct recipient_query *filter,
			 struct arena *arena, struct recipient_page *page_out, struct err *why)
{
	struct ids ids = {.room = (size_t)reader_limit(filter->limit) + 1};
	struct recipient_page page = {NULL, 0, false, false, 0};
	struct pick pick;
	int code;

	ids.ids = mem_array(ids.room, sizeof(*ids.ids));
	page.rows = arena_array(arena, ids.room, sizeof(*page.rows));
	code = take_ids(&pick, reader, filter, &ids, why);
	end_page(&pick, &ids, &page);
	for (size_t i = 0; code == ERR_OK && i < page.count; i++)
		code = read_row(reader_db(reader), ids.ids[i], arena, &page.rows[i], why);
	pick_end(&pick);
	mem_free(ids.ids);
	if (code == ERR_OK)
		*page_out = page;
	return code;
}

int queue_recipient_ids(struct store_reader *reader, const struct recipient_query *filter,
			int64_t *ids_out, size_t *count_out, struct err *why)
{
	struct ids ids = {.ids = ids_out, .room = filter->limit};
	struct pick pick;
	int code = take_ids(&pick, reader, filter, &ids, why);

	pick_end(&pick);
	if (code == ERR_OK)
		*count_out = ids.count;
	return code;
}

int queue_recipient_count(struct store_reader *reader, const struct recipient_query *filter,
			  int64_t *count_out, struct err *why)
{
	int64_t taken[TAKEN_AT_ONCE];
	int64_t message = 0;
	int64_t sum = 0;
	struct pick pick;
	int code = pick_begin(&pick, reader, filter, 0, why);

	pick.of_recipients = true;
	while (code == ERR_OK && (code = pick_message(&pick, &message, why)) == ERR_OK &&
	       message > 0) {
		int64_t below = 0;
		size_t count = 1;

		while (code == ERR_OK && count > 0) {
			code = pick_recipients(&pick, message, below, TAKEN_AT_ONCE, taken, &count,
					       why);
			sum += (int64_t)count;
			below = count > 0 ? taken[count - 1] : 0;
		}
	}
	pick_end(&pick);
	if (code == ERR_OK)
		*count_out = sum;
	return code;
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
