/* relay/filter/published.c - rows in force: replaced whole, read without waiting, counted */
#include "relay/filter/published.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define MEANING_MAX 65536

struct published {
	const struct published_kind *kind;
	pthread_mutex_t publishing; /* one at a time */
	pthread_mutex_t lock;	    /* of `edition` and its references */
	struct edition *edition;
	atomic_bool on;
	_Atomic uint64_t number;
};

/* --- an edition ------------------------------------------------------------------------------ */

static void edition_free(struct edition *edition)
{
	struct arena *arena = edition->arena;

	for (size_t i = 0; i < edition->count; i++) {
		struct published_item *item = edition_item(edition, i);

		if (atomic_fetch_sub(&item->counter->refs, 1) == 1)
			mem_free(item->counter);
	}
	arena_free(&arena);
}

static struct edition *edition_new(struct published *owner, size_t room)
{
	struct arena *arena = arena_new();
	struct edition *edition = arena_zalloc(arena, sizeof(*edition));

	edition->kind = owner->kind;
	edition->owner = owner;
	edition->self = edition;
	edition->arena = arena;
	edition->refs = 1;
	edition->items = arena_array(arena, room + 1, owner->kind->item_size);
	return edition;
}

static const char *meaning_of(const struct published_kind *kind, const void *row,
			      enum published_source source, struct arena *arena)
{
	struct buf text;
	const char *meaning;

	buf_init(&text, MEANING_MAX);
	(void)buf_printf(&text, "%d ", (int)source);
	kind->mean(row, &text);
	meaning = arena_span_dup(arena, buf_span(&text));
	buf_release(&text);
	return meaning;
}

/*
 * An item of the edition before that says the same goes on counting. It most
 * likely stands about where it stood: a change concerns one of a thousand.
 */
static struct published_counter *find_counter(const struct edition *before, const char *meaning,
					      size_t index)
{
	struct published_counter *counter;
	size_t first = index > 0 ? index - 1 : 0;

	for (size_t i = 0; i < before->count; i++) {
		const struct published_item *item =
			edition_item(before, (first + i) % before->count);

		if (strcmp(item->meaning, meaning) == 0) {
			atomic_fetch_add(&item->counter->refs, 1);
			return item->counter;
		}
	}
	counter = mem_zalloc(sizeof(*counter));
	atomic_init(&counter->refs, 1);
	return counter;
}

static void edition_add(struct edition *edition, const void *row, enum published_source source,
			const struct edition *before)
{
	const struct published_kind *kind = edition->kind;
	size_t index = edition->count++;
	struct published_item *item = edition_item(edition, index);
	char *copy = (char *)item + kind->row_offset;

	memcpy(copy, row, kind->row_size);
	kind->make(item, edition->arena);
	item->source = source;
	item->enabled = kind->is_enabled(copy);
	item->meaning = meaning_of(kind, copy, source, edition->arena);
	item->counter = find_counter(before, item->meaning, index);
}

static void add_old(struct edition *edition, const struct edition *before,
		    enum published_source source)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct published_item *item = edition_item(before, i);

		if (item->source == source)
			edition_add(edition, (const char *)item + edition->kind->row_offset, source,
				    before);
	}
}

static size_t add_new(struct edition *edition, const struct edition *before,
		      enum published_source source, const void *rows, size_t count)
{
	const struct published_kind *kind = edition->kind;
	size_t bad = 0;

	for (size_t i = 0; i < count; i++) {
		const void *row = (const char *)rows + i * kind->row_size;

		if (kind->is_good(row))
			edition_add(edition, row, source, before);
		else
			bad++;
	}
	return bad;
}

/* --- publishing ------------------------------------------------------------------------------ */

struct published *published_new(const struct published_kind *kind)
{
	struct published *published = mem_zalloc(sizeof(*published));

	published->kind = kind;
	pthread_mutex_init(&published->publishing, NULL);
	pthread_mutex_init(&published->lock, NULL);
	published->edition = edition_new(published, 0);
	return published;
}

void published_free(struct published **published)
{
	struct published *gone = *published;

	*published = NULL;
	if (gone == NULL)
		return;
	assert(gone->edition->refs == 1);
	edition_free(gone->edition);
	pthread_mutex_destroy(&gone->lock);
	pthread_mutex_destroy(&gone->publishing);
	mem_free(gone);
}

static bool has_enabled(const struct edition *edition)
{
	for (size_t i = 0; i < edition->count; i++)
		if (((const struct published_item *)edition_item(edition, i))->enabled)
			return true;
	return false;
}

/* The number last: who finds it unchanged has seen nothing older than what it stands for. */
static void put_in_force(struct published *published, struct edition *edition)
{
	const struct edition *before = published->edition;

	edition->number = before->number + 1;
	pthread_mutex_lock(&published->lock);
	published->edition = edition;
	pthread_mutex_unlock(&published->lock);
	atomic_store(&published->on, has_enabled(edition));
	atomic_store(&published->number, edition->number);
	published_release(&before);
}

size_t published_replace(struct published *published, enum published_source source,
			 const void *rows, size_t count)
{
	const struct edition *before;
	struct edition *edition;
	size_t bad = 0;

	pthread_mutex_lock(&published->publishing);
	before = published->edition;
	edition = edition_new(published, before->count + count);
	for (enum published_source at = PUBLISHED_FROM_CONFIG; at <= PUBLISHED_FROM_STORE; at++) {
		if (at == source)
			bad += add_new(edition, before, at, rows, count);
		else
			add_old(edition, before, at);
	}
	put_in_force(published, edition);
	pthread_mutex_unlock(&published->publishing);
	return bad;
}

/* --- reading --------------------------------------------------------------------------------- */

uint64_t published_number(struct published *published)
{
	return atomic_load(&published->number);
}

bool published_is_on(struct published *published)
{
	return atomic_load(&published->on);
}

const struct edition *published_acquire(struct published *published)
{
	struct edition *edition;

	pthread_mutex_lock(&published->lock);
	edition = published->edition;
	edition->refs++;
	pthread_mutex_unlock(&published->lock);
	return edition;
}

void published_release(const struct edition **edition)
{
	struct edition *gone = (*edition)->self;
	bool last;

	*edition = NULL;
	pthread_mutex_lock(&gone->owner->lock);
	last = --gone->refs == 0;
	pthread_mutex_unlock(&gone->owner->lock);
	if (last)
		edition_free(gone);
}
