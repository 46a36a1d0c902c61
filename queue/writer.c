/* queue/writer.c - the one thread that writes: jobs become commits, many at a time (DESIGN 4.2) */
#include "queue/writer.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"
#include "queue/calls.h"
#include "queue/finished.h"
#include "queue/line.h"
#include "queue/proof.h"
#include "queue/room.h"
#include "queue/tell.h"
#include "queue/upkeep.h"

#define IDLE_AFTER_MS	     100
#define LOOK_EVERY_MS	     2000
#define BEHIND_AFTER_US	     1000000
#define BATCH_JOBS_DEFAULT   256
#define BATCH_BYTES_DEFAULT  ((int64_t)4 << 20)
#define QUEUED_BYTES_DEFAULT ((int64_t)64 << 20)

/* The code is what it will be. After `done` the request is its submitter's again. */
static void conclude(struct store *store, struct store_job *job)
{
	atomic_fetch_sub(&store->queued_bytes, store_job_weight(job));
	if (job->verb->finish != NULL)
		job->verb->finish(store, job);
}

void writer_submit(struct store *store, struct store_job *job, const struct store_verb *verb)
{
	job->verb = verb;
	job->code = ERR_OK;
	job->why.text[0] = '\0';
	job->submitted_us = clock_mono_us();
	atomic_fetch_add(&store->queued_bytes, store_job_weight(job));
	if (!channel_send(store->channel, &job->item)) {
		job->code = err_set(&job->why, ERR_CLOSED, "the store is closing");
		conclude(store, job);
		job->done(job);
	}
}

void writer_fail(struct store *store, const struct err *why)
{
	if (atomic_exchange(&store->failed, true))
		return;
	if (store->options.on_fatal != NULL)
		store->options.on_fatal(store->options.ctx, why->text);
}

/* --- transactions ----------------------------------------------------------- */

static const char sql_begin[] = "BEGIN IMMEDIATE";
static const char sql_commit[] = "COMMIT";
static const char sql_rollback[] = "ROLLBACK";

static int run_statement(struct store *store, const char *sql, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql, why);

	return code == ERR_OK ? query_run(&query, why) : code;
}

/*
 * In WAL mode a commit under NORMAL is a commit, only a power cut may undo it;
 * the sync of a later one under FULL covers all of the log before it.
 */
static int choose_sync(struct store *store, bool synced, struct err *why)
{
	int code = ERR_OK;

	if (synced != store->unsynced)
		return ERR_OK;
	/* Not prepared once: SQLite obeys this one while it compiles it. */
	code = db_exec(&store->db, synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
		       why);
	if (code == ERR_OK)
		store->unsynced = !synced;
	return code;
}

static int begin(struct store *store, bool synced, struct err *why)
{
	int code = room_check_files(store, why);

	finished_forget(store);
	store->due = false;
	store->ask = false;
	tell_forget(store);
	measuring_rollback(&store->measuring);
	calls_forget(store);
	store->changes_before = sqlite3_total_changes64(store->db.handle);
	if (code == ERR_OK)
		code = choose_sync(store, synced, why);
	return code == ERR_OK ? run_statement(store, sql_begin, why) : code;
}

/* SQLite may have rolled back by itself (disk full, input and output errors). */
static void rollback(struct store *store)
{
	struct err ignored;

	counters_rollback(&store->counters);
	measuring_rollback(&store->measuring);
	finished_forget(store);
	store->due = false;
	store->ask = false;
	tell_forget(store);
	calls_forget(store);
	if (sqlite3_get_autocommit(store->db.handle) == 0 &&
	    run_statement(store, sql_rollback, &ignored) != ERR_OK)
		writer_fail(store, &ignored);
}

/* Where something waits for the disk: else it says nothing of that. */
static int run_commit(struct store *store, struct err *why)
{
	bool waits = !store->unsynced &&
		     sqlite3_total_changes64(store->db.handle) != store->changes_before;
	int64_t began_us = clock_mono_us();
	int code = run_statement(store, sql_commit, why);

	if (waits && code == ERR_OK)
		histogram_add(&store->measuring.commit, &histogram_prompt,
			      clock_mono_us() - began_us);
	return code;
}

static int commit(struct store *store, struct err *why)
{
	bool begins_log = store->log_is_copied &&
			  sqlite3_total_changes64(store->db.handle) != store->changes_before;
	struct oldest oldest;
	int code = finished_look(store, why);

	if (code == ERR_OK)
		code = counters_oldest(&store->counters, &store->db, &oldest, why);
	if (code == ERR_OK && begins_log)
		code = identity_begin_log(&store->db, why);
	if (code == ERR_OK)
		code = counters_save(&store->counters, &store->db, why);
	if (code == ERR_OK)
		code = calls_check(store, why);
	if (code == ERR_OK)
		code = run_commit(store, why);
	if (code != ERR_OK) {
		rollback(store);
		return code;
	}
	if (begins_log)
		store->log_is_copied = false;
	counters_commit(&store->counters, &oldest);
	measuring_commit(&store->measuring);
	store->untold_ask |= store->ask;
	/* What was written into a file that nobody finds again is not acknowledged (S257). */
	code = room_check_files(store, why);
	if (code != ERR_OK)
		return code;
	tell_committed(store);
	calls_committed(store);
	return ERR_OK;
}

static int transact(struct store *store, bool synced,
		    int (*run)(struct store *store, struct err *why), struct err *why)
{
	int code = begin(store, synced, why);

	if (code != ERR_OK)
		return code;
	code = run(store, why);
	if (code != ERR_OK) {
		rollback(store);
		return code;
	}
	return commit(store, why);
}

int writer_transaction(struct store *store, int (*run)(struct store *store, struct err *why),
		       struct err *why)
{
	return transact(store, true, run, why);
}

int writer_transaction_unsynced(struct store *store,
				int (*run)(struct store *store, struct err *why), struct err *why)
{
	return transact(store, false, run, why);
}

/* --- batches ------------------------------------------------------------------ */

static int run_job(struct store *store, struct store_job *job)
{
	job->why.text[0] = '\0';
	job->code = job->verb->run(store, job);
	return job->code;
}

/* It said no before it touched anything: the transaction is as good as before. */
static bool is_clean_refusal(struct store *store, int code, int64_t changes_before)
{
	switch (code) {
	case ERR_FATAL:
	case ERR_FULL:
	case ERR_BUSY:
	case ERR_IO: return false;
	default:
		return sqlite3_get_autocommit(store->db.handle) == 0 &&
		       sqlite3_total_changes64(store->db.handle) == changes_before;
	}
}

/*
 * What a database that failed (input and output errors, corruption) holds
 * after that nobody knows: trying again must not hide it.
 */
static bool not_together(struct store *store, int code, const struct err *why)
{
	if (code == ERR_FATAL)
		writer_fail(store, why);
	return false;
}

static bool may_be_undone(const struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		if (!batch->jobs[i]->verb->may_be_undone)
			return false;
	return true;
}

/* All in one transaction. False: rolled back, codes mean nothing yet. */
static bool run_together(struct store *store, struct batch *batch)
{
	struct err why;
	int code = begin(store, !may_be_undone(batch), &why);

	if (code != ERR_OK)
		return not_together(store, code, &why);
	for (size_t i = 0; i < batch->count; i++) {
		struct store_job *job = batch->jobs[i];
		int64_t before = sqlite3_total_changes64(store->db.handle);

		code = run_job(store, job);
		if (code != ERR_OK && !is_clean_refusal(store, code, before)) {
			rollback(store);
			return not_together(store, code, &job->why);
		}
	}
	code = commit(store, &why);
	if (code != ERR_OK)
		return not_together(store, code, &why);
	for (size_t i = 0; i < batch->count; i++)
		conclude(store, batch->jobs[i]);
	return true;
}

/* A transaction for itself: only what is wrong with this one is held against it. */
static bool run_alone(struct store *store, struct store_job *job)
{
	int code = run_job(store, job);

	if (code == ERR_OK)
		code = commit(store, &job->why);
	else
		rollback(store);
	job->code = code;
	return code == ERR_OK && store->due;
}

/*
 * Without a transaction (somebody holds the lock for too long, the file
 * is broken) nobody needs to wait for the same answer again.
 */
static bool run_one_by_one(struct store *store, struct batch *batch)
{
	struct err why = {"the database has failed"};
	int unable = atomic_load(&store->failed) ? ERR_FATAL : ERR_OK;
	bool due = false;

	for (size_t i = 0; i < batch->count; i++) {
		struct store_job *job = batch->jobs[i];

		if (unable == ERR_OK)
			unable = begin(store, true, &why);
		if (unable != ERR_OK) {
			job->code = unable;
			job->why = why;
		} else {
			due |= run_alone(store, job);
		}
		if (job->code == ERR_FATAL) {
			unable = ERR_FATAL;
			why = job->why;
		}
		conclude(store, job);
	}
	if (unable == ERR_FATAL)
		writer_fail(store, &why);
	return due;
}

static void run_batch(struct store *store, struct batch *batch)
{
	bool due;

	atomic_store(&store->working_since_us, batch->submitted_us);
	atomic_fetch_add_explicit(&store->measuring.jobs, batch->count, memory_order_relaxed);
	if (!atomic_load(&store->failed) && run_together(store, batch))
		due = store->due;
	else
		due = run_one_by_one(store, batch);
	for (size_t i = 0; i < batch->count; i++)
		batch->jobs[i]->done(batch->jobs[i]);
	atomic_store(&store->working_since_us, 0);
	arena_free(&store->scratch);
	store->scratch = arena_new();
	if (due && store->options.on_due != NULL)
		store->options.on_due(store->options.ctx);
	if (store->untold_ask && store->options.on_ask != NULL)
		store->options.on_ask(store->options.ctx);
	store->untold_ask = false;
}

static void work_off(struct store *store, struct line *line, struct batch *batch)
{
	while (!line_is_empty(line)) {
		line_take(line, store->options.batch_jobs, (int64_t)store->options.batch_bytes,
			  batch);
		run_batch(store, batch);
		store->bulk_bytes += batch->bulk_bytes;
		if (channel_wait(store->channel, 0))
			line_put(line, channel_take_all(store->channel));
		if (!atomic_load(&store->failed))
			upkeep_after_batch(store, line_has_small(line));
	}
}

/*
 * After a sleep of `slept_ms`; returns how long to sleep next. A writer without
 * work still looks whether its files are there: else a removed database is
 * noticed with the next mail only, hours later perhaps.
 */
static int spend_idle_time(struct store *store, int slept_ms)
{
	struct err why;

	if (atomic_load(&store->failed))
		return -1;
	if (room_check_files(store, &why) != ERR_OK) {
		writer_fail(store, &why);
		return -1;
	}
	room_look_now(store);
	if (slept_ms == LOOK_EVERY_MS && !upkeep_is_due(store))
		return LOOK_EVERY_MS;
	return upkeep_when_idle(store) ? 0 : LOOK_EVERY_MS;
}

static void *write_all(void *arg)
{
	struct store *store = arg;
	struct batch *batch = mem_alloc(sizeof(*batch));
	struct line line = {0};
	int timeout_ms = IDLE_AFTER_MS;

	for (;;) {
		if (channel_wait(store->channel, timeout_ms)) {
			line_put(&line, channel_take_all(store->channel));
			work_off(store, &line, batch);
			timeout_ms = IDLE_AFTER_MS;
		} else if (channel_is_closed(store->channel)) {
			break;
		} else {
			timeout_ms = spend_idle_time(store, timeout_ms);
		}
	}
	mem_free(batch);
	return NULL;
}

/* --- the store's side ------------------------------------------------------------ */

int writer_start(struct store *store, struct err *why)
{
	struct store_options *options = &store->options;

	if (options->batch_jobs == 0)
		options->batch_jobs = BATCH_JOBS_DEFAULT;
	if (options->batch_jobs > LINE_JOBS_MAX)
		options->batch_jobs = LINE_JOBS_MAX;
	if (options->batch_bytes == 0)
		options->batch_bytes = (size_t)BATCH_BYTES_DEFAULT;
	if (options->max_queued_bytes == 0)
		options->max_queued_bytes = QUEUED_BYTES_DEFAULT;
	store->scratch = arena_new();
	upkeep_watch_log(store);
	return thread_start("writer", write_all, store, &store->thread, why);
}

void writer_stop(struct store *store)
{
	channel_close(store->channel);
	pthread_join(store->thread, NULL);
	arena_free(&store->scratch);
}

bool store_is_failed(const struct store *store)
{
	return atomic_load(&store->failed);
}

bool store_is_behind(const struct store *store)
{
	int64_t since = atomic_load(&store->working_since_us);

	return atomic_load(&store->queued_bytes) > store->options.max_queued_bytes ||
	       (since != 0 && clock_mono_us() - since > BEHIND_AFTER_US);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
};

static void on_done(struct store_job *job)
{
	struct waiter *waiter = job->ctx;

	pthread_mutex_lock(&waiter->lock);
	waiter->done = true;
	pthread_cond_signal(&waiter->wake);
	pthread_mutex_unlock(&waiter->lock);
}

int store_wait(struct store *store, void (*submit)(struct store *, struct store_job *),
	       struct store_job *job, struct err *why)
{
	struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER,
				.wake = PTHREAD_COND_INITIALIZER};

	job->done = on_done;
	job->ctx = &waiter;
	submit(store, job);
	pthread_mutex_lock(&waiter.lock);
	while (!waiter.done)
		pthread_cond_wait(&waiter.wake, &waiter.lock);
	pthread_mutex_unlock(&waiter.lock);
	if (job->code != ERR_OK && why != NULL)
		*why = job->why;
	return job->code;
}
