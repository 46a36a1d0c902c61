/* admin/exposition.h - numbers in Prometheus' text format, version 0.0.4 */
#ifndef STAGEPOST_ADMIN_EXPOSITION_H
#define STAGEPOST_ADMIN_EXPOSITION_H

#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * `name` is ours and right: stagepost_…, with its unit, and _total where it only rises. All rows
 * of a name follow its head. What `out` has no room for is left out: give it enough.
 */
void metric_head(struct buf *out, const char *name, const char *type, const char *help);

/* The value may hold anything. A list of them ends with a name that is NULL. */
struct metric_label {
	const char *name;
	const char *value;
};
#define METRIC_LABELS(...) ((const struct metric_label[]){__VA_ARGS__, {NULL, NULL}})
void metric_row(struct buf *out, const char *name, const struct metric_label *labels,
		int64_t value);
/* The usual: one label, and none at all with its head in front. */
void metric_labelled(struct buf *out, const char *name, const char *label, const char *value,
		     int64_t number);
void metric_number(struct buf *out, const char *name, const char *type, const char *help,
		   int64_t value);

/* Microseconds as seconds. */
void metric_seconds(struct buf *out, const char *name, const char *type, const char *help,
		    int64_t value_us);
/* Rows of one histogram, behind a head of type "histogram". `labels` may be NULL. */
void metric_histogram(struct buf *out, const char *name, const struct metric_label *labels,
		      const struct histogram_scale *scale, const struct histogram_view *view);

#endif
