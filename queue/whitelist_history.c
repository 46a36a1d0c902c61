/* queue/whitelist_history.c - what became of the whitelist, read from the trail */
#include "queue/connection.h"
#include "queue/whitelist.h"

#define PAST_COLUMNS "SELECT id, at, actor, action, subject, entry, revision, before, after"
/* Who may know of one scope only sees an entry while it was in that scope. */
#define PAST_FILTER                                                                                \
	" AND id < ?1 AND at >= ?3 AND (?4 IS NULL OR subject = ?4)"                               \
	" AND (?5 IS NULL OR (coalesce(before ->> 'scope', ?5) = ?5"                               \
	" AND coalesce(after ->> 'scope', ?5) = ?5))"                                              \
	" ORDER BY id DESC LIMIT ?2"

static const char sql_list[] = PAST_COLUMNS
	" FROM audit INDEXED BY audit_list WHERE entry IS NOT NULL" PAST_FILTER;
static const char sql_entry[] = PAST_COLUMNS
	" FROM audit INDEXED BY audit_entry WHERE entry = ?6" PAST_FILTER;

static void take_past(struct query *query, struct whitelist_past *past)
{
	past->id = query_take_int(query);
	past->at = query_take_int(query);
	past->actor = query_take_text(query);
	past->action = query_take_text(query);
	past->pattern = query_take_text(query);
	past->entry = query_take_int(query);
	past->revision = query_take_int(query);
	past->before = query_take_text(query);
	past->after = query_take_text(query);
}

int queue_whitelist_history(struct store_reader *reader, const struct whitelist_past_query *filter,
			    bool (*row)(void *ctx, const struct whitelist_past *past), void *ctx,
			    struct err *why)
{
	struct query query;
	bool more;
	int code = query_begin(&query, reader_db(reader), filter->entry != 0 ? sql_entry : sql_list,
			       why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, filter->before_id > 0 ? filter->before_id : INT64_MAX);
	query_give_int(&query, reader_limit(filter->limit));
	query_give_int(&query, filter->since);
	query_give_text(&query, filter->pattern);
	query_give_text(&query, filter->scope);
	if (filter->entry != 0)
		query_give_int(&query, filter->entry);
	while ((code = query_row(&query, &more, why)) == ERR_OK && more) {
		struct whitelist_past past;

		take_past(&query, &past);
		if (!row(ctx, &past)) {
			query_end(&query);
			break;
		}
	}
	return code;
}
