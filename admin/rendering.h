/* admin/rendering.h - a part of a stored message on its way to somebody: decoded, converted, made
 * text */
#ifndef STAGEPOST_ADMIN_RENDERING_H
#define STAGEPOST_ADMIN_RENDERING_H

#include <stddef.h>

#include "admin/http.h"
#include "base/ulid.h"
#include "relay/mail/mime.h"

enum rendering_form {
	RENDERING_BYTES,	/* decoded, as they are: part->decoded_size octets */
	RENDERING_TEXT,		/* in UTF-8 */
	RENDERING_TEXT_OF_HTML, /* the same of HTML (relay/mail/html_text.h) */
	RENDERING_HTML /* in UTF-8, fit for a frame (relay/mail/html_frame.h), with those images of
			  the message in it that it refers to */
};

struct rendering_options {
	enum rendering_form form;
	const struct mime *mime; /* borrowed until rendering_free() */
	size_t part;
	struct ulid id;
	/* Append chunk `sequence` of the stored bytes (queue_body_read); ERR_OK or why not. */
	int (*read_chunk)(void *ctx, const struct ulid *id, int64_t sequence, struct buf *out);
	void *ctx;
};

struct rendering;

struct rendering *rendering_new(const struct rendering_options *options);
void rendering_free(struct rendering **rendering);

/*
 * As http_source.read: up to `max` octets; 0 when the message went meanwhile,
 * HTTP_SOURCE_END at the end. Memory is a chunk and some times 16 KiB,
 * whatever the part holds.
 */
size_t rendering_read(struct rendering *rendering, char *bytes_out, size_t max);

/*
 * The part that says what the message says, and how to show it in plain text:
 * its text/plain, or its HTML where there is none or (some senders do that) an
 * empty one. MIME_NONE: neither.
 */
size_t rendering_find_text(const struct mime *mime, enum rendering_form *form_out);

/* A picture that browsers only paint: may be shown where it stands. */
bool rendering_is_picture(const struct mime_part *part);

#endif
