/* tests admin/whitelist.c and admin/check.c over a running API */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

#define LIST "/api/v1/whitelist"

/* The verdict on one address, as /check tells it. */
static void verdict_of(struct fixture *fixture, const char *address, char *verdict_out)
{
	char body[200];
	json_t *json;

	snprintf(body, sizeof(body), "{\"recipients\":[\"%s\"]}", address);
	json = ask(fixture, 200, "POST", "/api/v1/check", body);
	snprintf(verdict_out, 16, "%s",
		 text_of(json_array_get(json_object_get(json, "items"), 0), "verdict"));
	json_decref(json);
}

START_TEST(add_get_change_remove)
{
	struct fixture fixture;
	struct answer answer;
	char verdict[16];
	char first[64];
	char path[128];

	fixture_start(&fixture);
	verdict_of(&fixture, "alice@example.com", verdict);
	ck_assert_str_eq(verdict, "drop");
	ask_with(&fixture, fixture.token, "POST", LIST,
		 "{\"pattern\":\"Alice@Example.COM\",\"note\":\"my own\",\"owner\":null}", "",
		 &answer);
	ck_assert_int_eq(answer.status, 201);
	ck_assert_str_eq(text_of(answer.json, "pattern"), "alice@example.com");
	ck_assert_str_eq(text_of(answer.json, "kind"), "exact");
	ck_assert_str_eq(text_of(answer.json, "action"), "allow");
	ck_assert_str_eq(text_of(answer.json, "created_by"), "token:admin");
	snprintf(path, sizeof(path), "%s", answer.location);
	snprintf(first, sizeof(first), "%s", answer.etag);
	answer_free(&answer);
	/* In force when the reply is there. */
	verdict_of(&fixture, "alice@example.com", verdict);
	ck_assert_str_eq(verdict, "deliver");

	ask_with(&fixture, fixture.token, "GET", path, NULL, "", &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_str_eq(answer.etag, first);
	ck_assert_str_eq(text_of(answer.json, "note"), "my own");
	answer_free(&answer);

	ask_with(&fixture, fixture.token, "PATCH", path, "{\"action\":\"deny\"}", "", &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_str_ne(answer.etag, first);
	ck_assert_str_eq(text_of(answer.json, "action"), "deny");
	ck_assert_str_eq(text_of(answer.json, "note"), "my own");
	answer_free(&answer);
	verdict_of(&fixture, "alice@example.com", verdict);
	ck_assert_str_eq(verdict, "drop");

	ask(&fixture, 204, "DELETE", path, NULL);
	json_decref(ask(&fixture, 404, "GET", path, NULL));
	json_decref(ask(&fixture, 404, "DELETE", path, NULL));
	json_decref(ask(&fixture, 404, "PATCH", path, "{\"note\":\"x\"}"));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(same_pattern_again)
{
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\".example.com\"}"));
	json = ask(&fixture, 409, "POST", LIST, "{\"pattern\":\"*.EXAMPLE.com\"}");
	ck_assert_int_eq(number_of(json, "existing_id"), 1);
	ck_assert_int_eq(number_of(json, "status"), 409);
	json_decref(json);
	/* Another scope, and deny beside allow, are other entries. */
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"pattern\":\".example.com\",\"scope\":\"shop\"}"));
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"pattern\":\".example.com\",\"action\":\"deny\"}"));
	json = ask(&fixture, 409, "PATCH", LIST "/2", "{\"scope\":\"\"}");
	ck_assert_int_eq(number_of(json, "existing_id"), 1);
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(if_match)
{
	static const struct {
		const char *header;
		int status;
	} cases[] = {
		{"If-Match: \"999\"\r\n", 412}, {"If-Match: W/\"1\"\r\n", 412},
		{"If-Match: 1\r\n", 412},	{"If-Match: \"\"\r\n", 412},
		{"If-Match: *\r\n", 200},	{"If-Match: \"7\", \"%s\"\r\n", 200},
		{"If-Match: \"%s\"\r\n", 200},
	};
	struct fixture fixture;
	struct answer answer;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"a@b.example\"}"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char header[100];
		char body[100];
		char tag[64];
		char *hole;

		ask_with(&fixture, fixture.token, "GET", LIST "/1", NULL, "", &answer);
		snprintf(tag, sizeof(tag), "%.*s", (int)strlen(answer.etag) - 2, answer.etag + 1);
		answer_free(&answer);
		snprintf(header, sizeof(header), "%s", cases[i].header);
		hole = strstr(header, "%s");
		if (hole != NULL)
			snprintf(hole, sizeof(header) - (size_t)(hole - header), "%s%s", tag,
				 strstr(cases[i].header, "%s") + 2);
		snprintf(body, sizeof(body), "{\"note\":\"%zu\"}", i);
		ask_with(&fixture, fixture.token, "PATCH", LIST "/1", body, header, &answer);
		ck_assert_msg(answer.status == cases[i].status, "%s: %d", cases[i].header,
			      answer.status);
		answer_free(&answer);
	}
	ask_with(&fixture, fixture.token, "DELETE", LIST "/1", NULL, "If-Match: \"1000\"\r\n",
		 &answer);
	ck_assert_int_eq(answer.status, 412);
	answer_free(&answer);
	ask_with(&fixture, fixture.token, "DELETE", LIST "/1", NULL, "If-Match: *\r\n", &answer);
	ck_assert_int_eq(answer.status, 204);
	answer_free(&answer);
	fixture_stop(&fixture);
}
END_TEST

/* Each is refused with a pointer to what is wrong, and nothing is added. */
START_TEST(bad_entries)
{
	static const struct {
		const char *body;
		const char *pointer; /* NULL: the body as a whole */
	} cases[] = {
		{"{}", "/pattern"},
		{"{\"pattern\":null}", "/pattern"},
		{"{\"pattern\":7}", "/pattern"},
		{"{\"pattern\":\"\"}", "/pattern"},
		{"{\"pattern\":\"a@b.example, c@d.example\"}", "/pattern"},
		{"{\"pattern\":\"a b@c.example\"}", "/pattern"},
		{"{\"pattern\":\"Alice <a@b.example>\"}", "/pattern"},
		{"{\"pattern\":\"a@b.example.\"}", "/pattern"},
		{"{\"pattern\":\"a@b.example\\r\\n\"}", "/pattern"},
		{"{\"pattern\":\"\\\"a\\\"@b.example\"}", "/pattern"},
		{"{\"pattern\":\"a@[127.0.0.1]\"}", "/pattern"},
		{"{\"pattern\":\"*\"}", "/pattern"},
		{"{\"pattern\":\"*@*\",\"allow_all\":false}", "/pattern"},
		{"{\"pattern\":\"a@b.example\",\"action\":\"ALLOW\"}", "/action"},
		{"{\"pattern\":\"a@b.example\",\"action\":null}", "/action"},
		{"{\"pattern\":\"a@b.example\",\"allow_all\":\"yes\",\"note\":\"\"}", "/allow_all"},
		{"{\"pattern\":\"a@b.example\",\"scope\":\"a b\"}", "/scope"},
		{"{\"pattern\":\"a@b.example\",\"note\":\"\\u0007\"}", "/note"},
		{"{\"pattern\":\"a@b.example\",\"notes\":\"x\"}", "/notes"},
		{"{\"pattern\":\"a@b.example\",\"a/b~c\":1}", "/a~1b~0c"},
		{"{\"pattern\":\"a@b.example\",\"expires_at\":\"tomorrow\"}", "/expires_at"},
		{"{\"pattern\":\"a@b.example\",\"expires_at\":\"2001-01-01T00:00:00Z\"}",
		 "/expires_at"},
		{"{\"pattern\":\"a@b.example\",\"expires_in\":\"4 hours\"}", "/expires_in"},
		{"{\"pattern\":\"a@b.example\",\"expires_in\":\"4h\","
		 "\"expires_at\":\"2999-01-01T00:00:00Z\"}",
		 "/expires_in"},
		{"[]", NULL},
		{"{\"pattern\":\"a@b.example\",\"pattern\":\"c@d.example\"}", NULL},
	};
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *errors;

		json = ask(&fixture, 400, "POST", LIST, cases[i].body);
		errors = json_object_get(json, "errors");
		ck_assert_msg(cases[i].pointer == NULL ||
				      strcmp(text_of(json_array_get(errors, 0), "pointer"),
					     cases[i].pointer) == 0,
			      "%s: %s", cases[i].body, json_dumps(json, 0));
		json_decref(json);
	}
	/* All mistakes at once. */
	json = ask(&fixture, 400, "POST", LIST, "{\"note\":1,\"x\":2,\"pattern\":\"@@\"}");
	ck_assert_int_eq(json_array_size(json_object_get(json, "errors")), 3);
	json_decref(json);
	json = ask(&fixture, 200, "GET", LIST, NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 0);
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(allow_all_and_expiry)
{
	struct fixture fixture;
	char verdict[16];
	json_t *json;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"*\",\"action\":\"deny\"}"));
	/* a deny of everything does not turn into an allow of everything in passing */
	json_decref(ask(&fixture, 400, "PATCH", LIST "/1", "{\"action\":\"allow\"}"));
	ask(&fixture, 204, "DELETE", LIST "/1", NULL);
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"pattern\":\"*\",\"allow_all\":true,\"expires_in\":\"4h\"}"));
	verdict_of(&fixture, "x@y.example", verdict);
	ck_assert_str_eq(verdict, "deliver");
	json = ask(&fixture, 200, "GET", "/api/v1/status", NULL);
	ck_assert(json_is_true(json_object_get(json_object_get(json, "whitelist"), "allows_all")));
	ck_assert_int_eq(json_array_size(json_object_get(json, "warnings")), 1);
	json_decref(json);
	clock_freeze(clock_wall_ms() + 5 * 3600 * 1000);
	verdict_of(&fixture, "x@y.example", verdict);
	ck_assert_str_eq(verdict, "drop");
	clock_thaw();
	fixture_stop(&fixture);
}
END_TEST

START_TEST(pages_over_a_thousand_entries)
{
	struct fixture fixture;
	const char *next = NULL;
	json_int_t last = 0;
	char body[200];
	char path[300];
	int seen = 0;
	int pages = 0;
	json_t *json;

	fixture_start(&fixture);
	for (int i = 0; i < 1050; i++) {
		snprintf(body, sizeof(body), "{\"pattern\":\"user%d@example.com\"%s}", i,
			 i % 10 == 0 ? ",\"note\":\"100%_Tenth\"" : "");
		json_decref(ask(&fixture, 201, "POST", LIST, body));
	}
	json = ask(&fixture, 200, "GET", LIST "?limit=100", NULL);
	for (;;) {
		json_t *one;
		size_t i;

		json_array_foreach(json_object_get(json, "items"), i, one)
		{
			ck_assert_int_gt(number_of(one, "id"), last);
			last = number_of(one, "id");
			seen++;
		}
		pages++;
		next = json_string_value(json_object_get(json, "next"));
		if (next == NULL)
			break;
		snprintf(path, sizeof(path), LIST "?limit=100&after=%s", next);
		json_decref(json);
		/* The row that the cursor names goes, the next page is the same (S307). */
		if (pages == 3) {
			char row[64];

			snprintf(row, sizeof(row), LIST "/%lld", (long long)last);
			ask(&fixture, 204, "DELETE", row, NULL);
		}
		json = ask(&fixture, 200, "GET", path, NULL);
	}
	json_decref(json);
	ck_assert_int_eq(seen, 1050);
	ck_assert_int_eq(pages, 11);
	json = ask(&fixture, 200, "GET", LIST "?limit=1000", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 1000);
	json_decref(json);
	/* Literal, not a LIKE pattern (S308). */
	json = ask(&fixture, 200, "GET", LIST "?q=100%25_tenth&limit=1000", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 105);
	json_decref(json);
	json = ask(&fixture, 200, "GET", LIST "?q=u%25r", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 0);
	ck_assert(json_is_null(json_object_get(json, "next")));
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S307, S308 */
START_TEST(bad_parameters)
{
	static const char *const bad[] = {"limit=-1",
					  "limit=0",
					  "limit=1001",
					  "limit=2147483648",
					  "limit=9223372036854775808",
					  "limit=abc",
					  "limit=1e3",
					  "limit=1&limit=2",
					  "after=x",
					  "after=77000000000000000112345678",
					  "sort=id;DROP+TABLE",
					  "fields=password",
					  "action=x",
					  "q=%00",
					  "q=%ff",
					  "q=%4",
					  "offset=-1"};
	struct fixture fixture;
	char path[200];

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(path, sizeof(path), LIST "?%s", bad[i]);
		json_decref(ask(&fixture, 400, "GET", path, NULL));
	}
	json_decref(ask(&fixture, 200, "GET", LIST "?q=&scope=&action=&after=", NULL));
	fixture_stop(&fixture);
}
END_TEST

/* --- CASES S311
 * ------------------------------------------------------------------------------------ */

struct crowd {
	struct fixture *fixture;
	int number;
	int status[4];
};

static void *one_of_many(void *ctx)
{
	struct crowd *me = ctx;
	struct answer answer;
	char body[64];

	snprintf(body, sizeof(body), "{\"note\":\"%d\"}", me->number);
	for (int i = 0; i < 3; i++) {
		ask_with(me->fixture, me->fixture->token, "PATCH", LIST "/1", body, "", &answer);
		me->status[i] = answer.status;
		answer_free(&answer);
	}
	ask_with(me->fixture, me->fixture->token, "POST", LIST,
		 "{\"pattern\":\"contended@example.com\"}", "", &answer);
	me->status[3] = answer.status;
	answer_free(&answer);
	return NULL;
}

static void *delete_it(void *ctx)
{
	struct crowd *me = ctx;
	struct answer answer;

	ask_with(me->fixture, me->fixture->token, "DELETE", LIST "/1", NULL, "", &answer);
	me->status[0] = answer.status;
	answer_free(&answer);
	return NULL;
}

static void run_crowd(struct fixture *fixture, struct crowd *crowd, int size, void *(*main)(void *))
{
	pthread_t threads[32];

	for (int i = 0; i < size; i++) {
		crowd[i] = (struct crowd){.fixture = fixture, .number = i};
		ck_assert_int_eq(pthread_create(&threads[i], NULL, main, &crowd[i]), 0);
	}
	for (int i = 0; i < size; i++)
		pthread_join(threads[i], NULL);
}

START_TEST(many_change_one_entry)
{
	struct fixture fixture;
	struct crowd crowd[32];
	int created = 0;
	int deleted = 0;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"a@b.example\"}"));
	run_crowd(&fixture, crowd, 32, one_of_many);
	for (int i = 0; i < 32; i++) {
		for (int k = 0; k < 3; k++)
			ck_assert_int_eq(crowd[i].status[k], 200);
		ck_assert(crowd[i].status[3] == 201 || crowd[i].status[3] == 409);
		created += crowd[i].status[3] == 201;
	}
	ck_assert_int_eq(created, 1);
	run_crowd(&fixture, crowd, 32, delete_it);
	for (int i = 0; i < 32; i++) {
		ck_assert(crowd[i].status[0] == 204 || crowd[i].status[0] == 404);
		deleted += crowd[i].status[0] == 204;
	}
	ck_assert_int_eq(deleted, 1);
	fixture_stop(&fixture);
}
END_TEST

static void *until_refused(void *ctx)
{
	struct crowd *me = ctx;
	struct answer answer;
	char body[100];
	int i = 0;

	do {
		snprintf(body, sizeof(body), "{\"pattern\":\"u%d-%d@b.example\"}", me->number, i++);
		ask_with(me->fixture, "socket", "POST", LIST, body, "", &answer);
		me->status[0] += answer.status == 201;
		me->status[1] = answer.status;
		answer_free(&answer);
	} while (me->status[1] == 201);
	return NULL;
}

/* What was answered 201 is there afterwards; a request that was cut may be or not. */
START_TEST(stopped_under_load)
{
	struct fixture fixture;
	struct crowd crowd[8];
	pthread_t threads[8];
	int created = 0;
	size_t found;
	json_t *json;

	fixture_start(&fixture);
	for (int i = 0; i < 8; i++) {
		crowd[i] = (struct crowd){.fixture = &fixture, .number = i};
		pthread_create(&threads[i], NULL, until_refused, &crowd[i]);
	}
	usleep(200000);
	admin_stop(&fixture.admin, 2000);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(crowd[i].status[1], 0);
		created += crowd[i].status[0];
	}
	ck_assert_int_gt(created, 0);
	fixture_restart_admin(&fixture);
	json = ask(&fixture, 200, "GET", "/api/v1/status", NULL);
	found = (size_t)number_of(json_object_get(json, "whitelist"), "entries");
	ck_assert_uint_ge(found, (size_t)created);
	ck_assert_uint_le(found, (size_t)created + 8);
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(checks)
{
	struct fixture fixture;
	json_t *json;
	json_t *items;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"pattern\":\"alice@example.com\",\"scope\":\"shop\"}"));
	json = ask(&fixture, 200, "POST", "/api/v1/check",
		   "{\"recipients\":[\"ALICE@Example.com\",\"no address\",\"b@c.example\"],"
		   "\"scope\":\"shop\"}");
	items = json_object_get(json, "items");
	ck_assert_int_eq(json_array_size(items), 3);
	ck_assert_str_eq(text_of(json_array_get(items, 0), "verdict"), "deliver");
	ck_assert_int_eq(number_of(json_array_get(items, 0), "entry"), 1);
	ck_assert_str_eq(text_of(json_array_get(items, 1), "verdict"), "invalid");
	ck_assert(json_is_null(json_object_get(json_array_get(items, 1), "canonical")));
	ck_assert_str_eq(text_of(json_array_get(items, 2), "verdict"), "drop");
	ck_assert_int_eq(number_of(json, "revision"), 1);
	json_decref(json);
	json = ask(&fixture, 200, "POST", "/api/v1/check",
		   "{\"recipients\":[\"alice@example.com\"]}");
	items = json_object_get(json, "items");
	ck_assert_str_eq(text_of(json_array_get(items, 0), "verdict"), "drop");
	ck_assert_str_ne(text_of(json_array_get(items, 0), "nearest"), "(none)");
	json_decref(json);
	json_decref(ask(&fixture, 400, "POST", "/api/v1/check", "{\"recipients\":[]}"));
	json_decref(ask(&fixture, 400, "POST", "/api/v1/check", "{\"recipients\":[1]}"));
	json_decref(ask(&fixture, 400, "POST", "/api/v1/check", "{\"recipients\":\"a@b.c\"}"));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(audited)
{
	struct fixture fixture;
	json_t *json;
	json_t *row;
	char path[200];

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"a@b.example\"}"));
	ask(&fixture, 204, "DELETE", LIST "/1", NULL);
	json = ask(&fixture, 200, "GET", "/api/v1/audit?limit=1", NULL);
	row = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(row, "actor"), "token:admin");
	ck_assert_str_eq(text_of(row, "action"), "whitelist.remove");
	ck_assert(json_is_object(json_object_get(row, "before")));
	snprintf(path, sizeof(path), "/api/v1/audit?limit=1&after=%s", text_of(json, "next"));
	json_decref(json);
	json = ask(&fixture, 200, "GET", path, NULL);
	row = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(row, "action"), "whitelist.add");
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/whitelist", add_get_change_remove, same_pattern_again, if_match, bad_entries,
	  allow_all_and_expiry, pages_over_a_thousand_entries, bad_parameters,
	  many_change_one_entry, stopped_under_load, checks, audited)
