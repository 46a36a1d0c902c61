/* relay/hook/cache.h - answers that still stand, by the question they were given to */
#ifndef STAGEPOST_RELAY_HOOK_CACHE_H
#define STAGEPOST_RELAY_HOOK_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/secret.h"
#include "relay/hook/decision.h"

/* Bounded: a new answer takes the place of another. One thread. */
struct cache;
struct cache *cache_new(void);
void cache_free(struct cache **cache);

/* Of the bytes of a question, as its dialect writes them for_key. */
struct cache_key {
	unsigned char digest[SECRET_SHA256_BYTES];
};

/* Only for `count` decisions at once, as they were kept. */
bool cache_find(const struct cache *cache, const struct cache_key *key, size_t count,
		int64_t now_ms, struct decision *decisions_out);
/* Kept when all of them decide something and `count` is small. */
void cache_keep(struct cache *cache, const struct cache_key *key, const struct decision *decisions,
		size_t count, int64_t until_ms);
/* Another configuration asks in another way. */
void cache_clear(struct cache *cache);

#endif
