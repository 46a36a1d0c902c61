/* relay/deliver/body.h - the bytes of DATA on their way: counted, dots watched (RFC 5321 4.5.2) */
#ifndef STAGEPOST_RELAY_DELIVER_BODY_H
#define STAGEPOST_RELAY_DELIVER_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Follows a dot-stuffed body. Plain value; starts zeroed but for line_start = true. */
struct body_scan {
	bool line_start;
	bool ended;	/* the terminator was met */
	int64_t octets; /* of the body, without what dot-stuffing added and without the terminator
			 */
};
void body_scan_init(struct body_scan *scan);

/*
 * How many of the first bytes of `input` are body and may be passed on as they
 * are (dot-stuffed); stops before the terminator ".CRLF", which is left in the
 * input (then `ended` is set), and before a dot at the start of a line whose
 * next two bytes have not come. ERR_SYNTAX: a dot that was not doubled.
 */
int body_scan_take(struct body_scan *scan, struct span input, size_t *take_out);

/* The length of the header section at the start of `input` with its empty line; 0: not all there.
 */
size_t body_skip_header(struct span input);

/*
 * Append at most `room` bytes of `text`, from *at on, with dots at line starts
 * doubled; moves *at. `text` starts at a line start.
 */
void body_stuff(struct span text, size_t *at, size_t room, struct buf *out);

#endif
