/* queue/writer.h - the inside of the store: its one writer thread and what runs in it; private to
 * queue/ */
#ifndef STAGEPOST_QUEUE_WRITER_H
#define STAGEPOST_QUEUE_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/mem.h"
#include "queue/counters.h"
#include "queue/db.h"
#include "queue/measuring.h"
#include "queue/store.h"

/*
 * Numbers inside the database (schema/0001_initial.sql): chunks and
 * recipients carry the number of their message in the upper bits.
 */
#define MESSAGE_SHIFT	   16
#define MESSAGE_PARTS_MAX  ((int64_t)1 << MESSAGE_SHIFT)
#define MESSAGE_NUMBER_MAX ((int64_t)1 << 47)

static inline int64_t part_id(int64_t message, int64_t sequence)
{
	return message * MESSAGE_PARTS_MAX + sequence;
}
static inline int64_t message_of(int64_t part)
{
	return part >> MESSAGE_SHIFT;
}

/* What a job does. One constant a verb, beside its code. */
struct store_verb {
	const char *name;
	/*
	 * In the writer thread, inside a transaction. After a rollback it runs
	 * again, so it sets its outputs from scratch. It may refuse (ERR_NOT_FOUND,
	 * ERR_CONFLICT, …) before it has changed a row without disturbing the
	 * others of its batch; a refusal later rolls everything back and the batch
	 * is replayed one by one.
	 */
	int (*run)(struct store *store, struct store_job *job);
	/* Body bytes that wait with this job; NULL: none. Asked on submission and again at the end.
	 */
	int64_t (*weight)(const struct store_job *job);
	/*
	 * Once job->code is final, before `done` and before any later job runs
	 * that was not in the same commit. NULL: nothing to do. With ERR_CLOSED
	 * it is called outside the writer thread.
	 */
	void (*finish)(struct store *store, struct store_job *job);
	/* It is a piece of a large message, or stands behind one (queue/line.h). NULL: no. */
	bool (*is_bulk)(const struct store_job *job);
	/*
	 * A power cut may undo it without breaking a promise (who works on what:
	 * the next start gives it all back). A commit of nothing else is not
	 * synced by itself; the next synced one carries it along.
	 */
	bool may_be_undone;
};

static inline int64_t store_job_weight(const struct store_job *job)
{
	return job->verb->weight != NULL ? job->verb->weight(job) : 0;
}

struct pauses;
struct doomed;
struct finished;
struct sweep;
struct copying;
struct indexer;
struct lanes;
struct seen_set;
struct telling;
struct calls;

#define STORE_PAGE_BYTES 4096
#define UPKEEP_CHORES	 7 /* queue/upkeep.c */
#define ROOM_FILES	 2 /* the database and its log */

/* struct store_space and how much more mail there is room for, one by one. */
struct space_seen {
	_Atomic int64_t database_bytes, unused_bytes, log_bytes, disk_free_bytes;
	_Atomic int64_t max_bytes, max_messages;
	_Atomic int64_t room_bytes; /* below 0: none; INT64_MAX: not known */
	_Atomic int full;	    /* enum space_limit */
	_Atomic int64_t log_waiting_bytes;
};

struct store {
	struct store_options options;
	char *data_dir;
	int lock_fd;
	struct channel *channel;
	pthread_t thread;
	_Atomic int64_t next_message;	  /* number of the next body */
	_Atomic int64_t queued_bytes;	  /* of bodies waiting in jobs */
	_Atomic int64_t working_since_us; /* when the oldest job under way came in; 0: idle */
	_Atomic bool failed;
	_Atomic bool has_seen; /* queue/seen.h */
	struct counters counters;
	struct pauses *pauses;
	struct sweep *sweep;	    /* queue/sweep.h */
	struct copying *copying;    /* queue/copying.h */
	struct indexer *indexer;    /* queue/indexer.h */
	struct space_seen space;    /* queue/room.c; for everybody to read */
	struct measuring measuring; /* for everybody to read, but for what is pending */
	struct calls *calls;	    /* queue/calls.h; its numbers are for all */

	/* The writer's own from here on. */
	struct db db;
	int64_t next_lease;
	struct telling *telling;   /* queue/tell.h; its bus is for all */
	struct lanes *lanes;	   /* queue/lane.h */
	bool due;		   /* this transaction made something claimable */
	bool ask;		   /* … or something to ask the hook about */
	bool untold_ask;	   /* an earlier one did, and on_ask was not called yet */
	bool unsynced;		   /* SQLite was told synchronous=NORMAL, else FULL */
	struct arena *scratch;	   /* strings shown to on_whitelist and done, for one batch */
	struct doomed *doomed;	   /* messages whose chunks are to be removed in time */
	struct finished *finished; /* queue/finished.h */
	bool nothing_finished;	   /* no message was found that retention could remove */
	int64_t rest_until_us[UPKEEP_CHORES]; /* monotonic: each chore's next turn under load */
	int64_t used_bytes;		      /* of the database, when room_look looked last */
	int64_t room_look_ms;		      /* monotonic: when it looks again */
	int64_t handin_look_ms;		      /* monotonic: when handin_forget is due */
	bool has_intake;	 /* lines of the list that are on their way (queue/intake.h) */
	int wal_pages;		 /* in the log after the last commit */
	int copied_pages;	 /* of them in the database already */
	bool log_is_copied;	 /* all of them: the next commit may begin the log anew */
	int64_t changes_before;	 /* rows changed by this connection before the transaction */
	int64_t database;	 /* queue/proof.h */
	int checkpoint_at;	 /* pages */
	int64_t bulk_bytes;	 /* written since the last checkpoint */
	int64_t plenty_until_ms; /* queue/room.c */
	char *paths[ROOM_FILES];
	uint64_t inodes[ROOM_FILES];

	/* queue/seen.h: what was noted; below which time it is forgotten, and when to look again */
	struct seen_set *seen;
	int64_t seen_limit;
	int64_t seen_limit_until;
};

/* Hand a job to the writer. */
void writer_submit(struct store *store, struct store_job *job, const struct store_verb *verb);

/* Start and stop of the thread (store_open, store_close). */
int writer_start(struct store *store, struct err *why);
void writer_stop(struct store *store);

/* In the writer: a transaction of its own around `run` (upkeep). */
int writer_transaction(struct store *store, int (*run)(struct store *store, struct err *why),
		       struct err *why);
/* The same for what a power cut may undo (store_verb.may_be_undone). */
int writer_transaction_unsynced(struct store *store,
				int (*run)(struct store *store, struct err *why), struct err *why);
/* The database can't be trusted any more. From the writer, or a reader's thread. */
void writer_fail(struct store *store, const struct err *why);

#endif
