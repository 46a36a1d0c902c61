/* relay/filter/hits.h - how often each entry let something through, until the store takes it */
#ifndef STAGEPOST_RELAY_FILTER_HITS_H
#define STAGEPOST_RELAY_FILTER_HITS_H

#include <stddef.h>
#include <stdint.h>

#include "queue/whitelist.h"

/* Counters in memory, one for each entry hit since the last take. Any thread. */
struct hits;

struct hits *hits_new(void);
void hits_free(struct hits **hits);
void hits_count(struct hits *hits, int64_t entry, int64_t now);
/* Take and forget at most `max` counters; returns how many were written. */
size_t hits_take(struct hits *hits, struct entry_hits *out, size_t max);

#endif
