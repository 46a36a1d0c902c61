/* tests admin/http.c and admin/hygiene.c: a server with no routes, asked in every wrong way */
#include <config.h>

#include "admin/http.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/admin/client.h"
#include "tests/unit/admin/echo.h"
#include "tests/unit/unit.h"

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
	struct echo running;

	echo_start(&running, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct client_reply reply;
		int fd = client_open(running.address);
		bool closed;

		ck_assert_int_ge(fd, 0);
		atomic_store(&running.handled, 0);
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
		ck_assert_msg(atomic_load(&running.handled) == (cases[i].status == 200 ? 1 : 0),
			      "%s: handled %d", cases[i].name, atomic_load(&running.handled));
		client_reply_free(&reply);
		close(fd);
	}
	echo_stop(&running);
}
END_TEST

/* CASES S295: what the route table sees is what was sent, undecoded and uncut. */
START_TEST(paths_are_not_decoded)
{
	static const char *const paths[] = {"/a%00b",  "/a/%2e%2e/etc", "/a%2fb",
					    "/a/../b", "//a",		"/%61"};
	struct echo running;

	echo_start(&running, 0);
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
	echo_stop(&running);
}
END_TEST

/* CASES S301: a chunked body names no length; it is counted, not kept. */
START_TEST(chunked_body_over_the_limit)
{
	static const char chunked_head[] = "POST /a HTTP/1.1\r\n" HOST
					   "Transfer-Encoding: chunked\r\n\r\n";
	static char chunk[65536 + 16];
	struct echo running;
	struct client_reply reply;
	size_t len = (size_t)snprintf(chunk, sizeof(chunk), "10000\r\n");
	int fd;

	echo_start(&running, 0);
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
	ck_assert_int_eq(atomic_load(&running.handled), 0);
	client_reply_free(&reply);
	close(fd);
	echo_stop(&running);
}
END_TEST

/* CASES S305 */
START_TEST(header_over_the_limit)
{
	static char request[70000];
	struct echo running;
	struct client_reply reply;
	size_t len =
		(size_t)snprintf(request, sizeof(request), "GET /a HTTP/1.1\r\n" HOST "X-Long: ");

	echo_start(&running, 0);
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
	echo_stop(&running);
}
END_TEST

UNIT_MAIN("admin/http", requests_that_can_be_read_one_way_only, paths_are_not_decoded,
	  chunked_body_over_the_limit, header_over_the_limit)
