/* relay/deliver/rate.c - so many messages a second and no more */
#include "relay/deliver/rate.h"

#include <assert.h>

#define MESSAGE	    ((int64_t)1000000)
#define WAIT_MAX_MS ((int64_t)3600000)

/* Thousandths a second are millionths a millisecond. */
static int64_t credit_at(const struct rate *rate, int64_t now_ms)
{
	int64_t most = rate->thousandths * 1000 > MESSAGE ? rate->thousandths * 1000 : MESSAGE;
	int64_t passed_ms = now_ms - rate->at_ms;
	int64_t full_ms = (most - rate->credit) / rate->thousandths + 1;

	if (passed_ms <= 0)
		return rate->credit < most ? rate->credit : most;
	if (passed_ms >= full_ms)
		return most;
	return rate->credit + passed_ms * rate->thousandths;
}

void rate_init(struct rate *rate, int64_t thousandths, int64_t now_ms)
{
	*rate = (struct rate){thousandths, MESSAGE, now_ms};
}

void rate_change(struct rate *rate, int64_t thousandths, int64_t now_ms)
{
	if (rate->thousandths == 0) {
		rate_init(rate, thousandths, now_ms);
		return;
	}
	rate->credit = credit_at(rate, now_ms);
	rate->at_ms = now_ms;
	rate->thousandths = thousandths;
}

int64_t rate_wait_ms(const struct rate *rate, int64_t now_ms)
{
	int64_t missing;

	if (rate->thousandths == 0)
		return 0;
	missing = MESSAGE - credit_at(rate, now_ms);
	if (missing <= 0)
		return 0;
	missing = (missing + rate->thousandths - 1) / rate->thousandths;
	return missing < WAIT_MAX_MS ? missing : WAIT_MAX_MS;
}

void rate_take(struct rate *rate, int64_t now_ms)
{
	if (rate->thousandths == 0)
		return;
	rate->credit = credit_at(rate, now_ms) - MESSAGE;
	rate->at_ms = now_ms;
	assert(rate->credit >= 0);
}
