/* queue/rule.c - rules on what a message says of itself: rows in their order */
#include "queue/rule.h"

#include <assert.h>

#include "base/buf.h"
#include "queue/ordered.h"
#include "queue/writer.h"

#define HEADERS_MAX_BYTES 65536

#define RULE_COLUMNS                                                                               \
	" id, name, enabled, action, redirect_to, tag, overrides, sender, recipient, client, "     \
	"user,"                                                                                    \
	" listener, scope, min_size, max_size, headers, note, created_at, created_by, revision"

/* --- conditions on the header: one a line, "glob Subject *invoice*" --------------------------- */

/* From RULE_PRESENT on. */
static const char *const match_words[] = {"present", "absent", "exact", "glob"};

#define MATCH_COUNT (sizeof(match_words) / sizeof(match_words[0]))

static bool take_header(struct span line, struct arena *arena, struct rule_header *header)
{
	struct span word = span_cut(&line, ' ');
	struct span name = span_cut(&line, ' ');
	size_t i = 0;

	while (i < MATCH_COUNT && !span_is(word, match_words[i]))
		i++;
	if (i == MATCH_COUNT || name.len == 0)
		return false;
	header->match = (enum rule_match)(RULE_PRESENT + (int)i);
	header->name = arena_span_dup(arena, name);
	header->value = arena_span_dup(arena, line);
	return true;
}

/*
 * A line that is none (somebody wrote into the database) becomes a condition
 * without a name: such a rule is refused as a whole by those who read it.
 */
static void take_headers(struct span text, struct arena *arena, struct rule *rule)
{
	struct rule_header *headers = arena_array(arena, RULE_HEADERS_MAX + 1, sizeof(*headers));

	while (text.len > 0 && rule->header_count <= RULE_HEADERS_MAX) {
		struct rule_header *header = &headers[rule->header_count++];

		if (!take_header(span_cut(&text, '\n'), arena, header))
			*header = (struct rule_header){"", RULE_PRESENT, ""};
	}
	rule->headers = headers;
}

static void give_headers(struct query *query, const struct rule *rule, struct arena *arena)
{
	struct buf text;

	buf_init(&text, HEADERS_MAX_BYTES);
	for (size_t i = 0; i < rule->header_count; i++) {
		const struct rule_header *header = &rule->headers[i];

		assert(header->match >= RULE_PRESENT && header->match <= RULE_GLOB);
		/* Each part has been checked to be short: there is room. */
		(void)buf_printf(&text, "%s %s %s\n", match_words[header->match - RULE_PRESENT],
				 header->name, header->value);
	}
	query_give_text(query, arena_span_dup(arena, buf_span(&text)));
	buf_release(&text);
}

/* --- rows -------------------------------------------------------------------------------- */

static void take_rule(struct query *query, struct arena *arena, void *row)
{
	struct rule *rule = row;

	rule->id = query_take_int(query);
	rule->name = query_take_copy(query, arena);
	rule->enabled = query_take_bool(query);
	rule->action = (enum rule_action)query_take_int(query);
	rule->redirect_to = query_take_copy(query, arena);
	rule->tag = query_take_copy(query, arena);
	rule->overrides_whitelist = query_take_bool(query);
	rule->sender = query_take_copy(query, arena);
	rule->recipient = query_take_copy(query, arena);
	rule->client = query_take_copy(query, arena);
	rule->user = query_take_copy(query, arena);
	rule->listener = query_take_copy(query, arena);
	rule->scope = query_take_copy(query, arena);
	rule->min_size = query_take_int(query);
	rule->max_size = query_take_int(query);
	take_headers(span_of(query_take_text(query)), arena, rule);
	rule->note = query_take_copy(query, arena);
	rule->created_at = query_take_int(query);
	rule->created_by = query_take_copy(query, arena);
	rule->revision = query_take_int(query);
}

static const char sql_all[] = "SELECT" RULE_COLUMNS " FROM rule ORDER BY position, id LIMIT ?1";

/* --- one change ---------------------------------------------------------------------------- */

static void give_rule(struct query *query, const void *row, struct arena *arena)
{
	const struct rule *rule = row;

	query_give_text(query, rule->name);
	query_give_int(query, rule->enabled);
	query_give_int(query, rule->action);
	query_give_text(query, rule->redirect_to);
	query_give_text(query, rule->tag);
	query_give_int(query, rule->overrides_whitelist);
	query_give_text(query, rule->sender);
	query_give_text(query, rule->recipient);
	query_give_text(query, rule->client);
	query_give_text(query, rule->user);
	query_give_text(query, rule->listener);
	query_give_text(query, rule->scope);
	query_give_int(query, rule->min_size);
	query_give_int(query, rule->max_size);
	give_headers(query, rule, arena);
	query_give_text(query, rule->note);
}

static const char sql_add[] =
	"INSERT INTO rule(name, enabled, action, redirect_to, tag, overrides, sender, recipient,"
	" client, user, listener, scope, min_size, max_size, headers, note, revision, position,"
	" created_at, created_by) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	" ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
static const char sql_replace[] =
	"UPDATE rule SET name = ?1, enabled = ?2, action = ?3, redirect_to = ?4, tag = ?5,"
	" overrides = ?6, sender = ?7, recipient = ?8, client = ?9, user = ?10, listener = ?11,"
	" scope = ?12, min_size = ?13, max_size = ?14, headers = ?15, note = ?16, revision = ?17"
	" WHERE id = ?18";
static const char sql_json[] =
	"SELECT json_object('id', id, 'name', name, 'enabled', enabled, 'action', CASE action"
	" WHEN 1 THEN 'deliver' WHEN 2 THEN 'drop' WHEN 3 THEN 'hold' WHEN 4 THEN 'redirect'"
	" ELSE 'tag' END, 'redirect_to', redirect_to, 'tag', tag, 'overrides_whitelist', overrides,"
	" 'sender', sender, 'recipient', recipient, 'client', client, 'user', user, 'listener',"
	" listener, 'scope', scope, 'min_size', min_size, 'max_size', max_size, 'headers', headers,"
	" 'note', note) FROM rule WHERE id = ?1";

static const struct ordered_kind rules = {.noun = "rule",
					  .audit = "rule",
					  .rows_max = RULE_ROWS_MAX,
					  .sql_add = sql_add,
					  .sql_replace = sql_replace,
					  .sql_json = sql_json,
					  .give = give_rule,
					  .sql_all = sql_all,
					  .row_size = sizeof(struct rule),
					  .take = take_rule,
					  ORDERED_SQL("rule", "rule_revision")};

static int run_apply(struct store *store, struct store_job *job)
{
	struct rule_apply *apply = (struct rule_apply *)job;
	struct ordered_change *change = &apply->change;
	struct rule *rule = &apply->rule;
	const void *rows = NULL;
	int code;

	change->row = rule;
	change->id = rule->id;
	change->name = rule->name;
	code = ordered_apply(store, &rules, change, &job->why);
	if (code == ERR_OK && change->operation == ORDERED_ADD) {
		rule->id = change->id;
		rule->created_at = change->now;
		rule->created_by = change->actor;
	}
	if (code == ERR_OK)
		rule->revision = change->revision;
	if (code == ERR_OK)
		code = ordered_read(&store->db, &rules, store->scratch, &rows, &apply->count,
				    &job->why);
	apply->rows = rows;
	return code;
}

/* In force before anybody hears that it was done. */
static void finish_apply(struct store *store, struct store_job *job)
{
	const struct rule_apply *apply = (const struct rule_apply *)job;

	if (job->code == ERR_OK && store->options.on_rules != NULL)
		store->options.on_rules(store->options.ctx, apply->rows, apply->count);
}

static const struct store_verb verb_apply = {
	.name = "rule", .run = run_apply, .finish = finish_apply};

void queue_rule_apply(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_apply);
}

int queue_rule_list(struct store_reader *reader, struct arena *arena, const struct rule **rows_out,
		    size_t *count_out, struct err *why)
{
	const void *rows;
	int code = ordered_list(reader, &rules, arena, &rows, count_out, why);

	if (code == ERR_OK)
		*rows_out = rows;
	return code;
}
