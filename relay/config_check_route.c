/* relay/config_check_route.c - what routes say: keys that need each other */
#include "relay/config_read.h"

#include <stdio.h>

#include "base/mem.h"
#include "relay/config.h"
#include "relay/deliver/hop_tls.h"
#include "relay/deliver/route.h"
#include "relay/reach.h"

static void add_mistake(const struct config_place *at, const char *key, const char *sentence)
{
	config_place_add(at, false, key, sentence);
}

static void add_warning(const struct config_place *at, const char *key, const char *sentence)
{
	config_place_add(at, true, key, sentence);
}

static bool has_unix_host(const struct route_options *route)
{
	for (size_t i = 0; i < route->host_count; i++)
		if (span_is(span_first(span_of(route->hosts[i]), strlen("unix:")), "unix:"))
			return true;
	return false;
}

/* RFC 2033 5: port 25 is SMTP's, and so are the servers that an MX names. */
static void check_lmtp(const struct config_place *at, const struct route_options *route)
{
	for (size_t i = 0; i < route->host_count; i++) {
		struct span host = span_of(route->hosts[i]);

		if (span_starts_fold(host, "mx:"))
			add_mistake(at, "protocol", "what mx: finds does not speak lmtp");
		else if (span_is(span_skip(host, span_find_last(host, ':')), ":25"))
			add_mistake(at, "protocol", "lmtp is not for port 25 (RFC 2033)");
	}
}

static void warn_without_tls(const struct config_place *at, const struct route_options *route)
{
	static const char no_effect[] = "has no effect while tls is none";

	if (route->tls_ca != NULL && route->tls_ca[0] != '\0')
		add_warning(at, "tls_ca", no_effect);
	if (route->tls_pin_count > 0)
		add_warning(at, "tls_pin", no_effect);
	if (route->tls_crl != NULL && route->tls_crl[0] != '\0')
		add_warning(at, "tls_crl", no_effect);
	if (route->tls_certificate != NULL && route->tls_certificate[0] != '\0')
		add_warning(at, "tls_certificate", no_effect);
}

static void warn_of_files(const struct config_place *at, const struct hop_tls_notes *notes)
{
	if (notes->ca_expired)
		add_warning(at, "tls_ca", "all certificates in it have expired");
	if (notes->crl_expired)
		add_warning(at, "tls_crl", "a revocation list in it has expired");
	if (notes->certificate_at != 0)
		config_place_warn_of_end(at, "tls_certificate", notes->certificate_at);
}

static void check_tls(const struct config_place *at, const struct route_options *route)
{
	struct hop_tls_notes notes;
	struct hop_tls *tls;
	const char *key;
	struct err why;

	if (route->tls == ROUTE_TLS_NONE) {
		warn_without_tls(at, route);
		return;
	}
	if (route->tls == ROUTE_TLS_OPPORTUNISTIC && route->tls_pin_count > 0)
		add_mistake(at, "tls_pin",
			    "needs tls: required or implicit; opportunistic sends "
			    "to whoever answers");
	else if (route->tls != ROUTE_TLS_OPPORTUNISTIC && !route->tls_verify &&
		 route->tls_pin_count == 0)
		add_warning(at, "tls_verify",
			    "any certificate is taken, also that of somebody in between (tls_ca "
			    "and tls_pin are for certificates of your own)");
	if (hop_tls_new(route, &tls, &notes, &key, &why) == ERR_OK) {
		warn_of_files(at, &notes);
		hop_tls_free(&tls);
	} else if (!span_is(span_of(key), "tls_pin")) { /* said where it was read */
		add_mistake(at, key, why.text);
	}
}

static bool is_listener(const struct config *config, const char *address)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (reach_is_same(address, config->listeners[i].address))
			return true;
	return false;
}

/* What can be told without asking the DNS; names are looked at when they are connected to. */
static bool is_ourselves(const struct config *config, const char *host)
{
	struct span text = span_of(host);
	size_t colon = span_find_last(text, ':');
	char address[32];

	if (!span_is_fold(span_first(text, colon), "localhost"))
		return is_listener(config, host);
	snprintf(address, sizeof(address), "127.0.0.1%.*s", SPAN_ARG(span_skip(text, colon)));
	if (is_listener(config, address))
		return true;
	snprintf(address, sizeof(address), "[::1]%.*s", SPAN_ARG(span_skip(text, colon)));
	return is_listener(config, address);
}

static void check_loop(const struct config_place *at, const struct config *config,
		       const struct route_options *route)
{
	const struct document_node *hosts = document_find(at->node, span_of("hosts"));

	for (size_t i = 0; i < route->host_count; i++) {
		if (!is_ourselves(config, route->hosts[i]))
			continue;
		config_report_add(at->reader->report, false, document_item(hosts, i),
				  arena_printf(at->reader->scratch, "%s.hosts.%zu", at->path, i),
				  "is a listener of this server: mail would loop");
	}
}

/* Whatever it matches goes by a route before it. */
static void check_domains(const struct config_place *at, const struct route_options *routes,
			  size_t index)
{
	const struct document_node *list = document_find(at->node, span_of("domains"));

	for (size_t i = 0; i < routes[index].domain_count; i++) {
		const char *domain = routes[index].domains[i];
		/* The sub-domains as no pattern but such a one names them. */
		const char *any = arena_printf(at->reader->scratch, "%s%s",
					       domain[0] == '.' ? "*" : "", domain);
		size_t first = route_match(routes, index, span_of(any));
		const struct document_node *node = document_item(list, i);

		if (first != ROUTE_NONE)
			config_report_add(
				at->reader->report, true, node != NULL ? node : at->node,
				arena_printf(at->reader->scratch, "%s.domains.%zu", at->path, i),
				"has no effect: routes.%zu comes first and takes all of it", first);
	}
}

static void check_route(const struct config_place *at, const struct config *config,
			const struct route_options *route)
{
	check_loop(at, config, route);
	if (route->protocol == ROUTE_LMTP)
		check_lmtp(at, route);
	if (route->tls != ROUTE_TLS_NONE && has_unix_host(route))
		add_mistake(at, "tls", "a unix socket has no name that TLS could prove: tls: none");
	check_tls(at, route);
}

void config_check_routes(struct config_reader *reader, const struct config *config,
			 const struct document_node *root)
{
	const struct document_node *list = document_find(root, span_of("routes"));

	for (size_t i = 0; i < config->delivery.route_count; i++) {
		struct config_place at = {
			.reader = reader,
			.node = document_item(list, i),
			.path = arena_printf(reader->scratch, "routes.%zu", i),
		};

		if (at.node == NULL)
			continue;
		check_route(&at, config, &config->delivery.routes[i]);
		check_domains(&at, config->delivery.routes, i);
	}
}
