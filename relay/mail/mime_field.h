/* relay/mail/mime_field.h - a value with parameters: Content-Type, Content-Disposition (RFC 2045
 * 5.1, 2183, 2231) */
#ifndef STAGEPOST_RELAY_MAIL_MIME_FIELD_H
#define STAGEPOST_RELAY_MAIL_MIME_FIELD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

/*
 * Lenient, since what is found is shown and decides nothing: parameters that
 * can't be read are passed by, the first of a name counts. Linear time.
 */

/*
 * The value at the front of a field's body, folded to lower case: "text/html",
 * "attachment", "base64". *rest moves on to its parameters. Returns ERR_OK,
 * ERR_SYNTAX (there is none), or ERR_LIMIT (out's ceiling); on failure
 * nothing is appended.
 */
int mime_field_value(struct span *rest, struct buf *out);

/*
 * The parameter `name` behind the value, appended: quotes undone, the pieces
 * of RFC 2231 put together, its percent signs decoded, its charset dropped.
 * ERR_OK, ERR_NOT_FOUND, or ERR_LIMIT (out's ceiling; nothing is appended).
 */
int mime_field_bytes(struct span rest, const char *name, struct buf *out);

/*
 * The same for people, as header_decode_display() has it: valid UTF-8,
 * converted from the charset that RFC 2231 or an encoded word names (which
 * senders put there against RFC 2047 5), cut at a character where `out` is full.
 */
int mime_field_text(struct span rest, const char *name, struct buf *out);

#endif
