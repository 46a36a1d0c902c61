/* tests admin/events.c and feed.c: streams of events */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/news.h"
#include "tests/unit/admin/stream.h"
#include "tests/unit/unit.h"

static const char content[] = "Subject: x\r\n\r\nbody\r\n";

static struct ulid send_mail(struct fixture *fixture, const char *scope, const char *address)
{
	const char *const addresses[] = {address, NULL};

	return fixture_message(fixture, "app@example.org", scope, content, sizeof(content) - 1,
			       addresses);
}

static void tell_many(struct fixture *fixture, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_tell(fixture->store,
			   &(struct news){.kind = NEWS_VERDICT,
					  .at = 1,
					  .sender = "app@example.org",
					  .recipient = "somebody@example.com",
					  .action = "reject",
					  .reason = "no entry allows it, and it is a long story"});
}

/* The secret of a new token, in `secret_out`; returns its id. */
static json_int_t make_token(struct fixture *fixture, const char *body, char secret_out[64])
{
	json_t *token = ask(fixture, 201, "POST", "/api/v1/tokens", body);
	json_int_t id = number_of(token, "id");

	snprintf(secret_out, 64, "%s", text_of(token, "secret"));
	json_decref(token);
	return id;
}

static void revoke_token(struct fixture *fixture, json_int_t id)
{
	char path[64];

	snprintf(path, sizeof(path), "/api/v1/tokens/%lld", (long long)id);
	json_decref(ask(fixture, 204, "DELETE", path, NULL));
}

static int64_t metric(struct fixture *fixture, const char *name)
{
	struct client_reply reply;
	char request[300];
	char line[100];
	const char *at;
	long long value;

	snprintf(request, sizeof(request),
		 "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
		 fixture->token);
	client_ask(admin_address(fixture->admin), request, &reply);
	snprintf(line, sizeof(line), "\n%s ", name);
	at = strstr(reply.body, line);
	ck_assert_msg(at != NULL, "there is no %s", name);
	value = strtoll(at + strlen(line), NULL, 10);
	client_reply_free(&reply);
	return value;
}

static void wait_for_metric(struct fixture *fixture, const char *name, int64_t want)
{
	const struct timespec moment = {.tv_nsec = 20000000};

	for (int tries = 0; tries < 500 && metric(fixture, name) != want; tries++)
		nanosleep(&moment, NULL);
	ck_assert_int_eq(metric(fixture, name), want);
}

/* --- what is told -------------------------------------------------------------------------------
 */

START_TEST(a_stream_tells_what_happens)
{
	char id_text[ULID_TEXT_SIZE];
	struct fixture fixture;
	struct stream stream;
	struct ulid id;

	fixture_start(&fixture);
	stream_open(&stream, &fixture, fixture.token, "", NULL);
	ck_assert_int_eq(stream.status, 200);
	ck_assert_ptr_nonnull(strstr(stream.head, "Content-Type: text/event-stream\r\n"));
	ck_assert_ptr_nonnull(strstr(stream.head, "Cache-Control: no-store\r\n"));
	id = send_mail(&fixture, "", "drop:bob@example.com");
	ulid_format(&id, id_text);
	stream_expect(&stream, "accepted");
	ck_assert_str_eq(text_of(stream.data, "message"), id_text);
	ck_assert_str_eq(text_of(stream.data, "sender"), "app@example.org");
	ck_assert_str_eq(text_of(stream.data, "subject"), "a subject");
	ck_assert_int_eq(number_of(stream.data, "recipients"), 1);
	ck_assert_int_eq(number_of(json_object_get(stream.data, "states"), "dropped"), 1);
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "message"), id_text);
	ck_assert_str_eq(text_of(stream.data, "recipient"), "bob@example.com");
	ck_assert_str_eq(text_of(stream.data, "verdict"), "drop");
	ck_assert_str_eq(text_of(stream.data, "reason"), "no entry allows it");
	json_decref(ask(&fixture, 201, "POST", "/api/v1/whitelist",
			"{\"pattern\":\"bob@example.com\"}"));
	stream_expect(&stream, "whitelist");
	ck_assert_str_eq(text_of(stream.data, "pattern"), "bob@example.com");
	ck_assert_str_eq(text_of(stream.data, "action"), "add");
	ck_assert_str_eq(text_of(stream.data, "entry_action"), "allow");
	ck_assert_str_eq(text_of(stream.data, "actor"), "token:admin");
	json_decref(ask(&fixture, 200, "POST", "/api/v1/delivery/pause", "{\"reason\":\"tea\"}"));
	stream_expect(&stream, "delivery");
	ck_assert_str_eq(text_of(stream.data, "reason"), "tea");
	ck_assert(json_is_null(json_object_get(stream.data, "route")));
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

/* Peer text in an event can't end it: JSON has no line ends, and what is no UTF-8 is replaced. */
START_TEST(hostile_text_stays_inside_its_event)
{
	struct fixture fixture;
	struct stream stream;

	fixture_start(&fixture);
	stream_open(&stream, &fixture, "socket", "", NULL);
	store_tell(fixture.store,
		   &(struct news){.kind = NEWS_VERDICT,
				  .recipient = "a\n\nevent: accepted\ndata: {}\n\n@x\r\n\r\n",
				  .sender = "\xff\xfe\x01",
				  .reason = "</script><script>", /* S322 */
				  .action = "reject"});
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "recipient"),
			 "a\n\nevent: accepted\ndata: {}\n\n@x\r\n\r\n");
	ck_assert_str_eq(text_of(stream.data, "reason"), "</script><script>");
	ck_assert_int_eq(stream.angles, 0);
	ck_assert_str_eq(text_of(stream.data, "sender"), "\xef\xbf\xbd\xef\xbf\xbd\x01");
	send_mail(&fixture, "", "bob@example.com");
	stream_expect(&stream, "accepted");
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(only_what_was_asked_for)
{
	struct fixture fixture;
	struct stream stream;

	fixture_start(&fixture);
	stream_open(&stream, &fixture, fixture.token, "?types=whitelist,%20verdict&scope=shop",
		    NULL);
	ck_assert_int_eq(stream.status, 200);
	send_mail(&fixture, "", "bob@example.com");
	send_mail(&fixture, "blog", "bob@example.com");
	send_mail(&fixture, "shop", "carol@example.com");
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "recipient"), "carol@example.com");
	json_decref(
		ask(&fixture, 201, "POST", "/api/v1/whitelist", "{\"pattern\":\"x@example.com\"}"));
	json_decref(ask(&fixture, 201, "POST", "/api/v1/whitelist",
			"{\"pattern\":\"y@example.com\",\"scope\":\"shop\"}"));
	stream_expect(&stream, "whitelist");
	ck_assert_str_eq(text_of(stream.data, "pattern"), "y@example.com");
	stream_close(&stream);
	json_decref(ask(&fixture, 400, "GET", "/api/v1/events?types=accepted,nonsense", NULL));
	json_decref(ask(&fixture, 400, "GET", "/api/v1/events?follow=perhaps", NULL));
	fixture_stop(&fixture);
}
END_TEST

/* S285: a token that is limited to a scope hears of nothing else, whoever made it. */
START_TEST(a_scope_hears_its_own_only)
{
	struct fixture fixture;
	struct stream stream;
	char secret[64];

	fixture_start(&fixture);
	make_token(&fixture, "{\"name\":\"shop\",\"role\":\"admin\",\"scope\":\"shop\"}", secret);
	stream_open(&stream, &fixture, secret, "", NULL);
	ck_assert_int_eq(stream.status, 200);
	send_mail(&fixture, "", "bob@example.com");
	send_mail(&fixture, "blog", "bob@example.com");
	json_decref(
		ask(&fixture, 201, "POST", "/api/v1/whitelist", "{\"pattern\":\"x@example.com\"}"));
	json_decref(ask(&fixture, 200, "POST", "/api/v1/delivery/pause", "{}"));
	json_decref(ask(&fixture, 201, "POST", "/api/v1/tokens",
			"{\"name\":\"more\",\"role\":\"reader\"}"));
	send_mail(&fixture, "shop", "carol@example.com");
	stream_expect(&stream, "accepted");
	ck_assert_str_eq(text_of(stream.data, "scope"), "shop");
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "recipient"), "carol@example.com");
	stream_close(&stream);
	stream_open(&stream, &fixture, secret, "?scope=blog", NULL);
	ck_assert_int_eq(stream.status, 400);
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(tokens_are_news_for_admins)
{
	struct fixture fixture;
	struct stream reader;
	struct stream admin;
	char secret[64];

	fixture_start(&fixture);
	make_token(&fixture, "{\"name\":\"look\",\"role\":\"operator\"}", secret);
	stream_open(&reader, &fixture, secret, "", NULL);
	stream_open(&admin, &fixture, fixture.token, "", NULL);
	make_token(&fixture, "{\"name\":\"new\",\"role\":\"reader\"}", secret);
	send_mail(&fixture, "", "bob@example.com");
	stream_expect(&admin, "token");
	ck_assert_str_eq(text_of(admin.data, "name"), "new");
	ck_assert_str_eq(text_of(admin.data, "action"), "create");
	stream_expect(&reader, "accepted");
	stream_close(&reader);
	stream_close(&admin);
	fixture_stop(&fixture);
}
END_TEST

/* --- coming back ---------------------------------------------------------------------------------
 */

START_TEST(a_stream_goes_on_where_it_was)
{
	struct fixture fixture;
	struct stream stream;
	char last[64];

	fixture_start(&fixture);
	stream_open(&stream, &fixture, fixture.token, "", NULL);
	send_mail(&fixture, "", "one@example.com");
	stream_expect(&stream, "accepted");
	snprintf(last, sizeof(last), "%s", stream.id);
	stream_close(&stream);
	send_mail(&fixture, "", "two@example.com");
	stream_open(&stream, &fixture, fixture.token, "", last);
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "recipient"), "one@example.com");
	stream_expect(&stream, "accepted");
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "recipient"), "two@example.com");
	send_mail(&fixture, "", "three@example.com");
	stream_expect(&stream, "accepted");
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(what_is_still_known_and_then_the_end)
{
	struct fixture fixture;
	struct stream stream;
	char last[64];

	fixture_start(&fixture);
	send_mail(&fixture, "", "one@example.com");
	send_mail(&fixture, "", "two@example.com");
	stream_open(&stream, &fixture, fixture.token, "?follow=false&types=verdict", NULL);
	stream_expect(&stream, "verdict");
	snprintf(last, sizeof(last), "%s", stream.id);
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "recipient"), "two@example.com");
	stream_expect_end(&stream);
	stream_close(&stream);
	stream_open(&stream, &fixture, fixture.token, "?follow=false&types=verdict", last);
	stream_expect(&stream, "verdict");
	ck_assert_str_eq(text_of(stream.data, "recipient"), "two@example.com");
	stream_expect_end(&stream);
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

/* More happened than is kept: the stream says how much of it is missing, and goes on. */
START_TEST(a_gap_is_told)
{
	enum { MANY = 20000 };
	struct fixture fixture;
	struct stream stream;
	json_int_t lost;
	size_t came = 0;
	char last[64];

	fixture_start(&fixture);
	stream_open(&stream, &fixture, fixture.token, "", NULL);
	send_mail(&fixture, "", "one@example.com");
	stream_expect(&stream, "accepted");
	stream_expect(&stream, "verdict");
	snprintf(last, sizeof(last), "%s", stream.id);
	stream_close(&stream);
	tell_many(&fixture, MANY);
	send_mail(&fixture, "", "two@example.com");
	stream_open(&stream, &fixture, fixture.token, "", last);
	stream_expect(&stream, "lost");
	lost = number_of(stream.data, "count");
	ck_assert_int_gt(lost, 1000);
	came = stream_skip_to(&stream, "accepted");
	ck_assert_int_eq((json_int_t)came + lost, MANY);
	stream_expect(&stream, "verdict");
	ck_assert_int_ge(metric(&fixture, "stagepost_events_lost_total"), lost);
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(ids_of_another_run_and_nonsense)
{
	static const char *const ids[] = {
		"1234-1", "nonsense", "-", "-5", "12-", "ffffffffffffffffff-1", "\xff"};
	struct fixture fixture;
	struct stream stream;
	char ahead[64];

	fixture_start(&fixture);
	send_mail(&fixture, "", "one@example.com");
	for (size_t i = 0; i <= sizeof(ids) / sizeof(ids[0]); i++) {
		snprintf(ahead, sizeof(ahead), "%" PRIx64 "-4711", store_news_epoch(fixture.store));
		stream_open(&stream, &fixture, fixture.token, "?types=verdict&follow=false",
			    i < sizeof(ids) / sizeof(ids[0]) ? ids[i] : ahead);
		ck_assert_int_eq(stream.status, 200);
		stream_expect(&stream, "lost");
		ck_assert(json_is_null(json_object_get(stream.data, "count")));
		stream_expect(&stream, "verdict");
		stream_expect_end(&stream);
		stream_close(&stream);
	}
	/* The id of that event is good for the next time. */
	stream_open(&stream, &fixture, fixture.token, "?follow=false", "nonsense");
	stream_expect(&stream, "lost");
	snprintf(ahead, sizeof(ahead), "%s", stream.id);
	stream_close(&stream);
	stream_open(&stream, &fixture, fixture.token, "?follow=false", ahead);
	stream_expect(&stream, "token"); /* the first one of this run */
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

/* A reader that does not read costs nothing but the events it is told it lost. */
START_TEST(a_slow_reader_is_told_what_it_lost)
{
	enum { MANY = 60000 };
	struct fixture fixture;
	struct stream slow;
	struct stream quick;
	json_int_t lost = 0;
	json_int_t came = 0;

	fixture_start(&fixture);
	stream_open(&slow, &fixture, fixture.token, "", NULL);
	tell_many(&fixture, MANY);
	/* Nobody else has to wait for it. */
	stream_open(&quick, &fixture, fixture.token, "", NULL);
	send_mail(&fixture, "", "bob@example.com");
	stream_expect(&quick, "accepted");
	for (;;) {
		stream_next(&slow);
		if (strcmp(slow.type, "accepted") == 0)
			break;
		if (strcmp(slow.type, "lost") == 0)
			lost += number_of(slow.data, "count");
		else
			came++;
	}
	ck_assert_int_gt(lost, 1000);
	ck_assert_int_gt(came, 1000);
	ck_assert_int_eq(lost + came, MANY);
	stream_close(&slow);
	stream_close(&quick);
	fixture_stop(&fixture);
}
END_TEST

/* Events that it does not want are none that it lost, also when it sleeps while they come. */
START_TEST(what_nobody_wants_is_not_lost)
{
	struct fixture fixture;
	struct stream stream;

	fixture_start(&fixture);
	stream_open(&stream, &fixture, fixture.token, "?types=whitelist", NULL);
	for (int i = 0; i < 40; i++) {
		const struct timespec moment = {.tv_nsec = 25000000};

		tell_many(&fixture, 1000);
		nanosleep(&moment, NULL); /* as fast as that it can be looked at */
	}
	json_decref(ask(&fixture, 201, "POST", "/api/v1/whitelist",
			"{\"pattern\":\"bob@example.com\"}"));
	stream_expect(&stream, "whitelist");
	ck_assert_int_eq(metric(&fixture, "stagepost_events_lost_total"), 0);
	stream_close(&stream);
	fixture_stop(&fixture);
}
END_TEST

/* --- who may, and how many
 * ------------------------------------------------------------------------ */

/* S280: also for what is under way. */
START_TEST(a_revoked_token_ends_its_streams)
{
	struct fixture fixture;
	struct stream revoked;
	struct stream other;
	char secret[64];
	json_int_t id;

	fixture_start(&fixture);
	id = make_token(&fixture, "{\"name\":\"ci\",\"role\":\"reader\"}", secret);
	stream_open(&revoked, &fixture, secret, "", NULL);
	stream_open(&other, &fixture, fixture.token, "?types=accepted", NULL);
	ck_assert_int_eq(revoked.status, 200);
	revoke_token(&fixture, id);
	stream_expect_end(&revoked);
	send_mail(&fixture, "", "bob@example.com");
	stream_expect(&other, "accepted");
	stream_close(&revoked);
	stream_close(&other);
	fixture_stop(&fixture);
}
END_TEST

/* S304 */
START_TEST(no_more_streams_than_may_be)
{
	struct stream streams[FIXTURE_STREAMS];
	struct fixture fixture;
	struct stream more;
	struct stream again;

	fixture_start(&fixture);
	for (size_t i = 0; i < FIXTURE_STREAMS; i++) {
		stream_open(&streams[i], &fixture, fixture.token, "", NULL);
		ck_assert_int_eq(streams[i].status, 200);
	}
	stream_open(&more, &fixture, fixture.token, "", NULL);
	ck_assert_int_eq(more.status, 503);
	ck_assert_ptr_nonnull(strstr(more.head, "Retry-After: "));
	stream_close(&more);
	ck_assert_int_eq(metric(&fixture, "stagepost_event_streams"), FIXTURE_STREAMS);
	/* Everything else goes on. */
	json_decref(ask(&fixture, 200, "GET", "/api/v1/messages", NULL));
	/* One that goes makes room: it is missed when it is told something. */
	stream_close(&streams[0]);
	for (int tries = 0; metric(&fixture, "stagepost_event_streams") == FIXTURE_STREAMS;
	     tries++) {
		ck_assert_int_lt(tries, 1000);
		send_mail(&fixture, "", "bob@example.com");
	}
	stream_open(&again, &fixture, fixture.token, "", NULL);
	ck_assert_int_eq(again.status, 200);
	stream_close(&again);
	for (size_t i = 1; i < FIXTURE_STREAMS; i++)
		stream_close(&streams[i]);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(a_stop_ends_them_in_order)
{
	struct stream streams[FIXTURE_STREAMS];
	struct fixture fixture;
	int64_t begun;

	fixture_start(&fixture);
	for (size_t i = 0; i < FIXTURE_STREAMS; i++)
		stream_open(&streams[i], &fixture, i == 0 ? "socket" : fixture.token, "", NULL);
	/* One of them does not read what it is given. */
	tell_many(&fixture, 20000);
	begun = clock_mono_ms();
	fixture_stop(&fixture);
	ck_assert_int_lt(clock_mono_ms() - begun, 5000);
	for (size_t i = 0; i < FIXTURE_STREAMS; i++)
		stream_close(&streams[i]);
}
END_TEST

START_TEST(silent_streams_end_with_their_last_chunk)
{
	struct fixture fixture;
	struct stream local;
	struct stream remote;
	int64_t begun;

	fixture_start(&fixture);
	stream_open(&local, &fixture, "socket", "", NULL);
	stream_open(&remote, &fixture, fixture.token, "", NULL);
	send_mail(&fixture, "", "bob@example.com");
	stream_expect(&local, "accepted");
	stream_expect(&local, "verdict");
	stream_expect(&remote, "accepted");
	stream_expect(&remote, "verdict");
	begun = clock_mono_ms();
	fixture_stop(&fixture);
	ck_assert_int_lt(clock_mono_ms() - begun, 1500);
	stream_expect_end(&local);
	stream_expect_end(&remote);
	stream_close(&local);
	stream_close(&remote);
}
END_TEST

START_TEST(a_head_request_is_no_stream)
{
	struct client_reply reply;
	struct fixture fixture;
	char request[300];

	fixture_start(&fixture);
	snprintf(request, sizeof(request),
		 "HEAD /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
		 "\r\n",
		 fixture.token);
	client_ask(admin_address(fixture.admin), request, &reply);
	ck_assert_int_eq(reply.status, 200);
	client_reply_free(&reply);
	wait_for_metric(&fixture, "stagepost_event_streams", 0);
	fixture_stop(&fixture);
}
END_TEST

UNIT_MAIN("admin/events", a_stream_tells_what_happens, hostile_text_stays_inside_its_event,
	  only_what_was_asked_for, a_scope_hears_its_own_only, tokens_are_news_for_admins,
	  a_stream_goes_on_where_it_was, what_is_still_known_and_then_the_end, a_gap_is_told,
	  ids_of_another_run_and_nonsense, a_slow_reader_is_told_what_it_lost,
	  what_nobody_wants_is_not_lost, a_revoked_token_ends_its_streams,
	  no_more_streams_than_may_be, a_stop_ends_them_in_order,
	  silent_streams_end_with_their_last_chunk, a_head_request_is_no_stream)
