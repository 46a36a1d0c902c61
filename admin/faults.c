/* admin/faults.c - failures on demand as a resource: list, add, change, remove, in their order */
#include "admin/handlers.h"

#include <stdio.h>

#include "admin/problem.h"
#include "admin/view.h"
#include "base/clock.h"
#include "relay/filter/fault.h"

#define MEMBERS                                                                                    \
	"name enabled action stage recipient sender user scope code enhanced text delay_ms "       \
	"attempts after every times note before"
#define TEXT_MAX     1000
#define PATCH_ROUNDS 100 /* of others who changed the same rule in between */

/* --- reading ---------------------------------------------------------------------------------- */

/* All of them, also those of the configuration: there is no second page. */
void handle_fault_list(struct call *call)
{
	const struct fault_set *set = faults_acquire(call->api->env.faults);
	json_t *items = json_array();
	struct fault_view view;

	for (size_t i = 0; i < fault_set_count(set); i++) {
		fault_set_view(set, i, &view);
		(void)json_array_append_new(items, view_fault(&view));
	}
	faults_release(&set);
	call_reply(call, 200, json_pack("{s:o, s:n}", "items", items, "next"));
}

/* The rule of the store with this id. False: there is none in force. */
static bool find_view(const struct fault_set *set, int64_t id, struct fault_view *view_out)
{
	for (size_t i = 0; i < fault_set_count(set); i++) {
		fault_set_view(set, i, view_out);
		if (view_out->source == FAULT_FROM_STORE && view_out->fault->id == id)
			return true;
	}
	return false;
}

/* The rule with its strings in the call's arena: it outlives the set. */
static struct fault copy_fault(struct arena *arena, const struct fault *fault)
{
	struct fault copy = *fault;

	copy.name = arena_strdup(arena, fault->name);
	copy.recipient = arena_strdup(arena, fault->recipient);
	copy.sender = arena_strdup(arena, fault->sender);
	copy.user = arena_strdup(arena, fault->user);
	copy.scope = arena_strdup(arena, fault->scope);
	copy.enhanced = arena_strdup(arena, fault->enhanced);
	copy.reply = arena_strdup(arena, fault->reply);
	copy.note = arena_strdup(arena, fault->note);
	copy.created_by = arena_strdup(arena, fault->created_by);
	return copy;
}

/* The rule of the path. False: replied. `json_out` may be NULL. */
static bool find_fault(struct call *call, struct fault *fault_out, json_t **json_out)
{
	const struct fault_set *set;
	struct fault_view view;
	int64_t id;
	bool found;

	if (!call_row_id(call, &id))
		return false;
	set = faults_acquire(call->api->env.faults);
	found = find_view(set, id, &view);
	if (found)
		*fault_out = copy_fault(call->arena, view.fault);
	if (found && json_out != NULL)
		*json_out = view_fault(&view);
	faults_release(&set);
	if (!found)
		call_problem(call, 404, "there is no such fault rule");
	return found;
}

void handle_fault_get(struct call *call)
{
	struct fault fault;
	json_t *json;

	if (!find_fault(call, &fault, &json))
		return;
	call_etag(call, fault.revision);
	call_reply(call, 200, json);
}

/* --- changing -----------------------------------------------------------------------------------
 */

struct change {
	struct fault_apply apply;
	struct fault fault; /* what is asked for */
	bool conditional;   /* If-Match was given */
	int rounds;
};

static void submit_change(struct call *call, struct change *change, void (*then)(struct call *call))
{
	change->apply.fault = change->fault;
	change->apply.actor = call->caller.actor;
	change->apply.now = clock_steady_wall_ms();
	call->work = change;
	call_submit(call, queue_fault_apply, &change->apply.job, then);
}

static void refuse_change(struct call *call, const struct change *change)
{
	json_t *problem;

	if (change->apply.job.code != ERR_CONFLICT) {
		call_error(call, change->apply.job.code, &change->apply.job.why);
		return;
	}
	problem = problem_new(409, "another fault rule has this name");
	(void)json_object_set_new(problem, "existing_id", json_integer(change->apply.existing_id));
	call_reply_problem(call, 409, problem);
}

/* Null, and for a new rule nothing: as usual. */
static void read_text(struct call *call, const char *name, const char **text)
{
	const char *given = call_text(call, name, TEXT_MAX);

	if (given != NULL)
		*text = given;
	else if (call_has_member(call, name))
		*text = "";
}

static void read_count(struct call *call, const char *name, size_t usual, size_t *count)
{
	int64_t number = (int64_t)usual;

	if (call_number(call, name, 0, FAULT_COUNT_MAX, &number) || call_has_member(call, name))
		*count = (size_t)number;
}

static void read_names(struct call *call, struct fault *fault)
{
	const char *action = call_text(call, "action", TEXT_MAX);
	const char *stage = call_text(call, "stage", TEXT_MAX);

	if (action == NULL && call_has_member(call, "action") && call->mistakes == NULL)
		call_mistake(call, "/action", "must be a string");
	if (action != NULL && fault_action_parse(span_of(action), &fault->action) != ERR_OK)
		call_mistake(call, "/action", "reject, delay, disconnect, bounce or defer");
	if (stage != NULL && fault_stage_parse(span_of(stage), &fault->stage) != ERR_OK)
		call_mistake(call, "/stage", "mail, rcpt, data or end");
	else if (stage == NULL && call_has_member(call, "stage"))
		fault->stage = FAULT_AT_RCPT;
}

static void read_numbers(struct call *call, struct fault *fault)
{
	int64_t delay_ms = 0;

	read_count(call, "code", 0, &fault->code);
	read_count(call, "attempts", 1, &fault->attempts);
	read_count(call, "after", 0, &fault->skip);
	read_count(call, "every", 1, &fault->every);
	read_count(call, "times", 0, &fault->times);
	if (call_number(call, "delay_ms", 0, FAULT_DELAY_MAX_MS, &delay_ms) ||
	    call_has_member(call, "delay_ms"))
		fault->delay_ms = delay_ms;
	if (call_has_member(call, "enabled"))
		fault->enabled = call_bool(call, "enabled");
}

static void tell(void *ctx, const char *member, const char *sentence)
{
	struct call *call = ctx;
	const char *name = strcmp(member, "delay") == 0 ? "delay_ms" : member;

	call_mistake(call, arena_printf(call->arena, "/%s", name), "%s", sentence);
}

/* What the body says; the rest of the rule stays as it is. */
static void read_fault(struct call *call, struct fault *fault)
{
	read_names(call, fault);
	read_text(call, "name", &fault->name);
	read_text(call, "recipient", &fault->recipient);
	read_text(call, "sender", &fault->sender);
	read_text(call, "user", &fault->user);
	read_text(call, "scope", &fault->scope);
	read_text(call, "enhanced", &fault->enhanced);
	read_text(call, "text", &fault->reply);
	read_text(call, "note", &fault->note);
	read_numbers(call, fault);
	if (call->mistakes == NULL)
		(void)fault_check(fault, tell, call);
}

static bool is_in_force(struct call *call, int64_t id)
{
	const struct fault_set *set = faults_acquire(call->api->env.faults);
	struct fault_view view;
	bool found = find_view(set, id, &view);

	faults_release(&set);
	return found;
}

/* Where it shall stand: in front of another one, or behind all (null, and nothing for a new one).
 */
static void read_place(struct call *call, struct change *change)
{
	int64_t before = 0;

	if (call_number(call, "before", 1, INT64_MAX, &before) && !is_in_force(call, before))
		call_mistake(call, "/before", "there is no such fault rule");
	change->apply.moves = call_has_member(call, "before");
	change->apply.before_id = before;
}

/* The counters as they stand beside what was stored. */
static json_t *view_stored(struct call *call, const struct fault *stored)
{
	const struct fault_set *set = faults_acquire(call->api->env.faults);
	struct fault_view view;
	json_t *json;

	/* Somebody may have removed or changed it again: what was asked for is the answer. */
	if (!find_view(set, stored->id, &view))
		view = (struct fault_view){.source = FAULT_FROM_STORE};
	view.fault = stored;
	json = view_fault(&view);
	faults_release(&set);
	return json;
}

static void add_done(struct call *call)
{
	struct change *change = call->work;
	char location[64];

	if (change->apply.job.code != ERR_OK) {
		refuse_change(call, change);
		return;
	}
	change->fault.id = change->apply.fault.id;
	change->fault.created_at = change->apply.fault.created_at;
	change->fault.created_by = call->caller.actor;
	(void)snprintf(location, sizeof(location), "/api/v1/faults/%lld",
		       (long long)change->fault.id);
	http_reply_header(call->http, "Location", location);
	call_etag(call, change->apply.fault.revision);
	call_reply(call, 201, view_stored(call, &change->fault));
}

void handle_fault_add(struct call *call)
{
	struct change *change = arena_zalloc(call->arena, sizeof(*change));

	change->apply.operation = FAULT_ADD;
	fault_init(&change->fault);
	call_only_members(call, MEMBERS);
	read_place(call, change);
	read_fault(call, &change->fault);
	if (!call_refused(call))
		submit_change(call, change, add_done);
}

static void patch_round(struct call *call, struct change *change);

static void patch_done(struct call *call)
{
	struct change *change = call->work;

	/* Somebody else was faster, and this caller did not ask for a certain version. */
	if (change->apply.job.code == ERR_STALE && !change->conditional) {
		if (++change->rounds < PATCH_ROUNDS)
			patch_round(call, change);
		else
			call_problem(call, 503, "the fault rule is being changed by others");
		return;
	}
	if (change->apply.job.code != ERR_OK) {
		refuse_change(call, change);
		return;
	}
	call_etag(call, change->apply.fault.revision);
	call_reply(call, 200, view_stored(call, &change->fault));
}

/* Read, change, write: the rule must still be the one that was read. */
static void patch_round(struct call *call, struct change *change)
{
	struct fault *fault = &change->fault;

	if (!find_fault(call, fault, NULL) ||
	    !call_if_match(call, fault->revision, &change->conditional))
		return;
	change->apply.expect_revision = fault->revision;
	read_place(call, change);
	read_fault(call, fault);
	if (!call_refused(call))
		submit_change(call, change, patch_done);
}

void handle_fault_patch(struct call *call)
{
	struct change *change = arena_zalloc(call->arena, sizeof(*change));

	change->apply.operation = FAULT_REPLACE;
	call_only_members(call, MEMBERS);
	patch_round(call, change);
}

static void delete_done(struct call *call)
{
	const struct change *change = call->work;

	if (change->apply.job.code != ERR_OK)
		refuse_change(call, change);
	else
		call_reply(call, 204, NULL);
}

void handle_fault_delete(struct call *call)
{
	struct change *change = arena_zalloc(call->arena, sizeof(*change));
	struct fault *fault = &change->fault;

	if (!find_fault(call, fault, NULL) ||
	    !call_if_match(call, fault->revision, &change->conditional))
		return;
	change->apply.operation = FAULT_REMOVE;
	change->apply.expect_revision = change->conditional ? fault->revision : 0;
	submit_change(call, change, delete_done);
}
