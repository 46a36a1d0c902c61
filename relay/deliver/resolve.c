/* relay/deliver/resolve.c - host names to addresses, domains to hosts, without blocking a loop */
#include <config.h> /* getaddrinfo */

#include "relay/deliver/resolve.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/mem.h"

/* A name whose servers hang holds up only the names that share its thread. */
#define THREADS 8

struct resolver {
	struct crew *crew;
};

static void keep(const struct addrinfo *found, struct resolve_result *result)
{
	char host[INET6_ADDRSTRLEN + 16], port[8];

	result->count = 0;
	for (; found != NULL && result->count < RESOLVE_ADDRESSES_MAX; found = found->ai_next) {
		struct resolve_address *address = &result->addresses[result->count];

		if (found->ai_addrlen > sizeof(address->sockaddr) ||
		    getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof(host), port,
				sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
			continue;
		memcpy(&address->sockaddr, found->ai_addr, found->ai_addrlen);
		address->len = found->ai_addrlen;
		snprintf(address->text, sizeof(address->text),
			 found->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
		result->count++;
	}
}

static int look_up(const struct route_host *host, int flags, struct resolve_result *result_out)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int failed;

	hints.ai_flags = AI_NUMERICSERV | flags;
	failed = getaddrinfo(host->name, host->port, &hints, &found);
	if (failed != 0)
		return failed;
	keep(found, result_out);
	freeaddrinfo(found);
	return result_out->count > 0 ? 0 : EAI_NONAME;
}

/* route_host_parse has seen that it fits. */
static void keep_unix(const struct route_host *host, struct resolve_result *result)
{
	struct resolve_address *address = &result->addresses[0];
	struct sockaddr_un where = {.sun_family = AF_UNIX};

	snprintf(where.sun_path, sizeof(where.sun_path), "%.*s", (int)sizeof(where.sun_path) - 1,
		 host->name + ROUTE_UNIX_LEN);
	memcpy(&address->sockaddr, &where, sizeof(where));
	address->len = sizeof(where);
	snprintf(address->text, sizeof(address->text), ROUTE_UNIX "%s", where.sun_path);
	result->count = 1;
}

int resolve_numeric(const struct route_host *host, struct resolve_result *result_out)
{
	if (route_host_is_unix(host)) {
		keep_unix(host, result_out);
		return ERR_OK;
	}
	return look_up(host, AI_NUMERICHOST, result_out) == 0 ? ERR_OK : ERR_NOT_FOUND;
}

/* --- by the name servers of the options ------------------------------------------------- */

static void keep_record(const struct dns_record *record, const struct route_host *host,
			struct resolve_result *result)
{
	struct resolve_address *address = &result->addresses[result->count];
	struct route_host numeric = *host;
	struct resolve_result one = {.count = 0};
	bool v6 = record->type == DNS_AAAA;

	if (record->data_len != (v6 ? 16U : 4U) || result->count == RESOLVE_ADDRESSES_MAX ||
	    inet_ntop(v6 ? AF_INET6 : AF_INET, record->data, numeric.name, INET6_ADDRSTRLEN) ==
		    NULL ||
	    look_up(&numeric, AI_NUMERICHOST, &one) != 0)
		return;
	*address = one.addresses[0];
	result->count++;
}

static int ask_addresses(struct resolve_query *query, enum dns_type type, unsigned char *bytes)
{
	struct dns_reader reader;
	struct dns_record record;
	size_t len;
	int code = dns_ask(&query->dns, query->host.name, type, bytes, &len, &query->why);

	if (code < 0 || !dns_reader_init(&reader, bytes, len))
		return code;
	while (dns_next(&reader, &record))
		if (record.type == type)
			keep_record(&record, &query->host, &query->result);
	return ERR_OK;
}

/* What one question brings is enough, whatever became of the other. */
static void ask_servers(struct resolve_query *query)
{
	unsigned char *bytes = mem_alloc(DNS_ANSWER_MAX);
	int code;

	query->result.count = 0;
	code = ask_addresses(query, DNS_A, bytes);
	if (code != ERR_NOT_FOUND && !atomic_load(&query->unwanted)) {
		int v6 = ask_addresses(query, DNS_AAAA, bytes);

		code = code != ERR_OK ? code : v6;
	}
	mem_free(bytes);
	if (query->result.count > 0)
		query->code = ERR_OK;
	else if (code < 0)
		query->code = code;
	else
		query->code = err_set(&query->why, ERR_NOT_FOUND, "DNS: %s has no address",
				      query->host.name);
}

static void ask_system(struct resolve_query *query)
{
	int failed = look_up(&query->host, 0, &query->result);

	query->code = ERR_OK;
	if (failed != 0)
		query->code = err_set(&query->why, failed == EAI_NONAME ? ERR_NOT_FOUND : ERR_IO,
				      "%s: %s", query->host.name, gai_strerror(failed));
}

static void ask_mx(struct resolve_query *query)
{
	unsigned char *bytes = mem_alloc(DNS_ANSWER_MAX);
	const char *domain = query->host.name;
	size_t len;

	query->code = dns_ask(&query->dns, domain, DNS_MX, bytes, &len, &query->why);
	if (query->code == ERR_OK && len == 0)
		mx_implicit(domain, &query->mx);
	else if (query->code == ERR_OK)
		query->code = mx_parse(bytes, len, domain, query->own, &query->mx, &query->why);
	mem_free(bytes);
}

static void ask(struct resolve_query *query)
{
	if (atomic_load(&query->unwanted))
		query->code = err_set(&query->why, ERR_CLOSED, "nobody waits for %s any more",
				      query->host.name);
	else if (query->wants_mx)
		ask_mx(query);
	else if (query->dns.count > 0)
		ask_servers(query);
	else
		ask_system(query);
}

static void answer(struct crew_job *job)
{
	struct resolve_query *query = (struct resolve_query *)job;

	ask(query);
	if (query->wants_mx) {
		query->on_mx(query);
		return;
	}
	if (!loop_post(query->loop, &query->task))
		assert(!"the loops outlive delivery");
}

struct resolver *resolver_new(void)
{
	struct resolver *resolver = mem_zalloc(sizeof(*resolver));
	int code = crew_new("resolver", THREADS, &resolver->crew, NULL);

	assert(code == ERR_OK);
	return resolver;
}

void resolver_free(struct resolver **resolver)
{
	if (*resolver == NULL)
		return;
	crew_free(&(*resolver)->crew);
	mem_free(*resolver);
	*resolver = NULL;
}

void resolver_ask(struct resolver *resolver, struct resolve_query *query)
{
	size_t hash = 0;

	for (const char *c = query->host.name; *c != '\0'; c++)
		hash = hash * 31 + (unsigned char)*c;
	query->job = (struct crew_job){.run = answer};
	crew_give_to(resolver->crew, hash, &query->job);
}
