/* relay/deliver/resolve.h - host names to addresses, domains to hosts, without blocking a loop */
#ifndef STAGEPOST_RELAY_DELIVER_RESOLVE_H
#define STAGEPOST_RELAY_DELIVER_RESOLVE_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/crew.h"
#include "base/err.h"
#include "relay/loop/loop.h"
#include "relay/deliver/dns.h"
#include "relay/deliver/mx.h"
#include "relay/deliver/route.h"

#define RESOLVE_ADDRESSES_MAX 16

struct resolve_address {
	struct sockaddr_storage sockaddr;
	socklen_t len;
	char text[120]; /* "127.0.0.1:25", "[::1]:25", "unix:/path" */
};

struct resolve_result {
	struct resolve_address addresses[RESOLVE_ADDRESSES_MAX];
	size_t count;
};

/* Numeric hosts and unix sockets, at once and without any look-up; ERR_NOT_FOUND: it is a name. */
int resolve_numeric(const struct route_host *host, struct resolve_result *result_out);

/* Threads that may block in the system's resolver. */
struct resolver;
struct resolver *resolver_new(void);
/* Waits for look-ups under way. */
void resolver_free(struct resolver **resolver);

/*
 * A look-up: filled by the asker and the resolver's until `task` runs in
 * `loop`. code ERR_OK with at least one address, or ERR_NOT_FOUND,
 * ERR_TIMEOUT, ERR_IO. With `dns` those name servers are asked instead of the
 * system's resolver. Answered in any case; once it is `unwanted`, without a further question:
 * where name servers are silent, those behind it in the line would wait for each.
 */
struct resolve_query {
	struct crew_job job; /* first; private */
	struct route_host host;
	struct dns_servers dns;
	atomic_bool unwanted; /* may be set at any time */
	struct loop *loop;
	struct loop_task task; /* set task.run */
	/* Instead of addresses the hosts of the domain host.name; `own` is our name. */
	bool wants_mx;
	const char *own;
	void (*on_mx)(struct resolve_query *query); /* called in a thread of the resolver's */
	struct mx_list mx;
	struct resolve_result result;
	int code;
	struct err why;
};
void resolver_ask(struct resolver *resolver, struct resolve_query *query);

#endif
