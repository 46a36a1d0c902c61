/* queue/act.c - what a person does to recipients: retry, hold, release, cancel, delete */
#include "queue/act.h"

#include <assert.h>
#include <stdio.h>

#include "queue/audit.h"
#include "queue/history.h"
#include "queue/remove.h"
#include "queue/writer.h"

/* A recipient as it is before the act. */
struct subject {
	int64_t id;
	const char *address;
	enum state state;
	enum wish wish;
	int64_t events;
};

struct message_found {
	int64_t number;
	const char *scope;
	struct subject *subjects;
	size_t count;
};

static const char sql_find[] = "SELECT id, scope FROM message WHERE uid = ?1";

static int find_message(struct store *store, const struct ulid *id, struct message_found *found,
			struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_find, why);

	if (code != ERR_OK)
		return code;
	query_give_ulid(&query, id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_NOT_FOUND, "there is no such message");
	found->number = query_take_int(&query);
	found->scope = query_take_copy(&query, store->scratch);
	query_end(&query);
	return ERR_OK;
}

static const char sql_subjects[] = "SELECT id, address, state, wish, events FROM recipient"
				   " WHERE id >= ?1 AND id < ?2 ORDER BY id";

static int find_subjects(struct store *store, struct message_found *found, struct err *why)
{
	struct query query;
	size_t room = 0;
	bool row;
	int code = query_begin(&query, &store->db, sql_subjects, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(found->number, 0));
	query_give_int(&query, part_id(found->number + 1, 0));
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct subject *subject;

		if (found->count == room) {
			room = room > 0 ? room * 2 : 8;
			found->subjects =
				mem_regrow(found->subjects, room, sizeof(*found->subjects));
		}
		subject = &found->subjects[found->count++];
		subject->id = query_take_int(&query);
		subject->address = query_take_copy(&query, store->scratch);
		subject->state = (enum state)query_take_int(&query);
		subject->wish = (enum wish)query_take_int(&query);
		subject->events = query_take_int(&query);
	}
	return code;
}

/* RFC 5321 2.4: local parts byte by byte, domains without regard to case. */
static bool same_address(const char *a, const char *b)
{
	struct span left = span_of(a);
	struct span right = span_of(b);
	size_t left_at = span_find_last(left, '@');
	size_t right_at = span_find_last(right, '@');

	return span_equal(span_first(left, left_at), span_first(right, right_at)) &&
	       span_equal_fold(span_skip(left, left_at), span_skip(right, right_at));
}

static bool is_named(const struct act *act, const char *address)
{
	if (act->address_count == 0)
		return true;
	for (size_t i = 0; i < act->address_count; i++)
		if (same_address(act->addresses[i], address))
			return true;
	return false;
}

static int check_names(const struct act *act, const struct message_found *found, struct err *why)
{
	for (size_t i = 0; i < act->address_count; i++) {
		size_t at = 0;

		while (at < found->count &&
		       !same_address(act->addresses[i], found->subjects[at].address))
			at++;
		if (at == found->count)
			return err_set(why, ERR_NOT_FOUND, "the message has no recipient %s",
				       act->addresses[i]);
	}
	return ERR_OK;
}

/* --- one recipient ------------------------------------------------------------------ */

static const char *done_word(enum transition transition)
{
	switch (transition) {
	case TRANSITION_HOLD: return "held";
	case TRANSITION_RELEASE: return "released";
	case TRANSITION_RETRY: return "retried";
	default: return "cancelled";
	}
}

static const char *reason_of(struct store *store, const struct act *act)
{
	if (act->reason != NULL)
		return act->reason;
	return arena_printf(store->scratch, "%s by %s", done_word(act->transition),
			    act->actor != NULL ? act->actor : "the relay");
}

static int tell(struct store *store, const struct act *act, const struct subject *subject,
		const char *event, enum state state, struct err *why)
{
	struct history_item item = {.at = act->now,
				    .event = event,
				    .reason = reason_of(store, act),
				    .actor = act->actor};

	return history_add(store, subject->id, subject->events + 1, &item, state, why);
}

static const char sql_wish[] =
	"UPDATE recipient SET wish = ?2, events = ?3, updated_at = ?4 WHERE id = ?1";

static int write_wish(struct store *store, const struct act *act, const struct subject *subject,
		      enum wish wish, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_wish, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, subject->id);
	query_give_int(&query, wish);
	query_give_int(&query, subject->events + 1);
	query_give_int(&query, act->now);
	code = query_run(&query, why);
	return code == ERR_OK ? tell(store, act, subject,
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
	" parked = NULL, reason = ?4, events = ?5, updated_at = ?6 WHERE id = ?1";

static int write_move(struct store *store, const struct act *act, const struct subject *subject,
		      enum state to, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_move, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, subject->id);
	query_give_int(&query, to);
	if (state_is_due_state(to))
		query_give_int(&query, act->now);
	else
		query_give_null(&query);
	query_give_text(&query, reason_of(store, act));
	query_give_int(&query, subject->events + 1);
	query_give_int(&query, act->now);
	code = query_run(&query, why);
	if (code == ERR_OK)
		code = tell(store, act, subject, done_word(act->transition), to, why);
	if (code != ERR_OK)
		return code;
	counters_move(&store->counters, subject->state, to);
	if (!state_is_due_state(to))
		return ERR_OK;
	counters_waits(&store->counters, subject->id);
	store->due = true;
	return ERR_OK;
}

/* The same check that everything else passes (DESIGN P1): release is no way around the list. */
static int judge(const struct act *act, const struct subject *subject, const char *scope,
		 struct ruling *ruling, struct err *why)
{
	if (act->judge == NULL)
		return err_set(why, ERR_CONFLICT, "a release needs a judgement");
	if (!act->judge->judge(act->judge->ctx, subject->address, scope, ruling))
		return err_set(why, ERR_CONFLICT, "%s is not allowed: %s", subject->address,
			       ruling->reason != NULL ? ruling->reason : "no reason was given");
	return ERR_OK;
}

enum effect { REFUSED, CHANGED, WISHED };

static int wish_one(struct store *store, const struct act *act, const struct subject *subject,
		    enum effect *effect_out, struct err *why)
{
	enum wish wish = WISH_NONE;

	if (!wish_for(act->transition, subject->wish, &wish)) {
		err_set(why, ERR_CONFLICT, "%s is being delivered", subject->address);
		*effect_out = REFUSED;
		return ERR_OK;
	}
	*effect_out = WISHED;
	return wish == subject->wish ? ERR_OK : write_wish(store, act, subject, wish, why);
}

static int act_on_one(struct store *store, const struct act *act, const struct subject *subject,
		      const char *scope, enum effect *effect_out, struct err *why)
{
	struct ruling ruling = {0};
	enum state to;
	int code;

	if (subject->state == STATE_DELIVERING)
		return wish_one(store, act, subject, effect_out, why);
	*effect_out = REFUSED;
	if (state_move(subject->state, act->transition, &to, why) != ERR_OK)
		return ERR_OK;
	if (act->transition == TRANSITION_RELEASE) {
		if (judge(act, subject, scope, &ruling, why) != ERR_OK)
			return ERR_OK;
		code = history_new_ruling(store, subject->id, &ruling, why);
		if (code != ERR_OK)
			return code;
	}
	*effect_out = CHANGED;
	return write_move(store, act, subject, to, why);
}

/* --- the verb ------------------------------------------------------------------------ */

static int write_audit(struct store *store, const struct act *act, struct err *why)
{
	char subject[ULID_TEXT_SIZE];
	struct audit_line line = {.at = act->now, .actor = act->actor, .subject = subject};

	ulid_format(&act->message, subject);
	line.action =
		arena_printf(store->scratch, "recipient.%s", transition_name(act->transition));
	line.after = arena_printf(store->scratch, "{\"changed\":%zu,\"wished\":%zu}", act->changed,
				  act->wished);
	return audit_add(store, &line, why);
}

static int act_on_all(struct store *store, struct act *act, const struct message_found *found)
{
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < found->count; i++) {
		enum effect effect = REFUSED;
		struct err why = {""};

		if (!is_named(act, found->subjects[i].address))
			continue;
		code = act_on_one(store, act, &found->subjects[i], found->scope, &effect, &why);
		if (code != ERR_OK || (effect == REFUSED && act->refused == 0))
			act->job.why = why;
		act->changed += effect == CHANGED ? 1 : 0;
		act->wished += effect == WISHED ? 1 : 0;
		act->refused += effect == REFUSED ? 1 : 0;
	}
	return code;
}

static int run_act(struct store *store, struct store_job *job)
{
	struct act *act = (struct act *)job;
	struct message_found found = {0};
	int code = find_message(store, &act->message, &found, &job->why);

	act->changed = 0;
	act->wished = 0;
	act->refused = 0;
	if (code == ERR_OK)
		code = find_subjects(store, &found, &job->why);
	if (code == ERR_OK)
		code = check_names(act, &found, &job->why);
	if (code == ERR_OK)
		code = act_on_all(store, act, &found);
	mem_free(found.subjects);
	if (code == ERR_OK && act->changed + act->wished == 0)
		return ERR_CONFLICT; /* the sentence is that of the first refusal */
	return code == ERR_OK ? write_audit(store, act, &job->why) : code;
}

static const struct store_verb verb_act = {.name = "act", .run = run_act};

void queue_act(struct store *store, struct store_job *job)
{
	enum transition transition = ((struct act *)job)->transition;

	assert(transition == TRANSITION_RETRY || transition == TRANSITION_HOLD ||
	       transition == TRANSITION_RELEASE || transition == TRANSITION_CANCEL);
	writer_submit(store, job, &verb_act);
}

/* --- delete --------------------------------------------------------------------------- */

static const char sql_wish_delete[] =
	"UPDATE recipient SET wish = ?3 WHERE id >= ?1 AND id < ?2 AND state = ?4";

static int wish_delete(struct store *store, int64_t number, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_wish_delete, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	query_give_int(&query, WISH_DELETE);
	query_give_int(&query, STATE_DELIVERING);
	return query_run(&query, why);
}

/* What is not in flight stops here; what is, decides when the message goes. */
static int delete_when_settled(struct store *store, const struct message_delete *request,
			       struct message_found *found, struct err *why)
{
	struct act cancel = {.transition = TRANSITION_CANCEL,
			     .actor = request->actor,
			     .reason = "the message is deleted",
			     .now = request->now};
	int code = find_subjects(store, found, why);

	for (size_t i = 0; code == ERR_OK && i < found->count; i++) {
		enum effect effect;
		struct err refusal = {""};

		if (found->subjects[i].state != STATE_DELIVERING)
			code = act_on_one(store, &cancel, &found->subjects[i], found->scope,
					  &effect, &refusal);
		if (code != ERR_OK)
			*why = refusal;
	}
	mem_free(found->subjects);
	return code == ERR_OK ? wish_delete(store, found->number, why) : code;
}

/* Now, because what removes it later does not know who asked. */
static int write_wish_audit(struct store *store, const struct message_delete *request,
			    struct err *why)
{
	char subject[ULID_TEXT_SIZE];
	struct audit_line line = {.at = request->now,
				  .actor = request->actor,
				  .action = "message.delete",
				  .subject = subject,
				  .after = "{\"when_settled\":true}"};

	ulid_format(&request->message, subject);
	return audit_add(store, &line, why);
}

static int run_delete(struct store *store, struct store_job *job)
{
	struct message_delete *request = (struct message_delete *)job;
	struct message_found found = {0};
	bool delivering = false;
	int code = find_message(store, &request->message, &found, &job->why);

	request->wished = false;
	if (code == ERR_OK)
		code = message_is_delivering(store, found.number, &delivering, &job->why);
	if (code != ERR_OK)
		return code;
	if (!delivering)
		return message_remove(store, found.number, request->actor, request->now, &job->why);
	if (!request->when_settled)
		return err_set(&job->why, ERR_CONFLICT, "the message is being delivered");
	request->wished = true;
	code = delete_when_settled(store, request, &found, &job->why);
	return code == ERR_OK ? write_wish_audit(store, request, &job->why) : code;
}

static const struct store_verb verb_delete = {.name = "delete", .run = run_delete};

void queue_message_delete(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_delete);
}
