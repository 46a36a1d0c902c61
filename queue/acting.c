/* queue/acting.c - what a person does to one recipient */
#include "queue/acting.h"

#include "queue/finished.h"
#include "queue/history.h"
#include "queue/redirect.h"
#include "queue/screen_inside.h"

void subject_take(struct query *query, struct arena *arena, struct subject *subject_out)
{
	subject_out->id = query_take_int(query);
	subject_out->address = query_take_copy(query, arena);
	subject_out->state = state_of_number(query_take_int(query));
	subject_out->wish = (enum wish)query_take_int(query);
	subject_out->events = query_take_int(query);
}

bool subject_is(const struct subject *subject, const char *address)
{
	struct span left = span_of(subject->address);
	struct span right = span_of(address);
	size_t left_at = span_find_last(left, '@');
	size_t right_at = span_find_last(right, '@');

	return span_equal(span_first(left, left_at), span_first(right, right_at)) &&
	       span_equal_fold(span_skip(left, left_at), span_skip(right, right_at));
}

static const char *done_word(enum transition transition)
{
	switch (transition) {
	case TRANSITION_HOLD: return "held";
	case TRANSITION_RELEASE: return "released";
	case TRANSITION_RETRY: return "retried";
	default: return "cancelled";
	}
}

static const char *reason_of(struct store *store, const struct order *order)
{
	if (order->reason != NULL)
		return order->reason;
	if (order->to != NULL)
		return arena_printf(store->scratch, "released to %s by %s", order->to,
				    order->actor != NULL ? order->actor : "the relay");
	return arena_printf(store->scratch, "%s by %s", done_word(order->transition),
			    order->actor != NULL ? order->actor : "the relay");
}

static int tell(struct store *store, const struct order *order, const struct subject *subject,
		const char *event, enum state state, struct err *why)
{
	struct history_item item = {.at = order->now,
				    .event = event,
				    .reason = reason_of(store, order),
				    .actor = order->actor};

	return history_add(store, subject->id, subject->events + 1, &item, state, why);
}

static const char sql_wish[] =
	"UPDATE recipient SET wish = ?2, events = ?3, updated_at = ?4 WHERE id = ?1";

static int write_wish(struct store *store, const struct order *order, const struct subject *subject,
		      enum wish wish, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_wish, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, subject->id);
	query_give_int(&query, wish);
	query_give_int(&query, subject->events + 1);
	query_give_int(&query, order->now);
	code = query_run(&query, why);
	return code == ERR_OK ? tell(store, order, subject,
				     wish == WISH_NONE	 ? "wish taken back"
				     : wish == WISH_HOLD ? "hold wished"
							 : "cancel wished",
				     subject->state, why)
			      : code;
}

/*
 * In flight the outcome is not ours to choose. A stronger wish is not
 * weakened; release takes a wished hold back. Returns false: refused.
 */
static bool wish_for(enum transition transition, enum wish present, enum wish *wish_out)
{
	switch (transition) {
	case TRANSITION_HOLD: *wish_out = WISH_HOLD; return present <= WISH_HOLD;
	case TRANSITION_CANCEL: *wish_out = WISH_CANCEL; return present <= WISH_CANCEL;
	case TRANSITION_RELEASE: *wish_out = WISH_NONE; return present == WISH_HOLD;
	default: return false;
	}
}

static const char sql_move[] =
	"UPDATE recipient SET state = ?2, due_at = ?3, waiting_since = coalesce(?3, waiting_since),"
	" parked = NULL, reason = ?4, events = ?5, updated_at = ?6, ask_at = ?7, asked = 0,"
	" lease = NULL, permit = CASE permit WHEN ?8 THEN ?9 ELSE permit END,"
	" released = max(released, ?10)," LOGIN_ENDS("?2") " WHERE id = ?1";

static int write_move(struct store *store, const struct order *order, const struct subject *subject,
		      enum state to, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_move, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, subject->id);
	query_give_int(&query, to);
	if (state_is_due_state(to))
		query_give_int(&query, order->now);
	else
		query_give_null(&query);
	query_give_text(&query, reason_of(store, order));
	query_give_int(&query, subject->events + 1);
	query_give_int(&query, order->now);
	if (to == STATE_SCREENING)
		query_give_int(&query, order->now);
	else
		query_give_null(&query);
	query_give_int(&query, PERMIT_EXPIRED);
	query_give_int(&query, PERMIT_NONE);
	query_give_int(&query, order->transition == TRANSITION_RELEASE);
	code = query_run(&query, why);
	if (code == ERR_OK)
		code = tell(store, order, subject,
			    to == STATE_REDIRECTED ? "redirected" : done_word(order->transition),
			    to, why);
	if (code != ERR_OK)
		return code;
	finished_moved(store, subject->id, subject->state, to);
	if (to == STATE_SCREENING)
		store->ask = true;
	if (!state_is_due_state(to))
		return ERR_OK;
	counters_waits(&store->counters, subject->id);
	store->due = true;
	return ERR_OK;
}

/* The same check that everything else passes (DESIGN P1): release is no way around the list. */
static int judge(const struct order *order, const struct act_subject *subject,
		 struct ruling *ruling, struct err *why)
{
	if (order->judge == NULL)
		return err_set(why, ERR_CONFLICT, "a release needs a judgement");
	if (!order->judge->judge(order->judge->ctx, subject, ruling))
		return err_set(why, ERR_CONFLICT, "%s is not allowed: %s", subject->address,
			       ruling->reason != NULL ? ruling->reason : "no reason was given");
	return ERR_OK;
}

static int wish_one(struct store *store, const struct order *order, const struct subject *subject,
		    enum effect *effect_out, struct err *why)
{
	enum wish wish = WISH_NONE;

	if (order->to != NULL || !wish_for(order->transition, subject->wish, &wish)) {
		err_set(why, ERR_CONFLICT, "%s is being delivered", subject->address);
		*effect_out = EFFECT_REFUSED;
		return ERR_OK;
	}
	*effect_out = EFFECT_WISHED;
	return wish == subject->wish ? ERR_OK : write_wish(store, order, subject, wish, why);
}

/* --- release ------------------------------------------------------------------------- */

static const char sql_pairs[] = "SELECT 1 FROM recipient WHERE id >= ?1 AND id < ?2"
				" GROUP BY address COLLATE NOCASE HAVING count(*) > 1 LIMIT 1";

/*
 * Few messages hold a mailbox twice: with and without a source route, or
 * added beside its envelope. Asked once a message.
 */
static int look_for_pairs(struct store *store, struct order *order, int64_t message,
			  struct err *why)
{
	struct query query;
	int64_t found = 0;
	int code;

	if (order->message == message)
		return ERR_OK;
	code = query_begin(&query, &store->db, sql_pairs, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(message, 0));
	query_give_int(&query, part_id(message + 1, 0));
	code = query_only_int(&query, 0, &found, why);
	order->message = message;
	order->has_pairs = found != 0;
	return code;
}

static const char sql_twins[] =
	"SELECT" SUBJECT_COLUMNS " FROM recipient WHERE id >= ?1 AND id < ?2"
	" AND address = ?3 COLLATE NOCASE AND state IN (?4, ?5, ?6, ?7, ?8)";

/* Exactly once: the same mailbox may have it, or soon get it, as another recipient. */
static int look_for_twin(struct store *store, struct order *order, const struct subject *subject,
			 bool *found_out, struct err *why)
{
	int64_t message = message_of(subject->id);
	struct query query;
	struct subject twin;
	bool row = false;
	int code = look_for_pairs(store, order, message, why);

	*found_out = false;
	if (code != ERR_OK || !order->has_pairs)
		return code;
	code = query_begin(&query, &store->db, sql_twins, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(message, 0));
	query_give_int(&query, part_id(message + 1, 0));
	query_give_text(&query, subject->address);
	query_give_int(&query, STATE_QUEUED);
	query_give_int(&query, STATE_DEFERRED);
	query_give_int(&query, STATE_DELIVERING);
	query_give_int(&query, STATE_DELIVERED);
	query_give_int(&query, STATE_SCREENING);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		subject_take(&query, store->scratch, &twin);
		*found_out |= twin.id != subject->id && subject_is(&twin, subject->address);
	}
	return code;
}

static int release(struct store *store, const struct order *order, const struct subject *subject,
		   const struct ruling *ruling, struct err *why)
{
	int code = history_new_ruling(store, subject->id, ruling, why);

	return code == ERR_OK ? write_move(store, order, subject, STATE_QUEUED, why) : code;
}

static const char sql_stands[] = "UPDATE recipient SET redirect_to = ?2 WHERE id = ?1";

static int redirect(struct store *store, const struct order *order, const struct subject *subject,
		    struct err *why)
{
	struct query query;
	enum state to;
	int code = state_move(subject->state, TRANSITION_REDIRECT, &to, why);

	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_stands, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, subject->id);
	query_give_text(&query, order->to);
	code = query_run(&query, why);
	return code == ERR_OK ? write_move(store, order, subject, to, why) : code;
}

static const char sql_let_go[] = "UPDATE recipient SET released = 1 WHERE id = ?1";

/* As of those it stands for: a person has answered the rules that hold. */
static int let_go(struct store *store, int64_t id, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_let_go, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	return query_run(&query, why);
}

static int add_target(struct store *store, const struct order *order, const struct place *place,
		      const struct ruling *ruling, struct err *why)
{
	struct new_recipient recipient = {.address = order->to,
					  .state = STATE_QUEUED,
					  .ruling = *ruling,
					  .notify = "NEVER", /* the sender never named it */
					  .origin = "release"};
	int code = place_fill(store, place, &recipient, order->now, order->actor, why);

	return code == ERR_OK ? let_go(store, place->id, why) : code;
}

/* May mail stand for others at this place? ERR_OK, or ERR_CONFLICT. */
static int check_place(const struct place *place, const char *to, struct err *why)
{
	enum state ignored;

	if (!place->is_taken)
		return place->id != 0 ? ERR_OK
				      : err_set(why, ERR_CONFLICT,
						"the message has no room for another recipient");
	switch (place->subject.state) {
	case STATE_DELIVERED: return err_set(why, ERR_CONFLICT, "%s has it already", to);
	case STATE_SCREENING:
	case STATE_QUEUED:
	case STATE_DEFERRED:
	case STATE_DELIVERING: return ERR_OK; /* on its way */
	default: return state_move(place->subject.state, TRANSITION_RELEASE, &ignored, why);
	}
}

/*
 * One copy for all of a message that are released to the same mailbox, and
 * none for who has it (item 7: exactly once): where `to` is a recipient of the
 * message itself, that one is released.
 */
static int release_to(struct store *store, const struct order *order, const struct subject *subject,
		      const struct ruling *ruling, enum effect *effect_out, struct err *why)
{
	struct place place;
	int code = place_find(store, message_of(subject->id), order->to, &place, why);

	if (code != ERR_OK)
		return code;
	if (check_place(&place, order->to, why) != ERR_OK)
		return ERR_OK;
	*effect_out = EFFECT_CHANGED;
	if (place.is_taken && place.subject.id == subject->id)
		/* Another one of the same act may have been released to it just now. */
		return place.subject.state != subject->state
			       ? ERR_OK
			       : release(store, order, subject, ruling, why);
	if (!place.is_taken)
		code = add_target(store, order, &place, ruling, why);
	else if (place.subject.state == STATE_DROPPED || place.subject.state == STATE_HELD)
		code = release(store, order, &place.subject, ruling, why);
	return code == ERR_OK ? redirect(store, order, subject, why) : code;
}

static int release_once(struct store *store, struct order *order, const struct subject *subject,
			const struct ruling *ruling, enum effect *effect_out, struct err *why)
{
	bool has_twin;
	int code = look_for_twin(store, order, subject, &has_twin, why);

	if (code != ERR_OK)
		return code;
	if (has_twin) {
		err_set(why, ERR_CONFLICT, "%s gets it already", subject->address);
		return ERR_OK;
	}
	*effect_out = EFFECT_CHANGED;
	return release(store, order, subject, ruling, why);
}

/* *effect_out says refused when it begins. */
static int release_one(struct store *store, struct order *order, const struct subject *subject,
		       const char *scope, enum effect *effect_out, struct err *why)
{
	const struct act_subject judged = {.recipient = subject->id,
					   .address = order->to != NULL ? order->to
									: subject->address,
					   .scope = scope};
	struct ruling ruling = {.verdict = NULL};

	if (judge(order, &judged, &ruling, why) != ERR_OK ||
	    (order->entry != 0 && ruling.entry != order->entry)) {
		if (order->entry != 0)
			*effect_out = EFFECT_PASSED;
		return ERR_OK;
	}
	if (order->to != NULL)
		return release_to(store, order, subject, &ruling, effect_out, why);
	return release_once(store, order, subject, &ruling, effect_out, why);
}

static const char sql_removed[] = "SELECT removed_at IS NOT NULL FROM message WHERE id = ?1";

/* Retention took the content away: there is nothing left to be sent. */
static int look_for_content(struct store *store, const struct subject *subject, enum state to,
			    bool *gone_out, struct err *why)
{
	struct query query;
	int64_t gone = 0;
	int code;

	*gone_out = false;
	if (finished_kind(subject->state) == 0 || finished_kind(to) != 0)
		return ERR_OK;
	code = query_begin(&query, &store->db, sql_removed, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, message_of(subject->id));
	code = query_only_int(&query, 0, &gone, why);
	*gone_out = gone != 0;
	return code;
}

int order_apply(struct store *store, struct order *order, const struct subject *subject,
		const char *scope, enum effect *effect_out, struct err *why)
{
	enum state to;
	bool gone;
	int code;

	if (subject->state == STATE_DELIVERING)
		return wish_one(store, order, subject, effect_out, why);
	*effect_out = EFFECT_REFUSED;
	if (state_move(subject->state, order->transition, &to, why) != ERR_OK)
		return ERR_OK;
	code = look_for_content(store, subject, to, &gone, why);
	if (code != ERR_OK)
		return code;
	if (gone) {
		err_set(why, ERR_CONFLICT,
			"the content of the message is gone: retention removed it");
		return ERR_OK;
	}
	if (order->transition == TRANSITION_RELEASE)
		return release_one(store, order, subject, scope, effect_out, why);
	*effect_out = EFFECT_CHANGED;
	return write_move(store, order, subject, to, why);
}
