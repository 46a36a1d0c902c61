/* admin/tokens.c - API tokens as a resource, and the audit trail */
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/page.h"
#include "admin/view.h"
#include "base/clock.h"
#include "queue/token.h"

static bool token_row(void *ctx, const struct token *token)
{
	if (page_is_full(ctx))
		return false;
	page_add(ctx, token->id, view_token(token));
	return true;
}

void handle_token_list(struct call *call)
{
	struct page page = page_of(call, CURSOR_TOKENS);
	struct err why;
	int code;

	if (call_refused(call))
		return;
	code = queue_token_list(call_reader(call), page.after, page.limit + 1, token_row, &page,
				&why);
	page_reply(call, &page, -1, code, &why);
}

void handle_token_get(struct call *call)
{
	struct token token;
	struct err why;
	int64_t id;
	int code;

	if (!call_row_id(call, &id))
		return;
	code = queue_token_get(call_reader(call), id, call->arena, &token, &why);
	if (code != ERR_OK)
		call_error(call, code, &why);
	else
		call_reply(call, 200, view_token(&token));
}

struct creation {
	struct token_create create;
	char secret[AUTH_SECRET_SIZE];
};

static void create_done(struct call *call)
{
	struct creation *creation = call->work;
	struct token_create *create = &creation->create;
	char location[64];
	json_t *json;

	if (create->job.code == ERR_OK) {
		json = view_token(&create->token);
		/* The only time it is shown: the store keeps its hash. */
		(void)json_object_set_new(json, "secret", json_string(creation->secret));
		(void)snprintf(location, sizeof(location), "/api/v1/tokens/%lld",
			       (long long)create->token.id);
		http_reply_header(call->http, "Location", location);
		call_reply(call, 201, json);
	} else {
		call_error(call, create->job.code, &create->job.why);
	}
	secret_wipe(creation->secret, sizeof(creation->secret));
}

static enum role read_role(struct call *call)
{
	const char *role = call_text(call, "role", 16);

	if (role == NULL || strcmp(role, "reader") == 0)
		return ROLE_READER;
	if (strcmp(role, "operator") == 0)
		return ROLE_OPERATOR;
	if (strcmp(role, "admin") != 0)
		call_mistake(call, "/role", "neither reader, operator nor admin");
	return ROLE_ADMIN;
}

void handle_token_create(struct call *call)
{
	struct creation *creation = arena_zalloc(call->arena, sizeof(*creation));
	struct token_create *create = &creation->create;
	const char *name = call_text(call, "name", AUTH_NAME_MAX);

	create->now = clock_steady_wall_ms();
	create->actor = call->caller.actor;
	create->token = (struct token){
		.name = name,
		.role = read_role(call),
		.scope = call_scope(call),
		.created_at = create->now,
		.created_by = call->caller.actor,
		.expires_at = call_expiry(call, create->now),
	};
	call_only_members(call, "name role scope expires_at expires_in");
	if (call->mistakes == NULL && (name == NULL || name[0] == '\0' || !call_is_scope(name)))
		call_mistake(call, "/name", "needed: letters, digits, '.', '_' and '-'");
	if (call_refused(call))
		return;
	auth_new_secret(creation->secret, create->digest);
	call->work = creation;
	call_submit(call, queue_token_create, &create->job, create_done);
}

static void revoke_done(struct call *call)
{
	const struct token_revoke *revoke = call->work;

	if (revoke->job.code != ERR_OK)
		call_error(call, revoke->job.code, &revoke->job.why);
	else
		call_reply(call, 204, NULL);
}

void handle_token_revoke(struct call *call)
{
	struct token_revoke *revoke = arena_zalloc(call->arena, sizeof(*revoke));

	if (!call_row_id(call, &revoke->id))
		return;
	revoke->actor = call->caller.actor;
	revoke->now = clock_wall_ms();
	call->work = revoke;
	call_submit(call, queue_token_revoke, &revoke->job, revoke_done);
}

/* --- audit -------------------------------------------------------------------------------------
 */

static bool audit_row(void *ctx, const struct audit_row *row)
{
	if (page_is_full(ctx))
		return false;
	page_add(ctx, row->id, view_audit(row));
	return true;
}

void handle_audit_list(struct call *call)
{
	struct page page = page_of(call, CURSOR_AUDIT);
	struct err why;
	int code;

	if (call_refused(call))
		return;
	code = queue_audit_list(call_reader(call), page.after, page.limit + 1, audit_row, &page,
				&why);
	page_reply(call, &page, -1, code, &why);
}
