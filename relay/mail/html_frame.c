/* relay/mail/html_frame.c - an HTML body on its way into a frame that may load nothing */
#include "relay/mail/html_frame.h"

#include <assert.h>

#include "base/err.h"

static const char *const connecting[] = {"link", "iframe", "frame"};
static const char scheme[] = "cid:";

void html_frame_init(struct html_frame *frame)
{
	*frame = (struct html_frame){0};
	buf_init(&frame->id, HTML_FRAME_ID_MAX);
}

void html_frame_release(struct html_frame *frame)
{
	buf_release(&frame->id);
}

static void put(struct buf *out, const char *text, size_t len)
{
	int code = len > 0 ? buf_append(out, text, len) : ERR_OK;

	assert(code == ERR_OK);
}

/* True: with `c` the name is one of those. */
static bool name_take(struct html_frame *frame, char c)
{
	if (c == '<') {
		frame->in_name = true;
		frame->name_len = 0;
		return false;
	}
	frame->in_name = frame->in_name && frame->name_len < sizeof(frame->name);
	if (!frame->in_name)
		return false;
	frame->name[frame->name_len++] = c;
	for (size_t i = 0; i < sizeof(connecting) / sizeof(connecting[0]); i++)
		if (span_is_fold(span_make(frame->name, frame->name_len), connecting[i]))
			return true;
	return false;
}

/* As it is, but for the names of some tags. */
static void pass(struct html_frame *frame, char c, struct buf *out)
{
	put(out, &c, 1);
	frame->before = c;
	if (c == '<' || c == '>')
		frame->in_tag = c == '<';
	if (name_take(frame, c)) {
		put(out, "-x", 2);
		frame->in_name = false;
	}
}

static void let_go(struct html_frame *frame, struct buf *out)
{
	for (size_t i = 0; i < frame->matched; i++)
		pass(frame, frame->held[i], out);
	frame->matched = 0;
	if (frame->in_id)
		put(out, frame->id.data, frame->id.len);
	frame->in_id = false;
}

static bool is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* False: `c` is not of the scheme. */
static bool scheme_take(struct html_frame *frame, char c)
{
	if (ascii_lower(c) != scheme[frame->matched])
		return false;
	if (frame->matched == 0 && !(frame->in_tag && is_one_of(frame->before, "\"'=( \t\r\n")))
		return false;
	frame->held[frame->matched++] = c;
	if (frame->matched == sizeof(scheme) - 1) {
		frame->in_id = true;
		buf_clear(&frame->id);
	}
	return true;
}

/* True: `c` is behind the id, and not taken. */
static bool id_take(struct html_frame *frame, char c, struct buf *out)
{
	if (is_one_of(c, "\"')<> \t\r\n")) {
		frame->in_id = false;
		frame->matched = 0;
		frame->before = 'x';
		return true;
	}
	if (buf_append_char(&frame->id, c) != ERR_OK) {
		let_go(frame, out);
		pass(frame, c, out);
	}
	return false;
}

bool html_frame_next(struct html_frame *frame, struct span *bytes, struct buf *out)
{
	for (; bytes->len > 0; *bytes = span_skip(*bytes, 1)) {
		char c = bytes->data[0];

		if (frame->in_id) {
			if (id_take(frame, c, out))
				return true;
		} else if (!scheme_take(frame, c)) {
			let_go(frame, out);
			if (!scheme_take(frame, c))
				pass(frame, c, out);
		}
	}
	return false;
}

void html_frame_end(struct html_frame *frame, struct buf *out)
{
	let_go(frame, out);
}
