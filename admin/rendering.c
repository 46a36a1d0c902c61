/* admin/rendering.c - a part of a stored message on its way to somebody */
#include "admin/rendering.h"

#include <assert.h>

#include "base/err.h"
#include "base/mem.h"
#include "queue/message.h"
#include "relay/mail/charset.h"
#include "relay/mail/html_frame.h"
#include "relay/mail/html_text.h"
#include "relay/wire/base64.h"

#define STEP_BYTES     ((size_t)16 * 1024)
#define DECODED_MAX    (STEP_BYTES + TRANSFER_HELD_MAX)
#define CONVERTED_MAX  (CHARSET_GROWTH * (DECODED_MAX + CHARSET_HELD_MAX))
#define OUT_MAX	       (2 * CONVERTED_MAX + HTML_TEXT_HELD_MAX + HTML_FRAME_HELD_MAX)
#define PICTURE_STEP   ((size_t)12 * 1024) /* a multiple of 3: pieces of base64 that join */
#define PICTURES_BYTES ((int64_t)16 << 20) /* put into one document */

struct rendering {
	struct rendering_options options;
	const struct mime_part *part;
	int64_t at;	  /* the next stored byte */
	struct buf chunk; /* what of it is read and not used */
	struct transfer transfer;
	struct buf decoded;
	struct charset_stream charset;
	struct buf text; /* HTML: in UTF-8, not looked at yet */
	struct html_text *html_text;
	struct html_frame frame;
	struct rendering *picture; /* under way in place of a reference */
	int64_t picture_room;
	bool is_read; /* to its end */
	bool is_over;
	bool has_failed;
	struct buf out;
};

static bool is_converted(const struct rendering *r)
{
	return r->options.form != RENDERING_BYTES;
}

struct rendering *rendering_new(const struct rendering_options *options)
{
	struct rendering *r = mem_zalloc(sizeof(*r));
	const struct mime_part *part = mime_part(options->mime, options->part);

	r->options = *options;
	r->part = part;
	r->at = part->body_at;
	r->picture_room = PICTURES_BYTES;
	transfer_init(&r->transfer, part->is_container ? TRANSFER_IDENTITY : part->encoding);
	buf_init(&r->chunk, BODY_CHUNK_BYTES);
	buf_init(&r->decoded, DECODED_MAX);
	buf_init(&r->text, CONVERTED_MAX);
	buf_init(&r->out, OUT_MAX);
	html_frame_init(&r->frame);
	if (is_converted(r))
		charset_stream_init(&r->charset, span_of(part->charset),
				    options->form == RENDERING_TEXT ? &r->out : &r->text);
	if (options->form == RENDERING_TEXT_OF_HTML)
		r->html_text = html_text_new();
	return r;
}

void rendering_free(struct rendering **rendering)
{
	struct rendering *r = *rendering;

	if (r == NULL)
		return;
	rendering_free(&r->picture);
	if (is_converted(r))
		charset_stream_release(&r->charset);
	html_text_free(&r->html_text);
	html_frame_release(&r->frame);
	buf_release(&r->chunk);
	buf_release(&r->decoded);
	buf_release(&r->text);
	buf_release(&r->out);
	mem_free(r);
	*rendering = NULL;
}

/* --- reading ------------------------------------------------------------------------------- */

/* The chunk that `at` lies in, from there on. False: the message is gone. */
static bool chunk_read(struct rendering *r)
{
	size_t skip = (size_t)(r->at % BODY_CHUNK_BYTES);

	buf_clear(&r->chunk);
	if (r->options.read_chunk(r->options.ctx, &r->options.id, r->at / BODY_CHUNK_BYTES,
				  &r->chunk) != ERR_OK ||
	    r->chunk.len <= skip)
		return false;
	buf_consume(&r->chunk, skip);
	return true;
}

/* The next bytes of the body, into `decoded`. */
static void decode_some(struct rendering *r)
{
	struct span bytes;

	buf_clear(&r->decoded);
	if (r->at == r->part->end_at) {
		transfer_end(&r->transfer, &r->decoded);
		r->is_read = true;
		return;
	}
	if (r->chunk.len == 0 && !chunk_read(r)) {
		r->has_failed = true;
		return;
	}
	bytes = span_first(buf_span(&r->chunk), STEP_BYTES);
	if ((int64_t)bytes.len > r->part->end_at - r->at)
		bytes.len = (size_t)(r->part->end_at - r->at);
	transfer_decode(&r->transfer, bytes, &r->decoded);
	r->at += (int64_t)bytes.len;
	buf_consume(&r->chunk, bytes.len);
}

static void put(struct rendering *r, const char *text, size_t len)
{
	int code = buf_append(&r->out, text, len);

	assert(code == ERR_OK);
}

/* --- which part --------------------------------------------------------------------------- */

size_t rendering_find_text(const struct mime *mime, enum rendering_form *form_out)
{
	size_t text = mime_find_body(mime, "text/plain");
	size_t html = mime_find_body(mime, "text/html");
	bool is_empty = text == MIME_NONE || mime_part(mime, text)->decoded_size <= 2;

	*form_out = is_empty && html != MIME_NONE ? RENDERING_TEXT_OF_HTML : RENDERING_TEXT;
	return *form_out == RENDERING_TEXT ? text : html;
}

/* --- pictures in HTML ------------------------------------------------------------------------ */

bool rendering_is_picture(const struct mime_part *part)
{
	static const char *const types[] = {"image/gif", "image/jpeg", "image/png", "image/webp"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(part->type, types[i]) == 0)
			return true;
	return false;
}

/* RFC 2392: an id stands in a URL with percent signs. */
static void id_decode(struct span text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		int high = i + 2 < text.len ? ascii_hex_value(text.data[i + 1]) : -1;
		int low = i + 2 < text.len ? ascii_hex_value(text.data[i + 2]) : -1;

		if (c == '%' && high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		}
		(void)buf_append_char(out, c);
	}
}

/* The picture that the reference found names; MIME_NONE: none that may be shown. */
static size_t picture_find(const struct rendering *r)
{
	struct buf id;
	size_t index;

	buf_init(&id, HTML_FRAME_ID_MAX);
	id_decode(buf_span(&r->frame.id), &id);
	index = mime_find_id(r->options.mime, buf_span(&id));
	buf_release(&id);
	if (index == MIME_NONE || !rendering_is_picture(mime_part(r->options.mime, index)) ||
	    mime_part(r->options.mime, index)->decoded_size > r->picture_room)
		return MIME_NONE;
	return index;
}

static void reference_take(struct rendering *r)
{
	struct rendering_options options = r->options;
	const struct mime_part *part;

	options.form = RENDERING_BYTES;
	options.part = picture_find(r);
	if (options.part == MIME_NONE) {
		put(r, "cid:", 4);
		put(r, r->frame.id.data, r->frame.id.len);
		return;
	}
	part = mime_part(options.mime, options.part);
	r->picture_room -= part->decoded_size;
	r->picture = rendering_new(&options);
	put(r, "data:", 5);
	put(r, part->type, strlen(part->type));
	put(r, ";base64,", 8);
}

/* One piece of the picture under way. */
static void picture_step(struct rendering *r)
{
	char bytes[PICTURE_STEP];
	size_t len = 0;
	size_t got = 0;
	int code;

	while (len < sizeof(bytes)) {
		got = rendering_read(r->picture, bytes + len, sizeof(bytes) - len);
		if (got == 0 || got == HTTP_SOURCE_END)
			break;
		len += got;
	}
	code = base64_encode(span_make(bytes, len), &r->out);
	assert(code == ERR_OK);
	r->has_failed = got == 0;
	if (len < sizeof(bytes))
		rendering_free(&r->picture);
}

/* --- steps -------------------------------------------------------------------------------------
 */

static void convert_some(struct rendering *r)
{
	charset_stream_write(&r->charset, buf_span(&r->decoded));
	if (r->is_read)
		charset_stream_end(&r->charset);
	assert(!r->charset.writer.full);
}

/* What is in `text`, until a picture comes. */
static void frame_step(struct rendering *r)
{
	struct span rest = buf_span(&r->text);

	if (html_frame_next(&r->frame, &rest, &r->out))
		reference_take(r);
	buf_consume(&r->text, r->text.len - rest.len);
}

static void read_step(struct rendering *r)
{
	decode_some(r);
	if (r->has_failed)
		return;
	if (is_converted(r))
		convert_some(r);
	else
		put(r, r->decoded.data, r->decoded.len);
	if (r->options.form == RENDERING_TEXT_OF_HTML) {
		html_text_write(r->html_text, buf_span(&r->text), &r->out);
		buf_clear(&r->text);
	}
}

static void end_step(struct rendering *r)
{
	if (r->options.form == RENDERING_TEXT_OF_HTML)
		html_text_end(r->html_text, &r->out);
	else if (r->options.form == RENDERING_HTML)
		html_frame_end(&r->frame, &r->out);
	r->is_over = true;
}

static void step(struct rendering *r)
{
	if (r->picture != NULL)
		picture_step(r);
	else if (r->text.len > 0)
		frame_step(r);
	else if (!r->is_read)
		read_step(r);
	else
		end_step(r);
}

size_t rendering_read(struct rendering *r, char *bytes_out, size_t max)
{
	size_t len;

	while (r->out.len == 0 && !r->is_over && !r->has_failed)
		step(r);
	if (r->has_failed)
		return 0;
	if (r->out.len == 0)
		return HTTP_SOURCE_END;
	len = r->out.len < max ? r->out.len : max;
	memcpy(bytes_out, r->out.data, len);
	buf_consume(&r->out, len);
	return len;
}
