/* queue/lane.c - whose turn it is when more is due than can be taken */
#include "queue/lane.h"

#include "queue/writer.h" /* message_of */

#define TURN_RECIPIENTS 16 /* or the rest of a message that goes beyond it */
#define TURN_PROBES	8  /* lanes of one application whose time has not come yet */

/* --- the number ------------------------------------------------------------------------ */

/* FNV-1a. Not against an enemy: who owns many addresses has many lanes anyway. */
static int64_t fold(struct span text, unsigned bits)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < text.len; i++) {
		hash ^= (unsigned char)ascii_lower(text.data[i]);
		hash *= 16777619U;
	}
	return (int64_t)((hash ^ (hash >> bits)) & ((1U << bits) - 1));
}

static struct span who(const struct new_message *message)
{
	if (message->user != NULL)
		return span_of(message->user);
	if (message->certificate_subject != NULL)
		return span_of(message->certificate_subject);
	return message->client_address != NULL ? span_of(message->client_address) : span_of("");
}

int64_t lane_of(const struct new_message *message)
{
	struct span domain = span_of(message->recipients[0].address);
	size_t at = span_find_last(domain, '@');

	domain = span_skip(domain, at < domain.len ? at + 1 : 0);
	return fold(who(message), 12) << LANE_BITS_INSIDE |
	       fold(domain, LANE_BITS_DOMAIN) << LANE_BITS_SENDER |
	       fold(span_of(message->sender), LANE_BITS_SENDER);
}

/* --- turns ------------------------------------------------------------------------------ */

/* One step down the index: the first lane from there on, and when its first one is due. */
static const char sql_next_lane[] =
	"SELECT lane, due_at FROM recipient"
	" WHERE lane >= ?1 AND due_at IS NOT NULL AND parked IS NULL ORDER BY lane, due_at LIMIT 1";

static int next_lane(struct db *db, int64_t from, int *probes, int64_t *lane_out,
		     int64_t *due_at_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, db, sql_next_lane, why);

	if (code != ERR_OK)
		return code;
	(*probes)--;
	query_give_int(&query, from);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	*lane_out = row ? query_take_int(&query) : -1;
	*due_at_out = row ? query_take_int(&query) : INT64_MAX;
	if (row)
		query_end(&query);
	return ERR_OK;
}

static const char sql_turn[] = "SELECT id FROM recipient"
			       " WHERE lane = ?1 AND due_at <= ?2 AND parked IS NULL"
			       " ORDER BY due_at LIMIT ?3";

static int take_turn(struct db *db, int64_t lane, int64_t now, size_t room, int64_t *ids,
		     size_t *count_out, struct err *why)
{
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, db, sql_turn, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, lane);
	query_give_int(&query, now);
	query_give_int(&query, (int64_t)room);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t id = query_take_int(&query);

		if (count >= TURN_RECIPIENTS && message_of(id) != message_of(ids[count - 1])) {
			query_end(&query);
			break;
		}
		ids[count++] = id;
	}
	*count_out = count;
	return code;
}

/* The next application that has anything at all, from where the turns are; -1: none has. */
static int next_app(struct db *db, const struct lanes *lanes, int *probes, int64_t *app_out,
		    struct err *why)
{
	int64_t lane, due_at;
	int code = next_lane(db, lanes->next_app << LANE_BITS_INSIDE, probes, &lane, &due_at, why);

	if (code == ERR_OK && lane < 0 && lanes->next_app > 0)
		code = next_lane(db, 0, probes, &lane, &due_at, why);
	if (code == ERR_OK)
		*app_out = lane < 0 ? -1 : lane_app(lane);
	return code;
}

/* A lane of that application that has something due; -1: not found in this turn. */
static int due_lane(struct db *db, struct lanes *lanes, int64_t app, int64_t now, int *probes,
		    int64_t *lane_out, struct err *why)
{
	for (int tries = TURN_PROBES; tries > 0 && *probes > 0; tries--) {
		int64_t from = app << LANE_BITS_INSIDE | (int64_t)lanes->next[app];
		int64_t lane, due_at;
		int code = next_lane(db, from, probes, &lane, &due_at, why);

		if (code != ERR_OK)
			return code;
		if (lane < 0 || lane_app(lane) != app) {
			lanes->next[app] = 0;
			continue;
		}
		if (due_at <= now) {
			*lane_out = lane;
			return ERR_OK;
		}
		lane_passed(lanes, lane);
	}
	*lane_out = -1;
	return ERR_OK;
}

void lane_passed(struct lanes *lanes, int64_t lane)
{
	lanes->next[lane_app(lane)] = (uint32_t)((lane + 1) % LANE_INSIDE_COUNT);
	lanes->next_app = (lane_app(lane) + 1) % LANE_APPS;
}

int lane_turn(struct db *db, struct lanes *lanes, int64_t now, size_t room, int *probes,
	      int64_t *ids, size_t *count_out, int64_t *lane_out, struct err *why)
{
	int64_t app = -1, lane = -1;
	int code = ERR_OK;

	*count_out = 0;
	while (code == ERR_OK && lane < 0 && *probes > 0) {
		code = next_app(db, lanes, probes, &app, why);
		if (code != ERR_OK || app < 0)
			return code;
		code = due_lane(db, lanes, app, now, probes, &lane, why);
		lanes->next_app = lane < 0 ? (app + 1) % LANE_APPS : app;
	}
	if (code != ERR_OK || lane < 0)
		return code;
	*lane_out = lane;
	return take_turn(db, lane, now, room, ids, count_out, why);
}
