/* relay/filter/layer_private.h - how a layer is made: for layer.c and layer_build.c only */
#ifndef STAGEPOST_RELAY_FILTER_LAYER_PRIVATE_H
#define STAGEPOST_RELAY_FILTER_LAYER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "relay/filter/layer.h"

/* Glob groups are told apart by this many literal bytes at most: one bit each, and one for none. */
#define LAYER_PREFIX_MAX 63

/* Open addressing, linear probing; the upper half of the hash is the tag. value 0: free. */
struct layer_slot {
	uint32_t tag;
	uint32_t value;
};
struct layer_table {
	struct layer_slot *slots; /* NULL: no keys */
	size_t mask;
};

/* A domain that some DOMAIN, SUBDOMAIN or GLOB entry names. Chains hold references to items. */
struct layer_node {
	uint32_t name;	      /* an item that spells the domain */
	uint32_t domain;      /* DOMAIN entries */
	uint32_t below;	      /* SUBDOMAIN entries */
	uint64_t prefixes[2]; /* lengths of literal prefixes of GLOBs at `domain`, at `.domain` */
};

/*
 * A reference is the offset of an item in `records`, in units of 8 bytes; 0
 * is none. Four bytes reach 32 GiB of entries.
 */
#define LAYER_UNIT 8

struct layer {
	uint64_t seed;
	char *records;
	size_t used;	 /* bytes of records */
	uint32_t *by_id; /* references, by id upwards */
	size_t count;
	int64_t *buried; /* tombstones, upwards */
	size_t buried_count;
	struct layer_table graves;  /* of an id: index in buried, plus 1 */
	struct layer_table exact;   /* of the text: first of a chain of items */
	struct layer_table domains; /* of a domain: number of a node */
	struct layer_table globs;   /* of domain and literal prefix: first of a chain of items */
	struct layer_node *nodes;   /* [0] is not used */
	size_t node_count;	    /* with [0]; 0: none */
	uint32_t all;		    /* chain of ALL entries */
	bool has_below;		    /* some entry speaks of sub-domains */
};

static inline struct layer_item *layer_item_at(const struct layer *layer, uint32_t ref)
{
	return (struct layer_item *)(void *)(layer->records + (size_t)ref * LAYER_UNIT);
}

struct span layer_item_domain(const struct layer_item *item);
bool layer_item_is_below(const struct layer_item *item);

uint64_t layer_hash(struct span text, uint64_t seed);
uint64_t layer_glob_hash(uint64_t domain_hash, bool below, struct span prefix);

/*
 * Memory for `count` zeroed items. A big block asks for huge pages: look-ups
 * are one or two memory accesses at random, and half of their time is address
 * translation where pages are small.
 */
void *layer_big_array(size_t count, size_t size);

uint64_t layer_id_hash(int64_t id, uint64_t seed);
/* 0: not there. */
uint32_t layer_find_grave(const struct layer *layer, int64_t id, size_t *at);

/* Room for `keys` keys. */
void layer_table_init(struct layer_table *table, size_t keys);
/* The next value with the hash's tag from slot *at on, or 0 at a free slot; *at is where. */
uint32_t layer_probe(const struct layer_table *table, uint64_t hash, size_t *at);

/* Each returns 0 when the key is not there; *at is then the free slot where it belongs. */
uint32_t layer_find_exact(const struct layer *layer, uint64_t hash, struct span text, size_t *at);
uint32_t layer_find_node(const struct layer *layer, uint64_t hash, struct span domain, size_t *at);
uint32_t layer_find_group(const struct layer *layer, uint64_t hash, struct span domain, bool below,
			  struct span prefix, size_t *at);

/* Build the tables over what stands in records, by_id and buried. */
void layer_index(struct layer *layer);

#endif
