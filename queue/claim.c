/* queue/claim.c - what is due goes into a worker's hands, under a lease */
#include <stdlib.h>

#include "queue/delivery.h"
#include "queue/writer.h"

#define CLAIM_MAX 10000

/* A due recipient as it was found. */
struct due {
	struct claimed_recipient recipient;
	enum state state;
	size_t order;
};

/*
 * Walks the partial index of what waits, so the cost is that of what is
 * taken. One more than wanted is asked for, to see whether a message would be cut.
 */
static const char sql_due[] =
	"SELECT id, state, address, attempts, in_doubt, waiting_since, notify, orcpt, fault"
	" FROM recipient"
	" WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2";

static int find_due(struct store *store, const struct claim *claim, size_t limit, struct due *found,
		    size_t *count_out, struct err *why)
{
	struct query query;
	size_t count = 0;
	bool row;
	int code = query_begin(&query, &store->db, sql_due, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, claim->now);
	query_give_int(&query, (int64_t)limit);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct due *due = &found[count];

		due->recipient.id = query_take_int(&query);
		due->state = (enum state)query_take_int(&query);
		due->recipient.address = query_take_copy(&query, claim->arena);
		due->recipient.attempts = (int)query_take_int(&query);
		due->recipient.in_doubt = (int)query_take_int(&query);
		due->recipient.waiting_since = query_take_int(&query);
		due->recipient.notify = query_take_copy(&query, claim->arena);
		due->recipient.orcpt = query_take_copy(&query, claim->arena);
		due->recipient.fault = query_take_copy(&query, claim->arena);
		due->order = count++;
	}
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
 * next time, unless it is the only one. Returns how many are taken; `found`
 * is in the order of the index.
 */
static size_t cut_between_messages(const struct due *found, size_t count, size_t max)
{
	int64_t cut = message_of(found[count - 1].recipient.id);
	size_t keep = max;

	while (keep > 0 && message_of(found[keep - 1].recipient.id) == cut)
		keep--;
	return keep > 0 ? keep : max;
}

static const char sql_claim[] =
	"UPDATE recipient SET state = ?2, due_at = NULL, lease = ?3, lease_until = ?4,"
	" updated_at = ?5, wish = 0 WHERE id = ?1";

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

static int take_due(struct store *store, struct claim *claim, struct due *found, struct err *why)
{
	size_t max = claim->max_recipients < CLAIM_MAX ? claim->max_recipients : CLAIM_MAX;
	size_t count = 0;
	int code = find_due(store, claim, max + 1, found, &count, why);

	if (code != ERR_OK || count == 0)
		return code;
	if (count > max)
		count = cut_between_messages(found, count, max);
	qsort(found, count, sizeof(*found), by_id);
	store->next_lease++;
	for (size_t i = 0; code == ERR_OK && i < count; i++)
		code = lease_one(store, claim, &found[i], why);
	return code == ERR_OK ? group(store, claim, found, count, why) : code;
}

static const char sql_next_due[] =
	"SELECT due_at FROM recipient WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";

static int find_next_due(struct store *store, int64_t *next_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_next_due, why);

	if (code == ERR_OK)
		code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	*next_out = row ? query_take_int(&query) : INT64_MAX;
	if (row)
		query_end(&query);
	return ERR_OK;
}

static int run_claim(struct store *store, struct store_job *job)
{
	struct claim *claim = (struct claim *)job;
	size_t room = claim->max_recipients < CLAIM_MAX ? claim->max_recipients : CLAIM_MAX;
	struct due *found;
	int code = ERR_OK;

	arena_free(&claim->arena);
	claim->arena = arena_new();
	claim->messages = NULL;
	claim->message_count = 0;
	if (room > 0) {
		found = mem_array(room + 1, sizeof(*found));
		code = take_due(store, claim, found, &job->why);
		mem_free(found);
	}
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
