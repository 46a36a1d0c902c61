/* relay/descriptors.h - open files and sockets: how many there may be, and who is sure of some */
#ifndef STAGEPOST_RELAY_DESCRIPTORS_H
#define STAGEPOST_RELAY_DESCRIPTORS_H

#include <stddef.h>

#include "base/err.h"
#include "relay/config.h"

/*
 * SMTP clients are the ones who can come in any number. They get descriptors
 * up to a number; those above it are kept for the database, the next hops and
 * the API, which so go on while the door is full (CASES S080).
 */
struct descriptors {
	size_t limit;
	size_t at_start; /* in use when nobody had come yet */
};

/*
 * Before the first part starts: raises the limit to what the system permits.
 * ERR_LIMIT: it is too low to run at all; the sentence names the fix.
 */
int descriptors_prepare(const struct config *config, struct descriptors *descriptors_out,
			struct err *why);
/* When all parts but the API run. */
void descriptors_count(struct descriptors *descriptors);
/* The first descriptor that no SMTP client gets. */
int descriptors_ceiling(const struct descriptors *descriptors, const struct config *config);
/* How many SMTP connections there is room for at the same time. */
size_t descriptors_room(const struct descriptors *descriptors, const struct config *config);

#endif
