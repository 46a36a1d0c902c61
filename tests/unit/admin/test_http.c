/* tests admin/http.c and admin/hygiene.c: a server with no routes, asked in every wrong way */
#include <config.h>

#include "admin/http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admin/hygiene.h"
#include "admin/listen.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/admin/client.h"
#include "tests/unit/unit.h"

#define BODY_LIMIT 1000
#define LARGE	   ((size_t)64 << 20)

static atomic_int begun;
static atomic_int handled;
static atomic_int ended;

static void sleep_ms(long ms)
{
	struct timespec span = {ms / 1000, (ms % 1000) * 1000000L};

	nanosleep(&span, NULL);
}

static void reply_text(struct http_request *request, int status, const char *text)
{
	struct buf body;

	buf_init(&body, 70000);
	ck_assert_int_eq(buf_append_text(&body, text), ERR_OK);
	http_reply(request, status, "text/plain", &body);
	buf_release(&body);
}

static void echo_begin(void *ctx, struct http_request *request, size_t *body_limit_out)
{
	atomic_fetch_add(&begun, 1);
	*body_limit_out = BODY_LIMIT;
	if (span_is(http_path(request), "/denied"))
		reply_text(request, 401, "no");
}

static void *resume_later(void *request)
{
	sleep_ms(50);
	http_resume(request);
	return NULL;
}

static void then_answer(void *ctx, struct http_request *request)
{
	reply_text(request, 200, "resumed");
}

static void wait_for_thread(struct http_request *request)
{
	pthread_t thread;

	http_suspend(request, then_answer);
	pthread_create(&thread, NULL, resume_later, request);
	pthread_detach(thread);
}

static size_t endless_read(void *source, char *bytes_out, size_t max)
{
	size_t *left = source;
	size_t len = *left < max ? *left : max;

	memset(bytes_out, 'x', len);
	*left -= len;
	return len;
}

static void endless_release(void *source)
{
	free(source);
}

static void stream(struct http_request *request, uint64_t size, size_t given)
{
	size_t *left = malloc(sizeof(*left));

	*left = given;
	http_reply_stream(request, 200, "message/rfc822", size,
			  &(struct http_source){endless_read, endless_release, left});
}

/* --- replies that last --- */

struct live {
	struct http_request *request;
	int words;    /* that were said */
	bool endless; /* says one after the other */
};

static size_t live_read(void *source, char *bytes_out, size_t max)
{
	struct live *live = source;
	pthread_t thread;

	if (live->endless) {
		memset(bytes_out, 'x', max);
		return max;
	}
	live->words++;
	if (live->words == 7)
		return HTTP_SOURCE_END;
	if (live->words % 2 == 0) {
		http_stream_suspend(live->request);
		if (live->words == 2) {
			http_resume(live->request); /* before it has returned */
		} else {
			pthread_create(&thread, NULL, resume_later, live->request);
			pthread_detach(thread);
		}
		return HTTP_SOURCE_LATER;
	}
	memcpy(bytes_out, "word ", 5);
	return 5;
}

static void live_release(void *source)
{
	free(source);
}

static void live(struct http_request *request, bool endless)
{
	struct live *live = calloc(1, sizeof(*live));

	live->request = request;
	live->endless = endless;
	http_reply_live(request, "text/plain", 500,
			&(struct http_source){live_read, live_release, live});
}

static void echo_handle(void *ctx, struct http_request *request)
{
	char text[400];

	atomic_fetch_add(&handled, 1);
	if (span_is(http_path(request), "/wait")) {
		wait_for_thread(request);
	} else if (span_is(http_path(request), "/again")) {
		http_suspend(request, then_answer);
		http_resume(request); /* before the suspending call has returned */
	} else if (span_is(http_path(request), "/stream")) {
		stream(request, 3000000, 3000000);
	} else if (span_is(http_path(request), "/large")) {
		stream(request, LARGE, LARGE);
	} else if (span_is(http_path(request), "/live")) {
		live(request, false);
	} else if (span_is(http_path(request), "/endless")) {
		live(request, true);
	} else if (span_is(http_path(request), "/short")) {
		stream(request, 3000000, 1000000);
	} else {
		snprintf(text, sizeof(text), "%.*s %.*s?%.*s %zu %s",
			 SPAN_ARG(http_method(request)), SPAN_ARG(http_path(request)),
			 SPAN_ARG(http_query(request)), http_body(request).len,
			 http_peer(request)->address);
		reply_text(request, 200, text);
	}
}

static void echo_refuse(void *ctx, struct http_request *request, int status, const char *detail)
{
	reply_text(request, status, detail);
}

static void echo_end(void *ctx, struct http_request *request)
{
	atomic_fetch_add(&ended, 1);
}

static const struct http_ops echo_ops = {echo_begin, echo_handle, echo_refuse, echo_end};
static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};

struct running {
	struct http_server *server;
	char address[LISTEN_TEXT_SIZE];
	char dir[64];
	char path[96];
};

static void start_with(struct running *running, struct http_options options)
{
	struct err why = {""};

	options.hosts = hosts;
	options.host_count = 3;
	options.ops = &echo_ops;

	snprintf(running->dir, sizeof(running->dir), "/tmp/test_http.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(running->dir));
	snprintf(running->path, sizeof(running->path), "%s/admin.sock", running->dir);
	ck_assert_msg(listen_tcp("127.0.0.1:0", &options.tcp_fd, running->address, &why) == ERR_OK,
		      "%s", why.text);
	ck_assert_msg(listen_unix(running->path, &options.local_fd, &why) == ERR_OK, "%s",
		      why.text);
	ck_assert_msg(http_start(&options, &running->server, &why) == ERR_OK, "%s", why.text);
}

static void start(struct running *running, int64_t deadline_ms)
{
	start_with(running, (struct http_options){.request_deadline_ms = deadline_ms});
}

static void stop(struct running *running)
{
	http_stop(&running->server, 2000);
	unlink(running->path);
	rmdir(running->dir);
	ck_assert_int_eq(atomic_load(&begun) <= atomic_load(&ended), 1);
}

#define HOST "Host: localhost\r\n"

/* One request each, on a connection of its own; `closed`: the server must not go on after it. */
static const struct {
	const char *name;
	const char *request;
	int status;
	bool closed;
} cases[] = {
	{"plain", "GET /a?b=c HTTP/1.1\r\n" HOST "\r\n", 200, false},
	{"HEAD", "HEAD /a HTTP/1.1\r\n" HOST "\r\n", 200, false},
	{"a body", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 200, false},
	{"chunked",
	 "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200,
	 false},
	{"Host with a port", "GET /a HTTP/1.1\r\nHost: 127.0.0.1:8025\r\n\r\n", 200, false},
	{"IPv6 Host", "GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200, false},
	{"S298 length and coding",
	 "POST /a HTTP/1.1\r\n" HOST
	 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
	 400, true},
	{"S298 two lengths",
	 "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400,
	 true},
	{"S298 the same length twice",
	 "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400,
	 true},
	{"S298 another coding",
	 "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, true},
	{"S298 gzip, chunked",
	 "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501,
	 true},
	{"S298 blank before the colon",
	 "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, true},
	{"S299 -1", "POST /a HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400, true},
	{"S299 +3", "POST /a HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\nabc", 400, true},
	{"S299 3, 3", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\nabc", 400, true},
	{"S299 2^63", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n",
	 413, true},
	{"S299 2^64-1", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n",
	 413, true},
	{"S299 2^64", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n",
	 413, true},
	{"S299 10^30",
	 "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1000000000000000000000000000000\r\n\r\n", 413,
	 true},
	{"S300 chunk of 2^68",
	 "POST /a HTTP/1.1\r\n" HOST
	 "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
	 413, true},
	{"S300 chunk of -1",
	 "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
	 400, true},
	{"S300 chunk of 0x3",
	 "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
	 400, true},
	{"S301 declared too large", "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n", 413,
	 true},
	{"S287 evil Host", "GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, true},
	{"S287 Host that begins like ours", "GET /a HTTP/1.1\r\nHost: 127.0.0.1.nip.io\r\n\r\n",
	 421, true},
	{"S287 user in Host", "GET /a HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", 421, true},
	{"S287 port that is none", "GET /a HTTP/1.1\r\nHost: localhost:80x\r\n\r\n", 421, true},
	{"S287 no Host", "GET /a HTTP/1.1\r\n\r\n", 400, true},
	{"S287 no Host, HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n", 400, true},
	{"S298 a line without a colon", "GET /a HTTP/1.1\r\n" HOST "Nonsense\r\n\r\n", 400, true},
	{"S287 two Hosts", "GET /a HTTP/1.1\r\n" HOST "Host: evil.example\r\n\r\n", 400, true},
	{"S287 absolute form, another host", "GET http://evil.example/a HTTP/1.1\r\n" HOST "\r\n",
	 421, true},
	{"absolute form, ours", "GET http://localhost:1/a HTTP/1.1\r\n" HOST "\r\n", 200, false},
	{"S306 CONNECT", "CONNECT evil.example:25 HTTP/1.1\r\n" HOST "\r\n", 400, true},
	{"S306 OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400, true},
	{"S306 HTTP/3.0", "GET /a HTTP/3.0\r\n" HOST "\r\n", 505, true},
	{"S306 HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, true},
	{"early answer", "POST /denied HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\n", 401, true},
	{"early answer without a body", "GET /denied HTTP/1.1\r\n" HOST "\r\n", 401, false},
};

/* The library refuses some of these before we see them: then without our headers (noted). */
static bool is_ours(const struct client_reply *reply)
{
	return client_header(reply, "X-Content-Type-Options") != NULL;
}

static void check_headers(const char *name, const struct client_reply *reply)
{
	static const char *const want[] = {"Cache-Control", "Content-Security-Policy",
					   "Referrer-Policy", "X-Content-Type-Options",
					   "Cross-Origin-Resource-Policy"};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_msg(client_header(reply, want[i]) != NULL, "%s: no %s", name, want[i]);
	ck_assert_ptr_null(client_header(reply, "Access-Control-Allow-Origin"));
}

START_TEST(requests_that_can_be_read_one_way_only)
{
	struct running running;

	start(&running, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client_reply reply;
		int fd = client_open(running.address);
		bool closed;

		ck_assert_int_ge(fd, 0);
		atomic_store(&handled, 0);
		client_send(fd, cases[i].request, strlen(cases[i].request));
		client_read(fd, &reply, cases[i].request[0] == 'H');
		ck_assert_msg(reply.status == cases[i].status, "%s: %d instead of %d\n%s",
			      cases[i].name, reply.status, cases[i].status,
			      reply.head != NULL ? reply.head : "");
		if (is_ours(&reply)) /* S294 */
			check_headers(cases[i].name, &reply);
		else
			ck_assert_msg(reply.status == 400 || reply.status == 413 ||
					      reply.status == 505,
				      "%s: no headers of ours", cases[i].name);
		closed = client_is_closed(fd, cases[i].closed ? 3000 : 50);
		ck_assert_msg(closed == cases[i].closed, "%s: closed %d", cases[i].name, closed);
		/* Nothing behind a refused request was taken for another one. */
		ck_assert_msg(atomic_load(&handled) == (cases[i].status == 200 ? 1 : 0),
			      "%s: handled %d", cases[i].name, atomic_load(&handled));
		client_reply_free(&reply);
		close(fd);
	}
	stop(&running);
}
END_TEST

/* CASES S295: what the route table sees is what was sent, undecoded and uncut. */
START_TEST(paths_are_not_decoded)
{
	static const char *const paths[] = {"/a%00b",  "/a/%2e%2e/etc", "/a%2fb",
					    "/a/../b", "//a",		"/%61"};
	struct running running;

	start(&running, 0);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct client_reply reply;
		char request[200];
		char want[200];

		snprintf(request, sizeof(request), "GET %s?x=%%00+y HTTP/1.1\r\n" HOST "\r\n",
			 paths[i]);
		snprintf(want, sizeof(want), "GET %s?x=%%00+y 0 127.0.0.1", paths[i]);
		client_ask(running.address, request, &reply);
		ck_assert_int_eq(reply.status, 200);
		ck_assert_str_eq(reply.body, want);
		client_reply_free(&reply);
	}
	stop(&running);
}
END_TEST

START_TEST(keep_alive_suspend_and_stream)
{
	struct running running;
	struct client_reply reply;
	int fd;

	start(&running, 0);
	fd = client_open(running.path);
	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 20; i++) {
		const char *path = i % 4 == 0 ? "/wait" : i % 4 == 1 ? "/again" : "/stream";
		char request[200];

		snprintf(request, sizeof(request),
			 "POST %s HTTP/1.1\r\nHost: x\r\n"
			 "Content-Length: 4\r\n\r\nbody",
			 path);
		client_send(fd, request, strlen(request));
		client_read(fd, &reply, false);
		ck_assert_int_eq(reply.status, 200);
		if (i % 4 < 2)
			ck_assert_str_eq(reply.body, "resumed");
		else
			ck_assert_uint_eq(reply.body_len, 3000000);
		client_reply_free(&reply);
	}
	close(fd);
	/* A source that ends early must not look like a whole reply. */
	client_ask(running.address, "GET /short HTTP/1.1\r\n" HOST "\r\n", &reply);
	ck_assert_int_eq(reply.status, 200);
	ck_assert(reply.cut);
	client_reply_free(&reply);
	stop(&running);
}
END_TEST

/* All that comes until the peer closes. */
static void read_all(int fd, char *text_out, size_t size)
{
	size_t len = 0;
	ssize_t got;

	while (len + 1 < size && (got = recv(fd, text_out + len, size - len - 1, 0)) > 0)
		len += (size_t)got;
	text_out[len] = '\0';
}

START_TEST(a_reply_that_pauses)
{
	static const char request[] = "GET /live HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
	struct running running;
	char text[2000];
	char *body;
	int fd;

	start(&running, 0);
	for (int i = 0; i < 10; i++) {
		fd = client_open(i % 2 == 0 ? running.address : running.path);
		ck_assert(client_send(fd, request, strlen(request)));
		read_all(fd, text, sizeof(text));
		close(fd);
		body = strstr(text, "\r\n\r\n");
		ck_assert_ptr_nonnull(body);
		ck_assert_str_eq(body + 4, "5\r\nword \r\n5\r\nword \r\n5\r\nword \r\n0\r\n\r\n");
	}
	stop(&running);
}
END_TEST

/* CASES S303, for what we send: who takes nothing is cut, and who takes a little is not. */
START_TEST(a_peer_that_takes_nothing)
{
	static const char request[] = "GET /endless HTTP/1.1\r\n" HOST "\r\n";
	struct running running;
	char text[65536];
	int64_t began;
	int idle;
	int busy;

	start(&running, 600);
	idle = client_open(running.address);
	busy = client_open(running.address);
	ck_assert(client_send(idle, request, strlen(request)));
	ck_assert(client_send(busy, request, strlen(request)));
	began = clock_mono_ms();
	while (atomic_load(&ended) == 0) {
		ck_assert_int_lt(clock_mono_ms() - began, 10000);
		ck_assert_int_gt(recv(busy, text, sizeof(text), 0), 0);
	}
	ck_assert_int_ge(clock_mono_ms() - began, 400);
	for (began = clock_mono_ms(); clock_mono_ms() - began < 1000;)
		ck_assert_int_gt(recv(busy, text, sizeof(text), 0), 0);
	ck_assert_int_eq(atomic_load(&ended), 1);
	close(idle);
	close(busy);
	stop(&running);
}
END_TEST

/* A backup may take long on its way: as long as something of it is taken. */
START_TEST(a_long_reply_goes_on_while_it_is_taken)
{
	static const char request[] = "GET /large HTTP/1.1\r\n" HOST "\r\n";
	struct running running;
	char text[65536];
	size_t taken = 0;
	int idle;
	int busy;

	start_with(&running, (struct http_options){.request_deadline_ms = 400,
						   .reply_deadline_ms = 100,
						   .piece_deadline_ms = 400});
	idle = client_open(running.address);
	busy = client_open(running.address);
	ck_assert(client_send(idle, request, strlen(request)));
	ck_assert(client_send(busy, request, strlen(request)));
	while (taken < LARGE) {
		ssize_t len = recv(busy, text, sizeof(text), 0);

		ck_assert_msg(len > 0, "cut after %zu", taken);
		taken += (size_t)len;
		sleep_ms(1);
	}
	for (taken = 0; taken < LARGE;) {
		ssize_t len = recv(idle, text, sizeof(text), 0);

		if (len <= 0)
			break;
		taken += (size_t)len;
	}
	ck_assert_uint_lt(taken, LARGE);
	close(idle);
	close(busy);
	stop(&running);
}
END_TEST

/* CASES S301: a chunked body names no length; it is counted, not kept. */
START_TEST(chunked_body_over_the_limit)
{
	static const char chunked_head[] = "POST /a HTTP/1.1\r\n" HOST
					   "Transfer-Encoding: chunked\r\n\r\n";
	static char chunk[65536 + 16];
	struct running running;
	struct client_reply reply;
	size_t len = (size_t)snprintf(chunk, sizeof(chunk), "10000\r\n");
	int fd;

	start(&running, 0);
	memset(chunk + len, 'x', 65536);
	memcpy(chunk + len + 65536, "\r\n", 2);
	len += 65538;
	fd = client_open(running.address);
	client_send(fd, chunked_head, strlen(chunked_head));
	for (int i = 0; i < 320; i++)
		ck_assert(client_send(fd, chunk, len));
	client_send(fd, "0\r\n\r\n", 5);
	client_read(fd, &reply, false);
	ck_assert_int_eq(reply.status, 413);
	ck_assert_int_eq(atomic_load(&handled), 0);
	client_reply_free(&reply);
	close(fd);
	stop(&running);
}
END_TEST

/* CASES S303: the deadline is total, dripping does not move it. */
START_TEST(dripping_is_cut)
{
	static const char *const starts[] = {
		"GET /a HTTP/1.1\r\nX-Drip: ",
		"POST /a HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\n",
		"",
	};
	struct running running;

	start(&running, 600);
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		int64_t began = clock_mono_ms();
		int fd = client_open(running.address);
		bool closed = false;

		client_send(fd, starts[i], strlen(starts[i]));
		while (!closed && clock_mono_ms() - began < 5000) {
			if (i < 2)
				(void)client_send(fd, "x", 1);
			closed = client_is_closed(fd, 100);
		}
		ck_assert_msg(closed, "start %zu still open", i);
		ck_assert_int_ge(clock_mono_ms() - began, 500);
		ck_assert_int_le(clock_mono_ms() - began, 3000);
		close(fd);
	}
	stop(&running);
}
END_TEST

/* CASES S304: who holds connections and says nothing keeps nobody out; who waits for an answer
 * stays.
 */
START_TEST(the_idle_make_room)
{
	static const char begin[] = "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab";
	struct running running;
	struct client_reply reply;
	int64_t began = clock_mono_ms();
	int idle[300];
	int busy;

	start_with(&running, (struct http_options){.connections = 64, .per_address = 1000});
	busy = client_open(running.address);
	client_send(busy, begin, strlen(begin));
	while (atomic_load(&begun) == 0)
		sleep_ms(1);
	for (int i = 0; i < 300; i++) {
		idle[i] = client_open(running.address);
		ck_assert_int_ge(idle[i], 0);
		if (i % 30 != 29)
			continue;
		client_ask(running.address, "GET /a HTTP/1.1\r\n" HOST "\r\n", &reply);
		ck_assert_int_eq(reply.status, 200);
		client_reply_free(&reply);
	}
	client_ask(running.path, "GET /a HTTP/1.1\r\n" HOST "\r\n", &reply);
	ck_assert_int_eq(reply.status, 200);
	client_reply_free(&reply);
	client_send(busy, "c", 1);
	client_read(busy, &reply, false);
	ck_assert_int_eq(reply.status, 200);
	client_reply_free(&reply);
	/* Long before their deadline. */
	ck_assert(client_is_closed(idle[0], 1000));
	ck_assert_int_lt(clock_mono_ms() - began, 15000);
	for (int i = 0; i < 300; i++)
		close(idle[i]);
	close(busy);
	stop(&running);
}
END_TEST

/* CASES S305 */
START_TEST(header_over_the_limit)
{
	static char request[70000];
	struct running running;
	struct client_reply reply;
	size_t len =
		(size_t)snprintf(request, sizeof(request), "GET /a HTTP/1.1\r\n" HOST "X-Long: ");

	start(&running, 0);
	memset(request + len, 'x', 40000);
	memcpy(request + len + 40000, "\r\n\r\n", 5);
	client_ask(running.address, request, &reply);
	ck_assert_int_eq(reply.status, 431);
	client_reply_free(&reply);
	memset(request, 'x', 60000);
	memcpy(request, "GET /", 5);
	snprintf(request + 60000, 100, " HTTP/1.1\r\n" HOST "\r\n");
	client_ask(running.address, request, &reply);
	ck_assert(reply.status == 414 || reply.status == 431);
	client_reply_free(&reply);
	stop(&running);
}
END_TEST

START_TEST(stop_waits_for_what_is_under_way)
{
	static const char request[] = "GET /wait HTTP/1.1\r\n" HOST "\r\n";
	struct running running;
	struct client_reply reply;
	int idle;
	int busy;

	start(&running, 0);
	idle = client_open(running.address);
	busy = client_open(running.address);
	client_send(busy, request, strlen(request));
	while (atomic_load(&handled) == 0)
		sleep_ms(1);
	stop(&running);
	client_read(busy, &reply, false);
	ck_assert_int_eq(reply.status, 200);
	ck_assert_str_eq(reply.body, "resumed");
	ck_assert(client_is_closed(idle, 1000));
	ck_assert_int_lt(client_open(running.address), 0);
	client_reply_free(&reply);
	close(idle);
	close(busy);
}
END_TEST

/* The library's threads are at work when it is stopped: connections close, others come. */
START_TEST(stopped_at_any_moment)
{
	static const char request[] = "GET / HTTP/1.1\r\n" HOST "\r\n";

	for (int round = 0; round < 200; round++) {
		struct client_reply reply;
		struct running running;
		int fds[4];

		start(&running, 0);
		for (int i = 0; i < 4; i++)
			fds[i] = client_open(i % 2 == 0 ? running.address : running.path);
		client_send(fds[0], request, strlen(request));
		client_read(fds[0], &reply, false);
		client_reply_free(&reply);
		for (int i = 0; i < 4; i++)
			close(fds[i]);
		stop(&running);
	}
}
END_TEST

UNIT_MAIN("admin/http", requests_that_can_be_read_one_way_only, paths_are_not_decoded,
	  keep_alive_suspend_and_stream, chunked_body_over_the_limit, a_reply_that_pauses,
	  a_peer_that_takes_nothing, a_long_reply_goes_on_while_it_is_taken, dripping_is_cut,
	  the_idle_make_room, header_over_the_limit, stop_waits_for_what_is_under_way,
	  stopped_at_any_moment)
