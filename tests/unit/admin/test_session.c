/* tests admin/session.c and admin/login.c: a token becomes a cookie, and what it then may */
#include <config.h>

#include "admin/session.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

#define MINUTE ((int64_t)60000)

/* --- the table ------------------------------------------------------------------------------- */

static const struct session_limits limits = {.idle_ms = 10 * MINUTE, .total_ms = 60 * MINUTE};
static const unsigned char token_a[SECRET_SHA256_BYTES] = "a";
static const unsigned char token_b[SECRET_SHA256_BYTES] = "b";

static bool is_open(struct sessions *sessions, const char *secret, int64_t now)
{
	struct session session;

	return sessions_find(sessions, span_of(secret), now, &session);
}

START_TEST(a_session_and_its_limits)
{
	struct sessions *sessions = sessions_new(&limits);
	char secret[SESSION_SECRET_SIZE];
	char other[SESSION_SECRET_SIZE];
	struct session session;
	int64_t now = 1000;

	sessions_open(sessions, token_a, now, secret);
	sessions_open(sessions, token_b, now, other);
	ck_assert_uint_eq(strlen(secret), SESSION_SECRET_SIZE - 1);
	ck_assert_str_ne(secret, other);
	ck_assert(sessions_find(sessions, span_of(secret), now, &session));
	ck_assert_mem_eq(session.token, token_a, sizeof(token_a));
	ck_assert_int_eq(session.ends_at, now + limits.total_ms);
	ck_assert(!is_open(sessions, "", now));
	ck_assert(!is_open(sessions, "0", now));
	/* each use puts the idle limit off */
	for (int i = 0; i < 5; i++)
		ck_assert(is_open(sessions, secret, now += limits.idle_ms - 1));
	ck_assert(!is_open(sessions, other, now));
	/* but not the total one */
	for (int64_t end = session.ends_at; now < end - 1; now += MINUTE)
		ck_assert(is_open(sessions, secret, now));
	ck_assert(is_open(sessions, secret, session.ends_at - 1));
	ck_assert(!is_open(sessions, secret, session.ends_at));
	sessions_free(&sessions);
	ck_assert_ptr_null(sessions);
	sessions_free(&sessions);
}
END_TEST

START_TEST(idle_for_too_long)
{
	struct sessions *sessions = sessions_new(&limits);
	struct session_limits shorter = {.idle_ms = MINUTE, .total_ms = 2 * MINUTE};
	char secret[SESSION_SECRET_SIZE];

	sessions_open(sessions, token_a, 0, secret);
	ck_assert(is_open(sessions, secret, limits.idle_ms - 1));
	ck_assert(!is_open(sessions, secret, 2 * limits.idle_ms - 1));
	sessions_open(sessions, token_a, 0, secret);
	sessions_set_limits(sessions, &shorter);
	ck_assert(is_open(sessions, secret, MINUTE - 1));
	ck_assert(!is_open(sessions, secret, 2 * MINUTE));
	sessions_free(&sessions);
}
END_TEST

START_TEST(closed_is_closed)
{
	struct sessions *sessions = sessions_new(&limits);
	char first[SESSION_SECRET_SIZE];
	char second[SESSION_SECRET_SIZE];

	sessions_open(sessions, token_a, 0, first);
	sessions_open(sessions, token_a, 0, second);
	sessions_close(sessions, span_of(first));
	sessions_close(sessions, span_of(first));
	sessions_close(sessions, span_of("nonsense"));
	ck_assert(!is_open(sessions, first, 1));
	ck_assert(is_open(sessions, second, 1));
	sessions_free(&sessions);
}
END_TEST

/* Who logs in again and again ends sessions of the same token, the idlest first. */
START_TEST(only_so_many)
{
	struct sessions *sessions = sessions_new(&limits);
	char kept[SESSION_SECRET_SIZE];
	char first[SESSION_SECRET_SIZE];
	char used[SESSION_SECRET_SIZE];
	char more[SESSION_SECRET_SIZE];
	int64_t now = 0;

	sessions_open(sessions, token_b, now++, kept);
	sessions_open(sessions, token_a, now++, first);
	sessions_open(sessions, token_a, now++, used);
	for (size_t i = 2; i < SESSIONS_TOKEN_MAX; i++)
		sessions_open(sessions, token_a, now++, more);
	ck_assert(is_open(sessions, first, now++));
	ck_assert(is_open(sessions, used, now++));
	ck_assert(is_open(sessions, first, now++));
	for (size_t i = 1; i < SESSIONS_TOKEN_MAX; i++)
		sessions_open(sessions, token_a, now++, more);
	ck_assert(is_open(sessions, first, now++));
	ck_assert(!is_open(sessions, used, now++));
	ck_assert(is_open(sessions, kept, now++));
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		unsigned char token[SECRET_SHA256_BYTES] = {0};

		memcpy(token, &i, sizeof(i));
		sessions_open(sessions, token, now++, more);
	}
	ck_assert(!is_open(sessions, kept, now++));
	ck_assert(is_open(sessions, more, now++));
	sessions_free(&sessions);
}
END_TEST

START_TEST(cookies)
{
#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	static const struct {
		const char *cookies;
		const char *secret;
	} cases[] = {
		{"__Host-stagepost=" SECRET, SECRET},
		{"a=b; __Host-stagepost=" SECRET "; c=d", SECRET},
		{"a=b;__Host-stagepost=" SECRET ";c", SECRET},
		{"__host-stagepost=" SECRET, ""},
		{"x__Host-stagepost=" SECRET, ""},
		{"__Host-stagepost=", ""},
		{"__Host-stagepost", ""},
		{"__Host-stagepost=" SECRET "0", ""},
		{"__Host-stagepost=" SECRET "; __Host-stagepost=" SECRET, ""},
		{"__Host-stagepost=x; __Host-stagepost=" SECRET, ""},
		{"", ""},
		{";;=;", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(
			span_is(session_of_cookies(span_of(cases[i].cookies)), cases[i].secret),
			"%s", cases[i].cookies);
}
END_TEST

/* --- over the wire -----------------------------------------------------------------------------
 */

struct logged_in {
	char cookie[200]; /* a header line */
	char csrf[200];	  /* the same */
	char both[400];
};

static void log_in(struct fixture *fixture, const char *token, struct logged_in *in_out)
{
	char request[600];
	struct client_reply reply;
	const char *cookie;
	json_t *json;
	char body[100];

	snprintf(body, sizeof(body), "{\"token\":\"%s\"}", token);
	snprintf(request, sizeof(request),
		 "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
		 "Sec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n"
		 "Content-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	client_ask(admin_address(fixture->admin), request, &reply);
	ck_assert_int_eq(reply.status, 201);
	cookie = client_header(&reply, "Set-Cookie");
	ck_assert_ptr_nonnull(cookie);
	ck_assert_int_eq(strncmp(cookie, "__Host-stagepost=", 17), 0);
	ck_assert_str_eq(cookie + 17 + 64, "; Path=/; Secure; HttpOnly; SameSite=Strict");
	snprintf(in_out->cookie, sizeof(in_out->cookie), "Cookie: %.*s\r\n", 17 + 64, cookie);
	ck_assert_ptr_null(strstr(reply.body, token));
	json = json_loads(reply.body, 0, NULL);
	snprintf(in_out->csrf, sizeof(in_out->csrf), "X-CSRF-Token: %s\r\n", text_of(json, "csrf"));
	snprintf(in_out->both, sizeof(in_out->both), "%s%s", in_out->cookie, in_out->csrf);
	json_decref(json);
	client_reply_free(&reply);
}

static int status_of(struct fixture *fixture, const char *method, const char *path,
		     const char *body, const char *headers)
{
	struct answer answer;
	int status;

	ask_with(fixture, NULL, method, path, body, headers, &answer);
	status = answer.status;
	answer_free(&answer);
	return status;
}

#define OURS "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n"

START_TEST(log_in_look_and_log_out)
{
	struct fixture fixture;
	struct logged_in in;
	struct answer answer;
	char headers[700];

	fixture_start(&fixture);
	log_in(&fixture, fixture.token, &in);
	ask_with(&fixture, NULL, "GET", "/api/v1/session", NULL, in.cookie, &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_str_eq(text_of(answer.json, "actor"), "token:admin");
	ck_assert_str_eq(text_of(answer.json, "role"), "admin");
	ck_assert_ptr_nonnull(strstr(in.csrf, text_of(answer.json, "csrf")));
	answer_free(&answer);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/tokens", NULL, in.cookie), 200);
	snprintf(headers, sizeof(headers), "%s%s", in.both, OURS);
	ck_assert_int_eq(status_of(&fixture, "DELETE", "/api/v1/session", NULL, headers), 204);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/tokens", NULL, in.cookie), 401);
	/* with a token there is no session, and nothing to send with a write */
	ask_with(&fixture, fixture.token, "GET", "/api/v1/session", NULL, "", &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert(json_is_null(json_object_get(answer.json, "csrf")));
	answer_free(&answer);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S286, S288: the cookie alone changes nothing. */
START_TEST(writes_of_a_session)
{
	static const struct {
		const char *headers;
		bool csrf;
		int status;
	} cases[] = {
		{OURS, true, 200},
		{"Origin: http://localhost\r\n", true, 200},
		{"Origin: https://localhost\r\n", true, 200}, /* somebody else does TLS */
		{"Sec-Fetch-Site: same-origin\r\n", true, 200},
		{OURS, false, 403},
		{"", true, 403}, /* who sends it does not say where from */
		{"Sec-Fetch-Site: none\r\n", true, 403},
		{"Sec-Fetch-Site: same-site\r\n", true, 403},
		{"Sec-Fetch-Site: cross-site\r\n", true, 403},
		{"Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n", true, 403},
		{"Origin: http://localhost:1\r\n", true, 403},
		{"Origin: null\r\n", true, 403},
		{OURS "X-CSRF-Token: \r\n", false, 403},
		{OURS "X-CSRF-Token: 0\r\n", false, 403},
		{OURS "X-CSRF-Token: 0\r\n", true, 403}, /* two of them */
	};
	struct fixture fixture;
	struct logged_in in;
	struct logged_in other;
	char headers[900];

	fixture_start(&fixture);
	log_in(&fixture, fixture.token, &in);
	log_in(&fixture, fixture.token, &other);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(headers, sizeof(headers), "%s%s", cases[i].csrf ? in.both : in.cookie,
			 cases[i].headers);
		ck_assert_msg(status_of(&fixture, "POST", "/api/v1/delivery/resume", NULL,
					headers) == cases[i].status,
			      "%s", headers);
	}
	/* another session's */
	snprintf(headers, sizeof(headers), "%s%s%s", in.cookie, other.csrf, OURS);
	ck_assert_int_eq(status_of(&fixture, "POST", "/api/v1/delivery/resume", NULL, headers),
			 403);
	/* a page of another site may not look either, where a browser says so */
	snprintf(headers, sizeof(headers), "%sSec-Fetch-Site: same-site\r\n", in.cookie);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, headers), 403);
	snprintf(headers, sizeof(headers), "%sSec-Fetch-Site: none\r\n", in.cookie);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, headers), 200);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(a_session_is_no_more_than_its_token)
{
	struct fixture fixture;
	struct logged_in in;
	char headers[900];
	char secret[64];
	char path[64];
	json_t *json;

	fixture_start(&fixture);
	json = ask(&fixture, 201, "POST", "/api/v1/tokens",
		   "{\"name\":\"ci\",\"role\":\"reader\",\"expires_in\":\"30m\"}");
	snprintf(secret, sizeof(secret), "%s", text_of(json, "secret"));
	snprintf(path, sizeof(path), "/api/v1/tokens/%lld", (long long)number_of(json, "id"));
	json_decref(json);
	log_in(&fixture, secret, &in);
	snprintf(headers, sizeof(headers), "%s%s", in.both, OURS);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, headers), 200);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/tokens", NULL, headers), 403);
	ck_assert_int_eq(status_of(&fixture, "POST", "/api/v1/delivery/pause", NULL, headers), 403);
	/* expired, and back to life with the clock only because nobody asked meanwhile: no */
	clock_freeze(clock_wall_ms() + 31 * MINUTE);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, headers), 401);
	clock_thaw();
	log_in(&fixture, fixture.token, &in);
	clock_freeze(clock_wall_ms() + 61 * MINUTE); /* the idle limit */
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, in.cookie), 401);
	clock_thaw();
	fixture_stop(&fixture);
}
END_TEST

START_TEST(a_revoked_token_ends_its_sessions)
{
	struct fixture fixture;
	struct logged_in in;
	char secret[64];
	char path[64];
	json_t *json;

	fixture_start(&fixture);
	json = ask(&fixture, 201, "POST", "/api/v1/tokens", "{\"name\":\"ci\"}");
	snprintf(secret, sizeof(secret), "%s", text_of(json, "secret"));
	snprintf(path, sizeof(path), "/api/v1/tokens/%lld", (long long)number_of(json, "id"));
	json_decref(json);
	log_in(&fixture, secret, &in);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, in.cookie), 200);
	ask(&fixture, 204, "DELETE", path, NULL);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, in.cookie), 401);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S281: the token itself is never taken from a cookie; and a bearer is never helped by one.
 */
START_TEST(cookie_and_token_are_apart)
{
	struct fixture fixture;
	struct logged_in in;
	char headers[900];

	fixture_start(&fixture);
	snprintf(headers, sizeof(headers), "Cookie: __Host-stagepost=%s\r\n", fixture.token);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, headers), 401);
	log_in(&fixture, fixture.token, &in);
	snprintf(headers, sizeof(headers), "%sAuthorization: Bearer x\r\n", in.cookie);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, headers), 401);
	snprintf(headers, sizeof(headers), "Authorization: Bearer %.64s\r\n", in.cookie + 25);
	ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, headers), 401);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(no_log_in)
{
	static const struct {
		const char *body;
		const char *headers;
		int status;
	} cases[] = {
		{"{\"token\":\"stp_0123456789012345678901234567890123456789012\"}", "", 401},
		{"{\"token\":\"\"}", "", 401},
		{"{\"token\":\"stp\"}", "", 401},
		{"{\"token\":1}", "", 400},
		{"{\"token\":null}", "", 400},
		{"{}", "", 400},
		{"{\"token\":\"x\",\"more\":1}", "", 400},
		{"[]", "", 400},
		{"{\"token\":\"x\"}", "Origin: http://evil.example\r\n", 403},
		{"{\"token\":\"x\"}", "Sec-Fetch-Site: same-site\r\n", 403},
	};
	struct fixture fixture;
	struct answer answer;

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(status_of(&fixture, "POST", "/api/v1/session", cases[i].body,
					cases[i].headers) == cases[i].status,
			      "%s", cases[i].body);
	/* S284 holds here as well */
	for (int i = 0; i < 20; i++)
		(void)status_of(&fixture, "POST", "/api/v1/session", "{\"token\":\"x\"}", "");
	ck_assert_int_eq(status_of(&fixture, "POST", "/api/v1/session", "{\"token\":\"x\"}", ""),
			 429);
	ask_with(&fixture, "socket", "POST", "/api/v1/session", "{\"token\":\"x\"}", "", &answer);
	ck_assert_int_eq(answer.status, 409);
	answer_free(&answer);
	fixture_stop(&fixture);
}
END_TEST

/* A page that stays open when its session is over asks on: that locks nobody out. */
START_TEST(a_stale_cookie_is_no_attack)
{
	struct fixture fixture;
	struct logged_in in;

	fixture_start(&fixture);
	log_in(&fixture, fixture.token, &in);
	fixture_restart_admin(&fixture);
	for (int i = 0; i < 30; i++)
		ck_assert_int_eq(status_of(&fixture, "GET", "/api/v1/status", NULL, in.cookie),
				 401);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/session", a_session_and_its_limits, idle_for_too_long, closed_is_closed,
	  only_so_many, cookies, log_in_look_and_log_out, writes_of_a_session,
	  a_session_is_no_more_than_its_token, a_revoked_token_ends_its_sessions,
	  cookie_and_token_are_apart, no_log_in, a_stale_cookie_is_no_attack)
