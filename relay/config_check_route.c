/* relay/config_check_route.c - what routes say: keys that need each other */
#include "relay/config_read.h"

#include "base/mem.h"
#include "relay/config.h"

/* A mapping of the document. */
struct place {
	struct config_reader *reader;
	const struct document_node *node;
	const char *path;
};

static void add_mistake(const struct place *at, const char *key, const char *sentence)
{
	const struct document_node *node = document_find(at->node, span_of(key));

	config_report_add(at->reader->report, false, node != NULL ? node : at->node,
			  arena_printf(at->reader->scratch, "%s.%s", at->path, key), "%s",
			  sentence);
}

static bool has_unix_host(const struct route_options *route)
{
	for (size_t i = 0; i < route->host_count; i++)
		if (span_is(span_first(span_of(route->hosts[i]), strlen("unix:")), "unix:"))
			return true;
	return false;
}

/* RFC 2033 5: port 25 is SMTP's, and what an MX names speaks SMTP there. */
static void check_lmtp(const struct place *at, const struct route_options *route)
{
	for (size_t i = 0; i < route->host_count; i++) {
		struct span host = span_of(route->hosts[i]);

		if (span_starts_fold(host, "mx:") ||
		    span_is(span_skip(host, span_find_last(host, ':')), ":25"))
			add_mistake(at, "protocol", "lmtp is not for port 25 (RFC 2033)");
	}
}

static void check_route(const struct place *at, const struct route_options *route)
{
	if (route->protocol == ROUTE_LMTP)
		check_lmtp(at, route);
	if (route->tls != ROUTE_TLS_NONE && has_unix_host(route))
		add_mistake(at, "tls", "a unix socket has no name that TLS could prove: tls: none");
}

void config_check_routes(struct config_reader *reader, const struct config *config,
			 const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("routes"));

	for (size_t i = 0; i < config->delivery.route_count; i++) {
		struct place at = {
			.reader = reader,
			.node = document_item(list, i),
			.path = arena_printf(reader->scratch, "routes.%zu", i),
		};

		if (at.node != NULL)
			check_route(&at, &config->delivery.routes[i]);
	}
}
