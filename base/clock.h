/* base/clock.h - what time it is; the only place that asks the system */
#ifndef STAGEPOST_BASE_CLOCK_H
#define STAGEPOST_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* All times are int64 milliseconds. Any thread. */

/* Since 1970 (UTC), for stored times. Follows the system clock, also backwards. */
int64_t clock_wall_ms(void);
/* Since 1970, but never earlier than an answer given before: expiry is judged with this. */
int64_t clock_steady_wall_ms(void);
/* Monotonic, for deadlines and durations; not frozen by clock_freeze. */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/*
 * How far the wall clock is ahead of the time since the machine was started
 * (suspended or not): it changes where somebody sets the clock. Not frozen either.
 */
int64_t clock_offset_ms(void);

/*
 * For tests: the two wall clocks stand still at `wall_ms` until
 * frozen elsewhere or thawed. May go backwards (to test what a step does).
 */
void clock_freeze(int64_t wall_ms);
void clock_thaw(void);

/* RFC 3339 with milliseconds, UTC: 2026-11-21T10:20:30.456Z */
#define CLOCK_RFC3339_SIZE 32
void clock_format_rfc3339(int64_t wall_ms, char text_out[CLOCK_RFC3339_SIZE]);
/* RFC 5322 date-time, UTC: Sat, 21 Nov 2026 10:20:30 +0000 */
#define CLOCK_RFC5322_SIZE 48
void clock_format_rfc5322(int64_t wall_ms, char text_out[CLOCK_RFC5322_SIZE]);

#endif
