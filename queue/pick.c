/* queue/pick.c - the messages and recipients that are asked for, newest first */
#include "queue/pick.h"

#include <string.h>

#include "base/clock.h"
#include "queue/writer.h"

static const char sql_by_id[] = "SELECT id FROM message WHERE uid = ?1";

/* A message that `q` names by its id; 0: it does not. */
static int find_named(struct pick *pick, const char *q, int64_t *message_out, struct err *why)
{
	struct query query;
	struct ulid id;
	int code;

	*message_out = 0;
	if (q == NULL || ulid_parse(span_trim(span_of(q)), &id) != ERR_OK)
		return ERR_OK;
	code = query_begin(&query, reader_db(pick->reader), sql_by_id, why);
	if (code != ERR_OK)
		return code;
	query_give_ulid(&query, &id);
	return query_only_int(&query, 0, message_out, why);
}

int pick_begin(struct pick *pick, struct store_reader *reader, const struct recipient_query *query,
	       int64_t below, struct err *why)
{
	int64_t time_ms = query->message.time_ms;
	struct recipient_query asked = *query;
	int64_t only = 0;
	int code;

	memset(pick, 0, sizeof(*pick));
	pick->reader = reader;
	pick->arena = arena_new();
	code = reader_begin(reader, why);
	if (code == ERR_OK)
		code = find_named(pick, asked.message.q, &only, why);
	if (only > 0)
		asked.message.q = NULL;
	match_init(&pick->match, &asked, pick->arena);
	walk_init(&pick->walk, reader_db(reader), &pick->match, below,
		  time_ms > 0 ? clock_mono_us() + time_ms * 1000 : 0);
	pick->walk.only = only;
	return code;
}

void pick_end(struct pick *pick)
{
	walk_release(&pick->walk);
	reader_end(pick->reader);
	arena_free(&pick->arena);
}

bool pick_is_late(const struct pick *pick)
{
	return pick->walk.is_late;
}

int64_t pick_below(const struct pick *pick)
{
	return pick->walk.below;
}

/* --- one message ---------------------------------------------------------------- */

static const char sql_texts[] =
	"SELECT received_at, scope, sender, subject, message_id FROM message WHERE id = ?1";

static int look_at_message(struct pick *pick, int64_t message, bool *fits_out, unsigned *open_out,
			   struct err *why)
{
	struct match_texts texts;
	struct query query;
	int code = query_begin(&query, reader_db(pick->reader), sql_texts, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, message);
	code = query_row(&query, fits_out, why);
	if (code != ERR_OK || !*fits_out)
		return code;
	texts.received_at = query_take_int(&query);
	texts.scope = span_of(query_take_text(&query));
	texts.sender = span_of(query_take_text(&query));
	texts.subject = span_of(query_take_text(&query));
	texts.message_id = span_of(query_take_text(&query));
	*fits_out = match_message(&pick->match, &texts, open_out);
	query_end(&query);
	return ERR_OK;
}

static const char sql_recipients[] =
	"SELECT id, address, state, coalesce(reason, verdict_reason) FROM recipient"
	" WHERE id >= ?1 AND id < ?2 ORDER BY id DESC";

static int begin_recipients(struct pick *pick, struct query *query, int64_t message, int64_t below,
			    struct err *why)
{
	int64_t end = part_id(message + 1, 0);
	int code = query_begin(query, reader_db(pick->reader), sql_recipients, why);

	if (code != ERR_OK)
		return code;
	query_give_int(query, part_id(message, 0));
	query_give_int(query, below > 0 && below < end ? below : end);
	return ERR_OK;
}

static int64_t take_recipient(struct query *query, struct match_recipient *recipient_out)
{
	int64_t id = query_take_int(query);

	recipient_out->address = span_of(query_take_text(query));
	recipient_out->state = state_of_number(query_take_int(query));
	recipient_out->reason = span_of(query_take_text(query));
	return id;
}

/* Is there one that fits, and are there those that have the open words? */
static int look_at_recipients(struct pick *pick, int64_t message, bool *fits_out, struct err *why)
{
	unsigned open = pick->open;
	bool found = false;
	struct query query;
	bool row = true;
	int code = begin_recipients(pick, &query, message, 0, why);

	while (code == ERR_OK && (!found || open != 0) &&
	       (code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct match_recipient recipient;

		(void)take_recipient(&query, &recipient);
		open = match_open(&pick->match, recipient.address, open);
		found = found || match_recipient(&pick->match, &recipient);
	}
	if (code == ERR_OK && row)
		query_end(&query);
	*fits_out = found && open == 0;
	return code;
}

static int look_at(struct pick *pick, int64_t message, bool *fits_out, struct err *why)
{
	int code = look_at_message(pick, message, fits_out, &pick->open, why);

	if (code != ERR_OK || !*fits_out || pick->of_recipients ||
	    (pick->open == 0 && !match_asks_recipients(&pick->match)))
		return code;
	return look_at_recipients(pick, message, fits_out, why);
}

int pick_message(struct pick *pick, int64_t *message_out, struct err *why)
{
	bool fits = false;
	int code = ERR_OK;

	*message_out = 0;
	while (code == ERR_OK && !fits) {
		int64_t message;

		code = walk_next(&pick->walk, &message, why);
		if (code != ERR_OK || message == 0)
			return code;
		code = look_at(pick, message, &fits, why);
		if (fits)
			*message_out = message;
	}
	return code;
}

/* --- its recipients -------------------------------------------------------------- */

int pick_recipients(struct pick *pick, int64_t message, int64_t below, size_t max, int64_t *ids_out,
		    size_t *count_out, struct err *why)
{
	struct query query;
	size_t count = 0;
	bool row = true;
	int code = begin_recipients(pick, &query, message, below, why);

	while (code == ERR_OK && count < max && (code = query_row(&query, &row, why)) == ERR_OK &&
	       row) {
		struct match_recipient recipient;
		int64_t id = take_recipient(&query, &recipient);

		if (match_recipient(&pick->match, &recipient) &&
		    match_open(&pick->match, recipient.address, pick->open) == 0)
			ids_out[count++] = id;
	}
	if (code == ERR_OK && row)
		query_end(&query);
	*count_out = count;
	return code;
}
