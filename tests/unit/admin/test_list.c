/* tests the whitelist as a whole over a running API: replaced, its history, what a change means */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/seen.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

#define LIST	"/api/v1/whitelist"
#define HISTORY LIST "/history"

/* "pattern/scope! " of each entry, `!` for one that denies, in the order of their ids. */
static void expect_list(struct fixture *fixture, const char *want)
{
	json_t *json = ask(fixture, 200, "GET", LIST, NULL);
	char text[1000] = "";
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(json, "items"), i, one)
	{
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s%s%s ",
			 text_of(one, "pattern"), text_of(one, "scope")[0] != '\0' ? "/" : "",
			 text_of(one, "scope"),
			 strcmp(text_of(one, "action"), "deny") == 0 ? "!" : "");
	}
	ck_assert_str_eq(text, want);
	json_decref(json);
}

static void etag_of_list(struct fixture *fixture, char header_out[100])
{
	struct answer answer;

	ask_with(fixture, fixture->token, "GET", LIST, NULL, "", &answer);
	ck_assert_int_eq(answer.status, 200);
	snprintf(header_out, 100, "If-Match: %s\r\n", answer.etag);
	answer_free(&answer);
}

/* The answer; with the ETag that the list has now. */
static json_t *put(struct fixture *fixture, int status, const char *query, const char *body)
{
	struct answer answer;
	char path[100];
	char header[100];

	etag_of_list(fixture, header);
	snprintf(path, sizeof(path), LIST "%s", query);
	ask_with(fixture, fixture->token, "PUT", path, body, header, &answer);
	ck_assert_msg(answer.status == status, "%d: %s", answer.status, json_dumps(answer.json, 0));
	return answer.json;
}

static void expect_counts(json_t *json, json_int_t added, json_int_t changed, json_int_t removed,
			  json_int_t unchanged)
{
	ck_assert_int_eq(number_of(json, "added"), added);
	ck_assert_int_eq(number_of(json, "changed"), changed);
	ck_assert_int_eq(number_of(json, "removed"), removed);
	ck_assert_int_eq(number_of(json, "unchanged"), unchanged);
	json_decref(json);
}

#define FOUR                                                                                       \
	"{\"entries\":[{\"pattern\":\"A@Example.com\",\"note\":\"n\"},{\"pattern\":\"b.example\"}" \
	","                                                                                        \
	"{\"pattern\":\"b.example\",\"action\":\"deny\"},"                                         \
	"{\"pattern\":\"b.example\",\"scope\":\"shop\"}]}"

START_TEST(the_list_is_replaced)
{
	struct fixture fixture;
	struct answer answer;
	json_t *json;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"gone@example.com\"}"));
	json_decref(
		ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"a@example.com\",\"note\":\"n\"}"));
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"b.example\",\"note\":\"x\"}"));
	expect_counts(put(&fixture, 200, "?dry_run=true", FOUR), 2, 1, 1, 1);
	expect_list(&fixture, "gone@example.com a@example.com b.example ");
	json = put(&fixture, 200, "", FOUR);
	ck_assert_int_eq(number_of(json, "revision"), 4); /* one, for all of it */
	expect_counts(json, 2, 1, 1, 1);
	expect_list(&fixture, "a@example.com b.example b.example! b.example/shop ");
	json = ask(&fixture, 200, "GET", LIST "/3", NULL); /* kept its id, lost its note */
	ck_assert_str_eq(text_of(json, "pattern"), "b.example");
	ck_assert(json_is_null(json_object_get(json, "note")));
	json_decref(json);
	/* The same again changes nothing. */
	json = put(&fixture, 200, "", FOUR);
	ck_assert_int_eq(number_of(json, "revision"), 4);
	expect_counts(json, 0, 0, 0, 4);
	/* What was read may be sent back. */
	ask_with(&fixture, fixture.token, "GET", LIST, NULL, "", &answer);
	json = json_pack("{s:O}", "entries", json_object_get(answer.json, "items"));
	answer_free(&answer);
	{
		char *body = json_dumps(json, 0);

		json_decref(json);
		expect_counts(put(&fixture, 200, "", body), 0, 0, 0, 4);
		free(body);
	}
	json = put(&fixture, 200, "", "{\"entries\":[]}");
	expect_counts(json, 0, 0, 4, 0);
	expect_list(&fixture, "");
	fixture_stop(&fixture);
}
END_TEST

START_TEST(it_needs_the_etag_of_the_list)
{
	struct fixture fixture;
	struct answer answer;
	char header[100];

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"a@example.com\"}"));
	etag_of_list(&fixture, header);
	ask_with(&fixture, fixture.token, "PUT", LIST, FOUR, "", &answer);
	ck_assert_int_eq(answer.status, 428);
	answer_free(&answer);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"late@example.com\"}"));
	ask_with(&fixture, fixture.token, "PUT", LIST, FOUR, header, &answer);
	ck_assert_int_eq(answer.status, 412);
	answer_free(&answer);
	expect_list(&fixture, "a@example.com late@example.com ");
	ask_with(&fixture, fixture.token, "PUT", LIST, FOUR, "If-Match: *\r\n", &answer);
	ck_assert_int_eq(answer.status, 200);
	snprintf(header, sizeof(header), "\"%lld\"", (long long)number_of(answer.json, "revision"));
	ck_assert_str_eq(answer.etag, header);
	answer_free(&answer);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(all_of_the_list_or_nothing)
{
	static const struct {
		const char *body;
		const char *pointer;
	} cases[] = {
		{"{}", "/entries"},
		{"{\"entries\":{}}", "/entries"},
		{"{\"entries\":[],\"x\":1}", "/x"},
		{"{\"entries\":[7]}", "/entries/0"},
		{"{\"entries\":[{}]}", "/entries/0/pattern"},
		{"{\"entries\":[{\"pattern\":\"a@b.example\"},{\"pattern\":\"a b@c.example\"}]}",
		 "/entries/1/pattern"},
		{"{\"entries\":[{\"pattern\":\"a@b.example\",\"notes\":\"\"}]}",
		 "/entries/0/notes"},
		{"{\"entries\":[{\"pattern\":\"a@b.example\",\"action\":\"x\"}]}",
		 "/entries/0/action"},
		{"{\"entries\":[{\"pattern\":\"*\"}]}", "/entries/0/pattern"},
		{"{\"entries\":[{\"pattern\":\"*\",\"allow_all\":false}]}", "/entries/0/pattern"},
		{"{\"entries\":[{\"pattern\":\"a@b.example\",\"expires_at\":\"x\"}]}",
		 "/entries/0/expires_at"},
		{"{\"entries\":[{\"pattern\":\"a@b.example\",\"expires_at\":"
		 "\"1970-01-01T00:00:00Z\"}]}",
		 "/entries/0/expires_at"},
		/* S154: one canonical row */
		{"{\"entries\":[{\"pattern\":\"A@b.example\"},{\"pattern\":\"c.example\"},"
		 "{\"pattern\":\"a@B.example\",\"note\":\"again\"}]}",
		 "/entries/2/pattern"},
	};
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"keep@example.com\"}"));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json = put(&fixture, 400, "", cases[i].body);
		ck_assert_str_eq(
			text_of(json_array_get(json_object_get(json, "errors"), 0), "pointer"),
			cases[i].pointer);
		json_decref(json);
	}
	json_decref(put(&fixture, 400, "?dry_run=yes", "{\"entries\":[]}"));
	/* Every mistake is told, but no flood of them. */
	{
		char *body = malloc(64 * 1000);

		strcpy(body, "{\"entries\":[");
		for (int i = 0; i < 500; i++)
			strcat(body, i > 0 ? ",{\"pattern\":\"x\"}" : "{\"pattern\":\"x\"}");
		strcat(body, "]}");
		json = put(&fixture, 400, "", body);
		ck_assert_int_eq(json_array_size(json_object_get(json, "errors")), 100);
		json_decref(json);
		free(body);
	}
	expect_list(&fixture, "keep@example.com ");
	json_decref(
		put(&fixture, 200, "", "{\"allow_all\":true,\"entries\":[{\"pattern\":\"*\"}]}"));
	expect_list(&fixture, "* ");
	fixture_stop(&fixture);
}
END_TEST

START_TEST(an_end_in_the_past_may_stay_in_the_list)
{
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	json = put(&fixture, 200, "",
		   "{\"entries\":[{\"pattern\":\"a@b.example\","
		   "\"expires_at\":\"2001-01-01T00:00:00Z\"}]}");
	ck_assert_str_eq(
		text_of(json_array_get(json_object_get(json_object_get(json, "lint"), "warnings"),
				       0),
			"kind"),
		"over");
	json_decref(json);
	json = ask(&fixture, 200, "POST", "/api/v1/check", "{\"recipients\":[\"a@b.example\"]}");
	ck_assert_str_eq(text_of(json_array_get(json_object_get(json, "items"), 0), "verdict"),
			 "drop");
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

/* The secret of a new token that is limited to a scope. */
static void make_token(struct fixture *fixture, const char *scope, char secret_out[100])
{
	char body[200];
	json_t *json;

	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"role\":\"operator\",\"scope\":\"%s\"}",
		 scope, scope);
	json = ask(fixture, 201, "POST", "/api/v1/tokens", body);
	snprintf(secret_out, 100, "%s", text_of(json, "secret"));
	ck_assert_str_ne(secret_out, "(none)");
	json_decref(json);
}

START_TEST(a_scope_replaces_its_own_part)
{
	struct fixture fixture;
	struct answer answer;
	char secret[100];

	fixture_start(&fixture);
	make_token(&fixture, "shop", secret);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"all@example.com\"}"));
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"pattern\":\"old@example.com\",\"scope\":\"shop\"}"));
	ask_with(&fixture, secret, "PUT", LIST, "{\"entries\":[{\"pattern\":\"new@example.com\"}]}",
		 "If-Match: *\r\n", &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_int_eq(number_of(answer.json, "removed"), 1);
	answer_free(&answer);
	expect_list(&fixture, "all@example.com new@example.com/shop ");
	ask_with(&fixture, secret, "PUT", LIST,
		 "{\"entries\":[{\"pattern\":\"x@example.com\",\"scope\":\"\"}]}",
		 "If-Match: *\r\n", &answer);
	ck_assert_int_eq(answer.status, 400);
	answer_free(&answer);
	/* Nor does it see what became of the rest. */
	ask_with(&fixture, secret, "GET", HISTORY, NULL, "", &answer);
	ck_assert_int_eq(answer.status, 200);
	ck_assert_int_eq(json_array_size(json_object_get(answer.json, "items")), 3);
	answer_free(&answer);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(history_tells_before_and_after)
{
	static const char *const bad[] = {"entry=x", "entry=0",	    "entry=-1",	 "pattern=a+b",
					  "since=x", "after=61000", "limit=1001"};
	struct fixture fixture;
	json_t *json;
	json_t *one;
	char path[200];

	fixture_start(&fixture);
	json_decref(ask(&fixture, 201, "POST", LIST,
			"{\"pattern\":\"a@b.example\",\"expires_at\":\"2999-01-01T00:00:00Z\"}"));
	json_decref(ask(&fixture, 200, "PATCH", LIST "/1", "{\"note\":\"why\"}"));
	ask(&fixture, 204, "DELETE", LIST "/1", NULL);
	json_decref(ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"c.example\"}"));
	json = ask(&fixture, 200, "GET", HISTORY "?entry=1", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 3);
	one = json_array_get(json_object_get(json, "items"), 1);
	ck_assert_str_eq(text_of(one, "action"), "replace");
	ck_assert_str_eq(text_of(one, "actor"), "token:admin");
	ck_assert_int_eq(number_of(one, "revision"), 2);
	ck_assert(json_is_null(json_object_get(json_object_get(one, "before"), "note")));
	ck_assert_str_eq(text_of(json_object_get(one, "after"), "note"), "why");
	ck_assert_str_eq(text_of(json_object_get(one, "after"), "expires_at"),
			 "2999-01-01T00:00:00.000Z");
	json_decref(json);
	json = ask(&fixture, 200, "GET", HISTORY "?pattern=*@C.example", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 1);
	json_decref(json);
	json = ask(&fixture, 200, "GET", HISTORY "?limit=3", NULL);
	ck_assert_int_eq(json_array_size(json_object_get(json, "items")), 3);
	snprintf(path, sizeof(path), HISTORY "?limit=3&after=%s", text_of(json, "next"));
	json_decref(json);
	json = ask(&fixture, 200, "GET", path, NULL);
	one = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(one, "action"), "add");
	ck_assert(json_is_null(json_object_get(one, "before")));
	ck_assert(json_is_null(json_object_get(json, "next")));
	json_decref(json);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(path, sizeof(path), HISTORY "?%s", bad[i]);
		json_decref(ask(&fixture, 400, "GET", path, NULL));
	}
	fixture_stop(&fixture);
}
END_TEST

/* --- what it means -------------------------------------------------------------------------------
 */

static void save_seen(struct fixture *fixture)
{
	struct seen_save save = {.now = clock_wall_ms()};

	ck_assert_int_eq(store_wait(fixture->store, queue_seen_save, &save.job, NULL), ERR_OK);
	ck_assert(!save.more);
}

static const char *summary_of(const json_t *json)
{
	return text_of(json_object_get(json, "lint"), "summary");
}

START_TEST(a_new_entry_is_told_what_it_means)
{
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	json = ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"Gmail.com\"}");
	ck_assert_str_eq(summary_of(json),
			 "matches 0 of the 0 recipients seen in the last 30 days");
	ck_assert_str_eq(
		text_of(json_array_get(json_object_get(json_object_get(json, "lint"), "warnings"),
				       0),
			"kind"),
		"public-domain");
	json_decref(json);
	fixture_message(&fixture, "s@x.example", "", "a\r\n", 3,
			(const char *const[]){"drop:bob@shop.example", "drop:eve@shop.example",
					      "amy@gmail.com", NULL});
	fixture_message(&fixture, "s@x.example", "", "a\r\n", 3,
			(const char *const[]){"drop:Bob@shop.example", NULL});
	save_seen(&fixture);
	/* Tried first, it says the same as added. */
	json = ask(&fixture, 200, "POST", LIST "/import?dry_run=true",
		   "[{\"pattern\":\"b*@shop.example\"}]");
	ck_assert_str_eq(summary_of(json),
			 "matches 1 of the 3 recipients seen in the last 30 days; "
			 "allows 1 address you have been dropping");
	json_decref(json);
	json = ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"b*@shop.example\"}");
	ck_assert_str_eq(summary_of(json),
			 "matches 1 of the 3 recipients seen in the last 30 days; "
			 "allows 1 address you have been dropping");
	ck_assert_str_eq(json_string_value(json_array_get(
				 json_object_get(json_object_get(json, "lint"), "examples"), 0)),
			 "bob@shop.example");
	json_decref(json);
	/* Exactly one is looked up, not searched for. */
	json = ask(&fixture, 201, "POST", LIST, "{\"pattern\":\"EVE@shop.example\"}");
	ck_assert_str_eq(summary_of(json),
			 "matches 1 of the 3 recipients seen in the last 30 days; "
			 "allows 1 address you have been dropping");
	json_decref(json);
	/* The same in another scope allows nobody: nobody was seen there. */
	json = ask(&fixture, 201, "POST", LIST,
		   "{\"pattern\":\"shop.example\",\"scope\":\"shop\"}");
	ck_assert_str_eq(summary_of(json),
			 "matches 0 of the 0 recipients seen in the last 30 days");
	json_decref(json);
	json = ask(&fixture, 201, "POST", LIST,
		   "{\"pattern\":\"amy@gmail.com\",\"action\":\"deny\"}");
	ck_assert_int_eq(number_of(json_object_get(json, "lint"), "stops"), 1);
	json_decref(json);
	json = ask(&fixture, 200, "PATCH", LIST "/5", "{\"action\":\"allow\"}");
	ck_assert_int_eq(number_of(json_object_get(json, "lint"), "stops"), 0);
	ck_assert_int_eq(number_of(json_object_get(json, "lint"), "matches"), 1);
	ck_assert_str_eq(
		text_of(json_array_get(json_object_get(json_object_get(json, "lint"), "warnings"),
				       0),
			"text"),
		"gmail.com allows all of it already");
	json_decref(json);
	/* The list as a whole: amy stops, bob and eve stay refused, mallory was never seen. */
	for (int done = 0; done < 2; done++) {
		json = put(&fixture, 200, done ? "" : "?dry_run=true",
			   "{\"entries\":[{\"pattern\":\"mallory@shop.example\"},"
			   "{\"pattern\":\"yahoo.com\"},{\"pattern\":\"a@yahoo.com\"}]}");
		ck_assert_int_eq(number_of(json_object_get(json, "lint"), "seen"), 3);
		ck_assert_int_eq(number_of(json_object_get(json, "lint"), "stops"), 1);
		ck_assert_int_eq(number_of(json_object_get(json, "lint"), "allows"), 0);
		/* Of the domain, and of the address that it covers. */
		ck_assert_int_eq(
			json_array_size(json_object_get(json_object_get(json, "lint"), "warnings")),
			2);
		json_decref(json);
	}
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/list", the_list_is_replaced, it_needs_the_etag_of_the_list,
	  all_of_the_list_or_nothing, an_end_in_the_past_may_stay_in_the_list,
	  a_scope_replaces_its_own_part, history_tells_before_and_after,
	  a_new_entry_is_told_what_it_means)
