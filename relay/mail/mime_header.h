/* relay/mail/mime_header.h - what the header of a part says about its body; private to mime.c */
#ifndef STAGEPOST_RELAY_MAIL_MIME_HEADER_H
#define STAGEPOST_RELAY_MAIL_MIME_HEADER_H

#include <stdbool.h>

#include "base/mem.h"
#include "relay/mail/mime.h"

/*
 * Fill in type, charset, disposition, filename, content_id and encoding from
 * `section`, its strings into `arena`. The boundary (in the arena) is empty
 * where there is none or it is longer than MIME_BOUNDARY_MAX. `in_digest`: a
 * part of a multipart/digest (RFC 2046 5.1.5).
 */
void mime_header_read(struct span section, bool in_digest, struct arena *arena,
		      struct mime_part *part, struct span *boundary_out);

#endif
