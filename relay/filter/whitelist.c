/* relay/filter/whitelist.c - the live list: publishing, snapshots, merging in the background */
#include "relay/filter/whitelist.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crew.h"
#include "base/mem.h"
#include "base/secret.h"
#include "relay/filter/hits.h"
#include "relay/filter/snapshot.h"

/*
 * Layers: one base and, above it, what changed since. A publish builds a
 * layer of its changes and folds it with the topmost while that stays cheap:
 * tiny layers always, every TINY_LINES lines with one of up to SMALL_LINES.
 * So a change costs microseconds, a hundred of them once half a millisecond,
 * and a look-up sees about three layers. What has outgrown SMALL_LINES is
 * merged into the base by the list's own thread.
 */
#define TINY_LINES  64
#define SMALL_LINES 4096

struct whitelist {
	pthread_mutex_t mutex;		    /* short: counts and pointers only */
	struct whitelist_snapshot *current; /* one reference is the list's */
	struct shared_layer *dead;	    /* big ones, for the thread to free */
	bool merge_wanted;
	bool tidy_given; /* `tidy` is in the crew's line */
	bool stopping;
	bool extent_known; /* `extent` is that of `current` */
	struct extent extent;

	pthread_mutex_t change; /* one publisher, or the thread putting in its result */
	size_t frozen;		/* lowest layers that the running merge reads; 0: none runs */
	uint64_t generation;	/* of the base: a load makes a running merge worthless */

	uint64_t seed;
	struct layer_builder *loading;
	size_t bad_rows;
	struct hits *hits;
	struct crew *crew; /* one thread, that tidies up */
	struct crew_job tidy;
};

/* --- references ----------------------------------------------------------------------------- */

static struct shared_layer *share(struct layer *layer)
{
	struct shared_layer *shared = mem_zalloc(sizeof(*shared));

	shared->layer = layer;
	return shared;
}

static void free_chain(struct shared_layer *dead)
{
	while (dead != NULL) {
		struct shared_layer *next = dead->next_dead;

		layer_free(dead->layer);
		mem_free(dead);
		dead = next;
	}
}

/* With the mutex: there is something for the thread. */
static void wake(struct whitelist *list)
{
	if (!list->tidy_given && !list->stopping)
		crew_give(list->crew, &list->tidy);
	list->tidy_given = true;
}

/* With the mutex. Returns the small layers that died with it; big ones are left to the thread. */
static struct shared_layer *drop_layers(struct whitelist *list, struct whitelist_snapshot *snapshot)
{
	struct shared_layer *dead = NULL;

	for (size_t i = 0; i < snapshot->layer_count; i++) {
		struct shared_layer *shared = snapshot->layers[i];
		bool big;

		if (--shared->refs > 0)
			continue;
		big = layer_lines(shared->layer) > SMALL_LINES;
		shared->next_dead = big ? list->dead : dead;
		*(big ? &list->dead : &dead) = shared;
	}
	if (list->dead != NULL)
		wake(list);
	return dead;
}

static void unref(struct whitelist *list, struct whitelist_snapshot *snapshot)
{
	struct shared_layer *dead = NULL;
	bool last;

	pthread_mutex_lock(&list->mutex);
	last = --snapshot->refs == 0;
	if (last)
		dead = drop_layers(list, snapshot);
	pthread_mutex_unlock(&list->mutex);
	free_chain(dead);
	if (last)
		mem_free(snapshot);
}

/* `layers` lowest first; each gets a reference more when it is put in force. */
static struct whitelist_snapshot *snapshot_new(struct whitelist *list,
					       struct shared_layer *const *layers, size_t count,
					       int64_t revision, size_t size)
{
	struct whitelist_snapshot *snapshot =
		mem_zalloc(sizeof(*snapshot) + count * sizeof(snapshot->layers[0]));

	snapshot->self = snapshot;
	snapshot->list = list;
	snapshot->refs = 1;
	snapshot->revision = revision;
	snapshot->seed = list->seed;
	snapshot->size = size;
	snapshot->layer_count = count;
	memcpy(snapshot->layers, layers, count * sizeof(snapshot->layers[0]));
	return snapshot;
}

static size_t lines_above_base(const struct whitelist_snapshot *snapshot)
{
	size_t lines = 0;

	for (size_t i = 1; i < snapshot->layer_count; i++)
		lines += layer_lines(snapshot->layers[i]->layer);
	return lines;
}

/* With `change`: from here on readers get this one. */
static void put_in_force(struct whitelist *list, struct whitelist_snapshot *snapshot)
{
	struct whitelist_snapshot *old;

	pthread_mutex_lock(&list->mutex);
	for (size_t i = 0; i < snapshot->layer_count; i++)
		snapshot->layers[i]->refs++;
	old = list->current;
	list->current = snapshot;
	list->extent_known = false;
	if (lines_above_base(snapshot) > SMALL_LINES && list->frozen == 0) {
		list->merge_wanted = true;
		wake(list);
	}
	pthread_mutex_unlock(&list->mutex);
	if (old != NULL)
		unref(list, old);
}

const struct whitelist_snapshot *whitelist_acquire(struct whitelist *list)
{
	const struct whitelist_snapshot *snapshot;

	pthread_mutex_lock(&list->mutex);
	list->current->refs++;
	snapshot = list->current;
	pthread_mutex_unlock(&list->mutex);
	return snapshot;
}

void whitelist_release(const struct whitelist_snapshot **snapshot)
{
	if (*snapshot == NULL)
		return;
	unref((*snapshot)->list, (*snapshot)->self);
	*snapshot = NULL;
}

int64_t whitelist_revision(const struct whitelist_snapshot *snapshot)
{
	return snapshot->revision;
}

size_t whitelist_size(const struct whitelist_snapshot *snapshot)
{
	return snapshot->size;
}

/* --- the thread ----------------------------------------------------------------------------- */

static const struct layer **plain_layers(struct shared_layer *const *shared, size_t count)
{
	const struct layer **layers = mem_array(count, sizeof(struct layer *));

	for (size_t i = 0; i < count; i++)
		layers[i] = shared[i]->layer;
	return layers;
}

/* With `change`: the merged base, and what was published on top of it meanwhile. */
static void put_in_base(struct whitelist *list, struct layer *base, size_t merged)
{
	struct whitelist_snapshot *current = list->current;
	size_t above = current->layer_count - merged;
	struct shared_layer **layers = mem_array(above + 1, sizeof(*layers));

	layers[0] = share(base);
	memcpy(layers + 1, current->layers + merged, above * sizeof(*layers));
	put_in_force(list, snapshot_new(list, layers, above + 1, current->revision, current->size));
	mem_free(layers);
}

/* The long part runs on an acquired snapshot and without any lock. */
static void merge(struct whitelist *list)
{
	const struct whitelist_snapshot *snapshot;
	const struct layer **layers;
	struct layer *base;
	uint64_t generation;

	pthread_mutex_lock(&list->change);
	snapshot = whitelist_acquire(list);
	generation = list->generation;
	list->frozen = snapshot->layer_count;
	pthread_mutex_unlock(&list->change);

	layers = plain_layers(snapshot->layers, snapshot->layer_count);
	base = layer_merge(layers, snapshot->layer_count, true, list->seed);
	mem_free(layers);

	pthread_mutex_lock(&list->change);
	list->frozen = 0;
	if (generation == list->generation) {
		put_in_base(list, base, snapshot->layer_count);
		base = NULL;
	}
	pthread_mutex_unlock(&list->change);
	layer_free(base);
	whitelist_release(&snapshot);
}

static void tidy(struct crew_job *job)
{
	struct whitelist *list =
		(struct whitelist *)((char *)job - offsetof(struct whitelist, tidy));
	struct shared_layer *dead;
	bool wanted;

	pthread_mutex_lock(&list->mutex);
	list->tidy_given = false;
	wanted = list->merge_wanted && !list->stopping;
	list->merge_wanted = false;
	dead = list->dead;
	list->dead = NULL;
	pthread_mutex_unlock(&list->mutex);
	free_chain(dead);
	if (wanted)
		merge(list);
}

/* --- birth, death, loading ------------------------------------------------------------------ */

static void put_only(struct whitelist *list, struct layer *layer, int64_t revision)
{
	struct shared_layer *shared = share(layer);

	list->generation++;
	put_in_force(list, snapshot_new(list, &shared, 1, revision, layer_entries(layer)));
}

struct whitelist *whitelist_new(void)
{
	struct whitelist *list = mem_zalloc(sizeof(*list));
	struct layer_builder *empty = layer_builder_new();

	pthread_mutex_init(&list->mutex, NULL);
	pthread_mutex_init(&list->change, NULL);
	secret_random(&list->seed, sizeof(list->seed));
	list->hits = hits_new();
	list->tidy.run = tidy;
	if (crew_new("whitelist", 1, &list->crew, NULL) != ERR_OK)
		abort(); /* as when memory ends: nothing can be promised without it */
	put_only(list, layer_builder_finish(&empty, list->seed), 0);
	return list;
}

void whitelist_free(struct whitelist **list_in)
{
	struct whitelist *list = *list_in;

	if (list == NULL)
		return;
	pthread_mutex_lock(&list->mutex);
	list->stopping = true;
	pthread_mutex_unlock(&list->mutex);
	crew_free(&list->crew);
	assert(list->current->refs == 1);
	unref(list, list->current);
	free_chain(list->dead);
	layer_builder_free(&list->loading);
	hits_free(&list->hits);
	pthread_mutex_destroy(&list->change);
	pthread_mutex_destroy(&list->mutex);
	mem_free(list);
	*list_in = NULL;
}

void whitelist_load_begin(struct whitelist *list)
{
	layer_builder_free(&list->loading);
	list->loading = layer_builder_new();
	list->bad_rows = 0;
}

void whitelist_load_add(struct whitelist *list, const struct entry *entry)
{
	if (!layer_builder_put(list->loading, entry, false))
		list->bad_rows++;
}

void whitelist_load_end(struct whitelist *list, int64_t revision, size_t *bad_rows_out)
{
	struct layer *base = layer_builder_finish(&list->loading, list->seed);

	pthread_mutex_lock(&list->change);
	put_only(list, base, revision);
	pthread_mutex_unlock(&list->change);
	*bad_rows_out = list->bad_rows;
}

/* --- publishing ----------------------------------------------------------------------------- */

static struct layer *layer_of_changes(const struct whitelist *list,
				      const struct whitelist_change *changes, size_t count)
{
	struct layer_builder *builder = layer_builder_new();

	for (size_t i = 0; i < count; i++) {
		if (changes[i].operation == ENTRY_REMOVE)
			layer_builder_remove(builder, changes[i].entry.id);
		else
			layer_builder_put(builder, &changes[i].entry,
					  changes[i].operation == ENTRY_REPLACE);
	}
	return layer_builder_finish(&builder, list->seed);
}

static bool is_live(const struct whitelist_snapshot *snapshot, int64_t id)
{
	for (size_t i = snapshot->layer_count; i > 0; i--) {
		const struct layer *layer = snapshot->layers[i - 1]->layer;

		if (layer_find_id(layer, id) != NULL)
			return true;
		if (layer_buries(layer, id))
			return false;
	}
	return false;
}

/* Entries in force once `layer` lies on top. */
static size_t size_with(const struct whitelist_snapshot *snapshot, const struct layer *layer)
{
	size_t size = snapshot->size + layer_entries(layer);
	size_t buried = layer_lines(layer) - layer_entries(layer);

	for (size_t i = 0; i < buried; i++)
		if (is_live(snapshot, layer_tombstone_id(layer, i)))
			size--;
	return size;
}

/* Is it cheap to make one layer of the two? */
static bool should_fold(const struct layer *below, const struct layer *top)
{
	return (layer_lines(below) < TINY_LINES || layer_lines(top) >= TINY_LINES) &&
	       layer_lines(below) + layer_lines(top) <= SMALL_LINES;
}

/* Fold the layers of `current` from the top into `top`; returns how many of them are left. */
static size_t fold(const struct whitelist *list, const struct whitelist_snapshot *current,
		   struct layer **top)
{
	size_t left = current->layer_count;

	while (left > list->frozen && should_fold(current->layers[left - 1]->layer, *top)) {
		const struct layer *pair[] = {current->layers[left - 1]->layer, *top};
		struct layer *folded = layer_merge(pair, 2, left == 1, list->seed);

		layer_free(*top);
		*top = folded;
		left--;
	}
	return left;
}

/* With `change`. `top` goes on top of the lowest `left` layers. */
static void put_on_top(struct whitelist *list, size_t left, struct layer *top, int64_t revision,
		       size_t size)
{
	struct shared_layer **layers = mem_array(left + 1, sizeof(*layers));

	memcpy(layers, list->current->layers, left * sizeof(*layers));
	layers[left] = share(top);
	put_in_force(list, snapshot_new(list, layers, left + 1, revision, size));
	mem_free(layers);
}

void whitelist_publish(struct whitelist *list, const struct whitelist_change *changes, size_t count,
		       int64_t revision)
{
	struct layer *top = layer_of_changes(list, changes, count);
	const struct whitelist_snapshot *current;
	size_t size;
	size_t left;

	pthread_mutex_lock(&list->change);
	current = list->current; /* it stays: only a holder of `change` replaces it */
	size = size_with(current, top);
	left = fold(list, current, &top);
	put_on_top(list, left, top, revision, size);
	pthread_mutex_unlock(&list->change);
}

struct whitelist_prepared {
	struct layer *layer;
	size_t before; /* entries without it, and with it */
	size_t after;
};

struct whitelist_prepared *whitelist_prepare(struct whitelist *list,
					     const struct whitelist_change *changes, size_t count)
{
	struct whitelist_prepared *prepared = mem_zalloc(sizeof(*prepared));
	const struct whitelist_snapshot *snapshot = whitelist_acquire(list);

	prepared->layer = layer_of_changes(list, changes, count);
	prepared->before = snapshot->size;
	prepared->after = size_with(snapshot, prepared->layer);
	whitelist_release(&snapshot);
	return prepared;
}

void whitelist_prepared_free(struct whitelist_prepared **prepared)
{
	if (*prepared == NULL)
		return;
	layer_free((*prepared)->layer);
	mem_free(*prepared);
	*prepared = NULL;
}

/* Folding and counting take as long as there are lines: the list's own thread merges it soon. */
void whitelist_publish_prepared(struct whitelist *list, struct whitelist_prepared **prepared,
				int64_t revision)
{
	pthread_mutex_lock(&list->change);
	put_on_top(list, list->current->layer_count, (*prepared)->layer, revision,
		   list->current->size - (*prepared)->before + (*prepared)->after);
	pthread_mutex_unlock(&list->change);
	(*prepared)->layer = NULL;
	whitelist_prepared_free(prepared);
}

/* The caller's is the only reference: its layers get theirs as if it were put in force. */
const struct whitelist_snapshot *
whitelist_preview(struct whitelist *list, const struct whitelist_change *changes, size_t count)
{
	const struct whitelist_snapshot *current = whitelist_acquire(list);
	struct layer *top = layer_of_changes(list, changes, count);
	size_t size = size_with(current, top);
	struct shared_layer **layers = mem_array(current->layer_count + 1, sizeof(*layers));
	struct whitelist_snapshot *preview;

	memcpy(layers, current->layers, current->layer_count * sizeof(*layers));
	layers[current->layer_count] = share(top);
	preview = snapshot_new(list, layers, current->layer_count + 1, current->revision, size);
	mem_free(layers);
	pthread_mutex_lock(&list->mutex);
	for (size_t i = 0; i < preview->layer_count; i++)
		preview->layers[i]->refs++;
	pthread_mutex_unlock(&list->mutex);
	whitelist_release(&current);
	return preview;
}

/* --- what else is asked of a list ----------------------------------------------------------- */

struct all_search {
	const struct whitelist_snapshot *snapshot;
	size_t layer;
	int64_t now;
	bool found;
};

static void on_all(void *ctx, const struct layer_item *item)
{
	struct all_search *search = ctx;

	if (item->action == ENTRY_ALLOW &&
	    (item->expires_at == 0 || item->expires_at > search->now) &&
	    !snapshot_buries(search->snapshot, search->layer, item->id))
		search->found = true;
}

bool whitelist_allows_all(const struct whitelist_snapshot *snapshot)
{
	struct all_search search = {.snapshot = snapshot, .now = clock_steady_wall_ms()};

	for (; search.layer < snapshot->layer_count; search.layer++)
		layer_each_all(snapshot->layers[search.layer]->layer, on_all, &search);
	return search.found;
}

void whitelist_extent(struct whitelist *list, int64_t now, struct extent *extent_out)
{
	const struct whitelist_snapshot *snapshot;
	bool known;

	pthread_mutex_lock(&list->mutex);
	known = list->extent_known && now < list->extent.until;
	*extent_out = list->extent;
	pthread_mutex_unlock(&list->mutex);
	if (known)
		return;
	snapshot = whitelist_acquire(list);
	snapshot_extent(snapshot, now, extent_out);
	pthread_mutex_lock(&list->mutex);
	if (list->current == snapshot) {
		list->extent = *extent_out;
		list->extent_known = true;
	}
	pthread_mutex_unlock(&list->mutex);
	whitelist_release(&snapshot);
}

void whitelist_bytes(const struct whitelist_snapshot *snapshot, size_t *bytes_out,
		     size_t *string_bytes_out)
{
	*bytes_out = sizeof(*snapshot);
	*string_bytes_out = 0;
	for (size_t i = 0; i < snapshot->layer_count; i++) {
		size_t strings;

		*bytes_out += layer_bytes(snapshot->layers[i]->layer, &strings);
		*string_bytes_out += strings;
	}
}

void whitelist_count_hit(struct whitelist *list, int64_t entry, int64_t now)
{
	hits_count(list->hits, entry, now);
}

size_t whitelist_take_hits(struct whitelist *list, struct entry_hits *hits_out, size_t max)
{
	return hits_take(list->hits, hits_out, max);
}
