/* tests admin/faults.c over a running API */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

#define LIST "/api/v1/faults"

/* The names in their order, with blanks. */
static void expect_names(struct fixture *fixture, const char *want)
{
	json_t *json = ask(fixture, 200, "GET", LIST, NULL);
	char names[400] = "";
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(json, "items"), i, item)
	{
		size_t len = strlen(names);

		snprintf(names + len, sizeof(names) - len, "%s ", text_of(item, "name"));
	}
	ck_assert_str_eq(names, want);
	ck_assert(json_is_null(json_object_get(json, "next")));
	json_decref(json);
}

START_TEST(add_get_change_remove)
{
	struct fixture fixture;
	struct answer answer;
	char first[64];
	char path[128];

	fixture_start(&fixture);
	expect_names(&fixture, "");
	ck_assert(!faults_are_on(fixture.faults));
	ask_with(&fixture, fixture.token, "POST", LIST,
		 "{\"name\":\"busy\",\"action\":\"defer\",\"attempts\":2,\"recipient\":\"qa-*@x."
		 "test\","
		 "\"note\":null,\"every\":null,\"enabled\":true}",
		 "", &answer);
	ck_assert_int_eq(answer.status, 201);
	ck_assert_str_eq(text_of(answer.json, "source"), "api");
	ck_assert_str_eq(text_of(answer.json, "action"), "defer");
	ck_assert_str_eq(text_of(answer.json, "stage"), "rcpt");
	ck_assert_int_eq(number_of(answer.json, "attempts"), 2);
	ck_assert_int_eq(number_of(answer.json, "every"), 1);
	ck_assert_int_eq(number_of(answer.json, "strikes"), 0);
	ck_assert(json_is_null(json_object_get(answer.json, "code")));
	ck_assert(json_is_null(json_object_get(answer.json, "sender")));
	ck_assert_str_eq(text_of(answer.json, "created_by"), "token:admin");
	snprintf(path, sizeof(path), "%s", answer.location);
	snprintf(first, sizeof(first), "%s", answer.etag);
	answer_free(&answer);
	/* In force when the reply is there. */
	ck_assert(faults_are_on(fixture.faults));

	ask_with(&fixture, fixture.token, "GET", path, NULL, "", &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_str_eq(answer.etag, first);
	ck_assert_str_eq(text_of(answer.json, "recipient"), "qa-*@x.test");
	answer_free(&answer);

	ask_with(&fixture, fixture.token, "PATCH", path,
		 "{\"enabled\":false,\"recipient\":null,\"code\":452}", "", &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_str_ne(answer.etag, first);
	ck_assert(json_is_null(json_object_get(answer.json, "recipient")));
	ck_assert_int_eq(number_of(answer.json, "code"), 452);
	ck_assert_int_eq(number_of(answer.json, "attempts"), 2);
	ck_assert_str_eq(text_of(answer.json, "created_by"), "token:admin");
	answer_free(&answer);
	ck_assert(!faults_are_on(fixture.faults));

	ask(&fixture, 204, "DELETE", path, NULL);
	json_decref(ask(&fixture, 404, "GET", path, NULL));
	json_decref(ask(&fixture, 404, "DELETE", path, NULL));
	json_decref(ask(&fixture, 404, "PATCH", path, "{\"note\":\"x\"}"));
	expect_names(&fixture, "");
	fixture_stop(&fixture);
}
END_TEST

START_TEST(order_and_names)
{
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"name\":\"a\",\"action\":\"reject\"}"));
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"name\":\"b\",\"action\":\"reject\"}"));
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"name\":\"first\",\"action\":\"reject\",\"before\":1}"));
	expect_names(&fixture, "first a b ");
	json_decref(ask(&fixture, 200, "PATCH", LIST "/3", "{\"before\":2}"));
	expect_names(&fixture, "a first b ");
	json_decref(ask(&fixture, 200, "PATCH", LIST "/1", "{\"before\":null}"));
	expect_names(&fixture, "first b a ");
	/* Without `before` a change leaves it where it is. */
	json_decref(ask(&fixture, 200, "PATCH", LIST "/2", "{\"name\":\"bb\"}"));
	expect_names(&fixture, "first bb a ");
	json = ask(&fixture, 409, "POST", LIST, "{\"name\":\"bb\",\"action\":\"reject\"}");
	ck_assert_int_eq(number_of(json, "existing_id"), 2);
	json_decref(json);
	json = ask(&fixture, 409, "PATCH", LIST "/1", "{\"name\":\"bb\"}");
	ck_assert_int_eq(number_of(json, "existing_id"), 2);
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(rules_of_the_configuration_are_shown_and_left_alone)
{
	struct fixture fixture;
	struct fault fault;
	json_t *json;

	fixture_start(&fixture);
	fault_init(&fault);
	fault.name = "from-file";
	fault.action = FAULT_DISCONNECT;
	faults_publish(fixture.faults, PUBLISHED_FROM_CONFIG, &fault, 1);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"name\":\"a\",\"action\":\"reject\"}"));
	expect_names(&fixture, "from-file a ");
	json = ask(&fixture, 200, "GET", LIST, NULL);
	ck_assert_str_eq(text_of(json_array_get(json_object_get(json, "items"), 0), "source"),
			 "config");
	ck_assert(json_is_null(
		json_object_get(json_array_get(json_object_get(json, "items"), 0), "id")));
	json_decref(json);
	json_decref(ask(&fixture, 404, "DELETE", LIST "/0", NULL));
	json_decref(ask(&fixture, 404, "DELETE", LIST "/from-file", NULL));
	json = ask(&fixture, 200, "GET", "/api/v1/status", NULL);
	ck_assert_int_eq(number_of(json_object_get(json, "faults"), "enabled"), 2);
	ck_assert_int_eq(number_of(json_object_get(json, "faults"), "strikes"), 0);
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(mistakes_are_told_with_pointers)
{
	static const struct {
		const char *body;
		const char *pointers; /* with blanks between; NULL: whatever it says */
	} cases[] = {
		{"", NULL},
		{"[]", NULL},
		{"{}", "/name /action"},
		{"{\"name\":\"x\"}", "/action"},
		{"{\"name\":\"x\",\"action\":null}", "/action"},
		{"{\"name\":\"x\",\"action\":\"explode\"}", "/action"},
		{"{\"name\":\"a b\",\"action\":\"reject\"}", "/name"},
		{"{\"name\":7,\"action\":\"reject\"}", "/name"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"stage\":\"quit\"}", "/stage"},
		{"{\"name\":\"x\",\"action\":\"bounce\",\"stage\":\"end\"}", "/stage"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"recipient\":\"a b\"}", "/recipient"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"stage\":\"mail\",\"recipient\":\"*@x."
		 "test\"}",
		 "/recipient"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"sender\":\"<>x\"}", "/sender"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"user\":\"\\u0007\"}", "/user"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"code\":250}", "/code"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"code\":\"550\"}", "/code"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"code\":1.5}", "/code"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"code\":-1}", "/code"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"enhanced\":\"4.0.0\"}", "/enhanced"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"text\":\"a\\nb\"}", "/text"},
		{"{\"name\":\"x\",\"action\":\"delay\"}", "/delay_ms"},
		{"{\"name\":\"x\",\"action\":\"delay\",\"delay_ms\":600001}", "/delay_ms"},
		{"{\"name\":\"x\",\"action\":\"delay\",\"delay\":\"5s\"}", "/delay"},
		{"{\"name\":\"x\",\"action\":\"defer\",\"attempts\":0}", "/attempts"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"every\":0}", "/every"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"times\":99999999999}", "/times"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"enabled\":\"yes\"}", "/enabled"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"before\":9}", "/before"},
		{"{\"name\":\"x\",\"action\":\"reject\",\"id\":9}", "/id"},
		{"{\"name\":\"\",\"action\":\"delay\",\"code\":550,\"stage\":\"rcpt\"}",
		 "/name /code /delay_ms"},
	};
	struct fixture fixture;

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = ask(&fixture, 400, "POST", LIST, cases[i].body);
		char pointers[200] = "";
		json_t *error;
		size_t at;

		json_array_foreach(json_object_get(json, "errors"), at, error)
		{
			size_t len = strlen(pointers);

			snprintf(pointers + len, sizeof(pointers) - len, "%s%s", len > 0 ? " " : "",
				 text_of(error, "pointer"));
		}
		ck_assert_msg(cases[i].pointers == NULL || strcmp(pointers, cases[i].pointers) == 0,
			      "%s: %s", cases[i].body, pointers);
		json_decref(json);
	}
	expect_names(&fixture, "");
	fixture_stop(&fixture);
}
END_TEST

START_TEST(preconditions)
{
	struct fixture fixture;
	struct answer answer;
	char header[100];

	fixture_start(&fixture);
	ask_with(&fixture, fixture.token, "POST", LIST, "{\"name\":\"a\",\"action\":\"reject\"}",
		 "", &answer);
	snprintf(header, sizeof(header), "If-Match: %s\r\n", answer.etag);
	answer_free(&answer);
	ask_with(&fixture, fixture.token, "PATCH", LIST "/1", "{\"note\":\"x\"}",
		 "If-Match: \"99\"\r\n", &answer);
	ck_assert_int_eq(answer.status, 412);
	answer_free(&answer);
	ask_with(&fixture, fixture.token, "PATCH", LIST "/1", "{\"note\":\"x\"}", header, &answer);
	ck_assert_int_eq(answer.status, 200);
	answer_free(&answer);
	/* The one it was made for is another by now. */
	ask_with(&fixture, fixture.token, "DELETE", LIST "/1", NULL, header, &answer);
	ck_assert_int_eq(answer.status, 412);
	answer_free(&answer);
	ask_with(&fixture, fixture.token, "DELETE", LIST "/1", NULL, "If-Match: *\r\n", &answer);
	ck_assert_int_eq(answer.status, 204);
	answer_free(&answer);
	fixture_stop(&fixture);
}
END_TEST

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

/* Failures concern everybody's mail: not for tokens that are limited to a scope. */
START_TEST(roles)
{
	static const struct {
		const char *body;
		int get;
		int post;
	} rows[] = {{"{\"name\":\"r\",\"role\":\"reader\"}", 200, 403},
		    {"{\"name\":\"o\",\"role\":\"operator\"}", 200, 409},
		    {"{\"name\":\"s\",\"role\":\"operator\",\"scope\":\"shop\"}", 403, 403}};
	struct fixture fixture;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"name\":\"a\",\"action\":\"reject\"}"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *json = ask(&fixture, 201, "POST", "/api/v1/tokens", rows[i].body);
		const char *secret = text_of(json, "secret");

		ck_assert_int_eq(status_of(&fixture, secret, "GET", LIST, NULL), rows[i].get);
		ck_assert_int_eq(status_of(&fixture, secret, "POST", LIST,
					   "{\"name\":\"a\",\"action\":\"reject\"}"),
				 rows[i].post);
		json_decref(json);
	}
	ck_assert_int_eq(status_of(&fixture, NULL, "GET", LIST, NULL), 401);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(the_trail)
{
	struct fixture fixture;
	json_t *json;
	json_t *items;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"name\":\"a\",\"action\":\"reject\"}"));
	json_decref(ask(&fixture, 200, "PATCH", LIST "/1", "{\"times\":3}"));
	ask(&fixture, 204, "DELETE", LIST "/1", NULL);
	json = ask(&fixture, 200, "GET", "/api/v1/audit", NULL);
	items = json_object_get(json, "items");
	ck_assert_str_eq(text_of(json_array_get(items, 0), "action"), "fault.remove");
	ck_assert_str_eq(text_of(json_array_get(items, 1), "action"), "fault.replace");
	ck_assert_str_eq(text_of(json_array_get(items, 2), "action"), "fault.add");
	ck_assert_str_eq(text_of(json_array_get(items, 2), "subject"), "a");
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/faults", add_get_change_remove, order_and_names,
	  rules_of_the_configuration_are_shown_and_left_alone, mistakes_are_told_with_pointers,
	  preconditions, roles, the_trail)
