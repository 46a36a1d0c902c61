/* tests admin/messages.c, admin/act.c, admin/delivery.c and admin/status.c over a running API */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/act.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

static const char small[] = "Subject: =?utf-8?q?caf=C3=A9?=\r\nTo: a@b.example\r\n\r\nbody\r\n";

static void path_of(const struct ulid *id, const char *tail, char *path_out)
{
	char text[ULID_TEXT_SIZE];

	ulid_format(id, text);
	snprintf(path_out, 100, "/api/v1/messages/%s%s", text, tail);
}

static json_t *recipient(json_t *message, size_t i)
{
	return json_array_get(json_object_get(message, "recipients"), i);
}

START_TEST(list_and_show)
{
	static const char *const addresses[] = {"a@b.example", "drop:c@d.example", NULL};
	struct fixture fixture;
	struct ulid id;
	char path[100];
	json_t *json;
	json_t *one;

	fixture_start(&fixture);
	id = fixture_message(&fixture, "s@b.example", "", small, strlen(small), addresses);
	json = ask(&fixture, 200, "GET", "/api/v1/messages", NULL);
	one = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(one, "sender"), "s@b.example");
	ck_assert_int_eq(number_of(one, "size"), strlen(small));
	ck_assert_int_eq(number_of(json_object_get(one, "states"), "queued"), 1);
	ck_assert_int_eq(number_of(json_object_get(one, "states"), "dropped"), 1);
	ck_assert_ptr_null(json_object_get(one, "recipients"));
	json_decref(json);
	json = ask(&fixture, 200, "GET", "/api/v1/messages?include=recipients", NULL);
	one = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_int_eq(json_array_size(json_object_get(one, "recipients")), 2);
	json_decref(json);

	path_of(&id, "", path);
	json = ask(&fixture, 200, "GET", path, NULL);
	ck_assert_str_eq(text_of(recipient(json, 0), "address"), "a@b.example");
	ck_assert_str_eq(text_of(recipient(json, 1), "state"), "dropped");
	ck_assert_str_eq(text_of(recipient(json, 1), "verdict"), "drop");
	ck_assert(json_is_array(json_object_get(recipient(json, 0), "history")));
	one = json_array_get(json_object_get(json, "header"), 0);
	ck_assert_str_eq(text_of(one, "name"), "Subject");
	ck_assert_str_eq(text_of(one, "value"), "caf\xc3\xa9");
	ck_assert_str_eq(text_of(json_object_get(json, "client"), "helo"), "client.test");
	json_decref(json);

	json = ask(&fixture, 200, "GET", "/api/v1/recipients?state=dropped", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 1);
	one = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(one, "address"), "c@d.example");
	ck_assert_str_eq(text_of(one, "sender"), "s@b.example");
	json_decref(json);
	json_decref(ask(&fixture, 404, "GET", "/api/v1/messages/01ARZ3NDEKTSV4RRFFQ69G5FAV", NULL));
	json_decref(ask(&fixture, 404, "GET", "/api/v1/messages/1", NULL));
	json_decref(ask(&fixture, 400, "GET", "/api/v1/messages?state=lost", NULL));
	json_decref(ask(&fixture, 400, "GET", "/api/v1/messages?include=bodies", NULL));
	json_decref(ask(&fixture, 400, "GET", "/api/v1/messages?since=yesterday", NULL));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(filters_and_pages)
{
	struct fixture fixture;
	char path[300];
	char last[32] = "~";
	int seen = 0;
	json_t *json;

	fixture_start(&fixture);
	for (int i = 0; i < 30; i++) {
		char address[32];
		const char *const addresses[] = {address, "both@b.example", NULL};

		snprintf(address, sizeof(address), "user%d@b.example", i);
		fixture_message(&fixture, i % 2 == 0 ? "even@b.example" : "odd@b.example", "",
				small, strlen(small), addresses);
	}
	snprintf(path, sizeof(path), "/api/v1/messages?limit=7&from=even");
	for (;;) {
		json_t *one;
		size_t i;

		json = ask(&fixture, 200, "GET", path, NULL);
		json_array_foreach(json_object_get(json, "items"), i, one)
		{
			ck_assert_str_lt(text_of(one, "id"), last); /* newest first */
			snprintf(last, sizeof(last), "%s", text_of(one, "id"));
			seen++;
		}
		if (json_is_null(json_object_get(json, "next")))
			break;
		snprintf(path, sizeof(path), "/api/v1/messages?limit=7&from=even&after=%s",
			 text_of(json, "next"));
		json_decref(json);
	}
	json_decref(json);
	ck_assert_int_eq(seen, 15);
	json = ask(&fixture, 200, "GET", "/api/v1/messages?to=user1%40", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 1);
	json_decref(json);
	json = ask(&fixture, 200, "GET", "/api/v1/messages?since=2999-01-01T00:00:00Z", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 0);
	json_decref(json);
	seen = 0;
	snprintf(path, sizeof(path), "/api/v1/recipients?limit=8&address=both");
	for (;;) {
		json = ask(&fixture, 200, "GET", path, NULL);
		seen += (int)json_array_size(json_object_get(json, "items"));
		if (json_is_null(json_object_get(json, "next")))
			break;
		snprintf(path, sizeof(path), "/api/v1/recipients?limit=8&address=both&after=%s",
			 text_of(json, "next"));
		json_decref(json);
	}
	json_decref(json);
	ck_assert_int_eq(seen, 30);
	fixture_stop(&fixture);
}
END_TEST

/* Byte for byte, over more than one chunk. */
START_TEST(raw_bytes)
{
	static const char *const addresses[] = {"a@b.example", NULL};
	size_t len = 3 * 256 * 1024 + 17;
	struct client_reply reply;
	struct fixture fixture;
	char request[300];
	struct ulid id;
	char path[100];
	char *bytes = malloc(len);

	memcpy(bytes, "Subject: x\r\n\r\n", 14);
	for (size_t i = 14; i < len; i++)
		bytes[i] = (char)(i * 7919 >> 3);
	fixture_start(&fixture);
	id = fixture_message(&fixture, "", "", bytes, len, addresses);
	path_of(&id, "/raw", path);
	for (int round = 0; round < 2; round++) {
		snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
			 round == 0 ? "GET" : "HEAD", path);
		client_ask(fixture.socket, request, &reply);
		ck_assert_int_eq(reply.status, 200);
		ck_assert_str_eq(client_header(&reply, "Content-Type"), "message/rfc822");
		ck_assert_int_eq(
			strncmp(client_header(&reply, "Content-Disposition"), "attachment", 10), 0);
		ck_assert_str_eq(client_header(&reply, "X-Content-Type-Options"), "nosniff");
		ck_assert_uint_eq(strtoul(client_header(&reply, "Content-Length"), NULL, 10), len);
		ck_assert_uint_eq(reply.body_len, round == 0 ? len : 0);
		ck_assert(round == 1 || memcmp(reply.body, bytes, len) == 0);
		client_reply_free(&reply);
	}
	free(bytes);
	fixture_stop(&fixture);
}
END_TEST

/* A message that goes while it is being read must not look complete. */
START_TEST(deleted_while_it_is_read)
{
	static const char *const addresses[] = {"drop:a@b.example", NULL};
	size_t len = 24 * 1024 * 1024; /* more than the sockets hold */
	char *bytes = calloc(1, len);
	struct client_reply reply;
	struct fixture fixture;
	char request[300];
	struct ulid id;
	char path[100];
	int fd;

	memcpy(bytes, "Subject: x\r\n\r\n", 14);
	fixture_start(&fixture);
	id = fixture_message(&fixture, "", "", bytes, len, addresses);
	path_of(&id, "/raw", path);
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	fd = client_open(fixture.socket);
	client_send(fd, request, strlen(request));
	path_of(&id, "", path);
	usleep(50000); /* the first chunks are under way, the rest waits for us */
	ask(&fixture, 204, "DELETE", path, NULL);
	client_read(fd, &reply, false);
	ck_assert_int_eq(reply.status, 200);
	ck_assert(reply.cut);
	client_reply_free(&reply);
	close(fd);
	free(bytes);
	fixture_stop(&fixture);
}
END_TEST

static void state_is(struct fixture *fixture, const struct ulid *id, size_t i, const char *want)
{
	char path[100];
	json_t *json;

	path_of(id, "", path);
	json = ask(fixture, 200, "GET", path, NULL);
	ck_assert_str_eq(text_of(recipient(json, i), "state"), want);
	json_decref(json);
}

START_TEST(hold_release_cancel_delete)
{
	static const char *const addresses[] = {"a@b.example", "drop:c@d.example", NULL};
	struct fixture fixture;
	struct ulid id;
	char path[100];
	json_t *json;

	fixture_start(&fixture);
	json_decref(
		ask(&fixture, 201, "POST", "/api/v1/whitelist", "{\"pattern\":\"a@b.example\"}"));
	id = fixture_message(&fixture, "s@b.example", "", small, strlen(small), addresses);
	path_of(&id, "/hold", path);
	json = ask(&fixture, 200, "POST", path,
		   "{\"recipients\":[\"a@B.example\"],\"reason\":\"wait\"}");
	ck_assert_int_eq(number_of(json, "changed"), 1);
	json_decref(json);
	state_is(&fixture, &id, 0, "held");

	/* P1: what the list does not allow is not let go, whoever asks. */
	path_of(&id, "/release", path);
	json_decref(ask(&fixture, 409, "POST", path, "{\"recipients\":[\"c@d.example\"]}"));
	state_is(&fixture, &id, 1, "dropped");
	json = ask(&fixture, 200, "POST", path, NULL);
	ck_assert_int_eq(number_of(json, "changed"), 1);
	ck_assert_int_eq(number_of(json, "refused"), 1);
	json_decref(json);
	state_is(&fixture, &id, 0, "queued");
	state_is(&fixture, &id, 1, "dropped");
	json_decref(ask(&fixture, 201, "POST", "/api/v1/whitelist", "{\"pattern\":\"d.example\"}"));
	json = ask(&fixture, 200, "POST", path, "{\"recipients\":[\"c@d.example\"]}");
	ck_assert_int_eq(number_of(json, "changed"), 1);
	json_decref(json);
	state_is(&fixture, &id, 1, "queued");

	json_decref(ask(&fixture, 404, "POST", path, "{\"recipients\":[\"nobody@d.example\"]}"));
	json_decref(ask(&fixture, 400, "POST", path, "{\"recipients\":[\"nobody\"]}"));
	json_decref(ask(&fixture, 400, "POST", path, "{\"recipients\":[]}"));
	json_decref(ask(&fixture, 400, "POST", path, "{\"recipient\":\"a@b.example\"}"));
	path_of(&id, "/cancel", path);
	json_decref(ask(&fixture, 200, "POST", path, "{}"));
	state_is(&fixture, &id, 0, "cancelled");
	json_decref(ask(&fixture, 409, "POST", path, NULL));
	path_of(&id, "", path);
	ask(&fixture, 204, "DELETE", path, NULL);
	json_decref(ask(&fixture, 404, "GET", path, NULL));
	json_decref(ask(&fixture, 404, "DELETE", path, NULL));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(pause_and_status)
{
	struct fixture fixture;
	json_t *json, *one, *troubles;

	fixture_start(&fixture);
	json = ask(&fixture, 200, "GET", "/api/v1/status", NULL);
	ck_assert(json_is_true(json_object_get(json, "delivering")));
	ck_assert_str_eq(text_of(json, "hostname"), "relay.test");
	ck_assert_int_eq(number_of(json, "accepted"), 42);
	ck_assert_int_eq(number_of(json, "sessions"), 3);
	ck_assert_int_eq(json_array_size(json_object_get(json, "routes")), 2);
	ck_assert_str_eq(json_string_value(json_array_get(json_object_get(json, "warnings"), 0)),
			 "bounce_to is empty");
	json_decref(json);
	json_decref(ask(&fixture, 400, "POST", "/api/v1/delivery/pause", "{\"route\":\"x\"}"));
	json_decref(ask(&fixture, 400, "POST", "/api/v1/delivery/resume", "{\"reason\":\"x\"}"));
	json = ask(&fixture, 200, "POST", "/api/v1/delivery/pause", "{\"reason\":\"load test\"}");
	ck_assert(json_is_true(json_object_get(json, "paused")));
	ck_assert_str_eq(text_of(json_object_get(json, "delivery"), "reason"), "load test");
	json_decref(json);
	ck_assert(store_is_paused(fixture.store, NULL));
	json = ask(&fixture, 200, "GET", "/api/v1/status", NULL);
	ck_assert(json_is_false(json_object_get(json, "delivering")));
	one = json_object_get(json, "delivery");
	ck_assert(json_is_true(json_object_get(one, "paused")));
	ck_assert_str_eq(text_of(one, "reason"), "load test");
	ck_assert_str_eq(text_of(one, "paused_by"), "token:admin");
	ck_assert_int_eq(number_of(json_object_get(one, "breaker"), "last_day"), 44);
	json_decref(json);
	json_decref(ask(&fixture, 200, "POST", "/api/v1/delivery/resume", NULL));
	ck_assert(!store_is_paused(fixture.store, NULL));
	json_decref(ask(&fixture, 200, "POST", "/api/v1/routes/other/pause", NULL));
	ck_assert(store_is_paused(fixture.store, "other"));
	ck_assert(!store_is_paused(fixture.store, "default"));
	json = ask(&fixture, 200, "GET", "/api/v1/routes", NULL);
	one = json_object_get(json, "delivery");
	ck_assert(json_is_false(json_object_get(one, "paused")));
	ck_assert(json_is_null(json_object_get(one, "reason")));
	ck_assert_int_eq(json_array_size(json_object_get(one, "routes")), 1);
	one = json_array_get(json_object_get(json, "items"), 1);
	ck_assert(json_is_true(json_object_get(one, "paused")));
	ck_assert(json_is_null(json_object_get(one, "pause_reason")));
	ck_assert_str_eq(text_of(one, "paused_by"), "token:admin");
	json_decref(json);
	json_decref(ask(&fixture, 200, "POST", "/api/v1/routes/other/resume", NULL));
	json_decref(ask(&fixture, 404, "POST", "/api/v1/routes/none/pause", NULL));
	json = ask(&fixture, 200, "GET", "/api/v1/routes", NULL);
	ck_assert_str_eq(text_of(json_array_get(json_object_get(json, "items"), 1), "last_error"),
			 "connection refused");
	troubles = json_object_get(json_array_get(json_object_get(json, "items"), 1), "troubles");
	ck_assert_uint_eq(json_object_size(troubles), 1);
	ck_assert_int_eq(number_of(troubles, "network"), 3);
	one = json_object_get(json_array_get(json_object_get(json, "items"), 1), "hosts");
	ck_assert_uint_eq(json_array_size(one), 2);
	ck_assert_str_eq(text_of(json_array_get(one, 0), "host"), "a.example:25");
	ck_assert_str_eq(text_of(json_array_get(one, 0), "resting_until"),
			 "1970-01-01T00:00:02.000Z");
	ck_assert(json_is_false(json_object_get(json_array_get(one, 0), "well")));
	ck_assert(json_is_null(json_object_get(json_array_get(one, 1), "resting_until")));
	ck_assert_int_eq(number_of(json_array_get(one, 1), "connections"), 3);
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

/* CASES S313: what anybody may see tells nothing about anybody. */
START_TEST(health_without_a_token)
{
	static const char *const paths[] = {"/healthz", "/readyz"};
	struct fixture fixture;
	struct answer answer;

	fixture_start(&fixture);
	for (int i = 0; i < 2; i++) {
		ask_with(&fixture, NULL, "GET", paths[i], NULL, "", &answer);
		ck_assert_int_eq(answer.status, 200);
		ck_assert_uint_eq(json_object_size(answer.json), 1);
		answer_free(&answer);
	}
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/messages", list_and_show, filters_and_pages, raw_bytes, deleted_while_it_is_read,
	  hold_release_cancel_delete, pause_and_status, health_without_a_token)
