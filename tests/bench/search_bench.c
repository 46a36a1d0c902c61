/* tests/bench/search_bench.c - lists and searches in a store of a million messages: how long a page
 * takes, how fast the index is made and how large it is */
#include <config.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/reader.h"

#define WORDS	   20000
#define WORD_SIZE  12
#define SPACING_MS 1000 /* between two messages */
#define FIRST_AT   1700000000000
#define INDEXED	   4096 /* what is left when all that can be is in the index */

static char words[WORDS][WORD_SIZE];
static long message_count;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "search_bench: %s: %s\n", what, why);
	exit(1);
}

static unsigned long pick(unsigned long below)
{
	return ((unsigned long)random() << 31 | (unsigned long)random()) % below;
}

/* The n-th word is n times rarer than the first, about. */
static const char *any_word(void)
{
	unsigned long rank = pick(WORDS);

	return words[pick(rank + 1)];
}

static void make_words(void)
{
	for (int i = 0; i < WORDS; i++)
		for (unsigned long j = 0, len = 3 + pick(8); j < len; j++)
			words[i][j] = (char)('a' + pick(26));
}

/* --- filling -------------------------------------------------------------------- */

static void run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die(sql, sqlite3_errmsg(db));
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		die(sql, sqlite3_errmsg(db));
	return statement;
}

static void put(sqlite3_stmt *statement, int column, const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	sqlite3_bind_text(statement, column, text, -1, SQLITE_TRANSIENT);
}

static void step(sqlite3_stmt *statement)
{
	if (sqlite3_step(statement) != SQLITE_DONE)
		die("insert", sqlite3_errmsg(sqlite3_db_handle(statement)));
	sqlite3_reset(statement);
}

static void add(sqlite3_stmt *message, sqlite3_stmt *recipient, long i)
{
	sqlite3_bind_int64(message, 1, i);
	sqlite3_bind_int64(message, 2, FIRST_AT + (int64_t)i * SPACING_MS);
	put(message, 3, "noreply@shop%ld.example.com", i % 50);
	put(message, 4, "%s %s %s %s %s invoice %ld", any_word(), any_word(), any_word(),
	    any_word(), any_word(), i);
	put(message, 5, "<%016lx%08lx.%ld@app.example.com>", pick(1UL << 62), pick(1UL << 32), i);
	step(message);
	sqlite3_bind_int64(recipient, 1, (int64_t)i << 16);
	put(recipient, 2, "user%lu@customer%ld.example.net", pick(300000), i % 1000);
	sqlite3_bind_int64(recipient, 3,
			   i % 1000 == 0	    ? STATE_HELD
			   : i < message_count / 20 ? STATE_FAILED
			   : i % 3 == 0		    ? STATE_DROPPED
						    : STATE_DELIVERED);
	step(recipient);
}

/* Beside the store, which is closed. */
static void fill(const char *dir)
{
	sqlite3_stmt *message, *recipient;
	sqlite3 *db;
	char path[300];

	snprintf(path, sizeof(path), "%s/stagepost.db", dir);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		die(path, sqlite3_errmsg(db));
	run(db, "PRAGMA synchronous=OFF; BEGIN");
	message = prepare(db, "INSERT INTO message(id, uid, received_at, sender, size, header_size,"
			      " header_parsed, body_8bit, smtputf8, bare_cr, bare_lf, scope,"
			      " client_port, subject, message_id, received_field) VALUES(?1,"
			      " randomblob(16), ?2, ?3, 0, 0, 1, 0, 0, 0, 0, '', 1, ?4, ?5,"
			      " 'Received: from app by relay; some time')");
	recipient = prepare(db,
			    "INSERT INTO recipient(id, address, state, accepted_state,"
			    " waiting_since, updated_at, verdict, verdict_reason) VALUES(?1, ?2,"
			    " ?3, 2, 0, 0, 'deliver', 'allowed by example.net')");
	for (long i = 1; i <= message_count; i++)
		add(message, recipient, i);
	run(db, "COMMIT");
	sqlite3_finalize(message);
	sqlite3_finalize(recipient);
	sqlite3_close(db);
}

static int64_t ask(const char *dir, const char *sql)
{
	sqlite3_stmt *statement;
	sqlite3 *db;
	int64_t answer;
	char path[300];

	snprintf(path, sizeof(path), "%s/stagepost.db", dir);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		die(path, sqlite3_errmsg(db));
	statement = prepare(db, sql);
	sqlite3_step(statement);
	answer = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return answer;
}

static struct store *open_store(const char *dir)
{
	struct store_options options = {.data_dir = dir};
	struct store *store;
	struct err why;

	if (store_open(&options, &store, &why) != ERR_OK)
		die("open", why.text);
	return store;
}

/* --- asking --------------------------------------------------------------------- */

static char text[200]; /* of the query that is being made */

static const char *say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return text;
}

static struct message_query newest(void)
{
	return (struct message_query){.limit = 100};
}
static struct message_query deep(void)
{
	return (struct message_query){.before = 1 + (int64_t)pick((unsigned long)message_count)};
}
static struct message_query one_address(void)
{
	return (struct message_query){.to = say("user%lu@", pick(300000))};
}
static struct message_query one_domain(void)
{
	return (struct message_query){.to = say("@customer%lu.example.net", pick(1000))};
}
static struct message_query common_address(void)
{
	return (struct message_query){.from = "example.com", .to = "example.net"};
}
static struct message_query one_number(void)
{
	return (struct message_query){
		.subject = say("invoice %lu", pick((unsigned long)message_count))};
}
static struct message_query common_word(void)
{
	return (struct message_query){.subject = "invoice"};
}
static struct message_query any_two(void)
{
	return (struct message_query){.subject = say("%s %s", any_word(), any_word())};
}
static struct message_query none(void)
{
	return (struct message_query){.q = "xyzzy-is-not-there"};
}
static struct message_query never_together(void)
{
	unsigned long one = pick(50);

	return (struct message_query){.q = say("shop%lu. customer%lu.", one, one + 1)};
}
static struct message_query any_id(void)
{
	return (struct message_query){
		.q = say(".%lu@app.example.com", pick((unsigned long)message_count))};
}
static struct message_query rare_state(void)
{
	return (struct message_query){.state = STATE_HELD};
}
static struct message_query state_and_word(void)
{
	return (struct message_query){.state = STATE_DROPPED, .subject = any_word()};
}
static struct message_query rare_state_and_word(void)
{
	return (struct message_query){.state = STATE_HELD, .subject = any_word()};
}
static struct message_query old_state_and_word(void)
{
	return (struct message_query){.state = STATE_FAILED, .subject = "invoice"};
}
static struct message_query an_hour(void)
{
	int64_t at = FIRST_AT + (int64_t)pick((unsigned long)message_count) * SPACING_MS;

	return (struct message_query){.since = at, .until = at + 3600000};
}
static struct message_query word_in_an_hour(void)
{
	struct message_query query = an_hour();

	query.subject = any_word();
	query.state = STATE_DELIVERED;
	return query;
}

static const struct {
	const char *name;
	struct message_query (*make)(void);
} kinds[] = {
	{"the newest", newest},
	{"somewhere in the middle", deep},
	{"one address", one_address},
	{"one domain", one_domain},
	{"addresses that all have", common_address},
	{"a number in the subject", one_number},
	{"a word that all have", common_word},
	{"two words", any_two},
	{"what nobody has", none},
	{"two that never meet", never_together},
	{"part of a Message-ID", any_id},
	{"a rare state", rare_state},
	{"a frequent state and a word", state_and_word},
	{"a rare state and a word", rare_state_and_word},
	{"a state of old, what all have", old_state_and_word},
	{"an hour", an_hour},
	{"a word and a state in an hour", word_in_an_hour},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of this thread: what other processes do meanwhile is no part of it. */
static int64_t processor_us(void)
{
	struct timespec at;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

struct took {
	int64_t wall_us;
	int64_t processor_us;
};

static struct took one_page(struct store_reader *reader, const struct message_query *query,
			    bool rows)
{
	struct recipient_query recipients = {.message = *query};
	struct recipient_page recipient_page;
	struct arena *arena = arena_new();
	struct message_page page;
	struct took began = {clock_mono_us(), processor_us()};
	struct err why;
	int code = rows ? queue_recipient_list(reader, &recipients, arena, &recipient_page, &why)
			: queue_message_list(reader, query, arena, &page, &why);

	if (code != ERR_OK)
		die("list", why.text);
	arena_free(&arena);
	return (struct took){clock_mono_us() - began.wall_us, processor_us() - began.processor_us};
}

static double at_share(int64_t *us, long count, long percent)
{
	qsort(us, (size_t)count, sizeof(*us), compare);
	return (double)us[percent == 100 ? count - 1 : count * percent / 100] / 1000;
}

static void measure(struct store_reader *reader, size_t kind, long rounds)
{
	int64_t *wall = calloc((size_t)rounds, sizeof(*wall));
	int64_t *processor = calloc((size_t)rounds, sizeof(*processor));

	for (int rows = 0; rows < 2; rows++) {
		for (long i = 0; i < rounds; i++) {
			struct message_query query = kinds[kind].make();
			struct took took = one_page(reader, &query, rows == 1);

			wall[i] = took.wall_us;
			processor[i] = took.processor_us;
		}
		printf("%-30s %-10s p50 %6.1f  p99 %6.1f  most %6.1f ms; processor p99 %6.1f ms\n",
		       kinds[kind].name, rows == 1 ? "recipients" : "messages",
		       at_share(wall, rounds, 50), at_share(wall, rounds, 99),
		       at_share(wall, rounds, 100), at_share(processor, rounds, 99));
	}
	free(wall);
	free(processor);
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "search_bench.tmp";
	long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 200;
	struct store_reader *reader;
	struct store *store;
	int64_t began;
	struct err why;

	message_count = argc > 2 ? strtol(argv[2], NULL, 10) : 1000000;
	srandom(7);
	make_words();
	store = open_store(dir);
	store_close(&store);
	if (ask(dir, "SELECT count(*) FROM message") == 0)
		fill(dir);
	store = open_store(dir);
	began = clock_mono_ms();
	while (store_unindexed(store) > INDEXED)
		usleep(10000);
	printf("%ld messages; index made in %.1f s; %.0f octets of it and %.0f of the rest a "
	       "message\n",
	       message_count, (double)(clock_mono_ms() - began) / 1000,
	       (double)ask(dir, "SELECT sum(length(places) + 12) FROM search_gram") /
		       (double)message_count,
	       (double)ask(dir, "SELECT page_count * page_size FROM pragma_page_count,"
				" pragma_page_size") /
		       (double)message_count);
	if (store_reader_open(store, &reader, &why) != ERR_OK)
		die("reader", why.text);
	for (size_t kind = 0; kind < KINDS; kind++)
		measure(reader, kind, rounds);
	store_reader_close(&reader);
	store_close(&store);
	return 0;
}
