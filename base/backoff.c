/* base/backoff.c - when to try again (delivery.schedule) */
#include "base/backoff.h"

#define DEFAULT_WAIT_MS (60 * 1000)

int64_t backoff_wait_ms(const int64_t *schedule_ms, size_t count, int attempts, uint32_t random)
{
	size_t index = attempts > 1 ? (size_t)attempts - 1 : 0;
	int64_t wait = DEFAULT_WAIT_MS;
	int64_t fifth;

	if (count > 0)
		wait = schedule_ms[index < count ? index : count - 1];
	fifth = wait / 5;
	return fifth > 0 ? wait + (int64_t)random % (fifth + 1) : wait;
}
