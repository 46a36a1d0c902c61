/* queue/seen_set.c - recipients noted in memory: an array, and a hash of places in it */
#include "queue/seen_set.h"

#include <assert.h>

#include "base/mem.h"
#include "base/secret.h"

#define SLOTS (2 * SEEN_SET_MAX) /* a power of two */

struct seen_set {
	uint64_t seed; /* peers choose the addresses */
	size_t count;
	struct seen_item items[SEEN_SET_MAX];
	uint16_t slots[SLOTS]; /* place + 1, 0 is free */
};

static_assert(SEEN_SET_MAX < UINT16_MAX, "a place fits a slot");
static_assert((SLOTS & (SLOTS - 1)) == 0, "slots are found by a mask");

struct seen_set *seen_set_new(void)
{
	struct seen_set *set = mem_zalloc(sizeof(*set));

	secret_random(&set->seed, sizeof(set->seed));
	return set;
}

static void release(struct seen_item *item)
{
	mem_free(item->address);
	mem_free(item->scope);
}

void seen_set_free(struct seen_set **set)
{
	if (*set == NULL)
		return;
	for (size_t i = 0; i < (*set)->count; i++)
		release(&(*set)->items[i]);
	mem_free(*set);
	*set = NULL;
}

/* FNV-1a over what is folded, begun with the seed. */
static uint64_t add_hash(uint64_t hash, struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		hash = (hash ^ (unsigned char)ascii_lower(text.data[i])) * 0x100000001b3u;
	return (hash ^ 0xffu) * 0x100000001b3u;
}

/* The slot that holds the pair, or the free one where it belongs. */
static size_t find_slot(const struct seen_set *set, struct span address, struct span scope)
{
	uint64_t hash = add_hash(add_hash(set->seed, address), scope);
	size_t slot = (size_t)(hash ^ hash >> 32) & (SLOTS - 1);

	for (; set->slots[slot] != 0; slot = (slot + 1) & (SLOTS - 1)) {
		const struct seen_item *item = &set->items[set->slots[slot] - 1];

		if (span_equal_fold(span_of(item->address), address) &&
		    span_equal(span_of(item->scope), scope))
			break;
	}
	return slot;
}

static char *lower_dup(struct span text)
{
	char *copy = mem_span_dup(text);

	for (char *c = copy; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return copy;
}

void seen_set_note(struct seen_set *set, struct span address, struct span scope, int64_t at,
		   bool refused)
{
	size_t slot = find_slot(set, address, scope);
	struct seen_item *item;

	if (set->slots[slot] == 0) {
		if (set->count == SEEN_SET_MAX)
			return;
		set->items[set->count].address = lower_dup(address);
		set->items[set->count].scope = mem_span_dup(scope);
		set->slots[slot] = (uint16_t)++set->count;
	}
	item = &set->items[set->slots[slot] - 1];
	item->at = at;
	item->refused = refused;
}

size_t seen_set_count(const struct seen_set *set)
{
	return set->count;
}

const struct seen_item *seen_set_item(const struct seen_set *set, size_t n)
{
	assert(n < set->count);
	return &set->items[n];
}

static void rebuild_slots(struct seen_set *set)
{
	memset(set->slots, 0, sizeof(set->slots));
	for (size_t i = 0; i < set->count; i++) {
		const struct seen_item *item = &set->items[i];

		set->slots[find_slot(set, span_of(item->address), span_of(item->scope))] =
			(uint16_t)(i + 1);
	}
}

void seen_set_forget(struct seen_set *set, size_t from, size_t count)
{
	assert(from + count <= set->count);
	for (size_t i = from; i < from + count; i++)
		release(&set->items[i]);
	memmove(&set->items[from], &set->items[from + count],
		(set->count - from - count) * sizeof(set->items[0]));
	set->count -= count;
	rebuild_slots(set);
}
