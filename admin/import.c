/* admin/import.c - many entries at once, in the formats people have them, and the whole list (PUT)
 */
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/advice.h"
#include "admin/plan.h"
#include "admin/problem.h"
#include "admin/view.h"
#include "base/clock.h"
#include "queue/whitelist.h"
#include "relay/filter/listing.h"
#include "relay/filter/whitelist.h"

#define ROUNDS_MAX 100	/* of others who changed the list in between */
#define SHOWN_MAX  1000 /* entries in the answer of a dry run */

/* Reading the text and comparing it take long and happen in labour. */
struct import {
	struct whitelist_apply apply;
	struct whitelist_intake intake; /* instead, for very many lines */
	enum listing_format format;
	struct listing_options options;
	struct listing *listing;
	json_t *problem; /* mistakes in the text */
	struct plan plan;
	int code; /* of making it */
	struct err why;
	bool dry_run;
	bool conditional;
	int rounds;
	const struct whitelist_snapshot *before; /* NULL until it is to be changed */
	json_t *advice;				 /* NULL: none */
};

/* --- what is asked for --- */

/* Said, or what the body is called. */
static void read_format(struct call *call, struct import *import)
{
	const char *name = call_param(call, "format");
	struct span type = span_of(http_header(call->http, "Content-Type", NULL));

	type = span_trim(span_first(type, span_find(type, ';')));
	if (name != NULL) {
		if (!listing_format_find(span_of(name), &import->format))
			call_mistake(call, "format", "none of " LISTING_FORMATS);
		return;
	}
	import->format = span_is_fold(type, "application/json") ? LISTING_JSON
			 : span_is_fold(type, "text/csv")	? LISTING_CSV
								: LISTING_TEXT;
}

static void read_mode(struct call *call, struct import *import)
{
	const char *mode = call_param(call, "mode");

	import->plan.kind = PLAN_ADD;
	if (mode != NULL && strcmp(mode, "update") == 0)
		import->plan.kind = PLAN_UPDATE;
	else if (mode != NULL && strcmp(mode, "add") != 0)
		call_mistake(call, "mode", "neither add nor update");
}

static void read_scope(struct call *call, struct import *import)
{
	import->options.scope = call_param_scope(call);
	import->options.only_scope = call->caller.scope[0] != '\0';
	if (import->options.scope != NULL && !call_is_scope(import->options.scope))
		call_mistake(call, "scope", "only letters, digits, '.', '_' and '-'");
}

/* --- reading --- */

static void on_mistake(void *ctx, const struct listing_mistake *mistake)
{
	struct import *import = ctx;
	char text[sizeof(mistake->why.text) + 64];
	json_t *errors;
	json_t *last;

	if (mistake->line == 0)
		(void)snprintf(text, sizeof(text), "%s", mistake->why.text);
	else if (mistake->column == 0)
		(void)snprintf(text, sizeof(text), "line %zu: %s", mistake->line,
			       mistake->why.text);
	else
		(void)snprintf(text, sizeof(text), "line %zu, column %zu: %s", mistake->line,
			       mistake->column, mistake->why.text);
	if (import->problem == NULL)
		import->problem = problem_new(400, text);
	problem_add(import->problem, mistake->pointer, text);
	errors = json_object_get(import->problem, "errors");
	last = json_array_get(errors, json_array_size(errors) - 1);
	if (mistake->line > 0)
		(void)json_object_set_new(last, "line", json_integer((json_int_t)mistake->line));
	if (mistake->column > 0)
		(void)json_object_set_new(last, "column",
					  json_integer((json_int_t)mistake->column));
}

static void read_and_plan(struct call *call)
{
	struct import *import = call->work;

	if (atomic_load(&call->api->stopping)) {
		import->code = err_set(&import->why, ERR_CLOSED, "the relay is stopping");
		return;
	}
	if (import->listing == NULL)
		(void)listing_read(import->format, http_body(call->http), &import->options,
				   on_mistake, import, &import->listing);
	if (import->listing == NULL)
		return;
	import->plan.listing = import->listing;
	import->code = plan_make(&import->plan, call_reader(call), &import->why);
	import->apply.changes = import->plan.changes;
	import->apply.count = import->plan.count;
	if (import->code == ERR_OK && import->dry_run)
		import->advice = advice_of_plan(call, import->plan.changes, import->plan.count);
}

/* --- answering --- */

static json_t *view_changes(const struct plan *plan)
{
	json_t *entries = json_array();

	for (size_t i = 0; i < plan->count && json_array_size(entries) < SHOWN_MAX; i++)
		if (plan->changes[i].operation != ENTRY_REMOVE)
			(void)json_array_append_new(entries, view_entry(&plan->changes[i].entry));
	return entries;
}

static size_t count_expired(const struct import *import)
{
	size_t expired = 0;

	for (size_t i = 0; i < listing_count(import->listing); i++) {
		const struct entry *entry = listing_entry(import->listing, i);

		expired += entry->expires_at != 0 && entry->expires_at <= import->apply.now;
	}
	return expired;
}

static void answer(struct call *call, const struct import *import, int64_t revision)
{
	const struct plan *plan = &import->plan;
	size_t count = listing_count(import->listing);
	json_t *json =
		json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "dry_run",
			  import->dry_run, "format", listing_format_name(import->format), "entries",
			  (json_int_t)count, "added", (json_int_t)plan->added, "changed",
			  (json_int_t)plan->changed, "removed", (json_int_t)plan->removed,
			  "unchanged", (json_int_t)(count - plan->added - plan->changed),
			  "repeated", (json_int_t)listing_repeats(import->listing), "expired",
			  (json_int_t)count_expired(import), "revision", (json_int_t)revision);

	if (import->dry_run)
		(void)json_object_set_new(json, "changes", view_changes(plan));
	(void)json_object_set(json, "lint", import->advice != NULL ? import->advice : json_null());
	call_etag(call, revision);
	call_reply(call, 200, json);
}

static void was_planned(struct call *call);

static void advise(struct call *call)
{
	struct import *import = call->work;

	import->advice =
		advice_of_change(call, import->apply.changes, import->apply.count, import->before);
}

static void was_advised(struct call *call)
{
	const struct import *import = call->work;

	answer(call, import, import->apply.revision);
}

static void was_applied(struct call *call)
{
	struct import *import = call->work;
	int code = import->apply.job.code;

	/* Somebody else was faster; whoever asked for a certain version hears it in the round. */
	if (code == ERR_STALE && ++import->rounds < ROUNDS_MAX) {
		whitelist_release(&import->before);
		call_labour(call, read_and_plan, was_planned);
	} else if (code == ERR_STALE) {
		call_problem(call, 503, "the list is being changed by others");
	} else if (code != ERR_OK) {
		call_error(call, code, &import->apply.job.why);
	} else {
		call_labour(call, advise, was_advised);
	}
}

static int take_step(struct call *call, struct whitelist_intake *intake,
		     void (*submit)(struct store *, struct store_job *), struct err *why)
{
	if (atomic_load(&call->api->stopping))
		return err_set(why, ERR_CLOSED, "the relay is stopping");
	return store_wait(call->api->env.store, submit, &intake->job, why);
}

/* In labour: steps that others go in between, however many there are. */
static int take_in(struct call *call, struct whitelist_intake *intake, struct err *why)
{
	struct whitelist *list = call->api->env.whitelist;
	struct whitelist_prepared *prepared = NULL;
	int code = ERR_OK;

	while (code == ERR_OK && intake->written < intake->count)
		code = take_step(call, intake, queue_whitelist_write, why);
	if (code == ERR_OK)
		prepared = whitelist_prepare(list, intake->changes, intake->count);
	intake->prepared = prepared;
	do {
		if (code == ERR_OK)
			code = take_step(call, intake, queue_whitelist_commit, why);
	} while (code == ERR_OK && intake->again);
	if (code != ERR_OK) {
		whitelist_prepared_free(&prepared);
		/* Where that fails too the next start gives it up. */
		(void)store_wait(call->api->env.store, queue_whitelist_give_up, &intake->job, NULL);
	}
	return code;
}

static void apply_many(struct call *call)
{
	struct import *import = call->work;
	struct whitelist_apply *apply = &import->apply;

	import->intake = (struct whitelist_intake){.changes = apply->changes,
						   .count = apply->count,
						   .since_revision = import->plan.revision,
						   .is_exclusive = import->conditional,
						   .actor = apply->actor,
						   .now = apply->now};
	apply->job.code = take_in(call, &import->intake, &apply->job.why);
	apply->revision = import->intake.revision;
}

static void was_planned(struct call *call)
{
	struct import *import = call->work;

	if (import->problem != NULL) {
		json_t *problem = import->problem;

		import->problem = NULL;
		call_reply_problem(call, 400, problem);
	} else if (import->code != ERR_OK) {
		call_error(call, import->code, &import->why);
	} else if (!call_if_match(call, import->plan.revision, &import->conditional)) {
		return;
	} else if (import->plan.kind == PLAN_REPLACE && !import->conditional) {
		call_problem(call, 428,
			     "this replaces the whole list: say If-Match with the ETag of the list "
			     "that was read");
	} else if (import->dry_run || import->apply.count == 0) {
		answer(call, import, import->plan.revision);
	} else {
		import->apply.expect_list_revision = import->plan.revision;
		import->apply.actor = call->caller.actor;
		import->before = whitelist_acquire(call->api->env.whitelist);
		if (import->apply.count > WHITELIST_INTAKE_LEAST)
			call_labour(call, apply_many, was_applied);
		else
			call_submit(call, queue_whitelist_apply, &import->apply.job, was_applied);
	}
}

static void forget(struct call *call)
{
	struct import *import = call->work;

	plan_release(&import->plan);
	listing_free(&import->listing);
	json_decref(import->problem);
	json_decref(import->advice);
	whitelist_release(&import->before);
}

static void start(struct call *call, struct import *import)
{
	import->apply.now = clock_steady_wall_ms();
	import->options.now = import->apply.now;
	import->plan.scope = call->caller.scope;
	if (call_refused(call))
		return;
	call->work = import;
	call->forget = forget;
	call_labour(call, read_and_plan, was_planned);
}

void handle_whitelist_import(struct call *call)
{
	struct import *import = arena_zalloc(call->arena, sizeof(*import));

	read_format(call, import);
	read_mode(call, import);
	read_scope(call, import);
	import->dry_run = call_param_flag(call, "dry_run", false);
	import->options.allow_all = call_param_flag(call, "allow_all", false);
	start(call, import);
}

void handle_whitelist_replace(struct call *call)
{
	struct import *import = arena_zalloc(call->arena, sizeof(*import));

	import->format = LISTING_JSON;
	import->plan.kind = PLAN_REPLACE;
	import->options.scope = call->caller.scope;
	import->options.only_scope = call->caller.scope[0] != '\0';
	import->dry_run = call_param_flag(call, "dry_run", false);
	start(call, import);
}
