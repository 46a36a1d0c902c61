/* relay/wire/parameter.h - the parameters of MAIL and RCPT, one by one (RFC 5321 4.1.2) */
#ifndef STAGEPOST_RELAY_WIRE_PARAMETER_H
#define STAGEPOST_RELAY_WIRE_PARAMETER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"

/* Spans into the line. */
struct parameter {
	struct span keyword; /* compare without regard to ASCII case */
	struct span value;   /* at least one byte when has_value */
	bool has_value;
};

/*
 * Cut the next esmtp-param off the front of *rest; blanks (SP) before and
 * behind it go with it. ERR_NOT_FOUND: none is left. ERR_SYNTAX: neither
 * keyword nor keyword=value. A value may hold UTF-8 (RFC 6531 3.3): each
 * parameter says itself what it takes. Pure.
 */
int parameter_next(struct span *rest, struct parameter *parameter_out, struct err *why);

#endif
