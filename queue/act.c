/* queue/act.c - what a person does to recipients: retry, hold, release, cancel, delete */
#include "queue/act.h"

#include <assert.h>
#include <stdio.h>

#include "base/buf.h"
#include "queue/acting.h"
#include "queue/audit.h"
#include "queue/remove.h"
#include "queue/writer.h"

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

static const char sql_subjects[] = "SELECT" SUBJECT_COLUMNS " FROM recipient"
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
		if (found->count == room) {
			room = room > 0 ? room * 2 : 8;
			found->subjects =
				mem_regrow(found->subjects, room, sizeof(*found->subjects));
		}
		subject_take(&query, store->scratch, &found->subjects[found->count++]);
	}
	return code;
}

static bool is_named(const struct act *act, const struct subject *subject)
{
	if (act->address_count == 0)
		return true;
	for (size_t i = 0; i < act->address_count; i++)
		if (subject_is(subject, act->addresses[i]))
			return true;
	return false;
}

static int check_names(const struct act *act, const struct message_found *found, struct err *why)
{
	for (size_t i = 0; i < act->address_count; i++) {
		size_t at = 0;

		while (at < found->count && !subject_is(&found->subjects[at], act->addresses[i]))
			at++;
		if (at == found->count)
			return err_set(why, ERR_NOT_FOUND, "the message has no recipient %s",
				       act->addresses[i]);
	}
	return ERR_OK;
}

/* --- the verb ------------------------------------------------------------------------ */

static int act_on_all(struct store *store, struct act *act, const struct message_found *found)
{
	struct order order = {.transition = act->transition,
			      .actor = act->actor,
			      .reason = act->reason,
			      .now = act->now,
			      .judge = act->judge,
			      .to = act->to};
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < found->count; i++) {
		enum effect effect = EFFECT_REFUSED;
		struct err why = {""};

		if (!is_named(act, &found->subjects[i]))
			continue;
		code = order_apply(store, &order, &found->subjects[i], found->scope, &effect, &why);
		if (code != ERR_OK || (effect == EFFECT_REFUSED && act->refused == 0))
			act->job.why = why;
		act->changed += effect == EFFECT_CHANGED ? 1 : 0;
		act->wished += effect == EFFECT_WISHED ? 1 : 0;
		act->refused += effect == EFFECT_REFUSED ? 1 : 0;
	}
	return code;
}

/* {"dropped": 2}: how many of those that are meant are in which state, before the act. */
static void count_states(const struct act *act, const struct message_found *found,
			 char json_out[AUDIT_STATES_SIZE])
{
	int64_t counts[STATE_COUNT] = {0};

	for (size_t i = 0; i < found->count; i++)
		if (is_named(act, &found->subjects[i]) &&
		    (unsigned)found->subjects[i].state < STATE_COUNT)
			counts[found->subjects[i].state]++;
	audit_states(counts, json_out);
}

/* The patch takes out what was not said. */
static const char sql_audit[] =
	"INSERT INTO audit(at, actor, action, subject, before, after)"
	" VALUES(?1, ?2, ?3, ?4, json_object('states', json(?5)), json_patch('{}',"
	" json_object('changed', ?6, 'wished', ?7, 'reason', ?8, 'to', ?9)))";

static int write_audit(struct store *store, const struct act *act, const char *states,
		       struct err *why)
{
	char subject[ULID_TEXT_SIZE];
	struct query query;
	int code = query_begin(&query, &store->db, sql_audit, why);

	if (code != ERR_OK)
		return code;
	ulid_format(&act->message, subject);
	query_give_int(&query, act->now);
	query_give_text(&query, act->actor);
	query_give_text(&query, arena_printf(store->scratch, "recipient.%s",
					     transition_name(act->transition)));
	query_give_text(&query, subject);
	query_give_text(&query, states);
	query_give_int(&query, (int64_t)act->changed);
	query_give_int(&query, (int64_t)act->wished);
	query_give_text(&query, act->reason);
	query_give_text(&query, act->to);
	return query_run(&query, why);
}

static int run_act(struct store *store, struct store_job *job)
{
	char states[AUDIT_STATES_SIZE] = "{}";
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
	if (code == ERR_OK) {
		count_states(act, &found, states);
		code = act_on_all(store, act, &found);
	}
	mem_free(found.subjects);
	if (code == ERR_OK && act->changed + act->wished == 0)
		return ERR_CONFLICT; /* the sentence is that of the first refusal */
	return code == ERR_OK ? write_audit(store, act, states, &job->why) : code;
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
	struct order cancel = {.transition = TRANSITION_CANCEL,
			       .actor = request->actor,
			       .reason = "the message is deleted",
			       .now = request->now};
	int code = find_subjects(store, found, why);

	for (size_t i = 0; code == ERR_OK && i < found->count; i++) {
		enum effect effect;
		struct err refusal = {""};

		if (found->subjects[i].state != STATE_DELIVERING)
			code = order_apply(store, &cancel, &found->subjects[i], found->scope,
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
