/* tests/bench/load.h - a run of the load client, and what its sessions can do */
#ifndef STAGEPOST_TESTS_BENCH_LOAD_H
#define STAGEPOST_TESTS_BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "tests/bench/tls.h"

#define RCPT_MAX 1000

struct options {
	struct sockaddr_in to;
	const char *from;
	const char *rcpts[RCPT_MAX];
	uint64_t rcpt_count;
	uint64_t sessions;
	uint64_t seconds;
	uint64_t messages;
	uint64_t size;
	uint64_t recipients;
	uint64_t rate;
	bool pipelining;
	bool fresh;
	bool idle;
	enum tls_mode tls;
	bool handshakes;
};

enum step {
	STEP_CONNECT,
	STEP_HANDSHAKE,
	STEP_GREETING,
	STEP_EHLO,
	STEP_STARTTLS,
	STEP_READY,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY
};

struct session {
	int fd; /* -1: closed for good */
	SSL *tls;
	enum step step;
	bool counts; /* --handshakes: this connection is a message */
	uint64_t rcpts_answered;
	int64_t started_us;
	struct buf in;
	struct buf out;	  /* commands, and the header that differs for each message */
	size_t body_sent; /* of load.body, once out is empty */
	bool wants_body;
	bool waits_to_write;
};

struct load {
	struct options options;
	int epoll;
	SSL_CTX *tls;
	struct session *sessions;
	struct session **ready; /* a stack: who may start a message */
	size_t ready_count;
	struct buf body; /* the same for every message, with the final dot */
	uint32_t *latencies_us;
	size_t done;
	size_t room;
	uint64_t started;
	uint64_t failures;
	int64_t start_us;
	int64_t end_us;
	int64_t last_reply_ms;
	char first_failure[200];
};

/* A new connection; its session is ready once EHLO is answered, and then on top of load.ready. */
void session_connect(struct load *load, struct session *session);
/* The next message, of a session taken from load.ready. Latency counts from `due_us`. */
void session_start_message(struct load *load, struct session *session, int64_t due_us);
/* Count a failure and connect anew; exits when there are too many. */
void session_fail(struct load *load, struct session *session, struct span reply);

/* Connected, or something has come for the handshake: up to STEP_HANDSHAKE. */
void session_on_handshake(struct load *load, struct session *session);
void session_on_readable(struct load *load, struct session *session);
/* Commands first, then the body. False: the connection is broken. */
bool session_flush(struct load *load, struct session *session);

#endif
