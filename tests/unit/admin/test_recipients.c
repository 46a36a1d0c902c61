/* tests admin/recipients.c, bulk.c: acts by filter, over HTTP */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

static const char small[] = "Subject: x\r\n\r\nhello\r\n";

static struct ulid dropped(struct fixture *fixture, size_t count)
{
	static const char *const addresses[] = {"drop:a@ok.test", "drop:b@no.test", NULL};
	struct ulid id = {{0}};

	for (size_t i = 0; i < count; i++)
		id = fixture_message(fixture, "s@b.test", "", small, strlen(small), addresses);
	return id;
}

static void allow(struct fixture *fixture, const char *pattern)
{
	char body[100];

	snprintf(body, sizeof(body), "{\"pattern\":\"%s\"}", pattern);
	json_decref(ask(fixture, 201, "POST", "/api/v1/whitelist", body));
}

static size_t in_state(struct fixture *fixture, const char *state)
{
	char path[100];
	json_t *json;
	size_t count;

	snprintf(path, sizeof(path), "/api/v1/recipients?limit=1000&state=%s", state);
	json = ask(fixture, 200, "GET", path, NULL);
	count = json_array_size(json_object_get(json, "items"));
	json_decref(json);
	return count;
}

#define RELEASE "/api/v1/recipients/release"

/* More than a step holds. */
START_TEST(release_by_filter)
{
	struct fixture fixture;
	json_t *json, *item;

	fixture_start(&fixture);
	dropped(&fixture, 150);
	allow(&fixture, "ok.test");
	json = ask(&fixture, 200, "POST", RELEASE, "{\"state\":\"dropped\",\"dry_run\":true}");
	ck_assert_int_eq(number_of(json, "count"), 150);
	ck_assert_int_eq(number_of(json, "refused"), 150);
	ck_assert_str_eq(text_of(json, "detail"), "b@no.test is not allowed: no entry allows it");
	ck_assert(json_is_null(json_object_get(json, "next")));
	ck_assert_uint_eq(json_array_size(json_object_get(json, "items")), 10);
	item = json_array_get(json_object_get(json, "items"), 0);
	ck_assert_str_eq(text_of(item, "address"), "b@no.test");
	ck_assert_str_eq(text_of(json_object_get(item, "judged"), "verdict"), "drop");
	item = json_array_get(json_object_get(json, "items"), 1);
	ck_assert_str_eq(text_of(json_object_get(item, "judged"), "reason"), "allowed by ok.test");
	json_decref(json);
	ck_assert_uint_eq(in_state(&fixture, "dropped"), 300);

	json = ask(&fixture, 200, "POST", RELEASE, "{\"address\":\"ok.test\",\"note\":\"go\"}");
	ck_assert_int_eq(number_of(json, "changed"), 150);
	ck_assert_int_eq(number_of(json, "refused"), 0);
	ck_assert(json_is_null(json_object_get(json, "next")));
	json_decref(json);
	ck_assert_uint_eq(in_state(&fixture, "queued"), 150);
	/* Everybody else is asked for too, and refused, with the reason. */
	json = ask(&fixture, 200, "POST", RELEASE, "{\"all\":true}");
	ck_assert_int_eq(number_of(json, "changed"), 0);
	ck_assert_int_eq(number_of(json, "refused"), 150);
	ck_assert_str_eq(text_of(json, "detail"), "b@no.test is not allowed: no entry allows it");
	json_decref(json);
	/* A line for what was asked, however many steps it took. */
	json = ask(&fixture, 200, "GET", "/api/v1/audit", NULL);
	item = json_array_get(json_object_get(json, "items"), 1);
	ck_assert_str_eq(text_of(item, "action"), "recipients.release");
	ck_assert_str_eq(text_of(json_object_get(item, "after"), "address"), "ok.test");
	item = json_array_get(json_object_get(json, "items"), 2);
	ck_assert_str_eq(text_of(item, "action"), "whitelist.add");
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(in_pieces)
{
	struct fixture fixture;
	char body[200];
	json_t *json;

	fixture_start(&fixture);
	dropped(&fixture, 100);
	json = ask(&fixture, 200, "POST", RELEASE, "{\"state\":\"dropped\",\"limit\":150}");
	ck_assert_int_eq(number_of(json, "changed"), 0);
	ck_assert_int_eq(number_of(json, "refused"), 150);
	snprintf(body, sizeof(body), "{\"state\":\"dropped\",\"limit\":150,\"after\":\"%s\"}",
		 text_of(json, "next"));
	json_decref(json);
	allow(&fixture, "ok.test");
	allow(&fixture, "no.test");
	json = ask(&fixture, 200, "POST", RELEASE, body);
	ck_assert_int_eq(number_of(json, "changed"), 50);
	ck_assert(json_is_null(json_object_get(json, "next")));
	json_decref(json);
	ck_assert_uint_eq(in_state(&fixture, "dropped"), 150);
	fixture_stop(&fixture);
}
END_TEST

/* The time of one request is over: whoever asked goes on where it says. */
START_TEST(in_time)
{
	struct fixture fixture;
	char body[200] = "{\"address\":\"ok.test\",\"max_seconds\":0}";
	json_int_t changed = 0;
	size_t requests = 0;
	bool more = true;

	fixture_start(&fixture);
	dropped(&fixture, 300);
	allow(&fixture, "ok.test");
	while (more) {
		json_t *json = ask(&fixture, 200, "POST", RELEASE, body);

		more = json_is_string(json_object_get(json, "next"));
		ck_assert(!more || number_of(json, "changed") > 0);
		changed += number_of(json, "changed");
		requests++;
		if (more)
			snprintf(body, sizeof(body),
				 "{\"address\":\"ok.test\",\"max_seconds\":0,\"after\":\"%s\"}",
				 text_of(json, "next"));
		json_decref(json);
	}
	ck_assert_int_eq(changed, 300);
	ck_assert_uint_eq(requests, 3);
	ck_assert_uint_eq(in_state(&fixture, "queued"), 300);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(hold_cancel_retry)
{
	static const char *const addresses[] = {"a@ok.test", "b@ok.test", "drop:c@ok.test", NULL};
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	fixture_message(&fixture, "s@b.test", "", small, strlen(small), addresses);
	json = ask(&fixture, 200, "POST", "/api/v1/recipients/hold", "{\"from\":\"s@B\"}");
	ck_assert_int_eq(number_of(json, "changed"), 2);
	json_decref(json);
	json = ask(&fixture, 200, "POST", "/api/v1/recipients/retry", "{\"all\":true}");
	ck_assert_int_eq(number_of(json, "changed"), 0);
	json_decref(json);
	json = ask(&fixture, 200, "POST", "/api/v1/recipients/cancel",
		   "{\"reason\":\"HELD by\",\"address\":\"b@\"}");
	ck_assert_int_eq(number_of(json, "changed"), 1);
	json_decref(json);
	ck_assert_uint_eq(in_state(&fixture, "cancelled"), 1);
	ck_assert_uint_eq(in_state(&fixture, "held"), 1);
	fixture_stop(&fixture);
}
END_TEST

/* S159: the address in the body passes the same parser and the same judgement. */
START_TEST(S159_release_to_somebody_else)
{
	static const char *const odd[] = {
		"{\"all\":true,\"to\":\"qa@ok.test,real@evil.test\"}",
		"{\"all\":true,\"to\":\"<qa@ok.test>\"}",
		"{\"all\":true,\"to\":\"qa@ok.test>\\r\\nRCPT TO:<real@evil.test\"}",
		"{\"all\":true,\"to\":7}",
		"{\"all\":true,\"to\":\"\"}",
	};
	struct fixture fixture;
	json_t *json;

	fixture_start(&fixture);
	dropped(&fixture, 2);
	allow(&fixture, "team.test");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		json_decref(ask(&fixture, 400, "POST", RELEASE, odd[i]));
	json_decref(ask(&fixture, 400, "POST", "/api/v1/recipients/hold",
			"{\"all\":true,\"to\":\"qa@team.test\"}"));
	json = ask(&fixture, 200, "POST", RELEASE,
		   "{\"all\":true,\"to\":\"\\\"qa\\\"@team.test\"}");
	ck_assert_int_eq(number_of(json, "changed"), 0);
	ck_assert_int_eq(number_of(json, "refused"), 4);
	json_decref(json);
	json = ask(&fixture, 200, "POST", RELEASE, "{\"all\":true,\"to\":\"qa@evil.test\"}");
	ck_assert_int_eq(number_of(json, "refused"), 4);
	json_decref(json);
	json = ask(&fixture, 200, "POST", RELEASE, "{\"all\":true,\"to\":\"qa@Team.test\"}");
	ck_assert_int_eq(number_of(json, "changed"), 4);
	json_decref(json);
	ck_assert_uint_eq(in_state(&fixture, "redirected"), 4);
	json = ask(&fixture, 200, "GET", "/api/v1/recipients?state=queued", NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "items")), 2);
	ck_assert_str_eq(text_of(json_array_get(json_object_get(json, "items"), 0), "address"),
			 "qa@Team.test");
	ck_assert_str_eq(text_of(json_array_get(json_object_get(json, "items"), 0), "origin"),
			 "release");
	json_decref(json);
	fixture_stop(&fixture);
}
END_TEST

/* A filter that got lost must not become "everything". */
START_TEST(mistakes)
{
	static const char *const bodies[] = {
		"{}",
		"{\"dry_run\":true}",
		"{\"address\":\"\"}",
		"{\"all\":false}",
		"{\"all\":\"yes\"}",
		"{\"state\":\"nonsense\"}",
		"{\"adress\":\"a@b\"}",
		"{\"all\":true,\"limit\":0}",
		"{\"all\":true,\"max_seconds\":601}",
		"{\"all\":true,\"since\":\"yesterday\"}",
		"{\"all\":true,\"after\":\"x\"}",
		"[]",
	};
	struct fixture fixture;

	fixture_start(&fixture);
	dropped(&fixture, 1);
	allow(&fixture, "ok.test");
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		json_decref(ask(&fixture, 400, "POST", RELEASE, bodies[i]));
	ck_assert_uint_eq(in_state(&fixture, "dropped"), 2);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/recipients", release_by_filter, in_pieces, in_time, hold_cancel_retry,
	  S159_release_to_somebody_else, mistakes)
