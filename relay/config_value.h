/* relay/config_value.h - the forms of single values: numbers, sizes, times, ${NAME} */
#ifndef STAGEPOST_RELAY_CONFIG_VALUE_H
#define STAGEPOST_RELAY_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* What a value may be at least and at most. */
struct config_range {
	int64_t min;
	int64_t max;
};

/* All: ERR_OK, or ERR_SYNTAX/ERR_LIMIT with a sentence that shows the value and the range. */

/* Decimal digits, a minus in front when the range allows it. */
int config_parse_number(struct span text, struct config_range range, int64_t *number_out,
			struct err *why);
/* Octets: "512", "64K", "10M", "1G", "1T" (powers of 1024). */
int config_parse_size(struct span text, struct config_range range, int64_t *bytes_out,
		      struct err *why);
/* "3", "0.5", at most three places behind the point; in thousandths, as is the range. */
int config_parse_decimal(struct span text, struct config_range range, int64_t *thousandths_out,
			 struct err *why);
/* "500ms", "30s", "5m", "4h", "7d", or "0". */
int config_parse_time(struct span text, struct config_range range, int64_t *ms_out,
		      struct err *why);
/* "true" or "false", nothing else. */
int config_parse_bool(struct span text, bool *value_out, struct err *why);

/* The shortest exact form that the parsers above read back. */
#define CONFIG_VALUE_SIZE 32
void config_format_decimal(int64_t thousandths, char text_out[CONFIG_VALUE_SIZE]);
void config_format_size(int64_t bytes, char text_out[CONFIG_VALUE_SIZE]);
void config_format_time(int64_t ms, char text_out[CONFIG_VALUE_SIZE]);

/*
 * Append `text` with every ${NAME} and ${NAME:-default} replaced from the
 * environment; "$${" stands for "${" itself. The default is used when the variable is not set
 * or empty, as in the shell. ERR_NOT_FOUND: no such variable and no default.
 */
int config_expand(struct span text, struct buf *out, struct err *why);

/* The value for a sentence: in quotes, cut at 60 octets, only printable ASCII. */
#define CONFIG_QUOTED_SIZE 72
const char *config_quote(struct span text, char text_out[CONFIG_QUOTED_SIZE]);

#endif
