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
#include <getopt.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/bench/net.h"
#include "tests/bench/tls.h"

#define RCPT_MAX	1000
#define STALL_MS	60000 /* no reply at all for so long: something is broken */
#define FAILURES_LEAST	100   /* past this, and more failures than messages: give up */
#define REPLY_BYTES_MAX (64 * 1024)

struct options {
	struct sockaddr_in to;
	const char *from;
	const char *rcpts[RCPT_MAX];
	uint64_t rcpt_count;
	uint64_t sessions;
	uint64_t seconds;
	uint64_t messages;
	uint64_t size;
	uint64_t recipients;
	uint64_t rate;
	bool pipelining;
	bool fresh;
	bool idle;
	enum tls_mode tls;
	bool handshakes;
};

enum step {
	STEP_CONNECT,
	STEP_HANDSHAKE,
	STEP_GREETING,
	STEP_EHLO,
	STEP_STARTTLS,
	STEP_READY,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY
};

struct session {
	int fd; /* -1: closed for good */
	SSL *tls;
	enum step step;
	bool counts; /* --handshakes: this connection is a message */
	uint64_t rcpts_answered;
	int64_t started_us;
	struct buf in;
	struct buf out;	  /* commands, and the header that differs for each message */
	size_t body_sent; /* of load.body, once out is empty */
	bool wants_body;
	bool waits_to_write;
};

struct load {
	struct options options;
	int epoll;
	SSL_CTX *tls;
	struct session *sessions;
	struct session **ready; /* a stack: who may start a message */
	size_t ready_count;
	struct buf body; /* the same for every message, with the final dot */
	uint32_t *latencies_us;
	size_t done;
	size_t room;
	uint64_t started;
	uint64_t failures;
	int64_t start_us;
	int64_t end_us;
	int64_t last_reply_ms;
	char first_failure[200];
};

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

static const char *next_rcpt(const struct load *load, uint64_t message, uint64_t n)
{
	const struct options *o = &load->options;

	return o->rcpts[(message * o->recipients + n) % o->rcpt_count];
}

/* --- one session ---------------------------------------------------------------------------- */

static bool watch(const struct load *load, struct session *session, int operation)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	if (session->waits_to_write)
		event.events |= EPOLLOUT;
	return epoll_ctl(load->epoll, operation, session->fd, &event) == 0;
}

static void connect_session(struct load *load, struct session *session)
{
	const struct sockaddr_in *to = &load->options.to;

	session->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		net_fail("socket");
	net_no_delay(session->fd);
	if (connect(session->fd, (const struct sockaddr *)to, sizeof(*to)) != 0 &&
	    errno != EINPROGRESS)
		net_fail("connect");
	session->step = load->options.tls == TLS_IMPLICIT ? STEP_CONNECT : STEP_GREETING;
	session->wants_body = false;
	session->waits_to_write = session->step == STEP_CONNECT;
	session->rcpts_answered = 0;
	buf_clear(&session->in);
	buf_clear(&session->out);
	if (!watch(load, session, EPOLL_CTL_ADD))
		net_fail("epoll_ctl");
}

static void disconnect(struct session *session)
{
	SSL_free(session->tls);
	session->tls = NULL;
	close(session->fd);
}

static void fail(struct load *load, struct session *session, struct span reply)
{
	load->failures++;
	if (load->first_failure[0] == '\0')
		snprintf(load->first_failure, sizeof(load->first_failure), "at step %d: %.*s",
			 (int)session->step, SPAN_ARG(span_first(span_trim(reply), 150)));
	if (load->failures > FAILURES_LEAST && load->failures > load->done) {
		fprintf(stderr, "load: too many failures, the first %s\n", load->first_failure);
		exit(EXIT_FAILURE);
	}
	disconnect(session);
	connect_session(load, session);
}

/* The handshake, from its beginning or on. False: it failed. */
static bool secure(struct load *load, struct session *session)
{
	bool done;

	if (session->tls == NULL)
		session->tls = tls_begin(load->tls, session->fd);
	session->step = STEP_HANDSHAKE;
	if (!tls_go_on(session->tls, &done))
		return false;
	if (!done)
		return true;
	session->step = STEP_GREETING;
	if (load->options.tls == TLS_IMPLICIT)
		return true;
	session->step = STEP_EHLO;
	return buf_append_text(&session->out, "EHLO load.bench.test\r\n") == ERR_OK;
}

/* Commands first, then the body. False: the connection is broken. */
static bool flush(struct load *load, struct session *session)
{
	struct iovec parts[2] = {{session->out.data, session->out.len}, {NULL, 0}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	bool was_waiting = session->waits_to_write;
	ssize_t sent;

	if (session->wants_body)
		parts[1] = (struct iovec){load->body.data + session->body_sent,
					  load->body.len - session->body_sent};
	sent = session->tls != NULL ? tls_send(session->tls, parts, 2)
				    : sendmsg(session->fd, &message, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		return false;
	if (sent > 0) {
		size_t head = (size_t)sent < session->out.len ? (size_t)sent : session->out.len;

		buf_consume(&session->out, head);
		session->body_sent += (size_t)sent - head;
	}
	if (session->wants_body && session->body_sent == load->body.len)
		session->wants_body = false;
	session->waits_to_write = session->out.len > 0 || session->wants_body;
	return session->waits_to_write == was_waiting || watch(load, session, EPOLL_CTL_MOD);
}

static void start_message(struct load *load, struct session *session, int64_t due_us)
{
	const struct options *o = &load->options;

	session->started_us = due_us;
	if (o->handshakes) {
		session->counts = true;
		load->started++;
		disconnect(session);
		connect_session(load, session);
		return;
	}
	session->rcpts_answered = 0;
	session->step = STEP_MAIL;
	(void)buf_printf(&session->out, "MAIL FROM:<%s>\r\n", o->from);
	if (o->pipelining) {
		for (uint64_t i = 0; i < o->recipients; i++)
			(void)buf_printf(&session->out, "RCPT TO:<%s>\r\n",
					 next_rcpt(load, load->started, i));
		(void)buf_append_text(&session->out, "DATA\r\n");
	}
	load->started++;
	if (!flush(load, session))
		fail(load, session, span_of("the connection broke"));
}

static void record(struct load *load, const struct session *session)
{
	int64_t now = clock_mono_us();
	int64_t took = now - session->started_us;

	if (load->done == load->room) {
		load->room = load->room > 0 ? 2 * load->room : 4096;
		load->latencies_us =
			mem_regrow(load->latencies_us, load->room, sizeof(*load->latencies_us));
	}
	load->latencies_us[load->done++] = took > 0 ? (uint32_t)took : 0;
	load->end_us = now;
}

static void become_ready(struct load *load, struct session *session)
{
	if (session->counts)
		record(load, session);
	session->step = STEP_READY;
	load->ready[load->ready_count++] = session;
}

static void after_message(struct load *load, struct session *session)
{
	record(load, session);
	if (!load->options.fresh) {
		become_ready(load, session);
		return;
	}
	if (session->tls == NULL)
		(void)send(session->fd, "QUIT\r\n", 6, MSG_NOSIGNAL);
	else
		(void)SSL_write(session->tls, "QUIT\r\n", 6);
	disconnect(session);
	connect_session(load, session);
}

static void send_rcpt_or_data(struct load *load, struct session *session)
{
	bool more = session->rcpts_answered < load->options.recipients;

	session->step = more ? STEP_RCPT : STEP_DATA;
	if (load->options.pipelining)
		return;
	if (more)
		(void)buf_printf(&session->out, "RCPT TO:<%s>\r\n",
				 next_rcpt(load, load->started - 1, session->rcpts_answered));
	else
		(void)buf_append_text(&session->out, "DATA\r\n");
}

static void send_body(struct session *session)
{
	session->step = STEP_BODY;
	session->wants_body = true;
	session->body_sent = 0;
	(void)buf_printf(&session->out, "Message-ID: <%p.%" PRId64 "@bench.test>\r\n",
			 (void *)session, session->started_us);
}

/* `line` is the last line of a reply. False: not what was expected. */
static bool on_reply(struct load *load, struct session *session, struct span line)
{
	char expected = session->step == STEP_DATA ? '3' : '2';

	load->last_reply_ms = clock_mono_ms();
	if (line.len < 3 || line.data[0] != expected)
		return false;
	switch (session->step) {
	case STEP_GREETING:
		session->step = STEP_EHLO;
		return buf_append_text(&session->out, "EHLO load.bench.test\r\n") == ERR_OK;
	case STEP_EHLO:
		if (load->options.tls == TLS_STARTTLS && session->tls == NULL) {
			session->step = STEP_STARTTLS;
			return buf_append_text(&session->out, "STARTTLS\r\n") == ERR_OK;
		}
		become_ready(load, session);
		return true;
	case STEP_STARTTLS: return secure(load, session);
	case STEP_MAIL: send_rcpt_or_data(load, session); return true;
	case STEP_RCPT:
		session->rcpts_answered++;
		send_rcpt_or_data(load, session);
		return true;
	case STEP_DATA: send_body(session); return true;
	case STEP_BODY: after_message(load, session); return true;
	case STEP_CONNECT:
	case STEP_HANDSHAKE:
	case STEP_READY: break;
	}
	return false;
}

static bool on_replies(struct load *load, struct session *session, struct span *bad_out)
{
	int fd = session->fd;
	size_t end;

	while (session->fd == fd && session->in.len > 0 &&
	       (end = span_find(buf_span(&session->in), '\n')) < session->in.len) {
		struct span line = span_first(buf_span(&session->in), end);
		bool last = line.len < 4 || line.data[3] != '-';

		if (last && !on_reply(load, session, line)) {
			*bad_out = line;
			return false;
		}
		if (session->in.len > end) /* a fresh connection starts with nothing */
			buf_consume(&session->in, end + 1);
	}
	return true;
}

static void on_readable(struct load *load, struct session *session)
{
	struct span bad = span_of("the connection broke");
	char *room = buf_reserve(&session->in, 4096);
	ssize_t got = -1;

	errno = EIO;
	if (room != NULL && session->tls != NULL)
		got = tls_receive(session->tls, room, 4096);
	else if (room != NULL)
		got = recv(session->fd, room, 4096, 0);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got > 0)
		buf_fill(&session->in, (size_t)got);
	if (got <= 0 || !on_replies(load, session, &bad))
		fail(load, session, bad);
	else if (!session->waits_to_write && session->step != STEP_READY &&
		 (session->out.len > 0 || session->wants_body) && !flush(load, session))
		fail(load, session, span_of("the connection broke"));
}

/* Connected, or something has come for the handshake. */
static void on_handshake(struct load *load, struct session *session)
{
	bool was_connecting = session->step == STEP_CONNECT;

	session->waits_to_write = false;
	if ((was_connecting && !watch(load, session, EPOLL_CTL_MOD)) || !secure(load, session))
		fail(load, session, span_of("the handshake failed"));
	else if (session->out.len > 0 && !flush(load, session))
		fail(load, session, span_of("the connection broke"));
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
		start_message(load, load->ready[--load->ready_count], due_us(load, now));
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
			on_handshake(load, session);
		else if ((events[i].events & EPOLLOUT) != 0 && !flush(load, session))
			fail(load, session, span_of("the connection broke"));
		else if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
			on_readable(load, session);
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
		connect_session(&load, session);
	}
	if (load.options.idle) {
		run_idle(&load);
		return EXIT_SUCCESS;
	}
	run(&load);
	report(&load);
	return EXIT_SUCCESS;
}
