/* admin/metrics_delivery.c - numbers of what leaves: routes, breaker, policy hook */
#include "admin/metrics.h"

#include "admin/delivery.h"
#include "queue/act.h"

/* What kind of trouble it was that deferred or failed them. */
static void add_troubles(struct buf *out, const struct admin_route_status *route)
{
	for (size_t i = 0; i < route->trouble_count; i++)
		metric_row(out, "stagepost_troubles_total",
			   METRIC_LABELS({"route", route->name}, {"kind", route->troubles[i].kind}),
			   (int64_t)route->troubles[i].count);
}

static void add_attempts(struct buf *out, const struct admin_route_status *route)
{
	const struct {
		const char *outcome;
		uint64_t count;
	} outcomes[] = {{"delivered", route->delivered},
			{"deferred", route->deferred},
			{"failed", route->failed}};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		metric_row(out, "stagepost_attempts_total",
			   METRIC_LABELS({"route", route->name}, {"outcome", outcomes[i].outcome}),
			   (int64_t)outcomes[i].count);
}

static void add_times(struct buf *out, const struct admin_route_status *routes, size_t count)
{
	static const char attempt[] = "stagepost_attempt_seconds";
	static const char delivery[] = "stagepost_delivery_seconds";

	metric_head(out, attempt, "histogram",
		    "A message on its way over a connection to a next hop, whatever the outcome.");
	for (size_t i = 0; i < count; i++)
		metric_histogram(out, attempt, METRIC_LABELS({"route", routes[i].name}),
				 &histogram_prompt, &routes[i].attempts);
	metric_head(out, delivery, "histogram",
		    "Recipients that were delivered: from acceptance until the next hop took it.");
	for (size_t i = 0; i < count; i++)
		metric_histogram(out, delivery, METRIC_LABELS({"route", routes[i].name}),
				 &histogram_patient, &routes[i].deliveries);
}

static void add_gauges(struct buf *out, const struct api *api,
		       const struct admin_route_status *routes, size_t count)
{
	metric_head(out, "stagepost_route_connections", "gauge", "Open connections to next hops.");
	for (size_t i = 0; i < count; i++)
		metric_labelled(out, "stagepost_route_connections", "route", routes[i].name,
				(int64_t)routes[i].connections);
	metric_head(out, "stagepost_route_busy_connections", "gauge",
		    "Those of them with a message under way.");
	for (size_t i = 0; i < count; i++)
		metric_labelled(out, "stagepost_route_busy_connections", "route", routes[i].name,
				(int64_t)routes[i].busy);
	metric_head(out, "stagepost_route_waiting_recipients", "gauge",
		    "Recipients about to be sent, or waiting for a connection.");
	for (size_t i = 0; i < count; i++)
		metric_labelled(out, "stagepost_route_waiting_recipients", "route", routes[i].name,
				(int64_t)routes[i].waiting);
	metric_head(out, "stagepost_route_paused", "gauge", "1: the route stands still.");
	for (size_t i = 0; i < count; i++)
		metric_labelled(out, "stagepost_route_paused", "route", routes[i].name,
				store_is_paused(api->env.store, routes[i].name) ? 1 : 0);
	metric_head(out, "stagepost_route_login_refused", "gauge",
		    "1: the next hop refuses the route's credentials.");
	for (size_t i = 0; i < count; i++)
		metric_labelled(out, "stagepost_route_login_refused", "route", routes[i].name,
				routes[i].login_refused ? 1 : 0);
}

static void add_routes(struct buf *out, const struct api *api)
{
	size_t count;
	struct admin_route_status *routes = delivery_routes(api, &count);

	metric_head(out, "stagepost_attempts_total", "counter",
		    "Recipients that were tried, by route and outcome.");
	for (size_t i = 0; i < count; i++)
		add_attempts(out, &routes[i]);
	metric_head(out, "stagepost_troubles_total", "counter",
		    "Recipients that were put off or failed, by route and kind of trouble.");
	for (size_t i = 0; i < count; i++)
		add_troubles(out, &routes[i]);
	add_times(out, routes, count);
	add_gauges(out, api, routes, count);
	mem_free(routes);
}

static void add_breaker(struct buf *out, const struct api *api)
{
	struct admin_breaker breaker;

	metric_number(out, "stagepost_delivery_paused", "gauge", "1: all of delivery stands still.",
		      store_is_paused(api->env.store, NULL) ? 1 : 0);
	if (api->env.ops == NULL || api->env.ops->breaker == NULL)
		return;
	api->env.ops->breaker(api->env.ctx, &breaker);
	metric_head(out, "stagepost_offered_recipients", "gauge",
		    "Recipients offered to next hops in the last minute and day.");
	metric_labelled(out, "stagepost_offered_recipients", "window", "minute", breaker.minute);
	metric_labelled(out, "stagepost_offered_recipients", "window", "day", breaker.day);
	metric_head(out, "stagepost_breaker_limit", "gauge",
		    "How many policy.breaker allows there; 0: any number.");
	metric_labelled(out, "stagepost_breaker_limit", "window", "minute", breaker.per_minute);
	metric_labelled(out, "stagepost_breaker_limit", "window", "day", breaker.per_day);
	metric_number(out, "stagepost_breaker_tripped", "gauge",
		      "1: the breaker paused delivery, and nobody has resumed it.",
		      breaker.tripped ? 1 : 0);
	metric_number(out, "stagepost_breaker_trips_total", "counter", "How often it did.",
		      (int64_t)breaker.trips);
}

static void add_rewritten(struct buf *out, const struct api *api)
{
	static const char name[] = "stagepost_header_fields_total";
	struct outbound_count count;

	if (api->env.ops == NULL || api->env.ops->rewritten == NULL)
		return;
	api->env.ops->rewritten(api->env.ctx, &count);
	metric_head(out, name, "counter",
		    "Header fields that left otherwise than they came, or not at all.");
	metric_labelled(out, name, "kind", "bcc", (int64_t)count.bcc);
	metric_labelled(out, name, "kind", "control", (int64_t)count.control);
	metric_labelled(out, name, "kind", "addresses", (int64_t)count.addresses);
	metric_labelled(out, name, "kind", "subject", (int64_t)count.subjects);
	metric_labelled(out, name, "kind", "signature", (int64_t)count.signatures);
}

static void add_hook(struct buf *out, const struct api *api)
{
	struct admin_hook hook = {.asks = false};

	if (api->env.ops == NULL || api->env.ops->hook == NULL)
		return;
	api->env.ops->hook(api->env.ctx, &hook);
	if (!hook.asks)
		return;
	metric_number(out, "stagepost_hook_reachable", "gauge",
		      "1: the policy hook answered the last request.", hook.reachable ? 1 : 0);
	metric_number(out, "stagepost_hook_requests_total", "counter",
		      "Requests to the policy hook.", (int64_t)hook.requests);
	metric_number(out, "stagepost_hook_cached_total", "counter",
		      "Questions that policy.hook.cache answered.", (int64_t)hook.cached);
	metric_head(out, "stagepost_hook_recipients_total", "counter",
		    "Recipients it was asked about, by what it said.");
	metric_labelled(out, "stagepost_hook_recipients_total", "decision", "deliver",
			(int64_t)hook.allowed);
	metric_labelled(out, "stagepost_hook_recipients_total", "decision", "drop",
			(int64_t)hook.dropped);
	metric_labelled(out, "stagepost_hook_recipients_total", "decision", "hold",
			(int64_t)hook.held);
	metric_labelled(out, "stagepost_hook_recipients_total", "decision", "redirect",
			(int64_t)hook.redirected);
	metric_labelled(out, "stagepost_hook_recipients_total", "decision", "none",
			(int64_t)hook.undecided);
}

void metrics_add_delivery(struct buf *out, const struct api *api)
{
	add_breaker(out, api);
	add_rewritten(out, api);
	add_hook(out, api);
	add_routes(out, api);
}
