/* tests admin/auth.c: tokens from their making to their end, over a running API */
#include <config.h>

#include "admin/auth.h"
#include "admin/token_use.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

static int status_of(struct fixture *fixture, const char *token, const char *method,
		     const char *path, const char *body)
{
	struct answer answer;
	int status;

	ask_with(fixture, token, method, path, body, "", &answer);
	status = answer.status;
	answer_free(&answer);
	return status;
}

/* Make a token; its secret ends up in `secret_out`. Returns its id. */
static json_int_t make(struct fixture *fixture, const char *body, char *secret_out)
{
	json_t *json = ask(fixture, 201, "POST", "/api/v1/tokens", body);
	json_int_t id = number_of(json, "id");

	snprintf(secret_out, 64, "%s", text_of(json, "secret"));
	ck_assert_uint_eq(strlen(secret_out), AUTH_SECRET_SIZE - 1);
	json_decref(json);
	return id;
}

START_TEST(first_token)
{
	struct fixture fixture;
	struct stat status;
	char before[64];
	char path[128];

	fixture_start(&fixture);
	snprintf(path, sizeof(path), "%s/admin.token", fixture.dir);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(fixture.socket, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_int_eq(status_of(&fixture, fixture.token, "GET", "/api/v1/tokens", NULL), 200);
	/* A later start makes no other one, also when the file is gone. */
	snprintf(before, sizeof(before), "%s", fixture.token);
	unlink(path);
	fixture_restart_admin(&fixture);
	ck_assert_int_ne(stat(path, &status), 0);
	ck_assert_int_eq(status_of(&fixture, before, "GET", "/api/v1/tokens", NULL), 200);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S280, S281 */
START_TEST(one_accepted_form)
{
	static const struct {
		const char *format; /* %s: the token */
		int status;
	} cases[] = {
		{"Authorization: Bearer %s\r\n", 200},
		{"Authorization: bearer %s\r\n", 200},
		{"authorization: BEARER %s\r\n", 200},
		{"Authorization: Bearer  %s\r\n", 401},
		{"Authorization: Bearer\t%s\r\n", 401},
		{"Authorization: Bearer %s extra\r\n", 401},
		{"Authorization: Bearer %s,\r\n", 401},
		{"Authorization: Bearer %sA\r\n", 401},
		{"Authorization: Bearer \r\n", 401},
		{"Authorization: Basic %s\r\n", 401},
		{"Authorization: %s\r\n", 401},
		{"Authorization: Bearer %s\r\nAuthorization: Bearer x\r\n", 401},
		{"Cookie: access_token=%s\r\n", 401},
		{"X-Api-Key: %s\r\n", 401},
	};
	struct fixture fixture;
	struct answer answer;
	char path[200];

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char header[300];

		if (i % 8 == 7) /* a fresh window for wrong tokens */
			fixture_restart_admin(&fixture);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(header, sizeof(header), cases[i].format, fixture.token);
#pragma GCC diagnostic pop
		ask_with(&fixture, NULL, "GET", "/api/v1/status", NULL, header, &answer);
		ck_assert_msg(answer.status == cases[i].status, "%s: %d", cases[i].format,
			      answer.status);
		answer_free(&answer);
	}
	fixture_restart_admin(&fixture);
	snprintf(path, sizeof(path), "/api/v1/status?access_token=%s", fixture.token);
	ck_assert_int_eq(status_of(&fixture, NULL, "GET", path, NULL), 401);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S280: a token's end is felt by the next request. */
START_TEST(revoked_and_expired)
{
	struct fixture fixture;
	char secret[64];
	char path[64];
	json_int_t id;

	fixture_start(&fixture);
	id = make(&fixture, "{\"name\":\"ci\",\"role\":\"reader\"}", secret);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/status", NULL), 200);
	json_decref(ask(&fixture, 409, "POST", "/api/v1/tokens", "{\"name\":\"ci\"}"));
	snprintf(path, sizeof(path), "/api/v1/tokens/%lld", (long long)id);
	ask(&fixture, 204, "DELETE", path, NULL);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/status", NULL), 401);
	/* the name is free again */
	make(&fixture, "{\"name\":\"ci\",\"expires_in\":\"1h\"}", secret);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/status", NULL), 200);
	clock_freeze(clock_wall_ms() + 3600 * 1000 + 1000);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/status", NULL), 401);
	ck_assert_int_eq(status_of(&fixture, fixture.token, "GET", "/api/v1/status", NULL), 200);
	clock_thaw();
	json_decref(ask(&fixture, 404, "DELETE", "/api/v1/tokens/999", NULL));
	fixture_stop(&fixture);
}
END_TEST

/* The time at which the store last saw a token used, as the API tells it; "(none)" before that. */
static void last_use(struct fixture *fixture, json_int_t id, char *time_out, size_t size)
{
	char path[64];
	json_t *json;

	snprintf(path, sizeof(path), "/api/v1/tokens/%lld", (long long)id);
	json = ask(fixture, 200, "GET", path, NULL);
	ck_assert_ptr_null(json_object_get(json, "secret"));
	snprintf(time_out, size, "%s", text_of(json, "last_used_at"));
	json_decref(json);
}

/* Written behind the request that used it. */
static void wait_for_use(struct fixture *fixture, json_int_t id, const char *before, char *time_out,
			 size_t size)
{
	for (int i = 0; i < 1000; i++) {
		last_use(fixture, id, time_out, size);
		if (strcmp(time_out, before) != 0)
			return;
		usleep(10000);
	}
	ck_abort_msg("its use was not noted");
}

START_TEST(last_used)
{
	int64_t now = clock_wall_ms();
	struct fixture fixture;
	char secret[64];
	char before[64];
	char after[64];
	json_int_t id;

	fixture_start(&fixture);
	id = make(&fixture, "{\"name\":\"ci\"}", secret);
	last_use(&fixture, id, before, sizeof(before));
	ck_assert_str_eq(before, "(none)");
	clock_freeze(now + 1000);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/status", NULL), 200);
	wait_for_use(&fixture, id, "(none)", before, sizeof(before));
	/* Not for each request, */
	clock_freeze(now + TOKEN_USE_EVERY_MS);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/status", NULL), 200);
	last_use(&fixture, id, after, sizeof(after));
	ck_assert_str_eq(before, after);
	/* but when a while has passed. */
	clock_freeze(now + 1000 + TOKEN_USE_EVERY_MS);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/status", NULL), 200);
	wait_for_use(&fixture, id, before, after, sizeof(after));
	ck_assert_int_gt(strcmp(after, before), 0);
	clock_thaw();
	json_decref(ask(&fixture, 404, "GET", "/api/v1/tokens/999", NULL));
	json_decref(ask(&fixture, 404, "GET", "/api/v1/tokens/x", NULL));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(pages_of_tokens)
{
	struct fixture fixture;
	char secret[64];
	char path[128] = "/api/v1/tokens?limit=2";
	json_int_t last = 0;
	size_t seen = 0;

	fixture_start(&fixture);
	for (int i = 0; i < 4; i++) {
		char body[40];

		snprintf(body, sizeof(body), "{\"name\":\"t%d\"}", i);
		make(&fixture, body, secret);
	}
	for (const char *next = ""; next != NULL;) {
		json_t *page = ask(&fixture, 200, "GET", path, NULL);
		json_t *items = json_object_get(page, "items");

		ck_assert_uint_le(json_array_size(items), 2);
		for (size_t i = 0; i < json_array_size(items); i++) {
			ck_assert_int_gt(number_of(json_array_get(items, i), "id"), last);
			last = number_of(json_array_get(items, i), "id");
			seen++;
		}
		next = json_string_value(json_object_get(page, "next"));
		if (next != NULL)
			snprintf(path, sizeof(path), "/api/v1/tokens?limit=2&after=%s", next);
		json_decref(page);
	}
	ck_assert_uint_eq(seen, 5);
	json_decref(ask(&fixture, 400, "GET", "/api/v1/tokens?limit=0", NULL));
	json_decref(ask(&fixture, 400, "GET", "/api/v1/tokens?after=1", NULL));
	fixture_stop(&fixture);
}
END_TEST

/* CASES S285 */
START_TEST(roles)
{
	static const struct {
		const char *method;
		const char *path;
		const char *body;
		int reader;
		int operator;
	} cases[] = {
		{"GET", "/api/v1/status", NULL, 200, 200},
		{"GET", "/api/v1/openapi.json", NULL, 200, 200},
		{"POST", "/api/v1/check", "{\"recipients\":[\"a@b.example\"]}", 200, 200},
		{"POST", "/api/v1/whitelist", "{\"pattern\":\"a@b.example\"}", 403, 201},
		{"PATCH", "/api/v1/whitelist/1", "{\"note\":\"x\"}", 403, 200},
		{"DELETE", "/api/v1/whitelist/1", NULL, 403, 204},
		{"POST", "/api/v1/delivery/pause", NULL, 403, 200},
		{"DELETE", "/api/v1/messages/01ARZ3NDEKTSV4RRFFQ69G5FAV", NULL, 403, 404},
		{"GET", "/api/v1/tokens", NULL, 403, 403},
		{"POST", "/api/v1/tokens", "{\"name\":\"x\",\"role\":\"admin\"}", 403, 403},
		{"DELETE", "/api/v1/tokens/1", NULL, 403, 403},
		{"GET", "/api/v1/audit", NULL, 403, 403},
	};
	struct fixture fixture;
	char operator[64];
	char reader[64];

	fixture_start(&fixture);
	make(&fixture, "{\"name\":\"r\"}", reader);
	make(&fixture, "{\"name\":\"o\",\"role\":\"operator\"}", operator);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status =
			status_of(&fixture, reader, cases[i].method, cases[i].path, cases[i].body);

		ck_assert_msg(status == cases[i].reader, "reader %s %s: %d", cases[i].method,
			      cases[i].path, status);
		status = status_of(&fixture, operator, cases[i].method, cases[i].path,
				   cases[i].body);
		ck_assert_msg(status == cases[i].operator, "operator %s %s: %d", cases[i].method,
			      cases[i].path, status);
	}
	fixture_stop(&fixture);
}
END_TEST

START_TEST(limited_to_a_scope)
{
	static const char *const addresses[] = {"a@b.example", NULL};
	struct fixture fixture;
	char id[ULID_TEXT_SIZE];
	char secret[64];
	struct answer answer;
	char path[100];
	struct ulid mine;
	struct ulid other;

	fixture_start(&fixture);
	make(&fixture, "{\"name\":\"shop\",\"role\":\"operator\",\"scope\":\"shop\"}", secret);
	json_decref(
		ask(&fixture, 201, "POST", "/api/v1/whitelist", "{\"pattern\":\"all@b.example\"}"));
	ask_with(&fixture, secret, "POST", "/api/v1/whitelist", "{\"pattern\":\"x@b.example\"}", "",
		 &answer);
	ck_assert_int_eq(answer.status, 201);
	ck_assert_str_eq(text_of(answer.json, "scope"), "shop");
	answer_free(&answer);
	ck_assert_int_eq(status_of(&fixture, secret, "POST", "/api/v1/whitelist",
				   "{\"pattern\":\"y@b.example\",\"scope\":\"\"}"),
			 400);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/whitelist/1", NULL), 404);
	ck_assert_int_eq(status_of(&fixture, secret, "DELETE", "/api/v1/whitelist/1", NULL), 404);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/whitelist/2", NULL), 200);
	ask_with(&fixture, secret, "GET", "/api/v1/whitelist", NULL, "", &answer);
	ck_assert_int_eq(json_array_size(json_object_get(answer.json, "items")), 1);
	answer_free(&answer);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/whitelist?scope=x", NULL),
			 400);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", "/api/v1/recipients", NULL), 403);
	ck_assert_int_eq(status_of(&fixture, secret, "POST", "/api/v1/delivery/pause", NULL), 403);

	other = fixture_message(&fixture, "s@b.example", "", "a: b\r\n\r\n", 8, addresses);
	mine = fixture_message(&fixture, "s@b.example", "shop", "a: b\r\n\r\n", 8, addresses);
	fixture_message(&fixture, "s@b.example", "", "a: b\r\n\r\n", 8, addresses);
	ask_with(&fixture, secret, "GET", "/api/v1/messages?limit=1", NULL, "", &answer);
	ck_assert_int_eq(json_array_size(json_object_get(answer.json, "items")), 1);
	ulid_format(&mine, id);
	ck_assert_str_eq(text_of(json_array_get(json_object_get(answer.json, "items"), 0), "id"),
			 id);
	answer_free(&answer);
	snprintf(path, sizeof(path), "/api/v1/messages/%s/hold", id);
	ck_assert_int_eq(status_of(&fixture, secret, "POST", path, NULL), 200);
	ulid_format(&other, id);
	snprintf(path, sizeof(path), "/api/v1/messages/%s", id);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", path, NULL), 404);
	ck_assert_int_eq(status_of(&fixture, secret, "DELETE", path, NULL), 404);
	snprintf(path, sizeof(path), "/api/v1/messages/%s/raw", id);
	ck_assert_int_eq(status_of(&fixture, secret, "GET", path, NULL), 404);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S284 */
START_TEST(many_wrong_tokens)
{
	static const char wrong[] = "stp_0000000000000000000000000000000000000000000";
	struct fixture fixture;
	int denied = 0;
	int limited = 0;

	fixture_start(&fixture);
	for (int i = 0; i < 50; i++) {
		int status = status_of(&fixture, wrong, "GET", "/api/v1/status", NULL);

		ck_assert(status == 401 || status == 429);
		denied += status == 401;
		limited += status == 429;
		ck_assert_int_eq(status_of(&fixture, fixture.token, "GET", "/api/v1/status", NULL),
				 200);
	}
	ck_assert_int_eq(denied, 10);
	ck_assert_int_eq(limited, 40);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(failure_windows)
{
	struct auth_failures *failures = auth_failures_new();
	struct auth_failure failure;

	for (int i = 0; i < 30; i++) {
		auth_failures_add(failures, "10.0.0.1", 1000 + i, &failure);
		ck_assert(failure.log == (i == 0));
		ck_assert(failure.over_limit == (i >= 10));
	}
	auth_failures_add(failures, "10.0.0.2", 1000, &failure);
	ck_assert(failure.log && !failure.over_limit);
	auth_failures_add(failures, "10.0.0.1", 11000, &failure);
	ck_assert(failure.log && !failure.over_limit);
	ck_assert_uint_eq(failure.quiet, 29);
	auth_failures_free(&failures);
}
END_TEST

START_TEST(the_socket_is_for_us)
{
	struct fixture fixture;
	struct caller caller;
	struct http_peer peer = {.local = true, .uid_known = true, .uid = geteuid()};

	ck_assert_int_eq(auth_peer(&peer, &caller, NULL), ERR_OK);
	ck_assert_int_eq(caller.role, ROLE_ADMIN);
	peer.uid = 0;
	ck_assert_int_eq(auth_peer(&peer, &caller, NULL), ERR_OK);
	peer.uid = geteuid() + 4711;
	ck_assert_int_eq(auth_peer(&peer, &caller, NULL), ERR_DENIED);
	peer.uid = 0;
	peer.uid_known = false;
	ck_assert_int_eq(auth_peer(&peer, &caller, NULL), ERR_DENIED);
	fixture_start(&fixture);
	ck_assert_int_eq(status_of(&fixture, "socket", "GET", "/api/v1/tokens", NULL), 200);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(secrets_differ_and_have_the_right_form)
{
	char first[AUTH_SECRET_SIZE];
	unsigned char digest[SECRET_SHA256_BYTES];

	auth_new_secret(first, digest);
	ck_assert_uint_eq(strlen(first), AUTH_SECRET_SIZE - 1);
	ck_assert_int_eq(strncmp(first, "stp_", 4), 0);
	for (int i = 0; i < 100; i++) {
		char next[AUTH_SECRET_SIZE];

		auth_new_secret(next, digest);
		ck_assert_str_ne(first, next);
		ck_assert_uint_eq(strspn(next + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						   "abcdefghijklmnopqrstuvwxyz"),
				  43);
	}
}
END_TEST

UNIT_MAIN("admin/auth", first_token, one_accepted_form, revoked_and_expired, last_used,
	  pages_of_tokens, roles, limited_to_a_scope, many_wrong_tokens, failure_windows,
	  the_socket_is_for_us, secrets_differ_and_have_the_right_form)
