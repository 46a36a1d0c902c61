/* relay/filter/subject.h - policy.subject_tag in front of the Subject of what leaves */
#ifndef STAGEPOST_RELAY_FILTER_SUBJECT_H
#define STAGEPOST_RELAY_FILTER_SUBJECT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

#define SUBJECT_TAG_MAX 100 /* octets */

/*
 * Append a field `name` whose body is `tag` and then `body`, unless people
 * already see the tag in it: then *tagged_out is false and nothing is
 * appended. `tag`: UTF-8 without controls, not of blanks alone, at most
 * SUBJECT_TAG_MAX; what is not plain ASCII in it becomes encoded words (RFC
 * 2047). `body` stays byte for byte, but for blanks at its start. Returns
 * ERR_OK or ERR_LIMIT (`out` is as before).
 */
int subject_tag(const char *tag, struct span name, struct span body, struct buf *out,
		bool *tagged_out);

#endif
