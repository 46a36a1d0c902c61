/* relay/wire/base64.h - base64 in its one canonical form (RFC 4648 4) */
#ifndef STAGEPOST_RELAY_WIRE_BASE64_H
#define STAGEPOST_RELAY_WIRE_BASE64_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/* Append the coded form, padded, on one line. ERR_LIMIT: out's ceiling. */
int base64_encode(struct span bytes, struct buf *out);

/*
 * Append the decoded bytes; on failure nothing is appended. Strict, so that
 * bytes have one coded form: ERR_SYNTAX for a character outside the alphabet
 * (blanks too), missing or misplaced padding, or bits behind the last byte
 * that are not 0. Nothing decodes to nothing. ERR_LIMIT: out's ceiling.
 */
int base64_decode(struct span text, struct buf *out);

#endif
