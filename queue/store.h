/* queue/store.h - the durable queue: open, close, and how work reaches its one writer */
#ifndef STAGEPOST_QUEUE_STORE_H
#define STAGEPOST_QUEUE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/err.h"
#include "base/ulid.h"

/*
 * One store a daemon. It owns the only read-write SQLite connection, used by
 * one writer thread that groups jobs into commits and does every checkpoint
 * (DESIGN 4.2). Reading goes through queue/reader.h on read-only connections.
 */
struct store;
struct whitelist_change;  /* queue/whitelist.h */
struct fault;		  /* queue/fault.h */
struct rule;		  /* queue/rule.h */
struct retention_options; /* queue/retention.h */
struct retention_numbers;
struct webhook_targets; /* queue/webhook.h */

struct store_options {
	const char *data_dir;	  /* holds stagepost.db and lock; made 0700 when missing */
	size_t batch_jobs;	  /* 0: 256 */
	size_t batch_bytes;	  /* 0: 4 MiB */
	int64_t max_queued_bytes; /* bytes of bodies waiting for the writer; 0: 64 MiB */
	int64_t max_file_bytes;	  /* the database never grows past it (ERR_FULL); 0: no ceiling */
	const struct retention_options *retention; /* NULL: nothing goes by itself; copied */
	const struct webhook_targets *webhooks;	   /* NULL: nobody is told; copied */
	/* Called in the writer thread. Each may be NULL. They must not block. */
	/* Once; the daemon must stop. Also in the thread of a reader that met it. */
	void (*on_fatal)(void *ctx, const char *why);
	void (*on_due)(void *ctx);     /* something became claimable, now or later */
	void (*on_ask)(void *ctx);     /* the policy hook is to be asked about something */
	void (*on_webhook)(void *ctx); /* a webhook has something to be told */
	/* After the commit of a change and before its job's `done`: publish the new list. */
	void (*on_whitelist)(void *ctx, const struct whitelist_change *changes, size_t count,
			     int64_t revision);
	/* The same for one that was prepared (struct whitelist_intake), which is taken. */
	void (*on_intake)(void *ctx, void *prepared, const struct whitelist_change *changes,
			  size_t count, int64_t revision);
	/* The same for the fault rules: all of them, in order. */
	void (*on_faults)(void *ctx, const struct fault *faults, size_t count);
	void (*on_rules)(void *ctx, const struct rule *rules, size_t count);
	/* What retention has removed since it told last: at the end of a sweep, at most once an
	 * hour. */
	void (*on_swept)(void *ctx, const struct retention_numbers *numbers);
	void *ctx;
};

/*
 * Open or create, take the lock file, migrate, sweep staging rows, give back
 * all leases, rebuild the counters, start the writer.
 * ERR_BUSY: another daemon holds data_dir (the sentence names its pid);
 * ERR_DENIED: no permission; ERR_UNSUPPORTED: the schema is newer than this
 * program; ERR_IO / ERR_FATAL otherwise.
 */
int store_open(const struct store_options *options, struct store **store_out, struct err *why);
/* Finishes every job that was submitted, checkpoints, joins the writer. */
void store_close(struct store **store);

/*
 * A job for the writer. Embed it as the first member of a request. The
 * request belongs to the store from submission until `done` is called,
 * exactly once, in the writer thread, after the durable commit (code ERR_OK)
 * or after nothing was changed (any other code, with a sentence). Only a job
 * that comes after store_close began is answered at once, in its submitter's
 * thread, with ERR_CLOSED. ERR_BUSY: somebody else's tool held the database
 * for too long; ERR_FULL: no room; ERR_FATAL: see on_fatal.
 */
struct store_job {
	struct channel_item item;
	void (*done)(struct store_job *job);
	void *ctx; /* the submitter's; the store does not look at it */
	int code;
	struct err why;
	const struct store_verb *verb; /* private */
	int64_t submitted_us;	       /* private */
};

/* Submit and wait for `done`; job->done and job->ctx are overwritten. Not from the writer thread.
 */
int store_wait(struct store *store, void (*submit)(struct store *, struct store_job *),
	       struct store_job *job, struct err *why);

/* True once on_fatal was called: nothing can be written any more. */
bool store_is_failed(const struct store *store);
/* The writer is behind: sessions should stop reading DATA until it has caught up. Any thread. */
bool store_is_behind(const struct store *store);

#endif
