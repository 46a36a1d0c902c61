/* relay/filter/published.h - rows in force: replaced whole, read without waiting, counted */
#ifndef STAGEPOST_RELAY_FILTER_PUBLISHED_H
#define STAGEPOST_RELAY_FILTER_PUBLISHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

/* First those of the configuration, then those of the store, each in their order. */
enum published_source { PUBLISHED_FROM_CONFIG, PUBLISHED_FROM_STORE };

/* Shared by the editions that hold the item: what says the same goes on counting. */
struct published_counter {
	_Atomic uint64_t matches;
	_Atomic uint64_t strikes;
	_Atomic size_t refs;
};

/* One row made ready. The first member of what a kind makes of it. */
struct published_item {
	enum published_source source;
	bool enabled;
	const char *meaning;
	struct published_counter *counter;
};

/* What the rows are and how they are made ready. */
struct published_kind {
	size_t row_size;
	size_t item_size;
	size_t row_offset; /* of the copy of the row in the item */
	/* Others are left out, and counted as bad. */
	bool (*is_good)(const void *row);
	bool (*is_enabled)(const void *row);
	/* The item holds its row: copy its strings to `arena`, make the rest. */
	void (*make)(void *item, struct arena *arena);
	/* What it says, for the counter; its place, its note and whether it is enabled are left
	 * out. */
	void (*mean)(const void *row, struct buf *meaning);
};

struct published;

/* One version. Reference-counted; never changes. */
struct edition {
	const struct published_kind *kind;
	size_t count;
	char *items;
	uint64_t number; /* a later one has a greater */
	/* private */
	struct published *owner;
	struct edition *self; /* for release, which is given a const pointer */
	struct arena *arena;
	size_t refs;
};

/* Empty. `kind` outlives it. */
struct published *published_new(const struct published_kind *kind);
/* All editions must have been released. */
void published_free(struct published **published);

/*
 * Any thread. Replace the rows of one source, for every published_acquire
 * from now on. Returns how many are no good and were left out.
 */
size_t published_replace(struct published *published, enum published_source source,
			 const void *rows, size_t count);

/* Any thread, without a lock: the number of the edition in force. */
uint64_t published_number(struct published *published);
/*
 * Any thread, without a lock: something is enabled. Whoever asks for the
 * number first can tell later whether the answer still holds.
 */
bool published_is_on(struct published *published);
/* Any thread. Release it soon. */
const struct edition *published_acquire(struct published *published);
void published_release(const struct edition **edition);

static inline void *edition_item(const struct edition *edition, size_t index)
{
	return edition->items + index * edition->kind->item_size;
}

#endif
