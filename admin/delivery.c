/* admin/delivery.c - delivery, or one route of it, stands still or goes on */
#include "admin/handlers.h"

#include "base/clock.h"
#include "queue/act.h"

#define ROUTES_ASKED 64

static void pause_done(struct call *call)
{
	const struct pause *pause = call->work;

	if (pause->job.code != ERR_OK)
		call_error(call, pause->job.code, &pause->job.why);
	else
		call_reply(call, 200, json_pack("{s:b}", "paused", pause->paused ? 1 : 0));
}

static void set_paused(struct call *call, const char *route, bool paused)
{
	struct pause *pause = arena_zalloc(call->arena, sizeof(*pause));

	call_only_members(call, ""); /* {} is as good as no body */
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
	const struct admin_env *env = &call->api->env;
	struct admin_route_status statuses[ROUTES_ASKED];
	size_t count = 0;

	if (env->ops != NULL && env->ops->routes != NULL)
		count = env->ops->routes(env->ctx, statuses, ROUTES_ASKED);
	for (size_t i = 0; i < count; i++)
		if (strcmp(statuses[i].name, name) == 0)
			return true;
	return false;
}

static void set_route_paused(struct call *call, bool paused)
{
	const char *name = arena_span_dup(call->arena, call->id);

	if (route_exists(call, name))
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
