/* base/ulid.h - identifiers that sort by time (github.com/ulid/spec) */
#ifndef STAGEPOST_BASE_ULID_H
#define STAGEPOST_BASE_ULID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* 48 bits of milliseconds since 1970, then 80 random bits; memory order is time order. */
struct ulid {
	unsigned char bytes[16];
};

#define ULID_TEXT_SIZE 27 /* 26 characters of Crockford's base 32, and a NUL */

/*
 * A new one. Any thread. Within one process the result is always greater
 * than every one made before, also within a millisecond and when the clock
 * steps back.
 */
struct ulid ulid_new(int64_t wall_ms);
void ulid_format(const struct ulid *id, char text_out[ULID_TEXT_SIZE]);
/* Exactly 26 characters, either case, no I L O U; ERR_SYNTAX otherwise. */
int ulid_parse(struct span text, struct ulid *id_out);
bool ulid_equal(const struct ulid *a, const struct ulid *b);
/* The milliseconds it was made at. */
int64_t ulid_time_ms(const struct ulid *id);

#endif
