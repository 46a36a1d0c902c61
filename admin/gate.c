/* admin/gate.c - may this request in: who asks, by what right, and from which page */
#include "admin/gate.h"

#include "admin/routes.h"
#include "base/clock.h"
#include "base/log.h"

/* --- who ----------------------------------------------------------------------------------- */

static void answer_401(struct call *call, const char *detail)
{
	http_reply_header(call->http, "WWW-Authenticate", "Bearer realm=\"stagepost\"");
	call_problem(call, 401, "%s", detail);
}

void gate_refuse_stranger(struct call *call, const struct err *why)
{
	const struct http_peer *peer = http_peer(call->http);
	struct auth_failure failure;

	auth_failures_add(call->api->failures, peer->address, clock_mono_ms(), &failure);
	if (failure.log)
		log_info("admin_auth_failed", LOG_S("address", peer->address),
			 LOG_I("suppressed", failure.quiet));
	if (failure.over_limit) {
		http_reply_header(call->http, "Retry-After", "10");
		http_reply_header(call->http, "Connection", "close");
		call_problem(call, 429, "too many wrong tokens from this address");
		return;
	}
	answer_401(call, why->text);
}

/* Its end is that of the token, too. */
static int find_session(struct call *call, struct caller *caller_out, struct err *why)
{
	struct sessions *sessions = call->api->sessions;
	int64_t now = clock_steady_wall_ms();
	int code = ERR_DENIED;

	if (sessions_find(sessions, call->cookie, now, &call->session)) {
		code = auth_digest(call_reader(call), call->session.token, now, caller_out, why);
		if (code == ERR_DENIED)
			sessions_close(sessions, call->cookie);
	}
	if (code == ERR_DENIED)
		return err_set(why, code, "the session is over: log in again");
	return code;
}

int gate_caller(struct call *call, struct caller *caller_out, struct err *why)
{
	size_t authorizations;
	size_t cookies;
	const char *authorization = http_header(call->http, "Authorization", &authorizations);
	const char *cookie = http_header(call->http, "Cookie", &cookies);

	if (http_peer(call->http)->local)
		return auth_peer(http_peer(call->http), caller_out, why);
	/* Who brings a token means it: a cookie that the browser adds changes nothing. */
	if (authorizations == 0 && cookies == 1)
		call->cookie = session_of_cookies(span_of(cookie));
	if (call->cookie.len > 0)
		return find_session(call, caller_out, why);
	return auth_bearer(call_reader(call), authorizations == 1 ? authorization : NULL,
			   clock_steady_wall_ms(), caller_out, why);
}

/*
 * A page that was left open asks on with the cookie of a session that is over: no guess at a
 * token, so it is neither counted nor logged.
 */
static bool know_caller(struct call *call)
{
	struct err why = {""};
	int code = gate_caller(call, &call->caller, &why);

	if (code == ERR_DENIED && http_peer(call->http)->local)
		call_problem(call, 403, "%s", why.text);
	else if (code == ERR_DENIED && call->cookie.len > 0)
		answer_401(call, why.text);
	else if (code == ERR_DENIED)
		gate_refuse_stranger(call, &why);
	else if (code != ERR_OK)
		call_error(call, code, &why);
	else
		token_uses_note(call->api->uses, call->caller.token, call->caller.last_used_at,
				clock_steady_wall_ms());
	return code == ERR_OK;
}

bool gate_may_call(struct call *call)
{
	if (call->route->role == ROUTE_NO_TOKEN)
		return true;
	if (!know_caller(call))
		return false;
	if (call->caller.role < call->route->role) {
		call_problem(call, 403, "the role of this token does not allow it");
		return false;
	}
	if (call->route->whole_relay && call->caller.scope[0] != '\0') {
		call_problem(call, 403, "this token is limited to the scope %s",
			     call->caller.scope);
		return false;
	}
	return true;
}

/* --- from where ---------------------------------------------------------------------------- */

/*
 * In front of a plain listener somebody else may do TLS, so https of our own
 * name is ours as well; where TLS is our own, a page without it is not.
 */
static bool is_own_origin(const struct call *call, struct span origin)
{
	struct span authority = {NULL, 0};

	if (span_starts_fold(origin, "https://"))
		authority = span_skip(origin, strlen("https://"));
	else if (span_starts_fold(origin, "http://") && !http_is_tls(call->http))
		authority = span_skip(origin, strlen("http://"));
	return authority.len > 0 && span_equal_fold(authority, http_host(call->http));
}

/* A page of another site may make a browser ask us; it can't hide where from (S286, S288). */
static bool is_cross_site(const struct call *call)
{
	size_t sites;
	size_t origins;
	const char *site = http_header(call->http, "Sec-Fetch-Site", &sites);
	const char *origin = http_header(call->http, "Origin", &origins);

	if (sites > 1 || origins > 1)
		return true;
	/* "none": a person typed the address. */
	if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return true;
	return origin != NULL && !is_own_origin(call, span_of(origin));
}

/*
 * A browser adds the cookie to whatever anybody makes it send here. So a write
 * by a session must come from the page itself: said by the browser, and proved
 * by what only a page of ours can have read.
 */
static bool is_of_session(const struct call *call)
{
	const char *site = http_header(call->http, "Sec-Fetch-Site", NULL);
	size_t count;
	const char *given = http_header(call->http, "X-CSRF-Token", &count);
	char want[SESSION_SECRET_SIZE];

	if (site != NULL ? strcmp(site, "same-origin") != 0
			 : http_header(call->http, "Origin", NULL) == NULL)
		return false;
	session_csrf(call->cookie, want);
	return count == 1 && secret_equal(span_of(given), span_of(want));
}

bool gate_is_ours(struct call *call)
{
	bool writes = strcmp(call->route->method, "GET") != 0;

	if ((writes || call->cookie.len > 0) && is_cross_site(call)) {
		call_problem(call, 403, "a page of another site may not do this");
		return false;
	}
	if (writes && call->cookie.len > 0 && !is_of_session(call)) {
		call_problem(call, 403,
			     "a session must send the X-CSRF-Token that GET "
			     "/api/v1/session gives, from a page of this relay");
		return false;
	}
	return true;
}
