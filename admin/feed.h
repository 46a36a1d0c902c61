/* admin/feed.h - requests that wait for news: streams of events, and answers that are put off */
#ifndef STAGEPOST_ADMIN_FEED_H
#define STAGEPOST_ADMIN_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/http.h"
#include "base/buf.h"
#include "base/err.h"
#include "queue/news.h"

/*
 * One thread looks at the store's events as they come and wakes the requests
 * that they are for; requests put aside cost neither a thread nor a look at
 * the database.
 */
struct feed;

enum feed_kind { FEED_STREAM, FEED_POLL };
#define FEED_KINDS (FEED_POLL + 1)

/* What somebody wants to hear of. Texts are borrowed for as long as the waiter is in the feed. */
struct feed_filter {
	unsigned kinds;	       /* 1U << NEWS_X, several */
	const char *scope;     /* of this one only; NULL: any */
	const char *recipient; /* part of a recipient's address, ASCII case folded; NULL: any */
};
bool feed_matches(const struct feed_filter *filter, const struct news *news);

/*
 * One request that may sleep; embedded in what the handler has of it. While it
 * is awake it belongs to the thread that has the request.
 */
struct feed_waiter {
	struct feed_waiter *previous; /* private; so are these */
	struct feed_waiter *following;
	bool asleep;
	bool is_wanted;
	/* Set before feed_enter: */
	enum feed_kind kind;
	struct http_request *request;
	struct feed_filter filter;
	/* Puts the request aside: http_suspend or http_stream_suspend. The feed resumes it. */
	void (*suspend)(struct feed_waiter *waiter);
	/* Set before feed_sleep: */
	uint64_t next;	 /* number of the first event that was not looked at; moves on in sleep */
	int64_t wake_at; /* clock_mono_ms: at the latest */
	int64_t rest_until; /* not before, whatever happens; 0: at once */
};

/* `max`: how many there may be of each kind at a time. The store outlives the feed. */
int feed_start(struct store *store, const size_t max[FEED_KINDS], struct feed **feed_out,
	       struct err *why);
/* Wake everybody; from now on nobody enters or sleeps. Any thread. */
void feed_close(struct feed *feed);
bool feed_is_closed(struct feed *feed);
/* Joins; everybody has left. NULL is fine. */
void feed_free(struct feed **feed);

/* False: there are as many as may be, or it is closed. */
bool feed_enter(struct feed *feed, struct feed_waiter *waiter);
/* Its request is over. */
void feed_leave(struct feed *feed, struct feed_waiter *waiter);
/*
 * Suspend until something that it waits for has happened, from waiter->next
 * on, or its time has come. False: the feed is closed, and it was not suspended.
 */
bool feed_sleep(struct feed *feed, struct feed_waiter *waiter);

/* As text/event-stream: "id: …", "event: …", "data: …" and an empty line. */
void feed_write(struct feed *feed, uint64_t number, const struct news *news, struct buf *out);
/* Events that somebody who listened did not get. */
void feed_write_lost(struct feed *feed, uint64_t next, uint64_t count, struct buf *out);
/* The same after a restart: how many nobody knows. */
void feed_write_restarted(struct feed *feed, uint64_t next, struct buf *out);
/* A stream ended because its peer took nothing for too long. */
void feed_count_stalled(struct feed *feed);

struct bus *feed_bus(struct feed *feed);
/*
 * Where a stream goes on behind `id`, that of an event it has got. ERR_OK;
 * ERR_STALE: it is of another run of the relay, or none of ours; *next_out is
 * then the oldest event that is still here.
 */
int feed_parse_id(struct feed *feed, struct span id, uint64_t *next_out);

struct feed_numbers {
	size_t waiting[FEED_KINDS];
	uint64_t refused[FEED_KINDS]; /* ever, because there were as many as may be */
	uint64_t lost;		      /* events that streams were told they lost */
	uint64_t stalled;
	uint64_t events; /* ever */
};
void feed_numbers(struct feed *feed, struct feed_numbers *numbers_out);

#endif
