/*
 * tests/fault/fake_clock.c - another time of day on demand: preloaded by test_clock.py
 *
 * The number is one of milliseconds that is added to the wall clock. The
 * monotonic clock is the system's.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/preload.h"

static _Atomic long *offset_ms;

__attribute__((constructor)) static void begin(void)
{
	offset_ms = preload_number();
}

static void shift(struct timespec *now)
{
	long ms = offset_ms != NULL ? atomic_load_explicit(offset_ms, memory_order_relaxed) : 0;

	now->tv_sec += ms / 1000;
	now->tv_nsec += ms % 1000 * 1000000;
	if (now->tv_nsec < 0) {
		now->tv_nsec += 1000000000;
		now->tv_sec--;
	} else if (now->tv_nsec >= 1000000000) {
		now->tv_nsec -= 1000000000;
		now->tv_sec++;
	}
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	if (syscall(SYS_clock_gettime, id, now) != 0)
		return -1;
	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		shift(now);
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec exact;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &exact);
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *now)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME, &exact);
	if (now != NULL)
		*now = exact.tv_sec;
	return exact.tv_sec;
}
