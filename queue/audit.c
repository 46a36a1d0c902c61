/* queue/audit.c - the audit trail */
#include "queue/audit.h"

#include <assert.h>
#include <stdio.h>

#include "queue/connection.h"
#include "queue/token.h"

static const char sql_add[] = "INSERT INTO audit(at, actor, action, subject, before, after)"
			      " VALUES(?1, ?2, ?3, ?4, ?5, ?6)";

int audit_add(struct store *store, const struct audit_line *line, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_add, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, line->at);
	query_give_text(&query, line->actor);
	query_give_text(&query, line->action);
	query_give_text(&query, line->subject);
	query_give_text(&query, line->before);
	query_give_text(&query, line->after);
	return query_run(&query, why);
}

static const char sql_list[] = "SELECT id, at, actor, action, subject, before, after FROM audit"
			       " WHERE id < ?1 ORDER BY id DESC LIMIT ?2";

int queue_audit_list(struct store_reader *reader, int64_t before_id, size_t limit,
		     bool (*row)(void *ctx, const struct audit_row *audit), void *ctx,
		     struct err *why)
{
	struct query query;
	bool more;
	int code = query_begin(&query, reader_db(reader), sql_list, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, before_id > 0 ? before_id : INT64_MAX);
	query_give_int(&query, reader_limit(limit));
	while ((code = query_row(&query, &more, why)) == ERR_OK && more) {
		struct audit_row audit;

		audit.id = query_take_int(&query);
		audit.at = query_take_int(&query);
		audit.actor = query_take_text(&query);
		audit.action = query_take_text(&query);
		audit.subject = query_take_text(&query);
		audit.before = query_take_text(&query);
		audit.after = query_take_text(&query);
		if (!row(ctx, &audit)) {
			query_end(&query);
			break;
		}
	}
	return code;
}

int audit_read(struct store *store, const char *sql, int64_t id, const char **text_out,
	       struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	*text_out = query_take_copy(&query, store->scratch);
	query_end(&query);
	return ERR_OK;
}

void audit_states(const int64_t counts[STATE_COUNT], char json_out[AUDIT_STATES_SIZE])
{
	size_t len = 1;

	memcpy(json_out, "{", 2);
	for (int state = 1; state < STATE_COUNT; state++)
		if (counts[state] > 0)
			len += (size_t)snprintf(json_out + len, AUDIT_STATES_SIZE - len,
						"%s\"%s\":%lld", len > 1 ? "," : "",
						state_name((enum state)state),
						(long long)counts[state]);
	assert(len + 1 < AUDIT_STATES_SIZE);
	memcpy(json_out + len, "}", 2);
}
