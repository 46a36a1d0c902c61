/* queue/token.c - API tokens: only a digest of the secret is kept */
#include "queue/token.h"

#include "queue/audit.h"
#include "queue/connection.h"
#include "queue/tell.h"
#include "queue/writer.h"

#define TOKEN_COLUMNS                                                                              \
	" id, name, role, scope, created_at, created_by, expires_at, last_used_at,"                \
	" revoked_at IS NOT NULL"

/* Strings point into the statement. */
static void take_token(struct query *query, struct token *token)
{
	token->id = query_take_int(query);
	token->name = query_take_text(query);
	token->role = (enum role)query_take_int(query);
	token->scope = query_take_text(query);
	token->created_at = query_take_int(query);
	token->created_by = query_take_text(query);
	token->expires_at = query_take_int(query);
	token->last_used_at = query_take_int(query);
	token->revoked = query_take_bool(query);
}

static const char sql_json[] =
	"SELECT json_object('id', id, 'name', name, 'role', role, 'scope', scope, 'expires_at',"
	" expires_at) FROM token WHERE id = ?1";
static const char sql_name[] = "SELECT name FROM token WHERE id = ?1";

/* The trail's line, with the token as it is in `before` or `after`. */
static int write_audit(struct store *store, struct audit_line *line, int64_t id,
		       const char **json_out, struct err *why)
{
	int code = audit_read(store, sql_json, id, json_out, why);

	if (code == ERR_OK)
		code = audit_read(store, sql_name, id, &line->subject, why);
	if (code == ERR_OK)
		code = audit_add(store, line, why);
	if (code == ERR_OK)
		tell(store, &(struct news){.kind = NEWS_TOKEN,
					   .at = line->at,
					   .action = line->after != NULL ? "create" : "revoke",
					   .name = line->subject,
					   .actor = line->actor});
	return code;
}

/* --- create ---------------------------------------------------------------------------- */

static const char sql_named[] = "SELECT 1 FROM token WHERE name = ?1 AND revoked_at IS NULL";

static int check_name(struct store *store, const char *name, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_named, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, name);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	query_end(&query);
	return err_set(why, ERR_CONFLICT, "there is a token named %s", name);
}

static const char sql_create[] =
	"INSERT INTO token(name, digest, role, scope, created_at, created_by, expires_at)"
	" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";

static int insert_token(struct store *store, struct token_create *create, struct err *why)
{
	struct token *token = &create->token;
	struct query query;
	int code = query_begin(&query, &store->db, sql_create, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, token->name);
	query_give_bytes(&query, create->digest, sizeof(create->digest));
	query_give_int(&query, token->role);
	query_give_text(&query, token->scope != NULL ? token->scope : "");
	query_give_int(&query, token->created_at != 0 ? token->created_at : create->now);
	query_give_text(&query, token->created_by != NULL ? token->created_by : create->actor);
	query_give_int(&query, token->expires_at);
	code = query_run(&query, why);
	if (code == ERR_OK)
		token->id = sqlite3_last_insert_rowid(store->db.handle);
	return code;
}

static int run_create(struct store *store, struct store_job *job)
{
	struct token_create *create = (struct token_create *)job;
	struct audit_line line = {
		.at = create->now, .actor = create->actor, .action = "token.create"};
	int code = check_name(store, create->token.name, &job->why);

	if (code == ERR_OK)
		code = insert_token(store, create, &job->why);
	if (code == ERR_OK)
		code = write_audit(store, &line, create->token.id, &line.after, &job->why);
	return code;
}

static const struct store_verb verb_create = {.name = "token.create", .run = run_create};

void queue_token_create(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_create);
}

/* --- revoke ---------------------------------------------------------------------------- */

static const char sql_revoke[] =
	"UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";

static int run_revoke(struct store *store, struct store_job *job)
{
	struct token_revoke *revoke = (struct token_revoke *)job;
	struct audit_line line = {
		.at = revoke->now, .actor = revoke->actor, .action = "token.revoke"};
	struct query query;
	int code = query_begin(&query, &store->db, sql_revoke, &job->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, revoke->id);
	query_give_int(&query, revoke->now);
	code = query_run(&query, &job->why);
	if (code != ERR_OK)
		return code;
	if (sqlite3_changes64(store->db.handle) == 0)
		return err_set(&job->why, ERR_NOT_FOUND, "there is no such token");
	return write_audit(store, &line, revoke->id, &line.before, &job->why);
}

static const struct store_verb verb_revoke = {.name = "token.revoke", .run = run_revoke};

void queue_token_revoke(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_revoke);
}

/* --- use --------------------------------------------------------------------------------- */

static const char sql_use[] =
	"UPDATE token SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2";

static int run_use(struct store *store, struct store_job *job)
{
	const struct token_use *use = (const struct token_use *)job;
	struct query query;
	int code = query_begin(&query, &store->db, sql_use, &job->why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, use->id);
	query_give_int(&query, use->now);
	return query_run(&query, &job->why);
}

static const struct store_verb verb_use = {
	.name = "token.use", .run = run_use, .may_be_undone = true};

void queue_token_use(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_use);
}

/* --- reading ----------------------------------------------------------------------------- */

/* The one row of the query, kept in `arena`. */
static int take_only(struct query *query, struct arena *arena, struct token *token_out,
		     struct err *why)
{
	bool row;
	int code = query_row(query, &row, why);

	if (code != ERR_OK)
		return code;
	if (!row)
		return err_set(why, ERR_NOT_FOUND, "there is no such token");
	take_token(query, token_out);
	token_out->name = arena_strdup(arena, token_out->name);
	token_out->scope = arena_strdup(arena, token_out->scope);
	token_out->created_by = arena_strdup(arena, token_out->created_by);
	query_end(query);
	return ERR_OK;
}

static const char sql_find[] = "SELECT" TOKEN_COLUMNS
			       " FROM token WHERE digest = ?1 AND revoked_at IS NULL";

int queue_token_find(struct store_reader *reader, const unsigned char digest[SECRET_SHA256_BYTES],
		     struct arena *arena, struct token *token_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, reader_db(reader), sql_find, why);

	if (code != ERR_OK)
		return code;
	query_give_bytes(&query, digest, SECRET_SHA256_BYTES);
	return take_only(&query, arena, token_out, why);
}

static const char sql_get[] = "SELECT" TOKEN_COLUMNS " FROM token WHERE id = ?1";

int queue_token_get(struct store_reader *reader, int64_t id, struct arena *arena,
		    struct token *token_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, reader_db(reader), sql_get, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, id);
	return take_only(&query, arena, token_out, why);
}

static const char sql_list[] = "SELECT" TOKEN_COLUMNS
			       " FROM token WHERE id > ?1 ORDER BY id LIMIT ?2";

int queue_token_list(struct store_reader *reader, int64_t after_id, size_t limit,
		     bool (*row)(void *ctx, const struct token *token), void *ctx, struct err *why)
{
	struct query query;
	bool more;
	int code = query_begin(&query, reader_db(reader), sql_list, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, after_id);
	query_give_int(&query, reader_limit(limit));
	while ((code = query_row(&query, &more, why)) == ERR_OK && more) {
		struct token token;

		take_token(&query, &token);
		if (!row(ctx, &token)) {
			query_end(&query);
			break;
		}
	}
	return code;
}

int queue_token_count(struct store_reader *reader, int64_t *count_out, struct err *why)
{
	return db_get_int(reader_db(reader), "SELECT count(*) FROM token WHERE revoked_at IS NULL",
			  count_out, why);
}
