/*
 * tests/bench/sink.c - a next hop that takes everything, keeps nothing and
 * counts. One thread, epoll, about 25 us of CPU a message.
 *
 * Usage: sink ADDRESS:PORT [CERTIFICATE KEY]. With the files it offers STARTTLS.
 * Two verbs of its own answer the bench:
 *   XCOUNT  250 messages=N recipients=N connections=N last_us=T  (monotonic clock)
 *   XRESET  250, all of them 0
 */
#define _GNU_SOURCE /* accept4, memmem */
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/bench/net.h"
#include "tests/bench/tls.h"

#define READ_BYTES  (256 * 1024)
#define LINE_BYTES  4096
#define END_OF_DATA "\r\n.\r\n"
#define END_LEN	    5

struct client {
	int fd;
	SSL *tls; /* NULL: in clear */
	bool secured;
	bool wants_tls; /* once the reply to STARTTLS is out */
	bool in_data;
	bool waits_to_write;
	char tail[END_LEN - 1]; /* of the data seen, when in_data */
	struct buf line;	/* what is left of the commands */
	struct buf out;
};

struct counts {
	uint64_t messages;
	uint64_t recipients;
	uint64_t connections;
	int64_t last_us;
};

struct sink {
	int epoll;
	int listener;
	SSL_CTX *tls; /* NULL: not offered */
	struct counts counts;
	char room[END_LEN - 1 + READ_BYTES];
};

static void say(struct client *client, const char *text)
{
	(void)buf_append_text(&client->out, text);
}

static void count_reply(const struct sink *sink, struct client *client)
{
	const struct counts *c = &sink->counts;

	(void)buf_printf(&client->out,
			 "250 messages=%" PRIu64 " recipients=%" PRIu64 " connections=%" PRIu64
			 " last_us=%" PRId64 "\r\n",
			 c->messages, c->recipients, c->connections, c->last_us);
}

/* False: the conversation is over. */
static bool on_command(struct sink *sink, struct client *client, struct span line)
{
	if (span_starts_fold(line, "EHLO")) {
		say(client, "250-sink.bench.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
			    "250-ENHANCEDSTATUSCODES\r\n");
		if (sink->tls != NULL && client->tls == NULL)
			say(client, "250-STARTTLS\r\n");
		say(client, "250 SIZE 104857600\r\n");
	} else if (span_is_fold(line, "STARTTLS") && sink->tls != NULL && client->tls == NULL) {
		client->wants_tls = true;
		say(client, "220 2.0.0 go on\r\n");
	} else if (span_starts_fold(line, "RCPT")) {
		sink->counts.recipients++;
		say(client, "250 2.1.5 ok\r\n");
	} else if (span_starts_fold(line, "DATA")) {
		client->in_data = true;
		memcpy(client->tail, "\0\0\r\n", sizeof(client->tail));
		say(client, "354 go on\r\n");
	} else if (span_starts_fold(line, "XCOUNT")) {
		count_reply(sink, client);
	} else if (span_starts_fold(line, "XRESET")) {
		sink->counts = (struct counts){0};
		say(client, "250 2.0.0 ok\r\n");
	} else if (span_starts_fold(line, "QUIT")) {
		say(client, "221 2.0.0 bye\r\n");
		return false;
	} else {
		say(client, "250 2.0.0 ok\r\n");
	}
	return true;
}

static bool on_commands(struct sink *sink, struct client *client, struct span *input)
{
	while (input->len > 0 && !client->in_data) {
		size_t end = span_find(*input, '\n');

		if (buf_append_span(&client->line, span_first(*input, end)) != ERR_OK)
			return false;
		if (end == input->len) {
			*input = span_skip(*input, end);
			break;
		}
		*input = span_skip(*input, end + 1);
		if (!on_command(sink, client, span_trim(buf_span(&client->line))))
			return false;
		buf_clear(&client->line);
	}
	return true;
}

/* `input` has END_LEN - 1 bytes of room in front: the tail goes there, so that an end of data that
 * came in pieces is one piece again. */
static void on_data(struct sink *sink, struct client *client, struct span *input)
{
	char *start = sink->room + (input->data - sink->room) - sizeof(client->tail);
	size_t len = input->len + sizeof(client->tail);
	const char *end;

	memcpy(start, client->tail, sizeof(client->tail));
	end = memmem(start, len, END_OF_DATA, END_LEN);
	if (end == NULL) {
		memcpy(client->tail, start + len - sizeof(client->tail), sizeof(client->tail));
		*input = span_skip(*input, input->len);
		return;
	}
	*input = span_make(end + END_LEN, (size_t)(start + len - end) - END_LEN);
	client->in_data = false;
	sink->counts.messages++;
	sink->counts.last_us = clock_mono_us();
	say(client, "250 2.0.0 taken\r\n");
}

static ssize_t transmit(struct client *client)
{
	struct iovec part = {client->out.data, client->out.len};

	if (client->tls != NULL)
		return tls_send(client->tls, &part, 1);
	return send(client->fd, client->out.data, client->out.len, MSG_NOSIGNAL);
}

static bool flush(struct sink *sink, struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	bool was_waiting = client->waits_to_write;
	ssize_t sent = 0;

	if (client->out.len > 0)
		sent = transmit(client);
	if (sent < 0 && errno != EAGAIN)
		return false;
	if (sent > 0)
		buf_consume(&client->out, (size_t)sent);
	client->waits_to_write = client->out.len > 0;
	if (client->waits_to_write)
		event.events |= EPOLLOUT;
	return client->waits_to_write == was_waiting ||
	       epoll_ctl(sink->epoll, EPOLL_CTL_MOD, client->fd, &event) == 0;
}

/* False: it is over, or nothing more is there (errno EAGAIN). */
static bool take_some(struct sink *sink, struct client *client)
{
	char *room = sink->room + END_LEN - 1;
	ssize_t got = client->tls != NULL ? tls_receive(client->tls, room, READ_BYTES)
					  : recv(client->fd, room, READ_BYTES, 0);
	struct span input;

	if (got <= 0) {
		errno = got < 0 ? errno : ECONNRESET;
		return false;
	}
	input = span_make(room, (size_t)got);
	while (input.len > 0) {
		if (client->in_data) {
			on_data(sink, client, &input);
		} else if (!on_commands(sink, client, &input)) {
			(void)flush(sink, client);
			errno = ECONNRESET;
			return false;
		}
	}
	return true;
}

static bool on_readable(struct sink *sink, struct client *client)
{
	if (client->tls != NULL && !client->secured)
		return tls_go_on(client->tls, &client->secured);
	if (!take_some(sink, client))
		return errno == EAGAIN;
	/* What OpenSSL holds already wakes nobody. */
	while (client->tls != NULL)
		if (!take_some(sink, client))
			return errno == EAGAIN && flush(sink, client);
	if (!flush(sink, client))
		return false;
	if (client->wants_tls && client->out.len == 0) {
		client->wants_tls = false;
		client->tls = tls_begin_server(sink->tls, client->fd);
	}
	return true;
}

static void drop(struct client *client)
{
	SSL_free(client->tls);
	close(client->fd);
	buf_release(&client->line);
	buf_release(&client->out);
	mem_free(client);
}

static void accept_all(struct sink *sink)
{
	int fd;

	while ((fd = accept4(sink->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *client = mem_zalloc(sizeof(*client));
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

		net_no_delay(fd);
		client->fd = fd;
		buf_init(&client->line, LINE_BYTES);
		buf_init(&client->out, 1 << 20);
		sink->counts.connections++;
		say(client, "220 sink.bench.test ESMTP\r\n");
		if (epoll_ctl(sink->epoll, EPOLL_CTL_ADD, fd, &event) != 0 || !flush(sink, client))
			drop(client);
	}
}

static void listen_on(struct sink *sink, const char *where)
{
	struct sockaddr_in address = net_address(where);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	int on = 1;

	sink->epoll = epoll_create1(EPOLL_CLOEXEC);
	sink->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sink->epoll < 0 || sink->listener < 0)
		net_fail("sink");
	(void)setsockopt(sink->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(sink->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(sink->listener, 4096) != 0 ||
	    epoll_ctl(sink->epoll, EPOLL_CTL_ADD, sink->listener, &event) != 0)
		net_fail(where);
}

int main(int argc, char **argv)
{
	static struct sink sink;
	struct epoll_event events[256];

	if (argc != 2 && argc != 4) {
		fputs("usage: sink ADDRESS:PORT [CERTIFICATE KEY]\n", stderr);
		return NET_USAGE;
	}
	if (argc == 4)
		sink.tls = tls_server_context(argv[2], argv[3]);
	listen_on(&sink, argv[1]);
	for (;;) {
		int count = epoll_wait(sink.epoll, events, 256, -1);

		if (count < 0 && errno != EINTR)
			net_fail("epoll_wait");
		for (int i = 0; i < count; i++) {
			struct client *client = events[i].data.ptr;
			bool alive = true;

			if (client == NULL) {
				accept_all(&sink);
				continue;
			}
			if ((events[i].events & EPOLLOUT) != 0)
				alive = flush(&sink, client);
			if (alive && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
				alive = on_readable(&sink, client);
			if (!alive)
				drop(client);
		}
	}
}
