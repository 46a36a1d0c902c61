/* queue/webhook.c - calls of webhooks: what may be wanted, and reading what waits */
#include "queue/webhook.h"

#include <string.h>

#include "queue/connection.h"

static const char *const event_names[WEBHOOK_EVENTS] = {
	[WEBHOOK_ACCEPTED] = "accepted",   [WEBHOOK_DELIVERED] = "delivered",
	[WEBHOOK_DEFERRED] = "deferred",   [WEBHOOK_HELD] = "held",
	[WEBHOOK_DROPPED] = "dropped",	   [WEBHOOK_REDIRECTED] = "redirected",
	[WEBHOOK_FAILED] = "failed",	   [WEBHOOK_EXPIRED] = "expired",
	[WEBHOOK_CANCELLED] = "cancelled", [WEBHOOK_RELEASED] = "released",
	[WEBHOOK_DELETED] = "deleted",	   [WEBHOOK_WHITELIST] = "whitelist",
	[WEBHOOK_RULE] = "rule",	   [WEBHOOK_FAULT] = "fault",
	[WEBHOOK_DELIVERY] = "delivery",   [WEBHOOK_TOKEN] = "token"};

const char *webhook_event_name(enum webhook_event event)
{
	return event_names[event];
}

int webhook_event_parse(struct span name, enum webhook_event *event_out)
{
	for (size_t i = 0; i < WEBHOOK_EVENTS; i++)
		if (span_is(name, event_names[i])) {
			*event_out = (enum webhook_event)i;
			return ERR_OK;
		}
	return ERR_NOT_FOUND;
}

/* The states have the same words; those that nobody is told of are in none of them. */
static bool event_of_recipient(const struct news *news, enum webhook_event *event_out)
{
	if (news->action != NULL && strcmp(news->action, "released") == 0) {
		*event_out = WEBHOOK_RELEASED;
		return true;
	}
	return news->state != NULL &&
	       webhook_event_parse(span_of(news->state), event_out) == ERR_OK;
}

bool webhook_event_of(const struct news *news, enum webhook_event *event_out)
{
	switch (news->kind) {
	case NEWS_ACCEPTED: *event_out = WEBHOOK_ACCEPTED; return true;
	case NEWS_VERDICT:
	case NEWS_ATTEMPT:
	case NEWS_STATE: return event_of_recipient(news, event_out);
	case NEWS_DELETED: *event_out = WEBHOOK_DELETED; return true;
	case NEWS_WHITELIST: *event_out = WEBHOOK_WHITELIST; return true;
	case NEWS_RULE: *event_out = WEBHOOK_RULE; return true;
	case NEWS_FAULT: *event_out = WEBHOOK_FAULT; return true;
	case NEWS_DELIVERY: *event_out = WEBHOOK_DELIVERY; return true;
	case NEWS_TOKEN: *event_out = WEBHOOK_TOKEN; return true;
	}
	return false;
}

/* --- reading --------------------------------------------------------------------------------- */

#define CALL_COLUMNS                                                                               \
	" id, event, target, type, made_at, coalesce(due_at, 0), attempts, tried_at, status,"      \
	" error, body"

/* Texts point into the statement. */
static void take_call(struct query *query, struct webhook_call *call)
{
	call->id = query_take_int(query);
	call->event = query_take_ulid(query);
	call->target = query_take_text(query);
	call->type = query_take_text(query);
	call->made_at = query_take_int(query);
	call->due_at = query_take_int(query);
	call->attempts = (int)query_take_int(query);
	call->tried_at = query_take_int(query);
	call->status = (int)query_take_int(query);
	call->error = query_take_text(query);
	call->body = query_take_bytes(query);
}

static void keep_call(struct webhook_call *call, struct arena *arena)
{
	call->target = arena_strdup(arena, call->target);
	call->type = arena_strdup(arena, call->type);
	call->error = arena_strdup(arena, call->error);
	call->body = span_make(arena_span_dup(arena, call->body), call->body.len);
}

static const char sql_due[] = "SELECT" CALL_COLUMNS
			      " FROM webhook_call WHERE target = ?1 AND due_at <= ?2"
			      " ORDER BY due_at LIMIT ?3";

int queue_webhook_due(struct store_reader *reader, const char *target, int64_t now, size_t limit,
		      struct arena *arena, struct webhook_call **calls_out, size_t *count_out,
		      struct err *why)
{
	struct webhook_call *calls = arena_array(arena, limit + 1, sizeof(*calls));
	struct query query;
	size_t count = 0;
	bool row = true;
	int code = query_begin(&query, reader_db(reader), sql_due, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, target);
	query_give_int(&query, now);
	query_give_int(&query, (int64_t)limit);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		take_call(&query, &calls[count]);
		keep_call(&calls[count++], arena);
	}
	if (code != ERR_OK)
		return code;
	*calls_out = calls;
	*count_out = count;
	return ERR_OK;
}

static const char sql_next[] = "SELECT due_at FROM webhook_call WHERE target = ?1 AND due_at > ?2"
			       " ORDER BY due_at LIMIT 1";

int queue_webhook_next(struct store_reader *reader, const char *target, int64_t now,
		       int64_t *at_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, reader_db(reader), sql_next, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, target);
	query_give_int(&query, now);
	return query_only_int(&query, INT64_MAX, at_out, why);
}

static const char sql_dead[] = "SELECT" CALL_COLUMNS
			       " FROM webhook_call INDEXED BY webhook_call_dead"
			       " WHERE due_at IS NULL AND id > ?1 ORDER BY id LIMIT ?2";
static const char sql_dead_of[] = "SELECT" CALL_COLUMNS
				  " FROM webhook_call WHERE target = ?3 AND due_at IS NULL"
				  " AND id > ?1 ORDER BY id LIMIT ?2";

int queue_webhook_dead(struct store_reader *reader, const char *target, int64_t after_id,
		       size_t limit, bool (*row)(void *ctx, const struct webhook_call *call),
		       void *ctx, struct err *why)
{
	struct query query;
	bool more;
	int code = query_begin(&query, reader_db(reader), target != NULL ? sql_dead_of : sql_dead,
			       why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, after_id);
	query_give_int(&query, reader_limit(limit));
	if (target != NULL)
		query_give_text(&query, target);
	while ((code = query_row(&query, &more, why)) == ERR_OK && more) {
		struct webhook_call call;

		take_call(&query, &call);
		if (!row(ctx, &call)) {
			query_end(&query);
			break;
		}
	}
	return code;
}

static const char sql_get[] = "SELECT" CALL_COLUMNS
			      " FROM webhook_call WHERE id = ?1 AND due_at IS NULL";

int queue_webhook_get(struct store_reader *reader, int64_t id, struct arena *arena,
		      struct webhook_call *call_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, reader_db(reader), sql_get, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_NOT_FOUND, "there is no such dead letter");
	take_call(&query, call_out);
	keep_call(call_out, arena);
	query_end(&query);
	return ERR_OK;
}
