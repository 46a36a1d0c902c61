/* tests/unit/admin/client.c - a raw HTTP client */
#include <config.h>

#include "tests/unit/admin/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

int client_open(const char *address)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	const char *colon = strrchr(address, ':');
	int fd;

	if (address[0] == '/')
		return open_unix(address);
	in.sin_port = htons((unsigned short)strtoul(colon + 1, NULL, 10));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool client_send(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		bytes += sent;
		len -= (size_t)sent;
	}
	return true;
}

static ssize_t receive(int fd, char *at, size_t room)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, 10000) == 1 ? recv(fd, at, room, 0) : -1;
}

/* Byte by byte: nothing of the next reply may be taken. */
static char *read_head(int fd)
{
	size_t size = 16384;
	char *head = calloc(1, size);
	size_t len = 0;

	while (len + 1 < size && receive(fd, head + len, 1) == 1) {
		head[++len] = '\0';
		if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0)
			return head;
	}
	free(head);
	return NULL;
}

/* `want` bytes more of the body; false: the peer went before. */
static bool read_bytes(int fd, size_t want, struct client_reply *reply)
{
	size_t end = reply->body_len + want;

	reply->body = realloc(reply->body, end + 1);
	while (reply->body_len < end) {
		ssize_t got = receive(fd, reply->body + reply->body_len, end - reply->body_len);

		if (got <= 0)
			break;
		reply->body_len += (size_t)got;
	}
	reply->body[reply->body_len] = '\0';
	return reply->body_len == end;
}

/* A line of hexadecimal digits and the line end behind it. */
static bool read_size(int fd, size_t *size_out)
{
	char line[20] = "";
	size_t len = 0;

	while (len + 1 < sizeof(line) && receive(fd, line + len, 1) == 1)
		if (line[len++] == '\n')
			break;
	*size_out = strtoul(line, NULL, 16);
	return len > 2 && line[len - 1] == '\n';
}

/* RFC 9112 7.1, without trailers. */
static bool read_chunks(int fd, struct client_reply *reply)
{
	size_t size;

	do {
		if (!read_size(fd, &size) || !read_bytes(fd, size + 2, reply))
			return false;
		reply->body_len -= 2;
		if (memcmp(reply->body + reply->body_len, "\r\n", 2) != 0)
			return false;
		reply->body[reply->body_len] = '\0';
	} while (size > 0);
	return true;
}

void client_read(int fd, struct client_reply *reply_out, bool head_only)
{
	const char *length;
	const char *coding;

	memset(reply_out, 0, sizeof(*reply_out));
	do {
		free(reply_out->head);
		reply_out->head = read_head(fd);
		if (reply_out->head == NULL ||
		    sscanf(reply_out->head, "HTTP/1.1 %d", &reply_out->status) != 1)
			return;
	} while (reply_out->status == 100);
	length = client_header(reply_out, "Content-Length");
	reply_out->cut = !read_bytes(
		fd, length != NULL && !head_only ? strtoul(length, NULL, 10) : 0, reply_out);
	coding = client_header(reply_out, "Transfer-Encoding");
	if (coding != NULL && strcmp(coding, "chunked") == 0 && !head_only)
		reply_out->cut = !read_chunks(fd, reply_out);
}

void client_reply_free(struct client_reply *reply)
{
	free(reply->head);
	free(reply->body);
	memset(reply, 0, sizeof(*reply));
}

const char *client_header(const struct client_reply *reply, const char *name)
{
	static _Thread_local char value[1024];
	size_t len = strlen(name);

	for (const char *line = reply->head; line != NULL && *line != '\0';) {
		const char *end = strstr(line, "\r\n");

		if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
			snprintf(value, sizeof(value), "%.*s", (int)(end - line - (long)len - 2),
				 line + len + 2);
			return value;
		}
		line = end != NULL ? end + 2 : NULL;
	}
	return NULL;
}

bool client_is_closed(int fd, int ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char rest[1024];

	while (poll(&wait, 1, ms) == 1)
		if (recv(fd, rest, sizeof(rest), 0) <= 0)
			return true;
	return false;
}

void client_ask(const char *address, const char *request, struct client_reply *reply_out)
{
	int fd = client_open(address);

	memset(reply_out, 0, sizeof(*reply_out));
	if (fd < 0)
		return;
	(void)client_send(fd, request, strlen(request));
	client_read(fd, reply_out, strncmp(request, "HEAD ", 5) == 0);
	close(fd);
}
