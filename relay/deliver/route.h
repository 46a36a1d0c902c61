/* relay/deliver/route.h - which way a recipient goes, and how a next hop is written down */
#ifndef STAGEPOST_RELAY_DELIVER_ROUTE_H
#define STAGEPOST_RELAY_DELIVER_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"
#include "relay/deliver/deliver.h"

#define ROUTE_NONE ((size_t)-1)

/*
 * Index of the first route whose domains name `domain` (INTERFACE 2):
 * "example.com" that domain, ".example.com" what is below it, "*" any; ASCII
 * case-insensitive. ROUTE_NONE: no route. Pure.
 */
size_t route_match(const struct route_options *routes, size_t count, struct span domain);

/* "host:port", "host" (port 25), "[::1]:25" taken apart; "unix:/path" stays whole. */
#define ROUTE_PORT_SIZE 6
struct route_host {
	char name[256];		    /* without brackets */
	char port[ROUTE_PORT_SIZE]; /* "" for a unix socket */
};
/* A socket in the file system; then host->name + ROUTE_UNIX_LEN is its path. */
#define ROUTE_UNIX     "unix:"
#define ROUTE_UNIX_LEN 5
bool route_host_is_unix(const struct route_host *host);
/* "mx:" or "mx:port": the hosts that the DNS names for a domain. 25 where there is no port. */
bool route_host_is_mx(const char *text, char port_out[ROUTE_PORT_SIZE]);
/* ERR_SYNTAX for "mx:", which is no host. */
int route_host_parse(struct span text, struct route_host *host_out, struct err *why);

#endif
