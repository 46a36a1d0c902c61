/* relay/filter/layer.c - look-up in one immutable index: hashes of addresses, domains and globs */
#define _DEFAULT_SOURCE /* madvise */
#include "relay/filter/layer.h"

#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "relay/filter/layer_private.h"
#include "relay/filter/pattern.h"

#define HASH_FACTOR 0x9e3779b97f4a7c15u /* 2^64 over the golden ratio, odd */
#define GLOB_BELOW  0x5bd1e9955bd1e995u /* sets `.domain` groups apart from `domain` groups */

/*
 * Right to left, so that the hash of every parent domain falls off on the
 * way to the hash of the domain, and that of the domain on the way to the
 * whole address.
 */
static inline uint64_t hash_step(uint64_t hash, char c)
{
	return (hash ^ (unsigned char)c) * HASH_FACTOR;
}

static inline uint64_t hash_end(uint64_t hash)
{
	hash ^= hash >> 32;
	hash *= HASH_FACTOR;
	return hash ^ (hash >> 29);
}

uint64_t layer_hash(struct span text, uint64_t seed)
{
	for (size_t i = text.len; i > 0; i--)
		seed = hash_step(seed, text.data[i - 1]);
	return hash_end(seed);
}

/* A glob group's key: its domain, then the literal prefix left to right. */
static uint64_t glob_start(uint64_t domain_hash, bool below)
{
	return below ? domain_hash ^ GLOB_BELOW : domain_hash;
}

uint64_t layer_glob_hash(uint64_t domain_hash, bool below, struct span prefix)
{
	uint64_t hash = glob_start(domain_hash, below);

	for (size_t i = 0; i < prefix.len; i++)
		hash = hash_step(hash, prefix.data[i]);
	return hash_end(hash);
}

uint64_t layer_id_hash(int64_t id, uint64_t seed)
{
	return hash_end((uint64_t)id ^ seed);
}

#define HUGE_PAGE ((size_t)2 << 20)

void *layer_big_array(size_t count, size_t size)
{
	char *block = mem_array(count, size);
	size_t bytes = count * size;
	size_t skip = (HUGE_PAGE - (uintptr_t)block % HUGE_PAGE) % HUGE_PAGE;

	/* Only a wish: where the kernel does not know it the pages stay small. */
	if (bytes >= 2 * HUGE_PAGE)
		(void)madvise(block + skip, (bytes - skip) / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
	return block;
}

/* --- the tables ----------------------------------------------------------------------------- */

void layer_table_init(struct layer_table *table, size_t keys)
{
	size_t slots = 4;

	*table = (struct layer_table){NULL, 0};
	if (keys == 0)
		return;
	while (slots < keys + keys / 2) /* at most two thirds full */
		slots *= 2;
	table->slots = layer_big_array(slots, sizeof(*table->slots));
	table->mask = slots - 1;
}

uint32_t layer_probe(const struct layer_table *table, uint64_t hash, size_t *at)
{
	uint32_t tag = (uint32_t)(hash >> 32);

	for (; table->slots[*at].value != 0; *at = (*at + 1) & table->mask)
		if (table->slots[*at].tag == tag)
			return table->slots[*at].value;
	return 0;
}

/* --- one layer's parts ---------------------------------------------------------------------- */

struct span layer_item_domain(const struct layer_item *item)
{
	size_t at = item->local_len > 0 ? item->local_len + 1u : 0;

	return span_skip(layer_item_text(item), at + (layer_item_is_below(item) ? 1 : 0));
}

bool layer_item_is_below(const struct layer_item *item)
{
	size_t at = item->local_len > 0 ? item->local_len + 1u : 0;

	return item->kind != ENTRY_ALL && item->text[at] == '.';
}

uint32_t layer_find_exact(const struct layer *layer, uint64_t hash, struct span text, size_t *at)
{
	uint32_t ref;

	*at = hash & layer->exact.mask;
	if (layer->exact.slots == NULL)
		return 0;
	while ((ref = layer_probe(&layer->exact, hash, at)) != 0) {
		if (span_equal(layer_item_text(layer_item_at(layer, ref)), text))
			return ref;
		*at = (*at + 1) & layer->exact.mask;
	}
	return 0;
}

uint32_t layer_find_node(const struct layer *layer, uint64_t hash, struct span domain, size_t *at)
{
	uint32_t number;

	*at = hash & layer->domains.mask;
	if (layer->domains.slots == NULL)
		return 0;
	while ((number = layer_probe(&layer->domains, hash, at)) != 0) {
		uint32_t name = layer->nodes[number].name;

		if (span_equal(layer_item_domain(layer_item_at(layer, name)), domain))
			return number;
		*at = (*at + 1) & layer->domains.mask;
	}
	return 0;
}

uint32_t layer_find_grave(const struct layer *layer, int64_t id, size_t *at)
{
	uint64_t hash = layer_id_hash(id, layer->seed);
	uint32_t number;

	*at = hash & layer->graves.mask;
	while ((number = layer_probe(&layer->graves, hash, at)) != 0) {
		if (layer->buried[number - 1] == id)
			return number;
		*at = (*at + 1) & layer->graves.mask;
	}
	return 0;
}

static bool is_group(const struct layer_item *item, struct span domain, bool below,
		     struct span prefix)
{
	return item->prefix_len == prefix.len && layer_item_is_below(item) == below &&
	       span_equal(span_first(layer_item_text(item), prefix.len), prefix) &&
	       span_equal(layer_item_domain(item), domain);
}

uint32_t layer_find_group(const struct layer *layer, uint64_t hash, struct span domain, bool below,
			  struct span prefix, size_t *at)
{
	uint32_t ref;

	*at = hash & layer->globs.mask;
	if (layer->globs.slots == NULL)
		return 0;
	while ((ref = layer_probe(&layer->globs, hash, at)) != 0) {
		if (is_group(layer_item_at(layer, ref), domain, below, prefix))
			return ref;
		*at = (*at + 1) & layer->globs.mask;
	}
	return 0;
}

size_t layer_lines(const struct layer *layer)
{
	return layer->count + layer->buried_count;
}

size_t layer_entries(const struct layer *layer)
{
	return layer->count;
}

static size_t table_bytes(const struct layer_table *table)
{
	return table->slots != NULL ? (table->mask + 1) * sizeof(*table->slots) : 0;
}

size_t layer_bytes(const struct layer *layer, size_t *string_bytes_out)
{
	*string_bytes_out = 0;
	for (size_t i = 0; i < layer->count; i++) {
		const struct layer_item *item = layer_item_at(layer, layer->by_id[i]);

		*string_bytes_out += item->text_len + 1u + item->scope_len + 1u;
	}
	return sizeof(*layer) + layer->used + layer->count * sizeof(*layer->by_id) +
	       layer->buried_count * sizeof(*layer->buried) +
	       layer->node_count * sizeof(*layer->nodes) + table_bytes(&layer->exact) +
	       table_bytes(&layer->domains) + table_bytes(&layer->globs) +
	       table_bytes(&layer->graves);
}

const struct layer_item *layer_entry(const struct layer *layer, size_t n)
{
	return layer_item_at(layer, layer->by_id[n]);
}

int64_t layer_entry_id(const struct layer *layer, size_t n)
{
	return layer_entry(layer, n)->id;
}

int64_t layer_tombstone_id(const struct layer *layer, size_t n)
{
	return layer->buried[n];
}

bool layer_buries(const struct layer *layer, int64_t id)
{
	size_t at;

	return layer->buried_count > 0 && layer_find_grave(layer, id, &at) != 0;
}

const struct layer_item *layer_find_id(const struct layer *layer, int64_t id)
{
	size_t low = 0;
	size_t high = layer->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct layer_item *item = layer_item_at(layer, layer->by_id[middle]);

		if (item->id == id)
			return item;
		if (item->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void layer_free(struct layer *layer)
{
	if (layer == NULL)
		return;
	mem_free(layer->records);
	mem_free(layer->by_id);
	mem_free(layer->buried);
	mem_free(layer->nodes);
	mem_free(layer->exact.slots);
	mem_free(layer->domains.slots);
	mem_free(layer->globs.slots);
	mem_free(layer->graves.slots);
	mem_free(layer);
}

/* --- look-up -------------------------------------------------------------------------------- */

void layer_key_init(struct layer_key *key, const struct address *address, uint64_t seed)
{
	size_t local_len = strlen(address->local);
	size_t domain_len = strlen(address->domain);
	char *domain = key->text + local_len + 1;
	uint64_t hash = seed;

	assert(domain_len > 0);
	key->local_len = (uint16_t)local_len;
	key->text_len = (uint16_t)(local_len + 1 + domain_len);
	key->label_count = 0;
	for (size_t i = domain_len; i > 0; i--) {
		domain[i - 1] = ascii_lower(address->domain[i - 1]);
		hash = hash_step(hash, domain[i - 1]);
		if (i > 1 && address->domain[i - 2] != '.')
			continue;
		assert(key->label_count < LAYER_LABELS_MAX);
		key->suffix_at[key->label_count] = (uint8_t)(i - 1);
		key->suffix_hash[key->label_count++] = hash_end(hash);
	}
	hash = hash_step(hash, '@');
	key->text[local_len] = '@';
	for (size_t i = local_len; i > 0; i--) {
		key->text[i - 1] = ascii_lower(address->local[i - 1]);
		hash = hash_step(hash, key->text[i - 1]);
	}
	key->hash = hash_end(hash);
}

static struct span key_text(const struct layer_key *key)
{
	return span_make(key->text, key->text_len);
}

static struct span key_local(const struct layer_key *key)
{
	return span_make(key->text, key->local_len);
}

static struct span key_suffix(const struct layer_key *key, size_t label)
{
	return span_skip(key_text(key), key->local_len + 1u + key->suffix_at[label]);
}

static void visit_chain(const struct layer *layer, uint32_t ref, layer_visit *visit, void *ctx)
{
	while (ref != 0) {
		const struct layer_item *item = layer_item_at(layer, ref);

		visit(ctx, item);
		ref = item->next;
	}
}

/* What of a domain's globs to show: those that match, or those whose literal prefix does. */
enum glob_want { GLOB_MATCHES, GLOB_PREFIX_ONLY };

struct glob_search {
	const struct layer *layer;
	const struct layer_key *key;
	size_t label; /* which suffix of the key's domain */
	bool below;
	enum glob_want want;
	layer_visit *visit;
	void *ctx;
};

static void visit_group(const struct glob_search *search, uint32_t ref)
{
	while (ref != 0) {
		const struct layer_item *item = layer_item_at(search->layer, ref);
		struct span glob = span_first(layer_item_text(item), item->local_len);

		if (glob_matches(glob, key_local(search->key)) == (search->want == GLOB_MATCHES))
			search->visit(search->ctx, item);
		ref = item->next;
	}
}

/*
 * `prefixes` says which lengths of literal prefix the domain's globs have:
 * one look-up for each of them that the local part is long enough for, not
 * one comparison for each glob.
 */
static void visit_globs(const struct glob_search *search, uint64_t prefixes)
{
	struct span local = key_local(search->key);
	struct span domain = key_suffix(search->key, search->label);
	uint64_t hash = glob_start(search->key->suffix_hash[search->label], search->below);

	for (size_t len = 0; len <= local.len && len <= LAYER_PREFIX_MAX; len++) {
		if ((prefixes >> len & 1) != 0) {
			size_t at;

			visit_group(search,
				    layer_find_group(search->layer, hash_end(hash), domain,
						     search->below, span_first(local, len), &at));
		}
		if (len < local.len)
			hash = hash_step(hash, local.data[len]);
	}
}

static const struct layer_node *node_of(const struct layer *layer, const struct layer_key *key,
					size_t label)
{
	size_t at;
	uint32_t number =
		layer_find_node(layer, key->suffix_hash[label], key_suffix(key, label), &at);

	return number != 0 ? &layer->nodes[number] : NULL;
}

static void match_domains(const struct layer *layer, const struct layer_key *key,
			  layer_visit *visit, void *ctx)
{
	size_t self = key->label_count - 1u;

	for (size_t label = layer->has_below ? 0 : self; label <= self; label++) {
		bool below = label < self;
		const struct layer_node *node = node_of(layer, key, label);
		struct glob_search search = {layer, key, label, below, GLOB_MATCHES, visit, ctx};

		if (node == NULL)
			continue;
		visit_chain(layer, below ? node->below : node->domain, visit, ctx);
		if (node->prefixes[below] != 0)
			visit_globs(&search, node->prefixes[below]);
	}
}

void layer_prefetch(const struct layer *layer, const struct layer_key *key)
{
	if (layer->exact.slots != NULL)
		__builtin_prefetch(&layer->exact.slots[key->hash & layer->exact.mask]);
}

void layer_match(const struct layer *layer, const struct layer_key *key, layer_visit *visit,
		 void *ctx)
{
	size_t at;

	if (layer->node_count > 0)
		match_domains(layer, key, visit, ctx);
	visit_chain(layer, layer_find_exact(layer, key->hash, key_text(key), &at), visit, ctx);
	visit_chain(layer, layer->all, visit, ctx);
}

static void near_untagged(const struct layer *layer, const struct layer_key *key,
			  layer_visit *visit, void *ctx)
{
	struct span local = key_local(key);
	size_t plus = span_find(local, '+');
	struct span domain = span_skip(key_text(key), local.len);
	char text[ADDRESS_TEXT_SIZE];
	struct span bare;
	size_t at;

	if (plus == 0 || plus == local.len)
		return;
	memcpy(text, local.data, plus);
	memcpy(text + plus, domain.data, domain.len);
	bare = span_make(text, plus + domain.len);
	visit_chain(layer, layer_find_exact(layer, layer_hash(bare, layer->seed), bare, &at), visit,
		    ctx);
}

void layer_near(const struct layer *layer, const struct layer_key *key, layer_visit *visit,
		void *ctx)
{
	size_t self = key->label_count - 1u;

	near_untagged(layer, key, visit, ctx);
	for (size_t label = 0; layer->node_count > 0 && label <= self; label++) {
		const struct layer_node *node = node_of(layer, key, label);
		bool below = label < self;
		struct glob_search search = {layer, key, label, below, GLOB_PREFIX_ONLY,
					     visit, ctx};

		if (node == NULL)
			continue;
		visit_chain(layer, below ? node->domain : node->below, visit, ctx);
		visit_globs(&search, node->prefixes[below]);
	}
}

void layer_each_all(const struct layer *layer, layer_visit *visit, void *ctx)
{
	visit_chain(layer, layer->all, visit, ctx);
}
