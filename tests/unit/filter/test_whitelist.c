/* tests relay/filter/whitelist.c: loading, publishing, merging, readers beside it */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "relay/filter/hits.h"
#include "relay/filter/published.h"
#include "tests/unit/filter/list.h"
#include "tests/unit/unit.h"

static void publish_row(struct whitelist *list, enum entry_operation operation,
			const struct list_row *row, int64_t revision)
{
	struct pattern pattern;
	struct whitelist_change change = {.operation = operation,
					  .entry = list_entry(row, &pattern)};

	whitelist_publish(list, &change, 1, revision);
}

static void remove_id(struct whitelist *list, int64_t id, int64_t revision)
{
	struct whitelist_change change = {.operation = ENTRY_REMOVE, .entry = {.id = id}};

	whitelist_publish(list, &change, 1, revision);
}

static int64_t entry_for(struct whitelist *list, const char *text, enum verdict_reason want)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct address address;
	struct verdict verdict;

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	verdict_judge(snapshot, &address, span_of(""), 0, &verdict);
	ck_assert_msg(verdict.reason == want, "%s: reason %d", text, verdict.reason);
	whitelist_release(&snapshot);
	return verdict.entry;
}

static enum verdict_reason verdict_at(struct whitelist *list, const char *text, int64_t now)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	struct address address;
	struct verdict verdict;

	ck_assert_int_eq(address_parse(span_of(text), &address, NULL), ERR_OK);
	verdict_judge(snapshot, &address, span_of(""), now, &verdict);
	whitelist_release(&snapshot);
	return verdict.reason;
}

static size_t size_of(struct whitelist *list)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	size_t size = whitelist_size(snapshot);

	whitelist_release(&snapshot);
	return size;
}

static void publish_ahead(struct whitelist *list, const struct whitelist_change *changes,
			  size_t count, int64_t revision)
{
	struct whitelist_prepared *prepared = whitelist_prepare(list, changes, count);

	whitelist_publish_prepared(list, &prepared, revision);
	ck_assert_ptr_null(prepared);
}

/* Made ready by somebody else, it says the same as one that is published in one go. */
START_TEST(a_change_that_was_prepared)
{
	struct whitelist *list = whitelist_new();
	struct whitelist_prepared *prepared;
	struct whitelist_change changes[] = {{.operation = ENTRY_REPLACE},
					     {.operation = ENTRY_REMOVE},
					     {.operation = ENTRY_ADD},
					     {.operation = ENTRY_REMOVE, .entry = {.id = 9}}};
	struct pattern patterns[2];

	publish_row(list, ENTRY_ADD, &(struct list_row){"a@x.test", .id = 1}, 1);
	publish_row(list, ENTRY_ADD, &(struct list_row){"b@x.test", .id = 2}, 2);
	changes[0].entry = list_entry(&(struct list_row){"aa@x.test", .id = 1}, &patterns[0]);
	changes[1].entry.id = 2;
	changes[2].entry = list_entry(&(struct list_row){"c@x.test", .id = 3}, &patterns[1]);
	prepared = whitelist_prepare(list, changes, 4);
	ck_assert_int_eq(entry_for(list, "b@x.test", REASON_ALLOWED), 2);
	whitelist_prepared_free(&prepared);
	ck_assert_int_eq(entry_for(list, "b@x.test", REASON_ALLOWED), 2);
	publish_ahead(list, changes, 4, 3); /* 9: a row that never was in force */
	ck_assert_uint_eq(size_of(list), 2);
	entry_for(list, "a@x.test", REASON_NOT_LISTED);
	entry_for(list, "b@x.test", REASON_NOT_LISTED);
	ck_assert_int_eq(entry_for(list, "aa@x.test", REASON_ALLOWED), 1);
	ck_assert_int_eq(entry_for(list, "c@x.test", REASON_ALLOWED), 3);
	remove_id(list, 3, 4);
	entry_for(list, "c@x.test", REASON_NOT_LISTED);
	ck_assert_uint_eq(size_of(list), 1);
	whitelist_free(&list);
}
END_TEST

/* S154, S155: what is removed matches nothing from the next verdict on */
START_TEST(changes_are_in_force_at_once)
{
	struct whitelist *list = whitelist_new();
	const struct whitelist_snapshot *before;
	struct address address;
	struct verdict verdict;

	publish_row(list, ENTRY_ADD, &(struct list_row){"A@x.test", .id = 1}, 1);
	ck_assert_int_eq(entry_for(list, "a@X.test", REASON_ALLOWED), 1);
	before = whitelist_acquire(list);
	remove_id(list, 1, 2);
	entry_for(list, "a@x.test", REASON_EMPTY_LIST);
	ck_assert_uint_eq(size_of(list), 0);
	/* the old version says what it always said */
	ck_assert_int_eq(address_parse(span_of("a@x.test"), &address, NULL), ERR_OK);
	verdict_judge(before, &address, span_of(""), 0, &verdict);
	ck_assert_int_eq(verdict.reason, REASON_ALLOWED);
	ck_assert_int_eq(verdict.revision, 1);
	whitelist_release(&before);

	publish_row(list, ENTRY_ADD, &(struct list_row){"x.test", .id = 2}, 3);
	publish_row(list, ENTRY_ADD, &(struct list_row){"a@x.test", .id = 3, .deny = true}, 4);
	ck_assert_int_eq(entry_for(list, "a@x.test", REASON_DENIED), 3);
	publish_row(list, ENTRY_REPLACE, &(struct list_row){"b@x.test", .id = 3, .deny = true}, 5);
	ck_assert_int_eq(entry_for(list, "a@x.test", REASON_ALLOWED), 2);
	ck_assert_int_eq(entry_for(list, "b@x.test", REASON_DENIED), 3);
	remove_id(list, 77, 6); /* nobody */
	ck_assert_uint_eq(size_of(list), 2);
	whitelist_free(&list);
}
END_TEST

/* What a change would mean is asked without making it. */
START_TEST(a_preview_is_in_force_nowhere)
{
	struct whitelist *list = list_of(
		(const struct list_row[]){{"a@x.test", .id = 1}, {"b@x.test", .id = 2}, {NULL}});
	struct pattern patterns[2];
	const struct list_row rows[] = {{"c@x.test", .id = -1}, {"d@x.test", .id = -2}};
	struct whitelist_change changes[] = {
		{.operation = ENTRY_REMOVE, .entry = {.id = 1}},
		{.operation = ENTRY_ADD, .entry = list_entry(&rows[0], &patterns[0])},
		{.operation = ENTRY_ADD, .entry = list_entry(&rows[1], &patterns[1])},
	};
	const struct whitelist_snapshot *preview = whitelist_preview(list, changes, 3);
	static const struct {
		const char *text;
		bool now, then;
	} cases[] = {{"a@x.test", true, false},
		     {"b@x.test", true, true},
		     {"c@x.test", false, true},
		     {"d@x.test", false, true}};

	ck_assert_uint_eq(whitelist_size(preview), 3);
	ck_assert_uint_eq(size_of(list), 2);
	/* It stays what it is when the list goes on. */
	publish_row(list, ENTRY_ADD, &(struct list_row){"d@x.test", .id = 3, .deny = true}, 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address address;
		struct verdict verdict;

		ck_assert_int_eq(address_parse(span_of(cases[i].text), &address, NULL), ERR_OK);
		verdict_judge(preview, &address, span_of(""), 0, &verdict);
		ck_assert_msg((verdict.kind == VERDICT_DELIVER) == cases[i].then, "%s then",
			      cases[i].text);
		entry_for(list, cases[i].text,
			  i == 3	 ? REASON_DENIED
			  : cases[i].now ? REASON_ALLOWED
					 : REASON_NOT_LISTED);
	}
	whitelist_release(&preview);
	whitelist_free(&list);
}
END_TEST

START_TEST(several_lines_for_one_id)
{
	struct whitelist *list =
		list_of((const struct list_row[]){{"old@x.test", .id = 1}, {NULL}});
	struct pattern patterns[3];
	const struct list_row rows[] = {
		{"mid@x.test", .id = 1}, {"new@x.test", .id = 1}, {"gone@x.test", .id = 2}};
	struct whitelist_change changes[] = {
		{.operation = ENTRY_REPLACE, .entry = list_entry(&rows[0], &patterns[0])},
		{.operation = ENTRY_ADD, .entry = list_entry(&rows[2], &patterns[2])},
		{.operation = ENTRY_REMOVE, .entry = {.id = 2}},
		{.operation = ENTRY_REPLACE, .entry = list_entry(&rows[1], &patterns[1])},
	};

	whitelist_publish(list, changes, 4, 2);
	entry_for(list, "old@x.test", REASON_NOT_LISTED);
	entry_for(list, "mid@x.test", REASON_NOT_LISTED);
	entry_for(list, "gone@x.test", REASON_NOT_LISTED);
	ck_assert_int_eq(entry_for(list, "new@x.test", REASON_ALLOWED), 1);
	ck_assert_uint_eq(size_of(list), 1);
	whitelist_free(&list);
}
END_TEST

/* S163, P1: what it denies is not known. It is one line like any other: it can be changed, and
 * taken away. */
START_TEST(a_bad_row_that_may_deny_denies_everything)
{
	static char scope[UINT16_MAX + 2];
	const struct entry bad[] = {
		{.id = 5, .pattern = "X@evil.test", .kind = ENTRY_EXACT, .action = ENTRY_DENY},
		{.id = 5, .pattern = "evil.test", .kind = ENTRY_EXACT, .action = ENTRY_DENY},
		{.id = 5, .pattern = NULL, .kind = ENTRY_EXACT, .action = ENTRY_DENY},
		{.id = 5, .pattern = "evil.test", .kind = ENTRY_DOMAIN},
		{.id = 5, .pattern = "evil.test", .kind = 77, .action = 77},
		{.id = 5,
		 .pattern = "evil.test",
		 .kind = ENTRY_DOMAIN,
		 .action = ENTRY_DENY,
		 .scope = scope},
	};

	memset(scope, 's', sizeof(scope) - 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct whitelist *list = whitelist_new();
		struct whitelist_change change = {.operation = ENTRY_REPLACE, .entry = bad[i]};
		size_t bad_rows;

		change.entry.scope = bad[i].scope != NULL ? bad[i].scope : "";
		whitelist_load_begin(list);
		whitelist_load_add(list, &(struct entry){.id = 1,
							 .pattern = "ok.test",
							 .kind = ENTRY_DOMAIN,
							 .action = ENTRY_ALLOW,
							 .scope = ""});
		whitelist_load_add(list, &change.entry);
		whitelist_load_end(list, 9, &bad_rows);
		ck_assert_uint_eq(bad_rows, 1);
		ck_assert_int_eq(entry_for(list, "x@ok.test", REASON_DENIED), 5);
		change.entry.note = "changed";
		whitelist_publish(list, &change, 1, 10);
		ck_assert_int_eq(entry_for(list, "x@ok.test", REASON_DENIED), 5);
		change.operation = ENTRY_REMOVE;
		whitelist_publish(list, &change, 1, 11);
		ck_assert_int_eq(entry_for(list, "x@ok.test", REASON_ALLOWED), 1);
		whitelist_free(&list);
	}
}
END_TEST

/* S163: rows that somebody wrote into the table by hand */
START_TEST(bad_rows_never_match)
{
	static const struct {
		const char *pattern;
		enum entry_kind kind;
	} bad[] = {
		{"x@EXAMPLE.com", ENTRY_EXACT},	  {" x@example.com", ENTRY_EXACT},
		{"x@example.com", ENTRY_DOMAIN},  {"*", ENTRY_EXACT},
		{"@example.com", ENTRY_DOMAIN},	  {"example.com", ENTRY_ALL},
		{"x*@example.com", ENTRY_EXACT},  {"", ENTRY_DOMAIN},
		{"x@example.com\n", ENTRY_EXACT}, {NULL, ENTRY_EXACT},
	};
	struct whitelist *list = whitelist_new();
	size_t bad_rows;

	whitelist_load_begin(list);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct entry entry = {.id = (int64_t)i + 1,
				      .pattern = bad[i].pattern,
				      .kind = bad[i].kind,
				      .action = ENTRY_ALLOW,
				      .scope = ""};

		whitelist_load_add(list, &entry);
	}
	whitelist_load_add(list, &(struct entry){.id = 90,
						 .pattern = "ok.test",
						 .kind = ENTRY_DOMAIN,
						 .action = ENTRY_ALLOW,
						 .scope = ""});
	whitelist_load_end(list, 9, &bad_rows);
	ck_assert_uint_eq(bad_rows, sizeof(bad) / sizeof(bad[0]));
	ck_assert_uint_eq(size_of(list), 1);
	entry_for(list, "x@example.com", REASON_NOT_LISTED);
	ck_assert_int_eq(entry_for(list, "x@ok.test", REASON_ALLOWED), 90);
	/* a row replaced by a bad one is gone, not as it was */
	whitelist_publish(list,
			  &(struct whitelist_change){.operation = ENTRY_REPLACE,
						     .entry = {.id = 90,
							       .pattern = "NOT ok",
							       .kind = ENTRY_DOMAIN,
							       .action = ENTRY_ALLOW,
							       .scope = ""}},
			  1, 10);
	entry_for(list, "x@ok.test", REASON_EMPTY_LIST);
	whitelist_free(&list);
}
END_TEST

START_TEST(allow_all_is_seen_through_layers)
{
	struct whitelist *list = list_of((const struct list_row[]){{"*", .id = 1}, {NULL}});
	const struct whitelist_snapshot *snapshot;

	for (int64_t id = 2; id < 200; id++) {
		char text[32];

		snprintf(text, sizeof(text), "u%d@x.test", (int)id);
		publish_row(list, ENTRY_ADD, &(struct list_row){text, .id = id}, id);
	}
	snapshot = whitelist_acquire(list);
	ck_assert(whitelist_allows_all(snapshot));
	whitelist_release(&snapshot);
	remove_id(list, 1, 300);
	snapshot = whitelist_acquire(list);
	ck_assert(!whitelist_allows_all(snapshot));
	ck_assert_uint_eq(whitelist_size(snapshot), 198);
	whitelist_release(&snapshot);
	publish_row(list, ENTRY_ADD, &(struct list_row){"*", .id = 400, .deny = true}, 301);
	publish_row(list, ENTRY_ADD, &(struct list_row){"*", .id = 401, .expires_at = 1}, 302);
	snapshot = whitelist_acquire(list);
	ck_assert(!whitelist_allows_all(snapshot));
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

START_TEST(hits_are_counted_once)
{
	struct whitelist *list = whitelist_new();
	struct entry_hits taken[1000];
	int64_t sum = 0;
	size_t n;

	for (int64_t round = 0; round < 3; round++)
		for (int64_t id = 1; id <= 500; id++)
			whitelist_count_hit(list, id * 7, 100 + round);
	whitelist_count_hit(list, 7, 50); /* a clock that went back changes no time */
	ck_assert_uint_eq(whitelist_take_hits(list, taken, 10), 10);
	whitelist_count_hit(list, taken[0].id, 999);
	n = whitelist_take_hits(list, taken + 10, 990);
	ck_assert_uint_eq(n, 491);
	for (size_t i = 0; i < 10 + n; i++) {
		sum += taken[i].hits;
		ck_assert(taken[i].last_hit_at == 102 || taken[i].last_hit_at == 999);
	}
	ck_assert_int_eq(sum, 1502);
	ck_assert_uint_eq(whitelist_take_hits(list, taken, 1000), 0);
	whitelist_free(&list);
}
END_TEST

/* S170: what has expired stays so, also where the clock is back before its time. */
START_TEST(once_over_it_stays_over)
{
	struct list_row row = {"a@x.test", 1, .expires_at = 1000};
	struct whitelist *list = whitelist_new();
	struct pattern pattern;
	struct entry entry = list_entry(&row, &pattern);
	size_t bad;

	for (int i = 0; i < 2; i++) {
		entry.expired_at = i == 0 ? 0 : 1001;
		whitelist_load_begin(list);
		whitelist_load_add(list, &entry);
		whitelist_load_end(list, 1, &bad);
		ck_assert_uint_eq(bad, 0);
		ck_assert_int_eq(verdict_at(list, "a@x.test", 500),
				 i == 0 ? REASON_ALLOWED : REASON_EXPIRED);
	}
	whitelist_free(&list);
}
END_TEST

START_TEST(what_it_holds_is_told)
{
	struct whitelist *list =
		list_of((const struct list_row[]){{"someone@x.test", 1}, {"y.test", 2}, {NULL}});
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);
	size_t bytes, strings;

	whitelist_bytes(snapshot, &bytes, &strings);
	ck_assert_uint_ge(strings, strlen("someone@x.test") + strlen("y.test"));
	ck_assert_uint_gt(bytes, strings);
	whitelist_release(&snapshot);
	whitelist_free(&list);
}
END_TEST

/* x_free accepts NULL. */
START_TEST(nothing_is_let_go_of)
{
	struct published *published = NULL;
	struct whitelist_prepared *prepared = NULL;
	struct hits *hits = NULL;

	whitelist_prepared_free(&prepared);
	ck_assert_ptr_null(prepared);
	published_free(&published);
	hits_free(&hits);
	ck_assert_ptr_null(published);
	ck_assert_ptr_null(hits);
}
END_TEST

/* --- publish and merge beside readers ------------------------------------------------------- */

#define MOVES	5000
#define BALLAST 6000

struct beside {
	struct whitelist *list;
	atomic_bool stop;
};

/*
 * The writer keeps two facts true in every version: steady@ is always
 * allowed; exactly one of ping@ and pong@ is. A reader that sees anything
 * else has seen half a version.
 */
static void *read_on(void *arg)
{
	struct beside *beside = arg;
	struct address steady;
	struct address ping;
	struct address pong;
	int64_t last = 0;
	uintptr_t rounds = 0;

	address_parse(span_of("steady@x.test"), &steady, NULL);
	address_parse(span_of("ping@x.test"), &ping, NULL);
	address_parse(span_of("pong@x.test"), &pong, NULL);
	while (!atomic_load(&beside->stop)) {
		const struct whitelist_snapshot *snapshot = whitelist_acquire(beside->list);
		struct verdict verdict;
		int allowed = 0;

		verdict_judge(snapshot, &steady, span_of(""), 0, &verdict);
		ck_assert_int_eq(verdict.reason, REASON_ALLOWED);
		verdict_judge(snapshot, &ping, span_of(""), 0, &verdict);
		allowed += verdict.reason == REASON_ALLOWED;
		verdict_judge(snapshot, &pong, span_of(""), 0, &verdict);
		allowed += verdict.reason == REASON_ALLOWED;
		ck_assert_int_eq(allowed, 1);
		ck_assert_int_ge(whitelist_revision(snapshot), last);
		last = whitelist_revision(snapshot);
		whitelist_release(&snapshot);
		rounds++;
	}
	return (void *)rounds;
}

static void swap_ball(struct whitelist *list, int64_t move)
{
	struct list_row row = {move % 2 == 0 ? "ping@x.test" : "pong@x.test", .id = 100 + move};
	struct pattern pattern;
	struct whitelist_change changes[] = {
		{.operation = ENTRY_REMOVE, .entry = {.id = 99 + move}},
		{.operation = ENTRY_ADD, .entry = list_entry(&row, &pattern)}};

	whitelist_publish(list, changes, 2, 10 + move);
}

/* Enough lines at once that the thread has to merge. */
static void add_ballast(struct whitelist *list, int64_t first_id, int64_t revision)
{
	struct pattern *patterns = mem_array(BALLAST, sizeof(*patterns));
	struct whitelist_change *changes = mem_array(BALLAST, sizeof(*changes));

	for (int i = 0; i < BALLAST; i++) {
		char text[48];
		struct list_row row = {text, .id = first_id + i};

		snprintf(text, sizeof(text), "b%d.%d@ballast.test", (int)first_id, i);
		changes[i].operation = ENTRY_ADD;
		changes[i].entry = list_entry(&row, &patterns[i]);
	}
	whitelist_publish(list, changes, BALLAST, revision);
	mem_free(patterns);
	mem_free(changes);
}

START_TEST(readers_see_whole_versions)
{
	struct beside beside = {
		.list = list_of((const struct list_row[]){
			{"steady@x.test", .id = 1}, {"pong@x.test", .id = 99}, {NULL}})};
	pthread_t threads[3];
	size_t ballast = 0;

	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &beside), 0);
	for (int64_t move = 0; move < MOVES; move++) {
		swap_ball(beside.list, move);
		if (move % 1000 == 500) {
			add_ballast(beside.list, 1000000 + move * 10000, 10 + move);
			ballast += BALLAST;
		}
	}
	atomic_store(&beside.stop, true);
	for (size_t i = 0; i < 3; i++) {
		void *rounds;

		pthread_join(threads[i], &rounds);
		ck_assert_uint_gt((uintptr_t)rounds, 0);
	}
	ck_assert_uint_eq(size_of(beside.list), 2 + ballast);
	ck_assert_int_eq(entry_for(beside.list, "pong@x.test", REASON_ALLOWED), 100 + MOVES - 1);
	ck_assert_int_eq(entry_for(beside.list, "b1500000.7@ballast.test", REASON_NOT_LISTED), 0);
	ck_assert_int_eq(entry_for(beside.list, "b6000000.7@ballast.test", REASON_ALLOWED),
			 6000007);
	whitelist_free(&beside.list);
}
END_TEST

/* A load while the thread merges what was there before: the load stands. */
START_TEST(load_beside_a_merge)
{
	struct whitelist *list = whitelist_new();

	for (int round = 0; round < 20; round++) {
		size_t bad;
		struct pattern pattern;
		struct entry entry =
			list_entry(&(struct list_row){"only@x.test", .id = 5}, &pattern);

		add_ballast(list, 1000, 1);
		whitelist_load_begin(list);
		whitelist_load_add(list, &entry);
		whitelist_load_end(list, 2, &bad);
		ck_assert_uint_eq(size_of(list), 1);
		entry_for(list, "b1000.7@ballast.test", REASON_NOT_LISTED);
		ck_assert_int_eq(entry_for(list, "only@x.test", REASON_ALLOWED), 5);
	}
	whitelist_free(&list);
}
END_TEST

UNIT_MAIN("filter/whitelist", a_change_that_was_prepared, a_preview_is_in_force_nowhere,
	  changes_are_in_force_at_once, several_lines_for_one_id, bad_rows_never_match,
	  a_bad_row_that_may_deny_denies_everything, allow_all_is_seen_through_layers,
	  hits_are_counted_once, once_over_it_stays_over, nothing_is_let_go_of,
	  what_it_holds_is_told, readers_see_whole_versions, load_beside_a_merge)
