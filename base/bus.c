/* base/bus.c - what happened lately, by number: put by any thread, read by any number of others */
#include <config.h>

#include "base/bus.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"

/* Where a record is. Empty: the number was skipped. */
struct place {
	size_t at;
	size_t len;
};

/*
 * Records lie one behind the other and none over the end: behind `head` are,
 * in this order, the oldest up to the end of `bytes`, then those from its
 * beginning on, up to `head`.
 */
struct bus {
	pthread_mutex_t mutex; /* all below */
	pthread_cond_t announced;
	uint64_t announcements;
	uint64_t first;
	uint64_t end;
	size_t head;
	size_t byte_count;
	size_t place_count;
	struct place *places; /* of number n: n % place_count */
	char *bytes;
};

struct bus *bus_new(size_t bytes, size_t records)
{
	struct bus *bus = mem_zalloc(sizeof(*bus));
	pthread_condattr_t attributes;

	assert(bytes > BUS_RECORD_MAX && records > 0);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&bus->mutex, NULL);
	(void)pthread_cond_init(&bus->announced, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	bus->first = bus->end = 1;
	bus->byte_count = bytes;
	bus->place_count = records;
	bus->places = mem_array(records, sizeof(*bus->places));
	bus->bytes = mem_alloc(bytes); /* not touched before it is used */
	return bus;
}

void bus_free(struct bus **bus)
{
	if (*bus == NULL)
		return;
	(void)pthread_cond_destroy(&(*bus)->announced);
	(void)pthread_mutex_destroy(&(*bus)->mutex);
	mem_free((*bus)->places);
	mem_free((*bus)->bytes);
	mem_free(*bus);
	*bus = NULL;
}

/* --- putting --------------------------------------------------------------------------------- */

static struct place *place_of(struct bus *bus, uint64_t number)
{
	return &bus->places[number % bus->place_count];
}

/* The oldest that is left is a record: what was skipped in front of it goes with what went. */
static void drop_skipped(struct bus *bus)
{
	while (bus->first < bus->end && place_of(bus, bus->first)->len == 0)
		bus->first++;
}

static void drop_oldest(struct bus *bus)
{
	bus->first++;
	drop_skipped(bus);
}

static bool is_in_the_way(const struct place *oldest, size_t at, size_t len)
{
	return oldest->at < at + len && at < oldest->at + oldest->len;
}

/* Room for `len` bytes and one number more; returns where. */
static size_t make_room(struct bus *bus, size_t len)
{
	if (bus->head + len > bus->byte_count) {
		while (bus->first < bus->end && place_of(bus, bus->first)->at >= bus->head)
			drop_oldest(bus);
		bus->head = 0;
	}
	while (bus->first < bus->end && is_in_the_way(place_of(bus, bus->first), bus->head, len))
		drop_oldest(bus);
	if (bus->end - bus->first == bus->place_count)
		drop_oldest(bus);
	return bus->head;
}

void bus_put(struct bus *bus, struct span record)
{
	size_t at;

	assert(record.len > 0 && record.len <= BUS_RECORD_MAX);
	pthread_mutex_lock(&bus->mutex);
	at = make_room(bus, record.len);
	memcpy(bus->bytes + at, record.data, record.len);
	*place_of(bus, bus->end++) = (struct place){at, record.len};
	bus->head = at + record.len;
	pthread_mutex_unlock(&bus->mutex);
}

void bus_skip(struct bus *bus, uint64_t count)
{
	pthread_mutex_lock(&bus->mutex);
	if (count >= bus->place_count) {
		bus->end += count;
		bus->first = bus->end;
		count = 0;
	}
	for (; count > 0; count--) {
		if (bus->end - bus->first == bus->place_count)
			drop_oldest(bus);
		*place_of(bus, bus->end++) = (struct place){bus->head, 0};
	}
	drop_skipped(bus);
	pthread_mutex_unlock(&bus->mutex);
}

void bus_announce(struct bus *bus)
{
	pthread_mutex_lock(&bus->mutex);
	bus->announcements++;
	pthread_cond_broadcast(&bus->announced);
	pthread_mutex_unlock(&bus->mutex);
}

/* --- reading --------------------------------------------------------------------------------- */

uint64_t bus_first(struct bus *bus)
{
	uint64_t first;

	pthread_mutex_lock(&bus->mutex);
	first = bus->first;
	pthread_mutex_unlock(&bus->mutex);
	return first;
}

uint64_t bus_end(struct bus *bus)
{
	uint64_t end;

	pthread_mutex_lock(&bus->mutex);
	end = bus->end;
	pthread_mutex_unlock(&bus->mutex);
	return end;
}

/* Under the mutex. NULL: there is none from `from` on. */
static const struct place *find(struct bus *bus, uint64_t from, uint64_t *number_out)
{
	uint64_t number = from > bus->first ? from : bus->first;

	while (number < bus->end && place_of(bus, number)->len == 0)
		number++;
	*number_out = number;
	return number < bus->end ? place_of(bus, number) : NULL;
}

int bus_read(struct bus *bus, uint64_t *next, struct buf *record_out, uint64_t *missed_out)
{
	const struct place *place;
	uint64_t number;
	int code = ERR_NOT_FOUND;

	buf_clear(record_out);
	pthread_mutex_lock(&bus->mutex);
	place = find(bus, *next, &number);
	if (place != NULL)
		code = buf_append(record_out, bus->bytes + place->at, place->len);
	pthread_mutex_unlock(&bus->mutex);
	assert(code == ERR_OK || place == NULL);
	*missed_out = number > *next ? number - *next : 0;
	*next = code == ERR_OK ? number + 1 : *next + *missed_out;
	return code;
}

uint64_t bus_wait(struct bus *bus, uint64_t seen, int64_t until_ms)
{
	const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
				       .tv_nsec = (long)(until_ms % 1000) * 1000000L};
	uint64_t announcements;
	bool late = false;

	pthread_mutex_lock(&bus->mutex);
	while (bus->announcements == seen && !late)
		late = pthread_cond_timedwait(&bus->announced, &bus->mutex, &until) != 0;
	announcements = bus->announcements;
	pthread_mutex_unlock(&bus->mutex);
	return announcements;
}
