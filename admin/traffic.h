/* admin/traffic.h - the requests to the API itself, counted */
#ifndef STAGEPOST_ADMIN_TRAFFIC_H
#define STAGEPOST_ADMIN_TRAFFIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/histogram.h"

#define TRAFFIC_CLASSES 5 /* 1xx to 5xx */

/* Any thread. Zeroed is empty. Times on histogram_prompt. */
struct traffic {
	_Atomic uint64_t answers[TRAFFIC_CLASSES]; /* by the first digit of their status, less 1 */
	struct histogram took;
};

/* `took_us` below 0: it was to wait for something to happen, which says nothing. */
void traffic_add(struct traffic *traffic, int status, int64_t took_us);

#endif
