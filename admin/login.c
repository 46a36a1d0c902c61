/* admin/login.c - a token becomes a session of the page, and the way back */
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/gate.h"
#include "admin/view.h"
#include "base/clock.h"

static json_t *view_caller(const struct caller *caller)
{
	return json_pack("{s:s, s:s, s:s}", "actor", caller->actor, "role", view_role(caller->role),
			 "scope", caller->scope);
}

/* Everything about it but its value is fixed; "" takes it back. */
static void set_cookie(struct call *call, const char *secret)
{
	char cookie[SESSION_SECRET_SIZE + 100];

	(void)snprintf(cookie, sizeof(cookie),
		       SESSION_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict%s", secret,
		       secret[0] == '\0' ? "; Max-Age=0" : "");
	http_reply_header(call->http, "Set-Cookie", cookie);
	secret_wipe(cookie, sizeof(cookie));
}

static void add_session(json_t *json, struct span secret, int64_t ends_at)
{
	char csrf[SESSION_SECRET_SIZE];

	session_csrf(secret, csrf);
	(void)json_object_set_new(json, "csrf", json_string(csrf));
	(void)json_object_set_new(json, "ends_at", view_time(ends_at));
}

void handle_session_get(struct call *call)
{
	json_t *json = view_caller(&call->caller);

	if (call->cookie.len > 0)
		add_session(json, call->cookie, call->session.ends_at);
	else
		(void)json_object_update_new(json, json_pack("{s:n, s:n}", "csrf", "ends_at"));
	call_reply(call, 200, json);
}

static void open_session(struct call *call, const unsigned char digest[SECRET_SHA256_BYTES])
{
	char secret[SESSION_SECRET_SIZE];
	struct session session = {.ends_at = 0};
	json_t *json = view_caller(&call->caller);
	int64_t now = clock_steady_wall_ms();

	sessions_open(call->api->sessions, digest, now, secret);
	(void)sessions_find(call->api->sessions, span_of(secret), now, &session);
	set_cookie(call, secret);
	add_session(json, span_of(secret), session.ends_at);
	secret_wipe(secret, sizeof(secret));
	call_reply(call, 201, json);
}

void handle_session_open(struct call *call)
{
	const char *token = call_text(call, "token", AUTH_SECRET_SIZE);
	unsigned char digest[SECRET_SHA256_BYTES];
	struct err why = {""};
	int code;

	call_only_members(call, "token");
	if (call->mistakes == NULL && token == NULL)
		call_mistake(call, "/token", "needed");
	if (call_refused(call))
		return;
	if (http_peer(call->http)->local) {
		call_problem(call, 409, "on the unix socket the peer's user id stands for a token");
		return;
	}
	code = auth_secret(call_reader(call), span_of(token), clock_steady_wall_ms(), digest,
			   &call->caller, &why);
	if (code == ERR_DENIED)
		gate_refuse_stranger(call, &why);
	else if (code != ERR_OK)
		call_error(call, code, &why);
	else
		open_session(call, digest);
}

void handle_session_close(struct call *call)
{
	if (call->cookie.len > 0)
		sessions_close(call->api->sessions, call->cookie);
	set_cookie(call, "");
	call_reply(call, 204, NULL);
}
