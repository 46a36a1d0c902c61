/* admin/parts.c - what is in a message: its parts, its text, its HTML */
#include <stdio.h>

#include "admin/content.h"
#include "admin/delivery.h"
#include "admin/disposition.h"
#include "admin/handlers.h"
#include "admin/rendering.h"
#include "admin/view.h"

#define QUICK_BYTES ((int64_t)1 << 20) /* larger messages are looked through by another thread */

/*
 * A body may hold whatever somebody sent. This keeps it from loading anything but what is in it,
 * from running scripts, from sending forms, and from the origin of the API (S291, S292).
 */
static const char html_policy[] = "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
				  "img-src data:; form-action 'none'; base-uri 'none'; "
				  "frame-ancestors 'self'";
static const char part_policy[] = "sandbox; default-src 'none'; frame-ancestors 'none'";

/* A request that has to look into a message; in the call's arena. */
struct look {
	struct message_view view;
	bool (*is_enough)(const struct mime *mime, struct span wanted);
	void (*answer)(struct call *call, struct look *look);
	struct mime *mime;
	int code;
	struct err why;
};

static void look_forget(struct call *call)
{
	struct look *look = call->work;

	mime_free(&look->mime);
}

static void look_do(struct call *call)
{
	struct look *look = call->work;

	/* Many may stand in line for it, and a stop waits for all of them. */
	if (atomic_load(&call->api->stopping)) {
		look->code = err_set(&look->why, ERR_CLOSED, "the relay is stopping");
		return;
	}
	look->code = content_walk(call_reader(call), &look->view.m, look->is_enough, call->part,
				  &look->mime, &look->why);
}

static void look_done(struct call *call)
{
	struct look *look = call->work;

	if (look->code == ERR_OK)
		look->answer(call, look);
	else
		call_error(call, look->code, &look->why);
}

/* Find the message of the path, look into it, and then `answer`. */
static void look_into(struct call *call,
		      bool (*find)(struct call *call, struct message_view *view_out),
		      bool (*is_enough)(const struct mime *mime, struct span wanted),
		      void (*answer)(struct call *call, struct look *look))
{
	struct look *look = arena_zalloc(call->arena, sizeof(*look));

	if (!find(call, &look->view))
		return;
	look->is_enough = is_enough;
	look->answer = answer;
	call->work = look;
	call->forget = look_forget;
	if (look->view.m.size > QUICK_BYTES) {
		call_labour(call, look_do, look_done);
	} else {
		look_do(call);
		look_done(call);
	}
}

/* --- a part as an answer -------------------------------------------------------------------------
 */

/* It outlives the call. */
struct download {
	struct readers *readers;
	struct mime *mime;
	struct rendering *rendering;
};

static int download_chunk(void *ctx, const struct ulid *id, int64_t sequence, struct buf *out)
{
	struct download *download = ctx;
	struct store_reader *reader = readers_take(download->readers);
	struct err ignored;
	int code = queue_body_read(reader, id, sequence, out, &ignored);

	readers_give(download->readers, reader);
	return code;
}

static size_t download_read(void *source, char *bytes_out, size_t max)
{
	struct download *download = source;

	return rendering_read(download->rendering, bytes_out, max);
}

static void download_free(void *source)
{
	struct download *download = source;

	rendering_free(&download->rendering);
	mime_free(&download->mime);
	mem_free(download);
}

/* Takes the tree. */
static void reply_part(struct call *call, struct look *look, size_t part, enum rendering_form form,
		       const char *type)
{
	struct download *download = mem_zalloc(sizeof(*download));
	uint64_t size = form == RENDERING_BYTES
				? (uint64_t)mime_part(look->mime, part)->decoded_size
				: HTTP_SIZE_UNKNOWN;

	download->readers = call->api->readers;
	download->mime = look->mime;
	look->mime = NULL;
	download->rendering = rendering_new(&(struct rendering_options){
		form, download->mime, part, look->view.m.id, download_chunk, download});
	http_reply_stream(call->http, 200, type, size,
			  &(struct http_source){download_read, download_free, download});
}

/* --- GET /messages/{id} --------------------------------------------------------------------------
 */

/* The header section: the first chunk holds it, or as much as the limits let us show. */
static json_t *read_header(struct call *call, const struct new_message *m)
{
	struct buf chunk;
	struct err why;
	json_t *json;

	buf_init(&chunk, BODY_CHUNK_BYTES);
	if (queue_body_read(call_reader(call), &m->id, 0, &chunk, &why) != ERR_OK)
		buf_clear(&chunk);
	json = view_header(span_first(buf_span(&chunk), (size_t)m->header_size));
	buf_release(&chunk);
	return json;
}

static void answer_message(struct call *call, struct look *look)
{
	json_t *json = view_message(&look->view, true);

	(void)json_object_set_new(json, "header", read_header(call, &look->view.m));
	(void)json_object_set_new(json, "content", content_view(look->mime));
	(void)json_object_set_new(json, "delivery", delivery_view(call->api));
	call_reply(call, 200, json);
}

void handle_message_get(struct call *call)
{
	look_into(call, message_find, NULL, answer_message);
}

/* --- GET /messages/{id}/parts, /parts/{part}
 * ---------------------------------------------------------- */

static void answer_parts(struct call *call, struct look *look)
{
	call_reply(call, 200, content_view_parts(look->mime));
}

void handle_message_parts(struct call *call)
{
	look_into(call, message_find_content, NULL, answer_parts);
}

/* What a browser only shows, even if somebody gets it to look at it; all else is just octets. */
static void type_of(const struct mime_part *part, char *type_out, size_t size)
{
	if (rendering_is_picture(part))
		(void)snprintf(type_out, size, "%s", part->type);
	else if (strcmp(part->type, "text/plain") == 0 && part->charset != NULL)
		(void)snprintf(type_out, size, "text/plain; charset=%s", part->charset);
	else if (strcmp(part->type, "text/plain") == 0)
		(void)snprintf(type_out, size, "text/plain");
	else
		(void)snprintf(type_out, size, "application/octet-stream");
}

static void answer_part(struct call *call, struct look *look)
{
	size_t index = mime_find(look->mime, call->part);
	struct buf disposition;
	char type[100];

	if (index == MIME_NONE) {
		call_problem(call, 404, "the message has no part %.*s",
			     SPAN_ARG(span_first(call->part, 100)));
		return;
	}
	buf_init(&disposition, DISPOSITION_MAX);
	disposition_write(mime_part(look->mime, index), &disposition);
	http_reply_header(call->http, "Content-Disposition", disposition.data);
	buf_release(&disposition);
	http_reply_header(call->http, "Content-Security-Policy", part_policy);
	type_of(mime_part(look->mime, index), type, sizeof(type));
	reply_part(call, look, index, RENDERING_BYTES, type);
}

static bool has_part(const struct mime *mime, struct span wanted)
{
	size_t index = mime_find(mime, wanted);

	return index != MIME_NONE && mime_part(mime, index)->is_whole;
}

void handle_message_part(struct call *call)
{
	look_into(call, message_find_content, has_part, answer_part);
}

/* --- GET /messages/{id}/text, /html
 * ----------------------------------------------------------------- */

static bool has_text(const struct mime *mime, struct span wanted)
{
	enum rendering_form form;
	size_t index = rendering_find_text(mime, &form);

	(void)wanted;
	return index != MIME_NONE && form == RENDERING_TEXT && mime_part(mime, index)->is_whole &&
	       mime_part(mime, index)->decoded_size > 2;
}

static void answer_text(struct call *call, struct look *look)
{
	enum rendering_form form;
	size_t index = rendering_find_text(look->mime, &form);

	if (index == MIME_NONE)
		call_problem(call, 404, "the message has neither text nor HTML");
	else
		reply_part(call, look, index, form, "text/plain; charset=utf-8");
}

void handle_message_text(struct call *call)
{
	look_into(call, message_find_content, has_text, answer_text);
}

static void answer_html(struct call *call, struct look *look)
{
	size_t html = mime_find_body(look->mime, "text/html");

	if (html == MIME_NONE) {
		call_problem(call, 404, "the message has no HTML");
		return;
	}
	http_reply_header(call->http, "Content-Security-Policy", html_policy);
	http_reply_header(call->http, "X-DNS-Prefetch-Control", "off");
	reply_part(call, look, html, RENDERING_HTML, "text/html; charset=utf-8");
}

/* To the end: a picture may be the last part. */
void handle_message_html(struct call *call)
{
	look_into(call, message_find_content, NULL, answer_html);
}
