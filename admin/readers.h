/* admin/readers.h - the API's read-only connections, one for each thread that serves */
#ifndef STAGEPOST_ADMIN_READERS_H
#define STAGEPOST_ADMIN_READERS_H

#include <stddef.h>

#include "base/err.h"
#include "queue/reader.h"

struct readers;

int readers_open(struct store *store, size_t count, struct readers **readers_out, struct err *why);
/* All must have been given back. */
void readers_close(struct readers **readers);

/*
 * Any thread. Never waits as long as no more threads than `count` hold one at
 * a time: take one for a call, never across a suspension.
 */
struct store_reader *readers_take(struct readers *readers);
void readers_give(struct readers *readers, struct store_reader *reader);

#endif
