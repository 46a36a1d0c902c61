/* queue/settle.c - how attempts ended: state, reply and history in one commit */
#include "queue/settle.h"

#include <assert.h>

#include "base/clock.h"
#include "queue/accept.h"
#include "queue/body.h"
#include "queue/delivery.h"
#include "queue/finished.h"
#include "queue/history.h"
#include "queue/redirect.h"
#include "queue/remove.h"
#include "queue/room.h"
#include "queue/screen_inside.h"

/* The recipient as the database has it. */
struct present {
	enum state state;
	int64_t lease;
	enum wish wish;
	int attempts;
	int in_doubt;
	int64_t events;
};

static const char sql_present[] = "SELECT state, lease, wish, attempts, in_doubt, events"
				  " FROM recipient WHERE id = ?1";

static int read_present(struct store *store, int64_t id, bool *found_out, struct present *out,
			struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_present, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	code = query_row(&query, found_out, why);
	if (code != ERR_OK || !*found_out)
		return code;
	out->state = state_of_number(query_take_int(&query));
	out->lease = query_take_int(&query);
	out->wish = (enum wish)query_take_int(&query);
	out->attempts = (int)query_take_int(&query);
	out->in_doubt = (int)query_take_int(&query);
	out->events = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static struct history_item item_of(const struct settlement *settlement, const char *event,
				   int64_t now)
{
	const struct ruling *ruling = settlement->ruling;

	return (struct history_item){.at = now,
				     .event = event,
				     .reason = settlement->reason,
				     .kind = settlement->kind,
				     .route = settlement->route,
				     .remote = settlement->remote,
				     .tls = settlement->tls,
				     .reply_code = settlement->reply_code,
				     .reply_enhanced = settlement->reply_enhanced,
				     .reply_text = settlement->reply_text,
				     .entry = ruling != NULL ? ruling->entry : 0,
				     .revision = ruling != NULL ? ruling->revision : 0};
}

/* A judgement that came before any try (dropped, expired while waiting) is no attempt. */
static bool is_attempt(const struct settlement *settlement)
{
	switch (settlement->outcome) {
	case TRANSITION_UNCLAIM:
	case TRANSITION_ASK: return false;
	case TRANSITION_DELIVER:
	case TRANSITION_DEFER:
	case TRANSITION_FAIL: return true;
	/* Its reply is that of an earlier attempt unless there was one now. */
	case TRANSITION_EXPIRE: return settlement->in_doubt || settlement->remote != NULL;
	default:
		return settlement->in_doubt || settlement->reply_code != 0 ||
		       settlement->remote != NULL;
	}
}

static const char sql_settle[] =
	"UPDATE recipient SET state = ?2, due_at = ?3, lease = NULL, lease_until = NULL, wish = 0,"
	" attempts = ?4, in_doubt = ?5, events = ?6, reason = ?7, route = coalesce(?8, route),"
	" reply_code = ?9, reply_enhanced = ?10, reply_text = ?11, updated_at = ?12, kind = ?13,"
	" parked = NULL, delay_told = max(delay_told, ?14), ask_at = ?15," LOGIN_ENDS(
		"?2") "," PERMIT_ENDS("?2") " WHERE id = ?1";
/* Nothing happened, so the history says nothing. */
static const char sql_give_back[] =
	"UPDATE recipient SET state = ?2, due_at = ?3, lease = NULL, lease_until = NULL, wish = 0,"
	" events = ?4, updated_at = ?5, parked = ?6, reason = coalesce(?7, reason),"
	" delay_told = max(delay_told, ?8)," LOGIN_ENDS("?2") "," PERMIT_ENDS(
		"?2") " WHERE id = ?1";

/* Either statement begins with these: the recipient, its new state, when it is due. */
static int begin_write(struct query *query, struct store *store, const char *sql,
		       const struct settlement *settlement, enum state state, struct err *why)
{
	int code = query_begin(query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(query, settlement->recipient);
	query_give_int(query, state);
	if (state_is_due_state(state))
		query_give_int(query, settlement->next_attempt_at);
	else
		query_give_null(query);
	return ERR_OK;
}

static int write_outcome(struct store *store, const struct settlement *settlement,
			 const struct present *after, int64_t now, struct err *why)
{
	struct query query;
	int code = begin_write(&query, store, sql_settle, settlement, after->state, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, after->attempts);
	query_give_int(&query, after->in_doubt);
	query_give_int(&query, after->events);
	query_give_text(&query, settlement->reason);
	query_give_text(&query, settlement->route);
	query_give_int(&query, settlement->reply_code);
	query_give_text(&query, settlement->reply_enhanced);
	query_give_text(&query, settlement->reply_text);
	query_give_int(&query, now);
	query_give_text(&query, settlement->kind);
	query_give_int(&query, settlement->delay_told ? 1 : 0);
	if (after->state == STATE_SCREENING)
		query_give_int(&query, now);
	else
		query_give_null(&query);
	return query_run(&query, why);
}

static int write_back(struct store *store, const struct settlement *settlement,
		      const struct present *after, int64_t now, struct err *why)
{
	bool waits = state_is_due_state(after->state);
	struct query query;
	int code = begin_write(&query, store, sql_give_back, settlement, after->state, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, after->events);
	query_give_int(&query, now);
	query_give_text(&query, waits ? settlement->parked : NULL);
	query_give_text(&query, waits ? settlement->reason : NULL);
	query_give_int(&query, settlement->delay_told ? 1 : 0);
	return query_run(&query, why);
}

/* The line that tells how a wish, left while it was under way, came true. */
static int tell_wish(struct store *store, const struct settlement *settlement,
		     const struct present *after, int64_t now, struct err *why)
{
	struct history_item item = {.at = now,
				    .event = state_name(after->state),
				    .reason = "as wished while it was being delivered"};

	return history_add(store, settlement->recipient, after->events, &item, after->state, why);
}

/* The message goes with the last of its recipients that was under way. */
static int remove_if_last(struct store *store, int64_t number, int64_t now, struct err *why)
{
	bool delivering = true;
	int code = message_is_delivering(store, number, &delivering, why);

	if (code != ERR_OK || delivering)
		return code;
	return message_remove(store, number, NULL, now, why);
}

static int tell_outcome(struct store *store, const struct settlement *settlement,
			enum state outcome, struct present *after, int64_t now, struct err *why)
{
	struct history_item item = item_of(settlement, state_name(outcome), now);

	after->events++;
	return history_add(store, settlement->recipient, after->events, &item, outcome, why);
}

/* The true outcome first, then what was wished. */
static int settle_held(struct store *store, const struct settlement *settlement,
		       const struct present *before, int64_t now, struct err *why)
{
	struct present after = *before;
	bool given_back = settlement->outcome == TRANSITION_UNCLAIM;
	enum state outcome;
	int code = state_move(before->state, settlement->outcome, &outcome, why);

	if (code != ERR_OK)
		return code;
	if (given_back)
		outcome = state_given_back(before->attempts);
	else
		code = tell_outcome(store, settlement, outcome, &after, now, why);
	after.state = state_after_wish(outcome, before->wish);
	if (code == ERR_OK && after.state != outcome) {
		after.events++;
		code = tell_wish(store, settlement, &after, now, why);
	}
	if (is_attempt(settlement))
		after.attempts++;
	if (settlement->in_doubt)
		after.in_doubt++;
	if (code == ERR_OK && settlement->ruling != NULL)
		code = history_new_ruling(store, settlement->recipient, settlement->ruling, why);
	if (code == ERR_OK)
		code = given_back ? write_back(store, settlement, &after, now, why)
				  : write_outcome(store, settlement, &after, now, why);
	if (code != ERR_OK)
		return code;
	finished_moved(store, settlement->recipient, before->state, after.state);
	if (state_is_due_state(after.state))
		store->due = true;
	if (after.state == STATE_SCREENING)
		store->ask = true;
	if (before->wish == WISH_DELETE)
		code = remove_if_last(store, message_of(settlement->recipient), now, why);
	return code;
}

static const char sql_events[] = "UPDATE recipient SET events = ?2 WHERE id = ?1";

static int write_events(struct store *store, int64_t id, int64_t events, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_events, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	query_give_int(&query, events);
	return query_run(&query, why);
}

/*
 * The lease is gone, but the next hop has the mail: that is the truth (P4).
 * If nobody is working on it, it must not go out again (P3). A worker that
 * holds a newer lease settles for itself.
 */
static int settle_late(struct store *store, const struct settlement *settlement,
		       const struct present *before, int64_t now, struct err *why)
{
	struct present after = *before;
	struct history_item item = item_of(settlement, "delivered", now);
	int code;

	after.events++;
	code = history_add(store, settlement->recipient, after.events, &item, STATE_DELIVERED, why);
	if (code != ERR_OK)
		return code;
	if (before->state == STATE_DELIVERING)
		return write_events(store, settlement->recipient, after.events, why);
	after.attempts++;
	after.state = STATE_DELIVERED;
	finished_moved(store, settlement->recipient, before->state, after.state);
	return write_outcome(store, settlement, &after, now, why);
}

/* Who was last found or put in the place of others, in this transaction: many may follow. */
struct standing {
	int64_t message;
	const char *address;
};

static int find_stand_in(struct store *store, const struct settlement *settlement,
			 const struct standing *standing, struct place *place_out, struct err *why)
{
	const char *address = settlement->redirect->address;
	int64_t message = message_of(settlement->recipient);

	*place_out = (struct place){.is_taken = standing->message == message &&
						span_is(span_of(address), standing->address)};
	return place_out->is_taken ? ERR_OK : place_find(store, message, address, place_out, why);
}

/* With a wish of a person it may end otherwise: then nobody has to stand for it. */
static int settle_redirected(struct store *store, const struct settlement *settlement,
			     const struct present *present, struct standing *standing, int64_t now,
			     struct err *why)
{
	const struct new_recipient *target = settlement->redirect;
	struct settlement dropped = *settlement;
	struct ruling ruling;
	struct place place = {.is_taken = false};
	const char *refusal = NULL;
	int code = ERR_OK;

	if (target != NULL && present->wish == WISH_NONE)
		code = find_stand_in(store, settlement, standing, &place, why);
	if (code == ERR_OK)
		code = place_refusal(store, &place, settlement->recipient, &refusal, why);
	if (code != ERR_OK)
		return code;
	if (present->wish != WISH_NONE)
		return settle_held(store, settlement, present, now, why);
	if (refusal != NULL) {
		if (settlement->ruling != NULL) {
			ruling = *settlement->ruling;
			ruling.verdict = "drop";
			ruling.redirect_to = NULL;
			dropped.ruling = &ruling;
		}
		dropped.outcome = TRANSITION_DROP;
		dropped.reason =
			arena_printf(store->scratch, "%s: %s", settlement->reason, refusal);
		return settle_held(store, &dropped, present, now, why);
	}
	code = settle_held(store, settlement, present, now, why);
	if (code == ERR_OK && !place.is_taken)
		code = place_fill(store, &place, target, now, NULL, why);
	/* One that is redirected itself may lead back to the next one. */
	if (place.subject.state != STATE_REDIRECTED)
		*standing = (struct standing){message_of(settlement->recipient), target->address};
	return code;
}

static int settle_one(struct store *store, const struct settlement *settlement,
		      struct standing *standing, int64_t now, bool *lost_out, struct err *why)
{
	struct present present = {0};
	bool found = false;
	int code = read_present(store, settlement->recipient, &found, &present, why);

	if (code != ERR_OK)
		return code;
	*lost_out = !found || present.state != STATE_DELIVERING ||
		    present.lease != settlement->lease;
	if (!*lost_out && settlement->outcome == TRANSITION_REDIRECT)
		return settle_redirected(store, settlement, &present, standing, now, why);
	if (!*lost_out)
		return settle_held(store, settlement, &present, now, why);
	if (found && settlement->outcome == TRANSITION_DELIVER)
		return settle_late(store, settlement, &present, now, why);
	return ERR_OK;
}

static int store_report(struct store *store, struct settle *settle, size_t index, struct err *why)
{
	const struct settle_report *report = &settle->reports[index];
	int code = room_check(store, why);

	if (code == ERR_FULL) {
		settle->unreported++;
		return ERR_OK;
	}
	return code == ERR_OK ? accept_store(store, report->message, report->body, why) : code;
}

static int run_settle(struct store *store, struct store_job *job)
{
	struct settle *settle = (struct settle *)job;
	struct standing standing = {.address = ""};
	size_t reported = 0; /* their settlements lie together, in the order of the reports */

	settle->lost = 0;
	settle->unreported = 0;
	for (size_t i = 0; i < settle->count; i++) {
		bool lost = false;
		int code = settle_one(store, &settle->settlements[i], &standing, settle->now, &lost,
				      &job->why);

		if (code == ERR_OK && !lost && settle->settlements[i].report > reported) {
			reported = settle->settlements[i].report;
			code = store_report(store, settle, reported - 1, &job->why);
		}
		if (code != ERR_OK)
			return code;
		settle->lost += lost ? 1 : 0;
	}
	return ERR_OK;
}

static const struct store_verb verb_settle = {.name = "settle", .run = run_settle};

void queue_settle(struct store *store, struct store_job *job)
{
	const struct settle *settle = (const struct settle *)job;

	for (size_t i = 0; i < settle->report_count; i++)
		assert(!body_is_staged(settle->reports[i].body));
	writer_submit(store, job, &verb_settle);
}

/* --- start --------------------------------------------------------------------------- */

/* queue/screen.c gives back the others. */
static const char sql_leased[] =
	"SELECT id, lease FROM recipient WHERE lease IS NOT NULL AND state = ?1";

static int find_leased(struct store *store, struct settlement **found_out, size_t *count_out,
		       struct err *why)
{
	struct settlement *found;
	struct query query;
	size_t room = 0;
	bool row;
	int code = query_begin(&query, &store->db, sql_leased, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, STATE_DELIVERING);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		if (*count_out == room) {
			room = room > 0 ? room * 2 : 64;
			*found_out = mem_regrow(*found_out, room, sizeof(**found_out));
		}
		found = &(*found_out)[(*count_out)++];
		*found = (struct settlement){.outcome = TRANSITION_UNCLAIM};
		found->recipient = query_take_int(&query);
		found->lease = query_take_int(&query);
	}
	return code;
}

int settle_give_back_all(struct store *store, struct err *why)
{
	struct standing nobody = {.address = ""};
	struct settlement *found = NULL;
	size_t count = 0;
	int64_t now = clock_wall_ms();
	int code = find_leased(store, &found, &count, why);

	for (size_t i = 0; code == ERR_OK && i < count; i++) {
		bool lost;

		found[i].next_attempt_at = now;
		code = settle_one(store, &found[i], &nobody, now, &lost, why);
	}
	mem_free(found);
	return code;
}
