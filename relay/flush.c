/* relay/flush.c - what is kept in memory for a while only, written down every few seconds */
#include <config.h>

#include "relay/inside.h"

#include "base/clock.h"
#include "queue/seen.h"

#define HITS_AT_ONCE 512
#define SEEN_ROUNDS  16
#define END_ROUNDS   16

/* Of all three: the store reports its own failures, and the next round tries again. */

static void write_hits(struct daemon *daemon)
{
	struct entry_hits hits[HITS_AT_ONCE];
	struct whitelist_hits job = {.hits = hits};

	do {
		job.count = whitelist_take_hits(daemon->whitelist, hits, HITS_AT_ONCE);
		if (job.count > 0 &&
		    store_wait(daemon->store, queue_whitelist_hits, &job.job, NULL) != ERR_OK)
			return;
	} while (job.count == HITS_AT_ONCE);
}

static void write_seen(struct daemon *daemon)
{
	struct seen_save save = {.now = clock_wall_ms()};

	/* Not for as long as mail comes: this thread takes the signals. */
	for (int round = 0; round < SEEN_ROUNDS; round++)
		if ((!store_has_seen(daemon->store) && !save.more) ||
		    store_wait(daemon->store, queue_seen_save, &save.job, NULL) != ERR_OK)
			return;
}

static void lower_next_expiry(struct daemon *daemon, int64_t at)
{
	int64_t next = atomic_load(&daemon->next_expiry);

	while (at < next && !atomic_compare_exchange_weak(&daemon->next_expiry, &next, at))
		;
}

void daemon_expects_expiry(struct daemon *daemon, const struct entry *entry)
{
	if (entry->expires_at > 0 && entry->expired_at == 0)
		lower_next_expiry(daemon, entry->expires_at);
}

/* Judged it is at every look-up; this is for the next start, should the clock be set back. */
static bool write_some_expired(struct daemon *daemon)
{
	struct whitelist_expire expire = {.now = clock_steady_wall_ms()};
	int64_t next = atomic_load(&daemon->next_expiry);

	if (expire.now < next)
		return false;
	/* What is published from now on lowers it again. */
	atomic_store(&daemon->next_expiry, INT64_MAX);
	if (store_wait(daemon->store, queue_whitelist_expire, &expire.job, NULL) != ERR_OK)
		lower_next_expiry(daemon, next);
	else if (expire.next_at != 0)
		lower_next_expiry(daemon, expire.next_at);
	return expire.expired > 0;
}

static void write_expired(struct daemon *daemon)
{
	int rounds = 0;

	while (rounds < END_ROUNDS && write_some_expired(daemon))
		rounds++;
}

void daemon_write_down(struct daemon *daemon)
{
	write_hits(daemon);
	write_seen(daemon);
	write_expired(daemon);
}
