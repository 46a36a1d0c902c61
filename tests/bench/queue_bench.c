/* tests/bench/queue_bench.c - what the store does alone: accept, claim and settle, with real fsync
 */
#include <config.h>

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
		letter->recipients[i] = (struct new_recipient){
			.address = "somebody@example.com",
			.state = STATE_QUEUED,
			.next_attempt_at = now,
			.ruling = {"deliver", "allowed by example.com", 1, 1, NULL}};
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
	struct plan plan = {20000, 50, 4096, 1};
	struct store_options options = {0};
	struct store *store;
	struct err why;
	int option;

	while ((option = getopt(argc, argv, "n:c:s:r:")) != -1) {
		switch (option) {
		case 'n': plan.messages = number(optarg, "-n", 10000000); break;
		case 'c': plan.in_flight = number(optarg, "-c", IN_FLIGHT_MAX); break;
		case 's': plan.bytes = number(optarg, "-s", 100 << 20); break;
		case 'r': plan.recipients = number(optarg, "-r", 1000); break;
		default: optind = argc + 1;
		}
	}
	if (optind != argc - 1) {
		fputs("usage: queue_bench [-n messages] [-c in flight] [-s bytes] [-r recipients] "
		      "DIRECTORY\n",
		      stderr);
		return 64;
	}
	memset(content, 'x', sizeof(content));
	options.data_dir = argv[optind];
	if (store_open(&options, &store, &why) != ERR_OK)
		die("open", &why);
	printf("%ld messages of %ld bytes, %ld recipients, %ld in flight\n", plan.messages,
	       plan.bytes, plan.recipients, plan.in_flight);
	accept_all(store, &plan);
	deliver_all(store, &plan, 256);
	store_close(&store);
	return 0;
}
