/* queue/claim.c - what is due goes into a worker's hands, under a lease */
#include <stdlib.h>

#include "queue/delivery.h"
#include "queue/history.h"
#include "queue/lane.h"
#include "queue/proof.h"
#include "queue/writer.h"

#define CLAIM_MAX 10000

#define PROBES_MAX 512 /* steps down the index of lanes, of 2 us each */

/* A recipient that is taken. */
struct due {
	struct claimed_recipient recipient;
	enum state state;
	int64_t lane;
	bool is_damaged; /* queue/proof.h */
	size_t order;
};

/* One claim being made. */
struct taking {
	struct store *store;
	struct claim *claim;
	int64_t *ids;
	struct due *taken;
	size_t room, count;
};

static bool is_proved(const struct store *store, const struct claimed_recipient *recipient,
		      struct query *query)
{
	bool is_old = query_take_bool(query);
	int64_t proof = query_take_int(query);

	if (recipient->address == NULL)
		return false;
	return is_old || proof == proof_of(store->database, recipient->id, recipient->address);
}

/*
 * Walks the partial index of what waits, so the cost is that of what is
 * found, and no row is read for it.
 */
static const char sql_due[] =
	"SELECT id FROM recipient WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";

static int find_due(struct taking *t, size_t limit, size_t *count_out, struct err *why)
{
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, &t->store->db, sql_due, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, t->claim->now);
	query_give_int(&query, (int64_t)limit);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row)
		t->ids[count++] = query_take_int(&query);
	*count_out = count;
	return code;
}

static int by_id(const void *a, const void *b)
{
	const struct due *left = a;
	const struct due *right = b;

	return (left->recipient.id > right->recipient.id) -
	       (left->recipient.id < right->recipient.id);
}

/*
 * More than `max` were found: leave the message that the limit cuts for the
 * next time, unless there is nothing else. Returns how many are taken.
 */
static size_t cut_between_messages(const struct taking *t, size_t count, size_t max)
{
	int64_t cut = message_of(t->ids[count - 1]);
	size_t keep = max;

	while (keep > 0 && message_of(t->ids[keep - 1]) == cut)
		keep--;
	return keep > 0 || t->count > 0 || t->claim->whole ? keep : max;
}

/* An address ends where its text ends: one with a NUL inside is none of ours (S126). */
static const char sql_read[] =
	"SELECT state, CASE WHEN instr(CAST(address AS BLOB), x'00') = 0 THEN address END,"
	" attempts, in_doubt, waiting_since, notify, orcpt, fault, reason,"
	" reply_code, reply_enhanced, reply_text, kind, lane, delay_told, permit, hop, login, "
	"released,"
	" CASE WHEN verdict = 'deliver' AND coalesce(entry, 0) = 0 THEN rule END,"
	" proof IS NULL, proof"
	" FROM recipient WHERE id = ?1";

static int read_due(struct taking *t, int64_t id, struct due *due, struct err *why)
{
	struct arena *arena = t->claim->arena;
	struct query query;
	bool row;
	int code = query_begin(&query, &t->store->db, sql_read, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_FATAL, "the index of what is due names no recipient");
	due->recipient.id = id;
	due->state = state_of_number(query_take_int(&query));
	due->recipient.address = query_take_copy(&query, arena);
	due->recipient.attempts = (int)query_take_int(&query);
	due->recipient.in_doubt = (int)query_take_int(&query);
	due->recipient.waiting_since = query_take_int(&query);
	due->recipient.notify = query_take_copy(&query, arena);
	due->recipient.orcpt = query_take_copy(&query, arena);
	due->recipient.fault = query_take_copy(&query, arena);
	due->recipient.last_reason = query_take_copy(&query, arena);
	due->recipient.last_code = (int)query_take_int(&query);
	due->recipient.last_enhanced = query_take_copy(&query, arena);
	due->recipient.last_text = query_take_copy(&query, arena);
	due->recipient.last_kind = query_take_copy(&query, arena);
	due->lane = query_take_int(&query);
	due->recipient.delay_told = query_take_int(&query) != 0;
	due->recipient.permit = (enum permit)query_take_int(&query);
	due->recipient.hop = query_take_copy(&query, arena);
	due->recipient.login = query_take_copy(&query, arena);
	due->recipient.released = query_take_bool(&query);
	due->recipient.let_out_by = query_take_copy(&query, arena);
	due->is_damaged = !is_proved(t->store, &due->recipient, &query);
	query_end(&query);
	return ERR_OK;
}

static const char sql_claim[] =
	"UPDATE recipient SET state = ?2, due_at = NULL, lease = ?3, lease_until = ?4,"
	" updated_at = ?5, wish = 0, parked = NULL WHERE id = ?1";

static int lease_one(struct store *store, const struct claim *claim, struct due *due,
		     struct err *why)
{
	struct query query;
	enum state to;
	int code = state_move(due->state, TRANSITION_CLAIM, &to, why);

	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_claim, why);
	if (code != ERR_OK)
		return code;
	due->recipient.lease = store->next_lease;
	query_give_int(&query, due->recipient.id);
	query_give_int(&query, to);
	query_give_int(&query, due->recipient.lease);
	query_give_int(&query, claim->now + claim->lease_ms);
	query_give_int(&query, claim->now);
	code = query_run(&query, why);
	if (code == ERR_OK)
		counters_move(&store->counters, due->state, to);
	return code;
}

static const char sql_hold[] =
	"UPDATE recipient SET state = ?2, due_at = NULL, parked = NULL, reason = ?3,"
	" events = events + 1,"
	" updated_at = ?4 WHERE id = ?1 RETURNING events";

/* S259, P1: nobody knows whose address that is. */
static int hold_damaged(struct store *store, const struct claim *claim, const struct due *due,
			struct err *why)
{
	struct history_item item = {.at = claim->now,
				    .event = "held",
				    .reason = "the database is damaged: the address stored here is "
					      "not the one that was accepted"};
	int64_t events = 0;
	struct query query;
	enum state to;
	bool row;
	int code = state_move(due->state, TRANSITION_HOLD, &to, why);

	if (code == ERR_OK)
		code = query_begin(&query, &store->db, sql_hold, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, due->recipient.id);
	query_give_int(&query, to);
	query_give_text(&query, item.reason);
	query_give_int(&query, claim->now);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row)
		events = query_take_int(&query);
	if (code == ERR_OK)
		code = history_add(store, due->recipient.id, events, &item, to, why);
	if (code == ERR_OK)
		counters_move(&store->counters, due->state, to);
	return code;
}

static const char sql_message[] =
	"SELECT uid, received_at, sender, size, header_size, header_parsed, body_8bit, smtputf8,"
	" envid, ret, scope, received_field, added_fields, origin, client_address, client_name, "
	"client_port, "
	"helo,"
	" user, protocol, listener FROM message WHERE id = ?1";

static void take_message(struct query *query, struct arena *arena, struct claimed_message *message)
{
	message->id = query_take_ulid(query);
	message->received_at = query_take_int(query);
	message->sender = query_take_copy(query, arena);
	message->size = query_take_int(query);
	message->header_size = query_take_int(query);
	message->header_parsed = query_take_bool(query);
	message->body_8bit = query_take_bool(query);
	message->smtputf8 = query_take_bool(query);
	message->envid = query_take_copy(query, arena);
	message->ret = query_take_copy(query, arena);
	message->scope = query_take_copy(query, arena);
	message->received_field = query_take_copy(query, arena);
	message->added_fields = query_take_copy(query, arena);
	message->origin = query_take_copy(query, arena);
	message->client_address = query_take_copy(query, arena);
	message->client_name = query_take_copy(query, arena);
	message->client_port = (int)query_take_int(query);
	message->helo = query_take_copy(query, arena);
	message->user = query_take_copy(query, arena);
	message->protocol = query_take_copy(query, arena);
	message->listener = query_take_copy(query, arena);
}

static int read_message(struct store *store, int64_t number, struct arena *arena,
			struct claimed_message *message, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_message, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_FATAL, "a recipient of message %lld has no message",
			       (long long)number);
	take_message(&query, arena, message);
	query_end(&query);
	return ERR_OK;
}

static int by_order(const void *a, const void *b)
{
	const struct claimed_message *left = a;
	const struct claimed_message *right = b;

	return (left->order > right->order) - (left->order < right->order);
}

/* `found` by id: the recipients of a message lie together. */
static int group(struct store *store, struct claim *claim, struct due *found, size_t count,
		 struct err *why)
{
	size_t messages = 0;

	claim->messages = arena_array(claim->arena, count, sizeof(*claim->messages));
	for (size_t i = 0; i < count;) {
		struct claimed_message *message = &claim->messages[messages++];
		int64_t number = message_of(found[i].recipient.id);
		size_t end = i;
		int code = read_message(store, number, claim->arena, message, why);

		if (code != ERR_OK)
			return code;
		message->order = found[i].order;
		message->app = (int)lane_app(found[i].lane);
		for (; end < count && message_of(found[end].recipient.id) == number; end++)
			if (found[end].order < message->order)
				message->order = found[end].order;
		message->recipient_count = end - i;
		message->recipients = arena_array(claim->arena, message->recipient_count,
						  sizeof(*message->recipients));
		for (size_t r = 0; i < end; i++, r++)
			message->recipients[r] = found[i].recipient;
	}
	qsort(claim->messages, messages, sizeof(*claim->messages), by_order);
	claim->message_count = messages;
	return ERR_OK;
}

static int take(struct taking *t, size_t count, struct err *why)
{
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < count; i++) {
		struct due *due = &t->taken[t->count];

		code = read_due(t, t->ids[i], due, why);
		if (code == ERR_OK && due->is_damaged) {
			code = hold_damaged(t->store, t->claim, due, why);
		} else if (code == ERR_OK) {
			due->order = t->count++;
			code = lease_one(t->store, t->claim, due, why);
		}
	}
	return code;
}

/* Up to `fill` in all, by turns. */
static int take_turns(struct taking *t, size_t fill, struct err *why)
{
	struct lanes *lanes = t->store->lanes;
	int probes = PROBES_MAX;
	int code = ERR_OK;

	while (code == ERR_OK && t->count < fill) {
		size_t room = t->room - t->count;
		size_t count = 0, keep;
		int64_t lane = 0;

		code = lane_turn(&t->store->db, lanes, t->claim->now, room + 1, &probes, t->ids,
				 &count, &lane, why);
		if (code != ERR_OK || count == 0)
			return code;
		keep = count > room ? cut_between_messages(t, count, room) : count;
		if (keep == 0) {
			/* It is first the next time, or others try what room they need. */
			if (t->claim->whole)
				lane_passed(lanes, lane);
			return ERR_OK;
		}
		lane_passed(lanes, lane);
		code = take(t, keep, why);
	}
	return code;
}

/* What has been due for the longest time, as far as there is room. */
static int take_oldest(struct taking *t, struct err *why)
{
	size_t room = t->room - t->count;
	size_t count = 0;
	int code = find_due(t, room + 1, &count, why);

	if (code != ERR_OK || count == 0)
		return code;
	return take(t, count > room ? cut_between_messages(t, count, room) : count, why);
}

/*
 * Little is due: all of it. Much: by turns, so that whoever hands in a hundred
 * thousand messages holds up nobody else; and a part in the order of time, so that
 * nothing waits for ever in a lane that the turns reach late.
 */
static int take_due(struct taking *t, struct err *why)
{
	size_t count = 0;
	int code = find_due(t, t->room + 1, &count, why);

	if (code != ERR_OK || count <= t->room)
		return code == ERR_OK ? take(t, count, why) : code;
	code = take_turns(t, t->room - t->room / 4, why);
	if (code == ERR_OK && t->count < t->room)
		code = take_oldest(t, why);
	return code;
}

static const char sql_only[] =
	"SELECT recipient.id FROM message JOIN recipient ON recipient.id >= message.id << ?3"
	" AND recipient.id < (message.id + 1) << ?3 WHERE message.uid = ?1"
	" AND recipient.due_at IS NOT NULL ORDER BY recipient.id LIMIT ?2";

/* What waits of one message. */
static int take_only(struct taking *t, const struct ulid *message, struct err *why)
{
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, &t->store->db, sql_only, why);

	if (code != ERR_OK)
		return code;
	query_give_ulid(&query, message);
	query_give_int(&query, (int64_t)t->room);
	query_give_int(&query, MESSAGE_SHIFT);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row)
		t->ids[count++] = query_take_int(&query);
	return code == ERR_OK ? take(t, count, why) : code;
}

static const char sql_next_due[] =
	"SELECT due_at FROM recipient WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";

static int find_next_due(struct store *store, int64_t *next_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_next_due, why);

	return code == ERR_OK ? query_only_int(&query, INT64_MAX, next_out, why) : code;
}

static int claim_due(struct store *store, struct claim *claim, size_t room, struct err *why)
{
	struct taking t = {.store = store, .claim = claim, .room = room};
	int code;

	t.ids = mem_array(room + 1, sizeof(*t.ids));
	t.taken = mem_array(room, sizeof(*t.taken));
	store->next_lease++;
	code = claim->only != NULL ? take_only(&t, claim->only, why) : take_due(&t, why);
	if (code == ERR_OK && t.count > 0) {
		qsort(t.taken, t.count, sizeof(*t.taken), by_id);
		code = group(store, claim, t.taken, t.count, why);
	}
	mem_free(t.ids);
	mem_free(t.taken);
	return code;
}

static int run_claim(struct store *store, struct store_job *job)
{
	struct claim *claim = (struct claim *)job;
	size_t room = claim->max_recipients < CLAIM_MAX ? claim->max_recipients : CLAIM_MAX;
	int code = ERR_OK;

	arena_free(&claim->arena);
	claim->arena = arena_new();
	claim->messages = NULL;
	claim->message_count = 0;
	if (room > 0)
		code = claim_due(store, claim, room, &job->why);
	if (code == ERR_OK)
		code = find_next_due(store, &claim->next_due_at, &job->why);
	return code;
}

static void finish_claim(struct store *store, struct store_job *job)
{
	struct claim *claim = (struct claim *)job;

	(void)store;
	if (job->code == ERR_OK)
		return;
	arena_free(&claim->arena);
	claim->messages = NULL;
	claim->message_count = 0;
}

static const struct store_verb verb_claim = {
	.name = "claim", .run = run_claim, .finish = finish_claim, .may_be_undone = true};

void queue_claim(struct store *store, struct store_job *job)
{
	((struct claim *)job)->arena = NULL;
	writer_submit(store, job, &verb_claim);
}

/* --- renew ------------------------------------------------------------------------- */

static const char sql_renew[] =
	"UPDATE recipient SET lease_until = ?3 WHERE id = ?1 AND lease = ?2";

static int run_renew(struct store *store, struct store_job *job)
{
	struct renew *renew = (struct renew *)job;
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < renew->count; i++) {
		struct query query;

		code = query_begin(&query, &store->db, sql_renew, &job->why);
		if (code != ERR_OK)
			break;
		query_give_int(&query, renew->recipients[i]);
		query_give_int(&query, renew->leases[i]);
		query_give_int(&query, renew->until);
		code = query_run(&query, &job->why);
	}
	return code;
}

static const struct store_verb verb_renew = {
	.name = "renew", .run = run_renew, .may_be_undone = true};

void queue_renew(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_renew);
}
