/* queue/calls.c - calls of webhooks are written with what they tell of, and go when they were sent
 */
#include "queue/calls.h"

#include <assert.h>
#include <string.h>

/* What is left of a target that is gone. */
#define ORPHANS_MAX 1000

struct target {
	char *name;
	char *scope;
	unsigned events;
	size_t max_waiting, max_dead;
	struct webhook_numbers now;	  /* the writer's: with the transaction under way */
	struct webhook_numbers committed; /* under the lock */
};

struct calls {
	pthread_mutex_t lock;
	size_t count; /* changed under the lock, by the writer; so are the targets' names */
	struct target targets[WEBHOOK_TARGETS_MAX];
	/* The writer's own. */
	unsigned events; /* of all targets */
	void (*write)(const struct ulid *id, enum webhook_event event, const struct news *news,
		      struct buf *body_out);
	bool is_trial;
	bool touched; /* by the transaction under way */
	bool due;     /* it has something for who sends */
	int code;     /* what went wrong in it */
	struct err why;
	struct buf body, record;
};

/* --- who wants what --------------------------------------------------------------------------- */

static struct target *find(struct calls *calls, const char *name)
{
	for (size_t i = 0; i < calls->count; i++)
		if (strcmp(calls->targets[i].name, name) == 0)
			return &calls->targets[i];
	return NULL;
}

static void drop_targets(struct calls *calls)
{
	for (size_t i = 0; i < calls->count; i++) {
		mem_free(calls->targets[i].name);
		mem_free(calls->targets[i].scope);
	}
	calls->count = 0;
	calls->events = 0;
}

/* What was lost since the start is told on, of those that stay. */
static void take_targets(struct calls *calls, const struct webhook_targets *from)
{
	uint64_t lost[WEBHOOK_TARGETS_MAX] = {0};

	assert(from->count <= WEBHOOK_TARGETS_MAX);
	for (size_t i = 0; i < from->count; i++) {
		const struct target *before = find(calls, from->targets[i].name);

		lost[i] = before != NULL ? before->now.lost : 0;
	}
	pthread_mutex_lock(&calls->lock);
	drop_targets(calls);
	for (size_t i = 0; i < from->count; i++) {
		const struct webhook_target *given = &from->targets[i];

		calls->targets[i] = (struct target){
			.name = mem_strdup(given->name),
			.scope = mem_strdup(given->scope != NULL ? given->scope : ""),
			.events = given->events,
			.max_waiting = given->max_waiting,
			.max_dead = given->max_dead,
			.now.lost = lost[i],
			.committed.lost = lost[i]};
		calls->events |= given->events;
	}
	calls->count = from->count;
	calls->write = from->write;
	pthread_mutex_unlock(&calls->lock);
}

struct calls *calls_new(const struct webhook_targets *targets)
{
	struct calls *calls = mem_zalloc(sizeof(*calls));

	pthread_mutex_init(&calls->lock, NULL);
	buf_init(&calls->body, WEBHOOK_BODY_MAX);
	buf_init(&calls->record, BUS_RECORD_MAX);
	if (targets != NULL)
		take_targets(calls, targets);
	return calls;
}

void calls_free(struct calls **calls)
{
	if (*calls == NULL)
		return;
	drop_targets(*calls);
	buf_release(&(*calls)->body);
	buf_release(&(*calls)->record);
	pthread_mutex_destroy(&(*calls)->lock);
	mem_free(*calls);
	*calls = NULL;
}

static bool target_wants(const struct target *target, enum webhook_event event, const char *scope)
{
	return (target->events & 1U << event) != 0 &&
	       (target->scope[0] == '\0' || strcmp(target->scope, scope != NULL ? scope : "") == 0);
}

void calls_trial(struct store *store, bool is_trial)
{
	store->calls->is_trial = is_trial;
}

bool calls_wants(const struct store *store, const struct news *news)
{
	enum webhook_event event;

	return store->calls->events != 0 && !store->calls->is_trial &&
	       webhook_event_of(news, &event) && (store->calls->events & 1U << event) != 0;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static const char sql_count[] =
	"SELECT count(due_at), count(*) FROM webhook_call WHERE target = ?1";

static int count_target(struct store *store, struct target *target, struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_count, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, target->name);
	code = query_row(&query, &row, why);
	if (code != ERR_OK || !row)
		return code;
	target->now.waiting = query_take_int(&query);
	target->now.dead = query_take_int(&query) - target->now.waiting;
	query_end(&query);
	return ERR_OK;
}

static void publish(struct calls *calls)
{
	pthread_mutex_lock(&calls->lock);
	for (size_t i = 0; i < calls->count; i++)
		calls->targets[i].committed = calls->targets[i].now;
	pthread_mutex_unlock(&calls->lock);
}

static int count_all(struct store *store, struct err *why)
{
	int code = ERR_OK;

	for (size_t i = 0; code == ERR_OK && i < store->calls->count; i++)
		code = count_target(store, &store->calls->targets[i], why);
	publish(store->calls);
	return code;
}

void calls_count_again(struct store *store, int code)
{
	struct err why;

	if (code == ERR_OK && count_all(store, &why) == ERR_FATAL)
		writer_fail(store, &why);
}

bool store_webhook_numbers(struct store *store, const char *target,
			   struct webhook_numbers *numbers_out)
{
	const struct target *found;

	pthread_mutex_lock(&store->calls->lock);
	found = find(store->calls, target);
	if (found != NULL)
		*numbers_out = found->committed;
	pthread_mutex_unlock(&store->calls->lock);
	return found != NULL;
}

/* --- in a transaction ------------------------------------------------------------------------- */

static const char sql_add[] = "INSERT INTO webhook_call(event, target, type, made_at, due_at, body)"
			      " VALUES(?1, ?2, ?3, ?4, ?4, ?5)";

static int add(struct store *store, const struct target *target, const struct ulid *id,
	       const char *type, int64_t at, struct err *why)
{
	struct span body = buf_span(&store->calls->body);
	struct query query;
	int code = query_begin(&query, &store->db, sql_add, why);

	if (code != ERR_OK)
		return code;
	query_give_ulid(&query, id);
	query_give_text(&query, target->name);
	query_give_text(&query, type);
	query_give_int(&query, at);
	query_give_text(&query, body.data);
	return query_run(&query, why);
}

static void add_for(struct store *store, struct target *target, const struct ulid *id,
		    enum webhook_event event, int64_t at)
{
	struct calls *calls = store->calls;

	calls->touched = calls->due = true;
	if (target->now.waiting >= (int64_t)target->max_waiting) {
		target->now.lost++;
		return;
	}
	calls->code = add(store, target, id, webhook_event_name(event), at, &calls->why);
	target->now.waiting++;
}

void calls_add(struct store *store, const struct news *news)
{
	struct calls *calls = store->calls;
	enum webhook_event event;
	bool is_written = false;
	struct ulid id;
	struct news cut;

	if (calls->code != ERR_OK || !webhook_event_of(news, &event))
		return;
	for (size_t i = 0; calls->code == ERR_OK && i < calls->count; i++) {
		if (!target_wants(&calls->targets[i], event, news->scope))
			continue;
		if (!is_written) {
			id = ulid_new(news->at);
			buf_clear(&calls->record);
			buf_clear(&calls->body);
			news_pack(news, &calls->record);
			news_unpack(buf_span(&calls->record), &cut);
			calls->write(&id, event, &cut, &calls->body);
			is_written = true;
		}
		add_for(store, &calls->targets[i], &id, event, news->at);
	}
}

int calls_check(const struct store *store, struct err *why)
{
	if (store->calls->code != ERR_OK)
		*why = store->calls->why;
	return store->calls->code;
}

void calls_committed(struct store *store)
{
	struct calls *calls = store->calls;
	bool due = calls->due;

	if (!calls->touched)
		return;
	publish(calls);
	calls->touched = calls->due = false;
	if (due && store->options.on_webhook != NULL)
		store->options.on_webhook(store->options.ctx);
}

void calls_forget(struct store *store)
{
	struct calls *calls = store->calls;

	calls->code = ERR_OK;
	if (!calls->touched)
		return;
	calls->touched = calls->due = false;
	for (size_t i = 0; i < calls->count; i++)
		calls->targets[i].now = calls->targets[i].committed;
}

/* --- dead letters ----------------------------------------------------------------------------- */

static const char sql_trim[] =
	"DELETE FROM webhook_call WHERE target = ?1 AND due_at IS NULL AND id <="
	" (SELECT id FROM webhook_call WHERE target = ?1 AND due_at IS NULL"
	" ORDER BY id DESC LIMIT 1 OFFSET ?2)";

/* The newest `max` stay. */
static int trim(struct store *store, const char *target, size_t max, int64_t *removed_out,
		struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, sql_trim, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, target);
	query_give_int(&query, (int64_t)max);
	code = query_run(&query, why);
	if (code == ERR_OK)
		*removed_out = sqlite3_changes64(store->db.handle);
	return code;
}

/* --- who is told, from now on ------------------------------------------------------------------
 */

/* A step down the index, whatever lies behind each of them. */
static const char sql_next_target[] = "SELECT min(target) FROM webhook_call WHERE target > ?1";
static const char sql_orphan[] =
	"UPDATE webhook_call SET due_at = NULL, error = 'there is no webhook of this name any"
	" more' WHERE target = ?1 AND due_at IS NOT NULL";

static bool is_among(const struct webhook_targets *targets, const char *name)
{
	for (size_t i = 0; i < targets->count; i++)
		if (strcmp(targets->targets[i].name, name) == 0)
			return true;
	return false;
}

static int orphan(struct store *store, const char *target, struct err *why)
{
	int64_t removed;
	struct query query;
	int code = query_begin(&query, &store->db, sql_orphan, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, target);
	code = query_run(&query, why);
	return code == ERR_OK ? trim(store, target, ORPHANS_MAX, &removed, why) : code;
}

int calls_next_target(struct store *store, const char *after, const char **target_out,
		      struct err *why)
{
	struct query query;
	bool row;
	int code = query_begin(&query, &store->db, sql_next_target, why);

	if (code != ERR_OK)
		return code;
	query_give_text(&query, after);
	code = query_row(&query, &row, why);
	if (code != ERR_OK)
		return code;
	*target_out = row ? query_take_copy(&query, store->scratch) : NULL;
	query_end(&query);
	return ERR_OK;
}

/* Of all of whom something is here, those that nobody configured. */
static int orphan_strangers(struct store *store, const struct webhook_targets *targets,
			    struct err *why)
{
	const char *target;
	int code = calls_next_target(store, "", &target, why);

	while (code == ERR_OK && target != NULL) {
		if (!is_among(targets, target))
			code = orphan(store, target, why);
		if (code == ERR_OK)
			code = calls_next_target(store, target, &target, why);
	}
	return code;
}

static int run_set(struct store *store, struct store_job *job)
{
	return orphan_strangers(store, &((const struct webhook_set *)job)->targets, &job->why);
}

static void finish_set(struct store *store, struct store_job *job)
{
	if (job->code != ERR_OK)
		return;
	take_targets(store->calls, &((const struct webhook_set *)job)->targets);
	calls_count_again(store, job->code);
}

static const struct store_verb verb_set = {
	.name = "webhook set", .run = run_set, .finish = finish_set};

void queue_webhook_set(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_set);
}

int calls_restore(struct store *store, struct err *why)
{
	return count_all(store, why);
}

/* --- settle ------------------------------------------------------------------------------------
 */

static const char sql_sent[] = "DELETE FROM webhook_call WHERE id = ?1 AND due_at IS NOT NULL";
static const char sql_tried[] =
	"UPDATE webhook_call SET due_at = ?2, attempts = attempts + 1, tried_at = ?3, status = ?4,"
	" error = ?5 WHERE id = ?1 AND due_at IS NOT NULL";

static int write_outcome(struct store *store, const struct webhook_outcome *outcome, int64_t now,
			 bool *found_out, struct err *why)
{
	struct query query;
	int code = query_begin(&query, &store->db, outcome->sent ? sql_sent : sql_tried, why);

	if (code != ERR_OK)
		return code;
	query_give_int(&query, outcome->id);
	if (!outcome->sent) {
		if (outcome->due_at == 0)
			query_give_null(&query);
		else
			query_give_int(&query, outcome->due_at);
		query_give_int(&query, now);
		query_give_int(&query, outcome->status);
		query_give_text(&query, outcome->error);
	}
	code = query_run(&query, why);
	if (code == ERR_OK)
		*found_out = sqlite3_changes64(store->db.handle) > 0;
	return code;
}

static int settle(struct store *store, struct target *target, const struct webhook_outcome *outcome,
		  int64_t now, struct err *why)
{
	bool found = false;
	int64_t removed = 0;
	int code = write_outcome(store, outcome, now, &found, why);

	/* The target is gone: its calls are dead letters already. */
	if (code != ERR_OK || !found || target == NULL)
		return code;
	if (outcome->sent || outcome->due_at == 0)
		target->now.waiting--;
	if (outcome->sent || outcome->due_at != 0)
		return ERR_OK;
	target->now.dead++;
	if (target->now.dead > (int64_t)target->max_dead)
		code = trim(store, target->name, target->max_dead, &removed, why);
	target->now.dead -= removed;
	return code;
}

static int run_settle(struct store *store, struct store_job *job)
{
	const struct webhook_settle *call = (const struct webhook_settle *)job;
	struct target *target = find(store->calls, call->target);
	int code = ERR_OK;

	store->calls->touched = true;
	for (size_t i = 0; code == ERR_OK && i < call->count; i++)
		code = settle(store, target, &call->outcomes[i], call->now, &job->why);
	return code;
}

static const struct store_verb verb_settle = {
	.name = "webhook settle", .run = run_settle, .may_be_undone = true};

void queue_webhook_settle(struct store *store, struct store_job *job)
{
	writer_submit(store, job, &verb_settle);
}
