/* admin/rows.c - rows in an order of their own as a resource: list, add, change, remove */
#include "admin/rows.h"

#include <stdio.h>
#include <string.h>

#include "admin/problem.h"
#include "admin/routes.h"
#include "base/clock.h"

#define PATCH_ROUNDS 100

/* What a call needs while its change is with the store. */
struct work {
	const struct row_kind *kind;
	struct row_change change;
};

/* The copy of the row in an item of the edition. */
static const void *row_at(const struct edition *edition, size_t index)
{
	return (const char *)edition_item(edition, index) + edition->kind->row_offset;
}

/* Its id (0: of the configuration) or its revision. */
static int64_t number_at(const void *row, size_t offset)
{
	int64_t number;

	memcpy(&number, (const char *)row + offset, sizeof(number));
	return number;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* All of them, also those of the configuration: there is no second page. */
static void list_all(struct call *call, const struct row_kind *kind)
{
	const struct edition *edition = kind->acquire(call->api);
	json_t *items = json_array();

	for (size_t i = 0; i < edition->count; i++)
		(void)json_array_append_new(items, kind->view(edition, i, row_at(edition, i)));
	published_release(&edition);
	call_reply(call, 200, json_pack("{s:o, s:n}", "items", items, "next"));
}

/* The row of the store with this id; edition->count: there is none in force. */
static size_t find(const struct edition *edition, const struct row_kind *kind, int64_t id)
{
	size_t i = 0;

	while (i < edition->count) {
		const struct published_item *item = edition_item(edition, i);

		if (item->source == PUBLISHED_FROM_STORE &&
		    number_at(row_at(edition, i), kind->id_at) == id)
			break;
		i++;
	}
	return i;
}

/* The row of the path, copied into `change`. False: replied. `json_out` may be NULL. */
static bool find_row(struct call *call, const struct row_kind *kind, struct row_change *change,
		     json_t **json_out)
{
	const struct edition *edition;
	int64_t id;
	size_t at;
	bool found;

	if (!call_row_id(call, &id))
		return false;
	edition = kind->acquire(call->api);
	at = find(edition, kind, id);
	found = at < edition->count;
	if (found) {
		memcpy(change->row, row_at(edition, at), edition->kind->row_size);
		kind->keep(change->row, call->arena);
	}
	if (found && json_out != NULL)
		*json_out = kind->view(edition, at, row_at(edition, at));
	published_release(&edition);
	if (!found)
		call_problem(call, 404, "there is no such %s", kind->noun);
	return found;
}

static struct work *begin(struct call *call, const struct row_kind *kind,
			  enum ordered_operation operation)
{
	struct work *work = arena_zalloc(call->arena, sizeof(*work));
	void *apply = arena_zalloc(call->arena, kind->apply_size);

	work->kind = kind;
	work->change.job = apply;
	work->change.row = (char *)apply + kind->row_at;
	work->change.change = (void *)((char *)apply + kind->change_at);
	work->change.change->operation = operation;
	kind->init(work->change.row);
	return work;
}

static void get(struct call *call, const struct row_kind *kind)
{
	struct work *work = begin(call, kind, ORDERED_REPLACE);
	json_t *json;

	if (!find_row(call, kind, &work->change, &json))
		return;
	call_etag(call, number_at(work->change.row, kind->revision_at));
	call_reply(call, 200, json);
}

/* --- what is asked for -------------------------------------------------------------------------
 */

const char *rows_read_action(struct call *call)
{
	const char *action = call_text(call, "action", ROWS_TEXT_MAX);

	if (action == NULL && call_has_member(call, "action") && call->mistakes == NULL)
		call_mistake(call, "/action", "must be a string");
	return action;
}

void rows_read_bool(struct call *call, const char *name, bool *value)
{
	if (call_has_member(call, name))
		*value = call_bool(call, name);
}

void rows_read_text(struct call *call, const char *name, const char **text)
{
	const char *given = call_text(call, name, ROWS_TEXT_MAX);

	if (given != NULL)
		*text = given;
	else if (call_has_member(call, name))
		*text = "";
}

void rows_read_number(struct call *call, const char *name, int64_t usual, int64_t max,
		      int64_t *number)
{
	int64_t given = usual;

	if (call_number(call, name, 0, max, &given) || call_has_member(call, name))
		*number = given;
}

void rows_tell(void *ctx, const char *member, const char *sentence)
{
	struct call *call = ctx;

	call_mistake(call, arena_printf(call->arena, "/%s", member), "%s", sentence);
}

static const char *name_at(const void *row, size_t offset)
{
	const char *name;

	memcpy(&name, (const char *)row + offset, sizeof(name));
	return name;
}

/*
 * A name stands for one of them wherever it is told as the reason. False: the
 * configuration has it, and 409 was replied; that one can't be changed here.
 */
static bool is_free(struct call *call, const struct work *work)
{
	const struct row_kind *kind = work->kind;
	const struct edition *edition = kind->acquire(call->api);
	const char *name = name_at(work->change.row, kind->name_at);
	bool taken = false;

	for (size_t i = 0; !taken && i < edition->count; i++) {
		const struct published_item *item = edition_item(edition, i);

		taken = item->source == PUBLISHED_FROM_CONFIG &&
			strcmp(name_at(row_at(edition, i), kind->name_at), name) == 0;
	}
	published_release(&edition);
	if (taken)
		call_problem(call, 409, "a %s of the configuration has this name", kind->noun);
	return !taken;
}

static bool is_in_force(struct call *call, const struct row_kind *kind, int64_t id)
{
	const struct edition *edition = kind->acquire(call->api);
	bool found = find(edition, kind, id) < edition->count;

	published_release(&edition);
	return found;
}

/* Where it shall stand: in front of another one, or behind all (null, and nothing for a new one).
 */
static void read_place(struct call *call, struct work *work)
{
	struct ordered_change *change = work->change.change;
	int64_t before = 0;

	if (call_number(call, "before", 1, INT64_MAX, &before) &&
	    !is_in_force(call, work->kind, before))
		call_mistake(call, "/before", "there is no such %s", work->kind->noun);
	change->moves = call_has_member(call, "before");
	change->before_id = before;
}

/* --- changing -----------------------------------------------------------------------------------
 */

static void submit(struct call *call, struct work *work, void (*then)(struct call *call))
{
	work->change.change->actor = call->caller.actor;
	work->change.change->now = clock_steady_wall_ms();
	call->work = work;
	call_submit(call, work->kind->submit, work->change.job, then);
}

static void refuse(struct call *call, const struct work *work)
{
	const struct store_job *job = work->change.job;
	json_t *problem;

	if (job->code != ERR_CONFLICT) {
		call_error(call, job->code, &job->why);
		return;
	}
	problem = problem_new(
		409, arena_printf(call->arena, "another %s has this name", work->kind->noun));
	(void)json_object_set_new(problem, "existing_id",
				  json_integer(work->change.change->existing_id));
	call_reply_problem(call, 409, problem);
}

/* The counters as they stand beside what was stored. */
static json_t *view_stored(struct call *call, const struct work *work)
{
	const struct row_kind *kind = work->kind;
	const struct edition *edition = kind->acquire(call->api);
	const void *row = work->change.row;
	/* Somebody may have removed or changed it again: what was asked for is the answer. */
	json_t *json = kind->view(edition, find(edition, kind, number_at(row, kind->id_at)), row);

	published_release(&edition);
	return json;
}

static void add_done(struct call *call)
{
	const struct work *work = call->work;
	const struct row_kind *kind = work->kind;
	char location[80];

	if (work->change.job->code != ERR_OK) {
		refuse(call, work);
		return;
	}
	(void)snprintf(location, sizeof(location), "%s/%lld", kind->path,
		       (long long)number_at(work->change.row, kind->id_at));
	http_reply_header(call->http, "Location", location);
	call_etag(call, number_at(work->change.row, kind->revision_at));
	call_reply(call, 201, view_stored(call, work));
}

static void add(struct call *call, const struct row_kind *kind)
{
	struct work *work = begin(call, kind, ORDERED_ADD);

	call_only_members(call, kind->members);
	read_place(call, work);
	kind->read(call, &work->change);
	if (!call_refused(call) && is_free(call, work))
		submit(call, work, add_done);
}

static void patch_round(struct call *call, struct work *work);

static void patch_done(struct call *call)
{
	struct work *work = call->work;
	const struct store_job *job = work->change.job;

	/* Somebody else was faster, and this caller did not ask for a certain version. */
	if (job->code == ERR_STALE && !work->change.conditional) {
		if (++work->change.rounds < PATCH_ROUNDS)
			patch_round(call, work);
		else
			call_problem(call, 503, "the %s is being changed by others",
				     work->kind->noun);
		return;
	}
	if (job->code != ERR_OK) {
		refuse(call, work);
		return;
	}
	call_etag(call, number_at(work->change.row, work->kind->revision_at));
	call_reply(call, 200, view_stored(call, work));
}

/* Read, change, write: the row must still be the one that was read. */
static void patch_round(struct call *call, struct work *work)
{
	struct row_change *change = &work->change;
	int64_t revision;

	if (!find_row(call, work->kind, change, NULL))
		return;
	revision = number_at(change->row, work->kind->revision_at);
	if (!call_if_match(call, revision, &change->conditional))
		return;
	change->change->expect_revision = revision;
	read_place(call, work);
	work->kind->read(call, change);
	if (!call_refused(call) && (!call_has_member(call, "name") || is_free(call, work)))
		submit(call, work, patch_done);
}

static void patch(struct call *call, const struct row_kind *kind)
{
	struct work *work = begin(call, kind, ORDERED_REPLACE);

	call_only_members(call, kind->members);
	patch_round(call, work);
}

static void delete_done(struct call *call)
{
	const struct work *work = call->work;

	if (work->change.job->code != ERR_OK)
		refuse(call, work);
	else
		call_reply(call, 204, NULL);
}

static void remove_row(struct call *call, const struct row_kind *kind)
{
	struct work *work = begin(call, kind, ORDERED_REMOVE);
	struct row_change *change = &work->change;
	int64_t revision;

	if (!find_row(call, kind, change, NULL))
		return;
	revision = number_at(change->row, kind->revision_at);
	if (!call_if_match(call, revision, &change->conditional))
		return;
	change->change->expect_revision = change->conditional ? revision : 0;
	submit(call, work, delete_done);
}

void rows_handle(struct call *call, const struct row_kind *kind)
{
	const char *method = call->route->method;

	if (strcmp(method, "POST") == 0)
		add(call, kind);
	else if (strcmp(method, "PATCH") == 0)
		patch(call, kind);
	else if (strcmp(method, "DELETE") == 0)
		remove_row(call, kind);
	else if (call->id.len > 0)
		get(call, kind);
	else
		list_all(call, kind);
}
