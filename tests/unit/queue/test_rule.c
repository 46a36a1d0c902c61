/* tests queue/rule.c (issue 5, item 5); the order of such rows: test_fault.c */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "queue/delivery.h"
#include "queue/rule.h"
#include "queue/token.h"
#include "tests/unit/queue/ordered.h"
#include "tests/unit/unit.h"

static void on_rules(void *ctx, const struct rule *rows, size_t count)
{
	struct published *published = ctx;

	published->names[0] = '\0';
	published->times++;
	for (size_t i = 0; i < count; i++)
		names_add(published->names, sizeof(published->names), rows[i].name);
}

static void open_published(struct fixture *f, struct published *published)
{
	*published = (struct published){.times = 0};
	fixture_open_with(f, &(struct store_options){.on_rules = on_rules, .ctx = published});
}

static const struct rule_header headers[] = {
	{"Subject", RULE_GLOB, "*two words* "},
	{"X-Env", RULE_EXACT, ""},
	{"List-Id", RULE_PRESENT, ""},
	{"X-None", RULE_ABSENT, ""},
};

#define HEADER_COUNT (sizeof(headers) / sizeof(headers[0]))

static struct rule rule_named(const char *name)
{
	return (struct rule){.name = name,
			     .enabled = true,
			     .action = RULE_REDIRECT,
			     .redirect_to = "qa@example.com",
			     .tag = "[t] ",
			     .overrides_whitelist = true,
			     .sender = "<>",
			     .recipient = "bob@example.com",
			     .client = "10.0.0.0/8",
			     .user = "app-*",
			     .listener = "*:25",
			     .scope = "shop",
			     .min_size = 5,
			     .max_size = 6,
			     .headers = headers,
			     .header_count = HEADER_COUNT,
			     .note = "a note"};
}

static struct rule_apply apply(struct fixture *f, struct rule_apply job, int want)
{
	change_ordered(f, &job.change, queue_rule_apply, &job.job, want);
	return job;
}

static int64_t add(struct fixture *f, const char *name, int64_t before)
{
	struct rule_apply job = {.rule = rule_named(name),
				 .change = {.operation = ORDERED_ADD, .before_id = before}};

	return apply(f, job, ERR_OK).rule.id;
}

static void expect_same(const struct rule *got, const struct rule *want)
{
	ck_assert_str_eq(got->name, want->name);
	ck_assert(got->enabled == want->enabled);
	ck_assert_int_eq(got->action, want->action);
	ck_assert_str_eq(got->redirect_to, want->redirect_to);
	ck_assert_str_eq(got->tag, want->tag);
	ck_assert(got->overrides_whitelist == want->overrides_whitelist);
	ck_assert_str_eq(got->sender, want->sender);
	ck_assert_str_eq(got->recipient, want->recipient);
	ck_assert_str_eq(got->client, want->client);
	ck_assert_str_eq(got->user, want->user);
	ck_assert_str_eq(got->listener, want->listener);
	ck_assert_str_eq(got->scope, want->scope);
	ck_assert_int_eq(got->min_size, want->min_size);
	ck_assert_int_eq(got->max_size, want->max_size);
	ck_assert_uint_eq(got->header_count, want->header_count);
	for (size_t i = 0; i < want->header_count; i++) {
		ck_assert_str_eq(got->headers[i].name, want->headers[i].name);
		ck_assert_int_eq(got->headers[i].match, want->headers[i].match);
		ck_assert_str_eq(got->headers[i].value, want->headers[i].value);
	}
	ck_assert_str_eq(got->note, want->note);
}

START_TEST(rules_keep_their_order_and_their_words)
{
	struct arena *arena = arena_new();
	struct rule want = rule_named("b");
	struct published published;
	const struct rule *rows;
	struct fixture f;
	size_t count;
	int64_t a;

	open_published(&f, &published);
	a = add(&f, "a", 0);
	add(&f, "b", a);
	ck_assert_str_eq(published.names, "b a ");
	fixture_reopen(&f);
	ck_assert_int_eq(queue_rule_list(f.reader, arena, &rows, &count, NULL), ERR_OK);
	ck_assert_uint_eq(count, 2);
	expect_same(&rows[0], &want);
	ck_assert_int_eq(rows[0].created_at, NOW);
	ck_assert_str_eq(rows[0].created_by, "token:x");
	ck_assert_int_eq(rows[0].revision, 2);
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

START_TEST(changed_and_removed)
{
	struct rule_apply job = {.change = {.operation = ORDERED_REPLACE}};
	struct arena *arena = arena_new();
	struct published published;
	const struct rule *rows;
	struct fixture f;
	size_t count;
	int64_t a, b;

	open_published(&f, &published);
	a = add(&f, "a", 0);
	b = add(&f, "b", 0);
	job.rule = rule_named("b");
	job.rule.id = a;
	published.times = 0;
	ck_assert_int_eq(apply(&f, job, ERR_CONFLICT).change.existing_id, b);
	ck_assert_uint_eq(published.times, 0);
	job.rule.name = "c";
	job.rule.header_count = 0;
	job.rule.enabled = false;
	job.change.expect_revision = 9;
	apply(&f, job, ERR_STALE);
	job.change.expect_revision = 1;
	job.change.moves = true;
	ck_assert_int_eq(apply(&f, job, ERR_OK).rule.revision, 3);
	ck_assert_str_eq(published.names, "b c ");
	ck_assert_int_eq(queue_rule_list(f.reader, arena, &rows, &count, NULL), ERR_OK);
	expect_same(&rows[1], &job.rule);
	ck_assert_str_eq(rows[1].created_by, "token:x");
	job = (struct rule_apply){.rule = {.id = b}, .change = {.operation = ORDERED_REMOVE}};
	apply(&f, job, ERR_OK);
	apply(&f, job, ERR_NOT_FOUND);
	ck_assert_str_eq(published.names, "c ");
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

/* Somebody wrote into the database: what is read is no rule for those who check it. */
START_TEST(a_condition_that_is_none_has_no_name)
{
	struct arena *arena = arena_new();
	struct published published;
	const struct rule *rows;
	struct fixture f;
	size_t count;

	open_published(&f, &published);
	add(&f, "a", 0);
	fixture_close(&f);
	run_sql(f.dir, "UPDATE rule SET headers = 'matches Subject x'");
	fixture_reopen(&f);
	ck_assert_int_eq(queue_rule_list(f.reader, arena, &rows, &count, NULL), ERR_OK);
	ck_assert_uint_eq(rows[0].header_count, 1);
	ck_assert_str_eq(rows[0].headers[0].name, "");
	arena_free(&arena);
	fixture_remove(&f);
}
END_TEST

UNIT_MAIN("queue/rule", rules_keep_their_order_and_their_words, changed_and_removed,
	  a_condition_that_is_none_has_no_name)
