/* admin/content.c - what is in a stored message: its parts, found a chunk at a time */
#include "admin/content.h"

#include <assert.h>

#include "admin/view.h"
#include "queue/message.h"

/* --- walking ------------------------------------------------------------------------------- */

int content_walk(struct store_reader *reader, const struct new_message *m,
		 bool (*is_enough)(const struct mime *mime, struct span wanted), struct span wanted,
		 struct mime **mime_out, struct err *why)
{
	struct mime *mime = mime_new();
	struct buf chunk;
	/* Retention may have taken it away: then there is nothing in it. */
	int64_t size = m->removed_at == 0 ? m->size : 0;
	int64_t left = size;
	int code = ERR_OK;

	buf_init(&chunk, BODY_CHUNK_BYTES);
	for (int64_t sequence = 0; code == ERR_OK && left > 0; sequence++) {
		buf_clear(&chunk);
		code = queue_body_read(reader, &m->id, sequence, &chunk, why);
		if (code == ERR_OK && chunk.len == 0)
			code = err_set(why, ERR_NOT_FOUND, "the message was removed");
		left -= (int64_t)chunk.len;
		if (code == ERR_OK && (!mime_feed(mime, buf_span(&chunk)) ||
				       (is_enough != NULL && is_enough(mime, wanted))))
			break;
	}
	buf_release(&chunk);
	if (code == ERR_OK) {
		mime_end(mime, size);
		*mime_out = mime;
	} else {
		mime_free(&mime);
	}
	return code;
}

/* --- showing ------------------------------------------------------------------------------- */

static void set(json_t *object, const char *key, json_t *value)
{
	int failed = json_object_set_new_nocheck(object, key, value);

	assert(failed == 0);
}

static json_t *view_number(const struct mime *mime, size_t index)
{
	if (index == MIME_NONE || mime_part(mime, index)->number[0] == '\0')
		return json_null();
	return json_string(mime_part(mime, index)->number);
}

static json_t *view_attachment(const struct mime *mime, size_t index)
{
	const struct mime_part *part = mime_part(mime, index);
	json_t *json = json_object();

	set(json, "part", view_number(mime, index));
	set(json, "name", view_text(part->filename));
	set(json, "type", view_text(part->type));
	set(json, "size", json_integer(part->decoded_size));
	return json;
}

json_t *content_view(const struct mime *mime)
{
	json_t *json = json_object();
	json_t *attachments = json_array();

	for (size_t i = 0; i < mime_count(mime); i++)
		if (mime_is_attachment(mime, i))
			(void)json_array_append_new(attachments, view_attachment(mime, i));
	set(json, "text", view_number(mime, mime_find_body(mime, "text/plain")));
	set(json, "html", view_number(mime, mime_find_body(mime, "text/html")));
	set(json, "attachments", attachments);
	set(json, "over_limit", json_boolean(mime_is_over_limit(mime)));
	return json;
}

static json_t *view_part(const struct mime *mime, size_t index)
{
	const struct mime_part *part = mime_part(mime, index);
	json_t *json = json_object();

	set(json, "part", view_number(mime, index));
	set(json, "type", view_text(part->type));
	set(json, "charset", view_text(part->charset));
	set(json, "disposition", view_text(part->disposition));
	set(json, "filename", view_text(part->filename));
	set(json, "content_id", view_text(part->content_id));
	set(json, "encoding", view_text(part->encoding_name));
	set(json, "header_offset", json_integer(part->header_at));
	set(json, "offset", json_integer(part->body_at));
	set(json, "encoded_size", json_integer(part->end_at - part->body_at));
	set(json, "size", json_integer(part->decoded_size));
	set(json, "trouble", view_text(part->trouble));
	set(json, "parts", json_array());
	return json;
}

/* Parts stand behind the one that holds them, so that it is there already. */
json_t *content_view_parts(const struct mime *mime)
{
	json_t *made[MIME_PARTS_MAX];
	json_t *json = json_object();

	for (size_t i = 0; i < mime_count(mime); i++) {
		size_t parent = mime_part(mime, i)->parent;

		made[i] = view_part(mime, i);
		if (parent != MIME_NONE)
			(void)json_array_append_new(json_object_get(made[parent], "parts"),
						    made[i]);
	}
	set(json, "root", made[0]);
	set(json, "over_limit", json_boolean(mime_is_over_limit(mime)));
	return json;
}
