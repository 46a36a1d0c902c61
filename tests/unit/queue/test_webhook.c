/* tests queue/calls.c, calls_act.c, webhook.c: what an endpoint is to be told is there when it is
 * true, and until it was told */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "queue/backup.h"
#include "queue/token.h"
#include "queue/webhook.h"
#include "tests/unit/queue/gate.h"
#include "tests/unit/unit.h"

#define HELD	(1U << WEBHOOK_HELD)
#define DROPPED (1U << WEBHOOK_DROPPED)

static _Atomic int woken;

static void count_wakes(void *ctx)
{
	(void)ctx;
	woken++;
}

static void write_body(const struct ulid *id, enum webhook_event event, const struct news *news,
		       struct buf *body_out)
{
	char text[ULID_TEXT_SIZE];

	ulid_format(id, text);
	ck_assert_int_eq(buf_printf(body_out, "%s %s %s", text, webhook_event_name(event),
				    news->recipient != NULL ? news->recipient : "-"),
			 ERR_OK);
}

static struct webhook_targets targets_of(const struct webhook_target *targets, size_t count)
{
	return (struct webhook_targets){targets, count, write_body};
}

static void open_with(struct fixture *f, const struct webhook_targets *targets)
{
	struct store_options options = {.webhooks = targets, .on_webhook = count_wakes};

	woken = 0;
	fixture_open_with(f, &options);
}

static size_t due(struct fixture *f, const char *target, int64_t now, struct arena *arena,
		  struct webhook_call **calls_out)
{
	size_t count;

	ck_assert_int_eq(
		queue_webhook_due(f->reader, target, now, 100, arena, calls_out, &count, NULL),
		ERR_OK);
	return count;
}

static size_t count_due(struct fixture *f, const char *target)
{
	struct arena *arena = arena_new();
	struct webhook_call *calls;
	size_t count = due(f, target, INT64_MAX, arena, &calls);

	arena_free(&arena);
	return count;
}

static struct webhook_numbers numbers_of(struct fixture *f, const char *target)
{
	struct webhook_numbers numbers;

	ck_assert(store_webhook_numbers(f->store, target, &numbers));
	return numbers;
}

static void settle(struct fixture *f, const char *target, int64_t id, bool sent, int64_t due_at)
{
	struct webhook_outcome outcome = {
		.id = id, .sent = sent, .due_at = due_at, .status = 503, .error = "busy"};
	struct webhook_settle job = {
		.target = target, .outcomes = &outcome, .count = 1, .now = NOW + 5};

	ck_assert_int_eq(store_wait(f->store, queue_webhook_settle, &job.job, NULL), ERR_OK);
}

static int act(struct fixture *f, bool drop, int64_t id, const char *target, size_t *count_out)
{
	struct webhook_act job = {
		.drop = drop, .id = id, .target = target, .actor = "bob", .now = NOW + 9};
	int code = store_wait(f->store, queue_webhook_act, &job.job, NULL);

	*count_out = job.count;
	return code;
}

struct listed {
	int64_t ids[20];
	char errors[20][60];
	size_t count;
};

static bool take(void *ctx, const struct webhook_call *call)
{
	struct listed *listed = ctx;

	ck_assert_int_eq(call->due_at, 0);
	listed->ids[listed->count] = call->id;
	snprintf(listed->errors[listed->count++], 60, "%s", call->error);
	return true;
}

static struct listed dead_of(struct fixture *f, const char *target)
{
	struct listed listed = {.count = 0};

	ck_assert_int_eq(queue_webhook_dead(f->reader, target, 0, 20, take, &listed, NULL), ERR_OK);
	return listed;
}

static void set_targets(struct fixture *f, const struct webhook_target *targets, size_t count)
{
	struct webhook_set set = {.targets = targets_of(targets, count)};

	ck_assert_int_eq(store_wait(f->store, queue_webhook_set, &set.job, NULL), ERR_OK);
}

/* --- what is an event for whom ------------------------------------------------------------------
 */

START_TEST(events_have_names)
{
	enum webhook_event back;

	for (int i = 0; i < WEBHOOK_EVENTS; i++) {
		enum webhook_event event = (enum webhook_event)i;

		ck_assert_int_eq(webhook_event_parse(span_of(webhook_event_name(event)), &back),
				 ERR_OK);
		ck_assert_int_eq(back, event);
	}
	ck_assert_int_eq(webhook_event_parse(span_of("queued"), &back), ERR_NOT_FOUND);
	ck_assert_int_eq(webhook_event_parse(span_of(""), &back), ERR_NOT_FOUND);
}
END_TEST

START_TEST(what_happened_has_one_kind_or_none)
{
	static const struct {
		struct news news;
		int event; /* -1: none */
	} rows[] = {
		{{.kind = NEWS_ACCEPTED}, WEBHOOK_ACCEPTED},
		{{.kind = NEWS_VERDICT, .action = "drop", .state = "dropped"}, WEBHOOK_DROPPED},
		{{.kind = NEWS_VERDICT, .action = "deliver", .state = "queued"}, -1},
		{{.kind = NEWS_VERDICT, .action = "reject"}, -1},
		{{.kind = NEWS_ATTEMPT, .action = "delivered", .state = "delivered"},
		 WEBHOOK_DELIVERED},
		{{.kind = NEWS_ATTEMPT, .action = "deferred", .state = "deferred"},
		 WEBHOOK_DEFERRED},
		{{.kind = NEWS_ATTEMPT, .action = "expired", .state = "expired"}, WEBHOOK_EXPIRED},
		{{.kind = NEWS_STATE, .action = "undecided", .state = "screening"}, -1},
		{{.kind = NEWS_STATE, .action = "released", .state = "queued"}, WEBHOOK_RELEASED},
		{{.kind = NEWS_STATE, .action = "retried", .state = "queued"}, -1},
		/* A wish: it is being delivered all the same. */
		{{.kind = NEWS_STATE, .action = "held", .state = "delivering"}, -1},
		{{.kind = NEWS_STATE, .action = "held", .state = "held"}, WEBHOOK_HELD},
		{{.kind = NEWS_DELETED}, WEBHOOK_DELETED},
		/* "deny" is no state, and that of an entry. */
		{{.kind = NEWS_WHITELIST, .state = "deny"}, WEBHOOK_WHITELIST},
		{{.kind = NEWS_RULE}, WEBHOOK_RULE},
		{{.kind = NEWS_FAULT}, WEBHOOK_FAULT},
		{{.kind = NEWS_DELIVERY}, WEBHOOK_DELIVERY},
		{{.kind = NEWS_TOKEN}, WEBHOOK_TOKEN},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum webhook_event event;
		bool any = webhook_event_of(&rows[i].news, &event);

		ck_assert_msg(any == (rows[i].event >= 0), "row %zu", i);
		if (any)
			ck_assert_msg((int)event == rows[i].event, "row %zu", i);
	}
}
END_TEST

START_TEST(each_target_has_what_it_wants)
{
	const struct webhook_target targets[] = {
		{"a", HELD | DROPPED, "", 100, 100},
		{"b", DROPPED, NULL, 100, 100},
		{"c", HELD, "shop", 100, 100},
	};
	struct webhook_targets all = targets_of(targets, 3);
	struct arena *arena = arena_new();
	struct webhook_call *a, *b;
	char id[ULID_TEXT_SIZE];
	struct fixture f;

	open_with(&f, &all);
	accept_as(&f, 2, STATE_HELD);
	accept_queued(&f, 1);
	ck_assert_int_eq(woken, 1);
	accept_as(&f, 1, STATE_DROPPED);
	ck_assert_int_eq(woken, 2);
	ck_assert_uint_eq(due(&f, "a", INT64_MAX, arena, &a), 3);
	ck_assert_uint_eq(due(&f, "b", INT64_MAX, arena, &b), 1);
	ck_assert_uint_eq(count_due(&f, "c"), 0); /* of another scope */
	ck_assert_uint_eq(count_due(&f, "d"), 0);
	ck_assert_str_eq(a[2].type, "dropped");
	ck_assert_int_eq(a[2].attempts + a[2].status, 0);
	/* One event is the same event for everybody. */
	ck_assert(ulid_equal(&a[2].event, &b[0].event));
	ulid_format(&b[0].event, id);
	ck_assert(span_starts_fold(b[0].body, id));
	ck_assert(!ulid_equal(&a[0].event, &a[1].event));
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 3);
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

/* --- with what it tells of, or not at all --------------------------------------------------------
 */

START_TEST(nothing_is_left_of_what_was_rolled_back)
{
	const struct webhook_target target = {"a", 1U << WEBHOOK_TOKEN | HELD, "", 100, 100};
	struct webhook_targets all = targets_of(&target, 1);
	struct token_create create = {
		.token = {.name = "ci", .role = ROLE_READER}, .actor = "bob", .now = NOW};
	struct fixture f;
	_Atomic int left = 0;
	struct letter letter;
	struct gate gate;

	open_with(&f, &all);
	ck_assert_int_eq(store_wait(f.store, queue_token_create, &create.job, NULL), ERR_OK);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 1);
	/* Another of this digest is found out when its row is written: its batch is rolled back. */
	gate_close(&gate, f.store);
	letter_post(&letter, f.store, make_body(f.store, 10, 1), ulid_new(NOW), &left);
	create.token.name = "other";
	create.job.done = letter_count;
	create.job.ctx = &letter;
	left++;
	queue_token_create(f.store, &create.job);
	gate_open(&gate);
	letter_wait(&left);
	ck_assert_int_ne(create.job.code, ERR_OK);
	ck_assert_int_eq(letter.accept.job.code, ERR_OK);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 2);
	ck_assert_uint_eq(count_due(&f, "a"), 2);
	fixture_remove(&f);
}
END_TEST

START_TEST(it_is_there_after_a_start)
{
	const struct webhook_target target = {"a", HELD, "", 100, 100};
	struct webhook_targets all = targets_of(&target, 1);
	struct arena *arena = arena_new();
	struct webhook_call *calls;
	struct fixture f;

	open_with(&f, &all);
	accept_as(&f, 3, STATE_HELD);
	due(&f, "a", INT64_MAX, arena, &calls);
	settle(&f, "a", calls[0].id, false, 0);
	fixture_reopen(&f);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 2);
	ck_assert_int_eq(numbers_of(&f, "a").dead, 1);
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

START_TEST(too_many_are_lost_and_counted)
{
	const struct webhook_target targets[] = {{"a", HELD, "", 2, 100}, {"b", HELD, "", 100, 9}};
	struct webhook_targets all = targets_of(targets, 2);
	struct fixture f;

	open_with(&f, &all);
	accept_as(&f, 5, STATE_HELD);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 2);
	ck_assert_uint_eq(numbers_of(&f, "a").lost, 3);
	ck_assert_int_eq(numbers_of(&f, "b").waiting, 5);
	ck_assert_uint_eq(numbers_of(&f, "b").lost, 0);
	/* It is told on over a reload. */
	set_targets(&f, targets, 2);
	ck_assert_uint_eq(numbers_of(&f, "a").lost, 3);
	fixture_remove(&f);
}
END_TEST

/* --- outcomes ------------------------------------------------------------------------------------
 */

START_TEST(sent_again_and_dead)
{
	const struct webhook_target target = {"a", HELD, "", 100, 100};
	struct webhook_targets all = targets_of(&target, 1);
	struct arena *arena = arena_new();
	struct webhook_call *calls, *later;
	struct webhook_call dead;
	struct fixture f;
	int64_t at;

	open_with(&f, &all);
	accept_as(&f, 3, STATE_HELD);
	ck_assert_uint_eq(due(&f, "a", INT64_MAX, arena, &calls), 3);
	settle(&f, "a", calls[0].id, true, 0);
	settle(&f, "a", calls[1].id, false, NOW + 1000000000);
	settle(&f, "a", calls[2].id, false, 0);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 1);
	ck_assert_int_eq(numbers_of(&f, "a").dead, 1);
	ck_assert_uint_eq(due(&f, "a", NOW + 999999999, arena, &later), 0);
	ck_assert_int_eq(queue_webhook_next(f.reader, "a", NOW + 5, &at, NULL), ERR_OK);
	ck_assert_int_eq(at, NOW + 1000000000);
	ck_assert_int_eq(queue_webhook_next(f.reader, "a", at, &at, NULL), ERR_OK);
	ck_assert_int_eq(at, INT64_MAX);
	ck_assert_uint_eq(due(&f, "a", NOW + 1000000000, arena, &later), 1);
	ck_assert_int_eq(later[0].id, calls[1].id);
	ck_assert_int_eq(later[0].attempts, 1);
	ck_assert_int_eq(later[0].status, 503);
	ck_assert(span_equal(later[0].body, calls[1].body));
	ck_assert_int_eq(queue_webhook_get(f.reader, calls[2].id, arena, &dead, NULL), ERR_OK);
	ck_assert_str_eq(dead.error, "busy");
	ck_assert_int_eq(dead.tried_at, NOW + 5);
	/* One that waits is none, and the outcome of one that is gone changes nothing. */
	ck_assert_int_eq(queue_webhook_get(f.reader, calls[1].id, arena, &dead, NULL),
			 ERR_NOT_FOUND);
	settle(&f, "a", calls[0].id, false, NOW);
	settle(&f, "a", calls[2].id, true, 0);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 1);
	ck_assert_uint_eq(dead_of(&f, "a").count, 1);
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

START_TEST(the_oldest_dead_letter_gives_way)
{
	const struct webhook_target target = {"a", HELD, "", 100, 2};
	struct webhook_targets all = targets_of(&target, 1);
	struct arena *arena = arena_new();
	struct webhook_call *calls;
	struct listed listed;
	struct fixture f;

	open_with(&f, &all);
	accept_as(&f, 4, STATE_HELD);
	due(&f, "a", INT64_MAX, arena, &calls);
	for (size_t i = 0; i < 4; i++)
		settle(&f, "a", calls[i].id, false, 0);
	listed = dead_of(&f, NULL);
	ck_assert_uint_eq(listed.count, 2);
	ck_assert_int_eq(listed.ids[0], calls[2].id);
	ck_assert_int_eq(listed.ids[1], calls[3].id);
	ck_assert_int_eq(numbers_of(&f, "a").dead, 2);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 0);
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

/* --- a person
 * ------------------------------------------------------------------------------------- */

static void make_dead(struct fixture *f, const char *target)
{
	struct arena *arena = arena_new();
	struct webhook_call *calls;
	size_t count = due(f, target, INT64_MAX, arena, &calls);

	for (size_t i = 0; i < count; i++)
		settle(f, target, calls[i].id, false, 0);
	arena_free(&arena);
}

START_TEST(sent_once_more_or_dropped)
{
	const struct webhook_target targets[] = {{"a", HELD, "", 100, 9}, {"b", HELD, "", 100, 9}};
	struct webhook_targets all = targets_of(targets, 2);
	struct arena *arena = arena_new();
	struct webhook_call *calls;
	struct listed listed;
	struct fixture f;
	size_t count;

	open_with(&f, &all);
	accept_as(&f, 3, STATE_HELD);
	make_dead(&f, "a");
	make_dead(&f, "b");
	listed = dead_of(&f, "a");
	woken = 0;
	ck_assert_int_eq(act(&f, false, listed.ids[0], NULL, &count), ERR_OK);
	ck_assert_int_eq(woken, 1);
	ck_assert_uint_eq(due(&f, "a", NOW + 9, arena, &calls), 1);
	ck_assert_int_eq(calls[0].attempts, 0);
	/* It waits now. */
	ck_assert_int_eq(act(&f, false, listed.ids[0], NULL, &count), ERR_NOT_FOUND);
	ck_assert_int_eq(act(&f, true, listed.ids[0], NULL, &count), ERR_NOT_FOUND);
	ck_assert_int_eq(act(&f, true, listed.ids[1], NULL, &count), ERR_OK);
	ck_assert_uint_eq(dead_of(&f, "a").count, 1);
	ck_assert_int_eq(act(&f, false, 0, "b", &count), ERR_OK);
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(numbers_of(&f, "b").waiting, 3);
	ck_assert_int_eq(numbers_of(&f, "b").dead, 0);
	ck_assert_int_eq(act(&f, true, 0, NULL, &count), ERR_OK);
	ck_assert_uint_eq(count, 1);
	/* Nothing was met, and nothing stands in the trail. */
	ck_assert_int_eq(act(&f, true, 0, NULL, &count), ERR_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action LIKE 'webhook.%'"),
			 4);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action = 'webhook.retry'"
					" AND subject = 'b' AND actor = 'bob'"
					" AND json_extract(after, '$.dead_letters') = 3"),
			 1);
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

START_TEST(a_target_that_is_gone)
{
	const struct webhook_target targets[] = {{"a", HELD, "", 100, 9}, {"b", HELD, "", 100, 9}};
	struct webhook_targets all = targets_of(targets, 2);
	struct listed listed;
	struct fixture f;
	size_t count;

	open_with(&f, &all);
	accept_as(&f, 2, STATE_HELD);
	set_targets(&f, targets, 1);
	ck_assert_uint_eq(count_due(&f, "b"), 0);
	ck_assert_uint_eq(count_due(&f, "a"), 2);
	listed = dead_of(&f, "b");
	ck_assert_uint_eq(listed.count, 2);
	ck_assert_str_eq(listed.errors[0], "there is no webhook of this name any more");
	accept_as(&f, 1, STATE_HELD);
	ck_assert_uint_eq(count_due(&f, "b"), 0);
	ck_assert_int_eq(act(&f, false, listed.ids[0], NULL, &count), ERR_CONFLICT);
	ck_assert_int_eq(act(&f, false, 0, NULL, &count), ERR_OK);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(act(&f, true, listed.ids[0], NULL, &count), ERR_OK);
	/* What came of a request that was under way is not wanted any more. */
	settle(&f, "b", listed.ids[1], true, 0);
	ck_assert_uint_eq(dead_of(&f, "b").count, 1);
	/* It is configured again. */
	set_targets(&f, targets, 2);
	ck_assert_int_eq(numbers_of(&f, "b").dead, 1);
	ck_assert_int_eq(act(&f, false, 0, NULL, &count), ERR_OK);
	ck_assert_uint_eq(count_due(&f, "b"), 1);
	/* The same is found at a start. */
	fixture_reopen(&f);
	ck_assert_int_eq(numbers_of(&f, "b").waiting, 1);
	fixture_remove(&f);
}
END_TEST

START_TEST(old_dead_letters_go)
{
	const struct webhook_target target = {"a", HELD, "", 100, 9};
	struct webhook_targets all = targets_of(&target, 1);
	struct webhook_prune prune = {.before = INT64_MAX};
	struct fixture f;

	open_with(&f, &all);
	accept_as(&f, 1, STATE_HELD);
	make_dead(&f, "a");
	accept_as(&f, 1, STATE_HELD);
	prune.before = 1;
	ck_assert_int_eq(store_wait(f.store, queue_webhook_prune, &prune.job, NULL), ERR_OK);
	ck_assert_int_eq(numbers_of(&f, "a").dead, 1);
	prune.before = INT64_MAX;
	ck_assert_int_eq(store_wait(f.store, queue_webhook_prune, &prune.job, NULL), ERR_OK);
	ck_assert_int_eq(numbers_of(&f, "a").dead, 0);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 1); /* it is none */
	fixture_remove(&f);
}
END_TEST

/* As delivery is paused in it. */
START_TEST(a_copy_tells_nobody)
{
	const struct webhook_target target = {"a", HELD, "", 100, 9};
	struct webhook_targets all = targets_of(&target, 1);
	struct backup_offline copy = {.path = NULL};
	struct listed listed;
	struct fixture f, again;
	char path[128];

	open_with(&f, &all);
	accept_as(&f, 2, STATE_HELD);
	open_with(&again, &all);
	fixture_close(&f);
	fixture_close(&again);
	snprintf(path, sizeof(path), "%s/stagepost.db", again.dir);
	ck_assert_int_eq(truncate(path, 0), 0);
	copy.data_dir = f.dir;
	copy.path = path;
	ck_assert_int_eq(backup_offline(&copy, NULL), ERR_OK);
	fixture_reopen(&f);
	fixture_reopen(&again);
	ck_assert_int_eq(numbers_of(&f, "a").waiting, 2);
	ck_assert_int_eq(numbers_of(&again, "a").waiting, 0);
	listed = dead_of(&again, "a");
	ck_assert_uint_eq(listed.count, 2);
	ck_assert_ptr_nonnull(strstr(listed.errors[0], "was copied"));
	fixture_remove(&f);
	fixture_remove(&again);
}
END_TEST

UNIT_MAIN("queue/webhook", events_have_names, what_happened_has_one_kind_or_none,
	  each_target_has_what_it_wants, nothing_is_left_of_what_was_rolled_back,
	  it_is_there_after_a_start, too_many_are_lost_and_counted, sent_again_and_dead,
	  the_oldest_dead_letter_gives_way, sent_once_more_or_dropped, a_target_that_is_gone,
	  old_dead_letters_go, a_copy_tells_nobody)
