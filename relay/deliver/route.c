/* relay/deliver/route.c - which way a recipient goes, and how a next hop is written down */
#include "relay/deliver/route.h"

#include <sys/un.h>

static bool names_domain(struct span pattern, struct span domain)
{
	if (span_is(pattern, "*"))
		return true;
	if (pattern.len > 0 && pattern.data[0] == '.')
		return domain.len > pattern.len && span_ends_fold(domain, pattern);
	return span_equal_fold(pattern, domain);
}

size_t route_match(const struct route_options *routes, size_t count, struct span domain)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < routes[i].domain_count; k++)
			if (names_domain(span_of(routes[i].domains[k]), domain))
				return i;
	return ROUTE_NONE;
}

/* The port behind the last colon, when what stands before holds no other colon (then it is IPv6).
 */
static int split(struct span text, struct span *name_out, struct span *port_out)
{
	size_t colon = span_find_last(text, ':');

	*port_out = span_of("25");
	*name_out = text;
	if (text.len > 0 && text.data[0] == '[') {
		size_t close = span_find(text, ']');
		struct span behind = span_skip(text, close + 1);

		if (close == text.len || (behind.len > 0 && behind.data[0] != ':'))
			return ERR_SYNTAX;
		*name_out = span_make(text.data + 1, close - 1);
		if (behind.len > 0)
			*port_out = span_skip(behind, 1);
	} else if (colon < text.len) {
		*name_out = span_first(text, colon);
		*port_out = span_skip(text, colon + 1);
		if (span_find(*name_out, ':') < name_out->len)
			return ERR_SYNTAX;
	}
	return ERR_OK;
}

bool route_host_is_unix(const struct route_host *host)
{
	return strncmp(host->name, ROUTE_UNIX, ROUTE_UNIX_LEN) == 0;
}

static int parse_unix(struct span text, struct route_host *host_out, struct err *why)
{
	struct span path = span_skip(text, ROUTE_UNIX_LEN);

	if (path.len == 0 || path.data[0] != '/' || span_find(path, '\0') < path.len)
		return err_set(why, ERR_SYNTAX, "\"%.*s\" is not unix: and an absolute path",
			       SPAN_ARG(text));
	if (path.len >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(why, ERR_LIMIT, "\"%.*s\" is too long for a unix socket",
			       SPAN_ARG(text));
	*host_out = (struct route_host){{0}, {0}};
	memcpy(host_out->name, text.data, text.len);
	return ERR_OK;
}

bool route_host_is_mx(const char *text, char port_out[ROUTE_PORT_SIZE])
{
	struct span all = span_of(text);
	struct span port = span_skip(all, 3);
	uint64_t number;

	if (!span_starts_fold(all, "mx:") || port.len >= ROUTE_PORT_SIZE)
		return false;
	if (port.len == 0)
		port = span_of("25");
	if (span_to_u64(port, 65535, &number) < 0 || number == 0)
		return false;
	memcpy(port_out, port.data, port.len);
	port_out[port.len] = '\0';
	return true;
}

int route_host_parse(struct span text, struct route_host *host_out, struct err *why)
{
	struct span name, port;
	uint64_t number;

	if (span_is(span_first(text, ROUTE_UNIX_LEN), ROUTE_UNIX))
		return parse_unix(text, host_out, why);
	if (split(text, &name, &port) < 0 || name.len == 0 || name.len >= sizeof(host_out->name) ||
	    span_find(name, '\0') < name.len)
		return err_set(why, ERR_SYNTAX, "\"%.*s\" is not host:port", SPAN_ARG(text));
	if (span_to_u64(port, 65535, &number) < 0 || number == 0 || port.len > 5)
		return err_set(why, ERR_SYNTAX, "\"%.*s\" has no port from 1 to 65535",
			       SPAN_ARG(text));
	*host_out = (struct route_host){{0}, {0}};
	memcpy(host_out->name, name.data, name.len);
	memcpy(host_out->port, port.data, port.len);
	return ERR_OK;
}
