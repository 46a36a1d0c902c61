/* relay/wire/network.h - which addresses are meant: CIDR blocks, and the unit a client is counted
 * by */
#ifndef STAGEPOST_RELAY_WIRE_NETWORK_H
#define STAGEPOST_RELAY_WIRE_NETWORK_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/span.h"

/*
 * An IP address in 16 bytes; IPv4 stands as ::ffff:a.b.c.d, so that an
 * IPv4-mapped peer and the same IPv4 peer are one. `unix_peer`: no address.
 * `unknown`: there is one, but nobody knows it.
 */
struct peer_address {
	unsigned char bytes[16];
	bool v4;
	bool unix_peer;
	bool unknown;
};

/* Any family but IPv4 and IPv6 gives unix_peer. *port_out is 0 then. */
void peer_address_from(const struct sockaddr_storage *peer, struct peer_address *address_out,
		       int *port_out);
/* For system calls, port 0: the length. 0 for unix and unknown peers. */
socklen_t peer_address_sockaddr(const struct peer_address *address,
				struct sockaddr_storage *sockaddr_out);
/* "127.0.0.1", "2001:db8::1", "unix", "unknown". */
#define PEER_ADDRESS_TEXT_SIZE 64
void peer_address_format(const struct peer_address *address, char text_out[PEER_ADDRESS_TEXT_SIZE]);
/* What limits count by: the address, of IPv6 the /64 (one customer has at least that). */
struct peer_address peer_address_unit(const struct peer_address *address);

/* "127.0.0.1", "2001:db8::1", also in brackets. ERR_SYNTAX. */
int peer_address_parse(struct span text, struct peer_address *address_out);

struct network {
	unsigned char bytes[16];
	unsigned bits; /* 0..128, counted in the 16 bytes */
};

/*
 * "10.0.0.0/8", "::1", "[2001:db8::]/32": an address, and a prefix length or
 * all of it. Bits behind the prefix must be 0. ERR_SYNTAX.
 */
int network_parse(struct span text, struct network *network_out, struct err *why);
/* Only ::/0, which holds everything, holds an unknown address. */
bool network_holds(const struct network *network, const struct peer_address *address);

#endif
