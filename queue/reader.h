/* queue/reader.h - reading the queue: list, show, bytes, numbers; never in the writer's way */
#ifndef STAGEPOST_QUEUE_READER_H
#define STAGEPOST_QUEUE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/ulid.h"
#include "queue/message.h"
#include "queue/state.h"
#include "queue/store.h"

/*
 * A read-only connection. One thread at a time; make one for each thread
 * that reads. Every call is one short read transaction.
 */
struct store_reader;

/* Beside the running store. */
int store_reader_open(struct store *store, struct store_reader **reader_out, struct err *why);
/* Without a daemon (the tool): read-only, from the directory. */
int store_reader_open_offline(const char *data_dir, struct store_reader **reader_out,
			      struct err *why);
void store_reader_close(struct store_reader **reader);

/* One line of a recipient's story. */
struct history_item {
	int64_t at;
	const char *event; /* "accepted", "attempt", "delivered", "deferred", "held", ... */
	const char *state; /* the state it led to */
	const char *reason;
	const char *kind;  /* of trouble, for programs: "refused", "timeout", …; NULL: none */
	const char *actor; /* NULL: the relay itself */
	const char *route;
	const char *remote;
	const char *tls; /* of the attempt, in words; NULL: none was asked for */
	int reply_code;
	const char *reply_enhanced;
	const char *reply_text;
	int64_t entry;
	int64_t revision;
};

struct recipient_view {
	int64_t id;
	struct ulid message;
	const char *address;
	enum state state;
	enum wish wish;
	struct ruling ruling;
	const char *reason; /* why it is in this state */
	const char *kind;   /* of trouble in the last attempt; NULL: none */
	const char *route;
	int attempts;
	/* Or when the policy hook is asked; 0: none, or not before its route is resumed. */
	int64_t next_attempt_at;
	int reply_code;
	const char *reply_enhanced;
	const char *reply_text;
	const char *notify;
	const char *orcpt;
	const char *origin;
	int64_t updated_at;
	const struct history_item *history; /* only from queue_message_show */
	size_t history_count;
};

struct message_view {
	struct new_message m;			 /* m.recipients is NULL; see below */
	const struct recipient_view *recipients; /* NULL in lists unless asked for */
	size_t recipient_count;
	int64_t by_state[STATE_COUNT];
};

/* ERR_NOT_FOUND. Everything lives in `arena`. */
int queue_message_show(struct store_reader *reader, const struct ulid *id, struct arena *arena,
		       struct message_view *view_out, struct err *why);
/* The same without recipients, and without what became of them. */
int queue_message_read(struct store_reader *reader, const struct ulid *id, struct arena *arena,
		       struct new_message *message_out, struct err *why);

/*
 * Who of a message has it or is on the way to it (queued, deferred,
 * delivering, delivered). Also ERR_OK when there is no such message: nobody.
 */
struct addressee {
	const char *address;
	bool released; /* a person let it go */
};
int queue_message_addressees(struct store_reader *reader, const struct ulid *id,
			     struct arena *arena, const struct addressee **rows_out,
			     size_t *count_out, struct err *why);

/*
 * Newest first, keyset: give the page's `next` as `before` for the next one.
 * Limits: 0 means 100, at most 10,000. Letters of texts are folded as ASCII, and no character of
 * them stands for others. What has been looked at by queue/indexer.h is found without looking at
 * all of it; what came since is looked at one by one.
 */
struct message_query {
	enum state state;    /* some recipient is in it; 0: any */
	const char *to;	     /* part of that recipient's address; NULL: any */
	const char *from;    /* part of the sender */
	const char *subject; /* words with blanks between: each is a part of the subject */
	const char *q;	     /* … of the subject, the sender, a recipient or the Message-ID */
	const char *scope;   /* exactly this one; NULL: any */
	int64_t since;	     /* received_at >= ; 0: any */
	int64_t until;	     /* received_at < ; 0: any */
	int64_t before;	     /* 0: from the newest */
	size_t limit;
	/*
	 * Then the page ends where it is, also with nothing on it, and has a next
	 * one. 0: as long as it takes.
	 */
	int64_t time_ms;
	bool with_recipients;
};
/* More words than this in one of these filters may be taken together: refuse them. */
#define QUERY_WORDS_MAX 12
size_t query_words(const char *text);

struct message_page {
	struct message_view *views; /* in the arena */
	size_t count;
	bool more;    /* there is a next page */
	bool is_late; /* … or there may be one: time was up */
	int64_t next;
};
int queue_message_list(struct store_reader *reader, const struct message_query *query,
		       struct arena *arena, struct message_page *page_out, struct err *why);

/* The same filters, one row a recipient (the tool's `queue list`); pages by recipient id downwards.
 */
struct recipient_query {
	struct message_query message; /* before/limit of it are not used */
	unsigned states;	      /* in one of these: 1U << STATE_X, several; 0: any */
	const char *reason;	      /* part of why it is in its state; NULL: any */
	int64_t before_id;	      /* 0: from the newest */
	size_t limit;
};
struct recipient_row {
	struct recipient_view recipient;
	const char *sender;
	const char *scope; /* of its message */
	int64_t size;
	int64_t received_at;
};
struct recipient_page {
	struct recipient_row *rows; /* in the arena */
	size_t count;
	bool more; /* as above */
	bool is_late;
	int64_t next; /* for before_id */
};
int queue_recipient_list(struct store_reader *reader, const struct recipient_query *query,
			 struct arena *arena, struct recipient_page *page_out, struct err *why);
/* The same page as numbers, into room for query->limit (at least 1) of them; all its time. */
int queue_recipient_ids(struct store_reader *reader, const struct recipient_query *query,
			int64_t *ids_out, size_t *count_out, struct err *why);
/* How many there are; before_id and limit are not looked at. Takes as long as it takes. */
int queue_recipient_count(struct store_reader *reader, const struct recipient_query *query,
			  int64_t *count_out, struct err *why);

/*
 * At most so many messages, the newest, are looked at one by one when texts are
 * looked for: the index has the others. Some 2,500 when it has all it can have. Any thread.
 */
int64_t store_unindexed(struct store *store);

/* How many with a worker now were let through by that entry of the list, when they were judged. */
int queue_in_flight(struct store_reader *reader, int64_t entry, int64_t *count_out,
		    struct err *why);

/* Chunk `sequence` (0, 1, …) of the stored bytes, in one short read. Past the end: ERR_OK and
 * nothing added. ERR_NOT_FOUND also when retention took the content away. */
int queue_body_read(struct store_reader *reader, const struct ulid *id, int64_t sequence,
		    struct buf *out, struct err *why);

struct queue_stats {
	int64_t messages;
	int64_t by_state[STATE_COUNT]; /* recipients */
	int64_t oldest_due_at; /* received_at of the oldest still to be delivered; 0: none */
	int64_t bytes;	       /* stored bytes of all messages that have theirs */
};
/* From the counters in memory: any thread, no SQL. */
void store_stats(struct store *store, struct queue_stats *stats_out);
/* Without a daemon: as it wrote them down. */
int queue_stats_offline(struct store_reader *reader, struct queue_stats *stats_out,
			struct err *why);

#endif
