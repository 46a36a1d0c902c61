/* relay/mail/mime_header.c - what the header of a part says about its body */
#include "relay/mail/mime_header.h"

#include "base/buf.h"
#include "base/err.h"
#include "relay/mail/charset.h"
#include "relay/mail/header.h"
#include "relay/mail/mime_field.h"

#define VALUE_MAX 255 /* RFC 6838 4.2: twice 127 and a slash */

/* The value of the field behind `rest`, or NULL; *rest moves on. */
static const char *value_read(struct span *rest, struct arena *arena)
{
	const char *text = NULL;
	struct buf value;

	buf_init(&value, VALUE_MAX);
	if (mime_field_value(rest, &value) == ERR_OK)
		text = arena_span_dup(arena, buf_span(&value));
	buf_release(&value);
	return text;
}

/* NULL: not there, or nothing but blanks. */
static const char *text_read(struct span rest, const char *name, struct arena *arena)
{
	const char *text = NULL;
	struct buf value;

	buf_init(&value, MIME_TEXT_MAX);
	(void)mime_field_text(rest, name, &value);
	if (span_trim(buf_span(&value)).len > 0)
		text = arena_span_dup(arena, span_trim(buf_span(&value)));
	buf_release(&value);
	return text;
}

/* RFC 2978 2.3; what is no name is none. */
static const char *charset_read(struct span rest, struct arena *arena)
{
	const char *text = NULL;
	struct buf value;
	bool good;

	buf_init(&value, CHARSET_NAME_SIZE - 1);
	good = mime_field_bytes(rest, "charset", &value) == ERR_OK && value.len > 0;
	for (size_t i = 0; good && i < value.len; i++)
		good = ascii_is_alnum(value.data[i]) ||
		       (value.data[i] != '\0' && strchr("-_.:+", value.data[i]) != NULL);
	if (good)
		text = arena_span_dup(arena, buf_span(&value));
	buf_release(&value);
	return text;
}

/* A line can't end in blanks that count, nor hold a line end. */
static struct span boundary_read(struct span rest, struct arena *arena)
{
	struct span text = {NULL, 0};
	struct buf value;

	buf_init(&value, MIME_BOUNDARY_MAX);
	if (mime_field_bytes(rest, "boundary", &value) == ERR_OK) {
		text = buf_span(&value);
		while (text.len > 0 && ascii_is_blank(text.data[text.len - 1]))
			text.len--;
		if (span_find(text, '\r') < text.len)
			text.len = 0;
		text = span_make(arena_span_dup(arena, text), text.len);
	}
	buf_release(&value);
	return text;
}

static const char *id_read(struct span section, struct arena *arena)
{
	struct header_field field;
	const char *text = NULL;
	struct buf value;
	struct span id;

	if (!header_find(section, "Content-ID", &field))
		return NULL;
	buf_init(&value, MIME_TEXT_MAX);
	header_decode_display(field.body, &value);
	id = span_trim(buf_span(&value));
	if (id.len > 1 && id.data[0] == '<' && id.data[id.len - 1] == '>')
		id = span_make(id.data + 1, id.len - 2);
	if (id.len > 0)
		text = arena_span_dup(arena, id);
	buf_release(&value);
	return text;
}

/* Returns what stands behind the type: its parameters. */
static struct span type_read(struct span section, bool in_digest, struct arena *arena,
			     struct mime_part *part)
{
	struct header_field field;
	struct span rest = {NULL, 0};
	const char *type;

	if (!header_find(section, "Content-Type", &field)) {
		part->type = in_digest ? "message/rfc822" : "text/plain";
		return rest;
	}
	rest = field.body;
	type = value_read(&rest, arena);
	if (type != NULL && strchr(type, '/') != NULL)
		part->type = type;
	else if (part->trouble == NULL)
		part->trouble = "its Content-Type can't be read";
	return rest;
}

void mime_header_read(struct span section, bool in_digest, struct arena *arena,
		      struct mime_part *part, struct span *boundary_out)
{
	struct span parameters = type_read(section, in_digest, arena, part);
	struct header_field field;
	struct span rest;

	*boundary_out = span_make(NULL, 0);
	if (span_starts_fold(span_of(part->type), "multipart/"))
		*boundary_out = boundary_read(parameters, arena);
	part->charset = charset_read(parameters, arena);
	if (header_find(section, "Content-Transfer-Encoding", &field)) {
		rest = field.body;
		part->encoding_name = value_read(&rest, arena);
		part->encoding = transfer_parse(span_of(part->encoding_name));
	}
	if (header_find(section, "Content-Disposition", &field)) {
		rest = field.body;
		part->disposition = value_read(&rest, arena);
		part->filename = text_read(rest, "filename", arena);
	}
	if (part->filename == NULL)
		part->filename = text_read(parameters, "name", arena);
	part->content_id = id_read(section, arena);
}
