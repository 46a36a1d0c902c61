/* tests base/bus.c: order, what is overwritten, what is skipped, many readers */
#include "base/bus.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#define BYTES	(BUS_RECORD_MAX + 1000)
#define READERS 4
#define WRITERS 2
#define EACH	20000

static void put_text(struct bus *bus, const char *text)
{
	bus_put(bus, span_of(text));
}

/* A record of `len` bytes that all depend on its number. */
static void put_long(struct bus *bus, struct buf *scratch, uint64_t number, size_t len)
{
	char *bytes;

	buf_clear(scratch);
	bytes = buf_reserve(scratch, len);
	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)('a' + (number + i) % 26);
	buf_fill(scratch, len);
	bus_put(bus, buf_span(scratch));
}

static bool is_long(const struct buf *record, uint64_t number)
{
	for (size_t i = 0; i < record->len; i++)
		if (record->data[i] != (char)('a' + (number + i) % 26))
			return false;
	return true;
}

START_TEST(records_come_in_order_and_once)
{
	struct bus *bus = bus_new(BYTES, 100);
	struct buf record;
	uint64_t next = 1;
	uint64_t missed = 99;

	buf_init(&record, BUS_RECORD_MAX);
	ck_assert_uint_eq(bus_first(bus), 1);
	ck_assert_uint_eq(bus_end(bus), 1);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_NOT_FOUND);
	ck_assert_uint_eq(next, 1);
	ck_assert_uint_eq(missed, 0);
	put_text(bus, "one");
	put_text(bus, "two");
	ck_assert_uint_eq(bus_end(bus), 3);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_OK);
	ck_assert(span_is(buf_span(&record), "one"));
	ck_assert_uint_eq(missed, 0);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_OK);
	ck_assert(span_is(buf_span(&record), "two"));
	ck_assert_uint_eq(next, 3);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_NOT_FOUND);
	ck_assert_uint_eq(next, 3);
	/* Another reader begins where it likes. */
	next = 2;
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_OK);
	ck_assert(span_is(buf_span(&record), "two"));
	buf_release(&record);
	bus_free(&bus);
}
END_TEST

START_TEST(the_oldest_makes_room_and_is_missed)
{
	struct bus *bus = bus_new(BYTES, 4);
	struct buf record;
	uint64_t next = 1;
	uint64_t missed;
	char text[16];

	buf_init(&record, BUS_RECORD_MAX);
	for (int i = 1; i <= 10; i++) {
		snprintf(text, sizeof(text), "%d", i);
		put_text(bus, text);
	}
	ck_assert_uint_eq(bus_first(bus), 7);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_OK);
	ck_assert_uint_eq(missed, 6);
	ck_assert(span_is(buf_span(&record), "7"));
	ck_assert_uint_eq(next, 8);
	buf_release(&record);
	bus_free(&bus);
}
END_TEST

/* Lengths that never fit evenly: each record is whole, wherever it lies. */
START_TEST(what_is_still_there_is_whole)
{
	struct bus *bus = bus_new(BYTES, 64);
	struct buf record;
	struct buf scratch;

	buf_init(&record, BUS_RECORD_MAX);
	buf_init(&scratch, BUS_RECORD_MAX);
	for (uint64_t number = 1; number <= 2000; number++) {
		size_t len = number % 97 == 0 ? BUS_RECORD_MAX : 1 + (size_t)(number * 7919 % 3001);
		uint64_t next = 1;
		uint64_t missed;
		uint64_t seen = 0;
		bool whole = true;

		put_long(bus, &scratch, number, len);
		while (bus_read(bus, &next, &record, &missed) == ERR_OK) {
			whole &= is_long(&record, next - 1) && (missed == 0 || seen == 0);
			seen++;
		}
		ck_assert(whole);
		ck_assert_uint_eq(next, number + 1);
		ck_assert_uint_ge(seen, 1);
		ck_assert_uint_eq(seen, bus_end(bus) - bus_first(bus));
	}
	buf_release(&record);
	buf_release(&scratch);
	bus_free(&bus);
}
END_TEST

START_TEST(skipped_numbers_are_missed_where_they_are)
{
	struct bus *bus = bus_new(BYTES, 8);
	struct buf record;
	uint64_t next = 1;
	uint64_t missed;

	buf_init(&record, BUS_RECORD_MAX);
	put_text(bus, "one");
	bus_skip(bus, 3);
	put_text(bus, "five");
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_OK);
	ck_assert_uint_eq(missed, 0);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_OK);
	ck_assert_uint_eq(missed, 3);
	ck_assert(span_is(buf_span(&record), "five"));
	/* At the end too, and then not a second time. */
	bus_skip(bus, 2);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_NOT_FOUND);
	ck_assert_uint_eq(missed, 2);
	ck_assert_uint_eq(next, 8);
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_NOT_FOUND);
	ck_assert_uint_eq(missed, 0);
	/* More than there are places. */
	bus_skip(bus, 1000);
	ck_assert_uint_eq(bus_first(bus), 1008);
	put_text(bus, "last");
	ck_assert_int_eq(bus_read(bus, &next, &record, &missed), ERR_OK);
	ck_assert_uint_eq(missed, 1000);
	ck_assert_uint_eq(next, 1009);
	/* In front of records that go, skipped ones go along. */
	bus_skip(bus, 5);
	for (int i = 0; i < 20; i++)
		put_text(bus, "more");
	ck_assert_uint_eq(bus_end(bus) - bus_first(bus), 8);
	buf_release(&record);
	bus_free(&bus);
}
END_TEST

static void *announce_soon(void *bus)
{
	put_text(bus, "news");
	bus_announce(bus);
	return NULL;
}

START_TEST(who_waits_is_woken)
{
	struct bus *bus = bus_new(BYTES, 8);
	int64_t begun = clock_mono_ms();
	pthread_t thread;
	uint64_t seen;

	seen = bus_wait(bus, 0, begun + 20);
	ck_assert_uint_eq(seen, 0);
	ck_assert_int_ge(clock_mono_ms(), begun + 20);
	pthread_create(&thread, NULL, announce_soon, bus);
	seen = bus_wait(bus, seen, clock_mono_ms() + 10000);
	ck_assert_uint_eq(seen, 1);
	pthread_join(thread, NULL);
	/* What was announced before is not waited for. */
	ck_assert_uint_eq(bus_wait(bus, 0, clock_mono_ms() + 10000), 1);
	bus_free(&bus);
}
END_TEST

struct crowd {
	struct bus *bus;
	_Atomic int writing;
};

static void *write_many(void *arg)
{
	struct crowd *crowd = arg;
	char text[64];

	for (int i = 0; i < EACH; i++) {
		int len = snprintf(text, sizeof(text), "%d %.*s", i, i % 40,
				   "........................................");

		bus_put(crowd->bus, span_make(text, (size_t)len));
		if (i % 16 == 0)
			bus_announce(crowd->bus);
	}
	crowd->writing--;
	bus_announce(crowd->bus);
	return NULL;
}

/* Numbers only grow, and what is read and what was missed make up all of them. */
static void *read_many(void *arg)
{
	struct crowd *crowd = arg;
	uint64_t next = 1;
	uint64_t read = 0;
	uint64_t missed_all = 0;
	uint64_t seen = 0;
	bool right = true;
	struct buf record;
	bool over;

	buf_init(&record, BUS_RECORD_MAX);
	do {
		uint64_t missed;

		over = crowd->writing == 0;
		seen = bus_wait(crowd->bus, seen, clock_mono_ms() + 1000);
		for (;;) {
			int code = bus_read(crowd->bus, &next, &record, &missed);

			missed_all += missed;
			if (code != ERR_OK)
				break;
			read++;
			right &= ascii_is_digit(record.data[0]) && read + missed_all == next - 1;
		}
	} while (!over);
	ck_assert(right);
	ck_assert_uint_eq(read + missed_all, (uint64_t)WRITERS * EACH);
	ck_assert_uint_gt(read, 0);
	buf_release(&record);
	return NULL;
}

START_TEST(many_readers_and_writers)
{
	struct crowd crowd = {bus_new(BYTES, 256), WRITERS};
	pthread_t threads[READERS + WRITERS];

	for (int i = 0; i < READERS; i++)
		pthread_create(&threads[i], NULL, read_many, &crowd);
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&threads[READERS + i], NULL, write_many, &crowd);
	for (int i = 0; i < READERS + WRITERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(bus_end(crowd.bus), (uint64_t)WRITERS * EACH + 1);
	bus_free(&crowd.bus);
}
END_TEST

UNIT_MAIN("base/bus", records_come_in_order_and_once, the_oldest_makes_room_and_is_missed,
	  what_is_still_there_is_whole, skipped_numbers_are_missed_where_they_are,
	  who_waits_is_woken, many_readers_and_writers)
