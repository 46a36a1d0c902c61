/* admin/replace.c - the whitelist as a whole, replaced by another (PUT) */
#include "admin/handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/advice.h"
#include "admin/entry.h"
#include "base/clock.h"
#include "queue/whitelist.h"

#define MISTAKES_MAX 100
#define ROUNDS_MAX   100 /* of others who changed the list in between */
/* What GET shows of an entry and nobody can set: a list that was read may be sent back. */
#define SHOWN_MEMBERS " id kind created_at created_by expired_at hits last_hit_at"

/* An entry as it shall be. */
struct wanted {
	struct entry entry;
	size_t place;  /* in the list that was sent */
	bool is_there; /* entry.id has this pattern, scope and action already, */
	bool is_same;  /* and says the same */
};

struct replace {
	struct whitelist_apply apply;
	struct wanted *wanted;	/* as they were sent */
	struct wanted **sorted; /* the same, by key */
	size_t wanted_count;
	int64_t *removed; /* ids */
	size_t removed_count;
	size_t removed_room;
	size_t added;
	size_t changed;
	const char *scope; /* of the caller: the rest of the list is not its business; "": all */
	bool conditional;
	int rounds;
	const struct whitelist_snapshot *before;
};

/* --- what is asked for -------------------------------------------------------------------------
 */

static void read_one(struct call *call, json_t *one, size_t place, bool allow_all,
		     struct entry *entry)
{
	const char *where = arena_printf(call->arena, "/entries/%zu", place);
	json_t *whole = call->body;

	if (!json_is_object(one)) {
		call_mistake(call, where, "must be an object");
		return;
	}
	call->inside = where;
	call->body = one;
	call_only_members(call, ENTRY_MEMBERS SHOWN_MEMBERS " allow_all");
	entry->action = ENTRY_ALLOW;
	/* One that is over may stay in the list: it allows nothing. */
	entry_read(call, entry, clock_steady_wall_ms(), 0);
	if (entry->pattern == NULL && !call_has_member(call, "pattern"))
		call_mistake(call, "/pattern", "is needed");
	/* An export says so beside the entry. */
	if (!call_bool(call, "allow_all") && !allow_all && entry_lets_all_out(entry))
		call_mistake(call, "/pattern",
			     "\"*\" lets everything out: say \"allow_all\": true as well");
	call->body = whole;
	call->inside = NULL;
}

static bool has_many_mistakes(const struct call *call)
{
	return call->mistakes != NULL &&
	       json_array_size(json_object_get(call->mistakes, "errors")) >= MISTAKES_MAX;
}

static void read_entries(struct call *call, struct replace *replace)
{
	json_t *list = json_object_get(call->body, "entries");
	bool allow_all = call_bool(call, "allow_all");
	json_t *one;
	size_t i;

	call_only_members(call, "entries allow_all");
	if (!json_is_array(list)) {
		call_mistake(call, "/entries", "must be an array");
		return;
	}
	replace->wanted_count = json_array_size(list);
	replace->wanted =
		arena_array(call->arena, replace->wanted_count + 1, sizeof(*replace->wanted));
	json_array_foreach(list, i, one)
	{
		struct wanted *wanted = &replace->wanted[i];

		wanted->place = i;
		read_one(call, one, i, allow_all, &wanted->entry);
		if (has_many_mistakes(call))
			return;
	}
}

/* Unique in the list: pattern, scope and action. */
static int compare_keys(const struct entry *a, const struct entry *b)
{
	int order = strcmp(a->pattern, b->pattern);

	if (order == 0)
		order = strcmp(a->scope, b->scope);
	return order != 0 ? order : (int)a->action - (int)b->action;
}

static int compare_wanted(const void *a, const void *b)
{
	const struct wanted *left = *(struct wanted *const *)a;
	const struct wanted *right = *(struct wanted *const *)b;
	int order = compare_keys(&left->entry, &right->entry);

	/* The same twice: the second one is the mistake. */
	return order != 0 ? order : left->place < right->place ? -1 : 1;
}

static void sort(struct call *call, struct replace *replace)
{
	size_t count = replace->wanted_count;

	replace->sorted = arena_array(call->arena, count + 1, sizeof(*replace->sorted));
	for (size_t i = 0; i < count; i++)
		replace->sorted[i] = &replace->wanted[i];
	qsort(replace->sorted, count, sizeof(*replace->sorted), compare_wanted);
	for (size_t i = 1; i < count && !has_many_mistakes(call); i++) {
		const struct wanted *one = replace->sorted[i - 1];
		const struct wanted *other = replace->sorted[i];

		if (compare_keys(&one->entry, &other->entry) == 0)
			call_mistake(
				call,
				arena_printf(call->arena, "/entries/%zu/pattern", other->place),
				"the same as entry %zu: pattern, scope and action", one->place);
	}
}

/* --- against what is there ---------------------------------------------------------------------
 */

static struct wanted *find_wanted(const struct replace *replace, const struct entry *entry)
{
	size_t low = 0;
	size_t high = replace->wanted_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_keys(&replace->sorted[middle]->entry, entry);

		if (order == 0)
			return replace->sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return span_equal(span_of(a), span_of(b));
}

static bool on_present(void *ctx, const struct entry *entry)
{
	struct replace *replace = ctx;
	struct wanted *wanted = find_wanted(replace, entry);

	if (replace->scope[0] != '\0' && strcmp(replace->scope, entry->scope) != 0)
		return true;
	if (wanted != NULL) {
		wanted->is_there = true;
		wanted->entry.id = entry->id;
		wanted->is_same = same_text(wanted->entry.note, entry->note) &&
				  same_text(wanted->entry.owner, entry->owner) &&
				  wanted->entry.expires_at == entry->expires_at;
		return true;
	}
	if (replace->removed_count == replace->removed_room) {
		replace->removed_room = replace->removed_room > 0 ? 2 * replace->removed_room : 64;
		replace->removed = mem_regrow(replace->removed, replace->removed_room,
					      sizeof(*replace->removed));
	}
	replace->removed[replace->removed_count++] = entry->id;
	return true;
}

static void make_changes(struct call *call, struct replace *replace)
{
	size_t room = replace->removed_count + replace->wanted_count + 1;
	struct whitelist_change *change =
		arena_array(call->arena, room, sizeof(struct whitelist_change));

	replace->apply.changes = change;
	replace->added = 0;
	replace->changed = 0;
	for (size_t i = 0; i < replace->removed_count; i++, change++) {
		change->operation = ENTRY_REMOVE;
		change->entry.id = replace->removed[i];
	}
	for (size_t i = 0; i < replace->wanted_count; i++) {
		const struct wanted *wanted = &replace->wanted[i];

		if (wanted->is_there && wanted->is_same)
			continue;
		change->operation = wanted->is_there ? ENTRY_REPLACE : ENTRY_ADD;
		change->entry = wanted->entry;
		change->entry.created_at = replace->apply.now;
		change->entry.created_by = call->caller.actor;
		replace->added += wanted->is_there ? 0 : 1;
		replace->changed += wanted->is_there ? 1 : 0;
		change++;
	}
	replace->apply.count = (size_t)(change - replace->apply.changes);
}

/* False: replied. */
static bool compare_with_present(struct call *call, struct replace *replace, int64_t *revision_out)
{
	struct err why;
	int code;

	replace->removed_count = 0;
	for (size_t i = 0; i < replace->wanted_count; i++) {
		replace->wanted[i].is_there = false;
		replace->wanted[i].entry.id = 0;
	}
	code = queue_whitelist_snapshot(call_reader(call), revision_out, on_present, replace, &why);
	if (code != ERR_OK) {
		call_error(call, code, &why);
		return false;
	}
	if (!call_if_match(call, *revision_out, &replace->conditional))
		return false;
	if (!replace->conditional)
		call_problem(call, 428,
			     "this replaces the whole list: say If-Match with the ETag of the list "
			     "that was read");
	return replace->conditional;
}

/* --- the change ---------------------------------------------------------------------------------
 */

static void replace_round(struct call *call, struct replace *replace);

static void reply(struct call *call, struct replace *replace, bool dry_run)
{
	json_t *advice =
		dry_run ? advice_of_plan(call, replace->apply.changes, replace->apply.count)
			: advice_of_change(call, replace->apply.changes, replace->apply.count,
					   replace->before);

	call_etag(call, replace->apply.revision);
	call_reply(
		call, 200,
		json_pack("{s:I, s:b, s:I, s:I, s:I, s:I, s:o}", "revision",
			  (json_int_t)replace->apply.revision, "dry_run", dry_run ? 1 : 0, "added",
			  (json_int_t)replace->added, "changed", (json_int_t)replace->changed,
			  "removed", (json_int_t)replace->removed_count, "unchanged",
			  (json_int_t)(replace->wanted_count - replace->added - replace->changed),
			  "lint", advice));
}

static void finish(struct call *call, struct replace *replace)
{
	int code = replace->apply.job.code;

	if (code == ERR_OK)
		reply(call, replace, false);
	else
		call_error(call, code, &replace->apply.job.why);
}

static void replaced(struct call *call)
{
	struct replace *replace = call->work;

	/* "*" asks for no certain version; an ETag that is stale by now is refused in the round. */
	if (replace->apply.job.code == ERR_STALE && ++replace->rounds < ROUNDS_MAX) {
		whitelist_release(&replace->before);
		replace_round(call, replace);
		return;
	}
	finish(call, replace);
	whitelist_release(&replace->before);
}

static void replace_round(struct call *call, struct replace *replace)
{
	bool dry_run = call_param(call, "dry_run") != NULL;
	int64_t revision = 0;
	bool ready = compare_with_present(call, replace, &revision);

	if (ready)
		make_changes(call, replace);
	mem_free(replace->removed);
	replace->removed = NULL;
	replace->removed_room = 0;
	if (!ready)
		return;
	replace->apply.revision = revision;
	if (dry_run) {
		reply(call, replace, true);
		return;
	}
	replace->apply.expect_list_revision = revision;
	replace->apply.actor = call->caller.actor;
	replace->before = whitelist_acquire(call->api->env.whitelist);
	call->work = replace;
	call_submit(call, queue_whitelist_apply, &replace->apply.job, replaced);
}

static void check_dry_run(struct call *call)
{
	const char *text = call_param(call, "dry_run");

	if (text != NULL && strcmp(text, "true") != 0)
		call_mistake(call, "dry_run", "true, or not given");
}

void handle_whitelist_replace(struct call *call)
{
	struct replace *replace = arena_zalloc(call->arena, sizeof(*replace));

	replace->scope = call->caller.scope;
	replace->apply.now = clock_steady_wall_ms();
	check_dry_run(call);
	read_entries(call, replace);
	if (call->mistakes == NULL)
		sort(call, replace);
	if (!call_refused(call))
		replace_round(call, replace);
}
