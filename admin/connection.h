/* admin/connection.h - the sockets of the HTTP server: who is at the other end, and until when */
#ifndef STAGEPOST_ADMIN_CONNECTION_H
#define STAGEPOST_ADMIN_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "admin/http.h"
#include "base/err.h"

/*
 * The HTTP library's timeout counts inactivity only, so each socket has a
 * total deadline here and a thread that sweeps (CASES S303). A socket is cut by
 * shutdown(2); the library notices and closes it. Any thread may call.
 */
struct connections;
struct connection;

/*
 * `sweep_ms`: between two sweeps, at most a second. From `many` TCP connections on each new one
 * cuts the one that has been idle for longest. `owner`: for connection_owner.
 */
int connections_start(int64_t sweep_ms, size_t many, void *owner,
		      struct connections **connections_out, struct err *why);
/* Stops the sweeper. All connections must have been closed. */
void connections_free(struct connections **connections);

/* That are open. */
size_t connections_count(struct connections *connections);
/* They are being drained: no more are to be taken. */
bool connections_are_closing(struct connections *connections);

/* `address` NULL: a unix socket. Starts idle. */
struct connection *connection_open(struct connections *connections, int fd,
				   const struct sockaddr *address, int64_t deadline_at);
/* Before the descriptor is closed. */
void connection_close(struct connection *connection);
void *connection_owner(const struct connection *connection);
const struct http_peer *connection_peer(const struct connection *connection);

/* Monotonic; INT64_MAX: none, while we are at work ourselves. */
void connection_set_deadline(struct connection *connection, int64_t deadline_at);
/* Not before that. */
void connection_prolong(struct connection *connection, int64_t deadline_at);
/* A request begins or has ended. */
void connection_set_busy(struct connection *connection, bool busy);
/*
 * A request was put aside, or goes on. Whoever stops the server waits for
 * those that are aside, since somebody else holds them.
 */
void connection_set_aside(struct connection *connection, bool aside);

/*
 * Cut idle connections now, also those that fall idle later, busy ones after
 * `grace_ms`; return when none is left, or a second after the cut when none
 * of those left is aside.
 */
void connections_drain(struct connections *connections, int64_t grace_ms);

#endif
