/* tests/unit/admin/echo.h - an HTTP server without routes: what it was asked is its answer */
#ifndef STAGEPOST_TESTS_UNIT_ADMIN_ECHO_H
#define STAGEPOST_TESTS_UNIT_ADMIN_ECHO_H

#include <stdatomic.h>

#include "admin/http.h"
#include "admin/listen.h"

#define HOST  "Host: localhost\r\n"
#define LARGE ((size_t)64 << 20) /* octets of /large */

/*
 * Paths: /denied (401 before the body), /wait and /again (put aside and resumed), /stream, /large,
 * /short (breaks off), /live (pauses), /endless; any other one: its request as text.
 */
struct echo {
	struct http_server *server;
	char address[LISTEN_TEXT_SIZE];
	char dir[64];
	char path[96]; /* of the unix socket */
	atomic_int begun, handled, ended;
};

void echo_start(struct echo *running, int64_t deadline_ms);
/* hosts, ops and sockets are its own. */
void echo_start_with(struct echo *running, struct http_options options);
void echo_stop(struct echo *running);
void echo_sleep_ms(long ms);

#endif
