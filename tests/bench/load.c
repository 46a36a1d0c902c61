/*
 * tests/bench/load.c - a load client for SMTP servers. One thread, epoll,
 * about 27 us of CPU a message. Prints one line of JSON.
 *
 * Usage: load --to ADDRESS:PORT [options]
 *   --sessions N     connections at once (1)
 *   --seconds N      start messages for so long, then wait for the answers (5)
 *   --messages N     at most so many (no limit)
 *   --size BYTES     of a message (4096)
 *   --recipients N   of a message, taken in turn from the --rcpt given (1)
 *   --rcpt ADDRESS   may be repeated
 *   --from ADDRESS
 *   --rate N         messages a second for all sessions together: latency then counts from
 *                    the moment a message was due (0: as fast as answers come)
 *   --pipelining     MAIL, all RCPT and DATA in one go
 *   --fresh          a new connection for every message
 *   --tls MODE       starttls or implicit; the certificate is not verified
 *   --handshakes     a message is a connection up to the last EHLO, and nothing is sent
 *   --idle           connect, say EHLO, print "ready" and hold on until stdin ends
 *
 * A transaction lasts from MAIL to the reply to the final dot. Any reply but
 * the expected one is a failure: it is counted and the connection made anew.
 */
#define _GNU_SOURCE

#include "tests/bench/load.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/bench/net.h"

#define STALL_MS	60000 /* no reply at all for so long: something is broken */
#define REPLY_BYTES_MAX (64 * 1024)

/* --- the message ---------------------------------------------------------------------------- */

static void make_body(struct load *load)
{
	static const char line[] = "The quick brown fox jumps over the lazy dog, and nobody is "
				   "surprised by it.\r\n";
	uint64_t size = load->options.size;

	buf_init(&load->body, size + sizeof(line) + 512);
	(void)buf_printf(&load->body,
			 "From: Bench <%s>\r\nTo: %s\r\nSubject: load\r\n"
			 "Date: Sat, 21 Nov 2026 10:20:30 +0000\r\n"
			 "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n",
			 load->options.from, load->options.rcpts[0]);
	while (load->body.len + 64 < size)
		(void)buf_append_text(&load->body, line);
	(void)buf_append_text(&load->body, ".\r\n");
}

/* --- the run -------------------------------------------------------------------------------- */

static bool may_start(const struct load *load, int64_t now)
{
	const struct options *o = &load->options;

	return now < load->start_us + (int64_t)o->seconds * 1000000 &&
	       (o->messages == 0 || load->started < o->messages);
}

/* When the next message is due; now, when the rate is not limited. */
static int64_t due_us(const struct load *load, int64_t now)
{
	if (load->options.rate == 0)
		return now;
	return load->start_us + (int64_t)(load->started * 1000000 / load->options.rate);
}

static void start_due(struct load *load)
{
	int64_t now = clock_mono_us();

	while (load->ready_count > 0 && may_start(load, now) && due_us(load, now) <= now)
		session_start_message(load, load->ready[--load->ready_count], due_us(load, now));
}

static int wait_ms(const struct load *load)
{
	int64_t now = clock_mono_us();
	int64_t due = due_us(load, now);

	if (load->options.rate == 0 || load->ready_count == 0 || !may_start(load, now))
		return 1000;
	return due <= now ? 0 : (int)((due - now + 999) / 1000);
}

static void turn(struct load *load)
{
	struct epoll_event events[256];
	int count = epoll_wait(load->epoll, events, 256, wait_ms(load));

	if (count < 0 && errno != EINTR)
		net_fail("epoll_wait");
	for (int i = 0; i < count; i++) {
		struct session *session = events[i].data.ptr;

		if (session->step <= STEP_HANDSHAKE)
			session_on_handshake(load, session);
		else if ((events[i].events & EPOLLOUT) != 0 && !session_flush(load, session))
			session_fail(load, session, span_of("the connection broke"));
		else if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
			session_on_readable(load, session);
	}
	if (clock_mono_ms() - load->last_reply_ms > STALL_MS) {
		fprintf(stderr, "load: no reply for %d s\n", STALL_MS / 1000);
		exit(EXIT_FAILURE);
	}
}

static void run_idle(struct load *load)
{
	char byte;

	while (load->ready_count < load->options.sessions)
		turn(load);
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		continue;
}

/* All connections stand before the clock starts. */
static void run(struct load *load)
{
	while (load->ready_count < load->options.sessions)
		turn(load);
	load->start_us = clock_mono_us();
	do {
		start_due(load);
		turn(load);
	} while (may_start(load, clock_mono_us()) || load->done + load->failures < load->started);
}

static int compare_latencies(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a;
	uint32_t right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static double percentile_ms(const struct load *load, double share)
{
	size_t at = (size_t)((double)load->done * share);

	if (load->done == 0)
		return 0;
	return load->latencies_us[at < load->done ? at : load->done - 1] / 1000.0;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void report(struct load *load)
{
	double seconds = (double)(load->end_us - load->start_us) / 1e6;

	qsort(load->latencies_us, load->done, sizeof(*load->latencies_us), compare_latencies);
	printf("{\"messages\": %zu, \"failures\": %" PRIu64 ", \"seconds\": %.3f, \"rate\": %.1f, "
	       "\"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, "
	       "\"cpu_s\": %.3f, \"start_us\": %" PRId64 ", \"end_us\": %" PRId64 "}\n",
	       load->done, load->failures, seconds, seconds > 0 ? (double)load->done / seconds : 0,
	       percentile_ms(load, 0.5), percentile_ms(load, 0.9), percentile_ms(load, 0.99),
	       percentile_ms(load, 1), cpu_seconds(), load->start_us, load->end_us);
	if (load->failures > 0)
		fprintf(stderr, "load: first failure %s\n", load->first_failure);
}

/* --- the command line ----------------------------------------------------------------------- */

static _Noreturn void usage(const char *what)
{
	fprintf(stderr, "load: %s (the options stand at the head of tests/bench/load.c)\n", what);
	exit(NET_USAGE);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
	uint64_t value;

	if (span_to_u64(span_of(text), most, &value) != ERR_OK || value < least)
		usage(text);
	return value;
}

static void read_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {{"to", required_argument, NULL, 't'},
					      {"sessions", required_argument, NULL, 's'},
					      {"seconds", required_argument, NULL, 'd'},
					      {"messages", required_argument, NULL, 'm'},
					      {"size", required_argument, NULL, 'z'},
					      {"recipients", required_argument, NULL, 'n'},
					      {"rcpt", required_argument, NULL, 'r'},
					      {"from", required_argument, NULL, 'f'},
					      {"rate", required_argument, NULL, 'e'},
					      {"pipelining", no_argument, NULL, 'p'},
					      {"fresh", no_argument, NULL, 'h'},
					      {"idle", no_argument, NULL, 'i'},
					      {"tls", required_argument, NULL, 'x'},
					      {"handshakes", no_argument, NULL, 'k'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 't': o->to = net_address(optarg); break;
		case 's': o->sessions = number(optarg, 1, 60000); break;
		case 'd': o->seconds = number(optarg, 1, 86400); break;
		case 'm': o->messages = number(optarg, 1, UINT32_MAX); break;
		case 'z': o->size = number(optarg, 256, 1 << 30); break;
		case 'n': o->recipients = number(optarg, 1, 1000); break;
		case 'r':
			if (o->rcpt_count == RCPT_MAX)
				usage("too many --rcpt");
			o->rcpts[o->rcpt_count++] = optarg;
			break;
		case 'f': o->from = optarg; break;
		case 'e': o->rate = number(optarg, 0, 1000000); break;
		case 'p': o->pipelining = true; break;
		case 'h': o->fresh = true; break;
		case 'i': o->idle = true; break;
		case 'x':
			o->tls = strcmp(optarg, "implicit") == 0 ? TLS_IMPLICIT : TLS_STARTTLS;
			if (o->tls == TLS_STARTTLS && strcmp(optarg, "starttls") != 0)
				usage(optarg);
			break;
		case 'k': o->handshakes = true; break;
		default: usage("unknown option");
		}
	}
	if (o->to.sin_port == 0 || optind != argc)
		usage("--to is missing, or something is left over");
	if (o->rcpt_count == 0)
		o->rcpts[o->rcpt_count++] = "user@allowed.test";
}

int main(int argc, char **argv)
{
	static struct load load = {.options = {.from = "sender@sender.test",
					       .sessions = 1,
					       .seconds = 5,
					       .size = 4096,
					       .recipients = 1}};

	read_options(argc, argv, &load.options);
	make_body(&load);
	load.tls = tls_context();
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load.epoll < 0)
		net_fail("epoll_create1");
	load.sessions = mem_array(load.options.sessions, sizeof(*load.sessions));
	load.ready = mem_array(load.options.sessions, sizeof(struct session *));
	load.last_reply_ms = clock_mono_ms();
	for (uint64_t i = 0; i < load.options.sessions; i++) {
		struct session *session = &load.sessions[i];

		buf_init(&session->in, REPLY_BYTES_MAX);
		buf_init(&session->out, 256 * (load.options.recipients + 4));
		session_connect(&load, session);
	}
	if (load.options.idle) {
		run_idle(&load);
		return EXIT_SUCCESS;
	}
	run(&load);
	report(&load);
	return EXIT_SUCCESS;
}
