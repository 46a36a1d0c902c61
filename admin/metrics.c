/* admin/metrics.c - numbers for Prometheus, in its text format */
#include "admin/metrics.h"

#include "admin/handlers.h"
#include "base/clock.h"
#include "queue/measure.h"
#include "queue/reader.h"
#include "queue/retention.h"
#include "queue/space.h"

#define TEXT_MAX ((size_t)64 << 20) /* a route is some 5 KiB of it */

static void add_relay(struct buf *out, const struct api *api)
{
	struct admin_numbers numbers = {0};

	metric_head(out, "stagepost_info", "gauge", "Always 1; the label is the version.");
	metric_labelled(out, "stagepost_info", "version", api->env.version, 1);
	metric_seconds(out, "stagepost_start_time_seconds", "gauge",
		       "When it was started, since 1970.", api->env.started_at * 1000);
	metric_number(out, "stagepost_store_failed", "gauge",
		      "1: nothing can be written to the queue any more.",
		      store_is_failed(api->env.store) ? 1 : 0);
	metric_number(out, "stagepost_store_behind", "gauge", "1: sessions wait for the disk.",
		      store_is_behind(api->env.store) ? 1 : 0);
	if (api->env.ops == NULL || api->env.ops->numbers == NULL)
		return;
	api->env.ops->numbers(api->env.ctx, &numbers);
	metric_number(out, "stagepost_accepting", "gauge", "1: the listeners take connections.",
		      numbers.accepting ? 1 : 0);
	metric_number(out, "stagepost_sessions", "gauge", "SMTP sessions that are open.",
		      (int64_t)numbers.sessions);
	metric_number(out, "stagepost_accepted_messages_total", "counter", "Messages answered 250.",
		      (int64_t)numbers.accepted);
}

static void add_queue(struct buf *out, struct store *store)
{
	struct queue_stats stats;
	int64_t now = clock_wall_ms(), age = 0;

	store_stats(store, &stats);
	metric_number(out, "stagepost_queue_messages", "gauge", "Messages that are stored.",
		      stats.messages);
	metric_number(out, "stagepost_queue_bytes", "gauge", "Their octets.", stats.bytes);
	metric_head(out, "stagepost_queue_recipients", "gauge", "Recipients of them, by state.");
	for (int state = 1; state < STATE_COUNT; state++)
		metric_labelled(out, "stagepost_queue_recipients", "state",
				state_name((enum state)state), stats.by_state[state]);
	if (stats.oldest_due_at > 0 && stats.oldest_due_at < now)
		age = (now - stats.oldest_due_at) / 1000;
	metric_number(out, "stagepost_queue_oldest_age_seconds", "gauge",
		      "How long the oldest message with a recipient still to be delivered is here.",
		      age);
}

static void add_histogram(struct buf *out, const char *name, const char *help,
			  const struct histogram_view *view)
{
	metric_head(out, name, "histogram", help);
	metric_histogram(out, name, NULL, &histogram_prompt, view);
}

static void add_mail(struct buf *out, const struct store_measures *measures)
{
	static const char verdicts[] = "stagepost_verdicts_total";
	static const char reached[] = "stagepost_recipients_reached_total";

	metric_number(out, "stagepost_stored_messages_total", "counter",
		      "Messages that were stored, reports of the relay's own among them.",
		      (int64_t)measures->messages);
	metric_number(out, "stagepost_stored_bytes_total", "counter", "Their octets.",
		      (int64_t)measures->bytes);
	metric_head(out, verdicts, "counter",
		    "What was said of recipients when they came in, by kind.");
	for (size_t i = 0; i < MEASURE_VERDICTS; i++)
		metric_labelled(out, verdicts, "verdict", measure_verdicts[i],
				(int64_t)measures->verdicts[i]);
	metric_head(out, reached, "counter", "Recipients that came into a state, by state.");
	for (int state = 1; state < STATE_COUNT; state++)
		metric_labelled(out, reached, "state", state_name((enum state)state),
				(int64_t)measures->entered[state]);
}

static void add_writer(struct buf *out, const struct store_measures *measures)
{
	add_histogram(out, "stagepost_accept_commit_seconds",
		      "From the last octet of a message until it is on the disk.",
		      &measures->accept);
	add_histogram(out, "stagepost_commit_seconds",
		      "Commits of the database that wait for the disk.", &measures->commit);
	metric_number(out, "stagepost_store_jobs_total", "counter",
		      "What was asked of the queue's writer; many share a commit.",
		      (int64_t)measures->jobs);
	add_histogram(out, "stagepost_checkpoint_seconds",
		      "Bringing the log into the database, by which others wait.",
		      &measures->checkpoint);
	metric_number(out, "stagepost_checkpoints_cut_total", "counter",
		      "Of them those that had to leave something, for somebody still reads it.",
		      (int64_t)measures->checkpoints_cut);
	metric_number(out, "stagepost_checkpoints_failed_total", "counter",
		      "Of them those that failed.", (int64_t)measures->checkpoints_failed);
}

static void add_measures(struct buf *out, struct store *store)
{
	struct store_measures measures;

	store_measures(store, &measures);
	add_mail(out, &measures);
	add_writer(out, &measures);
}

static void add_space(struct buf *out, struct store *store)
{
	static const char full[] = "stagepost_store_full";
	struct store_space space;

	store_space(store, &space);
	metric_number(out, "stagepost_database_bytes", "gauge", "Size of the database.",
		      space.database_bytes);
	metric_number(out, "stagepost_database_unused_bytes", "gauge",
		      "What is free in it, and given back in time.", space.unused_bytes);
	metric_number(out, "stagepost_wal_bytes", "gauge", "Size of the database's log.",
		      space.log_bytes);
	metric_number(out, "stagepost_wal_waiting_bytes", "gauge",
		      "What of it a checkpoint has still to bring into the database.",
		      space.log_waiting_bytes);
	if (space.disk_free_bytes >= 0)
		metric_number(out, "stagepost_disk_free_bytes", "gauge",
			      "Free on the disk that they are on.", space.disk_free_bytes);
	metric_number(out, "stagepost_retention_max_bytes", "gauge",
		      "What retention lets the database hold; 0: any number.", space.max_bytes);
	metric_number(out, "stagepost_retention_max_messages", "gauge",
		      "How many messages retention lets stay; 0: any number.", space.max_messages);
	metric_number(out, "stagepost_search_unindexed_messages", "gauge",
		      "The newest messages at most that a search looks at one by one.",
		      store_unindexed(store));
	metric_head(out, full, "gauge", "1: new mail is refused for this reason.");
	metric_labelled(out, full, "limit", "disk", space.full == SPACE_DISK);
	metric_labelled(out, full, "limit", "max_bytes", space.full == SPACE_BYTES);
	metric_labelled(out, full, "limit", "max_messages", space.full == SPACE_MESSAGES);
}

static void add_retention(struct buf *out, struct store *store)
{
	static const char removed[] = "stagepost_retention_removed_total";
	struct retention_status status;

	store_retention(store, &status);
	metric_head(out, removed, "counter",
		    "Messages that retention removed, whole or their content.");
	metric_labelled(out, removed, "what", "content", status.removed.contents);
	metric_labelled(out, removed, "what", "message", status.removed.messages);
	metric_number(out, "stagepost_retention_removed_bytes_total", "counter",
		      "Octets of content of them.", status.removed.bytes);
	metric_number(out, "stagepost_retention_waits_seconds", "gauge",
		      "The clock was set on: so long nothing is removed for its age.",
		      status.waits_ms / 1000);
}

static void add_whitelist(struct buf *out, const struct api *api)
{
	const struct whitelist_snapshot *snapshot = whitelist_acquire(api->env.whitelist);

	metric_number(out, "stagepost_whitelist_entries", "gauge", "Entries of the whitelist.",
		      (int64_t)whitelist_size(snapshot));
	whitelist_release(&snapshot);
}

void handle_metrics(struct call *call)
{
	struct buf text;

	buf_init(&text, TEXT_MAX);
	add_relay(&text, call->api);
	add_queue(&text, call->api->env.store);
	add_measures(&text, call->api->env.store);
	add_space(&text, call->api->env.store);
	add_retention(&text, call->api->env.store);
	add_whitelist(&text, call->api);
	metrics_add_delivery(&text, call->api);
	metrics_add_webhooks(&text, call->api);
	metrics_add_door(&text, call);
	http_reply(call->http, 200, EXPOSITION_TYPE, &text);
	buf_release(&text);
}
