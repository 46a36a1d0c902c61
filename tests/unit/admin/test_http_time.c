/* tests admin/http.c and admin/connection.c: what takes its time, pauses, drips and is stopped */
#include <config.h>

#include "admin/http.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/admin/client.h"
#include "tests/unit/admin/echo.h"
#include "tests/unit/unit.h"

START_TEST(keep_alive_suspend_and_stream)
{
	struct echo running;
	struct client_reply reply;
	int fd;

	echo_start(&running, 0);
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
	echo_stop(&running);
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
	struct echo running;
	char text[2000];
	char *body;
	int fd;

	echo_start(&running, 0);
	for (int i = 0; i < 10; i++) {
		fd = client_open(i % 2 == 0 ? running.address : running.path);
		ck_assert(client_send(fd, request, strlen(request)));
		read_all(fd, text, sizeof(text));
		close(fd);
		body = strstr(text, "\r\n\r\n");
		ck_assert_ptr_nonnull(body);
		ck_assert_str_eq(body + 4, "5\r\nword \r\n5\r\nword \r\n5\r\nword \r\n0\r\n\r\n");
	}
	echo_stop(&running);
}
END_TEST

/* CASES S303, for what we send: who takes nothing is cut, and who takes a little is not. */
START_TEST(a_peer_that_takes_nothing)
{
	static const char request[] = "GET /endless HTTP/1.1\r\n" HOST "\r\n";
	struct echo running;
	char text[65536];
	int64_t began;
	int idle;
	int busy;

	echo_start(&running, 600);
	idle = client_open(running.address);
	busy = client_open(running.address);
	ck_assert(client_send(idle, request, strlen(request)));
	ck_assert(client_send(busy, request, strlen(request)));
	began = clock_mono_ms();
	while (atomic_load(&running.ended) == 0) {
		ck_assert_int_lt(clock_mono_ms() - began, 10000);
		ck_assert_int_gt(recv(busy, text, sizeof(text), 0), 0);
	}
	ck_assert_int_ge(clock_mono_ms() - began, 400);
	for (began = clock_mono_ms(); clock_mono_ms() - began < 1000;)
		ck_assert_int_gt(recv(busy, text, sizeof(text), 0), 0);
	ck_assert_int_eq(atomic_load(&running.ended), 1);
	close(idle);
	close(busy);
	echo_stop(&running);
}
END_TEST

/* A backup may take long on its way: as long as something of it is taken. */
START_TEST(a_long_reply_goes_on_while_it_is_taken)
{
	static const char request[] = "GET /large HTTP/1.1\r\n" HOST "\r\n";
	struct echo running;
	char text[65536];
	size_t taken = 0;
	int idle;
	int busy;

	echo_start_with(&running, (struct http_options){.request_deadline_ms = 400,
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
		echo_sleep_ms(1);
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
	echo_stop(&running);
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
	struct echo running;

	echo_start(&running, 600);
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
	echo_stop(&running);
}
END_TEST

/* CASES S304: who holds connections and says nothing keeps nobody out; who waits for an answer
 * stays.
 */
START_TEST(the_idle_make_room)
{
	static const char begin[] = "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab";
	struct echo running;
	struct client_reply reply;
	int64_t began = clock_mono_ms();
	int idle[300];
	int busy;

	echo_start_with(&running, (struct http_options){.connections = 64, .per_address = 1000});
	busy = client_open(running.address);
	client_send(busy, begin, strlen(begin));
	while (atomic_load(&running.begun) == 0)
		echo_sleep_ms(1);
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
	echo_stop(&running);
}
END_TEST

START_TEST(stop_waits_for_what_is_under_way)
{
	static const char request[] = "GET /wait HTTP/1.1\r\n" HOST "\r\n";
	struct echo running;
	struct client_reply reply;
	int idle;
	int busy;

	echo_start(&running, 0);
	idle = client_open(running.address);
	busy = client_open(running.address);
	client_send(busy, request, strlen(request));
	while (atomic_load(&running.handled) == 0)
		echo_sleep_ms(1);
	echo_stop(&running);
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
		struct echo running;
		int fds[4];

		echo_start(&running, 0);
		for (int i = 0; i < 4; i++)
			fds[i] = client_open(i % 2 == 0 ? running.address : running.path);
		client_send(fds[0], request, strlen(request));
		client_read(fds[0], &reply, false);
		client_reply_free(&reply);
		for (int i = 0; i < 4; i++)
			close(fds[i]);
		echo_stop(&running);
	}
}
END_TEST

UNIT_MAIN("admin/http_time", keep_alive_suspend_and_stream, a_reply_that_pauses,
	  a_peer_that_takes_nothing, a_long_reply_goes_on_while_it_is_taken, dripping_is_cut,
	  the_idle_make_room, stop_waits_for_what_is_under_way, stopped_at_any_moment)
