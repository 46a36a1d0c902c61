/* tests queue/walk.c and queue/indexer.c: what is looked for is found, with the index and without
 */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/connection.h"
#include "tests/unit/queue/fixture.h"
#include "tests/unit/unit.h"

#define MESSAGES	  9000 /* four whole blocks, and some */
#define UNINDEXED_AT_MOST (2048 + 512)
#define SPARSE		  20000 /* a block with few messages in it */

static void insert(const char *dir, int first, int last)
{
	char sql[1600];

	snprintf(
		sql, sizeof(sql),
		"BEGIN; CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i"
		" + 1 FROM c WHERE i < %d) SELECT i FROM c;"
		"INSERT INTO message SELECT i, randomblob(16), i * 1000, 'App' || (i %% 50) ||"
		" '@shop.test', 0, 0, 1, 0, 0, NULL, NULL, 0, 0, 'l', iif(i %% 3, '', 'team'),"
		" '192.0.2.1', 1, NULL, 'helo', 'ESMTP', NULL, NULL, 'Invoice ' || i || ' word' ||"
		" (i %% 7) || ' f\xc3\xbcr 100%%', '<' || (i * 7919) || '.x@mail.test>',"
		" 'Received: x', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM n;"
		"INSERT INTO recipient(id, address, state, accepted_state, waiting_since,"
		" updated_at, verdict, verdict_reason) SELECT i << 16, 'user' || i ||"
		" '@example.com', iif(i %% 900, 6, 8), 2, i, i, 'deliver', 'because' FROM n;"
		"INSERT INTO recipient(id, address, state, accepted_state, waiting_since,"
		" updated_at, verdict, verdict_reason) SELECT (i << 16) + 1, 'copy' || (i %% 11) ||"
		" '@other.test', 5, 5, i, i, 'hold', 'because' FROM n WHERE i %% 4 = 0; COMMIT",
		first, last);
	run_sql(dir, sql);
}

static void fill(struct fixture *f)
{
	fixture_close(f);
	insert(f->dir, 1, MESSAGES);
	insert(f->dir, SPARSE, SPARSE + 4);
	insert(f->dir, SPARSE + 5000, SPARSE + 5000);
	fixture_reopen(f);
}

static void await_index(struct fixture *f)
{
	while (store_unindexed(f->store) > UNINDEXED_AT_MOST ||
	       ask_sql(f->dir, "SELECT count(*) FROM search_block WHERE stale") > 0)
		usleep(2000);
}

#define BOTH                                                                                       \
	"FROM message m WHERE EXISTS (SELECT 1 FROM recipient r WHERE r.id IN (m.id << 16, (m.id " \
	"<< 16) + 1)"                                                                              \
	" AND "
#define ROWS "FROM recipient r JOIN message m ON m.id = r.id >> 16 WHERE "
#define ANY_TEXT(text)                                                                             \
	"instr(lower(m.subject || char(10) || m.sender || char(10) || m.message_id || char(10) ||" \
	" r.address), '" text "')"

/* What SQL says of the same, by looking at all rows. */
static const struct {
	struct message_query query;
	const char *messages;
	const char *rows;
} cases[] = {
	{{0}, "FROM message", "FROM recipient"},
	{{.subject = "invoice"}, "FROM message", "FROM recipient"},
	{{.subject = "invoice 4711 f\xc3\xbcr"},
	 "FROM message WHERE instr(subject, '4711')",
	 ROWS "instr(subject, '4711')"},
	{{.subject = "word3  500"},
	 "FROM message WHERE instr(subject, 'word3') AND instr(subject, '500')",
	 ROWS "instr(subject, 'word3') AND instr(subject, '500')"},
	{{.subject = "17"}, "FROM message WHERE instr(subject, '17')", ROWS "instr(subject, '17')"},
	{{.subject = "shop"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.from = "aPP7@"},
	 "FROM message WHERE sender = 'App7@shop.test'",
	 ROWS "sender = 'App7@shop.test'"},
	{{.to = "COPY3@"},
	 BOTH "r.address = 'copy3@other.test')",
	 ROWS "r.address = 'copy3@other.test'"},
	{{.to = "user90", .state = STATE_DROPPED},
	 BOTH "instr(r.address, 'user90') AND r.state = 8)",
	 ROWS "instr(r.address, 'user90') AND r.state = 8"},
	{{.state = STATE_DROPPED}, BOTH "r.state = 8)", ROWS "r.state = 8"},
	{{.state = STATE_HELD, .subject = "word1"},
	 BOTH "r.state = 5 AND instr(m.subject, 'word1'))",
	 ROWS "r.state = 5 AND instr(m.subject, 'word1')"},
	{{.state = STATE_DELIVERING}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.since = 2500000, .until = 2600000, .subject = "word5"},
	 "FROM message WHERE received_at >= 2500000 AND received_at < 2600000 AND"
	 " instr(subject, 'word5')",
	 ROWS "received_at >= 2500000 AND received_at < 2600000 AND instr(subject, 'word5')"},
	{{.since = 6000000, .state = STATE_DROPPED},
	 BOTH "r.state = 8) AND received_at >= 6000000",
	 ROWS "r.state = 8 AND received_at >= 6000000"},
	{{.until = 1000}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "mail.test"}, "FROM message", "FROM recipient"},
	{{.q = "7919"}, BOTH ANY_TEXT("7919") ")", ROWS ANY_TEXT("7919")},
	{{.q = "user77 INVOICE"},
	 BOTH "instr(r.address, 'user77'))",
	 ROWS "instr(r.address, 'user77')"},
	{{.q = "copy5@ word2"},
	 BOTH "r.address = 'copy5@other.test' AND instr(m.subject, 'word2'))",
	 ROWS "r.address = 'copy5@other.test' AND instr(m.subject, 'word2')"},
	{{.q = "xyzzy invoice"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	/* CASES S308, S309: nothing stands for anything else. */
	{{.q = "100%"}, "FROM message", "FROM recipient"},
	{{.q = "%%"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "w_rd"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "\""}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "*"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "NEAR(invoice)"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "invoice OR nothing"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "subject:invoice"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "'; DROP TABLE message; --"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "\xff\xfe"}, "FROM message WHERE 0", "FROM recipient WHERE 0"},
	{{.q = "  "}, "FROM message", "FROM recipient"},
	{{.q = "a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9 A B C"},
	 "FROM message WHERE 0",
	 "FROM recipient WHERE 0"},
	{{.scope = "team", .subject = "word4"},
	 "FROM message WHERE scope = 'team' AND instr(subject, 'word4')",
	 ROWS "m.scope = 'team' AND instr(m.subject, 'word4')"},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static int64_t count_messages(struct store_reader *reader, struct message_query query)
{
	struct message_page page = {.more = true};
	int64_t total = 0;

	for (query.limit = 700; page.more; query.before = page.next) {
		struct arena *arena = arena_new();
		int64_t last = INT64_MAX;
		struct err why = {""};

		ck_assert_msg(queue_message_list(reader, &query, arena, &page, &why) == ERR_OK,
			      "%s", why.text);
		for (size_t i = 0; i < page.count; i++) {
			ck_assert_int_lt(page.views[i].m.received_at, last);
			last = page.views[i].m.received_at;
		}
		ck_assert(!page.more || page.is_late || page.count == 700);
		total += (int64_t)page.count;
		arena_free(&arena);
	}
	return total;
}

static int64_t count_recipients(struct store_reader *reader, const struct message_query *message)
{
	struct recipient_query query = {.message = *message, .limit = 700};
	struct recipient_page page = {.more = true};
	int64_t total = 0, counted = -1;

	for (; page.more; query.before_id = page.next) {
		struct arena *arena = arena_new();
		int64_t last = INT64_MAX;

		ck_assert_int_eq(queue_recipient_list(reader, &query, arena, &page, NULL), ERR_OK);
		for (size_t i = 0; i < page.count; i++) {
			ck_assert_int_lt(page.rows[i].recipient.id, last);
			last = page.rows[i].recipient.id;
		}
		total += (int64_t)page.count;
		arena_free(&arena);
	}
	ck_assert_int_eq(queue_recipient_count(reader, &query, &counted, NULL), ERR_OK);
	ck_assert_int_eq(counted, total);
	return total;
}

/* States and words pass over what the other does not have: by turns, and of several states. */
static void expect_several_states(struct fixture *f, struct store_reader *reader)
{
	struct recipient_query query = {.message = {.q = "word6 shop1"},
					.states = 1U << STATE_DROPPED | 1U << STATE_HELD};
	int64_t counted = -1;

	ck_assert_int_eq(queue_recipient_count(reader, &query, &counted, NULL), ERR_OK);
	ck_assert_int_eq(counted, 0);
	query.message.q = "word6 app1";
	ck_assert_int_eq(queue_recipient_count(reader, &query, &counted, NULL), ERR_OK);
	ck_assert_int_gt(counted, 10);
	ck_assert_int_eq(counted,
			 ask_sql(f->dir, "SELECT count(*) FROM recipient r JOIN message m"
					 " ON m.id = r.id >> 16 WHERE r.state IN (5, 8) AND"
					 " instr(m.subject, 'word6') AND"
					 " instr(m.sender, 'App1')"));
}

static void expect_all_cases(struct fixture *f, struct store_reader *reader)
{
	expect_several_states(f, reader);
	for (size_t i = 0; i < CASES; i++) {
		char sql[600];

		snprintf(sql, sizeof(sql), "SELECT count(*) %s", cases[i].messages);
		ck_assert_msg(count_messages(reader, cases[i].query) == ask_sql(f->dir, sql),
			      "messages of case %zu", i);
		snprintf(sql, sizeof(sql), "SELECT count(*) %s", cases[i].rows);
		ck_assert_msg(count_recipients(reader, &cases[i].query) == ask_sql(f->dir, sql),
			      "recipients of case %zu", i);
	}
}

START_TEST(S308_S309_the_index_says_what_all_rows_say)
{
	struct fixture f;

	fixture_open(&f);
	fill(&f);
	await_index(&f);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM search_block"), 5 + 1);
	expect_all_cases(&f, f.reader);
	/* Some blocks are known, others not, or no longer. */
	fixture_close(&f);
	run_sql(f.dir, "UPDATE search_block SET stale = 1 WHERE block = 1;"
		       "DELETE FROM search_block WHERE block = 2; DELETE FROM search_gram WHERE id"
		       " >> 24 = 2 AND id % 3 = 0");
	ck_assert_int_eq(store_reader_open_offline(f.dir, &f.reader, NULL), ERR_OK);
	expect_all_cases(&f, f.reader);
	store_reader_close(&f.reader);
	fixture_reopen(&f);
	await_index(&f);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM search_block"), 5 + 1);
	expect_all_cases(&f, f.reader);
	fixture_remove(&f);
}
END_TEST

static struct ulid id_of(struct fixture *f, const char *subject)
{
	struct message_query query = {.subject = subject, .limit = 2};
	struct arena *arena = arena_new();
	struct message_page page;
	struct ulid id;

	ck_assert_int_eq(queue_message_list(f->reader, &query, arena, &page, NULL), ERR_OK);
	ck_assert_uint_eq(page.count, 1);
	id = page.views[0].m.id;
	arena_free(&arena);
	return id;
}

static int64_t count_q(struct fixture *f, const char *q)
{
	return count_messages(f->reader, (struct message_query){.q = q});
}

static bool let_go(void *ctx, const struct act_subject *subject, struct ruling *ruling_out)
{
	(void)ctx;
	(void)subject;
	*ruling_out = (struct ruling){"deliver", "test", 1, 1, NULL, NULL};
	return true;
}

START_TEST(what_changes_is_found_at_once_and_later)
{
	struct act_judge judge = {let_go, NULL};
	struct act act = {.judge = &judge, .to = "somebody@else.test"};
	struct message_delete removal = {.now = NOW};
	char text[ULID_TEXT_SIZE];
	struct fixture f;
	struct ulid id;

	fixture_open(&f);
	fill(&f);
	await_index(&f);
	/* A message by its id, also beside other filters. */
	id = id_of(&f, "invoice 1236");
	ulid_format(&id, text);
	ck_assert_int_eq(count_q(&f, text), 1);
	ck_assert_int_eq(count_messages(f.reader, (struct message_query){.q = text, .to = "copy"}),
			 1);
	ck_assert_int_eq(count_messages(f.reader, (struct message_query){.q = text, .to = "zz"}),
			 0);
	/* A recipient comes to it. */
	ck_assert_int_eq(act_on(&f, &id, TRANSITION_RELEASE, &act), ERR_OK);
	ck_assert_int_eq(count_q(&f, "somebody"), 1);
	await_index(&f);
	ck_assert_int_eq(count_q(&f, "somebody 1236"), 1);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM search_block"), 5 + 1);
	/* One that just came is found before anything was written down of it. */
	accept_queued(&f, 1);
	ck_assert_int_eq(count_q(&f, "r0@example"), 1);
	/* With the last message of a block goes what is known of it. */
	for (int i = 0; i < 5; i++) {
		char subject[32];

		snprintf(subject, sizeof(subject), "invoice %d", SPARSE + i);
		removal.message = id_of(&f, subject);
		ck_assert_int_eq(store_wait(f.store, queue_message_delete, &removal.job, NULL),
				 ERR_OK);
		ck_assert_int_eq(
			count_messages(f.reader, (struct message_query){.subject = subject}), 0);
	}
	await_index(&f);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM search_block"), 5);
	ck_assert_int_eq(ask_sql(f.dir, "SELECT count(*) FROM search_gram WHERE id >> 24 = 9"), 0);
	fixture_remove(&f);
}
END_TEST

/* A page ends when its time is up, and the next ones lead to the end. */
START_TEST(S308_a_page_has_its_time)
{
	struct message_query query = {.subject = "word3 xyzzy", .limit = 10, .time_ms = 1};
	struct message_page page = {.more = true};
	struct arena *arena = arena_new();
	int late = 0, looked = 0;
	struct fixture f;

	fixture_open(&f);
	fill(&f);
	fixture_close(&f);
	run_sql(f.dir, "DELETE FROM search_block; DELETE FROM search_gram");
	ck_assert_int_eq(store_reader_open_offline(f.dir, &f.reader, NULL), ERR_OK);
	for (; page.more; query.before = page.next, looked++) {
		ck_assert_int_eq(queue_message_list(f.reader, &query, arena, &page, NULL), ERR_OK);
		ck_assert_uint_eq(page.count, 0);
		ck_assert(page.more == page.is_late);
		late += page.is_late;
	}
	ck_assert_int_gt(late, 0);
	ck_assert_int_eq(looked, late + 1);
	query = (struct message_query){.subject = "word3", .time_ms = 1};
	ck_assert_int_eq(
		count_messages(f.reader, query),
		ask_sql(f.dir, "SELECT count(*) FROM message WHERE instr(subject, 'word3')"));
	store_reader_close(&f.reader);
	fixture_reopen(&f);
	fixture_remove(&f);
	arena_free(&arena);
}
END_TEST

UNIT_MAIN("queue/search", S308_S309_the_index_says_what_all_rows_say,
	  what_changes_is_found_at_once_and_later, S308_a_page_has_its_time)
