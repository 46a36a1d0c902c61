/*
 * tests/bench/ask.c - a load client for the API: requests at a steady rate over kept connections.
 * One thread, epoll. Prints one line of JSON.
 *
 * Usage: ask --to ADDRESS:PORT --token TOKEN --requests FILE [options]
 *   --rate N         requests a second (200)
 *   --seconds N      (5)
 *   --connections N  (8)
 *
 * FILE: a request a line, "KIND METHOD PATH [BODY]" with KIND a word of the
 * caller's; they are asked in turn, again and again. A latency counts from the
 * moment a request was due, so that a stall is not hidden by the client
 * waiting. Any status from 400 on is a failure.
 */
#define _GNU_SOURCE

#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/bench/net.h"

#define STALL_MS	30000
#define ANSWER_MAX	((size_t)16 << 20)
#define KINDS_MAX	32
#define CONNECTIONS_MAX 256

struct request {
	size_t kind;
	char *bytes;
	size_t len;
};

struct kind {
	char name[32];
	uint32_t *latencies_us;
	size_t count, room;
};

struct connection {
	int fd;
	bool busy;
	int64_t due_us;
	size_t kind;
	struct buf in;
};

struct ask {
	struct sockaddr_in to;
	const char *token, *file;
	uint64_t rate, seconds, connection_count;
	struct request *requests;
	size_t request_count;
	struct kind kinds[KINDS_MAX];
	size_t kind_count;
	struct connection connections[CONNECTIONS_MAX];
	struct kind all;
	int epoll, timer;
	int64_t start_us, last_answer_ms;
	uint64_t asked, failures;
	char first_failure[300];
};

/* --- what is asked -------------------------------------------------------------------------- */

static size_t kind_number(struct ask *ask, struct span name)
{
	for (size_t i = 0; i < ask->kind_count; i++)
		if (span_is(name, ask->kinds[i].name))
			return i;
	if (ask->kind_count == KINDS_MAX || name.len >= sizeof(ask->kinds[0].name))
		net_fail("too many kinds of requests");
	memcpy(ask->kinds[ask->kind_count].name, name.data, name.len);
	return ask->kind_count++;
}

static void add_request(struct ask *ask, struct span line)
{
	struct span kind = span_cut(&line, ' ');
	struct span method = span_cut(&line, ' ');
	struct span path = span_cut(&line, ' ');
	struct request *request;
	struct buf text;

	ask->requests = mem_regrow(ask->requests, ask->request_count + 1, sizeof(*request));
	request = &ask->requests[ask->request_count++];
	buf_init(&text, (size_t)1 << 20);
	(void)buf_printf(&text, "%.*s %.*s HTTP/1.1\r\nHost: localhost\r\n", SPAN_ARG(method),
			 SPAN_ARG(path));
	(void)buf_printf(&text, "Authorization: Bearer %s\r\n", ask->token);
	if (line.len > 0)
		(void)buf_printf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
				 line.len);
	(void)buf_append_text(&text, "\r\n");
	(void)buf_append_span(&text, line);
	*request = (struct request){.kind = kind_number(ask, kind)};
	request->bytes = buf_take(&text, &request->len);
}

static void read_requests(struct ask *ask)
{
	FILE *file = fopen(ask->file, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t len;

	if (file == NULL)
		net_fail(ask->file);
	while ((len = getline(&line, &room, file)) > 0)
		add_request(ask, span_trim(span_make(line, (size_t)len)));
	free(line);
	(void)fclose(file);
	if (ask->request_count == 0)
		net_fail("no requests");
}

/* --- connections ---------------------------------------------------------------------------- */

static void connect_one(struct ask *ask, struct connection *connection)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};

	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 ||
	    connect(connection->fd, (struct sockaddr *)&ask->to, sizeof(ask->to)) != 0)
		net_fail("connect");
	net_no_delay(connection->fd);
	if (epoll_ctl(ask->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
		net_fail("epoll_ctl");
	buf_clear(&connection->in);
	connection->busy = false;
}

static void note_failure(struct ask *ask, const struct connection *connection, struct span answer)
{
	if (ask->failures++ == 0)
		snprintf(ask->first_failure, sizeof(ask->first_failure), "%s: %.*s",
			 ask->kinds[connection->kind].name,
			 (int)(answer.len < 250 ? answer.len : 250), answer.data);
}

static void note_latency(struct kind *kind, int64_t us)
{
	if (kind->count == kind->room) {
		kind->room = kind->room > 0 ? kind->room * 2 : 1024;
		kind->latencies_us =
			mem_regrow(kind->latencies_us, kind->room, sizeof(*kind->latencies_us));
	}
	kind->latencies_us[kind->count++] = (uint32_t)us;
}

/* Its length, or 0: it is not all there. */
static size_t whole_answer(struct span in)
{
	static const char name[] = "\r\nContent-Length: ";
	const char *end = memmem(in.data, in.len, "\r\n\r\n", 4);
	const char *at = memmem(in.data, in.len, name, sizeof(name) - 1);
	size_t head, len;

	if (end == NULL)
		return 0;
	head = (size_t)(end - in.data) + 4;
	len = at != NULL && at < end ? strtoull(at + sizeof(name) - 1, NULL, 10) : 0;
	return in.len >= head + len ? head + len : 0;
}

static void connect_again(struct ask *ask, struct connection *connection)
{
	close(connection->fd);
	connect_one(ask, connection);
}

static void on_answer(struct ask *ask, struct connection *connection)
{
	static const char last[] = "\r\nConnection: close\r\n";
	struct span in = buf_span(&connection->in);
	bool is_last = memmem(in.data, in.len, last, sizeof(last) - 1) != NULL;
	int64_t us = clock_mono_us() - connection->due_us;

	note_latency(&ask->all, us);
	note_latency(&ask->kinds[connection->kind], us);
	/* "HTTP/1.1 200 …" */
	if (in.len < 12 || in.data[9] > '3')
		note_failure(ask, connection, in);
	buf_clear(&connection->in);
	connection->busy = false;
	ask->last_answer_ms = clock_mono_ms();
	if (is_last)
		connect_again(ask, connection);
}

static void on_readable(struct ask *ask, struct connection *connection)
{
	char bytes[65536];
	ssize_t got = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		if (connection->busy)
			note_failure(ask, connection, span_of("the connection broke"));
		connect_again(ask, connection);
		return;
	}
	if (buf_append(&connection->in, bytes, (size_t)got) != ERR_OK)
		net_fail("an answer is too large");
	if (connection->busy && whole_answer(buf_span(&connection->in)) > 0)
		on_answer(ask, connection);
}

static void send_on(struct ask *ask, struct connection *connection, int64_t due_us)
{
	const struct request *request = &ask->requests[ask->asked % ask->request_count];

	connection->busy = true;
	connection->due_us = due_us;
	connection->kind = request->kind;
	ask->asked++;
	if (send(connection->fd, request->bytes, request->len, MSG_NOSIGNAL) !=
	    (ssize_t)request->len)
		net_fail("send");
}

/* --- the run -------------------------------------------------------------------------------- */

static int64_t due_us(const struct ask *ask)
{
	return ask->start_us + (int64_t)(ask->asked * 1000000 / ask->rate);
}

static bool is_over(const struct ask *ask)
{
	return ask->asked >= ask->rate * ask->seconds;
}

/* What is due and finds no connection goes with the next one that is free, late. */
static void send_due(struct ask *ask)
{
	for (size_t i = 0; i < ask->connection_count; i++)
		if (!ask->connections[i].busy && !is_over(ask) && due_us(ask) <= clock_mono_us())
			send_on(ask, &ask->connections[i], due_us(ask));
}

static void set_timer(const struct ask *ask)
{
	int64_t us = due_us(ask) - clock_mono_us();
	struct itimerspec when = {
		.it_value = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}};

	if (us <= 0)
		when.it_value = (struct timespec){.tv_nsec = 200000};
	if (timerfd_settime(ask->timer, 0, &when, NULL) != 0)
		net_fail("timerfd_settime");
}

static bool is_waiting(const struct ask *ask)
{
	for (size_t i = 0; i < ask->connection_count; i++)
		if (ask->connections[i].busy)
			return true;
	return false;
}

static void turn(struct ask *ask)
{
	struct epoll_event events[CONNECTIONS_MAX];
	uint64_t ignored;
	int count;

	set_timer(ask);
	count = epoll_wait(ask->epoll, events, CONNECTIONS_MAX, 1000);
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == NULL)
			(void)!read(ask->timer, &ignored, sizeof(ignored));
		else
			on_readable(ask, events[i].data.ptr);
	}
	if (clock_mono_ms() - ask->last_answer_ms > STALL_MS)
		net_fail("no answer for half a minute");
}

static void run(struct ask *ask)
{
	ask->start_us = clock_mono_us();
	ask->last_answer_ms = clock_mono_ms();
	while (!is_over(ask) || is_waiting(ask)) {
		send_due(ask);
		turn(ask);
	}
}

/* --- the report ----------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a;
	uint32_t right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static double percentile_ms(const struct kind *kind, double share)
{
	size_t at = (size_t)((double)kind->count * share);

	if (kind->count == 0)
		return 0;
	return kind->latencies_us[at < kind->count ? at : kind->count - 1] / 1000.0;
}

static void print_kind(struct kind *kind)
{
	if (kind->count > 0)
		qsort(kind->latencies_us, kind->count, sizeof(*kind->latencies_us), compare);
	printf("\"count\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f", kind->count,
	       percentile_ms(kind, 0.5), percentile_ms(kind, 0.99), percentile_ms(kind, 1));
}

static void report(struct ask *ask)
{
	struct rusage usage;
	double seconds = (double)(clock_mono_us() - ask->start_us) / 1e6;

	getrusage(RUSAGE_SELF, &usage);
	printf("{");
	print_kind(&ask->all);
	printf(", \"failures\": %" PRIu64 ", \"seconds\": %.3f, \"rate\": %.1f, \"cpu_s\": %.3f, "
	       "\"kinds\": {",
	       ask->failures, seconds, (double)ask->all.count / seconds,
	       (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	for (size_t i = 0; i < ask->kind_count; i++) {
		printf("%s\"%s\": {", i > 0 ? ", " : "", ask->kinds[i].name);
		print_kind(&ask->kinds[i]);
		printf("}");
	}
	printf("}}\n");
	if (ask->failures > 0)
		fprintf(stderr, "ask: first failure %s\n", ask->first_failure);
}

/* --- the command line ----------------------------------------------------------------------- */

static _Noreturn void usage(const char *what)
{
	fprintf(stderr, "ask: %s (the options stand at the head of tests/bench/ask.c)\n", what);
	exit(NET_USAGE);
}

static uint64_t number(const char *text, uint64_t most)
{
	uint64_t value;

	if (span_to_u64(span_of(text), most, &value) != ERR_OK || value == 0)
		usage(text);
	return value;
}

static void read_options(int argc, char **argv, struct ask *ask)
{
	static const struct option names[] = {{"to", required_argument, NULL, 't'},
					      {"token", required_argument, NULL, 'k'},
					      {"requests", required_argument, NULL, 'f'},
					      {"rate", required_argument, NULL, 'r'},
					      {"seconds", required_argument, NULL, 's'},
					      {"connections", required_argument, NULL, 'c'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 't': ask->to = net_address(optarg); break;
		case 'k': ask->token = optarg; break;
		case 'f': ask->file = optarg; break;
		case 'r': ask->rate = number(optarg, 100000); break;
		case 's': ask->seconds = number(optarg, 86400); break;
		case 'c': ask->connection_count = number(optarg, CONNECTIONS_MAX); break;
		default: usage("unknown option");
		}
	}
	if (ask->to.sin_port == 0 || ask->token == NULL || ask->file == NULL || optind != argc)
		usage("--to, --token or --requests is missing, or something is left over");
}

int main(int argc, char **argv)
{
	static struct ask ask = {.rate = 200, .seconds = 5, .connection_count = 8};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

	read_options(argc, argv, &ask);
	read_requests(&ask);
	ask.epoll = epoll_create1(EPOLL_CLOEXEC);
	ask.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (ask.epoll < 0 || ask.timer < 0 ||
	    epoll_ctl(ask.epoll, EPOLL_CTL_ADD, ask.timer, &event) != 0)
		net_fail("epoll");
	for (size_t i = 0; i < ask.connection_count; i++) {
		buf_init(&ask.connections[i].in, ANSWER_MAX);
		connect_one(&ask, &ask.connections[i]);
	}
	run(&ask);
	report(&ask);
	return EXIT_SUCCESS;
}
