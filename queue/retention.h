/* queue/retention.h - what goes by itself: content and messages that are old, or too many */
#ifndef STAGEPOST_QUEUE_RETENTION_H
#define STAGEPOST_QUEUE_RETENTION_H

#include <stddef.h>
#include <stdint.h>

#include "queue/store.h"

/*
 * `retention:` of the configuration. Only messages of which no recipient waits
 * for anything (for its time, the policy hook, a worker or a person) go by
 * themselves. Ages count from the end of the last recipient; 0: never.
 */
struct retention_options {
	/*
	 * How long the content is kept. Where recipients ended differently, the
	 * longest of their ages counts.
	 */
	int64_t delivered_ms; /* or redirected */
	int64_t dropped_ms;   /* or cancelled */
	int64_t failed_ms;    /* or expired */
	int64_t metadata_ms;  /* all that is known of the message */
	/*
	 * Caps; 0: none. Above one of them the messages that ended first go, whole.
	 * When there is none left, new mail is refused (ERR_FULL).
	 */
	int64_t max_bytes; /* of the database, with everything in it */
	size_t max_messages;
	/* So far below max_bytes they begin to go: room for mail that comes meanwhile. */
	int64_t headroom_bytes;
};

/* From now on these; the first ones are store_options.retention. */
struct retention_set {
	struct store_job job; /* first */
	struct retention_options options;
};
void queue_retention_set(struct store *store, struct store_job *job);

struct retention_numbers {
	int64_t contents; /* of messages of which everything else was kept */
	int64_t messages; /* whole */
	int64_t bytes;	  /* octets of content of both */
};

/* Any thread. */
struct retention_status {
	struct retention_options options; /* in force */
	struct retention_numbers removed; /* since the start */
	int64_t removed_at;		  /* when something went last; 0: not since the start */
	int64_t waits_ms; /* the clock was set on: so long nothing goes for its age; 0: it does not
			   */
};
void store_retention(struct store *store, struct retention_status *status_out);

#endif
