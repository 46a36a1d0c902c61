/* admin/metrics.c - numbers for Prometheus, in its text format */
#include "admin/handlers.h"

#include <inttypes.h>

#include "admin/delivery.h"
#include "admin/feed.h"
#include "base/clock.h"
#include "base/log.h"
#include "queue/act.h"
#include "queue/reader.h"
#include "queue/retention.h"
#include "queue/space.h"

#define TEXT_MAX ((size_t)4 << 20)
#define TYPE	 "text/plain; version=0.0.4; charset=utf-8"

/* --- the format -------------------------------------------------------------------- */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	(void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(struct buf *out, const char *name, const char *type, const char *help,
		   int64_t value)
{
	head(out, name, type, help);
	(void)buf_printf(out, "%s %" PRId64 "\n", name, value);
}

/* A label's value: names of ours hold nothing that needs it, but that is for others to know. */
static void add_escaped(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '"')
			(void)buf_append_char(out, '\\');
		if (*text == '\n')
			(void)buf_append_text(out, "\\n");
		else
			(void)buf_append_char(out, *text);
	}
}

static void labelled(struct buf *out, const char *name, const char *label, const char *value,
		     int64_t count)
{
	(void)buf_printf(out, "%s{%s=\"", name, label);
	add_escaped(out, value);
	(void)buf_printf(out, "\"} %" PRId64 "\n", count);
}

/* --- what there is -------------------------------------------------------------------- */

static void add_relay(struct buf *out, const struct api *api)
{
	struct admin_numbers numbers = {0};

	head(out, "stagepost_info", "gauge", "Always 1; the label is the version.");
	labelled(out, "stagepost_info", "version", api->env.version, 1);
	head(out, "stagepost_start_time_seconds", "gauge", "When it was started, since 1970.");
	(void)buf_printf(out, "stagepost_start_time_seconds %" PRId64 ".%03" PRId64 "\n",
			 api->env.started_at / 1000, api->env.started_at % 1000);
	number(out, "stagepost_store_failed", "gauge",
	       "1: nothing can be written to the queue any more.",
	       store_is_failed(api->env.store) ? 1 : 0);
	number(out, "stagepost_store_behind", "gauge", "1: sessions wait for the disk.",
	       store_is_behind(api->env.store) ? 1 : 0);
	if (api->env.ops == NULL || api->env.ops->numbers == NULL)
		return;
	api->env.ops->numbers(api->env.ctx, &numbers);
	number(out, "stagepost_accepting", "gauge", "1: the listeners take connections.",
	       numbers.accepting ? 1 : 0);
	number(out, "stagepost_sessions", "gauge", "SMTP sessions that are open.",
	       (int64_t)numbers.sessions);
	number(out, "stagepost_accepted_messages_total", "counter", "Messages answered 250.",
	       (int64_t)numbers.accepted);
}

static void add_queue(struct buf *out, struct store *store)
{
	struct queue_stats stats;
	int64_t now = clock_wall_ms(), age = 0;

	store_stats(store, &stats);
	number(out, "stagepost_queue_messages", "gauge", "Messages that are stored.",
	       stats.messages);
	number(out, "stagepost_queue_bytes", "gauge", "Their octets.", stats.bytes);
	head(out, "stagepost_queue_recipients", "gauge", "Recipients of them, by state.");
	for (int state = 1; state < STATE_COUNT; state++)
		labelled(out, "stagepost_queue_recipients", "state", state_name((enum state)state),
			 stats.by_state[state]);
	if (stats.oldest_due_at > 0 && stats.oldest_due_at < now)
		age = (now - stats.oldest_due_at) / 1000;
	number(out, "stagepost_queue_oldest_age_seconds", "gauge",
	       "How long the oldest message with a recipient still to be delivered is here.", age);
}

static void add_space(struct buf *out, struct store *store)
{
	static const char full[] = "stagepost_store_full";
	struct store_space space;

	store_space(store, &space);
	number(out, "stagepost_database_bytes", "gauge", "Size of the database.",
	       space.database_bytes);
	number(out, "stagepost_database_unused_bytes", "gauge",
	       "What is free in it, and given back in time.", space.unused_bytes);
	number(out, "stagepost_wal_bytes", "gauge", "Size of the database's log.", space.log_bytes);
	if (space.disk_free_bytes >= 0)
		number(out, "stagepost_disk_free_bytes", "gauge",
		       "Free on the disk that they are on.", space.disk_free_bytes);
	number(out, "stagepost_retention_max_bytes", "gauge",
	       "What retention lets the database hold; 0: any number.", space.max_bytes);
	number(out, "stagepost_retention_max_messages", "gauge",
	       "How many messages retention lets stay; 0: any number.", space.max_messages);
	head(out, full, "gauge", "1: new mail is refused for this reason.");
	labelled(out, full, "limit", "disk", space.full == SPACE_DISK);
	labelled(out, full, "limit", "max_bytes", space.full == SPACE_BYTES);
	labelled(out, full, "limit", "max_messages", space.full == SPACE_MESSAGES);
}

static void add_retention(struct buf *out, struct store *store)
{
	static const char removed[] = "stagepost_retention_removed_total";
	struct retention_status status;

	store_retention(store, &status);
	head(out, removed, "counter", "Messages that retention removed, whole or their content.");
	labelled(out, removed, "what", "content", status.removed.contents);
	labelled(out, removed, "what", "message", status.removed.messages);
	number(out, "stagepost_retention_removed_bytes_total", "counter",
	       "Octets of content of them.", status.removed.bytes);
	number(out, "stagepost_retention_waits_seconds", "gauge",
	       "The clock was set on: so long nothing is removed for its age.",
	       status.waits_ms / 1000);
}

/* What kind of trouble it was that deferred or failed them. */
static void add_troubles(struct buf *out, const struct admin_route_status *route)
{
	for (size_t i = 0; i < route->trouble_count; i++) {
		(void)buf_append_text(out, "stagepost_troubles_total{route=\"");
		add_escaped(out, route->name);
		(void)buf_append_text(out, "\",kind=\"");
		add_escaped(out, route->troubles[i].kind);
		(void)buf_printf(out, "\"} %" PRIu64 "\n", (uint64_t)route->troubles[i].count);
	}
}

static void add_attempts(struct buf *out, const struct admin_route_status *route)
{
	const struct {
		const char *outcome;
		uint64_t count;
	} outcomes[] = {{"delivered", route->delivered},
			{"deferred", route->deferred},
			{"failed", route->failed}};

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++) {
		(void)buf_append_text(out, "stagepost_attempts_total{route=\"");
		add_escaped(out, route->name);
		(void)buf_printf(out, "\",outcome=\"%s\"} %" PRIu64 "\n", outcomes[i].outcome,
				 outcomes[i].count);
	}
}

static void add_routes(struct buf *out, const struct api *api)
{
	size_t count;
	struct admin_route_status *routes = delivery_routes(api, &count);

	head(out, "stagepost_attempts_total", "counter",
	     "Recipients that were tried, by route and outcome.");
	for (size_t i = 0; i < count; i++)
		add_attempts(out, &routes[i]);
	head(out, "stagepost_troubles_total", "counter",
	     "Recipients that were put off or failed, by route and kind of trouble.");
	for (size_t i = 0; i < count; i++)
		add_troubles(out, &routes[i]);
	head(out, "stagepost_route_connections", "gauge", "Open connections to next hops.");
	for (size_t i = 0; i < count; i++)
		labelled(out, "stagepost_route_connections", "route", routes[i].name,
			 (int64_t)routes[i].connections);
	head(out, "stagepost_route_busy_connections", "gauge",
	     "Those of them with a message under way.");
	for (size_t i = 0; i < count; i++)
		labelled(out, "stagepost_route_busy_connections", "route", routes[i].name,
			 (int64_t)routes[i].busy);
	head(out, "stagepost_route_paused", "gauge", "1: the route stands still.");
	for (size_t i = 0; i < count; i++)
		labelled(out, "stagepost_route_paused", "route", routes[i].name,
			 store_is_paused(api->env.store, routes[i].name) ? 1 : 0);
	head(out, "stagepost_route_login_refused", "gauge",
	     "1: the next hop refuses the route's credentials.");
	for (size_t i = 0; i < count; i++)
		labelled(out, "stagepost_route_login_refused", "route", routes[i].name,
			 routes[i].login_refused ? 1 : 0);
	mem_free(routes);
}

static void add_breaker(struct buf *out, const struct api *api)
{
	struct admin_breaker breaker;

	number(out, "stagepost_delivery_paused", "gauge", "1: all of delivery stands still.",
	       store_is_paused(api->env.store, NULL) ? 1 : 0);
	if (api->env.ops == NULL || api->env.ops->breaker == NULL)
		return;
	api->env.ops->breaker(api->env.ctx, &breaker);
	head(out, "stagepost_offered_recipients", "gauge",
	     "Recipients offered to next hops in the last minute and day.");
	labelled(out, "stagepost_offered_recipients", "window", "minute", breaker.minute);
	labelled(out, "stagepost_offered_recipients", "window", "day", breaker.day);
	head(out, "stagepost_breaker_limit", "gauge",
	     "How many policy.breaker allows there; 0: any number.");
	labelled(out, "stagepost_breaker_limit", "window", "minute", breaker.per_minute);
	labelled(out, "stagepost_breaker_limit", "window", "day", breaker.per_day);
	number(out, "stagepost_breaker_tripped", "gauge",
	       "1: the breaker paused delivery, and nobody has resumed it.",
	       breaker.tripped ? 1 : 0);
	number(out, "stagepost_breaker_trips_total", "counter", "How often it did.",
	       (int64_t)breaker.trips);
}

static void add_log(struct buf *out)
{
	number(out, "stagepost_log_lines_lost_total", "counter",
	       "Lines of the log that could not be written.", (int64_t)log_dropped());
}

static void add_rewritten(struct buf *out, const struct api *api)
{
	static const char name[] = "stagepost_header_fields_total";
	struct outbound_count count;

	if (api->env.ops == NULL || api->env.ops->rewritten == NULL)
		return;
	api->env.ops->rewritten(api->env.ctx, &count);
	head(out, name, "counter",
	     "Header fields that left otherwise than they came, or not at all.");
	labelled(out, name, "kind", "bcc", (int64_t)count.bcc);
	labelled(out, name, "kind", "control", (int64_t)count.control);
	labelled(out, name, "kind", "addresses", (int64_t)count.addresses);
	labelled(out, name, "kind", "subject", (int64_t)count.subjects);
	labelled(out, name, "kind", "signature", (int64_t)count.signatures);
}

static void add_hook(struct buf *out, const struct api *api)
{
	struct admin_hook hook = {.asks = false};

	if (api->env.ops == NULL || api->env.ops->hook == NULL)
		return;
	api->env.ops->hook(api->env.ctx, &hook);
	if (!hook.asks)
		return;
	number(out, "stagepost_hook_reachable", "gauge",
	       "1: the policy hook answered the last request.", hook.reachable ? 1 : 0);
	number(out, "stagepost_hook_requests_total", "counter", "Requests to the policy hook.",
	       (int64_t)hook.requests);
	number(out, "stagepost_hook_cached_total", "counter",
	       "Questions that policy.hook.cache answered.", (int64_t)hook.cached);
	head(out, "stagepost_hook_recipients_total", "counter",
	     "Recipients it was asked about, by what it said.");
	labelled(out, "stagepost_hook_recipients_total", "decision", "deliver",
		 (int64_t)hook.allowed);
	labelled(out, "stagepost_hook_recipients_total", "decision", "drop", (int64_t)hook.dropped);
	labelled(out, "stagepost_hook_recipients_total", "decision", "hold", (int64_t)hook.held);
	labelled(out, "stagepost_hook_recipients_total", "decision", "redirect",
		 (int64_t)hook.redirected);
	labelled(out, "stagepost_hook_recipients_total", "decision", "none",
		 (int64_t)hook.undecided);
}

static void add_feed(struct buf *out, struct feed *feed)
{
	static const char refused[] = "stagepost_events_refused_total";
	struct feed_numbers numbers;

	feed_numbers(feed, &numbers);
	number(out, "stagepost_events_total", "counter", "Events that were told.",
	       (int64_t)numbers.events);
	number(out, "stagepost_event_streams", "gauge", "Streams of events that are open.",
	       (int64_t)numbers.waiting[FEED_STREAM]);
	number(out, "stagepost_event_waits", "gauge", "Requests that wait for something to happen.",
	       (int64_t)numbers.waiting[FEED_POLL]);
	head(out, refused, "counter", "Those that were one too many.");
	labelled(out, refused, "kind", "stream", (int64_t)numbers.refused[FEED_STREAM]);
	labelled(out, refused, "kind", "wait", (int64_t)numbers.refused[FEED_POLL]);
	number(out, "stagepost_events_lost_total", "counter",
	       "Events that a stream was too slow for; it was told how many.",
	       (int64_t)numbers.lost);
	number(out, "stagepost_event_streams_stalled_total", "counter",
	       "Streams that were cut because nothing was taken from them.",
	       (int64_t)numbers.stalled);
}

void handle_metrics(struct call *call)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(call->api->env.whitelist);
	int64_t entries = (int64_t)whitelist_size(snapshot);
	struct buf text;

	whitelist_release(&snapshot);
	buf_init(&text, TEXT_MAX);
	add_relay(&text, call->api);
	add_queue(&text, call->api->env.store);
	add_space(&text, call->api->env.store);
	add_retention(&text, call->api->env.store);
	number(&text, "stagepost_whitelist_entries", "gauge", "Entries of the whitelist.", entries);
	add_breaker(&text, call->api);
	add_rewritten(&text, call->api);
	add_log(&text);
	add_feed(&text, call->api->feed);
	add_hook(&text, call->api);
	add_routes(&text, call->api);
	http_reply(call->http, 200, TYPE, &text);
	buf_release(&text);
}
