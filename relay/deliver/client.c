/* relay/deliver/client.c - who handed a message in, as a next hop may be told of it */
#include "relay/deliver/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"

static_assert(CLIENT_KEY_SIZE > sizeof(struct client) + 16, "a key holds every fact");

/* --- addresses --------------------------------------------------------------------- */

static bool set_endpoint(const char *address, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		memcpy(out, &v4, sizeof(v4));
	else if (inet_pton(AF_INET6, address, &v6.sin6_addr) == 1)
		memcpy(out, &v6, sizeof(v6));
	return out->ss_family != AF_UNSPEC;
}

bool client_endpoint(const char *text, struct sockaddr_storage *out)
{
	struct span all = span_of(text);
	size_t colon = span_find_last(all, ':');
	struct span host = span_first(all, colon);
	char address[INET6_ADDRSTRLEN];
	uint64_t port;

	memset(out, 0, sizeof(*out));
	if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_make(host.data + 1, host.len - 2);
	if (host.len >= sizeof(address) ||
	    span_to_u64(span_skip(all, colon + 1), 65535, &port) != ERR_OK)
		return false;
	memcpy(address, host.data, host.len);
	address[host.len] = '\0';
	return set_endpoint(address, (uint16_t)port, out);
}

static bool is_any(const struct sockaddr_storage *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (address->ss_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		return v4.sin_addr.s_addr == htonl(INADDR_ANY);
	}
	memcpy(&v6, address, sizeof(v6));
	return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

/* The port lies at the same place in both families. */
static in_port_t port_of(const struct sockaddr_storage *address)
{
	struct sockaddr_in v4;

	memcpy(&v4, address, sizeof(v4));
	return v4.sin_port;
}

static void set_port(struct sockaddr_storage *address, in_port_t port)
{
	struct sockaddr_in v4;

	memcpy(&v4, address, sizeof(v4));
	v4.sin_port = port;
	memcpy(address, &v4, sizeof(v4));
}

int client_endpoint_parts(const struct sockaddr_storage *endpoint,
			  char address_out[CLIENT_ADDRESS_SIZE])
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	address_out[0] = '\0';
	memcpy(&v4, endpoint, sizeof(v4));
	memcpy(&v6, endpoint, sizeof(v6));
	if (!is_any(endpoint))
		(void)inet_ntop(endpoint->ss_family,
				endpoint->ss_family == AF_INET ? (const void *)&v4.sin_addr
							       : (const void *)&v6.sin6_addr,
				address_out, CLIENT_ADDRESS_SIZE);
	return ntohs(port_of(endpoint));
}

/* --- facts --------------------------------------------------------------------------- */

static void keep(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", text != NULL ? text : "");
}

void client_of(const struct claimed_message *m, struct client *out)
{
	struct sockaddr_storage source;

	*out = (struct client){.port = 0};
	/* "unix" and "unknown" stand there as well. */
	if (m->client_address == NULL || !set_endpoint(m->client_address, 0, &source))
		return;
	keep(out->address, sizeof(out->address), m->client_address);
	out->port = m->client_port > 0 && m->client_port <= 65535 ? m->client_port : 0;
	keep(out->name, sizeof(out->name), m->client_name);
	keep(out->helo, sizeof(out->helo), m->helo);
	keep(out->user, sizeof(out->user), m->user);
	keep(out->protocol, sizeof(out->protocol), m->protocol);
	keep(out->listener, sizeof(out->listener), m->listener);
}

bool client_is_known(const struct client *client)
{
	return client->address[0] != '\0';
}

/* LF stands in one of them at most, the login, and so they can't be shifted. */
void client_key(const struct client *c, char key_out[CLIENT_KEY_SIZE])
{
	key_out[0] = '\0';
	if (client_is_known(c))
		(void)snprintf(key_out, CLIENT_KEY_SIZE, "%s\n%d\n%s\n%s\n%s\n%s\n%s", c->address,
			       c->port, c->name, c->helo, c->user, c->protocol, c->listener);
}

bool client_source(const struct client *client, struct sockaddr_storage *out)
{
	return set_endpoint(client->address, (uint16_t)client->port, out);
}

void client_destination(const struct client *client, const char *own, struct sockaddr_storage *out)
{
	struct sockaddr_storage listener, source;
	bool is_tcp = client_endpoint(client->listener, &listener);

	if (is_tcp && !is_any(&listener)) {
		*out = listener;
		return;
	}
	if (!client_endpoint(own, out))
		(void)set_endpoint(client_source(client, &source) && source.ss_family == AF_INET6
					   ? "::"
					   : "0.0.0.0",
				   0, out);
	set_port(out, is_tcp ? port_of(&listener) : 0);
}
