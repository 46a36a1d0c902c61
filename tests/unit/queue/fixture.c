/* tests/unit/queue/fixture.c - a store in a folder of its own */
#include <config.h>

#include "tests/unit/queue/fixture.h"

#include <check.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void count_due(void *ctx)
{
	((struct watch *)ctx)->due++;
}

static void count_fatal(void *ctx, const char *why)
{
	(void)why;
	((struct watch *)ctx)->fatal++;
}

static void open_store(struct fixture *f)
{
	struct err why = {""};
	int code = store_open(&f->options, &f->store, &why);

	ck_assert_msg(code == ERR_OK, "store_open: %s", why.text);
	code = store_reader_open(f->store, &f->reader, &why);
	ck_assert_msg(code == ERR_OK, "store_reader_open: %s", why.text);
}

void fixture_open_with(struct fixture *f, const struct store_options *options)
{
	const char *tmp = getenv("TMPDIR");

	memset(f, 0, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "%s/stagepost-queue-XXXXXX", tmp != NULL ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(f->dir));
	f->options = *options;
	f->options.data_dir = f->dir;
	open_store(f);
}

void fixture_open(struct fixture *f)
{
	fixture_open_with(f, &(struct store_options){.on_fatal = count_fatal,
						     .on_due = count_due,
						     .ctx = &f->watch});
}

void fixture_close(struct fixture *f)
{
	store_reader_close(&f->reader);
	store_close(&f->store);
}

void fixture_reopen(struct fixture *f)
{
	fixture_close(f);
	open_store(f);
}

void fixture_remove(struct fixture *f)
{
	static const char *const names[] = {"stagepost.db", "stagepost.db-wal", "stagepost.db-shm",
					    "lock"};

	fixture_close(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	rmdir(f->dir);
}

static char octet(int64_t i, unsigned seed)
{
	return (char)((i * 31 + (i >> 8) * 7 + (i >> 16) + seed) & 0xff);
}

struct body *make_body(struct store *store, int64_t size, unsigned seed)
{
	struct body *body = body_new(store, NULL, NULL);
	char piece[10007];
	int64_t at = 0;

	while (at < size) {
		size_t len = 0;

		while (len < sizeof(piece) && at < size)
			piece[len++] = octet(at++, seed);
		body_append(body, span_make(piece, len));
	}
	return body;
}

int check_body(struct store_reader *reader, const struct ulid *id, int64_t size, unsigned seed)
{
	struct err why;
	struct buf buf;
	int64_t at = 0;
	int code = ERR_OK;

	buf_init(&buf, BODY_CHUNK_BYTES);
	for (int64_t sequence = 0; code == ERR_OK; sequence++) {
		buf_clear(&buf);
		code = queue_body_read(reader, id, sequence, &buf, &why);
		if (code != ERR_OK || buf.len == 0)
			break;
		for (size_t i = 0; i < buf.len; i++, at++)
			if (buf.data[i] != octet(at, seed))
				code = ERR_SYNTAX;
	}
	buf_release(&buf);
	if (code == ERR_OK && at != size)
		code = ERR_LIMIT;
	return code;
}

static struct new_message plain_message(int64_t size, const struct new_recipient *recipients,
					size_t count)
{
	return (struct new_message){.id = ulid_new(NOW),
				    .received_at = NOW,
				    .sender = "app@example.org",
				    .size = size,
				    .header_size = size < 100 ? size : 100,
				    .header_parsed = true,
				    .scope = "",
				    .client_address = "192.0.2.1",
				    .client_port = 40000,
				    .helo = "app.example.org",
				    .protocol = "ESMTP",
				    .listener = "127.0.0.1:2525",
				    .subject = "Hello",
				    .message_id = "<1@example.org>",
				    .received_field = "Received: from app\r\n",
				    .recipients = recipients,
				    .recipient_count = count};
}

int accept_one(struct store *store, int64_t size, unsigned seed, size_t recipients,
	       enum state state, struct ulid *id_out)
{
	struct new_recipient *list = mem_array(recipients, sizeof(*list));
	char(*names)[64] = mem_array(recipients, sizeof(*names));
	struct new_message message = plain_message(size, list, recipients);
	struct accept accept = {.message = &message, .body = make_body(store, size, seed)};
	struct err why;
	int code;

	for (size_t i = 0; i < recipients; i++) {
		snprintf(names[i], sizeof(names[i]), "r%zu@example.com", i);
		list[i] = (struct new_recipient){
			.address = names[i],
			.state = state,
			.ruling = {state == STATE_DROPPED ? "drop" : "deliver",
				   state == STATE_DROPPED ? "no entry allows it"
							  : "allowed by example.com",
				   7, 3, NULL, NULL}};
	}
	code = store_wait(store, queue_accept, &accept.job, &why);
	ck_assert_ptr_null(accept.body);
	if (id_out != NULL)
		*id_out = message.id;
	mem_free(names);
	mem_free(list);
	return code;
}

struct ulid accept_as(struct fixture *f, size_t recipients, enum state state)
{
	struct ulid id;

	ck_assert_int_eq(accept_one(f->store, 4096, 1, recipients, state, &id), ERR_OK);
	return id;
}

struct ulid accept_queued(struct fixture *f, size_t recipients)
{
	return accept_as(f, recipients, STATE_QUEUED);
}

struct claim claim_at(struct fixture *f, int64_t now, size_t max)
{
	struct claim claim = {.now = now, .max_recipients = max, .lease_ms = 60000};
	struct err why = {""};
	int code = store_wait(f->store, queue_claim, &claim.job, &why);

	ck_assert_msg(code == ERR_OK, "claim: %s", why.text);
	return claim;
}

int64_t claim_nothing(struct fixture *f, int64_t now)
{
	struct claim claim = claim_at(f, now, 100);

	ck_assert_uint_eq(claim.message_count, 0);
	arena_free(&claim.arena);
	return claim.next_due_at;
}

struct claimed_recipient claim_single_at(struct fixture *f, int64_t now)
{
	struct claim claim = claim_at(f, now, 100);
	struct claimed_recipient recipient;

	ck_assert_uint_eq(claim.message_count, 1);
	ck_assert_uint_eq(claim.messages[0].recipient_count, 1);
	recipient = claim.messages[0].recipients[0];
	recipient.address = NULL;
	recipient.notify = NULL;
	recipient.orcpt = NULL;
	arena_free(&claim.arena);
	return recipient;
}

struct claimed_recipient claim_single(struct fixture *f)
{
	return claim_single_at(f, NOW);
}

struct claimed_recipient open_claimed(struct fixture *f, struct ulid *id_out)
{
	fixture_open(f);
	*id_out = accept_queued(f, 1);
	return claim_single(f);
}

size_t settle_as(struct fixture *f, int64_t recipient, int64_t lease, enum transition outcome)
{
	bool silent = outcome == TRANSITION_UNCLAIM;
	const struct new_recipient stand_in = {
		.address = "qa@team.test", .state = STATE_DROPPED, .ruling = {.verdict = "drop"}};
	struct settlement settlement = {.recipient = recipient,
					.lease = lease,
					.outcome = outcome,
					.next_attempt_at = NOW + 60000,
					.reason = silent ? NULL : "the next hop said so",
					.route = silent ? NULL : "default",
					.remote = silent ? NULL : "mx.example.com[192.0.2.9]:25",
					.tls = silent ? NULL : "TLSv1.3 X, verified",
					.reply_code = silent ? 0 : 250,
					.reply_text = silent ? NULL : "ok",
					.redirect = outcome == TRANSITION_REDIRECT ? &stand_in
										   : NULL};
	struct settle settle = {.now = NOW + 5, .settlements = &settlement, .count = 1};
	struct err why = {""};
	int code = store_wait(f->store, queue_settle, &settle.job, &why);

	ck_assert_msg(code == ERR_OK, "settle: %s", why.text);
	return settle.lost;
}

int act_on(struct fixture *f, const struct ulid *id, enum transition transition,
	   struct act *act_out)
{
	struct err why;

	act_out->message = *id;
	act_out->transition = transition;
	act_out->now = NOW + 7;
	act_out->actor = "token:test";
	return store_wait(f->store, queue_act, &act_out->job, &why);
}

struct message_view show(struct fixture *f, const struct ulid *id, struct arena *arena)
{
	struct message_view view;
	struct err why = {""};
	int code = queue_message_show(f->reader, id, arena, &view, &why);

	ck_assert_msg(code == ERR_OK, "show: %s", why.text);
	return view;
}

enum state state_of(struct fixture *f, const struct ulid *id, size_t recipient)
{
	struct arena *arena = arena_new();
	struct message_view view = show(f, id, arena);
	enum state state = view.recipients[recipient].state;

	arena_free(&arena);
	return state;
}

static sqlite3 *open_file(const char *dir)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/stagepost.db", dir);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	/* The person's tool must not checkpoint beside the writer (DESIGN 4.2). */
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return db;
}

void run_sql(const char *dir, const char *sql)
{
	sqlite3 *db = open_file(dir);
	char *message = NULL;

	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s", message);
	sqlite3_close(db);
}

int64_t ask_sql(const char *dir, const char *sql)
{
	sqlite3 *db = open_file(dir);
	sqlite3_stmt *statement;
	int64_t answer;

	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
	answer = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return answer;
}
