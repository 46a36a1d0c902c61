/* relay/deliver/mx.c - the hosts that take mail for a domain, from the DNS (RFC 5321 5.1) */
#include "relay/deliver/mx.h"

#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "base/span.h"
#include "relay/deliver/dns.h"

#define NO_RECORD_TTL_S 300

static bool is_before(const struct mx_host *a, const struct mx_host *b)
{
	return a->preference != b->preference ? a->preference < b->preference : a->turn < b->turn;
}

static bool is_listed(const struct mx_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (span_equal_fold(span_of(list->hosts[i].name), span_of(name)))
			return true;
	return false;
}

/* In its place; the worst falls off the end. */
static void insert(struct mx_list *list, const struct mx_host *host)
{
	size_t at = list->count;

	if (list->count == MX_HOSTS_MAX && !is_before(host, &list->hosts[MX_HOSTS_MAX - 1]))
		return;
	if (list->count < MX_HOSTS_MAX)
		list->count++;
	else
		at--;
	for (; at > 0 && is_before(host, &list->hosts[at - 1]); at--)
		list->hosts[at] = list->hosts[at - 1];
	list->hosts[at] = *host;
}

static bool read_host(const struct dns_reader *reader, const struct dns_record *record,
		      struct mx_host *host_out)
{
	if (record->type != DNS_MX || record->data_len < 3)
		return false;
	host_out->preference = (unsigned int)record->data[0] << 8 | record->data[1];
	secret_random(&host_out->turn, sizeof(host_out->turn));
	return dns_host_name(reader, record->data + 2, host_out->name);
}

/* RFC 5321 5.1: at our own preference and beyond there is nobody we may hand it to. */
static void cut_ours(struct mx_list *list, unsigned int preference)
{
	list->is_ours = true;
	while (list->count > 0 && list->hosts[list->count - 1].preference >= preference)
		list->count--;
}

void mx_implicit(const char *domain, struct mx_list *list_out)
{
	*list_out = (struct mx_list){.count = 1, .is_implicit = true, .ttl_s = NO_RECORD_TTL_S};
	(void)snprintf(list_out->hosts[0].name, sizeof(list_out->hosts[0].name), "%.255s", domain);
}

int mx_parse(const unsigned char *answer, size_t len, const char *domain, const char *own,
	     struct mx_list *list_out, struct err *why)
{
	struct mx_list list = {.ttl_s = UINT32_MAX};
	unsigned int own_preference = UINT32_MAX;
	struct dns_reader reader;
	struct dns_record record;
	size_t seen = 0;
	bool root = false;

	if (!dns_reader_init(&reader, answer, len))
		return err_set(why, ERR_SYNTAX, "DNS: the answer for %s makes no sense", domain);
	while (dns_next(&reader, &record)) {
		struct mx_host host;

		seen += record.type == DNS_MX ? 1 : 0;
		if (!read_host(&reader, &record, &host))
			continue;
		if (record.ttl_s < list.ttl_s)
			list.ttl_s = record.ttl_s;
		if (host.name[0] == '\0')
			root = true;
		else if (span_equal_fold(span_of(host.name), span_of(own)) &&
			 host.preference < own_preference)
			own_preference = host.preference;
		if (host.name[0] != '\0' && !is_listed(&list, host.name))
			insert(&list, &host);
	}
	if (own_preference != UINT32_MAX)
		cut_ours(&list, own_preference);
	list.is_null = root && seen == 1;
	if (list.ttl_s == UINT32_MAX)
		list.ttl_s = NO_RECORD_TTL_S;
	if (seen == 0)
		mx_implicit(domain, &list);
	*list_out = list;
	return ERR_OK;
}
