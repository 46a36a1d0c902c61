/* relay/wire/xtext.h - any bytes inside a parameter value (RFC 3461 4) */
#ifndef STAGEPOST_RELAY_WIRE_XTEXT_H
#define STAGEPOST_RELAY_WIRE_XTEXT_H

#include "base/buf.h"
#include "base/span.h"

/* Append the coded form: 33..126 without '+' and '=' as they are, the rest as +HH. ERR_LIMIT. */
int xtext_encode(struct span bytes, struct buf *out);

/*
 * Append the decoded bytes; on failure nothing is appended. ERR_SYNTAX: a
 * byte outside 33..126, '=', a '+' without two upper-case hexadecimal digits,
 * or +00. Control bytes may come out: the result is for comparing and
 * showing, never for a line. ERR_LIMIT: out's ceiling.
 */
int xtext_decode(struct span text, struct buf *out);

#endif
