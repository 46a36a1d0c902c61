/* relay/filter/fault_set.c - the fault rules in force: published whole, matched, counted */
#include "relay/filter/fault_set.h"

#include <assert.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/mem.h"

struct faults {
	struct published *published;
};

/* --- how a rule is made ready ------------------------------------------------------------------
 */

void fault_keep(struct fault *fault, struct arena *arena)
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

static void make(void *item, struct arena *arena)
{
	struct fault_rule *rule = item;
	struct span recipient, sender;
	struct err why;

	fault_keep(&rule->fault, arena);
	recipient = span_of(rule->fault.recipient);
	sender = span_of(rule->fault.sender);
	rule->any_recipient = recipient.len == 0 || span_is(recipient, "*");
	rule->any_sender = sender.len == 0;
	rule->null_sender = span_is(sender, "<>");
	/* Checked already: what is asked later parses. */
	(void)pattern_parse(recipient, &rule->recipient, &why);
	(void)pattern_parse(sender, &rule->sender, &why);
}

static void mean(const void *row, struct buf *meaning)
{
	const struct fault *f = row;

	(void)buf_printf(meaning, "%s %d %d\n%s\n%s\n%s\n%s\n%zu %s %s\n%lld %zu %zu %zu %zu",
			 f->name, (int)f->action, (int)f->stage, f->recipient, f->sender, f->user,
			 f->scope, f->code, f->enhanced, f->reply, (long long)f->delay_ms,
			 f->attempts, f->skip, f->every, f->times);
}

static bool is_good(const void *row)
{
	return fault_check(row, NULL, NULL) == 0;
}

static bool is_enabled(const void *row)
{
	return ((const struct fault *)row)->enabled;
}

static const struct published_kind kind = {.row_size = sizeof(struct fault),
					   .item_size = sizeof(struct fault_rule),
					   .row_offset = offsetof(struct fault_rule, fault),
					   .is_good = is_good,
					   .is_enabled = is_enabled,
					   .make = make,
					   .mean = mean};

/* --- in force ----------------------------------------------------------------------------------
 */

struct faults *faults_new(void)
{
	struct faults *faults = mem_zalloc(sizeof(*faults));

	faults->published = published_new(&kind);
	return faults;
}

void faults_free(struct faults **faults)
{
	if (*faults != NULL)
		published_free(&(*faults)->published);
	mem_free(*faults);
	*faults = NULL;
}

size_t faults_publish(struct faults *faults, enum published_source source, const struct fault *rows,
		      size_t count)
{
	return published_replace(faults->published, source, rows, count);
}

bool faults_are_on(struct faults *faults)
{
	return published_is_on(faults->published);
}

const struct edition *faults_acquire(struct faults *faults)
{
	return published_acquire(faults->published);
}

void fault_set_view(const struct edition *set, size_t index, struct fault_view *view_out)
{
	const struct fault_rule *rule = edition_item(set, index);

	assert(index < set->count);
	*view_out = (struct fault_view){.fault = &rule->fault,
					.source = rule->base.source,
					.matches = atomic_load(&rule->base.counter->matches),
					.strikes = atomic_load(&rule->base.counter->strikes)};
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

	if (!rule->base.enabled || fault->stage != at->stage)
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
	uint64_t number = atomic_fetch_add(&rule->base.counter->matches, 1) + 1;

	if (number <= fault->skip)
		return false;
	number -= fault->skip;
	if (number % fault->every != 0 ||
	    (fault->times > 0 && number / fault->every > fault->times))
		return false;
	atomic_fetch_add(&rule->base.counter->strikes, 1);
	return true;
}

void fault_judge(const struct edition *set, const struct fault_case *at,
		 void (*struck)(void *ctx, const struct fault *rule), void *ctx,
		 struct fault_effect *effect_out)
{
	*effect_out = (struct fault_effect){.delay_ms = 0};
	for (size_t i = 0; i < set->count && effect_out->by == NULL; i++) {
		const struct fault_rule *rule = edition_item(set, i);

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
