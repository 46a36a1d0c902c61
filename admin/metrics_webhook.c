/* admin/metrics_webhook.c - /metrics: what webhooks were told, and what waits for them */
#include "admin/metrics.h"

#include <stddef.h>
#include <string.h>

#include "admin/webhooks.h"

/* One number of each webhook, at `offset` in it. */
struct gauge {
	const char *name, *type, *help;
	size_t offset;
};

/* Other members are as wide, and never above what fits. */
_Static_assert(sizeof(uint64_t) == sizeof(int64_t), "numbers are read alike");

static const struct gauge gauges[] = {
	{"stagepost_webhook_waiting_events", "gauge",
	 "Events that a webhook is still to be told of.", offsetof(struct admin_webhook, waiting)},
	{"stagepost_webhook_dead_letters", "gauge",
	 "Events that were tried too often, and wait for a person.",
	 offsetof(struct admin_webhook, dead)},
	{"stagepost_webhook_lost_events_total", "counter",
	 "Events that were not kept: max_waiting of them waited.",
	 offsetof(struct admin_webhook, lost)},
};

static void add_gauge(struct buf *out, const struct gauge *gauge,
		      const struct admin_webhook *webhooks, size_t count)
{
	metric_head(out, gauge->name, gauge->type, gauge->help);
	for (size_t i = 0; i < count; i++) {
		int64_t number;

		memcpy(&number, (const char *)&webhooks[i] + gauge->offset, sizeof(number));
		metric_labelled(out, gauge->name, "webhook", webhooks[i].name, number);
	}
}

static void add_tries(struct buf *out, const struct admin_webhook *webhooks, size_t count)
{
	static const char name[] = "stagepost_webhook_requests_total";

	metric_head(out, name, "counter", "Requests to webhooks, by outcome.");
	for (size_t i = 0; i < count; i++) {
		metric_row(out, name,
			   METRIC_LABELS({"webhook", webhooks[i].name}, {"outcome", "sent"}),
			   (int64_t)webhooks[i].sent);
		metric_row(out, name,
			   METRIC_LABELS({"webhook", webhooks[i].name}, {"outcome", "failed"}),
			   (int64_t)webhooks[i].failed);
	}
}

void metrics_add_webhooks(struct buf *out, const struct api *api)
{
	struct admin_webhook *webhooks = mem_array(ADMIN_WEBHOOKS_MAX, sizeof(*webhooks));
	size_t count = webhooks_read(api, webhooks);

	if (count > 0) {
		add_tries(out, webhooks, count);
		for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++)
			add_gauge(out, &gauges[i], webhooks, count);
	}
	mem_free(webhooks);
}
