/* admin/whitelist.c - the whitelist as a resource: list, add, change, remove */
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/advice.h"
#include "admin/bulk.h"
#include "admin/entry.h"
#include "admin/page.h"
#include "admin/problem.h"
#include "admin/value.h"
#include "admin/view.h"
#include "base/clock.h"
#include "base/when.h"
#include "queue/whitelist.h"
#include "relay/filter/whitelist.h"

#define PATCH_ROUNDS 100 /* of others who changed the same entry in between */

/* --- reading ---------------------------------------------------------------------------------- */

static bool page_row(void *ctx, const struct entry *entry)
{
	if (page_is_full(ctx))
		return false;
	page_add(ctx, entry->id, view_entry(entry));
	return true;
}

static enum entry_action param_action(struct call *call)
{
	const char *action = call_param(call, "action");

	if (action == NULL)
		return (enum entry_action)0;
	if (strcmp(action, "allow") == 0)
		return ENTRY_ALLOW;
	if (strcmp(action, "deny") != 0)
		call_mistake(call, "action", "neither allow nor deny");
	return ENTRY_DENY;
}

void handle_whitelist_list(struct call *call)
{
	struct page page = page_of(call, CURSOR_WHITELIST);
	struct whitelist_query query = {
		.contains = call_param(call, "q"),
		.scope = call_param_scope(call),
		.action = param_action(call),
		.after_id = page.after,
		.limit = page.limit + 1,
	};
	int64_t revision = 0;
	struct err why;
	int code;

	if (call_refused(call))
		return;
	code = queue_whitelist_list(call_reader(call), &query, &revision, page_row, &page, &why);
	page_reply(call, &page, revision, code, &why);
}

struct found {
	struct arena *arena;
	struct entry entry;
};

/* The row's strings live during the callback only. */
static bool keep_row(void *ctx, const struct entry *entry)
{
	struct found *found = ctx;

	found->entry = *entry;
	found->entry.pattern = arena_strdup(found->arena, entry->pattern);
	found->entry.scope = arena_strdup(found->arena, entry->scope);
	found->entry.note = arena_strdup(found->arena, entry->note);
	found->entry.owner = arena_strdup(found->arena, entry->owner);
	found->entry.created_by = arena_strdup(found->arena, entry->created_by);
	return false;
}

/* The entry of the path, if the caller may know of it. False: replied. */
static bool find_entry(struct call *call, struct entry *entry_out)
{
	struct found found = {.arena = call->arena};
	struct err why;
	int64_t id;
	int code;

	if (!call_row_id(call, &id))
		return false;
	code = queue_whitelist_get(call_reader(call), id, keep_row, &found, &why);
	if (code != ERR_OK && code != ERR_NOT_FOUND) {
		call_error(call, code, &why);
		return false;
	}
	if (code == ERR_NOT_FOUND || found.entry.id == 0 ||
	    (call->caller.scope[0] != '\0' && strcmp(call->caller.scope, found.entry.scope) != 0)) {
		call_problem(call, 404, "there is no such entry");
		return false;
	}
	*entry_out = found.entry;
	return true;
}

void handle_whitelist_get(struct call *call)
{
	struct entry entry;

	if (!find_entry(call, &entry))
		return;
	call_etag(call, entry.revision);
	call_reply(call, 200, view_entry(&entry));
}

/* --- changing -----------------------------------------------------------------------------------
 */

struct change {
	struct whitelist_apply apply;
	struct whitelist_change line;
	struct entry
		entry;	  /* what is asked for: the store may point `line` at strings of its own */
	bool conditional; /* If-Match was given */
	int rounds;
	bool lint;				 /* the answer tells what the change means */
	const struct whitelist_snapshot *before; /* the list as it was; NULL: nobody asks */
	int64_t release_since; /* what was dropped since then goes by the new entry; 0: nothing */
};

/* A client that has gone is answered by nobody. */
static void forget_change(struct call *call)
{
	struct change *change = call->work;

	whitelist_release(&change->before);
}

static void submit_change(struct call *call, struct change *change, void (*then)(struct call *call))
{
	change->line.entry = change->entry;
	change->apply.changes = &change->line;
	change->apply.count = 1;
	change->apply.expect_list_revision = -1;
	change->apply.actor = call->caller.actor;
	call->work = change;
	if (change->lint) {
		change->before = whitelist_acquire(call->api->env.whitelist);
		call->forget = forget_change;
	}
	call_submit(call, queue_whitelist_apply, &change->apply.job, then);
}

/* The entry as it is now, and what that means. Takes `released`; NULL: nobody asked for it. */
static void reply_changed(struct call *call, int status, struct change *change, json_t *released)
{
	json_t *json;

	change->entry.id = change->line.entry.id;
	change->entry.expired_at = change->line.entry.expired_at;
	json = view_entry(&change->entry);
	(void)json_object_set_new(
		json, "lint",
		change->lint ? advice_of_entry(call, &change->entry, change->before) : json_null());
	if (released != NULL)
		(void)json_object_set_new(json, "released", released);
	whitelist_release(&change->before);
	call_etag(call, change->apply.revision);
	call_reply(call, status, json);
}

static void refuse_change(struct call *call, struct change *change)
{
	int code = change->apply.job.code;
	json_t *problem;

	whitelist_release(&change->before);
	if (code != ERR_CONFLICT) {
		call_error(call, code, &change->apply.job.why);
		return;
	}
	problem = problem_new(409, "this pattern is in the list already, with the same scope and "
				   "action");
	(void)json_object_set_new(problem, "existing_id", json_integer(change->line.existing_id));
	call_reply_problem(call, 409, problem);
}

/* The entry stands, whatever came of the rest: that is told beside it. */
static void release_done(struct call *call, struct bulk *bulk)
{
	const char *detail = bulk->code != ERR_OK ? bulk->why.text
			     : bulk->more	  ? "time was up: POST /recipients/release goes on"
			     : bulk->refused > 0  ? bulk->refusal.text
						  : NULL;

	reply_changed(call, 201, bulk->ctx,
		      json_pack("{s:I, s:I, s:b, s:s?}", "changed", (json_int_t)bulk->changed,
				"refused", (json_int_t)bulk->refused, "more", bulk->more ? 1 : 0,
				"detail", detail));
}

/* What every address has in it that the pattern covers; NULL: nothing is sure. */
static const char *part_of_address(struct call *call, const struct entry *entry)
{
	const char *at = strrchr(entry->pattern, '@');

	switch (entry->kind) {
	case ENTRY_EXACT:
	case ENTRY_SUBDOMAIN: return entry->pattern;
	case ENTRY_DOMAIN: return arena_printf(call->arena, "@%s", entry->pattern);
	case ENTRY_GLOB: return at != NULL ? at + (at[1] == '.' ? 1 : 0) : NULL;
	case ENTRY_ALL: break;
	}
	return NULL;
}

static void forget_release(struct call *call)
{
	struct bulk *bulk = call->work;
	struct change *change = bulk->ctx;

	bulk_forget(bulk);
	whitelist_release(&change->before);
}

/* Each is judged again in the writer, and goes only where it is this entry that lets it. */
static void release_dropped(struct call *call, struct change *change)
{
	struct bulk *bulk = arena_zalloc(call->arena, sizeof(*bulk));

	bulk->transition = TRANSITION_RELEASE;
	bulk->entry = change->line.entry.id;
	bulk->query.states = 1U << STATE_DROPPED;
	bulk->query.message.to = part_of_address(call, &change->entry);
	bulk->query.message.since = change->release_since;
	bulk->reason = arena_printf(call->arena, "released by entry %lld, %s",
				    (long long)change->line.entry.id, change->entry.pattern);
	bulk->time_ms = BULK_TIME_MS;
	bulk->then = release_done;
	bulk->ctx = change;
	call->work = bulk;
	call->forget = forget_release;
	bulk_run(call, bulk);
}

static void add_done(struct call *call)
{
	struct change *change = call->work;
	char location[64];

	if (change->apply.job.code != ERR_OK) {
		refuse_change(call, change);
		return;
	}
	(void)snprintf(location, sizeof(location), "/api/v1/whitelist/%lld",
		       (long long)change->line.entry.id);
	http_reply_header(call->http, "Location", location);
	if (change->release_since != 0)
		release_dropped(call, change);
	else
		reply_changed(call, 201, change, NULL);
}

/* A time, or how long ago. */
static int64_t read_release_since(struct call *call, int64_t now, enum entry_action action)
{
	const char *text = call_text(call, "release_dropped_since", 64);
	int64_t ms = 0;

	if (text == NULL)
		return 0;
	if (action == ENTRY_DENY)
		call_mistake(call, "/release_dropped_since",
			     "an entry that denies lets nothing go");
	if (when_parse_duration(span_of(text), &ms, NULL) == ERR_OK)
		return now - ms;
	if (when_parse(span_of(text), &ms, NULL) != ERR_OK || ms == 0)
		call_mistake(call, "/release_dropped_since",
			     "a time like 2026-11-21T10:20:30Z, or how long ago, like 2h");
	return ms;
}

void handle_whitelist_add(struct call *call)
{
	struct change *change = arena_zalloc(call->arena, sizeof(*change));
	struct entry *entry = &change->entry;
	bool allow_all = call_bool(call, "allow_all");

	change->line.operation = ENTRY_ADD;
	change->lint = call_param_flag(call, "lint", true);
	change->apply.now = clock_steady_wall_ms();
	entry->action = ENTRY_ALLOW;
	entry->created_at = change->apply.now;
	entry->created_by = call->caller.actor;
	call_only_members(call, ENTRY_MEMBERS " allow_all release_dropped_since");
	entry_read(call, entry, change->apply.now);
	change->release_since = read_release_since(call, change->apply.now, entry->action);
	if (entry->pattern == NULL && call->mistakes == NULL)
		call_mistake(call, "/pattern", "is needed");
	if (entry_lets_all_out(entry) && !allow_all)
		call_mistake(call, "/pattern",
			     "\"*\" lets everything out: it takes allow_all to mean it");
	if (!call_refused(call))
		submit_change(call, change, add_done);
}

static void patch_round(struct call *call, struct change *change);

static void patch_done(struct call *call)
{
	struct change *change = call->work;

	/* Somebody else was faster, and this caller did not ask for a certain version. */
	if (change->apply.job.code == ERR_STALE && !change->conditional) {
		whitelist_release(&change->before);
		if (++change->rounds < PATCH_ROUNDS)
			patch_round(call, change);
		else
			call_problem(call, 503, "the entry is being changed by others");
		return;
	}
	if (change->apply.job.code != ERR_OK) {
		refuse_change(call, change);
		return;
	}
	reply_changed(call, 200, change, NULL);
}

/* Read, change, write: the row must still be the one that was read. */
static void patch_round(struct call *call, struct change *change)
{
	struct entry *entry = &change->entry;
	bool let_all_out;

	change->apply.now = clock_steady_wall_ms();
	if (!find_entry(call, entry) || !call_if_match(call, entry->revision, &change->conditional))
		return;
	change->line.expect_revision = entry->revision;
	let_all_out = entry_lets_all_out(entry);
	entry_read(call, entry, change->apply.now);
	if (entry_lets_all_out(entry) && !let_all_out)
		call_mistake(call, "/pattern",
			     "\"*\" that allows is not made by a change: add it, with "
			     "\"allow_all\": true");
	if (!call_refused(call))
		submit_change(call, change, patch_done);
}

void handle_whitelist_patch(struct call *call)
{
	struct change *change = arena_zalloc(call->arena, sizeof(*change));

	change->line.operation = ENTRY_REPLACE;
	change->lint = call_param_flag(call, "lint", true);
	call_only_members(call, ENTRY_MEMBERS);
	patch_round(call, change);
}

/*
 * From now on nothing new passes by it. What was judged before may be at its
 * RCPT already: whoever removes an entry in a hurry is told (S156).
 */
static void delete_done(struct call *call)
{
	struct change *change = call->work;
	int64_t in_flight = 0;
	struct err why;

	if (change->apply.job.code != ERR_OK)
		refuse_change(call, change);
	else if (queue_in_flight(call_reader(call), change->entry.id, &in_flight, &why) != ERR_OK ||
		 in_flight == 0)
		call_reply(call, 204, NULL);
	else
		call_reply(call, 200,
			   json_pack("{s:I, s:s}", "in_flight", (json_int_t)in_flight, "detail",
				     "that many recipients it let through are being delivered; "
				     "whose RCPT is not said yet is not offered"));
}

void handle_whitelist_delete(struct call *call)
{
	struct change *change = arena_zalloc(call->arena, sizeof(*change));
	struct entry *entry = &change->entry;

	if (!find_entry(call, entry) || !call_if_match(call, entry->revision, &change->conditional))
		return;
	change->line.operation = ENTRY_REMOVE;
	change->line.expect_revision = change->conditional ? entry->revision : 0;
	change->apply.now = clock_steady_wall_ms();
	submit_change(call, change, delete_done);
}
