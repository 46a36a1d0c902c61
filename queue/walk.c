/* queue/walk.c - which messages may be those that are asked for, newest first */
#include "queue/walk.h"

#include <string.h>

#include "base/clock.h"
#include "queue/connection.h"
#include "queue/writer.h"

#define LOOK_AT_CLOCK 16 /* steps */
/* Recipients that are read at once: fewer where grams may pass over most of them. */
#define BATCH_OF_GRAMS 32

bool walk_is_late(struct walk *walk)
{
	if (walk->until_us != 0 && !walk->is_late && ++walk->steps % LOOK_AT_CLOCK == 0)
		walk->is_late = clock_mono_us() >= walk->until_us;
	return walk->is_late;
}

/* --- by states ---------------------------------------------------------------- */

/* The index leaves out what is being delivered (schema/0021_search.sql): that is leased. */
static const char sql_in_state[] = "SELECT id FROM recipient WHERE state = ?1 AND state <> 3"
				   " AND id < ?2 ORDER BY id DESC LIMIT ?3";
static const char sql_delivering[] =
	"SELECT id FROM recipient WHERE lease IS NOT NULL AND state = ?1 AND id < ?2"
	" ORDER BY id DESC LIMIT ?3";

static int read_state(struct walk *walk, struct walk_state *state, struct err *why)
{
	int64_t room = walk->has_grams ? BATCH_OF_GRAMS : WALK_BATCH;
	int64_t below = part_id(walk->below, 0);
	struct query query;
	int64_t rows = 0;
	bool row;
	int code = query_begin(&query, walk->db,
			       state->state == STATE_DELIVERING ? sql_delivering : sql_in_state,
			       why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, state->state);
	query_give_int(&query, state->below < below ? state->below : below);
	query_give_int(&query, room);
	state->count = state->at = 0;
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t message = message_of(query_take_int(&query));

		rows++;
		if (state->count == 0 || state->messages[state->count - 1] != message)
			state->messages[state->count++] = message;
	}
	/* The rest of the last message's recipients is passed over. */
	if (state->count > 0)
		state->below = part_id(state->messages[state->count - 1], 0);
	state->is_over = rows < room;
	return code;
}

/* The highest number that this state has, 0: none. */
static int look_at_state(struct walk *walk, struct walk_state *state, int64_t *message_out,
			 struct err *why)
{
	int code = ERR_OK;

	while (state->at < state->count && state->messages[state->at] >= walk->below)
		state->at++;
	while (code == ERR_OK && state->at == state->count && !state->is_over)
		code = read_state(walk, state, why);
	*message_out = state->at < state->count ? state->messages[state->at] : 0;
	return code;
}

static int highest_of_states(struct walk *walk, int64_t *message_out, struct err *why)
{
	int64_t highest = 0;

	for (size_t i = 0; i < walk->state_count; i++) {
		int64_t message = 0;
		int code = look_at_state(walk, &walk->states[i], &message, why);

		if (code != ERR_OK)
			return code;
		if (message > highest)
			highest = message;
	}
	*message_out = highest;
	return ERR_OK;
}

static void use_states(struct walk *walk)
{
	unsigned states = walk->match->states;

	walk->states = mem_array(STATE_COUNT, sizeof(*walk->states));
	for (int state = 1; state < STATE_COUNT; state++)
		if ((states & 1U << state) != 0)
			walk->states[walk->state_count++] = (struct walk_state){
				.state = (enum state)state, .below = part_id(walk->below, 0)};
}

/* --- by grams ----------------------------------------------------------------- */

static const char sql_gram[] = "SELECT places FROM search_gram WHERE id = ?1";

/* Nobody has it: no places. */
static int read_gram(struct walk *walk, int64_t block, uint32_t gram,
		     struct places fields_out[TEXT_FIELDS], struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, walk->db, sql_gram, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, block << 24 | gram);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	places_read(row ? query_take_bytes(&query) : span_make(NULL, 0), fields_out);
	if (row)
		query_end(&query);
	return ERR_OK;
}

/* All grams of it in one of its fields, or more in that field than was looked at. */
static int find_word(struct walk *walk, int64_t block, const struct match_word *word,
		     const struct places long_ones[TEXT_FIELDS], struct places *places_out,
		     struct err *why)
{
	struct places fields[TEXT_FIELDS], found[TEXT_FIELDS];
	int code = ERR_OK;

	for (size_t field = 0; field < TEXT_FIELDS; field++)
		places_fill(&found[field]);
	for (size_t i = 0; code == ERR_OK && i < word->gram_count; i++) {
		bool is_empty = true;

		code = read_gram(walk, block, word->grams[i], fields, why);
		for (size_t field = 0; code == ERR_OK && field < TEXT_FIELDS; field++) {
			places_narrow(&found[field], &fields[field]);
			is_empty = is_empty && ((word->fields & 1U << field) == 0 ||
						places_is_empty(&found[field]));
		}
		if (is_empty)
			break;
	}
	memset(places_out, 0, sizeof(*places_out));
	for (size_t field = 0; field < TEXT_FIELDS; field++)
		if ((word->fields & 1U << field) != 0) {
			places_add(places_out, &found[field]);
			places_add(places_out, &long_ones[field]);
		}
	return code;
}

static int find_places(struct walk *walk, int64_t block, struct err *why)
{
	struct places long_ones[TEXT_FIELDS];
	int code = read_gram(walk, block, GRAM_LONG, long_ones, why);

	places_fill(&walk->places);
	for (size_t i = 0; code == ERR_OK && i < walk->match->word_count; i++) {
		struct places places;

		code = find_word(walk, block, &walk->match->words[i], long_ones, &places, why);
		places_narrow(&walk->places, &places);
		if (places_is_empty(&walk->places))
			break;
	}
	return code;
}

/* --- block by block ------------------------------------------------------------- */

static const char sql_block[] =
	"SELECT first_at, last_at FROM search_block WHERE block = ?1 AND stale = 0";

/* True in *known_out: it has been looked at, and nothing came to it since. */
static int read_block(struct walk *walk, int64_t block, bool *known_out, int64_t *first_at_out,
		      int64_t *last_at_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, walk->db, sql_block, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, block);
	code = query_row(&query, known_out, why);
	if (code != ERR_OK || !*known_out)
		return code;
	*first_at_out = query_take_int(&query);
	*last_at_out = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static bool has_grams(const struct match *match)
{
	for (size_t i = 0; i < match->word_count; i++)
		if (match->words[i].gram_count > 0)
			return true;
	return false;
}

/* When the messages of a block came, and candidates of it: as far as they are known. */
static int look_at_block(struct walk *walk, int64_t block, struct err *why)
{
	const struct match *match = walk->match;
	bool has_times = match->since != 0 || match->until != INT64_MAX;
	int64_t first_at = 0, last_at = 0;
	bool known = false;
	int code;

	if (walk->block == block)
		return ERR_OK;
	walk->block = block;
	walk->first = block_first(block);
	walk->block_is_out = walk->has_places = false;
	if (!has_times && !walk->has_grams)
		return ERR_OK;
	code = read_block(walk, block, &known, &first_at, &last_at, why);
	if (code != ERR_OK || !known)
		return code;
	walk->block_is_out = last_at < match->since || first_at >= match->until;
	walk->has_places = walk->has_grams && !walk->block_is_out;
	return walk->has_places ? find_places(walk, block, why) : ERR_OK;
}

static const char sql_batch[] =
	"SELECT id FROM message WHERE id < ?1 AND id >= ?2 ORDER BY id DESC LIMIT ?3";

static int read_batch(struct walk *walk, int64_t first, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, walk->db, sql_batch, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, walk->below);
	query_give_int(&query, first);
	query_give_int(&query, WALK_BATCH);
	walk->batch_count = walk->batch_at = 0;
	while ((code = query_row(&query, &row, why)) == ERR_OK && row)
		walk->batch[walk->batch_count++] = query_take_int(&query);
	return code;
}

static const char sql_before[] = "SELECT id FROM message WHERE id < ?1 ORDER BY id DESC LIMIT 1";

static int find_before(struct walk *walk, int64_t *message_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, walk->db, sql_before, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, walk->below);
	return query_only_int(&query, 0, message_out, why);
}

/*
 * Look at the block of the highest message that is left: candidates of it are in
 * `places` or `batch` then, or it is passed over. False in *more_out: there is no message left.
 */
static int enter_block(struct walk *walk, bool *more_out, struct err *why)
{
	int64_t message = 0;
	int code = find_before(walk, &message, why);

	*more_out = message > 0;
	if (code == ERR_OK && message > 0)
		code = look_at_block(walk, block_of(message), why);
	if (code != ERR_OK || message == 0)
		return code;
	if (walk->block_is_out)
		walk->below = walk->first;
	else if (walk->has_places)
		places_cut(&walk->places, (size_t)(message - walk->first) + 1);
	else
		code = read_batch(walk, walk->first, why);
	return code;
}

static bool take_candidate(struct walk *walk, int64_t *message_out)
{
	int place;

	if (walk->batch_at < walk->batch_count) {
		*message_out = walk->below = walk->batch[walk->batch_at++];
		return true;
	}
	if (!walk->has_places)
		return false;
	place = places_take_last(&walk->places);
	walk->has_places = place >= 0;
	walk->below = walk->first + (place >= 0 ? place : 0);
	*message_out = walk->below;
	return place >= 0;
}

static int next_by_blocks(struct walk *walk, int64_t *message_out, struct err *why)
{
	bool more = true;
	int code = ERR_OK;

	*message_out = 0;
	while (code == ERR_OK && more && !walk_is_late(walk)) {
		if (take_candidate(walk, message_out))
			return ERR_OK;
		code = enter_block(walk, &more, why);
	}
	return code;
}

/*
 * A message that is the highest left of its state. It is passed over with those below it
 * that its block's times or grams rule out: 0 then.
 */
static int judge(struct walk *walk, int64_t message, int64_t *message_out, struct err *why)
{
	int code = look_at_block(walk, block_of(message), why);
	int place;

	if (code != ERR_OK)
		return code;
	walk->below = walk->first;
	if (walk->block_is_out)
		return ERR_OK;
	if (!walk->has_places) {
		*message_out = walk->below = message;
		return ERR_OK;
	}
	places_cut(&walk->places, (size_t)(message - walk->first) + 1);
	place = places_last(&walk->places);
	if (walk->first + place == message)
		*message_out = walk->below = message;
	else if (place >= 0)
		walk->below = walk->first + place + 1;
	return ERR_OK;
}

/* States and grams by turns pass over what the other does not have. */
static int next_by_states(struct walk *walk, int64_t *message_out, struct err *why)
{
	int code = ERR_OK;

	*message_out = 0;
	while (code == ERR_OK && *message_out == 0 && !walk_is_late(walk)) {
		int64_t message = 0;

		code = highest_of_states(walk, &message, why);
		if (code != ERR_OK || message == 0)
			return code;
		code = judge(walk, message, message_out, why);
	}
	return code;
}

/* --- all of them ------------------------------------------------------------------ */

void walk_init(struct walk *walk, struct db *db, const struct match *match, int64_t below,
	       int64_t until_us)
{
	memset(walk, 0, sizeof(*walk));
	walk->db = db;
	walk->match = match;
	walk->until_us = until_us;
	/* One less than there can be: its recipients have numbers, too. */
	walk->below = below > 0 && below < MESSAGE_NUMBER_MAX ? below : MESSAGE_NUMBER_MAX - 1;
	walk->block = -1;
	walk->has_grams = has_grams(match);
	if (match->states != MATCH_ALL_STATES)
		use_states(walk);
}

void walk_release(struct walk *walk)
{
	mem_free(walk->states);
	walk->states = NULL;
}

int walk_next(struct walk *walk, int64_t *message_out, struct err *why)
{
	*message_out = 0;
	if (walk->only > 0) {
		if (walk->only < walk->below)
			*message_out = walk->below = walk->only;
		return ERR_OK;
	}
	if (walk_is_late(walk))
		return ERR_OK;
	return walk->states != NULL ? next_by_states(walk, message_out, why)
				    : next_by_blocks(walk, message_out, why);
}
