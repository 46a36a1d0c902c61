/* queue/indexer.c - the grams of messages, written down when the writer has time */
#include "queue/indexer.h"

#include "queue/gram.h"
#include "queue/reader.h"
#include "queue/upkeep.h"

#define READ_MESSAGES	256 /* a step */
#define READ_RECIPIENTS 512
#define WRITE_GRAMS	512
#define CLEAR_GRAMS	1024
#define LOOK_BLOCKS	64
/*
 * Messages that are on their way have numbers already: a block is looked at
 * when those that come late are likely to have come.
 */
#define LAG_MESSAGES 512

enum indexer_phase {
	INDEXER_RESTS,
	INDEXER_CLEARS, /* what is known of the block goes */
	INDEXER_READS_MESSAGES,
	INDEXER_READS_RECIPIENTS,
	INDEXER_WRITES
};

struct indexer {
	enum indexer_phase phase;
	int64_t block;		 /* that is at work */
	int64_t at;		 /* where reading goes on: a message, then a recipient */
	_Atomic int64_t seen_to; /* blocks below are known, or have nothing in them; for all */
	int64_t highest;	 /* no block above is known, or at work */
	int64_t first_at;
	int64_t last_at;
	bool is_clear;
	bool has_messages;
	bool again;	/* something came to the block meanwhile */
	bool has_stale; /* there may be a block to which something came since */
	struct postings *postings;
};

struct indexer *indexer_new(void)
{
	struct indexer *indexer = mem_zalloc(sizeof(*indexer));

	indexer->highest = -1;
	indexer->has_stale = true;
	indexer->postings = postings_new();
	return indexer;
}

void indexer_free(struct indexer **indexer)
{
	if (*indexer == NULL)
		return;
	postings_free(&(*indexer)->postings);
	mem_free(*indexer);
	*indexer = NULL;
}

int indexer_load(struct store *store, struct err *why)
{
	return db_get_int(&store->db, "SELECT coalesce(max(block), -1) FROM search_block",
			  &store->indexer->highest, why);
}

/* --- what changes ------------------------------------------------------------- */

static const char sql_stale[] = "UPDATE search_block SET stale = 1 WHERE block = ?1 AND stale = 0";

static int run_for_block(struct store *store, const char *sql, int64_t block, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, block);
	return query_run(&query, why);
}

int indexer_touch(struct store *store, int64_t message, struct err *why)
{
	struct indexer *indexer = store->indexer;
	int64_t block = block_of(message);

	if (block > indexer->highest)
		return ERR_OK;
	if (indexer->phase != INDEXER_RESTS && block == indexer->block)
		indexer->again = true;
	indexer->has_stale = true;
	return run_for_block(store, sql_stale, block, why);
}

static const char sql_any[] = "SELECT 1 FROM message WHERE id >= ?1 AND id < ?2 LIMIT 1";

static int has_message(struct store *store, int64_t block, bool *any_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_any, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, block_first(block));
	query_give_int(&query, block_first(block + 1));
	code = query_row(&query, any_out, why);
	if (code == ERR_OK && *any_out)
		query_end(&query);
	return code;
}

int indexer_forget(struct store *store, int64_t message, struct err *why)
{
	int64_t block = block_of(message);
	bool any = true;
	int code;

	if (block > store->indexer->highest)
		return ERR_OK;
	code = has_message(store, block, &any, why);
	if (code != ERR_OK || any)
		return code;
	store->indexer->has_stale = true;
	return run_for_block(store, sql_stale, block, why);
}

/* --- which block is next --------------------------------------------------------- */

static const char sql_stale_one[] =
	"SELECT block FROM search_block WHERE stale = 1 AND block >= ?1 LIMIT 1";
static const char sql_from[] = "SELECT id FROM message WHERE id >= ?1 ORDER BY id LIMIT 1";
static const char sql_known[] = "SELECT block FROM search_block WHERE block = ?1";

static int ask(struct store *store, const char *sql, int64_t value, int64_t *answer_out,
	       struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, value);
	return query_only_int(&query, -1, answer_out, why);
}

/* No block from here on is looked at: some of its messages may not be there yet. */
static int64_t end_of_blocks(const struct store *store)
{
	return block_of(atomic_load(&store->next_message) - LAG_MESSAGES);
}

/* The first one from seen_to on that has messages, all its numbers given out, and is not known. */
static int find_new(struct store *store, int64_t *block_out, struct err *why)
{
	struct indexer *indexer = store->indexer;
	int64_t end = end_of_blocks(store);
	int code = ERR_OK;

	for (int i = 0; i < LOOK_BLOCKS && code == ERR_OK && indexer->seen_to < end; i++) {
		int64_t message = -1;
		int64_t known = -1;
		int64_t block;

		code = ask(store, sql_from, block_first(indexer->seen_to), &message, why);
		block = message >= 0 ? block_of(message) : end;
		if (code != ERR_OK || block >= end) {
			indexer->seen_to = code == ERR_OK ? end : indexer->seen_to;
			return code;
		}
		code = ask(store, sql_known, block, &known, why);
		indexer->seen_to = block;
		if (code == ERR_OK && known < 0) {
			*block_out = block;
			return ERR_OK;
		}
		indexer->seen_to = block + 1;
	}
	return code;
}

static int choose(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;
	int64_t block = -1;
	int code = indexer->has_stale ? ask(store, sql_stale_one, 0, &block, why) : ERR_OK;

	if (code == ERR_OK)
		indexer->has_stale = block >= 0;
	if (code == ERR_OK && block < 0)
		code = find_new(store, &block, why);
	if (code != ERR_OK || block < 0)
		return code;
	indexer->block = block;
	indexer->phase = INDEXER_CLEARS;
	if (block > indexer->highest)
		indexer->highest = block;
	return ERR_OK;
}

/* --- looking at it ----------------------------------------------------------------- */

static const char sql_clear[] =
	"DELETE FROM search_gram WHERE id IN"
	" (SELECT id FROM search_gram WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)";
static const char sql_unmark[] = "DELETE FROM search_block WHERE block = ?1";

static void begin_reading(struct indexer *indexer)
{
	indexer->phase = INDEXER_READS_MESSAGES;
	indexer->at = block_first(indexer->block);
	indexer->first_at = INT64_MAX;
	indexer->last_at = INT64_MIN;
	indexer->again = false;
	postings_clear(indexer->postings);
}

/* In a transaction. */
static int clear(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;
	struct query query;
	int code = query_begin(&query, &store->db, sql_clear, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, indexer->block << 24);
	query_give_int(&query, (indexer->block + 1) << 24);
	query_give_int(&query, CLEAR_GRAMS);
	code = query_run(&query, why);
	indexer->is_clear = code == ERR_OK && sqlite3_changes64(store->db.handle) < CLEAR_GRAMS;
	if (!indexer->is_clear)
		return code;
	code = has_message(store, indexer->block, &indexer->has_messages, why);
	if (code == ERR_OK && !indexer->has_messages)
		code = run_for_block(store, sql_unmark, indexer->block, why);
	return code;
}

static const char sql_messages[] =
	"SELECT id, received_at, sender, subject, message_id FROM message"
	" WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";

static int read_messages(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;
	int64_t first = block_first(indexer->block);
	struct query query;
	int rows = 0;
	bool row;
	int code = query_begin(&query, &store->db, sql_messages, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, indexer->at);
	query_give_int(&query, block_first(indexer->block + 1));
	query_give_int(&query, READ_MESSAGES);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t id = query_take_int(&query);
		int64_t at = query_take_int(&query);
		size_t place = (size_t)(id - first);

		indexer->first_at = at < indexer->first_at ? at : indexer->first_at;
		indexer->last_at = at > indexer->last_at ? at : indexer->last_at;
		postings_add(indexer->postings, span_of(query_take_text(&query)), TEXT_SENDER,
			     place);
		postings_add(indexer->postings, span_of(query_take_text(&query)), TEXT_SUBJECT,
			     place);
		postings_add(indexer->postings, span_of(query_take_text(&query)), TEXT_MESSAGE_ID,
			     place);
		indexer->at = id + 1;
		rows++;
	}
	if (code == ERR_OK && rows < READ_MESSAGES) {
		indexer->phase = INDEXER_READS_RECIPIENTS;
		indexer->at = part_id(first, 0);
	}
	return code;
}

static const char sql_recipients[] = "SELECT id, address FROM recipient"
				     " WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";

static int read_recipients(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;
	int64_t first = block_first(indexer->block);
	struct query query;
	int rows = 0;
	bool row;
	int code = query_begin(&query, &store->db, sql_recipients, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, indexer->at);
	query_give_int(&query, part_id(block_first(indexer->block + 1), 0));
	query_give_int(&query, READ_RECIPIENTS);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		int64_t id = query_take_int(&query);

		postings_add(indexer->postings, span_of(query_take_text(&query)), TEXT_RECIPIENT,
			     (size_t)(message_of(id) - first));
		indexer->at = id + 1;
		rows++;
	}
	if (code == ERR_OK && rows < READ_RECIPIENTS) {
		indexer->phase = INDEXER_WRITES;
		postings_sort(indexer->postings);
	}
	return code;
}

/* --- writing it down ---------------------------------------------------------------- */

static const char sql_gram[] = "INSERT INTO search_gram(id, places) VALUES(?1, ?2)";

static int write_gram(struct store *store, uint32_t gram, struct span bytes, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_gram, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, store->indexer->block << 24 | gram);
	query_give_bytes(&query, bytes.data, bytes.len);
	return query_run(&query, why);
}

static const char sql_mark[] =
	"INSERT INTO search_block(block, stale, first_at, last_at) VALUES(?1, 0, ?2, ?3)"
	" ON CONFLICT(block) DO UPDATE SET stale = 0, first_at = excluded.first_at,"
	" last_at = excluded.last_at";

static int mark(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;
	struct query query;
	int code = query_begin(&query, &store->db, sql_mark, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, indexer->block);
	query_give_int(&query, indexer->first_at);
	query_give_int(&query, indexer->last_at);
	return query_run(&query, why);
}

/* In a transaction; should it be rolled back, the block is looked at again. */
static int write_some(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;
	struct span bytes;
	uint32_t gram;
	int code = ERR_OK;

	for (int i = 0; i < WRITE_GRAMS && code == ERR_OK; i++) {
		if (!postings_take(indexer->postings, &gram, &bytes)) {
			indexer->phase = INDEXER_RESTS;
			/* Megabytes, and perhaps the last for long. */
			postings_free(&indexer->postings);
			indexer->postings = postings_new();
			return mark(store, why);
		}
		code = write_gram(store, gram, bytes, why);
	}
	return code;
}

/* --- steps --------------------------------------------------------------------------- */

static int run_clear(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;
	int code = writer_transaction_unsynced(store, clear, why);

	if (code == ERR_OK && indexer->is_clear && indexer->has_messages)
		begin_reading(indexer);
	else if (code == ERR_OK && indexer->is_clear)
		indexer->phase = INDEXER_RESTS;
	return code;
}

static int run_phase(struct store *store, struct err *why)
{
	struct indexer *indexer = store->indexer;

	if (indexer->again && indexer->phase > INDEXER_CLEARS)
		indexer->phase = INDEXER_CLEARS;
	switch (indexer->phase) {
	case INDEXER_CLEARS: return run_clear(store, why);
	case INDEXER_READS_MESSAGES: return read_messages(store, why);
	case INDEXER_READS_RECIPIENTS: return read_recipients(store, why);
	case INDEXER_WRITES: return writer_transaction_unsynced(store, write_some, why);
	default: return choose(store, why);
	}
}

bool indexer_is_due(struct store *store)
{
	const struct indexer *indexer = store->indexer;

	return indexer->phase != INDEXER_RESTS || indexer->has_stale ||
	       indexer->seen_to < end_of_blocks(store);
}

bool indexer_step(struct store *store)
{
	struct indexer *indexer = store->indexer;
	struct err why;
	int code = run_phase(store, &why);

	if (code == ERR_FATAL)
		writer_fail(store, &why);
	/* The disk is full, somebody holds the lock: from the beginning, another time. */
	if (code != ERR_OK)
		indexer->phase = INDEXER_RESTS;
	return code == ERR_OK;
}

int64_t store_unindexed(struct store *store)
{
	return atomic_load(&store->next_message) - block_first(store->indexer->seen_to);
}
