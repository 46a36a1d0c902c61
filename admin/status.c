/* admin/status.c - is it alive, is it ready, how is it doing */
#include "admin/handlers.h"

#include "admin/delivery.h"
#include "admin/openapi.h"
#include "admin/view.h"
#include "base/clock.h"
#include "queue/act.h"
#include "queue/measure.h"
#include "queue/retention.h"
#include "queue/space.h"

#define HOSTS_SHOWN  64
#define LEAVING_MAX  1000
#define SETTINGS_MAX ((size_t)16 * 1024 * 1024)

void handle_healthz(struct call *call)
{
	call_reply(call, 200, json_pack("{s:s}", "status", "ok"));
}

static bool front_door_open(const struct api *api)
{
	struct admin_numbers numbers = {0};

	if (api->env.ops == NULL || api->env.ops->numbers == NULL)
		return true;
	api->env.ops->numbers(api->env.ctx, &numbers);
	return numbers.accepting;
}

/* No addresses, no settings: anybody may ask (CASES S313). */
void handle_readyz(struct call *call)
{
	if (store_is_failed(call->api->env.store))
		call_problem(call, 503, "the queue can't be written");
	else if (!front_door_open(call->api))
		call_problem(call, 503, "mail is not accepted now");
	else
		call_reply(call, 200, json_pack("{s:s}", "status", "ready"));
}

static json_t *view_troubles(const struct admin_route_status *status)
{
	json_t *json = json_object();

	for (size_t i = 0; i < status->trouble_count; i++)
		if (status->troubles[i].count > 0)
			(void)json_object_set_new(
				json, status->troubles[i].kind,
				json_integer((json_int_t)status->troubles[i].count));
	return json;
}

static json_t *view_host(const struct admin_host_status *host)
{
	return json_pack("{s:o, s:I, s:b, s:o, s:o, s:o}", "host", view_text(host->host),
			 "connections", (json_int_t)host->connections, "well", host->well ? 1 : 0,
			 "resting_until", view_time(host->resting_until), "last_error",
			 host->last_error[0] != '\0' ? view_text(host->last_error) : json_null(),
			 "last_error_at", view_time(host->last_error_at));
}

static json_t *list_hosts(const struct api *api, const char *route)
{
	struct admin_host_status hosts[HOSTS_SHOWN];
	json_t *list = json_array();
	size_t count = 0;

	if (api->env.ops != NULL && api->env.ops->hosts != NULL)
		count = api->env.ops->hosts(api->env.ctx, route, hosts, HOSTS_SHOWN);
	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(list, view_host(&hosts[i]));
	return list;
}

static json_t *view_route(const struct api *api, const struct admin_route_status *status)
{
	json_t *json = json_pack(
		"{s:o, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o, s:o}", "name",
		view_text(status->name), "connections", (json_int_t)status->connections, "busy",
		(json_int_t)status->busy, "delivered", (json_int_t)status->delivered, "deferred",
		(json_int_t)status->deferred, "failed", (json_int_t)status->failed, "login_refused",
		status->login_refused ? 1 : 0, "troubles", view_troubles(status), "last_error",
		status->last_error[0] != '\0' ? view_text(status->last_error) : json_null(),
		"last_error_at", view_time(status->last_error_at));

	(void)json_object_set_new(json, "waiting", json_integer((json_int_t)status->waiting));
	(void)json_object_set_new(json, "hosts", list_hosts(api, status->name));
	delivery_set_pause(json, api, status->name);
	return json;
}

static json_t *list_routes(const struct api *api)
{
	size_t count;
	struct admin_route_status *statuses = delivery_routes(api, &count);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(list, view_route(api, &statuses[i]));
	mem_free(statuses);
	return list;
}

void handle_routes(struct call *call)
{
	call_reply(call, 200,
		   json_pack("{s:o, s:n, s:o}", "items", list_routes(call->api), "next", "delivery",
			     delivery_view(call->api)));
}

static void add_text(void *list, const char *text)
{
	(void)json_array_append_new(list, view_text(text));
}

static json_t *view_whitelist(struct whitelist *whitelist)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(whitelist);
	json_t *json = json_pack("{s:I, s:I, s:b}", "revision",
				 (json_int_t)whitelist_revision(snapshot), "entries",
				 (json_int_t)whitelist_size(snapshot), "allows_all",
				 whitelist_allows_all(snapshot) ? 1 : 0);

	whitelist_release(&snapshot);
	return json;
}

static json_t *view_faults(struct faults *faults)
{
	const struct edition *set = faults_acquire(faults);
	struct fault_view view;
	json_int_t enabled = 0;
	json_int_t strikes = 0;

	for (size_t i = 0; i < set->count; i++) {
		fault_set_view(set, i, &view);
		enabled += view.fault->enabled ? 1 : 0;
		strikes += (json_int_t)view.strikes;
	}
	published_release(&set);
	return json_pack("{s:I, s:I}", "enabled", enabled, "strikes", strikes);
}

static json_t *view_hook(const struct admin_hook *hook, const struct queue_stats *stats)
{
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
			 "dialect", hook->dialect, "reachable", hook->reachable ? 1 : 0, "waiting",
			 (json_int_t)stats->by_state[STATE_SCREENING], "requests",
			 (json_int_t)hook->requests, "cached", (json_int_t)hook->cached, "allowed",
			 (json_int_t)hook->allowed, "dropped", (json_int_t)hook->dropped, "held",
			 (json_int_t)hook->held, "redirected", (json_int_t)hook->redirected,
			 "undecided", (json_int_t)hook->undecided, "last_answer_at",
			 view_time(hook->last_answer_at), "resting_until",
			 view_time(hook->resting_until), "last_error",
			 hook->last_error[0] != '\0' ? view_text(hook->last_error) : json_null(),
			 "last_error_at", view_time(hook->last_error_at));
}

/* null: nobody is asked. */
static void set_hook(json_t *json, const struct api *api)
{
	struct admin_hook hook = {.asks = false};
	struct queue_stats stats;

	if (api->env.ops == NULL || api->env.ops->hook == NULL)
		return;
	store_stats(api->env.store, &stats);
	api->env.ops->hook(api->env.ctx, &hook);
	(void)json_object_set_new(json, "hook", hook.asks ? view_hook(&hook, &stats) : json_null());
}

static json_t *view_rules(struct rules *rules)
{
	const struct edition *edition = rules_acquire(rules);
	json_t *overriding = json_array();
	json_int_t enabled = 0;
	struct rule_view view;

	for (size_t i = 0; i < edition->count; i++) {
		rule_view(edition, i, &view);
		enabled += view.rule->enabled ? 1 : 0;
		if (view.rule->enabled && view.rule->overrides_whitelist)
			add_text(overriding, view.rule->name);
	}
	published_release(&edition);
	return json_pack("{s:I, s:o}", "enabled", enabled, "overriding", overriding);
}

static json_t *view_queue(struct store *store)
{
	struct queue_stats stats;

	store_stats(store, &stats);
	return json_pack("{s:I, s:I, s:o, s:o}", "messages", (json_int_t)stats.messages, "bytes",
			 (json_int_t)stats.bytes, "recipients", view_states(stats.by_state),
			 "oldest_due_at", view_time(stats.oldest_due_at));
}

/* NULL: new mail is taken. */
static const char *limit_name(enum space_limit limit)
{
	switch (limit) {
	case SPACE_DISK: return "disk";
	case SPACE_BYTES: return "max_bytes";
	case SPACE_MESSAGES: return "max_messages";
	case SPACE_THERE: break;
	}
	return NULL;
}

static json_t *view_space(struct store *store)
{
	struct store_space space;

	store_space(store, &space);
	return json_pack(
		"{s:I, s:I, s:I, s:o, s:I, s:I, s:s?}", "database_bytes",
		(json_int_t)space.database_bytes, "unused_bytes", (json_int_t)space.unused_bytes,
		"log_bytes", (json_int_t)space.log_bytes, "disk_free_bytes",
		space.disk_free_bytes >= 0 ? json_integer(space.disk_free_bytes) : json_null(),
		"max_bytes", (json_int_t)space.max_bytes, "max_messages",
		(json_int_t)space.max_messages, "full", limit_name(space.full));
}

/* In seconds; null: for ever. */
static json_t *view_age(int64_t age_ms)
{
	return age_ms > 0 ? json_real((double)age_ms / 1000) : json_null();
}

static json_t *view_retention(struct store *store)
{
	struct retention_status status;

	store_retention(store, &status);
	return json_pack(
		"{s:{s:o, s:o, s:o, s:o}, s:{s:I, s:I, s:I}, s:o, s:I}", "ages", "delivered",
		view_age(status.options.delivered_ms), "dropped",
		view_age(status.options.dropped_ms), "failed", view_age(status.options.failed_ms),
		"metadata", view_age(status.options.metadata_ms), "removed", "contents",
		(json_int_t)status.removed.contents, "messages",
		(json_int_t)status.removed.messages, "bytes", (json_int_t)status.removed.bytes,
		"removed_at", view_time(status.removed_at), "waits_seconds",
		(json_int_t)(status.waits_ms / 1000));
}

static void set_numbers(json_t *json, const struct api *api)
{
	struct admin_numbers numbers = {0};

	if (api->env.ops == NULL || api->env.ops->numbers == NULL)
		return;
	api->env.ops->numbers(api->env.ctx, &numbers);
	(void)json_object_set_new(json, "accepting", json_boolean(numbers.accepting));
	(void)json_object_set_new(json, "sessions", json_integer((json_int_t)numbers.sessions));
	(void)json_object_set_new(json, "accepted", json_integer((json_int_t)numbers.accepted));
	if (numbers.hostname[0] != '\0')
		(void)json_object_set_new(json, "hostname", view_text(numbers.hostname));
}

/* Recipients that came into a state since the start; stored are more, from before, or fewer. */
static json_t *view_reached(struct store *store)
{
	struct store_measures measures;
	int64_t reached[STATE_COUNT];

	store_measures(store, &measures);
	for (int state = 0; state < STATE_COUNT; state++)
		reached[state] = (int64_t)measures.entered[state];
	return view_states(reached);
}

static void set_lists(json_t *json, const struct api *api, json_t *warnings)
{
	const struct admin_ops *ops = api->env.ops;
	json_t *listeners = json_array();

	if (ops != NULL && ops->listeners != NULL)
		ops->listeners(api->env.ctx, add_text, listeners);
	if (ops != NULL && ops->warnings != NULL)
		ops->warnings(api->env.ctx, add_text, warnings);
	(void)json_object_set_new(json, "listeners", listeners);
	(void)json_object_set_new(json, "routes", list_routes(api));
	(void)json_object_set_new(json, "warnings", warnings);
}

static void set_leaving(json_t *json, const struct api *api)
{
	struct buf sentence;

	if (api->env.ops == NULL || api->env.ops->leaving == NULL)
		return;
	buf_init(&sentence, LEAVING_MAX);
	api->env.ops->leaving(api->env.ctx, &sentence);
	(void)json_object_set_new(json, "can_leave", view_span(buf_span(&sentence)));
	buf_release(&sentence);
}

/* What next hops said may name anybody's recipients. */
static void hide_errors(json_t *json)
{
	json_t *item;
	size_t i;

	if (json_object_get(json, "last_error") != NULL)
		(void)json_object_set_new(json, "last_error", json_null());
	json_array_foreach(json_object_get(json, "hosts"), i, item)
	{
		hide_errors(item);
	}
	json_array_foreach(json_object_get(json, "routes"), i, item)
	{
		hide_errors(item);
	}
}

void handle_status(struct call *call)
{
	const struct api *api = call->api;
	struct store *store = api->env.store;
	json_t *warnings = json_array();
	json_t *json = json_pack(
		"{s:o, s:o, s:o, s:o, s:b, s:b, s:b, s:o, s:o}", "version",
		view_text(api->env.version), "hostname", view_text(api->env.hostname), "started_at",
		view_time(api->env.started_at), "now", view_time(clock_wall_ms()), "delivering",
		!store_is_paused(store, NULL) && !store_is_failed(store) ? 1 : 0, "store_failed",
		store_is_failed(store) ? 1 : 0, "store_behind", store_is_behind(store) ? 1 : 0,
		"queue", view_queue(store), "whitelist", view_whitelist(api->env.whitelist));

	(void)json_object_set_new(json, "reached", view_reached(store));
	(void)json_object_set_new(json, "delivery", delivery_view(api));
	(void)json_object_set_new(json, "space", view_space(store));
	(void)json_object_set_new(json, "retention", view_retention(store));
	(void)json_object_set_new(
		json, "search",
		json_pack("{s:I}", "unindexed_messages", (json_int_t)store_unindexed(store)));
	(void)json_object_set_new(json, "faults", view_faults(api->env.faults));
	set_leaving(json, api);
	set_hook(json, api);
	(void)json_object_set_new(json, "rules", view_rules(api->env.rules));
	set_numbers(json, api);
	set_lists(json, api, warnings);
	if (call->caller.scope[0] != '\0') {
		hide_errors(json);
		hide_errors(json_object_get(json, "hook"));
	}
	call_reply(call, 200, json);
}

/* To be looked at: it is changed in its file, where a person can say why. */
void handle_settings(struct call *call)
{
	const struct api *api = call->api;
	struct buf text;

	if (api->env.ops == NULL || api->env.ops->settings == NULL) {
		call_problem(call, 404, "nobody here knows the configuration");
		return;
	}
	buf_init(&text, SETTINGS_MAX);
	api->env.ops->settings(api->env.ctx, &text);
	http_reply(call->http, 200, "application/yaml", &text); /* RFC 9512 */
	buf_release(&text);
}

void handle_openapi(struct call *call)
{
	struct buf text;

	buf_init(&text, openapi_len);
	(void)buf_append(&text, openapi_text, openapi_len);
	http_reply(call->http, 200, "application/json", &text);
	buf_release(&text);
}
