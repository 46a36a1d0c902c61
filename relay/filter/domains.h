/* relay/filter/domains.h - domains that anybody can have an address at, or register below */
#ifndef STAGEPOST_RELAY_FILTER_DOMAINS_H
#define STAGEPOST_RELAY_FILTER_DOMAINS_H

#include <stddef.h>

/* From the .txt files of the same names, in memory order, lower case. */
extern const char *const domains_public[];
extern const size_t domains_public_count;
extern const char *const domains_registry[];
extern const size_t domains_registry_count;

#endif
