/* relay/mail/date.h - the date-time of Date and Received (RFC 5322 3.3, 4.3) */
#ifndef STAGEPOST_RELAY_MAIL_DATE_H
#define STAGEPOST_RELAY_MAIL_DATE_H

#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/*
 * `text` is one date-time with comments and folds, nothing behind it;
 * obsolete zones and years of two and three digits included. A day name must
 * be a day name, but need not be the right one. A leap second counts as the
 * second after it. Returns ERR_OK or ERR_SYNTAX (also for a day that the
 * month does not have and for years outside 1..9999); *ms_out is in
 * milliseconds since 1970-01-01T00:00:00Z. Any thread.
 */
int date_parse(struct span text, int64_t *ms_out, struct err *why);

#endif
