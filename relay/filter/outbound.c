/*
 * relay/filter/outbound.c - the header section of the copy that leaves.
 *
 * Does not use relay/mail/header on purpose: that parser stops at its limits
 * and follows the grammar, while here every line that some next hop might
 * read as a Bcc has to go, however broken the section is.
 */
#include "relay/filter/outbound.h"

#include <stdbool.h>

#include "base/err.h"
#include "relay/filter/pattern.h"

/* The length of the first line of `text` with its end: CRLF, or a CR or LF that stands alone. */
static size_t line_length(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\n')
			return i + 1;
		if (text.data[i] == '\r')
			return i + 1 < text.len && text.data[i + 1] == '\n' ? i + 2 : i + 1;
	}
	return text.len;
}

/* A line and the folded lines that follow it (RFC 5322 2.2.3); never empty unless `text` is. */
static struct span cut_field(struct span *text)
{
	size_t len = line_length(*text);
	struct span field;

	while (len < text->len && ascii_is_blank(text->data[len]))
		len += line_length(span_skip(*text, len));
	field = span_first(*text, len);
	*text = span_skip(*text, len);
	return field;
}

static bool is_empty_line(struct span text)
{
	return text.len > 0 && (text.data[0] == '\r' || text.data[0] == '\n');
}

/*
 * The name as the most lenient reader might see it: what stands before the
 * first colon, even behind a fold, without blanks, controls and 8-bit bytes.
 * "Bcc :", "B\0cc:" and "Bcc\r\n :" all give "Bcc". Without a colon: empty.
 */
static int lenient_name(struct span field, struct buf *name)
{
	size_t colon = span_find(field, ':');
	int code = ERR_OK;

	buf_clear(name);
	for (size_t i = 0; colon < field.len && i < colon && code == ERR_OK; i++)
		if (field.data[i] > ' ' && field.data[i] < 127)
			code = buf_append_char(name, field.data[i]);
	return code;
}

static bool is_control(const struct policy_options *options, struct span name)
{
	for (size_t i = 0; i < options->control_header_count; i++)
		if (glob_matches(span_of(options->control_headers[i]), name))
			return true;
	return false;
}

static bool is_removed(const struct policy_options *options, struct span name,
		       struct outbound_count *count)
{
	if (name.len == 0)
		return false;
	if (span_is_fold(name, "bcc") || span_is_fold(name, "resent-bcc")) {
		count->bcc++;
		return true;
	}
	if (is_control(options, name)) {
		count->control++;
		return true;
	}
	return false;
}

static int write_fields(const struct policy_options *options, struct span section, struct buf *name,
			struct buf *out, struct outbound_count *count)
{
	int code = ERR_OK;

	while (code == ERR_OK && section.len > 0 && !is_empty_line(section)) {
		struct span field = cut_field(&section);

		code = lenient_name(field, name);
		if (code == ERR_OK && !is_removed(options, buf_span(name), count))
			code = buf_append_span(out, field);
	}
	return code == ERR_OK ? buf_append_span(out, section) : code;
}

int outbound_header(const struct policy_options *options, struct span front, struct span section,
		    struct buf *out, struct outbound_count *count_out)
{
	struct outbound_count count = {0, 0};
	size_t before = out->len;
	struct buf name;
	int code;

	buf_init(&name, section.len);
	code = buf_append_span(out, front);
	if (code == ERR_OK)
		code = write_fields(options, section, &name, out, &count);
	buf_release(&name);
	if (code == ERR_OK)
		*count_out = count;
	else
		buf_truncate(out, before);
	return code;
}
