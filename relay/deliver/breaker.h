/* relay/deliver/breaker.h - how many recipients were offered to next hops lately (policy.breaker);
 * pure */
#ifndef STAGEPOST_RELAY_DELIVER_BREAKER_H
#define STAGEPOST_RELAY_DELIVER_BREAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0: no limit. */
struct breaker_limits {
	size_t per_minute;
	size_t per_day;
};

/*
 * Counts in buckets, the one under way and all those that the window reaches
 * into: so it is never less than what was offered in the last 60 seconds or 24 hours, and more
 * by one bucket at most.
 */
#define BREAKER_SECONDS 61
#define BREAKER_MINUTES (24 * 60 + 1)
struct breaker_window {
	int64_t at; /* the number of the newest bucket */
	int64_t sum;
};
struct breaker {
	struct breaker_window minute, day;
	int64_t seconds[BREAKER_SECONDS];
	int64_t minutes[BREAKER_MINUTES];
};

/* Times are monotonic milliseconds and never run backwards. */
void breaker_init(struct breaker *breaker, int64_t now_ms);
/* What was offered `ago_ms` ago, before a restart. Only the day remembers it. */
void breaker_remember(struct breaker *breaker, int64_t recipients, int64_t ago_ms, int64_t now_ms);
/*
 * May `recipients` more be offered now? Then they are counted. Else nothing
 * changes, and the sentence says which limit they would pass.
 */
bool breaker_take(struct breaker *breaker, const struct breaker_limits *limits, size_t recipients,
		  int64_t now_ms, char *sentence_out, size_t size);
/* In the windows now. */
void breaker_counts(struct breaker *breaker, int64_t now_ms, int64_t *minute_out, int64_t *day_out);
/* So many recipients can be offered at once without passing a limit that was not touched yet. */
size_t breaker_room(const struct breaker_limits *limits, size_t most);

#endif
