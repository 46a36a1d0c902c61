/* queue/redirect.c - a recipient that stands for others of its message */
#include "queue/redirect.h"

#include "queue/accept.h"
#include "queue/finished.h"
#include "queue/history.h"
#include "queue/indexer.h"

#define CHAIN_MAX 32 /* of recipients that stand for one another; a longer one is a circle */

static const char sql_same[] = "SELECT" SUBJECT_COLUMNS " FROM recipient WHERE id >= ?1 AND id < ?2"
			       " AND address = ?3 COLLATE NOCASE ORDER BY id";

/* It has the message, or is on its way to. */
static bool gets_it(enum state state)
{
	switch (state) {
	case STATE_SCREENING:
	case STATE_QUEUED:
	case STATE_DEFERRED:
	case STATE_DELIVERING:
	case STATE_DELIVERED: return true;
	default: return false;
	}
}

/*
 * NOCASE folds local parts too: of what it finds, the one with the very mailbox
 * counts. Of two (queue/acting.c) the first one, unless only the other gets it.
 */
static int find_same(struct store *store, int64_t message, const char *address, struct place *place,
		     struct err *why)
{
	struct query query;
	struct subject found;
	bool row;
	int code = query_begin(&query, &store->db, sql_same, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(message, 0));
	query_give_int(&query, part_id(message + 1, 0));
	query_give_text(&query, address);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		subject_take(&query, store->scratch, &found);
		if (!subject_is(&found, address) ||
		    (place->is_taken && (gets_it(place->subject.state) || !gets_it(found.state))))
			continue;
		place->is_taken = true;
		place->subject = found;
	}
	return code;
}

static const char sql_last[] = "SELECT id, lane FROM recipient WHERE id >= ?1 AND id < ?2"
			       " ORDER BY id DESC LIMIT 1";

static int find_end(struct store *store, int64_t message, struct place *place, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_last, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(message, 0));
	query_give_int(&query, part_id(message + 1, 0));
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	place->id = query_take_int(&query) + 1;
	place->lane = query_take_int(&query);
	if (message_of(place->id) != message)
		place->id = 0;
	query_end(&query);
	return ERR_OK;
}

int place_find(struct store *store, int64_t message, const char *address, struct place *place_out,
	       struct err *why)
{
	int code;

	*place_out = (struct place){.is_taken = false};
	code = find_same(store, message, address, place_out, why);
	if (code != ERR_OK || place_out->is_taken)
		return code;
	return find_end(store, message, place_out, why);
}

static const char sql_to[] = "SELECT redirect_to FROM recipient WHERE id = ?1";

/* Whom another one stands for, and there is one (queue/check.c): the next of the chain. */
static int follow(struct store *store, struct place *place, struct err *why)
{
	const char *to = NULL;
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_to, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, place->subject.id);
	code = query_row(&query, &row, why);
	if (code == ERR_OK && row) {
		to = query_take_copy(&query, store->scratch);
		query_end(&query);
	}
	return code == ERR_OK ? place_find(store, message_of(place->subject.id),
					   to != NULL ? to : "", place, why)
			      : code;
}

int place_refusal(struct store *store, const struct place *place, int64_t id,
		  const char **sentence_out, struct err *why)
{
	struct place at = *place;
	int code = ERR_OK;
	size_t steps = 0;

	*sentence_out = NULL;
	if (!place->is_taken && place->id == 0)
		*sentence_out = "there is no room for another recipient in its place";
	while (code == ERR_OK && at.is_taken && at.subject.id != id &&
	       at.subject.state == STATE_REDIRECTED && ++steps < CHAIN_MAX)
		code = follow(store, &at, why);
	if (at.is_taken && (at.subject.id == id || steps == CHAIN_MAX))
		*sentence_out = "it would be redirected in a circle";
	return code;
}

int place_fill(struct store *store, const struct place *place,
	       const struct new_recipient *recipient, int64_t now, const char *actor,
	       struct err *why)
{
	struct history_item item = {.at = now,
				    .event = "added",
				    .reason = recipient->ruling.reason,
				    .actor = actor,
				    .entry = recipient->ruling.entry,
				    .revision = recipient->ruling.revision};
	int code = recipient_insert(store, place->id, place->lane, now, recipient, why);

	finished_touch(store, message_of(place->id));
	if (code == ERR_OK)
		code = indexer_touch(store, message_of(place->id), why);
	return code == ERR_OK ? history_add(store, place->id, 0, &item, recipient->state, why)
			      : code;
}
