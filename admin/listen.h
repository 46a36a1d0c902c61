/* admin/listen.h - the two listening sockets of the API */
#ifndef STAGEPOST_ADMIN_LISTEN_H
#define STAGEPOST_ADMIN_LISTEN_H

#include "base/err.h"

#define LISTEN_TEXT_SIZE 64

/*
 * "127.0.0.1:8025", "[::1]:8025", "localhost:0". Fills fd_out, and bound_out
 * with the address and port as bound. ERR_SYNTAX, ERR_CONFLICT (in use),
 * ERR_DENIED, ERR_IO.
 */
int listen_tcp(const char *address, int *fd_out, char bound_out[LISTEN_TEXT_SIZE], struct err *why);

/*
 * A unix socket, 0600 from its first moment. One that is left over is
 * replaced: the caller holds the data directory's lock.
 */
int listen_unix(const char *path, int *fd_out, struct err *why);

#endif
