/* queue/screen.c - what the policy hook is asked about, and what became of it */
#include "queue/screen.h"

#include <assert.h>

#include "base/clock.h"
#include "queue/connection.h"
#include "queue/finished.h"
#include "queue/history.h"
#include "queue/redirect.h"
#include "queue/screen_inside.h"

/* --- claim ------------------------------------------------------------------------------ */

static const char sql_first[] =
	"SELECT id FROM recipient WHERE ask_at <= ?1 ORDER BY ask_at LIMIT 1";
static const char sql_next[] =
	"SELECT ask_at FROM recipient WHERE ask_at IS NOT NULL ORDER BY ask_at LIMIT 1";

/* -1: nothing is due. */
static int find_first(struct store *store, int64_t now, int64_t *id_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_first, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, now);
	return query_only_int(&query, -1, id_out, why);
}

static const char sql_due[] =
	"SELECT id, address, asked, waiting_since, command, verdict = 'deliver',"
	" CASE WHEN verdict = 'deliver' AND coalesce(entry, 0) = 0 THEN rule END FROM recipient"
	" WHERE id >= ?1 AND id < ?2 AND ask_at <= ?3 ORDER BY id LIMIT ?4";

static int read_due(struct store *store, const struct screen_claim *claim, int64_t number,
		    struct screened_message *message, struct err *why)
{
	struct screened_recipient *found = mem_array(SCREEN_MESSAGE_MAX, sizeof(*found));
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, &store->db, sql_due, why);

	if (code == ERR_OK) {
		query_give_int(&query, part_id(number, 0));
		query_give_int(&query, part_id(number + 1, 0));
		query_give_int(&query, claim->now);
		query_give_int(&query, SCREEN_MESSAGE_MAX);
	}
	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct screened_recipient *one = &found[count++];

		one->id = query_take_int(&query);
		one->index = (size_t)(one->id - part_id(number, 0));
		one->address = query_take_copy(&query, claim->arena);
		one->asked = (int)query_take_int(&query);
		one->waiting_since = query_take_int(&query);
		one->command = query_take_copy(&query, claim->arena);
		one->was_allowed = query_take_bool(&query);
		one->let_out_by = query_take_copy(&query, claim->arena);
		one->lease = store->next_lease;
	}
	message->recipient_count = count;
	message->recipients = arena_array(claim->arena, count + 1, sizeof(*message->recipients));
	memcpy(message->recipients, found, count * sizeof(*found));
	mem_free(found);
	return code;
}

static const char sql_message[] = "SELECT" MESSAGE_COLUMNS
				  ", m.certificate, m.certificate_verdict, m.proxied,"
				  " (SELECT count(*) FROM recipient WHERE id >= ?2 AND id < ?3)"
				  " FROM message m WHERE m.id = ?1";

static int read_message(struct store *store, int64_t number, struct arena *arena,
			struct screened_message *message, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_message, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	query_give_int(&query, part_id(number, 0));
	query_give_int(&query, part_id(number + 1, 0));
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_FATAL, "a recipient of message %lld has no message",
			       (long long)number);
	message_take(&query, arena, &message->m);
	message->m.certificate = query_take_copy(&query, arena);
	message->m.certificate_verdict = query_take_copy(&query, arena);
	message->m.proxied = query_take_copy(&query, arena);
	message->m.recipient_count = (size_t)query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static const char sql_lease[] = "UPDATE recipient SET ask_at = NULL, lease = ?2 WHERE id = ?1";

static int lease_all(struct store *store, const struct screened_message *message, struct err *why)
{
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < message->recipient_count; i++) {
		struct query query;

		code = query_begin(&query, &store->db, sql_lease, why);
		if (code != ERR_OK)
			break;
		query_give_int(&query, message->recipients[i].id);
		query_give_int(&query, message->recipients[i].lease);
		code = query_run(&query, why);
	}
	return code;
}

static int take_message(struct store *store, const struct screen_claim *claim, int64_t number,
			struct screened_message *message, struct err *why)
{
	int code = read_message(store, number, claim->arena, message, why);

	if (code == ERR_OK)
		code = read_due(store, claim, number, message, why);
	return code == ERR_OK ? lease_all(store, message, why) : code;
}

static int take_all(struct store *store, struct screen_claim *claim, struct err *why)
{
	size_t total = 0;
	int64_t id = -1;
	int code = find_first(store, claim->now, &id, why);

	claim->messages =
		arena_array(claim->arena, claim->max_recipients + 1, sizeof(*claim->messages));
	store->next_lease++;
	while (code == ERR_OK && id >= 0 && total < claim->max_recipients) {
		struct screened_message *message = &claim->messages[claim->message_count];

		code = take_message(store, claim, message_of(id), message, why);
		if (code != ERR_OK)
			return code;
		claim->message_count++;
		total += message->recipient_count;
		code = find_first(store, claim->now, &id, why);
	}
	return code;
}

static int run_claim(struct store *store, struct store_job *job)
{
	struct screen_claim *claim = (struct screen_claim *)job;
	struct query query;
	int code;

	arena_free(&claim->arena);
	claim->arena = arena_new();
	claim->message_count = 0;
	code = take_all(store, claim, &job->why);
	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_next, &job->why);
	return code == ERR_OK ? query_only_int(&query, INT64_MAX, &claim->next_at, &job->why)
			      : code;
}

static void finish_claim(struct store *store, struct store_job *job)
{
	struct screen_claim *claim = (struct screen_claim *)job;

	(void)store;
	if (job->code == ERR_OK)
		return;
	arena_free(&claim->arena);
	claim->messages = NULL;
	claim->message_count = 0;
}

static const struct store_verb verb_claim = {
	.name = "screen claim", .run = run_claim, .finish = finish_claim, .may_be_undone = true};

void queue_screen_claim(struct store *store, struct store_job *job)
{
	((struct screen_claim *)job)->arena = NULL;
	writer_submit(store, job, &verb_claim);
}

/* --- settle ----------------------------------------------------------------------------- */

static const char sql_present[] =
	"SELECT events FROM recipient WHERE id = ?1 AND lease = ?2 AND state = ?3";

static int read_present(struct store *store, const struct screen_outcome *outcome, bool *found_out,
			int64_t *events_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_present, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, outcome->recipient);
	query_give_int(&query, outcome->lease);
	query_give_int(&query, STATE_SCREENING);
	code = query_row(&query, found_out, why);
	if (code != ERR_OK || !*found_out)
		return code;
	*events_out = query_take_int(&query);
	query_end(&query);
	return ERR_OK;
}

static const char sql_write[] =
	"UPDATE recipient SET state = ?2, due_at = ?3, ask_at = ?4, lease = NULL, events = ?5,"
	" reason = coalesce(?6, reason), asked = asked + ?7, permit = ?8, hop = ?9, kind = ?10,"
	" updated_at = ?11, login = ?12 WHERE id = ?1";

static int write_state(struct store *store, const struct screen_outcome *outcome, enum state to,
		       int64_t events, int64_t now, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_write, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, outcome->recipient);
	query_give_int(&query, to);
	if (to == STATE_QUEUED)
		query_give_int(&query, now);
	else
		query_give_null(&query);
	if (to == STATE_SCREENING)
		query_give_int(&query, outcome->ask_at);
	else
		query_give_null(&query);
	query_give_int(&query, events);
	query_give_text(&query, outcome->reason);
	query_give_int(&query, outcome->in_vain ? 1 : 0);
	query_give_int(&query, outcome->permit);
	query_give_text(&query, outcome->hop);
	query_give_text(&query, outcome->kind);
	query_give_int(&query, now);
	query_give_text(&query, outcome->login);
	return query_run(&query, why);
}

static const char sql_ruling[] = "SELECT entry, revision, nearest FROM recipient WHERE id = ?1";

/* The list's part of the ruling stays what it was: the hook spoke about the same entry. */
static int write_ruling(struct store *store, const struct screen_outcome *outcome, struct err *why)
{
	struct ruling ruling = {
		.verdict = outcome->verdict,
		.reason = outcome->reason,
		.redirect_to = outcome->redirect != NULL ? outcome->redirect->address : NULL};
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_ruling, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, outcome->recipient);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	ruling.entry = query_take_int(&query);
	ruling.revision = query_take_int(&query);
	ruling.nearest = query_take_copy(&query, store->scratch);
	query_end(&query);
	return history_new_ruling(store, outcome->recipient, &ruling, why);
}

static const char *event_of(const struct screen_outcome *outcome, enum state to)
{
	if (outcome->outcome == TRANSITION_UNCLAIM)
		return "undecided";
	return outcome->outcome == TRANSITION_SCREEN ? "screened" : state_name(to);
}

/* What expires is told of by delivery; that nobody could be asked is no event. */
static bool makes_history(const struct screen_outcome *outcome)
{
	if (outcome->outcome == TRANSITION_UNCLAIM)
		return outcome->in_vain;
	return outcome->permit != PERMIT_EXPIRED;
}

static int tell(struct store *store, const struct screen_outcome *outcome, enum state to,
		int64_t *events, int64_t now, struct err *why)
{
	struct history_item item = {.at = now,
				    .event = event_of(outcome, to),
				    .reason = outcome->reason,
				    .kind = outcome->kind};

	if (!makes_history(outcome))
		return ERR_OK;
	return history_add(store, outcome->recipient, ++*events, &item, to, why);
}

/* --- redirect ----------------------------------------------------------------------------- */

/* Where who stands for it is, or goes; where nobody would get it, it is dropped instead. */
static int find_redirect(struct store *store, struct screen_outcome *outcome,
			 struct place *place_out, struct err *why)
{
	const char *refusal;
	int code = place_find(store, message_of(outcome->recipient), outcome->redirect->address,
			      place_out, why);

	if (code == ERR_OK)
		code = place_refusal(store, place_out, outcome->recipient, &refusal, why);
	if (code != ERR_OK || refusal == NULL)
		return code;
	outcome->outcome = TRANSITION_DROP;
	outcome->verdict = "drop";
	outcome->reason = arena_printf(store->scratch, "%s: %s", outcome->reason, refusal);
	outcome->redirect = NULL;
	return ERR_OK;
}

/* --- one outcome --------------------------------------------------------------------------- */

static int move(struct store *store, const struct screen_outcome *decided, int64_t events,
		int64_t now, struct err *why)
{
	struct screen_outcome own = *decided;
	const struct screen_outcome *outcome = &own;
	enum state to = STATE_SCREENING;
	struct place place = {.is_taken = true};
	int code = own.redirect != NULL ? find_redirect(store, &own, &place, why) : ERR_OK;

	if (code == ERR_OK && outcome->outcome != TRANSITION_UNCLAIM)
		code = state_move(STATE_SCREENING, outcome->outcome, &to, why);
	if (code == ERR_OK)
		code = tell(store, outcome, to, &events, now, why);
	if (code == ERR_OK && outcome->verdict != NULL)
		code = write_ruling(store, outcome, why);
	if (code == ERR_OK)
		code = write_state(store, outcome, to, events, now, why);
	if (code == ERR_OK && outcome->redirect != NULL && !place.is_taken)
		code = place_fill(store, &place, outcome->redirect, now, NULL, why);
	if (code != ERR_OK)
		return code;
	finished_moved(store, outcome->recipient, STATE_SCREENING, to);
	if (to == STATE_SCREENING)
		store->ask = true;
	if (to != STATE_QUEUED)
		return ERR_OK;
	counters_waits(&store->counters, outcome->recipient);
	store->due = true;
	return ERR_OK;
}

static int run_settle(struct store *store, struct store_job *job)
{
	struct screen_settle *settle = (struct screen_settle *)job;
	int code = ERR_OK;

	settle->lost = 0;
	for (size_t i = 0; code == ERR_OK && i < settle->count; i++) {
		int64_t events = 0;
		bool found = false;

		code = read_present(store, &settle->outcomes[i], &found, &events, &job->why);
		if (code == ERR_OK && found)
			code = move(store, &settle->outcomes[i], events, settle->now, &job->why);
		settle->lost += code == ERR_OK && !found ? 1 : 0;
	}
	return code;
}

static const struct store_verb verb_settle = {.name = "screen settle", .run = run_settle};

void queue_screen_settle(struct store *store, struct store_job *job)
{
	const struct screen_settle *settle = (const struct screen_settle *)job;

	for (size_t i = 0; i < settle->count; i++)
		assert((settle->outcomes[i].redirect != NULL) ==
		       (settle->outcomes[i].outcome == TRANSITION_REDIRECT));
	writer_submit(store, job, &verb_settle);
}

/* --- start ------------------------------------------------------------------------------ */

static const char sql_give_back[] = "UPDATE recipient SET ask_at = ?1, lease = NULL"
				    " WHERE lease IS NOT NULL AND state = ?2";

int screen_give_back_all(struct store *store, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_give_back, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, clock_wall_ms());
	query_give_int(&query, STATE_SCREENING);
	return query_run(&query, why);
}
