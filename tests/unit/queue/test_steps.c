/* tests schema/: a database of before is brought to the present, with what it holds */
#include <config.h>

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "queue/seen.h"
#include "queue/whitelist.h"
#include "schema/schema.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

static void run(sqlite3 *handle, const char *sql)
{
	char *error = NULL;

	ck_assert_msg(sqlite3_exec(handle, sql, NULL, NULL, &error) == SQLITE_OK, "%s: %s", error,
		      sql);
}

/* A folder with a database of step `version`, and `sql` run on it; closed. */
static void make_old(struct fixture *f, int version, const char *sql)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	sqlite3 *handle;
	char text[128];

	fixture_open(f);
	fixture_close(f);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(text, sizeof(text), "%s/stagepost.db%s", f->dir, ends[i]);
		unlink(text);
	}
	snprintf(text, sizeof(text), "%s/stagepost.db", f->dir);
	ck_assert_int_eq(sqlite3_open(text, &handle), SQLITE_OK);
	run(handle, "PRAGMA auto_vacuum=INCREMENTAL");
	for (int i = 0; i < version; i++)
		run(handle, schema_steps[i].sql);
	snprintf(text, sizeof(text), "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 SCHEMA_APPLICATION_ID, version);
	run(handle, text);
	run(handle, sql);
	sqlite3_close(handle);
}

static bool take_past(void *ctx, const struct whitelist_past *past)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%lld/%lld:%s ", (long long)past->entry,
		(long long)past->revision, past->pattern);
	return true;
}

static bool take_seen(void *ctx, const struct seen_row *seen)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%s%s ", seen->address, seen->refused ? "!" : "");
	return true;
}

/* The trail tells of the list what it knew then, and advice does not begin with nothing. */
START_TEST(step_12_knows_the_past)
{
	static const char sql[] =
		"INSERT INTO audit(at, actor, action, subject, before, after) VALUES"
		" (1, 'a', 'whitelist.add', 'x.test', NULL, '{\"id\":7,\"pattern\":\"x.test\"}'),"
		" (2, 'a', 'token.create', 'ci', NULL, '{\"id\":7}'),"
		" (3, 'a', 'whitelist.replace', 'y.test', '{\"id\":7}', '{\"id\":7}'),"
		" (4, 'a', 'whitelist.remove', 'y.test', '{\"id\":7}', NULL),"
		" (5, 'a', 'whitelist.remove', 'z.test', 'no JSON', NULL);"
		"INSERT INTO whitelist(pattern, kind, action, scope, created_at, expires_at, "
		"revision) VALUES('k.test', 2, 1, '', 1, 0, 1);"
		"INSERT INTO message(id, uid, received_at, sender, size, header_size, "
		"header_parsed, body_8bit, smtputf8, bare_cr, bare_lf, scope, client_port, "
		"received_field) VALUES(1, x'00112233445566778899aabbccddeeff', 10, '', 1, 1, 1, "
		"0, "
		"0, 0, 0, '', 1, ''), (2, x'10112233445566778899aabbccddeeff', 20, '', 1, 1, 1, 0, "
		"0, 0, 0, '', 1, '');"
		"INSERT INTO recipient(id, address, state, accepted_state, waiting_since, "
		"updated_at, verdict) VALUES(65536, 'Bob@X.test', 8, 8, 1, 1, 'drop'),"
		" (65537, 'amy@x.test', 6, 2, 1, 1, 'deliver'),"
		" (131072, 'bob@x.test', 6, 2, 1, 1, 'deliver'),"
		" (131073, 'cat@x.test', 5, 5, 1, 1, 'hold')";
	struct whitelist_past_query past = {.limit = 0};
	struct seen_query seen = {.since = 0};
	char text[500] = "";
	struct fixture f;

	make_old(&f, 11, sql);
	fixture_reopen(&f);
	ck_assert_int_eq(ask_sql(f.dir, "PRAGMA user_version"), schema_version());
	ck_assert_int_eq(queue_whitelist_history(f.reader, &past, take_past, text, NULL), ERR_OK);
	ck_assert_str_eq(text, "7/0:y.test 7/0:y.test 7/0:x.test ");
	text[0] = '\0';
	ck_assert_int_eq(queue_seen_each(f.reader, &seen, take_seen, text, NULL), ERR_OK);
	ck_assert_str_eq(text, "amy@x.test bob@x.test cat@x.test! ");
	ck_assert_int_eq(ask_sql(f.dir, "SELECT expired_at FROM whitelist"), 0);
	fixture_remove(&f);
}
END_TEST

/* Every step there was, from an empty database of that time. */
START_TEST(each_step_leads_to_the_present)
{
	for (int version = 1; version < schema_version(); version++) {
		struct fixture f;

		make_old(&f, version, "SELECT 1");
		fixture_reopen(&f);
		ck_assert_int_eq(ask_sql(f.dir, "PRAGMA user_version"), schema_version());
		accept_queued(&f, 1);
		fixture_remove(&f);
	}
}
END_TEST

UNIT_MAIN("queue/steps", step_12_knows_the_past, each_step_leads_to_the_present)
