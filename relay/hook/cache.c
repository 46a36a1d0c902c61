/* relay/hook/cache.c - answers that still stand, by the question they were given to */
#include "relay/hook/cache.h"

#include "base/mem.h"

#define SLOTS	  1024 /* each key has one: what falls there later takes it */
#define COUNT_MAX 16   /* decisions of one answer; each is a kilobyte or so */

struct slot {
	struct cache_key key;
	int64_t until_ms;
	size_t count;
	struct decision *decisions; /* NULL: empty */
};

struct cache {
	struct slot slots[SLOTS];
};

struct cache *cache_new(void)
{
	return mem_zalloc(sizeof(struct cache));
}

/* Some hold a login. */
static void empty(struct slot *slot)
{
	if (slot->decisions == NULL)
		return;
	secret_wipe(slot->decisions, slot->count * sizeof(*slot->decisions));
	mem_free(slot->decisions);
	slot->decisions = NULL;
}

void cache_clear(struct cache *cache)
{
	for (size_t i = 0; i < SLOTS; i++)
		empty(&cache->slots[i]);
}

void cache_free(struct cache **cache)
{
	if (*cache == NULL)
		return;
	cache_clear(*cache);
	mem_free(*cache);
	*cache = NULL;
}

static size_t slot_of(const struct cache_key *key)
{
	return ((size_t)key->digest[0] << 8 | key->digest[1]) % SLOTS;
}

bool cache_find(const struct cache *cache, const struct cache_key *key, size_t count,
		int64_t now_ms, struct decision *decisions_out)
{
	const struct slot *slot = &cache->slots[slot_of(key)];

	if (slot->decisions == NULL || slot->count != count || now_ms >= slot->until_ms ||
	    memcmp(&slot->key, key, sizeof(*key)) != 0)
		return false;
	memcpy(decisions_out, slot->decisions, count * sizeof(*decisions_out));
	return true;
}

void cache_keep(struct cache *cache, const struct cache_key *key, const struct decision *decisions,
		size_t count, int64_t until_ms)
{
	struct slot *slot = &cache->slots[slot_of(key)];

	for (size_t i = 0; i < count; i++)
		if (decisions[i].kind == DECISION_NONE)
			return;
	if (count == 0 || count > COUNT_MAX)
		return;
	empty(slot);
	*slot = (struct slot){.key = *key, .until_ms = until_ms, .count = count};
	slot->decisions = mem_array(count, sizeof(*slot->decisions));
	memcpy(slot->decisions, decisions, count * sizeof(*decisions));
}
