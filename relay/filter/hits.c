/* relay/filter/hits.c - hit counters: a dense array, and a hash from id to place in it */
#include "relay/filter/hits.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/mem.h"

#define FIRST_ROOM 64 /* a power of two */

struct hits {
	pthread_mutex_t mutex;
	struct entry_hits *counts; /* room of them */
	size_t count;
	size_t room;
	uint32_t *places; /* 2 * room slots: place + 1, 0 is free */
};

static size_t slot_of(const struct hits *hits, int64_t id)
{
	uint64_t hash = (uint64_t)id * 0x9e3779b97f4a7c15u;

	return (size_t)(hash >> 32) & (2 * hits->room - 1);
}

/* The slot that holds `id`, or the free one where it belongs. */
static size_t find_slot(const struct hits *hits, int64_t id)
{
	size_t slot = slot_of(hits, id);

	while (hits->places[slot] != 0 && hits->counts[hits->places[slot] - 1].id != id)
		slot = (slot + 1) & (2 * hits->room - 1);
	return slot;
}

static void rebuild_places(struct hits *hits)
{
	memset(hits->places, 0, 2 * hits->room * sizeof(*hits->places));
	for (size_t i = 0; i < hits->count; i++)
		hits->places[find_slot(hits, hits->counts[i].id)] = (uint32_t)(i + 1);
}

static void set_room(struct hits *hits, size_t room)
{
	hits->room = room;
	hits->counts = mem_regrow(hits->counts, room, sizeof(*hits->counts));
	hits->places = mem_regrow(hits->places, 2 * room, sizeof(*hits->places));
	rebuild_places(hits);
}

struct hits *hits_new(void)
{
	struct hits *hits = mem_zalloc(sizeof(*hits));

	pthread_mutex_init(&hits->mutex, NULL);
	set_room(hits, FIRST_ROOM);
	return hits;
}

void hits_free(struct hits **hits)
{
	if (*hits == NULL)
		return;
	pthread_mutex_destroy(&(*hits)->mutex);
	mem_free((*hits)->counts);
	mem_free((*hits)->places);
	mem_free(*hits);
	*hits = NULL;
}

void hits_count(struct hits *hits, int64_t entry, int64_t now)
{
	size_t slot;
	struct entry_hits *count;

	pthread_mutex_lock(&hits->mutex);
	slot = find_slot(hits, entry);
	if (hits->places[slot] == 0) {
		if (hits->count == hits->room) {
			set_room(hits, 2 * hits->room);
			slot = find_slot(hits, entry);
		}
		hits->counts[hits->count] = (struct entry_hits){.id = entry};
		hits->places[slot] = (uint32_t)++hits->count;
	}
	count = &hits->counts[hits->places[slot] - 1];
	count->hits++;
	if (count->last_hit_at < now)
		count->last_hit_at = now;
	pthread_mutex_unlock(&hits->mutex);
}

size_t hits_take(struct hits *hits, struct entry_hits *out, size_t max)
{
	size_t taken;

	pthread_mutex_lock(&hits->mutex);
	taken = hits->count < max ? hits->count : max;
	hits->count -= taken;
	memcpy(out, hits->counts + hits->count, taken * sizeof(*out));
	if (hits->count == 0)
		set_room(hits, FIRST_ROOM);
	else
		rebuild_places(hits);
	pthread_mutex_unlock(&hits->mutex);
	return taken;
}
