/* admin/exposition.c - numbers in Prometheus' text format, version 0.0.4 */
#include "admin/exposition.h"

#include <inttypes.h>
#include <stdio.h>

#define US_OF_SECOND 1000000

void metric_head(struct buf *out, const char *name, const char *type, const char *help)
{
	(void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

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

/* `le`: the bound of a bucket, or NULL. */
static void add_labels(struct buf *out, const struct metric_label *labels, const char *le)
{
	char before = '{';

	for (; labels != NULL && labels->name != NULL; labels++) {
		(void)buf_printf(out, "%c%s=\"", before, labels->name);
		add_escaped(out, labels->value);
		(void)buf_append_char(out, '"');
		before = ',';
	}
	if (le != NULL) {
		(void)buf_printf(out, "%cle=\"%s\"", before, le);
		before = ',';
	}
	if (before == ',')
		(void)buf_append_char(out, '}');
}

void metric_row(struct buf *out, const char *name, const struct metric_label *labels, int64_t value)
{
	(void)buf_append_text(out, name);
	add_labels(out, labels, NULL);
	(void)buf_printf(out, " %" PRId64 "\n", value);
}

void metric_labelled(struct buf *out, const char *name, const char *label, const char *value,
		     int64_t number)
{
	metric_row(out, name, METRIC_LABELS({label, value}), number);
}

void metric_number(struct buf *out, const char *name, const char *type, const char *help,
		   int64_t value)
{
	metric_head(out, name, type, help);
	metric_row(out, name, NULL, value);
}

static void add_seconds(struct buf *out, uint64_t value_us)
{
	(void)buf_printf(out, " %" PRIu64 ".%06" PRIu64 "\n", value_us / US_OF_SECOND,
			 value_us % US_OF_SECOND);
}

void metric_seconds(struct buf *out, const char *name, const char *type, const char *help,
		    int64_t value_us)
{
	metric_head(out, name, type, help);
	(void)buf_append_text(out, name);
	add_seconds(out, value_us > 0 ? (uint64_t)value_us : 0);
}

static void add_bucket(struct buf *out, const char *name, const struct metric_label *labels,
		       const char *le, uint64_t count)
{
	(void)buf_printf(out, "%s_bucket", name);
	add_labels(out, labels, le);
	(void)buf_printf(out, " %" PRIu64 "\n", count);
}

/* The count is that of the last bucket, whatever is added meanwhile. */
void metric_histogram(struct buf *out, const char *name, const struct metric_label *labels,
		      const struct histogram_scale *scale, const struct histogram_view *view)
{
	uint64_t count = 0;
	char le[32];

	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		count += view->counts[i];
		(void)snprintf(le, sizeof(le), "%g", (double)scale->bounds_us[i] / US_OF_SECOND);
		add_bucket(out, name, labels, le, count);
	}
	count += view->counts[HISTOGRAM_BOUNDS];
	add_bucket(out, name, labels, "+Inf", count);
	(void)buf_printf(out, "%s_sum", name);
	add_labels(out, labels, NULL);
	add_seconds(out, view->sum_us);
	(void)buf_printf(out, "%s_count", name);
	add_labels(out, labels, NULL);
	(void)buf_printf(out, " %" PRIu64 "\n", count);
}
