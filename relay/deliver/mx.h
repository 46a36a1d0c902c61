/* relay/deliver/mx.h - the hosts that take mail for a domain, from the DNS (RFC 5321 5.1); pure */
#ifndef STAGEPOST_RELAY_DELIVER_MX_H
#define STAGEPOST_RELAY_DELIVER_MX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Of a thousand that somebody publishes more are never tried. */
#define MX_HOSTS_MAX 16

struct mx_host {
	char name[256];
	unsigned int preference;
	uint32_t turn; /* random: equals are in no order */
};

struct mx_list {
	struct mx_host hosts[MX_HOSTS_MAX]; /* the best first */
	size_t count;
	bool is_null;	  /* RFC 7505: the domain takes no mail at all */
	bool is_ours;	  /* we are one of them: from our preference on they are left out */
	bool is_implicit; /* there is no MX: the domain itself is the host */
	uint32_t ttl_s;	  /* the least of the records */
};

/*
 * Read a DNS answer to a question for MX records. Any bytes will do: what is
 * no record, and names that are no host names, are passed over. `own` is our
 * own name. ERR_OK, or ERR_SYNTAX when it is no answer. Without any record the
 * list is `domain` itself.
 */
int mx_parse(const unsigned char *answer, size_t len, const char *domain, const char *own,
	     struct mx_list *list_out, struct err *why);

/* The same for a domain that has no MX records. */
void mx_implicit(const char *domain, struct mx_list *list_out);

#endif
