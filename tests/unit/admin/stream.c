/* tests/unit/admin/stream.c - a reader of server-sent events */
#include <config.h>

#include "tests/unit/admin/stream.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

void stream_open(struct stream *stream, struct fixture *fixture, const char *token,
		 const char *query, const char *last)
{
	bool local = strcmp(token, "socket") == 0;
	struct client_reply reply;
	char request[1000];
	int len = snprintf(request, sizeof(request),
			   "GET /api/v1/events%s HTTP/1.1\r\nHost: localhost\r\n%s%s%s%s%s%s\r\n",
			   query, local ? "" : "Authorization: Bearer ", local ? "" : token,
			   local ? "" : "\r\n", last != NULL ? "Last-Event-ID: " : "",
			   last != NULL ? last : "", last != NULL ? "\r\n" : "");

	memset(stream, 0, sizeof(*stream));
	stream->fd = client_open(local ? fixture->socket : admin_address(fixture->admin));
	ck_assert_int_ge(stream->fd, 0);
	ck_assert(client_send(stream->fd, request, (size_t)len));
	client_read(stream->fd, &reply, true);
	stream->status = reply.status;
	stream->head = strdup(reply.head != NULL ? reply.head : "");
	client_reply_free(&reply);
}

void stream_close(struct stream *stream)
{
	close(stream->fd);
	free(stream->head);
	free(stream->text);
	json_decref(stream->data);
	memset(stream, 0, sizeof(*stream));
}

/* --- chunks (RFC 9112 7.1) -----------------------------------------------------------------------
 */

static bool receive(struct stream *stream, char *at, size_t len)
{
	struct pollfd wait = {.fd = stream->fd, .events = POLLIN};

	while (len > 0) {
		ssize_t got = poll(&wait, 1, 10000) == 1 ? recv(stream->fd, at, len, 0) : -1;

		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

static void begin_chunk(struct stream *stream)
{
	char line[32];
	size_t len = 0;

	do {
		ck_assert_uint_lt(len, sizeof(line) - 1);
		ck_assert_msg(receive(stream, line + len, 1), "the stream was cut");
	} while (line[len++] != '\n');
	line[len] = '\0';
	stream->chunk = strtoul(line, NULL, 16);
	stream->ended = stream->chunk == 0;
}

/* More text, or the end. */
static void read_more(struct stream *stream)
{
	char end[2];
	size_t len;

	if (stream->chunk == 0)
		begin_chunk(stream);
	len = stream->chunk;
	if (len > 0) {
		stream->text = realloc(stream->text, stream->len + len + 1);
		ck_assert_msg(receive(stream, stream->text + stream->len, len), "it was cut");
		for (size_t i = 0; i < len; i++)
			stream->angles += stream->text[stream->len + i] == '<';
		stream->len += len;
		stream->text[stream->len] = '\0';
		stream->chunk = 0;
	}
	ck_assert(receive(stream, end, 2));
	ck_assert(memcmp(end, "\r\n", 2) == 0);
}

/* --- events
 * ---------------------------------------------------------------------------------------- */

static void take_line(struct stream *stream, const char *line, size_t len)
{
	if (len > 4 && memcmp(line, "id: ", 4) == 0)
		snprintf(stream->id, sizeof(stream->id), "%.*s", (int)(len - 4), line + 4);
	else if (len > 7 && memcmp(line, "event: ", 7) == 0)
		snprintf(stream->type, sizeof(stream->type), "%.*s", (int)(len - 7), line + 7);
	else if (len > 6 && memcmp(line, "data: ", 6) == 0)
		stream->data = json_loadb(line + 6, len - 6, JSON_REJECT_DUPLICATES, NULL);
}

/* One block of lines off the front. False: there is no whole one. */
static bool take_block(struct stream *stream)
{
	char *end = stream->len > 0 ? strstr(stream->text, "\n\n") : NULL;
	char *line = stream->text;

	if (end == NULL)
		return false;
	json_decref(stream->data);
	stream->data = NULL;
	stream->type[0] = '\0';
	while (line <= end) {
		char *next = strchr(line, '\n');

		take_line(stream, line, (size_t)(next - line));
		line = next + 1;
	}
	stream->len -= (size_t)(end + 2 - stream->text);
	memmove(stream->text, end + 2, stream->len + 1);
	return true;
}

/* False: it has ended. */
static bool next(struct stream *stream)
{
	for (;;) {
		while (!take_block(stream)) {
			if (stream->ended)
				return false;
			read_more(stream);
		}
		if (stream->type[0] != '\0')
			break; /* else a comment, or how soon to come again */
	}
	ck_assert_msg(json_is_object(stream->data), "an event without data");
	ck_assert_str_eq(text_of(stream->data, "type"), stream->type);
	ck_assert_str_eq(text_of(stream->data, "id"), stream->id);
	return true;
}

void stream_next(struct stream *stream)
{
	ck_assert_msg(next(stream), "the stream has ended");
}

void stream_expect(struct stream *stream, const char *type)
{
	stream_next(stream);
	ck_assert_str_eq(stream->type, type);
}

size_t stream_skip_to(struct stream *stream, const char *type)
{
	size_t before = 0;

	for (;; before++) {
		stream_next(stream);
		if (strcmp(stream->type, type) == 0)
			return before;
	}
}

void stream_expect_end(struct stream *stream)
{
	ck_assert_msg(!next(stream), "%s came before the end", stream->type);
}
