/* tests queue/whitelist.c, token.c and audit.c */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "queue/token.h"
#include "queue/whitelist.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

/* Whole-list changes as they were published, while the job was not done yet. */
struct published {
	int calls;
	size_t count;
	int64_t revision;
	int64_t first_id;
	char first_pattern[64];
};

static void on_whitelist(void *ctx, const struct whitelist_change *changes, size_t count,
			 int64_t revision)
{
	struct published *published = ctx;

	published->calls++;
	published->count = count;
	published->revision = revision;
	published->first_id = changes[0].entry.id;
	strncpy(published->first_pattern, changes[0].entry.pattern,
		sizeof(published->first_pattern) - 1);
}

static void open_published(struct fixture *f, struct published *published)
{
	memset(published, 0, sizeof(*published));
	fixture_open_with(f,
			  &(struct store_options){.on_whitelist = on_whitelist, .ctx = published});
}

static struct whitelist_change change_of(enum entry_operation operation, int64_t id,
					 const char *pattern)
{
	return (struct whitelist_change){.operation = operation,
					 .entry = {.id = id,
						   .pattern = pattern,
						   .kind = ENTRY_EXACT,
						   .action = ENTRY_ALLOW,
						   .scope = "",
						   .note = "a Note"}};
}

static struct whitelist_apply apply_all(struct fixture *f, struct whitelist_change *changes,
					size_t count, int64_t expect, int want)
{
	struct whitelist_apply apply = {.changes = changes,
					.count = count,
					.expect_list_revision = expect,
					.actor = "token:x",
					.now = NOW};
	struct err why = {""};
	int code = store_wait(f->store, queue_whitelist_apply, &apply.job, &why);

	ck_assert_msg(code == want, "apply: %s %s", err_name(code), why.text);
	return apply;
}

static bool collect(void *ctx, const struct entry *entry)
{
	char *text = ctx;

	strcat(strcat(text, entry->pattern), " ");
	return true;
}

static void expect_list(struct fixture *f, int64_t want_revision, const char *want)
{
	char text[512] = "";
	int64_t revision = -1;

	ck_assert_int_eq(queue_whitelist_snapshot(f->reader, &revision, collect, text, NULL),
			 ERR_OK);
	ck_assert_str_eq(text, want);
	ck_assert_int_eq(revision, want_revision);
}

START_TEST(a_change_is_one_revision_and_published_first)
{
	struct published published;
	struct fixture f;
	struct whitelist_change changes[] = {change_of(ENTRY_ADD, 0, "a@x.test"),
					     change_of(ENTRY_ADD, 0, "b@x.test")};
	struct whitelist_apply apply;

	open_published(&f, &published);
	expect_list(&f, 0, "");
	apply = apply_all(&f, changes, 2, 0, ERR_OK);
	ck_assert_int_eq(apply.revision, 1);
	ck_assert_int_eq(published.calls, 1);
	ck_assert_uint_eq(published.count, 2);
	ck_assert_int_eq(published.revision, 1);
	ck_assert_int_eq(published.first_id, changes[0].entry.id);
	ck_assert_str_eq(published.first_pattern, "a@x.test");
	ck_assert_int_gt(changes[0].entry.id, 0);
	ck_assert_int_eq(changes[1].entry.revision, 1);
	expect_list(&f, 1, "a@x.test b@x.test ");
	/* No lines, no revision, nothing to publish. */
	apply = apply_all(&f, NULL, 0, 1, ERR_OK);
	ck_assert_int_eq(apply.revision, 1);
	ck_assert_int_eq(published.calls, 1);
	fixture_remove(&f);
}
END_TEST

START_TEST(all_of_a_change_or_nothing)
{
	struct published published;
	struct fixture f;
	struct whitelist_change first[] = {change_of(ENTRY_ADD, 0, "a@x.test")};
	struct whitelist_change second[] = {change_of(ENTRY_ADD, 0, "b@x.test"),
					    change_of(ENTRY_ADD, 0, "a@x.test"),
					    change_of(ENTRY_ADD, 0, "c@x.test")};
	struct whitelist_change missing[] = {change_of(ENTRY_ADD, 0, "b@x.test"),
					     change_of(ENTRY_REMOVE, 99, NULL)};
	struct whitelist_apply apply;

	open_published(&f, &published);
	apply_all(&f, first, 1, -1, ERR_OK);
	apply = apply_all(&f, second, 3, -1, ERR_CONFLICT);
	ck_assert_uint_eq(apply.failed_at, 1);
	ck_assert_int_eq(second[1].existing_id, first[0].entry.id);
	apply = apply_all(&f, missing, 2, -1, ERR_NOT_FOUND);
	ck_assert_uint_eq(apply.failed_at, 1);
	apply_all(&f, missing, 1, 77, ERR_STALE);
	expect_list(&f, 1, "a@x.test ");
	ck_assert_int_eq(published.calls, 1);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit"), 1);
	/* Allow and deny of one pattern may both stand. */
	first[0].entry.action = ENTRY_DENY;
	apply_all(&f, first, 1, -1, ERR_OK);
	fixture_remove(&f);
}
END_TEST

START_TEST(replace_and_remove_mind_the_revision)
{
	struct published published;
	struct fixture f;
	struct whitelist_change change = change_of(ENTRY_ADD, 0, "a@x.test");
	struct entry_hits hit = {0, 5, NOW + 3};
	struct whitelist_hits hits = {.hits = &hit, .count = 1};
	int64_t id;

	open_published(&f, &published);
	apply_all(&f, &change, 1, -1, ERR_OK);
	hit.id = id = change.entry.id;
	ck_assert_int_eq(store_wait(f.store, queue_whitelist_hits, &hits.job, NULL), ERR_OK);
	expect_list(&f, 1, "a@x.test "); /* hits change no revision */

	change = change_of(ENTRY_REPLACE, id, "z@x.test");
	change.expect_revision = 9;
	apply_all(&f, &change, 1, -1, ERR_STALE);
	change.expect_revision = 1;
	apply_all(&f, &change, 1, -1, ERR_OK);
	ck_assert_int_eq(change.entry.revision, 2);
	ck_assert_int_eq(change.entry.hits, 5);
	ck_assert_int_eq(change.entry.last_hit_at, NOW + 3);
	ck_assert_int_eq(change.entry.created_at, NOW);
	expect_list(&f, 2, "z@x.test ");

	change = change_of(ENTRY_REMOVE, id, NULL);
	apply_all(&f, &change, 1, 2, ERR_OK);
	ck_assert_str_eq(published.first_pattern, "z@x.test"); /* filled in */
	expect_list(&f, 3, "");
	/* S268: its id does not come back. */
	change = change_of(ENTRY_ADD, 0, "n@x.test");
	apply_all(&f, &change, 1, -1, ERR_OK);
	ck_assert_int_gt(change.entry.id, id);
	fixture_remove(&f);
}
END_TEST

static bool take_first(void *ctx, const struct audit_row *audit)
{
	char *text = ctx;

	strcat(strcat(text, audit->action), audit->before != NULL ? "-" : "+");
	strcat(text, audit->after != NULL ? "+ " : "- ");
	return true;
}

START_TEST(the_trail_tells_before_and_after)
{
	struct published published;
	struct fixture f;
	struct whitelist_change change = change_of(ENTRY_ADD, 0, "a@x.test");
	char text[256] = "";

	open_published(&f, &published);
	apply_all(&f, &change, 1, -1, ERR_OK);
	change = change_of(ENTRY_REPLACE, change.entry.id, "b@x.test");
	apply_all(&f, &change, 1, -1, ERR_OK);
	change = change_of(ENTRY_REMOVE, change.entry.id, NULL);
	apply_all(&f, &change, 1, -1, ERR_OK);
	ck_assert_int_eq(queue_audit_list(f.reader, 0, 10, take_first, text, NULL), ERR_OK);
	ck_assert_str_eq(text, "whitelist.remove-- whitelist.replace-+ whitelist.add++ ");
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action ="
					" 'whitelist.replace' AND before ->> 'pattern' = 'a@x.test'"
					" AND after ->> 'pattern' = 'b@x.test'"),
			 1);
	text[0] = '\0';
	ck_assert_int_eq(queue_audit_list(f.reader, 3, 1, take_first, text, NULL), ERR_OK);
	ck_assert_str_eq(text, "whitelist.replace-+ ");
	fixture_remove(&f);
}
END_TEST

START_TEST(pages_and_filters)
{
	static const struct {
		struct whitelist_query query;
		const char *want;
	} rows[] = {
		{{.limit = 2}, "a@x.test b%@x.test "},
		{{.limit = 2, .after_id = 2}, "c@y.test d@y.test "},
		{{.contains = "Y.TEST"}, "c@y.test d@y.test "},
		{{.contains = "%"}, "b%@x.test "}, /* taken literally */
		{{.contains = "_"}, ""},
		{{.contains = "NOTE", .limit = 1}, "a@x.test "},
		{{.contains = ""}, "a@x.test b%@x.test c@y.test d@y.test "},
		{{.scope = "shop"}, "d@y.test "},
		{{.scope = ""}, "a@x.test b%@x.test c@y.test "},
		{{.action = ENTRY_DENY}, "c@y.test "},
	};
	struct published published;
	struct fixture f;
	struct whitelist_change changes[] = {
		change_of(ENTRY_ADD, 0, "a@x.test"), change_of(ENTRY_ADD, 0, "b%@x.test"),
		change_of(ENTRY_ADD, 0, "c@y.test"), change_of(ENTRY_ADD, 0, "d@y.test")};

	open_published(&f, &published);
	changes[2].entry.action = ENTRY_DENY;
	changes[3].entry.scope = "shop";
	apply_all(&f, changes, 4, -1, ERR_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256] = "";
		int64_t revision = 0;

		ck_assert_int_eq(queue_whitelist_list(f.reader, &rows[i].query, &revision, collect,
						      text, NULL),
				 ERR_OK);
		ck_assert_msg(strcmp(text, rows[i].want) == 0, "row %zu: %s", i, text);
		ck_assert_int_eq(revision, 1);
	}
	ck_assert_int_eq(queue_whitelist_get(f.reader, 99, collect, NULL, NULL), ERR_NOT_FOUND);
	fixture_remove(&f);
}
END_TEST

START_TEST(tokens_live_and_end)
{
	struct arena *arena = arena_new();
	struct fixture f;
	struct token_create create = {
		.token = {.name = "ci", .role = ROLE_OPERATOR, .scope = "shop", .expires_at = NOW},
		.digest = {1, 2, 3},
		.actor = "socket:0",
		.now = NOW};
	struct token_create other;
	struct token_revoke revoke = {.actor = "socket:0", .now = NOW};
	struct token_use use = {.now = NOW + 5};
	struct token token;
	int64_t count = -1;

	fixture_open(&f);
	ck_assert_int_eq(store_wait(f.store, queue_token_create, &create.job, NULL), ERR_OK);
	ck_assert_int_gt(create.token.id, 0);
	ck_assert_int_eq(queue_token_find(f.reader, create.digest, arena, &token, NULL), ERR_OK);
	ck_assert_str_eq(token.name, "ci");
	ck_assert_int_eq(token.role, ROLE_OPERATOR);
	ck_assert_str_eq(token.scope, "shop");
	ck_assert_int_eq(token.created_at, NOW);
	ck_assert_str_eq(token.created_by, "socket:0");
	ck_assert_int_eq(token.expires_at, NOW);

	other = create;
	other.digest[0] = 9;
	ck_assert_int_eq(store_wait(f.store, queue_token_create, &other.job, NULL), ERR_CONFLICT);
	ck_assert_int_eq(queue_token_find(f.reader, other.digest, arena, &token, NULL),
			 ERR_NOT_FOUND);

	use.id = create.token.id;
	ck_assert_int_eq(store_wait(f.store, queue_token_use, &use.job, NULL), ERR_OK);
	use.now = NOW; /* the clock went back */
	ck_assert_int_eq(store_wait(f.store, queue_token_use, &use.job, NULL), ERR_OK);
	ck_assert_int_eq(queue_token_get(f.reader, create.token.id, arena, &token, NULL), ERR_OK);
	ck_assert_str_eq(token.name, "ci");
	ck_assert_int_eq(token.last_used_at, NOW + 5);
	ck_assert(!token.revoked);
	ck_assert_int_eq(queue_token_get(f.reader, 99, arena, &token, NULL), ERR_NOT_FOUND);

	revoke.id = create.token.id;
	ck_assert_int_eq(store_wait(f.store, queue_token_revoke, &revoke.job, NULL), ERR_OK);
	ck_assert_int_eq(queue_token_find(f.reader, create.digest, arena, &token, NULL),
			 ERR_NOT_FOUND);
	ck_assert_int_eq(store_wait(f.store, queue_token_revoke, &revoke.job, NULL), ERR_NOT_FOUND);
	ck_assert_int_eq(queue_token_get(f.reader, create.token.id, arena, &token, NULL), ERR_OK);
	ck_assert(token.revoked);
	ck_assert_int_eq(store_wait(f.store, queue_token_create, &other.job, NULL), ERR_OK);
	ck_assert_int_eq(queue_token_count(f.reader, &count, NULL), ERR_OK);
	ck_assert_int_eq(count, 1);
	/* The trail never holds the secret, nor its digest. */
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE action LIKE 'token.%'"),
			 3);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM audit WHERE after LIKE '%digest%'"),
			 0);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

static bool take_past(void *ctx, const struct whitelist_past *past)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%lld:%s:%s%s%s ", (long long)past->revision,
		strchr(past->action, '.') + 1, past->pattern, past->before != NULL ? "-" : "",
		past->after != NULL ? "+" : "");
	ck_assert_int_gt(past->entry, 0);
	return true;
}

static void expect_past(struct fixture *f, const struct whitelist_past_query *query,
			const char *want)
{
	char text[1000] = "";

	ck_assert_int_eq(queue_whitelist_history(f->reader, query, take_past, text, NULL), ERR_OK);
	ck_assert_str_eq(text, want);
}

START_TEST(what_became_of_the_list)
{
	struct published published;
	struct fixture f;
	struct whitelist_change changes[] = {change_of(ENTRY_ADD, 0, "a@x.test"),
					     change_of(ENTRY_ADD, 0, "b@x.test")};
	struct whitelist_past_query query = {.limit = 0};
	int64_t id;

	open_published(&f, &published);
	changes[1].entry.scope = "shop";
	apply_all(&f, changes, 2, -1, ERR_OK);
	id = changes[0].entry.id;
	changes[0] = change_of(ENTRY_REPLACE, id, "c@x.test");
	apply_all(&f, changes, 1, -1, ERR_OK);
	changes[0] = change_of(ENTRY_REMOVE, id, NULL);
	apply_all(&f, changes, 1, -1, ERR_OK);
	/* What is not of the list is not in its history. */
	run_sql(f.dir, "INSERT INTO audit(at, action, subject) VALUES(1, 'token.create', 'x')");
	expect_past(&f, &query,
		    "3:remove:c@x.test- 2:replace:c@x.test-+ 1:add:b@x.test+ 1:add:a@x.test+ ");
	query.entry = id;
	expect_past(&f, &query, "3:remove:c@x.test- 2:replace:c@x.test-+ 1:add:a@x.test+ ");
	query.limit = 1;
	query.before_id = 4;
	expect_past(&f, &query, "2:replace:c@x.test-+ ");
	query = (struct whitelist_past_query){.pattern = "c@x.test"};
	expect_past(&f, &query, "3:remove:c@x.test- 2:replace:c@x.test-+ ");
	query = (struct whitelist_past_query){.scope = "shop"};
	expect_past(&f, &query, "1:add:b@x.test+ ");
	query = (struct whitelist_past_query){.since = NOW + 1};
	expect_past(&f, &query, "");
	fixture_remove(&f);
}
END_TEST

static int64_t expire_at(struct fixture *f, int64_t now, size_t want)
{
	struct whitelist_expire expire = {.now = now};

	ck_assert_int_eq(store_wait(f->store, queue_whitelist_expire, &expire.job, NULL), ERR_OK);
	ck_assert_uint_eq(expire.expired, want);
	return expire.next_at;
}

START_TEST(S170_what_is_over_is_written_down)
{
	struct published published;
	struct fixture f;
	struct whitelist_change changes[] = {change_of(ENTRY_ADD, 0, "a@x.test"),
					     change_of(ENTRY_ADD, 0, "b@x.test"),
					     change_of(ENTRY_ADD, 0, "c@x.test")};
	struct whitelist_past_query query = {.limit = 1};
	struct whitelist_change change;
	int64_t id;

	open_published(&f, &published);
	changes[0].entry.expires_at = NOW + 10;
	changes[1].entry.expires_at = NOW + 20;
	apply_all(&f, changes, 3, -1, ERR_OK);
	id = changes[0].entry.id;
	ck_assert_int_eq(expire_at(&f, NOW + 9, 0), NOW + 10);
	ck_assert_int_eq(expire_at(&f, NOW + 10, 1), NOW + 20);
	ck_assert_int_eq(expire_at(&f, NOW + 11, 0), NOW + 20); /* once */
	expect_list(&f, 1, "a@x.test b@x.test c@x.test ");	/* nobody changed the list */
	expect_past(&f, &query, "0:expire:a@x.test-+ ");
	ck_assert_int_eq(expire_at(&f, NOW + 99, 1), 0);
	/* Another note does not bring it back, another end does. */
	change = change_of(ENTRY_REPLACE, id, "a@x.test");
	change.entry.expires_at = NOW + 10;
	change.entry.note = "other";
	apply_all(&f, &change, 1, -1, ERR_OK);
	ck_assert_int_eq(change.entry.expired_at, NOW + 10);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT expired_at FROM whitelist WHERE id = 1"), NOW + 10);
	change = change_of(ENTRY_REPLACE, id, "a@x.test");
	change.entry.expires_at = NOW + 500;
	apply_all(&f, &change, 1, -1, ERR_OK);
	ck_assert_int_eq(change.entry.expired_at, 0);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT expired_at FROM whitelist WHERE id = 1"), 0);
	ck_assert_int_eq(expire_at(&f, NOW + 99, 0), NOW + 500);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/whitelist", what_became_of_the_list, S170_what_is_over_is_written_down,
	  a_change_is_one_revision_and_published_first, all_of_a_change_or_nothing,
	  replace_and_remove_mind_the_revision, the_trail_tells_before_and_after, pages_and_filters,
	  tokens_live_and_end)
