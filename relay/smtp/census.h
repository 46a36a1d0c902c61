/* relay/smtp/census.h - how many connections there are, in all and from each client */
#ifndef STAGEPOST_RELAY_SMTP_CENSUS_H
#define STAGEPOST_RELAY_SMTP_CENSUS_H

#include <stdbool.h>
#include <stddef.h>

#include "relay/wire/network.h"

/* Shared by all loops; any thread. */
struct census;

struct census *census_new(void);
void census_free(struct census **census);

enum census_answer {
	CENSUS_OK,	   /* counted: census_leave must follow */
	CENSUS_FULL,	   /* max_total is reached */
	CENSUS_CLIENT_FULL /* this client (peer_address_unit) has max_per_client already */
};
/* Unix and unknown peers count in all only. */
enum census_answer census_enter(struct census *census, const struct peer_address *address,
				size_t max_total, size_t max_per_client);
/*
 * One that entered as an unknown peer turns out to be this client. CENSUS_OK:
 * census_leave gets this address; CENSUS_CLIENT_FULL: still the unknown one.
 */
enum census_answer census_name(struct census *census, const struct peer_address *address,
			       size_t max_per_client);
void census_leave(struct census *census, const struct peer_address *address);
size_t census_total(struct census *census);
/* How many of them are this client's; 0 for unix and unknown peers. */
size_t census_client(struct census *census, const struct peer_address *address);

#endif
