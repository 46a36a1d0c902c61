/* tests/unit/deliver/nexthop_inside.h - what nexthop.c and its conversations share; nobody else's
 */
#ifndef STAGEPOST_TESTS_UNIT_DELIVER_NEXTHOP_INSIDE_H
#define STAGEPOST_TESTS_UNIT_DELIVER_NEXTHOP_INSIDE_H

#include <pthread.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "tests/unit/deliver/nexthop.h"

#define NEXTHOP_MAILS_MAX	4096
#define NEXTHOP_CONNECTIONS_MAX 512
#define NEXTHOP_RECORD_MAX	(64UL * 1024 * 1024)

/* What stands above the lock is set before the first connection, the rest changes under it. */
struct nexthop {
	const struct nexthop_step *steps;
	size_t step_count;
	SSL_CTX *tls;
	bool implicit;
	void (*answer)(void *ctx, const char *line, bool first, char *reply_out);
	void *answer_ctx;
	bool nagle;
	bool proxied;
	int listener;
	char address[120];
	pthread_t acceptor;

	pthread_mutex_t lock;
	pthread_cond_t change;
	const char *ehlo;
	bool stopping, going;
	pthread_t threads[NEXTHOP_CONNECTIONS_MAX];
	int fds[NEXTHOP_CONNECTIONS_MAX];
	int connections;
	char peer[16]; /* of the last one */
	int reached[AT_QUIT + 1];
	char header[NEXTHOP_HEADER_SIZE]; /* the last PROXY header */
	size_t header_len;
	struct buf record;
	struct nexthop_mail *mails[NEXTHOP_MAILS_MAX];
	size_t mail_count;
};

/* What a conversation begins with. */
struct nexthop_call {
	struct nexthop *n;
	int fd, number;
};

/* A thread that speaks for the next hop on one connection and closes it. Frees the call. */
void *nexthop_talk(void *call);

/* What `ready` said last; it is asked under the lock whenever something may have changed. */
bool nexthop_wait_until(struct nexthop *n, bool (*ready)(struct nexthop *n, int a, int b), int a,
			int b, int timeout_ms);

#endif
