/* admin/delivery.c - delivery, or one route of it, stands still or goes on */
#include "admin/delivery.h"

#include <string.h>

#include "admin/handlers.h"
#include "admin/view.h"
#include "base/clock.h"
#include "base/mem.h"
#include "queue/act.h"

#define REASON_MAX 200

/* --- as answers say it ------------------------------------------------------------- */

struct admin_route_status *delivery_routes(const struct api *api, size_t *count_out)
{
	const struct admin_ops *ops = api->env.ops;
	bool tells = ops != NULL && ops->routes != NULL;
	size_t room = tells ? ops->routes(api->env.ctx, NULL, 0) : 0;
	struct admin_route_status *statuses = mem_array(room + 1, sizeof(*statuses));
	size_t count = tells ? ops->routes(api->env.ctx, statuses, room) : 0;

	/* A reload may have come in between. */
	*count_out = count < room ? count : room;
	return statuses;
}

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? view_text(text) : json_null();
}

/* `route` NULL: all of delivery. */
static void set_pause(json_t *json, const struct api *api, const char *route, const char *reason)
{
	struct pause_view view = {.paused_at = 0};
	bool paused = store_pause_view(api->env.store, route, &view);

	(void)json_object_set_new(json, "paused", json_boolean(paused));
	(void)json_object_set_new(json, "paused_by", text_or_null(view.actor));
	(void)json_object_set_new(json, "paused_at", view_time(view.paused_at));
	(void)json_object_set_new(json, reason, text_or_null(view.reason));
}

void delivery_set_pause(json_t *json, const struct api *api, const char *route)
{
	set_pause(json, api, route, "pause_reason");
}

static json_t *view_breaker(const struct api *api)
{
	struct admin_breaker breaker;

	if (api->env.ops == NULL || api->env.ops->breaker == NULL)
		return json_null();
	api->env.ops->breaker(api->env.ctx, &breaker);
	return json_pack("{s:I, s:I, s:I, s:I, s:b}", "recipients_per_minute",
			 (json_int_t)breaker.per_minute, "recipients_per_day",
			 (json_int_t)breaker.per_day, "last_minute", (json_int_t)breaker.minute,
			 "last_day", (json_int_t)breaker.day, "tripped", breaker.tripped ? 1 : 0);
}

json_t *delivery_view(const struct api *api)
{
	size_t count;
	struct admin_route_status *statuses = delivery_routes(api, &count);
	json_t *json = json_object();
	json_t *routes = json_array();

	for (size_t i = 0; i < count; i++)
		if (store_is_paused(api->env.store, statuses[i].name))
			(void)json_array_append_new(routes, view_text(statuses[i].name));
	mem_free(statuses);
	set_pause(json, api, NULL, "reason");
	(void)json_object_set_new(json, "routes", routes);
	(void)json_object_set_new(json, "breaker", view_breaker(api));
	return json;
}

/* --- stop and go ------------------------------------------------------------------- */

static void pause_done(struct call *call)
{
	const struct pause *pause = call->work;

	if (pause->job.code != ERR_OK)
		call_error(call, pause->job.code, &pause->job.why);
	else
		call_reply(call, 200,
			   json_pack("{s:b, s:o}", "paused", pause->paused ? 1 : 0, "delivery",
				     delivery_view(call->api)));
}

static void set_paused(struct call *call, const char *route, bool paused)
{
	struct pause *pause = arena_zalloc(call->arena, sizeof(*pause));

	/* {} is as good as no body */
	call_only_members(call, paused ? "reason" : "");
	pause->reason = paused ? call_text(call, "reason", REASON_MAX) : NULL;
	if (call_refused(call))
		return;
	pause->route = route;
	pause->paused = paused;
	pause->actor = call->caller.actor;
	pause->now = clock_wall_ms();
	call->work = pause;
	call_submit(call, queue_pause, &pause->job, pause_done);
}

void handle_delivery_pause(struct call *call)
{
	set_paused(call, NULL, true);
}

void handle_delivery_resume(struct call *call)
{
	set_paused(call, NULL, false);
}

static bool route_exists(const struct call *call, const char *name)
{
	size_t count;
	struct admin_route_status *statuses = delivery_routes(call->api, &count);
	bool exists = false;

	for (size_t i = 0; i < count; i++)
		exists |= strcmp(statuses[i].name, name) == 0;
	mem_free(statuses);
	return exists;
}

static void set_route_paused(struct call *call, bool paused)
{
	const char *name = arena_span_dup(call->arena, call->id);

	/* A pause outlives its route, and can be ended: else it would meet the next of that name.
	 */
	if (route_exists(call, name) || (!paused && store_is_paused(call->api->env.store, name)))
		set_paused(call, name, paused);
	else
		call_problem(call, 404, "there is no such route");
}

void handle_route_pause(struct call *call)
{
	set_route_paused(call, true);
}

void handle_route_resume(struct call *call)
{
	set_route_paused(call, false);
}
