/* admin/metrics_door.c - numbers of who comes in, by SMTP and to the API, and of the process */
#include <config.h>

#include "admin/metrics.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "admin/feed.h"
#include "base/log.h"

static void add_feed(struct buf *out, struct feed *feed)
{
	static const char refused[] = "stagepost_events_refused_total";
	struct feed_numbers numbers;

	feed_numbers(feed, &numbers);
	metric_number(out, "stagepost_events_total", "counter", "Events that were told.",
		      (int64_t)numbers.events);
	metric_number(out, "stagepost_event_streams", "gauge", "Streams of events that are open.",
		      (int64_t)numbers.waiting[FEED_STREAM]);
	metric_number(out, "stagepost_event_waits", "gauge",
		      "Requests that wait for something to happen.",
		      (int64_t)numbers.waiting[FEED_POLL]);
	metric_head(out, refused, "counter", "Those that were one too many.");
	metric_labelled(out, refused, "kind", "stream", (int64_t)numbers.refused[FEED_STREAM]);
	metric_labelled(out, refused, "kind", "wait", (int64_t)numbers.refused[FEED_POLL]);
	metric_number(out, "stagepost_events_lost_total", "counter",
		      "Events that a stream was too slow for; it was told how many.",
		      (int64_t)numbers.lost);
	metric_number(out, "stagepost_event_streams_stalled_total", "counter",
		      "Streams that were cut because nothing was taken from them.",
		      (int64_t)numbers.stalled);
}

static void add_log(struct buf *out)
{
	metric_number(out, "stagepost_log_lines_lost_total", "counter",
		      "Lines of the log that could not be written.", (int64_t)log_dropped());
}

/* --- SMTP ------------------------------------------------------------------------------- */

static void add_handshakes(struct buf *out, const char *direction,
			   const struct handshakes_view *view)
{
	static const char name[] = "stagepost_tls_handshakes_total";
	static const char *const versions[HANDSHAKE_VERSIONS] = {
		[HANDSHAKE_TLS_1_2] = "1.2", [HANDSHAKE_TLS_1_3] = "1.3"};

	for (int i = 0; i < HANDSHAKE_VERSIONS; i++) {
		metric_row(out, name,
			   METRIC_LABELS({"direction", direction}, {"version", versions[i]},
					 {"resumed", "no"}),
			   (int64_t)(view->done[i] - view->resumed[i]));
		metric_row(out, name,
			   METRIC_LABELS({"direction", direction}, {"version", versions[i]},
					 {"resumed", "yes"}),
			   (int64_t)view->resumed[i]);
	}
}

static void add_tls(struct buf *out, const struct admin_front *front)
{
	static const char failed[] = "stagepost_tls_handshakes_failed_total";

	metric_head(out, "stagepost_tls_handshakes_total", "counter",
		    "Handshakes of TLS with SMTP clients (in) and next hops (out).");
	add_handshakes(out, "in", &front->in);
	add_handshakes(out, "out", &front->out);
	metric_head(out, failed, "counter", "Handshakes that came to nothing.");
	metric_labelled(out, failed, "direction", "in", (int64_t)front->in.failed);
	metric_labelled(out, failed, "direction", "out", (int64_t)front->out.failed);
	metric_number(out, "stagepost_tls_injections_total", "counter",
		      "Plaintext that stood behind STARTTLS, and was thrown away.",
		      (int64_t)front->injections);
}

static void add_front(struct buf *out, const struct api *api)
{
	static const char refused[] = "stagepost_connections_refused_total";
	struct admin_front front = {0};

	if (api->env.ops == NULL || api->env.ops->front == NULL)
		return;
	api->env.ops->front(api->env.ctx, &front);
	metric_number(out, "stagepost_connections_total", "counter",
		      "SMTP clients that were let in.", (int64_t)front.connections);
	metric_head(out, refused, "counter", "SMTP clients that were turned away, by reason.");
	for (size_t i = 0; i < front.turned_away_count; i++)
		metric_labelled(out, refused, "reason", front.turned_away[i].reason,
				(int64_t)front.turned_away[i].count);
	metric_number(out, "stagepost_refused_messages_total", "counter",
		      "Messages that were refused when they had come.",
		      (int64_t)front.messages_refused);
	metric_number(out, "stagepost_sessions_memory_bytes", "gauge",
		      "What SMTP sessions hold of messages that come in.", front.memory_bytes);
	metric_number(out, "stagepost_sessions_memory_max_bytes", "gauge",
		      "From there on they stop reading (smtp.memory).", front.memory_max_bytes);
	add_tls(out, &front);
}

/* --- the API ---------------------------------------------------------------------------- */

static void add_requests(struct buf *out, const struct call *call)
{
	static const char answers[] = "stagepost_api_requests_total";
	static const char took[] = "stagepost_api_request_seconds";
	const struct traffic *traffic = call->api->traffic;
	struct histogram_view view;

	metric_number(out, "stagepost_api_connections", "gauge",
		      "Connections to the API that are open, streams of events among them.",
		      (int64_t)http_connections(call->http));
	metric_head(out, answers, "counter", "Requests to the API, by the class of their status.");
	for (int i = 0; i < TRAFFIC_CLASSES; i++) {
		const char code[] = {(char)('1' + i), 'x', 'x', '\0'};

		metric_labelled(out, answers, "code", code, (int64_t)traffic->answers[i]);
	}
	histogram_read(&traffic->took, &view);
	metric_head(out, took, "histogram",
		    "From the whole request until the answer is ready; not where it was to wait.");
	metric_histogram(out, took, NULL, &histogram_prompt, &view);
}

/* --- the process, under the names that all programs have for it ----------------------------- */

static int64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char line[128] = "";
	struct span rest;
	uint64_t pages;

	if (file == NULL)
		return 0;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	(void)fclose(file);
	rest = span_of(line);
	(void)span_cut(&rest, ' '); /* the whole address space */
	if (span_to_u64(span_cut(&rest, ' '), (uint64_t)INT64_MAX >> 32, &pages) != ERR_OK)
		return 0;
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void add_process(struct buf *out)
{
	struct timespec cpu = {0};
	struct rlimit files = {0};

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	metric_seconds(out, "process_cpu_seconds_total", "counter",
		       "Processor time of all threads.",
		       (int64_t)cpu.tv_sec * 1000000 + cpu.tv_nsec / 1000);
	metric_number(out, "process_resident_memory_bytes", "gauge", "Memory that is in use.",
		      resident_bytes());
	metric_number(out, "process_max_fds", "gauge", "How many files may be open.",
		      (int64_t)files.rlim_cur);
}

void metrics_add_door(struct buf *out, const struct call *call)
{
	add_front(out, call->api);
	add_requests(out, call);
	add_feed(out, call->api->feed);
	add_log(out);
	add_process(out);
}
