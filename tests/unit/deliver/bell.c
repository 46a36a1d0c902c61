/* tests/unit/deliver/bell.c - a test waits for what a loop's thread says has happened */
#include "tests/unit/deliver/bell.h"

#include <check.h>
#include <time.h>

#define WAIT_S 10

void bell_init(struct bell *bell)
{
	pthread_mutex_init(&bell->lock, NULL);
	pthread_cond_init(&bell->change, NULL);
}

void bell_ring(struct bell *bell, bool *flag)
{
	pthread_mutex_lock(&bell->lock);
	*flag = true;
	pthread_cond_broadcast(&bell->change);
	pthread_mutex_unlock(&bell->lock);
}

void bell_await(struct bell *bell, bool *flag)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += WAIT_S;
	pthread_mutex_lock(&bell->lock);
	while (!*flag)
		ck_assert_int_eq(pthread_cond_timedwait(&bell->change, &bell->lock, &end), 0);
	*flag = false;
	pthread_mutex_unlock(&bell->lock);
}
