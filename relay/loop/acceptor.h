/* relay/loop/acceptor.h - listening sockets: accept, and survive running out of descriptors */
#ifndef STAGEPOST_RELAY_LOOP_ACCEPTOR_H
#define STAGEPOST_RELAY_LOOP_ACCEPTOR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"
#include "relay/loop/loop.h"

/*
 * Bind and listen: "host:port", "[::]:port", "unix:/path" (0660, an old socket
 * file nobody listens on is replaced). Port 0 is allowed; ask acceptor_name.
 * With `share` SO_REUSEPORT is set, so that every loop has a socket of its own.
 * ERR_DENIED names the fix for ports below 1024; ERR_BUSY: in use.
 */
int acceptor_bind(const char *address, bool share, int *fd_out, struct err *why);

struct acceptor;
/*
 * Takes the descriptor. on_accept gets a connected, non-blocking,
 * close-on-exec descriptor that it then owns. EMFILE: a reserved descriptor
 * is spent to close the newcomer at once, accepting rests for 100 ms; no spin.
 */
struct acceptor *
acceptor_new(struct loop *loop, int fd,
	     void (*on_accept)(void *ctx, int fd, const struct sockaddr_storage *peer), void *ctx);
void acceptor_free(struct acceptor **acceptor);
/* The address it is bound to, e.g. "127.0.0.1:2525". */
void acceptor_name(int fd, char *text_out, size_t size);

#endif
