/* queue/sweep.c - retention: what is old, or too much, goes in steps between the writer's work */
#include "queue/sweep.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "queue/audit.h"
#include "queue/finished.h"
#include "queue/remove.h"
#include "queue/room.h"
#include "queue/trust.h"
#include "queue/upkeep.h"

/* A step ends with the first of these. */
#define STEP_MESSAGES 64
#define STEP_BYTES    ((int64_t)1 << 20)
#define STEP_US	      3000

#define AGAIN_AFTER_MS 5000		  /* a step failed: disk full, somebody's lock */
#define TELL_EVERY_MS  ((int64_t)3600000) /* a line of the trail */

struct sweep {
	pthread_mutex_t lock;
	struct retention_status status; /* under the lock */

	/* The writer's own. */
	struct retention_options options;
	int64_t look_at_ms;    /* wall: nothing is old enough before */
	int64_t rest_until_ms; /* monotonic */
	struct trust trust;
	int64_t note_from_ms;	       /* monotonic: when the clock is to be written down again */
	struct retention_numbers step; /* of the transaction under way */
	struct retention_numbers untold;
	int64_t tell_from_ms; /* monotonic */
	bool told;	      /* by the transaction under way */
	int64_t began_us;     /* the step */
	bool full;	      /* the step has done enough */
	bool more;	      /* … and there is more to do */
};

struct sweep *sweep_new(const struct retention_options *options)
{
	struct sweep *sweep = mem_zalloc(sizeof(*sweep));

	pthread_mutex_init(&sweep->lock, NULL);
	if (options != NULL)
		sweep->options = *options;
	sweep->status.options = sweep->options;
	sweep->trust.mend_times = true;
	return sweep;
}

void sweep_free(struct sweep **sweep)
{
	if (*sweep == NULL)
		return;
	pthread_mutex_destroy(&(*sweep)->lock);
	mem_free(*sweep);
	*sweep = NULL;
}

int64_t sweep_max_bytes(const struct store *store)
{
	return store->sweep->options.max_bytes;
}

int64_t sweep_max_messages(const struct store *store)
{
	return (int64_t)store->sweep->options.max_messages;
}

static bool has_ages(const struct retention_options *options)
{
	return options->delivered_ms > 0 || options->dropped_ms > 0 || options->failed_ms > 0 ||
	       options->metadata_ms > 0;
}

int sweep_restore(struct store *store, struct err *why)
{
	return trust_restore(&store->sweep->trust, store, why);
}

/* --- is there anything to do? ---------------------------------------------------------- */

static bool has_too_many(const struct store *store)
{
	int64_t max = sweep_max_messages(store);

	return max > 0 && store->counters.sums.messages > max;
}

static bool has_too_much(const struct store *store)
{
	const struct retention_options *options = &store->sweep->options;

	return options->max_bytes > 0 &&
	       store->used_bytes > options->max_bytes - options->headroom_bytes;
}

bool sweep_is_urgent(const struct store *store)
{
	const struct retention_options *options = &store->sweep->options;

	return options->max_bytes > 0 &&
	       store->used_bytes > options->max_bytes - options->headroom_bytes / 2;
}

static bool is_above_caps(const struct store *store)
{
	return !store->nothing_finished && (has_too_many(store) || has_too_much(store));
}

bool sweep_is_due(struct store *store)
{
	struct sweep *sweep = store->sweep;
	int64_t now_ms = clock_mono_ms();

	/* Chunks that wait to be removed are enough for now. */
	if (now_ms < sweep->rest_until_ms || doomed_any(store))
		return false;
	if (is_above_caps(store))
		return true;
	if (!has_ages(&sweep->options))
		return false;
	if (trust_follow(&sweep->trust))
		sweep->look_at_ms = 0;
	return sweep->trust.mend_times || now_ms >= sweep->note_from_ms ||
	       (trust_waits_ms(&sweep->trust) == 0 && clock_wall_ms() >= sweep->look_at_ms);
}

/* --- removing ------------------------------------------------------------------------- */

struct victim {
	int64_t message;
	int64_t at;
};

static bool has_time(const struct sweep *sweep)
{
	return !sweep->full && sweep->step.contents + sweep->step.messages < STEP_MESSAGES &&
	       sweep->step.bytes < STEP_BYTES && clock_mono_us() - sweep->began_us < STEP_US;
}

static int remove_whole(struct store *store, int64_t message, struct err *why)
{
	struct retention_numbers *step = &store->sweep->step;
	int64_t bytes = 0;
	bool finished = false;
	bool whole = false;
	int code = finished_verify(store, message, &finished, why);

	if (code == ERR_OK && finished)
		code = message_forget(store, message, &bytes, &whole, why);
	if (code != ERR_OK || !finished)
		return code;
	/* Its other recipients are for the next step. */
	store->sweep->full |= !whole;
	step->messages += whole ? 1 : 0;
	step->bytes += bytes;
	return ERR_OK;
}

static int remove_content(struct store *store, int64_t message, int64_t now, struct err *why)
{
	struct retention_numbers *step = &store->sweep->step;
	int64_t bytes = 0;
	bool finished = false;
	int code = finished_verify(store, message, &finished, why);

	if (code == ERR_OK && finished)
		code = message_empty(store, message, now, &bytes, why);
	if (code != ERR_OK || !finished)
		return code;
	step->contents++;
	step->bytes += bytes;
	return ERR_OK;
}

static const char sql_oldest[] = "SELECT message, at FROM finished WHERE kinds = ?1 AND at <= ?2"
				 " ORDER BY at LIMIT ?3";

/* Those of one kind that ended first, and not after `until`. */
static int find_victims(struct store *store, unsigned kinds, int64_t until, size_t max,
			struct victim *victims_out, size_t *count_out, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_oldest, why);

	*count_out = 0;
	if (code != ERR_OK)
		return code;
	query_give_int(&query, kinds);
	query_give_int(&query, until);
	query_give_int(&query, (int64_t)max);
	while ((code = query_row(&query, &row, why)) == ERR_OK && row) {
		struct victim *victim = &victims_out[(*count_out)++];

		victim->message = query_take_int(&query);
		victim->at = query_take_int(&query);
	}
	return code;
}

static const char sql_first[] = "SELECT at FROM finished WHERE kinds = ?1 ORDER BY at LIMIT 1";

/* When the first of a kind ended; INT64_MAX: there is none. */
static int find_first(struct store *store, unsigned kinds, int64_t *at_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_first, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, kinds);
	return query_only_int(&query, INT64_MAX, at_out, why);
}

/* --- what is old ------------------------------------------------------------------------ */

/* 0: never. */
static int64_t age_of(const struct retention_options *options, unsigned kinds)
{
	const int64_t ages[] = {options->delivered_ms, options->dropped_ms, options->failed_ms};
	int64_t age = 0;

	if (kinds == FINISHED_EMPTY)
		return options->metadata_ms;
	for (unsigned i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		if ((kinds & 1U << i) == 0)
			continue;
		if (ages[i] == 0)
			return 0;
		if (ages[i] > age)
			age = ages[i];
	}
	return age;
}

static int remove_old_one(struct store *store, unsigned kinds, const struct victim *victim,
			  int64_t now, struct err *why)
{
	int64_t metadata_ms = store->sweep->options.metadata_ms;

	if (kinds == FINISHED_EMPTY || (metadata_ms > 0 && victim->at <= now - metadata_ms))
		return remove_whole(store, victim->message, why);
	return remove_content(store, victim->message, now, why);
}

static int remove_old_of(struct store *store, unsigned kinds, int64_t now, struct err *why)
{
	struct sweep *sweep = store->sweep;
	struct victim victims[STEP_MESSAGES];
	int64_t age_ms = age_of(&sweep->options, kinds);
	size_t count = 0;
	size_t i = 0;
	int code;

	if (age_ms == 0)
		return ERR_OK;
	code = find_victims(store, kinds, now - age_ms, STEP_MESSAGES, victims, &count, why);
	while (code == ERR_OK && i < count && has_time(sweep))
		code = remove_old_one(store, kinds, &victims[i++], now, why);
	if (i < count || count == STEP_MESSAGES || sweep->full)
		sweep->more = true;
	return code;
}

/* Nobody who is not finished yet can be old enough before the shortest age from now. */
static int find_next_look(struct store *store, int64_t now, struct err *why)
{
	struct sweep *sweep = store->sweep;
	int64_t next = INT64_MAX;
	int code = ERR_OK;

	for (unsigned kinds = 1; code == ERR_OK && kinds < FINISHED_KINDS; kinds++) {
		int64_t age_ms = age_of(&sweep->options, kinds);
		int64_t at = INT64_MAX;

		if (age_ms == 0)
			continue;
		code = find_first(store, kinds, &at, why);
		if (code == ERR_OK && at < INT64_MAX - age_ms && at + age_ms < next)
			next = at + age_ms;
		if (code == ERR_OK && now + age_ms < next)
			next = now + age_ms;
	}
	/* Short ages are for tests: not all the time for them either. */
	if (code == ERR_OK)
		sweep->look_at_ms = next > now + TRUST_LOOK_EVERY_MS ? next
								     : now + TRUST_LOOK_EVERY_MS;
	return code;
}

static int remove_old(struct store *store, int64_t now, struct err *why)
{
	struct sweep *sweep = store->sweep;
	int code = ERR_OK;

	for (unsigned kinds = 1; code == ERR_OK && !sweep->more && kinds < FINISHED_KINDS; kinds++)
		code = remove_old_of(store, kinds, now, why);
	return code == ERR_OK && !sweep->more ? find_next_look(store, now, why) : code;
}

/* --- what is too much -------------------------------------------------------------------- */

/* The kind with the message that ended first, and how far the others are behind it. */
static int find_oldest_kind(struct store *store, unsigned *kinds_out, int64_t *until_out,
			    struct err *why)
{
	int64_t oldest = INT64_MAX;
	int code = ERR_OK;

	*kinds_out = 0;
	*until_out = INT64_MAX;
	for (unsigned kinds = 1; code == ERR_OK && kinds < FINISHED_KINDS; kinds++) {
		int64_t at = INT64_MAX;

		code = find_first(store, kinds, &at, why);
		if (at < oldest) {
			*until_out = oldest;
			oldest = at;
			*kinds_out = kinds;
		} else if (at < *until_out) {
			*until_out = at;
		}
	}
	return code;
}

/* As the transaction has it. What waits for the sweeper is still in use, and soon is not. */
static int is_still_above(struct store *store, bool *above_out, struct err *why)
{
	const struct sweep *sweep = store->sweep;
	const struct retention_options *options = &sweep->options;
	const struct counters *counters = &store->counters;
	int64_t used = 0;
	int code = ERR_OK;

	*above_out = options->max_messages > 0 &&
		     counters->sums.messages + counters->change.messages >
			     sweep_max_messages(store);
	if (*above_out || options->max_bytes == 0 || doomed_any(store))
		return ERR_OK;
	code = room_ask_used(store, &used, why);
	*above_out = used > options->max_bytes - options->headroom_bytes;
	return code;
}

static int remove_some(struct store *store, bool *above, struct err *why)
{
	struct sweep *sweep = store->sweep;
	struct victim victims[STEP_MESSAGES];
	size_t count = 0;
	unsigned kinds;
	int64_t until;
	int code = find_oldest_kind(store, &kinds, &until, why);

	if (code == ERR_OK && kinds == 0)
		store->nothing_finished = true;
	if (code != ERR_OK || kinds == 0)
		return code;
	code = find_victims(store, kinds, until, STEP_MESSAGES, victims, &count, why);
	for (size_t i = 0; code == ERR_OK && i < count && *above && has_time(sweep); i++) {
		code = remove_whole(store, victims[i].message, why);
		if (code == ERR_OK)
			code = is_still_above(store, above, why);
	}
	return code;
}

static int remove_too_much(struct store *store, struct err *why)
{
	struct sweep *sweep = store->sweep;
	bool above = false;
	int code = is_still_above(store, &above, why);

	while (code == ERR_OK && above && !store->nothing_finished && has_time(sweep))
		code = remove_some(store, &above, why);
	if (above && !store->nothing_finished)
		sweep->more = true;
	return code;
}

/* --- a step ------------------------------------------------------------------------------- */

static bool is_nothing(const struct retention_numbers *numbers)
{
	return numbers->contents == 0 && numbers->messages == 0;
}

static void add(struct retention_numbers *to, const struct retention_numbers *numbers)
{
	to->contents += numbers->contents;
	to->messages += numbers->messages;
	to->bytes += numbers->bytes;
}

/* One line for all that went since the last one, not one for each message. */
static int write_trail(struct store *store, struct err *why)
{
	struct retention_numbers all = store->sweep->untold;
	char after[128];
	const struct audit_line line = {.at = clock_wall_ms(),
					.actor = "retention",
					.action = "retention.sweep",
					.after = after};

	add(&all, &store->sweep->step);
	if (is_nothing(&all))
		return ERR_OK;
	(void)snprintf(after, sizeof(after), "{\"contents\":%lld,\"messages\":%lld,\"bytes\":%lld}",
		       (long long)all.contents, (long long)all.messages, (long long)all.bytes);
	store->sweep->told = true;
	return audit_add(store, &line, why);
}

static int look_for_old(struct store *store, struct err *why)
{
	struct sweep *sweep = store->sweep;
	int64_t now = clock_wall_ms();
	bool mended = true;
	int code = sweep->trust.mend_times
			   ? trust_mend(&sweep->trust, store, STEP_MESSAGES, &mended, why)
			   : ERR_OK;

	sweep->more = sweep->more || !mended;
	if (code == ERR_OK && !sweep->more && trust_waits_ms(&sweep->trust) == 0)
		code = remove_old(store, now, why);
	return code;
}

/* With what goes, and every hour. */
static bool notes_clock(const struct sweep *sweep)
{
	return !is_nothing(&sweep->step) || clock_mono_ms() >= sweep->note_from_ms;
}

static int run_step(struct store *store, struct err *why)
{
	struct sweep *sweep = store->sweep;
	int code;

	sweep->step = (struct retention_numbers){.contents = 0};
	sweep->more = false;
	sweep->full = false;
	sweep->told = false;
	sweep->began_us = clock_mono_us();
	code = remove_too_much(store, why);
	if (code == ERR_OK && !sweep->more && has_ages(&sweep->options))
		code = look_for_old(store, why);
	if (code == ERR_OK && !sweep->more && clock_mono_ms() >= sweep->tell_from_ms)
		code = write_trail(store, why);
	return code == ERR_OK && notes_clock(sweep) ? trust_note(store, why) : code;
}

static void publish(struct sweep *sweep)
{
	pthread_mutex_lock(&sweep->lock);
	add(&sweep->status.removed, &sweep->step);
	if (!is_nothing(&sweep->step))
		sweep->status.removed_at = clock_wall_ms();
	pthread_mutex_unlock(&sweep->lock);
}

static void tell(struct store *store)
{
	struct sweep *sweep = store->sweep;
	const struct retention_numbers all = sweep->untold;

	sweep->untold = (struct retention_numbers){.contents = 0};
	sweep->tell_from_ms = clock_mono_ms() + TELL_EVERY_MS;
	if (store->options.on_swept != NULL)
		store->options.on_swept(store->options.ctx, &all);
}

bool sweep_step(struct store *store)
{
	struct sweep *sweep = store->sweep;
	struct err why;
	/* A power cut may bring some back: they go again. */
	int code = writer_transaction_unsynced(store, run_step, &why);

	if (code == ERR_FATAL)
		writer_fail(store, &why);
	if (code != ERR_OK) {
		sweep->rest_until_ms = clock_mono_ms() + AGAIN_AFTER_MS;
		return false;
	}
	if (notes_clock(sweep))
		sweep->note_from_ms = clock_mono_ms() + TELL_EVERY_MS;
	publish(sweep);
	add(&sweep->untold, &sweep->step);
	if (sweep->told)
		tell(store);
	return true;
}

static int write_last(struct store *store, struct err *why)
{
	int code = trust_note(store, why);

	store->sweep->step = (struct retention_numbers){.contents = 0};
	return code == ERR_OK ? write_trail(store, why) : code;
}

/* What can't be written down now was only to be told. */
void sweep_at_close(struct store *store)
{
	struct sweep *sweep = store->sweep;
	struct err ignored;

	if (!has_ages(&sweep->options) && is_nothing(&sweep->untold))
		return;
	sweep->told = false;
	if (writer_transaction(store, write_last, &ignored) == ERR_OK && sweep->told)
		tell(store);
}

/* --- from outside --------------------------------------------------------------------------- */

static int run_set(struct store *store, struct store_job *job)
{
	(void)store;
	(void)job;
	return ERR_OK;
}

static void finish_set(struct store *store, struct store_job *job)
{
	struct sweep *sweep = store->sweep;

	if (job->code == ERR_CLOSED)
		return;
	sweep->options = ((const struct retention_set *)job)->options;
	sweep->look_at_ms = 0;
	store->nothing_finished = false;
	pthread_mutex_lock(&sweep->lock);
	sweep->status.options = sweep->options;
	pthread_mutex_unlock(&sweep->lock);
}

static const struct store_verb verb_set = {
	.name = "retention", .run = run_set, .finish = finish_set, .may_be_undone = true};

void queue_retention_set(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_set);
}

void store_retention(struct store *store, struct retention_status *status_out)
{
	struct sweep *sweep = store->sweep;

	pthread_mutex_lock(&sweep->lock);
	*status_out = sweep->status;
	pthread_mutex_unlock(&sweep->lock);
	status_out->waits_ms = trust_waits_ms(&sweep->trust);
	if (!has_ages(&status_out->options))
		status_out->waits_ms = 0;
}
