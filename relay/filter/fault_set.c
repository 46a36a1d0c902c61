/* relay/filter/fault_set.c - the fault rules in force: published whole, matched, counted */
#include "relay/filter/fault_set.h"

#include <assert.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/mem.h"

#define MEANING_MAX 8192

struct fault_set {
	struct faults *owner;
	struct fault_set *self; /* for release, which is given a const pointer */
	struct arena *arena;
	size_t refs; /* the owner's lock */
	struct fault_rule *rules;
	size_t count;
};

struct faults {
	pthread_mutex_t publishing; /* one at a time */
	pthread_mutex_t lock;	    /* of `set` and its references */
	struct fault_set *set;
	atomic_bool on;
};

/* --- a set ---------------------------------------------------------------------------------- */

static void set_free(struct fault_set *set)
{
	struct arena *arena = set->arena;

	for (size_t i = 0; i < set->count; i++)
		if (atomic_fetch_sub(&set->rules[i].counter->refs, 1) == 1)
			mem_free(set->rules[i].counter);
	arena_free(&arena);
}

static struct fault_set *set_new(struct faults *owner, size_t room)
{
	struct arena *arena = arena_new();
	struct fault_set *set = arena_zalloc(arena, sizeof(*set));

	set->owner = owner;
	set->self = set;
	set->arena = arena;
	set->refs = 1;
	set->rules = arena_array(arena, room + 1, sizeof(*set->rules));
	return set;
}

static void copy_strings(struct fault *fault, struct arena *arena)
{
	fault->name = arena_strdup(arena, fault->name);
	fault->recipient = arena_strdup(arena, fault->recipient);
	fault->sender = arena_strdup(arena, fault->sender);
	fault->user = arena_strdup(arena, fault->user);
	fault->scope = arena_strdup(arena, fault->scope);
	fault->enhanced = arena_strdup(arena, fault->enhanced);
	fault->reply = arena_strdup(arena, fault->reply);
	fault->note = arena_strdup(arena, fault->note);
	fault->created_by = arena_strdup(arena, fault->created_by);
}

static const char *meaning_of(const struct fault *f, enum fault_source source, struct arena *arena)
{
	struct buf text;
	const char *meaning;

	buf_init(&text, MEANING_MAX);
	(void)buf_printf(&text, "%d %s %d %d\n%s\n%s\n%s\n%s\n%zu %s %s\n%lld %zu %zu %zu %zu",
			 (int)source, f->name, (int)f->action, (int)f->stage, f->recipient,
			 f->sender, f->user, f->scope, f->code, f->enhanced, f->reply,
			 (long long)f->delay_ms, f->attempts, f->skip, f->every, f->times);
	meaning = arena_span_dup(arena, buf_span(&text));
	buf_release(&text);
	return meaning;
}

/* A rule of the set before that says the same goes on counting. */
static struct fault_counter *find_counter(const struct fault_set *before, const char *meaning)
{
	struct fault_counter *counter;

	for (size_t i = 0; i < before->count; i++)
		if (strcmp(before->rules[i].meaning, meaning) == 0) {
			atomic_fetch_add(&before->rules[i].counter->refs, 1);
			return before->rules[i].counter;
		}
	counter = mem_zalloc(sizeof(*counter));
	atomic_init(&counter->refs, 1);
	return counter;
}

static void set_add(struct fault_set *set, const struct fault *fault, enum fault_source source,
		    const struct fault_set *before)
{
	struct fault_rule *rule = &set->rules[set->count++];
	struct span recipient = span_of(fault->recipient);
	struct span sender = span_of(fault->sender);
	struct err why;

	rule->fault = *fault;
	copy_strings(&rule->fault, set->arena);
	rule->source = source;
	rule->meaning = meaning_of(&rule->fault, source, set->arena);
	rule->counter = find_counter(before, rule->meaning);
	rule->any_recipient = recipient.len == 0 || span_is(recipient, "*");
	rule->any_sender = sender.len == 0;
	rule->null_sender = span_is(sender, "<>");
	/* Checked already, so it parses. */
	if (!rule->any_recipient)
		(void)pattern_parse(recipient, &rule->recipient, &why);
	if (!rule->any_sender && !rule->null_sender)
		(void)pattern_parse(sender, &rule->sender, &why);
}

static void add_old(struct fault_set *set, const struct fault_set *before, enum fault_source source)
{
	for (size_t i = 0; i < before->count; i++)
		if (before->rules[i].source == source)
			set_add(set, &before->rules[i].fault, source, before);
}

/* --- publishing --------------------------------------------------------------------------------
 */

struct faults *faults_new(void)
{
	struct faults *faults = mem_zalloc(sizeof(*faults));

	pthread_mutex_init(&faults->publishing, NULL);
	pthread_mutex_init(&faults->lock, NULL);
	faults->set = set_new(faults, 0);
	return faults;
}

void faults_free(struct faults **faults)
{
	struct faults *gone = *faults;

	*faults = NULL;
	if (gone == NULL)
		return;
	assert(gone->set->refs == 1);
	set_free(gone->set);
	pthread_mutex_destroy(&gone->lock);
	pthread_mutex_destroy(&gone->publishing);
	mem_free(gone);
}

static bool is_on(const struct fault_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->rules[i].fault.enabled)
			return true;
	return false;
}

static void put_in_force(struct faults *faults, struct fault_set *set)
{
	const struct fault_set *before = faults->set;

	pthread_mutex_lock(&faults->lock);
	faults->set = set;
	pthread_mutex_unlock(&faults->lock);
	atomic_store(&faults->on, is_on(set));
	faults_release(&before);
}

size_t faults_publish(struct faults *faults, enum fault_source source, const struct fault *rows,
		      size_t count)
{
	const struct fault_set *before;
	struct fault_set *set;
	size_t bad = 0;

	pthread_mutex_lock(&faults->publishing);
	before = faults->set;
	set = set_new(faults, before->count + count);
	for (enum fault_source at = FAULT_FROM_CONFIG; at <= FAULT_FROM_STORE; at++) {
		if (at != source)
			add_old(set, before, at);
		for (size_t i = 0; at == source && i < count; i++) {
			if (fault_check(&rows[i], NULL, NULL) > 0)
				bad++;
			else
				set_add(set, &rows[i], source, before);
		}
	}
	put_in_force(faults, set);
	pthread_mutex_unlock(&faults->publishing);
	return bad;
}

/* --- reading -----------------------------------------------------------------------------------
 */

bool faults_are_on(struct faults *faults)
{
	return atomic_load(&faults->on);
}

const struct fault_set *faults_acquire(struct faults *faults)
{
	struct fault_set *set;

	pthread_mutex_lock(&faults->lock);
	set = faults->set;
	set->refs++;
	pthread_mutex_unlock(&faults->lock);
	return set;
}

void faults_release(const struct fault_set **set)
{
	struct fault_set *gone = (*set)->self;
	bool last;

	*set = NULL;
	pthread_mutex_lock(&gone->owner->lock);
	last = --gone->refs == 0;
	pthread_mutex_unlock(&gone->owner->lock);
	if (last)
		set_free(gone);
}

size_t fault_set_count(const struct fault_set *set)
{
	return set->count;
}

void fault_set_view(const struct fault_set *set, size_t index, struct fault_view *view_out)
{
	const struct fault_rule *rule = &set->rules[index];

	assert(index < set->count);
	*view_out = (struct fault_view){.fault = &rule->fault,
					.source = rule->source,
					.matches = atomic_load(&rule->counter->matches),
					.strikes = atomic_load(&rule->counter->strikes)};
}

/* --- matching -----------------------------------------------------------------------------------
 */

static bool covers_any(const struct pattern *pattern, const struct fault_case *at)
{
	for (size_t i = 0; i < at->recipient_count; i++) {
		struct address address;
		struct err why;

		if (address_parse(span_of(at->recipients[i].address), &address, &why) == ERR_OK &&
		    pattern_covers(pattern, &address))
			return true;
	}
	return false;
}

static bool fits(const struct fault_rule *rule, const struct fault_case *at)
{
	const struct fault *fault = &rule->fault;

	if (!fault->enabled || fault->stage != at->stage)
		return false;
	if (fault->scope[0] != '\0' && strcmp(fault->scope, at->scope) != 0)
		return false;
	if (fault->user[0] != '\0' &&
	    (at->user[0] == '\0' || !glob_matches(span_of(fault->user), span_of(at->user))))
		return false;
	if (rule->null_sender && at->sender->form != ADDRESS_NULL)
		return false;
	if (!rule->null_sender && !rule->any_sender && !pattern_covers(&rule->sender, at->sender))
		return false;
	if (rule->any_recipient)
		return true;
	return at->recipient != NULL ? pattern_covers(&rule->recipient, at->recipient)
				     : covers_any(&rule->recipient, at);
}

/* Each match has a number of its own, so which ones strike does not depend on who comes when. */
static bool strikes(const struct fault_rule *rule)
{
	const struct fault *fault = &rule->fault;
	uint64_t number = atomic_fetch_add(&rule->counter->matches, 1) + 1;

	if (number <= fault->skip)
		return false;
	number -= fault->skip;
	if (number % fault->every != 0 ||
	    (fault->times > 0 && number / fault->every > fault->times))
		return false;
	atomic_fetch_add(&rule->counter->strikes, 1);
	return true;
}

void fault_judge(const struct fault_set *set, const struct fault_case *at,
		 void (*struck)(void *ctx, const struct fault *rule), void *ctx,
		 struct fault_effect *effect_out)
{
	*effect_out = (struct fault_effect){.delay_ms = 0};
	for (size_t i = 0; i < set->count && effect_out->by == NULL; i++) {
		const struct fault_rule *rule = &set->rules[i];

		if (!fits(rule, at) || !strikes(rule))
			continue;
		struck(ctx, &rule->fault);
		effect_out->delay_ms += rule->fault.delay_ms;
		if (rule->fault.action == FAULT_DELAY)
			continue;
		effect_out->by = &rule->fault;
		fault_fate(&rule->fault, &effect_out->fate);
	}
	if (effect_out->delay_ms > FAULT_DELAY_MAX_MS)
		effect_out->delay_ms = FAULT_DELAY_MAX_MS;
}
