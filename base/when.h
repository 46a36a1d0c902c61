/* base/when.h - times and durations as people write them */
#ifndef STAGEPOST_BASE_WHEN_H
#define STAGEPOST_BASE_WHEN_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* RFC 3339, any offset, fraction optional (what is below a millisecond is cut). ERR_SYNTAX. */
int when_parse(struct span text, int64_t *wall_ms_out, struct err *why);
/* "500ms", "30s", "5m", "4h", "7d": above 0, at most 100 years. ERR_SYNTAX or ERR_LIMIT. */
int when_parse_duration(struct span text, int64_t *ms_out, struct err *why);
/* Either: a time that is past, or how long ago it was. */
int when_parse_past(struct span text, int64_t now_ms, int64_t *wall_ms_out, struct err *why);

#endif
