/* relay/wire/network.c - which addresses are meant: CIDR blocks, and the unit a client is counted
 * by */
#include "relay/wire/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const unsigned char v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct peer_address from_v6(const void *bytes)
{
	struct peer_address address = {.unix_peer = false};

	memcpy(address.bytes, bytes, 16);
	address.v4 = memcmp(address.bytes, v4_prefix, sizeof(v4_prefix)) == 0;
	return address;
}

static struct peer_address from_v4(const void *bytes)
{
	struct peer_address address = {.v4 = true};

	memcpy(address.bytes, v4_prefix, sizeof(v4_prefix));
	memcpy(address.bytes + sizeof(v4_prefix), bytes, 4);
	return address;
}

void peer_address_from(const struct sockaddr_storage *peer, struct peer_address *address_out,
		       int *port_out)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	*port_out = 0;
	if (peer->ss_family == AF_INET) {
		memcpy(&v4, peer, sizeof(v4));
		*address_out = from_v4(&v4.sin_addr);
		*port_out = ntohs(v4.sin_port);
	} else if (peer->ss_family == AF_INET6) {
		memcpy(&v6, peer, sizeof(v6));
		*address_out = from_v6(&v6.sin6_addr);
		*port_out = ntohs(v6.sin6_port);
	} else {
		*address_out = (struct peer_address){.unix_peer = true};
	}
}

socklen_t peer_address_sockaddr(const struct peer_address *address,
				struct sockaddr_storage *sockaddr_out)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	memset(sockaddr_out, 0, sizeof(*sockaddr_out));
	if (address->unix_peer || address->unknown)
		return 0;
	if (address->v4) {
		memcpy(&v4.sin_addr, address->bytes + sizeof(v4_prefix), sizeof(v4.sin_addr));
		memcpy(sockaddr_out, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, address->bytes, sizeof(v6.sin6_addr));
	memcpy(sockaddr_out, &v6, sizeof(v6));
	return sizeof(v6);
}

void peer_address_format(const struct peer_address *address, char text_out[PEER_ADDRESS_TEXT_SIZE])
{
	const char *text = text_out;

	if (address->unix_peer || address->unknown)
		(void)snprintf(text_out, PEER_ADDRESS_TEXT_SIZE, "%s",
			       address->unix_peer ? "unix" : "unknown");
	else if (address->v4)
		text = inet_ntop(AF_INET, address->bytes + 12, text_out, PEER_ADDRESS_TEXT_SIZE);
	else
		text = inet_ntop(AF_INET6, address->bytes, text_out, PEER_ADDRESS_TEXT_SIZE);
	if (text == NULL)
		text_out[0] = '\0';
}

struct peer_address peer_address_unit(const struct peer_address *address)
{
	struct peer_address unit = *address;

	if (!address->v4 && !address->unix_peer)
		memset(unit.bytes + 8, 0, 8);
	return unit;
}

/* Without brackets; *whole_out is the number of bits the family has. */
static int parse_address(struct span text, struct peer_address *address_out, unsigned *whole_out)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char bytes[16];

	if (text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']')
		text = span_make(text.data + 1, text.len - 2);
	if (text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL)
		return ERR_SYNTAX;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (inet_pton(AF_INET, copy, bytes) == 1) {
		*address_out = from_v4(bytes);
		*whole_out = 32;
	} else if (inet_pton(AF_INET6, copy, bytes) == 1) {
		*address_out = from_v6(bytes);
		*whole_out = 128;
	} else {
		return ERR_SYNTAX;
	}
	return ERR_OK;
}

int peer_address_parse(struct span text, struct peer_address *address_out)
{
	unsigned whole;

	return parse_address(text, address_out, &whole);
}

static bool equal_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned whole = bits / 8;
	unsigned char mask = (unsigned char)(0xff00U >> (bits % 8));

	if (memcmp(a, b, whole) != 0)
		return false;
	return bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0;
}

/* Nothing but zero behind the prefix: 10.1.0.0/8 is most likely a mistake. */
static bool is_block(const struct network *network)
{
	unsigned char masked[16] = {0};

	memcpy(masked, network->bytes, (network->bits + 7) / 8);
	if (network->bits % 8 != 0)
		masked[network->bits / 8] &= (unsigned char)(0xff00U >> (network->bits % 8));
	return memcmp(masked, network->bytes, 16) == 0;
}

int network_parse(struct span text, struct network *network_out, struct err *why)
{
	size_t slash = span_find(text, '/');
	struct peer_address address;
	struct network network;
	unsigned whole = 0;
	uint64_t prefix;

	if (slash == 0 || parse_address(span_first(text, slash), &address, &whole) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "'%.*s' is not a network address",
			       SPAN_ARG(span_first(text, 80)));
	prefix = whole;
	if (slash < text.len && span_to_u64(span_skip(text, slash + 1), whole, &prefix) != ERR_OK)
		return err_set(why, ERR_SYNTAX, "the prefix length must be 0 to %u", whole);
	memcpy(network.bytes, address.bytes, 16);
	network.bits = (unsigned)prefix + (128 - whole);
	if (!is_block(&network))
		return err_set(why, ERR_SYNTAX, "'%.*s' has bits set behind its prefix",
			       SPAN_ARG(span_first(text, 80)));
	*network_out = network;
	return ERR_OK;
}

bool network_holds(const struct network *network, const struct peer_address *address)
{
	if (address->unknown)
		return network->bits == 0;
	return !address->unix_peer && equal_bits(network->bytes, address->bytes, network->bits);
}
