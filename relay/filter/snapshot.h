/* relay/filter/snapshot.h - what a snapshot is made of: for the files of relay/filter that search
 * one
 */
#ifndef STAGEPOST_RELAY_FILTER_SNAPSHOT_H
#define STAGEPOST_RELAY_FILTER_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "relay/filter/extent.h"
#include "relay/filter/layer.h"
#include "relay/filter/whitelist.h"

/* A layer that several snapshots stand on. `refs` and `next_dead` belong to the list's mutex. */
struct shared_layer {
	struct layer *layer;
	size_t refs;
	struct shared_layer *next_dead;
};

/* Everything but `refs` (the list's mutex) is fixed from birth. */
struct whitelist_snapshot {
	struct whitelist_snapshot *self; /* for release, which is given a const pointer */
	struct whitelist *list;
	size_t refs;
	int64_t revision;
	uint64_t seed;
	size_t size;		       /* entries that are not buried */
	size_t layer_count;	       /* at least 1 */
	struct shared_layer *layers[]; /* lowest first; an upper one's tombstones count below */
};

/* Is the entry `id`, found in layer `at`, gone by now? */
static inline bool snapshot_buries(const struct whitelist_snapshot *snapshot, size_t at, int64_t id)
{
	for (size_t above = at + 1; above < snapshot->layer_count; above++)
		if (layer_buries(snapshot->layers[above]->layer, id))
			return true;
	return false;
}

/* Walks all of it. */
void snapshot_extent(const struct whitelist_snapshot *snapshot, int64_t now,
		     struct extent *extent_out);

#endif
