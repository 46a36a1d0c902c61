/* admin/disposition.h - Content-Disposition: the name a download is saved under (RFC 6266) */
#ifndef STAGEPOST_ADMIN_DISPOSITION_H
#define STAGEPOST_ADMIN_DISPOSITION_H

#include "base/buf.h"
#include "relay/mail/mime.h"

#define DISPOSITION_NAME_MAX 150 /* octets of the name */
#define DISPOSITION_MAX	     1024

/*
 * Append "attachment; filename=…" for a part. The name that its sender gave it
 * loses what means something to a file system or turns text around, and never
 * begins with a dot; without one it is called after its number and type.
 */
void disposition_write(const struct mime_part *part, struct buf *out);

#endif
