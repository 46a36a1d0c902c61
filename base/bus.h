/* base/bus.h - what happened lately, by number: put by any thread, read by any number of others */
#ifndef STAGEPOST_BASE_BUS_H
#define STAGEPOST_BASE_BUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/*
 * The newest records, in memory that never grows; a new one takes the place
 * of the oldest. Their numbers begin at 1 and go on. A reader is a number of
 * its own: nobody keeps a list of readers, and a slow one holds up nobody. It
 * is told how many it has missed.
 */
struct bus;

#define BUS_RECORD_MAX ((size_t)32 * 1024)

/* At most `records` of together `bytes`, which are more than one of BUS_RECORD_MAX. */
struct bus *bus_new(size_t bytes, size_t records);
void bus_free(struct bus **bus);

/* Any thread; copied, 1 to BUS_RECORD_MAX bytes. Waits for no reader longer than it copies one. */
void bus_put(struct bus *bus, struct span record);
/* `count` numbers that nobody will read: what there was no room for before it came here. */
void bus_skip(struct bus *bus, uint64_t count);
/* Wake those who wait: once for many that were put. */
void bus_announce(struct bus *bus);

/* Any thread. The number of the oldest record that is still here; bus_end() when none is. */
uint64_t bus_first(struct bus *bus);
/* The number that the next record will get. */
uint64_t bus_end(struct bus *bus);
/*
 * The first record from *next on is copied into `record_out`, whose ceiling is
 * at least BUS_RECORD_MAX and whose bytes before are forgotten; *next is then
 * the number behind it. ERR_NOT_FOUND: there is none yet. In both cases
 * *missed_out tells how many numbers in front of it had no record any more.
 */
int bus_read(struct bus *bus, uint64_t *next, struct buf *record_out, uint64_t *missed_out);

/*
 * Wait for an announcement, until `until_ms` (clock_mono_ms) at most. Returns
 * how many there were ever: as long as that is not `seen` it does not wait.
 */
uint64_t bus_wait(struct bus *bus, uint64_t seen, int64_t until_ms);

#endif
