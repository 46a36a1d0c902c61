/* base/clock.c - what time it is; the only place that asks the system */
#include <config.h> /* CLOCK_BOOTTIME */

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t frozen_at = -1;
static _Atomic int64_t latest_wall;

static int64_t read_clock_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	int64_t frozen = atomic_load(&frozen_at);

	return frozen >= 0 ? frozen : read_clock_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_steady_wall_ms(void)
{
	int64_t now = clock_wall_ms();
	int64_t seen = atomic_load(&latest_wall);

	while (now > seen)
		if (atomic_compare_exchange_weak(&latest_wall, &seen, now))
			return now;
	return seen;
}

int64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t clock_mono_us(void)
{
	return read_clock_us(CLOCK_MONOTONIC);
}

int64_t clock_offset_ms(void)
{
	return (read_clock_us(CLOCK_REALTIME) - read_clock_us(CLOCK_BOOTTIME)) / 1000;
}

void clock_freeze(int64_t wall_ms)
{
	atomic_store(&frozen_at, wall_ms);
	atomic_store(&latest_wall, 0);
}

void clock_thaw(void)
{
	atomic_store(&frozen_at, -1);
	atomic_store(&latest_wall, 0);
}

static struct tm split(int64_t wall_ms, int *ms_out)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	int ms = (int)(wall_ms % 1000);
	struct tm parts = {0};

	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	*ms_out = ms;
	gmtime_r(&seconds, &parts);
	return parts;
}

void clock_format_rfc3339(int64_t wall_ms, char text_out[CLOCK_RFC3339_SIZE])
{
	int ms;
	struct tm parts = split(wall_ms, &ms);

	snprintf(text_out, CLOCK_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		 (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)(parts.tm_mon + 1) % 100,
		 (unsigned)parts.tm_mday % 100, (unsigned)parts.tm_hour % 100,
		 (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100, (unsigned)ms % 1000);
}

void clock_format_rfc5322(int64_t wall_ms, char text_out[CLOCK_RFC5322_SIZE])
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int ms;
	struct tm parts = split(wall_ms, &ms);

	snprintf(text_out, CLOCK_RFC5322_SIZE, "%s, %u %s %04u %02u:%02u:%02u +0000",
		 days[parts.tm_wday % 7], (unsigned)parts.tm_mday % 100, months[parts.tm_mon % 12],
		 (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)parts.tm_hour % 100,
		 (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100);
}
