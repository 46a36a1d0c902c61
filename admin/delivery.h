/* admin/delivery.h - whether delivery stands still, as all answers about it say */
#ifndef STAGEPOST_ADMIN_DELIVERY_H
#define STAGEPOST_ADMIN_DELIVERY_H

#include <jansson.h>

#include "admin/call.h"

/* All there are, as they do. The caller's: mem_free. */
struct admin_route_status *delivery_routes(const struct api *api, size_t *count_out);
/*
 * {paused, paused_by, paused_at, reason, routes: [names of those that are paused],
 * breaker: {…} | null}: of delivery as a whole. The caller's.
 */
json_t *delivery_view(const struct api *api);
/* Put paused, paused_by, paused_at and pause_reason of a route into `json`. */
void delivery_set_pause(json_t *json, const struct api *api, const char *route);

#endif
