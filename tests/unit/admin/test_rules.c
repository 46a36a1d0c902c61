/* tests admin/rules.c over a running API; what all such rows share: test_faults.c */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

#define LIST "/api/v1/rules"

START_TEST(add_get_change_remove)
{
	struct fixture fixture;
	struct answer answer;
	char path[128];
	json_t *json;

	fixture_start(&fixture);
	ask_with(&fixture, fixture.token, "POST", LIST,
		 "{\"name\":\"prod\",\"action\":\"drop\",\"client\":\"10.0.0.0/8\",\"min_size\":5,"
		 "\"headers\":[{\"name\":\"X-Env\",\"match\":\"exact\",\"value\":\"prod\"},"
		 "{\"name\":\"Subject\",\"value\":\"*x*\"},{\"name\":\"List-Id\"},"
		 "{\"name\":\"X-No\",\"match\":\"absent\"}],\"tag\":null}",
		 "", &answer);
	ck_assert_int_eq(answer.status, 201);
	ck_assert_str_eq(text_of(answer.json, "client"), "10.0.0.0/8");
	ck_assert(json_is_false(json_object_get(answer.json, "overrides_whitelist")));
	ck_assert(json_is_null(json_object_get(answer.json, "max_size")));
	ck_assert_int_eq(number_of(answer.json, "min_size"), 5);
	ck_assert_int_eq(number_of(answer.json, "matches"), 0);
	json = json_object_get(answer.json, "headers");
	ck_assert_uint_eq(json_array_size(json), 4);
	ck_assert_str_eq(text_of(json_array_get(json, 1), "match"), "glob");
	ck_assert_str_eq(text_of(json_array_get(json, 2), "match"), "present");
	ck_assert_ptr_null(json_object_get(json_array_get(json, 2), "value"));
	snprintf(path, sizeof(path), "%s", answer.location);
	answer_free(&answer);
	/* In force when the reply is there. */
	ck_assert(rules_are_on(fixture.rules));
	json = ask(&fixture, 200, "PATCH", path, "{\"note\":\"n\",\"min_size\":null}");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "headers")), 4);
	ck_assert(json_is_null(json_object_get(json, "min_size")));
	json_decref(json);
	json = ask(&fixture, 200, "PATCH", path, "{\"headers\":null,\"enabled\":false}");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "headers")), 0);
	json_decref(json);
	ck_assert(!rules_are_on(fixture.rules));
	json = ask(&fixture, 200, "GET", path, NULL);
	ck_assert_str_eq(text_of(json, "note"), "n");
	ck_assert_str_eq(text_of(json, "source"), "api");
	json_decref(json);
	ask(&fixture, 204, "DELETE", path, NULL);
	json_decref(ask(&fixture, 404, "GET", path, NULL));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(what_overrides_is_told)
{
	struct fixture fixture;
	struct rule rule;
	json_t *json;
	json_t *told;

	fixture_start(&fixture);
	rule_init(&rule);
	rule.name = "from-file";
	rule.action = RULE_HOLD;
	rules_publish(fixture.rules, PUBLISHED_FROM_CONFIG, &rule, 1);
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"name\":\"out\",\"action\":\"deliver\",\"overrides_whitelist\":true}"));
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"name\":\"off\",\"action\":\"deliver\",\"overrides_whitelist\":true,"
			"\"enabled\":false}"));
	json = ask(&fixture, 200, "GET", "/api/v1/status", NULL);
	told = json_object_get(json, "rules");
	ck_assert_int_eq(number_of(told, "enabled"), 2);
	told = json_object_get(told, "overriding");
	ck_assert_uint_eq(json_array_size(told), 1);
	ck_assert_str_eq(json_string_value(json_array_get(told, 0)), "out");
	json_decref(json);
	json = ask(&fixture, 200, "GET", LIST, NULL);
	told = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(told, "source"), "config");
	ck_assert(json_is_null(json_object_get(told, "id")));
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(mistakes_are_told_with_pointers)
{
	static const struct {
		const char *members; /* behind name and action drop */
		const char *pointers;
	} cases[] = {
		{"\"action\":\"reject\"", NULL}, /* twice the same member */
		{"\"tag\":\"x\"", "/tag"},
		{"\"redirect_to\":\"x@y.test\"", "/redirect_to"},
		{"\"overrides_whitelist\":true", "/overrides_whitelist"},
		{"\"overrides_whitelist\":1", "/overrides_whitelist"},
		{"\"client\":\"10.1.0.0/8\"", "/client"},
		{"\"max_size\":\"5\"", "/max_size"},
		{"\"min_size\":6,\"max_size\":5", "/max_size"},
		{"\"headers\":{}", "/headers"},
		{"\"headers\":[7]", "/headers/0"},
		{"\"headers\":[{\"name\":\"A\"},{\"name\":\"A\",\"x\":1}]", "/headers/1"},
		{"\"headers\":[{\"name\":7}]", "/headers/0/name"},
		{"\"headers\":[{\"name\":\"A\",\"match\":\"like\"}]", "/headers/0/match"},
		{"\"headers\":[{\"name\":\"A\",\"match\":\"present\",\"value\":\"x\"}]",
		 "/headers"},
		{"\"headers\":[{\"value\":\"x\"}]", "/headers"},
		{"\"headers\":[{\"name\":\"A\",\"value\":\"a\\nb\"}]", "/headers"},
		{"\"before\":9", "/before"},
		{"\"id\":9", "/id"},
	};
	struct fixture fixture;

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char body[300];
		char pointers[200] = "";
		json_t *json;
		json_t *error;
		size_t at;

		snprintf(body, sizeof(body), "{\"name\":\"x\",\"action\":\"drop\",%s}",
			 cases[i].members);
		json = ask(&fixture, 400, "POST", LIST, body);
		json_array_foreach(json_object_get(json, "errors"), at, error)
		{
			size_t len = strlen(pointers);

			snprintf(pointers + len, sizeof(pointers) - len, "%s%s", len > 0 ? " " : "",
				 text_of(error, "pointer"));
		}
		ck_assert_msg(cases[i].pointers == NULL || strcmp(pointers, cases[i].pointers) == 0,
			      "%s: %s", body, pointers);
		json_decref(json);
	}
	ck_assert(!rules_are_on(fixture.rules));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(the_trail)
{
	struct fixture fixture;
	json_t *json;
	json_t *row;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"name\":\"a\",\"action\":\"drop\",\"headers\":[{\"name\":\"A\"}]}"));
	ask(&fixture, 204, "DELETE", LIST "/1", NULL);
	json = ask(&fixture, 200, "GET", "/api/v1/audit", NULL);
	row = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(row, "action"), "rule.remove");
	ck_assert_str_eq(text_of(row, "subject"), "a");
	ck_assert_str_eq(text_of(json_object_get(row, "before"), "headers"), "present A \n");
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/rules", add_get_change_remove, what_overrides_is_told,
	  mistakes_are_told_with_pointers, the_trail)
