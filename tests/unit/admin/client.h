/* tests/unit/admin/client.h - a raw HTTP client: sends bytes as they are, reads replies strictly */
#ifndef STAGEPOST_TESTS_UNIT_ADMIN_CLIENT_H
#define STAGEPOST_TESTS_UNIT_ADMIN_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client_reply {
	int status; /* 0: the connection ended before a reply */
	char *head; /* header lines with their CRLF */
	char *body;
	size_t body_len;
	bool cut; /* the body ended before its length */
};

/* "127.0.0.1:8025", or the path of a unix socket. -1: refused. */
int client_open(const char *address);
/* False: the peer has closed. */
bool client_send(int fd, const char *bytes, size_t len);
/* Waits up to 10 s for each piece. `head_only`: the reply to a HEAD. */
void client_read(int fd, struct client_reply *reply_out, bool head_only);
void client_reply_free(struct client_reply *reply);
/* The value of a header of the reply, or NULL; until the thread's next call. */
const char *client_header(const struct client_reply *reply, const char *name);
/* True when the peer closes and was not silent for `ms` before; what still comes is thrown away. */
bool client_is_closed(int fd, int ms);

/* Connect, send the text, read one reply, close. */
void client_ask(const char *address, const char *request, struct client_reply *reply_out);

#endif
