/* tests admin/poll.c: answers that wait until something matches */
#include <config.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/admin/fixture.h"
#include "tests/unit/unit.h"

static const char content[] = "Subject: x\r\n\r\nbody\r\n";

static struct ulid send_mail(struct fixture *fixture, const char *scope, const char *address)
{
	const char *const addresses[] = {address, NULL};

	return fixture_message(fixture, "app@example.org", scope, content, sizeof(content) - 1,
			       addresses);
}

/* A request under way. */
static int begin(struct fixture *fixture, const char *token, const char *path)
{
	int fd = client_open(admin_address(fixture->admin));
	char request[600];
	int len = snprintf(request, sizeof(request),
			   "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
			   path, token);

	ck_assert_int_ge(fd, 0);
	ck_assert(client_send(fd, request, (size_t)len));
	return fd;
}

static bool is_answered(int fd, int ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, ms) == 1;
}

/* Closes; returns the items. */
static json_t *answer(int fd, int status)
{
	struct client_reply reply;
	json_t *page;
	json_t *items;

	client_read(fd, &reply, false);
	close(fd);
	ck_assert_msg(reply.status == status, "%d: %s", reply.status, reply.body);
	page = json_loadb(reply.body, reply.body_len, 0, NULL);
	client_reply_free(&reply);
	items = json_incref(json_object_get(page, "items"));
	json_decref(page);
	return items;
}

static void expect_one(int fd, const struct ulid *id)
{
	json_t *items = answer(fd, 200);
	char text[ULID_TEXT_SIZE];

	ulid_format(id, text);
	ck_assert_uint_eq(json_array_size(items), 1);
	ck_assert_str_eq(text_of(json_array_get(items, 0), "id"), text);
	json_decref(items);
}

static void expect_none(int fd)
{
	json_t *items = answer(fd, 200);

	ck_assert_ptr_nonnull(items);
	ck_assert_uint_eq(json_array_size(items), 0);
	json_decref(items);
}

START_TEST(what_is_there_is_answered_at_once)
{
	int64_t begun = clock_mono_ms();
	struct fixture fixture;
	struct ulid id;

	fixture_start(&fixture);
	id = send_mail(&fixture, "", "bob@example.com");
	expect_one(begin(&fixture, fixture.token, "/api/v1/messages?to=bob&wait=30s"), &id);
	ck_assert_int_lt(clock_mono_ms() - begun, 10000);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(what_comes_is_answered_when_it_comes)
{
	struct fixture fixture;
	struct ulid id;
	int by_recipient;
	int by_subject;

	fixture_start(&fixture);
	by_recipient = begin(&fixture, fixture.token, "/api/v1/messages?to=Carol&wait=30s");
	by_subject = begin(&fixture, fixture.token,
			   "/api/v1/messages?subject=a+subject&from=app&wait=30s");
	ck_assert(!is_answered(by_recipient, 50));
	ck_assert(!is_answered(by_subject, 50));
	id = send_mail(&fixture, "", "bob@example.com");
	expect_one(by_subject, &id);
	ck_assert(!is_answered(by_recipient, 300)); /* not for it */
	id = send_mail(&fixture, "", "carol@example.com");
	expect_one(by_recipient, &id);
	fixture_stop(&fixture);
}
END_TEST

/* Not the message is new, but what became of it. */
START_TEST(a_state_is_waited_for)
{
	struct fixture fixture;
	char id_text[ULID_TEXT_SIZE];
	char path[100];
	struct ulid id;
	json_t *items;
	int messages;
	int recipients;

	fixture_start(&fixture);
	id = send_mail(&fixture, "", "bob@example.com");
	ulid_format(&id, id_text);
	messages = begin(&fixture, fixture.token, "/api/v1/messages?state=held&to=bob&wait=30s");
	recipients = begin(&fixture, fixture.token, "/api/v1/recipients?state=held&wait=30s");
	ck_assert(!is_answered(messages, 100));
	ck_assert(!is_answered(recipients, 100));
	snprintf(path, sizeof(path), "/api/v1/messages/%s/hold", id_text);
	json_decref(ask(&fixture, 200, "POST", path, "{}"));
	expect_one(messages, &id);
	items = answer(recipients, 200);
	ck_assert_uint_eq(json_array_size(items), 1);
	ck_assert_str_eq(text_of(json_array_get(items, 0), "address"), "bob@example.com");
	json_decref(items);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(nothing_comes)
{
	int64_t begun = clock_mono_ms();
	struct fixture fixture;

	fixture_start(&fixture);
	expect_none(begin(&fixture, fixture.token, "/api/v1/messages?to=bob&wait=1s"));
	expect_none(begin(&fixture, fixture.token, "/api/v1/recipients?address=bob&wait=1s"));
	ck_assert_int_ge(clock_mono_ms() - begun, 2000);
	/* What comes but does not match makes no difference to that. */
	begun = clock_mono_ms();
	{
		int fd = begin(&fixture, fixture.token, "/api/v1/messages?from=nobody&wait=1s");

		for (int i = 0; i < 20; i++)
			send_mail(&fixture, "", "bob@example.com");
		expect_none(fd);
	}
	ck_assert_int_ge(clock_mono_ms() - begun, 1000);
	fixture_stop(&fixture);
}
END_TEST

/* S304: they are counted, and everything else goes on. */
START_TEST(no_more_than_may_wait)
{
	struct fixture fixture;
	int waiting[FIXTURE_WAITS];
	struct ulid id;
	struct client_reply reply;
	int fd;

	fixture_start(&fixture);
	for (size_t i = 0; i < FIXTURE_WAITS; i++) {
		waiting[i] = begin(&fixture, fixture.token, "/api/v1/messages?to=bob&wait=30s");
		ck_assert(!is_answered(waiting[i], 100));
	}
	fd = begin(&fixture, fixture.token, "/api/v1/messages?to=carol&wait=30s");
	client_read(fd, &reply, false);
	close(fd);
	ck_assert_int_eq(reply.status, 503);
	ck_assert_ptr_nonnull(client_header(&reply, "Retry-After"));
	client_reply_free(&reply);
	/* Without a wait there is nothing to count. */
	expect_none(begin(&fixture, fixture.token, "/api/v1/messages?to=carol"));
	id = send_mail(&fixture, "", "bob@example.com");
	for (size_t i = 0; i < FIXTURE_WAITS; i++)
		expect_one(waiting[i], &id);
	/* There is room again. */
	expect_none(begin(&fixture, fixture.token, "/api/v1/messages?to=carol&wait=1s"));
	fixture_stop(&fixture);
}
END_TEST

START_TEST(a_scope_waits_for_its_own)
{
	struct fixture fixture;
	struct answer created;
	struct ulid id;
	int fd;

	fixture_start(&fixture);
	ask_with(&fixture, fixture.token, "POST", "/api/v1/tokens",
		 "{\"name\":\"shop\",\"role\":\"reader\",\"scope\":\"shop\"}", "", &created);
	ck_assert_int_eq(created.status, 201);
	fd = begin(&fixture, text_of(created.json, "secret"), "/api/v1/messages?to=bob&wait=30s");
	ck_assert(!is_answered(fd, 50));
	send_mail(&fixture, "blog", "bob@example.com");
	ck_assert(!is_answered(fd, 300));
	id = send_mail(&fixture, "shop", "bob@example.com");
	expect_one(fd, &id);
	answer_free(&created);
	fixture_stop(&fixture);
}
END_TEST

/* S280 */
START_TEST(a_revoked_token_gets_no_answer)
{
	struct fixture fixture;
	struct answer created;
	char path[64];
	int fd;

	fixture_start(&fixture);
	ask_with(&fixture, fixture.token, "POST", "/api/v1/tokens",
		 "{\"name\":\"ci\",\"role\":\"reader\"}", "", &created);
	fd = begin(&fixture, text_of(created.json, "secret"), "/api/v1/messages?to=bob&wait=30s");
	ck_assert(!is_answered(fd, 50));
	snprintf(path, sizeof(path), "/api/v1/tokens/%lld",
		 (long long)number_of(created.json, "id"));
	json_decref(ask(&fixture, 204, "DELETE", path, NULL));
	send_mail(&fixture, "", "bob@example.com");
	json_decref(answer(fd, 401));
	answer_free(&created);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(a_stop_answers_them)
{
	int64_t begun;
	struct fixture fixture;
	int fd;

	fixture_start(&fixture);
	fd = begin(&fixture, fixture.token, "/api/v1/messages?to=bob&wait=30s");
	ck_assert(!is_answered(fd, 100));
	begun = clock_mono_ms();
	fixture_stop(&fixture);
	ck_assert_int_lt(clock_mono_ms() - begun, 1500);
	expect_none(fd);
}
END_TEST

START_TEST(waits_that_make_no_sense)
{
	static const char *const paths[] = {
		"/api/v1/messages?wait=61s",  "/api/v1/messages?wait=0s",
		"/api/v1/messages?wait=-1s",  "/api/v1/messages?wait=10",
		"/api/v1/messages?wait=soon", "/api/v1/messages?state=delivering&wait=1s",
		"/api/v1/recipients?wait=2m"};
	struct fixture fixture;
	char path[200];
	json_t *page;

	fixture_start(&fixture);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		json_decref(ask(&fixture, 400, "GET", paths[i], NULL));
	send_mail(&fixture, "", "bob@example.com");
	send_mail(&fixture, "", "bob@example.com");
	page = ask(&fixture, 200, "GET", "/api/v1/messages?limit=1", NULL);
	snprintf(path, sizeof(path), "/api/v1/messages?wait=1s&after=%s", text_of(page, "next"));
	json_decref(ask(&fixture, 400, "GET", path, NULL));
	json_decref(page);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/poll", what_is_there_is_answered_at_once, what_comes_is_answered_when_it_comes,
	  a_state_is_waited_for, nothing_comes, no_more_than_may_wait, a_scope_waits_for_its_own,
	  a_revoked_token_gets_no_answer, a_stop_answers_them, waits_that_make_no_sense)
