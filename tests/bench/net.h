/* tests/bench/net.h - what the load client and the sink share: loopback sockets */
#ifndef STAGEPOST_TESTS_BENCH_NET_H
#define STAGEPOST_TESTS_BENCH_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/span.h"

#define NET_USAGE 64 /* sysexits(3) */

/* "127.0.0.1:2525"; exits with a message on anything else. */
static inline struct sockaddr_in net_address(const char *text)
{
	struct span host = span_of(text);
	struct span port = span_skip(host, span_find(host, ':') + 1);
	struct sockaddr_in address = {.sin_family = AF_INET};
	char name[INET_ADDRSTRLEN] = "";
	uint64_t number = 0;

	host = span_first(host, span_find(host, ':'));
	if (host.len < sizeof(name))
		memcpy(name, host.data, host.len);
	if (inet_pton(AF_INET, name, &address.sin_addr) != 1 ||
	    span_to_u64(port, 65535, &number) != ERR_OK || number == 0) {
		fprintf(stderr, "not an IPv4 address and port: %s\n", text);
		exit(NET_USAGE);
	}
	address.sin_port = htons((uint16_t)number);
	return address;
}

static inline void net_no_delay(int fd)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static inline void net_fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

#endif
