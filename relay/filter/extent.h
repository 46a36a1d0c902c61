/* relay/filter/extent.h - how much the list lets out, for a person to read */
#ifndef STAGEPOST_RELAY_FILTER_EXTENT_H
#define STAGEPOST_RELAY_FILTER_EXTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/filter/whitelist.h"

/* Entries in force, whatever their scope. */
struct extent {
	size_t addresses;  /* allow alice@example.com */
	size_t domains;	   /* example.com */
	size_t subdomains; /* .example.com */
	size_t patterns;   /* qa-*@example.com */
	bool all;	   /* `*` */
	size_t denied;	   /* deny entries */
	bool denies_all;   /* `*` is denied, in every scope */
	int64_t until;	   /* when the first of them expires; INT64_MAX: never */
};

/* Walks the whole list the first time it is asked after a change or an expiry. Any thread. */
void whitelist_extent(struct whitelist *list, int64_t now, struct extent *extent_out);

/* No address at all can be allowed. */
bool extent_is_empty(const struct extent *extent);

#endif
