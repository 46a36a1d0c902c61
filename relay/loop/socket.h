/* relay/loop/socket.h - small truths about sockets; for relay/loop/ only */
#ifndef STAGEPOST_RELAY_LOOP_SOCKET_H
#define STAGEPOST_RELAY_LOOP_SOCKET_H

#include <stddef.h>
#include <sys/socket.h>

#include "base/err.h"

/* "127.0.0.1:2525", "[::1]:25", "unix:/path", "unix:" for one without a name. */
void socket_format(const struct sockaddr_storage *address, socklen_t len, char *text_out,
		   size_t size);
/* Non-blocking, close-on-exec, and TCP_NODELAY where that exists: replies are single writes. */
void socket_prepare(int fd);
/* Send the ACK that the kernel keeps back for up to 40 ms; of this once only. */
void socket_acknowledge(int fd);
/* Octets of a TCP connection that were written and have never been sent; 0 where nobody can tell.
 */
size_t socket_unsent(int fd);
/* When it is closed, what is still unsent is thrown away, and the peer gets an RST. */
void socket_reset_on_close(int fd);
/* strerror() for any thread. */
const char *socket_error_text(int error, char *text_out, size_t size);
#define SOCKET_ERROR_SIZE 96

/*
 * Begins to connect a new non-blocking socket to `address`, from `source`
 * unless that is NULL (both a struct sockaddr). ERR_OK: under way or done, the
 * caller owns *fd_out and asks SO_ERROR when it is writable. Else ERR_IO.
 */
int socket_connect(const void *address, size_t address_len, const void *source, size_t source_len,
		   int *fd_out, struct err *why);

#endif
