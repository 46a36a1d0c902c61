/* queue/list.c - pages of messages, by key and never by offset */
#include <string.h>

#include "queue/connection.h"
#include "queue/pick.h"
#include "queue/reader.h"
#include "queue/writer.h"

static const char sql_message[] = "SELECT" MESSAGE_COLUMNS " FROM message m WHERE m.id = ?1";

static int read_message(struct db *db, int64_t number, struct arena *arena,
			struct message_view *view, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_message, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	message_take(&query, arena, &view->m);
	query_end(&query);
	return ERR_OK;
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
		    int64_t number, struct message_view *view, struct err *why)
{
	int code = read_message(db, number, arena, view, why);

	if (code == ERR_OK)
		code = count_states(db, number, view, why);
	if (code == ERR_OK && filter->with_recipients)
		code = recipients_read(db, number, false, arena, view, why);
	return code;
}

/* One more than the page holds is looked for: it tells whether there is another page. */
static int fill(struct pick *pick, const struct message_query *filter, struct arena *arena,
		struct message_page *page, struct err *why)
{
	size_t room = (size_t)reader_limit(filter->limit);
	int64_t number;
	int code;

	page->views = arena_array(arena, room, sizeof(*page->views));
	while ((code = pick_message(pick, &number, why)) == ERR_OK && number > 0) {
		page->more = page->count == room;
		if (page->more)
			return ERR_OK;
		code = complete(reader_db(pick->reader), filter, arena, number,
				&page->views[page->count++], why);
		if (code != ERR_OK)
			return code;
		page->next = number;
	}
	page->more = page->is_late = pick_is_late(pick);
	if (page->is_late)
		page->next = pick_below(pick);
	return code;
}

int queue_message_list(struct store_reader *reader, const struct message_query *filter,
		       struct arena *arena, struct message_page *page_out, struct err *why)
{
	struct recipient_query query = {.message = *filter};
	struct message_page page = {NULL, 0, false, false, 0};
	struct pick pick;
	int code = pick_begin(&pick, reader, &query, filter->before, why);

	if (code == ERR_OK)
		code = fill(&pick, filter, arena, &page, why);
	pick_end(&pick);
	if (code == ERR_OK)
		*page_out = page;
	return code;
}
