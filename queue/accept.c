/* queue/accept.c - a message becomes durable, whole or not at all (DESIGN P2) */
#include "queue/accept.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "queue/body.h"
#include "queue/finished.h"
#include "queue/handin.h"
#include "queue/indexer.h"
#include "queue/lane.h"
#include "queue/message.h"
#include "queue/proof.h"
#include "queue/room.h"
#include "queue/seen_set.h"
#include "queue/tell.h"
#include "queue/upkeep.h"
#include "queue/writer.h"

static const char sql_message[] =
	"INSERT INTO message(id, uid, received_at, sender, size, header_size, header_parsed,"
	" body_8bit, smtputf8, envid, ret, bare_cr, bare_lf, listener, scope, client_address,"
	" client_port, client_name, helo, protocol, user, tls, subject, message_id, received_field,"
	" origin, certificate_subject, certificate_sha256, added_fields, command, certificate,"
	" certificate_verdict, proxied)"
	" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
	" ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)";

static int insert_message(struct store *store, int64_t number, const struct new_message *message,
			  struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_message, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, number);
	query_give_ulid(&query, &message->id);
	query_give_int(&query, message->received_at);
	query_give_text(&query, message->sender);
	query_give_int(&query, message->size);
	query_give_int(&query, message->header_size);
	query_give_int(&query, message->header_parsed);
	query_give_int(&query, message->body_8bit);
	query_give_int(&query, message->smtputf8);
	query_give_text(&query, message->envid);
	query_give_text(&query, message->ret);
	query_give_int(&query, message->bare_cr);
	query_give_int(&query, message->bare_lf);
	query_give_text(&query, message->listener);
	query_give_text(&query, message->scope);
	query_give_text(&query, message->client_address);
	query_give_int(&query, message->client_port);
	query_give_text(&query, message->client_name);
	query_give_text(&query, message->helo);
	query_give_text(&query, message->protocol);
	query_give_text(&query, message->user);
	query_give_text(&query, message->tls);
	query_give_text(&query, message->subject);
	query_give_text(&query, message->message_id);
	query_give_text(&query, message->received_field);
	query_give_text(&query, message->origin);
	query_give_text(&query, message->certificate_subject);
	query_give_text(&query, message->certificate_sha256);
	query_give_text(&query, message->added_fields);
	query_give_text(&query, message->command);
	query_give_text(&query, message->certificate);
	query_give_text(&query, message->certificate_verdict);
	query_give_text(&query, message->proxied);
	return query_run(&query, why);
}

static const char sql_recipient[] =
	"INSERT INTO recipient(id, address, state, accepted_state, due_at, waiting_since,"
	" updated_at, verdict, verdict_reason, entry, revision, nearest, notify, orcpt, origin,"
	" fault, lane, proof, redirect_to, ask_at, permit, hop, command, rule) VALUES(?1, ?2, ?3, "
	"?3,"
	" ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, "
	"?22)";

static void give_time(struct query *query, bool has_one, int64_t at)
{
	if (has_one)
		query_give_int(query, at);
	else
		query_give_null(query);
}

static int insert_row(struct store *store, int64_t id, int64_t lane, int64_t now,
		      const struct new_recipient *recipient, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_recipient, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	query_give_text(&query, recipient->address);
	query_give_int(&query, recipient->state);
	give_time(&query, recipient->state == STATE_QUEUED, now);
	query_give_int(&query, now);
	query_give_text(&query, recipient->ruling.verdict);
	query_give_text(&query, recipient->ruling.reason);
	query_give_int(&query, recipient->ruling.entry);
	query_give_int(&query, recipient->ruling.revision);
	query_give_text(&query, recipient->ruling.nearest);
	query_give_text(&query, recipient->notify);
	query_give_text(&query, recipient->orcpt);
	query_give_text(&query, recipient->origin);
	query_give_text(&query, recipient->fault);
	query_give_int(&query, lane);
	query_give_int(&query, proof_of(store->database, id, recipient->address));
	query_give_text(&query, recipient->ruling.redirect_to);
	give_time(&query, recipient->state == STATE_SCREENING, now);
	query_give_int(&query, recipient->permit);
	query_give_text(&query, recipient->hop);
	query_give_text(&query, recipient->command);
	query_give_text(&query, recipient->ruling.rule);
	return query_run(&query, why);
}

int recipient_insert(struct store *store, int64_t id, int64_t lane, int64_t now,
		     const struct new_recipient *recipient, struct err *why)
{
	int code = insert_row(store, id, lane, now, recipient, why);

	if (code != ERR_OK)
		return code;
	counters_move(&store->counters, 0, recipient->state);
	if (recipient->state == STATE_SCREENING)
		store->ask = true;
	if (recipient->state != STATE_QUEUED)
		return ERR_OK;
	counters_waits(&store->counters, id);
	store->due = true;
	return ERR_OK;
}

static int insert_recipients(struct store *store, int64_t number, const struct new_message *message,
			     struct err *why)
{
	int64_t lane = lane_of(message);
	unsigned kinds = 0;
	bool waits = false;

	if ((int64_t)message->recipient_count > MESSAGE_PARTS_MAX)
		return err_set(why, ERR_LIMIT, "a message can't have %zu recipients",
			       message->recipient_count);
	for (size_t i = 0; i < message->recipient_count; i++) {
		struct new_recipient recipient = message->recipients[i];
		int code;

		if (recipient.origin == NULL)
			recipient.origin = message->origin;
		code = recipient_insert(store, part_id(number, (int64_t)i), lane,
					message->received_at, &recipient, why);
		if (code != ERR_OK)
			return code;
		kinds |= finished_kind(recipient.state);
		waits |= finished_kind(recipient.state) == 0;
	}
	return waits ? ERR_OK : finished_note(store, number, kinds, message->received_at, why);
}

static const char sql_unstage[] = "DELETE FROM staging WHERE message = ?1";

static int insert_last(struct store *store, const struct body *body, struct err *why)
{
	struct query query;
	int code;

	if (body_size(body) > 0) {
		code = chunk_insert(store, body_number(body), body_last_sequence(body),
				    body_last(body), why);
		if (code != ERR_OK)
			return code;
	}
	if (!body_is_staged(body))
		return ERR_OK;
	code = query_begin(&query, &store->db, sql_unstage, why);
	if (code != ERR_OK)
		return code;
	query_give_int(&query, body_number(body));
	return query_run(&query, why);
}

int accept_store(struct store *store, const struct new_message *message, const struct body *body,
		 struct err *why)
{
	int64_t number = body_number(body);
	int code = insert_message(store, number, message, why);

	if (code == ERR_OK)
		code = insert_last(store, body, why);
	if (code == ERR_OK)
		code = insert_recipients(store, number, message, why);
	if (code == ERR_OK)
		code = indexer_touch(store, number, why);
	if (code != ERR_OK)
		return code;
	counters_message(&store->counters, 1, message->size);
	tell_accepted(store, message);
	return ERR_OK;
}

static int run_accept(struct store *store, struct store_job *job)
{
	struct accept *accept = (struct accept *)job;
	int code = body_failure(accept->body, &job->why);

	if (code == ERR_OK)
		code = room_check(store, &job->why);
	if (code == ERR_OK)
		code = room_check_messages(store, &job->why);
	if (code == ERR_OK)
		code = handin_check(store, accept->message, &job->why);
	if (code == ERR_OK)
		code = accept_store(store, accept->message, accept->body, &job->why);
	if (code == ERR_OK)
		code = handin_store(store, body_number(accept->body), accept->message, &job->why);
	return code;
}

static int64_t weigh_accept(const struct store_job *job)
{
	return (int64_t)body_last(((const struct accept *)job)->body).len;
}

/* In memory only: accepting does not wait for it (queue/seen.h). */
static void note_recipients(struct store *store, const struct new_message *message)
{
	/* What each start shows (relay/selftest.c) was for nobody. */
	if (message->origin != NULL && strcmp(message->origin, "selftest") == 0)
		return;
	for (size_t i = 0; i < message->recipient_count; i++) {
		const struct new_recipient *recipient = &message->recipients[i];

		seen_set_note(store->seen, span_of(recipient->address), span_of(message->scope),
			      message->received_at,
			      recipient->state != STATE_QUEUED &&
				      recipient->state != STATE_SCREENING);
	}
	atomic_store(&store->has_seen, true);
}

static void finished_well(struct store *store, const struct accept *accept)
{
	histogram_add(&store->measuring.accept, &histogram_prompt,
		      clock_mono_us() - accept->job.submitted_us);
	note_recipients(store, accept->message);
}

static void finish_accept(struct store *store, struct store_job *job)
{
	struct accept *accept = (struct accept *)job;

	if (job->code == ERR_OK)
		finished_well(store, accept);
	else if (job->code != ERR_CLOSED && body_is_staged(accept->body))
		doomed_add(store, body_number(accept->body));
	body_drop(accept->body);
	accept->body = NULL;
}

/* Behind its chunks. */
static bool is_behind_chunks(const struct store_job *job)
{
	return body_is_staged(((const struct accept *)job)->body);
}

static const struct store_verb verb_accept = {.name = "accept",
					      .run = run_accept,
					      .weight = weigh_accept,
					      .finish = finish_accept,
					      .is_bulk = is_behind_chunks};

void queue_accept(struct store *store, struct store_job *job)
{
	struct accept *accept = (struct accept *)job;

	assert(accept->message->recipient_count > 0);
	assert(accept->message->size == body_size(accept->body));
	body_leave(accept->body);
	writer_submit(store, job, &verb_accept);
}
