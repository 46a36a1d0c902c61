/* tests/bench/queue_bench.c - what the store does alone: accept, claim and settle, with real fsync
 */
#include <config.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/channel.h"
#include "base/clock.h"
#include "queue/delivery.h"
#include "queue/message.h"
#include "queue/reader.h"

#define IN_FLIGHT_MAX 1024

/* One message on its way; comes back through the channel. */
struct letter {
	struct channel_item item; /* first */
	struct accept accept;
	struct new_message message;
	struct new_recipient *recipients;
	struct channel *back;
};

struct plan {
	long messages;
	long in_flight;
	long bytes;
	long recipients;
	long backlog; /* queued beforehand, of many applications, and not to be sent by us */
	bool later;   /* none of them is due yet */
};

static char content[1 << 20];

static void die(const char *what, const struct err *why)
{
	fprintf(stderr, "queue_bench: %s: %s\n", what, why->text);
	exit(1);
}

static void come_back(struct store_job *job)
{
	struct letter *letter = job->ctx;

	if (job->code != ERR_OK)
		die("accept", &job->why);
	channel_send(letter->back, &letter->item);
}

static void post(struct store *store, struct letter *letter, const struct plan *plan)
{
	int64_t now = clock_wall_ms();
	struct body *body = body_new(store, NULL, NULL);

	for (long left = plan->bytes; left > 0; left -= (long)sizeof(content))
		body_append(body,
			    span_make(content, left < (long)sizeof(content) ? (size_t)left
									    : sizeof(content)));
	for (long i = 0; i < plan->recipients; i++)
		letter->recipients[i] =
			(struct new_recipient){.address = "somebody@example.com",
					       .state = STATE_QUEUED,
					       .ruling = {.verdict = "deliver",
							  .reason = "allowed by example.com",
							  .entry = 1,
							  .revision = 1}};
	letter->message = (struct new_message){
		.id = ulid_new(now),
		.received_at = now,
		.sender = "application@staging.example.com",
		.size = body_size(body),
		.header_size = 400,
		.header_parsed = true,
		.scope = "",
		.listener = "127.0.0.1:2525",
		.client_address = "127.0.0.1",
		.client_port = 41000,
		.helo = "application.example.com",
		.protocol = "ESMTP",
		.subject = "Your order has been shipped",
		.message_id = "<20261121102030.1234@staging.example.com>",
		.received_field =
			"Received: from application.example.com ([127.0.0.1])\r\n"
			"\tby relay.staging.example.com with ESMTP id 01J\r\n"
			"\tfor <somebody@example.com>; Sat, 21 Nov 2026 10:20:30 +0000\r\n",
		.recipients = letter->recipients,
		.recipient_count = (size_t)plan->recipients};
	letter->accept = (struct accept){.job = {.done = come_back, .ctx = letter},
					 .message = &letter->message,
					 .body = body};
	queue_accept(store, &letter->accept.job);
}

struct watch {
	int64_t started_us;
	double cpu;
};

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct watch watch_start(void)
{
	return (struct watch){clock_mono_us(), cpu_seconds()};
}

static void watch_stop(const struct watch *watch, const char *what, long count)
{
	double seconds = (double)(clock_mono_us() - watch->started_us) / 1e6;

	printf("%-24s %9.0f /s  %6.1f us CPU each\n", what, (double)count / seconds,
	       (cpu_seconds() - watch->cpu) * 1e6 / (double)count);
}

static void accept_all(struct store *store, const struct plan *plan)
{
	struct channel *back = channel_new();
	struct letter *letters = mem_array((size_t)plan->in_flight, sizeof(*letters));
	struct watch watch = watch_start();
	long posted = 0;
	long returned = 0;

	for (; posted < plan->in_flight && posted < plan->messages; posted++) {
		letters[posted].back = back;
		letters[posted].recipients =
			mem_array((size_t)plan->recipients, sizeof(struct new_recipient));
		post(store, &letters[posted], plan);
	}
	while (returned < plan->messages) {
		struct channel_item *chain;

		channel_wait(back, -1);
		for (chain = channel_take_all(back); chain != NULL; returned++) {
			struct letter *letter = (struct letter *)chain;

			chain = chain->next;
			if (posted < plan->messages) {
				posted++;
				post(store, letter, plan);
			}
		}
	}
	watch_stop(&watch, "accept (messages)", plan->messages);
	for (long i = 0; i < plan->in_flight; i++)
		mem_free(letters[i].recipients);
	mem_free(letters);
	channel_free(&back);
}

static void run_sql(const char *dir, const char *sql)
{
	char path[4096];
	char *text = NULL;
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/stagepost.db", dir);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK) {
		fprintf(stderr, "queue_bench: %s\n", text != NULL ? text : path);
		exit(1);
	}
	sqlite3_close(db);
}

/* Rows as accept would write them, of 200 lanes, without bodies. */
static void fill_backlog(const char *dir, const struct plan *plan)
{
	int64_t due = clock_wall_ms() + (plan->later ? 86400000 : -1000000);
	char sql[1600];

	snprintf(sql, sizeof(sql),
		 "PRAGMA synchronous=OFF; BEGIN;"
		 "CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1"
		 " FROM c WHERE i < %ld) SELECT i FROM c;"
		 "INSERT INTO message(id, uid, received_at, sender, size, header_size,"
		 " header_parsed, body_8bit, smtputf8, bare_cr, bare_lf, listener, scope,"
		 " client_address, client_port, helo, protocol, subject, message_id,"
		 " received_field) SELECT i, randomblob(16), %lld, 'app@staging.example.com', 0,"
		 " 0, 1, 0, 0, 0, 0, '127.0.0.1:2525', '', '192.0.2.1', 1, 'app', 'ESMTP',"
		 " 'Your order has been shipped', '<m@x>', 'Received: from app ([192.0.2.1])"
		 " by relay.staging.example.com; Sat, 21 Nov 2026 10:20:30 +0000' FROM n;"
		 "INSERT INTO recipient(id, address, state, accepted_state, due_at, waiting_since,"
		 " updated_at, verdict, verdict_reason, entry, revision, lane) SELECT i << 16,"
		 " 'user' || i || '@example.com', 2, 2, %lld + i / 100, %lld, %lld, 'deliver',"
		 " 'allowed by example.com', 1, 1, (i %% 200) << 19 | 7 FROM n; COMMIT",
		 plan->backlog, (long long)due, (long long)due, (long long)due, (long long)due);
	run_sql(dir, sql);
}

static int by_size(const void *a, const void *b)
{
	const int64_t left = *(const int64_t *)a;
	const int64_t right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

/* What one claim of 128 costs while all that stands behind it. */
static void claim_some(struct store *store)
{
	int64_t us[40];
	size_t taken = 0;

	for (size_t i = 0; i < 40; i++) {
		struct claim claim = {
			.now = clock_wall_ms(), .max_recipients = 128, .lease_ms = 60000};
		int64_t began = clock_mono_us();
		struct err why;

		if (store_wait(store, queue_claim, &claim.job, &why) != ERR_OK)
			die("claim", &why);
		us[i] = clock_mono_us() - began;
		for (size_t m = 0; m < claim.message_count; m++)
			taken += claim.messages[m].recipient_count;
		arena_free(&claim.arena);
	}
	qsort(us, 40, sizeof(us[0]), by_size);
	printf("%-24s %9lld us median, %lld us worst (%zu recipients taken)\n", "claim of 128",
	       (long long)us[20], (long long)us[39], taken);
}

static size_t settle_claim(struct store *store, struct claim *claim)
{
	struct settlement settlements[512];
	struct settle settle = {.now = clock_wall_ms(), .settlements = settlements};
	struct err why;

	for (size_t m = 0; m < claim->message_count; m++)
		for (size_t r = 0; r < claim->messages[m].recipient_count; r++)
			settlements[settle.count++] = (struct settlement){
				.recipient = claim->messages[m].recipients[r].id,
				.lease = claim->messages[m].recipients[r].lease,
				.outcome = TRANSITION_DELIVER,
				.reason = "250 2.0.0 Ok: queued as 4F2A",
				.route = "default",
				.remote = "127.0.0.1[127.0.0.1]:2526",
				.reply_code = 250,
				.reply_enhanced = "2.0.0",
				.reply_text = "Ok: queued as 4F2A"};
	if (store_wait(store, queue_settle, &settle.job, &why) != ERR_OK)
		die("settle", &why);
	return settle.count;
}

static void deliver_all(struct store *store, const struct plan *plan, size_t at_once)
{
	struct watch watch = watch_start();
	long delivered = 0;

	while (delivered < plan->messages * plan->recipients) {
		struct claim claim = {
			.now = clock_wall_ms(), .max_recipients = at_once, .lease_ms = 60000};
		struct err why;

		if (store_wait(store, queue_claim, &claim.job, &why) != ERR_OK)
			die("claim", &why);
		delivered += (long)settle_claim(store, &claim);
		arena_free(&claim.arena);
	}
	watch_stop(&watch, "claim+settle (rcpts)", delivered);
}

static long number(const char *text, const char *name, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end != '\0' || value < 1 || value > max) {
		fprintf(stderr, "queue_bench: %s must be 1 to %ld\n", name, max);
		exit(64);
	}
	return value;
}

int main(int argc, char **argv)
{
	struct plan plan = {20000, 50, 4096, 1, 0, false};
	struct store_options options = {0};
	struct store *store;
	struct err why;
	int64_t began;
	int option;

	while ((option = getopt(argc, argv, "n:c:s:r:b:l")) != -1) {
		switch (option) {
		case 'n': plan.messages = number(optarg, "-n", 10000000); break;
		case 'c': plan.in_flight = number(optarg, "-c", IN_FLIGHT_MAX); break;
		case 's': plan.bytes = number(optarg, "-s", 100 << 20); break;
		case 'r': plan.recipients = number(optarg, "-r", 1000); break;
		case 'b': plan.backlog = number(optarg, "-b", 20000000); break;
		case 'l': plan.later = true; break;
		default: optind = argc + 1;
		}
	}
	if (optind != argc - 1) {
		fputs("usage: queue_bench [-n messages] [-c in flight] [-s bytes] [-r recipients] "
		      "[-b backlog] [-l] DIRECTORY\n",
		      stderr);
		return 64;
	}
	memset(content, 'x', sizeof(content));
	options.data_dir = argv[optind];
	if (store_open(&options, &store, &why) != ERR_OK)
		die("open", &why);
	if (plan.backlog > 0) {
		store_close(&store);
		fill_backlog(argv[optind], &plan);
		/* What it did not accept itself it counts once. */
		if (store_open(&options, &store, &why) != ERR_OK)
			die("open", &why);
		store_close(&store);
	}
	began = clock_mono_ms();
	if (plan.backlog > 0 && store_open(&options, &store, &why) != ERR_OK)
		die("open", &why);
	if (plan.backlog > 0)
		printf("%-24s %9lld ms with %ld queued\n", "start",
		       (long long)(clock_mono_ms() - began), plan.backlog);
	printf("%ld messages of %ld bytes, %ld recipients, %ld in flight\n", plan.messages,
	       plan.bytes, plan.recipients, plan.in_flight);
	accept_all(store, &plan);
	if (plan.backlog > 0 && !plan.later)
		claim_some(store);
	else
		deliver_all(store, &plan, 256);
	store_close(&store);
	return 0;
}
