/* relay/filter/layer.h - one immutable index of whitelist entries; snapshots are stacks of these */
#ifndef STAGEPOST_RELAY_FILTER_LAYER_H
#define STAGEPOST_RELAY_FILTER_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "queue/whitelist.h"
#include "relay/mail/address.h"

/*
 * A layer holds entries and tombstones. A tombstone hides the entry of that
 * id in the layers below, never in its own. Once finished it does not change
 * and any thread may read it. Lives inside relay/filter only.
 */
struct layer;

/*
 * One entry, its strings behind it: one cache line for a typical address.
 * Entries with the same key are chained by `next`.
 */
struct layer_item {
	int64_t id;
	int64_t expires_at; /* 0: never */
	uint32_t next;	    /* private: of the same key */
	uint16_t text_len;
	uint16_t scope_len;
	uint8_t local_len;  /* bytes before the @; 0 when there is none */
	uint8_t prefix_len; /* GLOB: literal bytes in front of the first `*` */
	uint8_t kind;	    /* enum entry_kind */
	uint8_t action;	    /* enum entry_action */
	char text[];	    /* canonical pattern, NUL, scope, NUL */
};

static inline struct span layer_item_text(const struct layer_item *item)
{
	return span_make(item->text, item->text_len);
}
static inline struct span layer_item_scope(const struct layer_item *item)
{
	return span_make(item->text + item->text_len + 1, item->scope_len);
}

/* --- building: one thread ------------------------------------------------------------------- */

struct layer_builder;

struct layer_builder *layer_builder_new(void);
void layer_builder_free(struct layer_builder **builder);
/*
 * One line of a change, in the order they were made; for the same id the
 * last one stands. False when the pattern is not canonical or does not fit its
 * kind: a row that allows then only hides the older entry and never matches,
 * any other denies every address.
 */
bool layer_builder_put(struct layer_builder *builder, const struct entry *entry, bool replaces);
void layer_builder_remove(struct layer_builder *builder, int64_t id);
/* Frees the builder. `seed` keeps the hash tables from being played with. */
struct layer *layer_builder_finish(struct layer_builder **builder, uint64_t seed);

/*
 * The layers (lowest first) as one. With `bottom` nothing is below, so the
 * tombstones are dropped.
 */
struct layer *layer_merge(const struct layer *const *layers, size_t count, bool bottom,
			  uint64_t seed);
void layer_free(struct layer *layer);

/* --- reading: any thread -------------------------------------------------------------------- */

/* Entries and tombstones: what a merge costs. */
size_t layer_lines(const struct layer *layer);
size_t layer_entries(const struct layer *layer);
/* Memory in all, and how much of it is patterns and scopes themselves. */
size_t layer_bytes(const struct layer *layer, size_t *string_bytes_out);
/* Does it hold a tombstone for `id`? */
bool layer_buries(const struct layer *layer, int64_t id);
/* The entry of that id, or NULL. */
const struct layer_item *layer_find_id(const struct layer *layer, int64_t id);
/* The n-th entry, by id upwards. */
const struct layer_item *layer_entry(const struct layer *layer, size_t n);
/* The ids of the n-th entry (by id upwards) and of the n-th tombstone. */
int64_t layer_entry_id(const struct layer *layer, size_t n);
int64_t layer_tombstone_id(const struct layer *layer, size_t n);

#define LAYER_LABELS_MAX (ADDRESS_DOMAIN_MAX / 2 + 1)

/* An address made ready for look-up: folded and hashed once for all layers. */
struct layer_key {
	uint64_t hash;	    /* of the whole address */
	uint16_t local_len; /* the domain starts one behind */
	uint16_t text_len;
	uint16_t label_count;
	char text[ADDRESS_TEXT_SIZE]; /* local@domain, ASCII lower case */
	/* n-th: the domain from its n-th label on, counted from the end; the last is the domain */
	uint8_t suffix_at[LAYER_LABELS_MAX]; /* in the domain */
	uint64_t suffix_hash[LAYER_LABELS_MAX];
};
/* `address` is PLAIN or LISTED_ONLY. */
void layer_key_init(struct layer_key *key, const struct address *address, uint64_t seed);

typedef void layer_visit(void *ctx, const struct layer_item *item);

/* layer_match will come soon: start fetching what it reads first. */
void layer_prefetch(const struct layer *layer, const struct layer_key *key);
/* Every entry whose pattern covers the address, whatever its scope, action and expiry. */
void layer_match(const struct layer *layer, const struct layer_key *key, layer_visit *visit,
		 void *ctx);
/*
 * A few entries that nearly cover it, for people: the exact entry (in any
 * scope), the address without its sub-address tag, entries of parent domains,
 * of sub-domains of its own domain, globs at its domain.
 */
void layer_near(const struct layer *layer, const struct layer_key *key, layer_visit *visit,
		void *ctx);
/* Entries for `*`. */
void layer_each_all(const struct layer *layer, layer_visit *visit, void *ctx);

#endif
