/* cli/maildir.h - messages into a folder, one file each, and a log of their envelopes */
#ifndef STAGEPOST_CLI_MAILDIR_H
#define STAGEPOST_CLI_MAILDIR_H

#include <jansson.h>

#include "base/err.h"
#include "base/span.h"

/* One thread at a time. */
struct maildir;

/* Makes the folder with tmp, new, cur where they are missing. ERR_DENIED, ERR_IO. */
int maildir_open(const char *folder, struct maildir **maildir_out, struct err *why);
void maildir_close(struct maildir **maildir);
/*
 * `message` byte for byte as new/NAME, then `envelope` with "file": "new/NAME"
 * as one more line of envelope.jsonl. Seen by readers whole or not at all;
 * not made durable: a sink is for tests. ERR_FULL, ERR_IO: nothing was added.
 */
int maildir_add(struct maildir *maildir, const char *name, struct span message, json_t *envelope,
		struct err *why);

#endif
