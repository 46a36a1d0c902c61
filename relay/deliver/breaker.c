/* relay/deliver/breaker.c - how many recipients were offered to next hops lately */
#include "relay/deliver/breaker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND_MS 1000
#define MINUTE_MS 60000

void breaker_init(struct breaker *b, int64_t now_ms)
{
	memset(b, 0, sizeof(*b));
	b->minute.at = now_ms / SECOND_MS;
	b->day.at = now_ms / MINUTE_MS;
}

/* Go on to bucket `at`: what leaves the window is forgotten. */
static void advance(struct breaker_window *window, int64_t *buckets, int64_t count, int64_t at)
{
	if (at - window->at >= count) {
		memset(buckets, 0, (size_t)count * sizeof(*buckets));
		window->sum = 0;
		window->at = at;
	}
	while (window->at < at) {
		int64_t *oldest = &buckets[++window->at % count];

		window->sum -= *oldest;
		*oldest = 0;
	}
}

static void advance_both(struct breaker *b, int64_t now_ms)
{
	advance(&b->minute, b->seconds, BREAKER_SECONDS, now_ms / SECOND_MS);
	advance(&b->day, b->minutes, BREAKER_MINUTES, now_ms / MINUTE_MS);
}

void breaker_remember(struct breaker *b, int64_t recipients, int64_t ago_ms, int64_t now_ms)
{
	int64_t ago = ago_ms > 0 ? ago_ms / MINUTE_MS : 0;

	advance_both(b, now_ms);
	if (ago >= BREAKER_MINUTES)
		return;
	/* Monotonic time may have begun later than that. */
	b->minutes[((b->day.at - ago) % BREAKER_MINUTES + BREAKER_MINUTES) % BREAKER_MINUTES] +=
		recipients;
	b->day.sum += recipients;
}

static bool fits(int64_t sum, size_t recipients, size_t limit)
{
	return limit == 0 || sum + (int64_t)recipients <= (int64_t)limit;
}

bool breaker_take(struct breaker *b, const struct breaker_limits *limits, size_t recipients,
		  int64_t now_ms, char *sentence_out, size_t size)
{
	advance_both(b, now_ms);
	if (!fits(b->minute.sum, recipients, limits->per_minute)) {
		snprintf(sentence_out, size,
			 "breaker: %" PRId64
			 " recipients in 60 s, limit %zu (recipients_per_minute)",
			 b->minute.sum + (int64_t)recipients, limits->per_minute);
		return false;
	}
	if (!fits(b->day.sum, recipients, limits->per_day)) {
		snprintf(sentence_out, size,
			 "breaker: %" PRId64 " recipients in 24 h, limit %zu (recipients_per_day)",
			 b->day.sum + (int64_t)recipients, limits->per_day);
		return false;
	}
	b->seconds[b->minute.at % BREAKER_SECONDS] += (int64_t)recipients;
	b->minutes[b->day.at % BREAKER_MINUTES] += (int64_t)recipients;
	b->minute.sum += (int64_t)recipients;
	b->day.sum += (int64_t)recipients;
	return true;
}

void breaker_counts(struct breaker *b, int64_t now_ms, int64_t *minute_out, int64_t *day_out)
{
	advance_both(b, now_ms);
	*minute_out = b->minute.sum;
	*day_out = b->day.sum;
}

size_t breaker_room(const struct breaker_limits *limits, size_t most)
{
	if (limits->per_minute > 0 && limits->per_minute < most)
		most = limits->per_minute;
	if (limits->per_day > 0 && limits->per_day < most)
		most = limits->per_day;
	return most;
}
