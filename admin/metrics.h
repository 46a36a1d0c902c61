/* admin/metrics.h - the parts of /metrics, each with all rows of its names */
#ifndef STAGEPOST_ADMIN_METRICS_H
#define STAGEPOST_ADMIN_METRICS_H

#include "admin/call.h"
#include "admin/exposition.h"

/*
 * All of it is copied from numbers in memory: no SQL, so the cost is the same
 * whatever the queue holds. Labels are words of ours and names of routes and webhooks, never
 * anything that a peer can choose.
 */
void metrics_add_delivery(struct buf *out, const struct api *api);
void metrics_add_webhooks(struct buf *out, const struct api *api);
void metrics_add_door(struct buf *out, const struct call *call);

#endif
