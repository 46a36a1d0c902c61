/* admin/content.h - what is in a stored message: its parts, found a chunk at a time */
#ifndef STAGEPOST_ADMIN_CONTENT_H
#define STAGEPOST_ADMIN_CONTENT_H

#include <jansson.h>
#include <stdbool.h>

#include "queue/reader.h"
#include "relay/mail/mime.h"

/*
 * Read the stored bytes until the tree is complete, or `is_enough` (NULL:
 * never) says so of what is there. One short read for each chunk, one chunk in
 * memory. mime_free() it. ERR_NOT_FOUND: the message went meanwhile.
 */
int content_walk(struct store_reader *reader, const struct new_message *m,
		 bool (*is_enough)(const struct mime *mime, struct span wanted), struct span wanted,
		 struct mime **mime_out, struct err *why);

/* Which part is the text, which the HTML, and what is attached: for the single message. */
json_t *content_view(const struct mime *mime);
/* The tree. */
json_t *content_view_parts(const struct mime *mime);

#endif
