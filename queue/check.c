/* queue/check.c - is the database whole? */
#include "queue/check.h"

#include <stdio.h>
#include <string.h>

#include "queue/connection.h"
#include "queue/counters.h"
#include "queue/folder.h"
#include "queue/message.h"
#include "queue/proof.h"

#define NAMES_MAX 64
/* What the tables say of each other, and then addresses, pieces and counts. */
#define RELATIONS	  20
#define LOOKS_AT_CONTENTS (RELATIONS + 3)

static void say(struct check *check, const char *sentence)
{
	check->problems++;
	if (check->on_problem != NULL)
		check->on_problem(check->ctx, sentence);
}

static void step(struct check *check)
{
	check->steps++;
	if (check->on_step != NULL)
		check->on_step(check->ctx, check->steps, check->looks);
}

/*
 * A file that is damaged ends the statement that meets it, not the look: the
 * others may have more to say.
 */
static int note_damage(struct check *check, const char *what, int code, struct err *why)
{
	char sentence[sizeof(why->text) + 64];

	if (code != ERR_FATAL)
		return code;
	snprintf(sentence, sizeof(sentence), "%s: %s", what, why->text);
	say(check, sentence);
	return ERR_OK;
}

/* --- what SQLite says ----------------------------------------------------------- */

static const char sql_whole[] =
	"SELECT integrity_check FROM pragma_integrity_check(100) WHERE integrity_check <> 'ok'";
static const char sql_table[] =
	"SELECT integrity_check FROM pragma_integrity_check(?1) WHERE integrity_check <> 'ok'";
static const char sql_tables[] =
	"SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 64";

static void say_line(struct check *check, struct span line)
{
	char sentence[200];

	/* A title, not a finding. */
	if (span_starts_fold(line, "***"))
		return;
	snprintf(sentence, sizeof(sentence), "%.*s", (int)line.len, line.data);
	say(check, sentence);
}

static int take_answers(struct check *check, struct query *query, struct err *why)
{
	bool row = true;
	int code = ERR_OK;

	while (code == ERR_OK && (code = query_row(query, &row, why)) == ERR_OK && row) {
		struct span rest = span_of(query_take_text(query));

		while (rest.len > 0)
			say_line(check, span_cut(&rest, '\n'));
	}
	return code;
}

static int check_whole(struct check *check, struct db *db, struct err *why)
{
	struct query query;
	int code = query_begin(&query, db, sql_whole, why);

	check->looks = 1 + LOOKS_AT_CONTENTS;
	if (code == ERR_OK)
		code = take_answers(check, &query, why);
	code = note_damage(check, "pages", code, why);
	step(check);
	return code;
}

static int check_table(struct check *check, struct db *db, const char *name, struct err *why)
{
	struct query query;
	int code = query_begin(&query, db, sql_table, why);

	if (code == ERR_OK) {
		query_give_text(&query, name);
		code = take_answers(check, &query, why);
	}
	return note_damage(check, name, code, why);
}

static int check_tables(struct check *check, struct db *db, struct err *why)
{
	struct arena *arena = arena_new();
	const char *names[NAMES_MAX];
	size_t count = 0;
	struct query query;
	bool row = true;
	int code = query_begin(&query, db, sql_tables, why);

	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row)
		names[count++] = query_take_copy(&query, arena);
	code = note_damage(check, "tables", code, why);
	check->looks = (int64_t)count + LOOKS_AT_CONTENTS;
	for (size_t i = 0; code == ERR_OK && i < count; i++) {
		code = check_table(check, db, names[i], why);
		step(check);
	}
	arena_free(&arena);
	return code;
}

/* --- what our tables say of each other --------------------------------------------- */

/* Each answers the message's ULID (NULL: there is none), its number, and what is wrong. */
#define SOME " LIMIT 100"

static const char sql_no_message[] =
	"SELECT NULL, r.id >> 16, 'has a recipient and is not there itself'"
	" FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16 WHERE m.id IS NULL" SOME;
static const char sql_no_recipient[] =
	"SELECT m.uid, m.id, 'has no recipient' FROM message m WHERE NOT EXISTS"
	" (SELECT 1 FROM recipient r WHERE r.id >= m.id << 16 AND r.id < (m.id + 1) << 16)" SOME;
static const char sql_staged[] = "SELECT m.uid, m.id, 'was accepted and is marked as unfinished'"
				 " FROM message m JOIN staging s ON s.message = m.id"
				 " WHERE m.removed_at IS NULL" SOME;
static const char sql_stray_chunk[] =
	"SELECT NULL, c.id >> 16, 'has content and is not there itself' FROM chunk c"
	" LEFT JOIN message m ON m.id = c.id >> 16 LEFT JOIN staging s ON s.message = c.id >> 16"
	" WHERE m.id IS NULL AND s.message IS NULL GROUP BY c.id >> 16" SOME;
/* All but the last are full, and they are numbered without a gap. */
static const char sql_size[] =
	"SELECT m.uid, m.id, 'has ' || coalesce(sum(length(c.data)), 0) || ' octets of content in '"
	" || count(c.id) || ' pieces instead of ' || m.size FROM message m LEFT JOIN chunk c"
	" ON c.id >= m.id << 16 AND c.id < (m.id + 1) << 16 WHERE m.removed_at IS NULL GROUP BY "
	"m.id"
	" HAVING coalesce(sum(length(c.data)), 0) <> m.size"
	" OR count(c.id) <> coalesce(max(c.id & 65535) + 1, 0)" SOME;
/* What is left of it goes step by step, and staging says so. */
static const char sql_kept[] =
	"SELECT m.uid, m.id, 'has content that retention was said to have removed' FROM message m"
	" WHERE m.removed_at IS NOT NULL AND EXISTS (SELECT 1 FROM chunk c"
	" WHERE c.id >= m.id << 16 AND c.id < (m.id + 1) << 16)"
	" AND NOT EXISTS (SELECT 1 FROM staging s WHERE s.message = m.id)" SOME;
/* Retention goes by `finished`: what is there may go, what is not there stays. 6: the first state
 * that is an end. */
static const char sql_finished[] =
	"SELECT m.uid, m.id, CASE WHEN f.message IS NULL"
	" THEN 'is done with and would never go by itself'"
	" ELSE 'is not done with and marked as if it were' END"
	" FROM message m LEFT JOIN finished f ON f.message = m.id WHERE (f.message IS NOT NULL) ="
	" EXISTS (SELECT 1 FROM recipient r WHERE r.id >= m.id << 16"
	" AND r.id < (m.id + 1) << 16 AND r.state < 6)" SOME;
static const char sql_empty[] =
	"SELECT m.uid, f.message, CASE WHEN m.id IS NULL THEN 'is done with and is not there'"
	" ELSE 'is not told apart from those whose content is there' END"
	" FROM finished f LEFT JOIN message m ON m.id = f.message"
	" WHERE m.id IS NULL OR (m.removed_at IS NULL) = (f.kinds = 8)" SOME;
/* 1 to 11: queue/state.h; 2 and 4 are the states that wait for their time. */
static const char sql_state[] =
	"SELECT m.uid, r.id >> 16, 'has a recipient in state ' || r.state || ', which is none'"
	" FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE r.state NOT BETWEEN 1 AND 11" SOME;
static const char sql_due[] =
	"SELECT m.uid, r.id >> 16, CASE WHEN r.due_at IS NULL"
	" THEN 'has a recipient that waits and would never be tried'"
	" ELSE 'has a recipient that would be tried though it does not wait' END"
	" FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE (r.due_at IS NULL) = (r.state IN (2, 4))" SOME;
static const char sql_parked[] =
	"SELECT m.uid, r.id >> 16, 'has a recipient that is parked though it does not wait'"
	" FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE r.parked IS NOT NULL AND r.state NOT IN (2, 4)" SOME;
/* 7: redirected. Once a message and target, not once a recipient: there may be thousands. */
static const char sql_stand_in[] =
	"SELECT m.uid, r.id >> 16, 'has a redirected recipient for whom nobody stands' FROM"
	" (SELECT min(id) AS id, redirect_to FROM recipient WHERE state = 7"
	" GROUP BY id >> 16, redirect_to) r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE NOT EXISTS (SELECT 1 FROM recipient s WHERE s.id >= (r.id >> 16) << 16"
	" AND s.id < ((r.id >> 16) + 1) << 16 AND s.address = r.redirect_to COLLATE NOCASE)" SOME;
static const char sql_lease[] =
	"SELECT m.uid, r.id >> 16, 'has a recipient whose lease and state contradict each other'"
	" FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE (r.lease IS NULL AND r.state = 3) OR (r.lease IS NOT NULL AND r.state NOT IN (1, "
	"3))" SOME;
/* Being asked about, under a lease, or to be asked about. */
static const char sql_ask[] =
	"SELECT m.uid, r.id >> 16, CASE WHEN r.ask_at IS NULL"
	" THEN 'has a recipient that the policy hook would never be asked about'"
	" ELSE 'has a recipient that the policy hook is to be asked about for nothing' END"
	" FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE (r.ask_at IS NOT NULL OR r.lease IS NOT NULL) <> (r.state = 1)"
	" AND r.state <> 3" SOME;
/* 6 and above: it is done with, and so is the secret. */
static const char sql_login[] =
	"SELECT m.uid, r.id >> 16, 'has a finished recipient that keeps a login for its next hop'"
	" FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE r.login IS NOT NULL AND r.state >= 6" SOME;
static const char sql_stray_history[] =
	"SELECT NULL, h.recipient >> 16, 'has a history and no such recipient' FROM history h"
	" LEFT JOIN recipient r ON r.id = h.recipient WHERE r.id IS NULL GROUP BY h.recipient" SOME;
static const char sql_events[] =
	"SELECT m.uid, r.id >> 16, 'has a recipient with more history than it counted'"
	" FROM recipient r JOIN message m ON m.id = r.id >> 16 WHERE r.events <"
	" (SELECT max(sequence) FROM history h WHERE h.recipient = r.id)" SOME;
static const char sql_stray_line[] =
	"SELECT NULL, NULL, 'a line of the whitelist is on its way for nobody' FROM intake_line"
	" WHERE intake NOT IN (SELECT id FROM intake)" SOME;
static const char sql_meta[] =
	"SELECT NULL, NULL, 'the table meta lacks ' || column1 FROM"
	" (VALUES('whitelist_revision'), ('next_message'), ('fault_revision'),"
	" ('rule_revision'))"
	" WHERE column1 NOT IN (SELECT name FROM meta)" SOME;

/* What was written down as the number of recipients in each state. */
static const char sql_tally[] =
	"SELECT NULL, NULL, 'of ' || coalesce(c.number, 0) || ' recipients in state ' || t.kind ||"
	" ', ' || t.number || ' were counted' FROM tally t LEFT JOIN"
	" (SELECT state, count(*) AS number FROM recipient GROUP BY state) c ON c.state = t.kind"
	" WHERE t.kind < 100 AND t.number <> coalesce(c.number, 0)" SOME;

static const char *const relations[RELATIONS] = {
	sql_no_message, sql_no_recipient, sql_staged, sql_stray_chunk, sql_size,
	sql_state,	sql_due,	  sql_lease,  sql_meta,	       sql_stray_history,
	sql_events,	sql_parked,	  sql_tally,  sql_ask,	       sql_stand_in,
	sql_login,	sql_stray_line,	  sql_kept,   sql_finished,    sql_empty,
};

static void say_about(struct check *check, struct span uid, int64_t number, const char *text)
{
	char name[ULID_TEXT_SIZE] = "";
	struct ulid id;
	char sentence[200];

	if (uid.len == sizeof(id.bytes)) {
		memcpy(id.bytes, uid.data, sizeof(id.bytes));
		ulid_format(&id, name);
	}
	if (name[0] != '\0')
		snprintf(sentence, sizeof(sentence), "message %s %s", name, text);
	else if (number != 0)
		snprintf(sentence, sizeof(sentence), "message number %lld %s", (long long)number,
			 text);
	else
		snprintf(sentence, sizeof(sentence), "%s", text);
	say(check, sentence);
}

static void say_row(struct check *check, struct query *query)
{
	struct span uid = query_take_bytes(query);
	int64_t number = query_take_int(query);

	say_about(check, uid, number, query_take_text(query));
}

static int check_relation(struct check *check, struct db *db, const char *sql, struct err *why)
{
	struct query query;
	bool row = true;
	int code = query_begin(&query, db, sql, why);

	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row)
		say_row(check, &query);
	return note_damage(check, "contents", code, why);
}

/* NULL for an address with a NUL inside: none of ours has one (S126). */
static const char sql_proofs[] =
	"SELECT m.uid, r.id, CASE WHEN instr(CAST(r.address AS BLOB), x'00') = 0 THEN r.address "
	"END,"
	" r.proof FROM recipient r LEFT JOIN message m ON m.id = r.id >> 16"
	" WHERE r.proof IS NOT NULL";

/* An address that changed by itself (queue/proof.h); such a recipient is held, not sent to. */
static int check_proofs(struct check *check, struct db *db, struct err *why)
{
	struct identity identity;
	struct query query;
	bool row = true;
	int code = identity_read(db, &identity, why);

	if (code == ERR_OK)
		code = query_begin(&query, db, sql_proofs, why);
	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct span uid = query_take_bytes(&query);
		int64_t id = query_take_int(&query);
		const char *address = query_take_text(&query);

		if (address == NULL ||
		    query_take_int(&query) != proof_of(identity.database, id, address))
			say_about(check, uid, id >> 16,
				  "has a recipient whose address is not the one that was accepted");
	}
	return note_damage(check, "contents", code, why);
}

static const char sql_pieces[] = "SELECT m.uid, c.id, c.data, c.proof FROM chunk c"
				 " LEFT JOIN message m ON m.id = c.id >> 16"
				 " WHERE c.proof IS NOT NULL";

static int check_pieces(struct check *check, struct db *db, struct err *why)
{
	struct identity identity;
	struct query query;
	bool row = true;
	int code = identity_read(db, &identity, why);

	if (code == ERR_OK)
		code = query_begin(&query, db, sql_pieces, why);
	while (code == ERR_OK && (code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct span uid = query_take_bytes(&query);
		int64_t id = query_take_int(&query);
		struct span data = query_take_bytes(&query);

		if (query_take_int(&query) != proof_of_chunk(identity.database, id, data))
			say_about(check, uid, id >> 16, "has content that is not what came in");
	}
	return note_damage(check, "contents", code, why);
}

static int check_contents(struct check *check, struct db *db, struct err *why)
{
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < RELATIONS; i++) {
		code = check_relation(check, db, relations[i], why);
		step(check);
	}
	if (code == ERR_OK)
		code = check_proofs(check, db, why);
	step(check);
	if (code == ERR_OK)
		code = check_pieces(check, db, why);
	step(check);
	if (code == ERR_OK)
		code = note_damage(check, "contents", counters_count(db, &check->stats, why), why);
	step(check);
	return code;
}

/* --- all of it ------------------------------------------------------------------------ */

static int check_reader(struct check *check, struct store_reader *reader, struct err *why)
{
	struct db *db = reader_db(reader);
	int code = check->in_use ? check_tables(check, db, why) : check_whole(check, db, why);

	return code == ERR_OK ? check_contents(check, db, why) : code;
}

int queue_check(struct check *check, struct err *why)
{
	struct store_reader *reader = NULL;
	int code;

	check->in_use = check->file == NULL && folder_is_locked(check->data_dir);
	check->problems = 0;
	check->steps = 0;
	memset(&check->stats, 0, sizeof(check->stats));
	code = check->file != NULL ? reader_open_file(check->file, &reader, why)
				   : reader_open_untouched(check->data_dir, &reader, why);
	if (code != ERR_OK)
		return note_damage(check, "opening", code, why);
	code = check_reader(check, reader, why);
	store_reader_close(&reader);
	if (code == ERR_OK && check->problems > 0 && !check->in_use && check->file == NULL &&
	    folder_is_locked(check->data_dir))
		return err_set(why, ERR_STALE,
			       "a daemon was started during the check: run it again");
	return code;
}
